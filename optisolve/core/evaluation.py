"""What is measured at a point - objectives, constraints, and how much of a constraint may be missed - and who may measure it.

A solver is handed an evaluator that counts. It also holds the instance, and may build the problem again by its name; both
lead past the evaluator. While a run is watched, an evaluation of the same instance by whatever way goes through the run's
evaluator, and no reference is made. Code that means to deceive can still copy the equations; records of a solver whose code
nobody knows are no more than self-reported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Literal, Protocol, TypeAlias

import numpy as np

from optisolve.core.arrays import BoolArray, FloatArray, frozen
from optisolve.core.errors import FieldProblem, ProblemError, SolverError

__all__ = [
    "FAILED_VIOLATION",
    "FEASIBILITY_TOLERANCE",
    "Evaluation",
    "HypervolumeBox",
    "Objective",
    "RunsIn",
    "Sense",
    "Tried",
    "Twins",
    "constraint_tolerances",
    "corner_problems",
    "looking",
    "looks_charged",
    "refuse_reference",
    "run_memory",
    "twins_of_run",
    "unwatched",
    "watched",
    "watching",
]

FEASIBILITY_TOLERANCE = 1e-8
"""Largest violation of a (dimensionless) constraint that still counts as feasible, unless the instance sets another one."""

FAILED_VIOLATION = 1e9
"""What a point counts as violating that the model could not evaluate."""

RunsIn = Literal["vectorized", "thread", "process"]
"""How evaluations may run side by side.

``"vectorized"``: a whole batch is one call, which is fastest for equations in numpy. ``"thread"``: one point is one call, and
several threads may call at once (the model waits for something outside, or lets the interpreter go). ``"process"``: one point
is one call, and calls side by side belong into processes of their own; the instance is pickled for them, and what cannot be
pickled (a scene on a device, a connection) it opens at its first evaluation there."""


def constraint_tolerances(problem: str, names: tuple[str, ...], given: float | Mapping[str, float]) -> FloatArray:
    """One feasibility tolerance per constraint, float64 [k + p], read-only.

    Args:
        problem: Its name, for errors.
        names: Names of the constraints, inequalities first.
        given: One number for all, or numbers by name.

    Raises:
        ProblemError: An unknown name, or a number that is no tolerance.
    """
    by_name = given if isinstance(given, Mapping) else dict.fromkeys(names, given)
    if unknown := sorted(set(by_name) - set(names)):
        raise ProblemError(f"{problem}: tolerance names {unknown}; the constraints are {list(names)}.")
    try:
        values = np.array([float(by_name.get(name, FEASIBILITY_TOLERANCE)) for name in names])
    except (TypeError, ValueError):
        values = np.array([np.nan])
    if not (np.isfinite(values) & (values > 0.0)).all():
        raise ProblemError(f"{problem}: tolerance is {given!r}; expected a number above 0, or such numbers by constraint name.")
    return frozen(values)


class Sense(StrEnum):
    """Direction of an objective."""

    MINIMIZE = "minimize"
    MAXIMIZE = "maximize"


@dataclass(frozen=True, slots=True)
class Objective:
    """One objective.

    Args:
        name: Column name, e.g. ``"utility"``.
        sense: Minimize or maximize.
        unit: Unit as printed to people.
        meaning: One plain sentence; shown to people and to language models.
        scale: Smallest magnitude by which gaps are divided, in `unit`, so that a reference near 0 gives no huge gap. It
            follows from the instance's data: in other units of power or rate it changes with them.
        interval: The zero of the scale means nothing (a sum of logarithms): gaps are divided by `scale` alone.
        axis: A few words for the axes of figures, without the unit; "" takes them from `meaning` or `name`.
    """

    name: str
    sense: Sense
    unit: str = ""
    meaning: str = ""
    scale: float = 1.0
    interval: bool = False
    axis: str = ""

    def shortfall(self, value: float, target: float) -> float:
        """How much worse a value is than a target, in `unit`; negative when it is better."""
        return target - value if self.sense is Sense.MAXIMIZE else value - target

    def gap_scale(self, target: float) -> float:
        """What a distance to this target is divided by, so that it becomes a relative gap; in `unit`, above 0."""
        return self.scale if self.interval else max(abs(target), self.scale)

    @property
    def label(self) -> str:
        """Name with unit and direction, for table heads."""
        unit = f" [{self.unit}]" if self.unit else ""
        return f"{self.name}{unit} ({'max' if self.sense is Sense.MAXIMIZE else 'min'})"


@dataclass(frozen=True, slots=True)
class HypervolumeBox:
    """Box of an instance in which hypervolume and IGD+ are measured, in the objectives' own senses.

    Args:
        reference: The bad corner, length m.
        ideal: The good corner, length m; scores are normalized to reference - ideal.
    """

    reference: tuple[float, ...]
    ideal: tuple[float, ...]

    @classmethod
    def given(cls, reference: tuple[float, ...] | None, ideal: tuple[float, ...] | None) -> HypervolumeBox | None:
        """The box of two corners that `corner_problems` has passed; None where they are left to the instance."""
        return None if reference is None or ideal is None else cls(reference, ideal)


def corner_problems(
    reference: tuple[float, ...] | None, ideal: tuple[float, ...] | None, objectives: tuple[Objective, ...]
) -> Iterator[FieldProblem]:
    """What is wrong with the parameters ``hypervolume_reference`` and ``hypervolume_ideal`` of a problem."""
    corners = {"hypervolume_reference": reference, "hypervolume_ideal": ideal}
    for name, corner in corners.items():
        if corner is None and (reference, ideal) != (None, None):
            yield FieldProblem(name, None, "the other corner of the box too; or neither, and the box follows the instance")
        elif corner is not None and len(corner) != len(objectives):
            yield FieldProblem(name, corner, f"{len(objectives)} numbers, one per objective")
            return
    for bad, good, o in zip(reference or (), ideal or (), objectives, strict=False):
        if not o.shortfall(bad, good) > 0.0:
            worse = "smaller" if o.sense is Sense.MAXIMIZE else "larger"
            yield FieldProblem("hypervolume_reference", reference, f"{o.name} {worse} than hypervolume_ideal's {good:g}")
            return


@dataclass(frozen=True, eq=False, slots=True)
class Evaluation:
    """Objectives and constraints of a batch of n points.

    Attributes:
        F: float64 [n, m], in the problem's own senses and units.
        G: float64 [n, k], inequality constraints, feasible when <= 0, dimensionless.
        H: float64 [n, p], equality constraints, feasible when == 0, dimensionless.
        failed: bool [n], points that the model could not evaluate (`Instance.on_failure`); None when there are none.
        tolerance: float64 [k + p], largest violations that count as feasible; None means the usual one for all. A model need
            not set it, the instance does.
    """

    F: FloatArray
    G: FloatArray
    H: FloatArray
    failed: BoolArray | None = None
    tolerance: FloatArray | None = None

    def __iter__(self) -> Iterator[FloatArray]:
        """So that ``F, G, H = instance.evaluate(X)`` works."""
        return iter((self.F, self.G, self.H))

    @property
    def violation(self) -> FloatArray:
        """Total constraint violation, float64 [n]; values within the feasibility tolerance count as 0."""
        total = np.zeros(self.F.shape[0])
        k = self.G.shape[1]
        if not k and not self.H.shape[1]:
            return total if self.failed is None else np.where(self.failed, FAILED_VIOLATION, total)
        allowed = np.full(k + self.H.shape[1], FEASIBILITY_TOLERANCE) if self.tolerance is None else self.tolerance
        for part, tolerance in ((self.G, allowed[:k]), (np.abs(self.H), allowed[k:])):
            if part.shape[1]:
                total += np.where(part > tolerance, part, 0.0).sum(axis=1)
        return total if self.failed is None else np.where(self.failed, FAILED_VIOLATION, total)

    @property
    def feasible(self) -> BoolArray:
        """Points that violate nothing by more than its tolerance, bool [n]."""
        met: BoolArray = self.violation <= 0.0
        return met

    @property
    def violations(self) -> FloatArray:
        """By how much each constraint is violated, inequalities first, float64 [n, k + p]; 0 where it is not, no tolerance."""
        if not self.G.shape[1] and not self.H.shape[1]:
            return np.empty((self.F.shape[0], 0))
        return np.concatenate([np.maximum(self.G, 0.0), np.abs(self.H)], axis=1)

    def part(self, rows: BoolArray) -> Evaluation:
        """Some of the points, all of which the model could evaluate.

        Args:
            rows: bool [n].
        """
        return Evaluation(self.F[rows], self.G[rows], self.H[rows], tolerance=self.tolerance)

    def within(self, tolerance: FloatArray | None) -> Evaluation:
        """The same under other tolerances, float64 [k + p]."""
        return self if tolerance is self.tolerance else replace(self, tolerance=tolerance)

    @property
    def max_violation(self) -> FloatArray:
        """Largest single violation, float64 [n], without tolerance."""
        worst = np.zeros(self.F.shape[0])
        for part, is_equality in ((self.G, False), (self.H, True)):
            if part.shape[1]:
                worst = np.maximum(worst, (np.abs(part) if is_equality else part).max(axis=1))
        return worst if self.failed is None else np.where(self.failed, FAILED_VIOLATION, worst)


class Tried(Protocol):
    """What came of a batch, see `optisolve.core.failures.Attempt`."""

    @property
    def evaluation(self) -> Evaluation:
        """Values of all rows."""
        ...

    @property
    def failed(self) -> BoolArray:
        """Rows without any, bool [n]."""
        ...

    @property
    def message(self) -> str:
        """What was wrong with the first of those."""
        ...


Twins: TypeAlias = Callable[[FloatArray], Tried]
"""Evaluates a checked batch, float64 [n, d], by an instance's twin."""


class _Hashed(Protocol):
    """What tells an instance from others."""

    @property
    def sha256(self) -> str: ...


class _Counting(Protocol):
    """The evaluator of a run."""

    def __call__(self, X: FloatArray, *, source: str = ...) -> Evaluation: ...


@dataclass(frozen=True, eq=False, slots=True)
class _Watch:
    instance: _Hashed
    evaluate: _Counting
    twins: Twins | None = None
    memory: dict[str, object] = field(default_factory=dict)
    look: _Counting | None = None

    def covers(self, instance: _Hashed) -> bool:
        return instance is self.instance or instance.sha256 == self.instance.sha256


_WATCH: ContextVar[_Watch | None] = ContextVar("watch", default=None)


@contextmanager
def watching(instance: _Hashed, evaluate: _Counting, twins: Twins | None = None) -> Iterator[None]:
    """While a solver runs in this thread.

    Args:
        instance: What it solves.
        evaluate: Counts and evaluates a batch; gets what the solver evaluates without asking.
        twins: Evaluates by the twin in the run's workers, where it has some.

    Raises:
        SolverError: A solver of the same instance is at work already, whose accounts would not see this one's.
    """
    if watched(instance) is not None:
        raise SolverError("A solver started another run on the instance that it solves; its evaluations would not be counted.")
    token = _WATCH.set(_Watch(instance, evaluate, twins))
    try:
        yield
    finally:
        _WATCH.reset(token)


@contextmanager
def unwatched() -> Iterator[None]:
    """For the evaluator itself, and for looks that cannot help the answer and are stated in the run's report."""
    token = _WATCH.set(None)
    try:
        yield
    finally:
        _WATCH.reset(token)


def watched(instance: _Hashed) -> _Counting | None:
    """The counting evaluation of the run that this call belongs to; None when it belongs to no run on this instance."""
    watch = _watch_over(instance)
    return None if watch is None else watch.evaluate


def looking(instance: _Hashed) -> _Counting | None:
    """As `watched`, for a repair that looks at constraints; it is charged to the share of whoever asked for it."""
    watch = _watch_over(instance)
    return None if watch is None else watch.look or watch.evaluate


@contextmanager
def looks_charged(evaluate: _Counting) -> Iterator[None]:
    """While a part of a run has a share of its own: what its repairs look at is charged there.

    Args:
        evaluate: Counts against the share, and hands on to the run's evaluator.
    """
    watch = _WATCH.get()
    token = _WATCH.set(None if watch is None else replace(watch, look=evaluate))
    try:
        yield
    finally:
        _WATCH.reset(token)


def twins_of_run(instance: _Hashed) -> Twins | None:
    """Who evaluates by the twin in the run that this call belongs to; None where that is the instance itself."""
    watch = _watch_over(instance)
    return None if watch is None else watch.twins


def run_memory(instance: _Hashed) -> dict[str, object] | None:
    """What the run that this call belongs to keeps about its instance; None when it belongs to no run on this instance."""
    watch = _watch_over(instance)
    return None if watch is None else watch.memory


def _watch_over(instance: _Hashed) -> _Watch | None:
    watch = _WATCH.get()
    if watch is None:
        return None
    with unwatched():  # hashing an instance may evaluate it
        return watch if watch.covers(instance) else None


def refuse_reference(problem: str) -> None:
    """Refuse to make a reference while a solver runs.

    Raises:
        SolverError: A solver asked for what it is scored against.
    """
    if _WATCH.get() is not None:
        raise SolverError(f"A solver asked for a reference of {problem} while it solves; references are made outside of runs.")
