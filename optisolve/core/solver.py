"""Solvers: a frozen dataclass of options and one method."""

from __future__ import annotations

import importlib
import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Protocol

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.budget import BudgetMeter
from optisolve.core.capabilities import capability_gap
from optisolve.core.documents import JsonObject
from optisolve.core.errors import SolverError
from optisolve.core.options import Options
from optisolve.core.problem import Evaluation, Instance, Objective
from optisolve.core.seeds import generator
from optisolve.core.status import Limit, Termination

__all__ = [
    "ANY_PROBLEM",
    "Evaluate",
    "Feature",
    "Flight",
    "Known",
    "Landed",
    "Outcome",
    "Proposal",
    "Solver",
    "SolverInfo",
    "Task",
    "is_start",
    "require_stopping_rule",
    "spent_limit",
]


class Feature(StrEnum):
    """What an instance demands of a solver."""

    SINGLE_OBJECTIVE = "one objective"
    MULTI_OBJECTIVE = "several objectives"
    INEQUALITY = "inequality constraints"
    EQUALITY = "equality constraints"
    REAL = "real variables"
    INTEGER = "integer variables"


ANY_PROBLEM: frozenset[Feature] = frozenset(Feature)


def features_of(instance: Instance) -> frozenset[Feature]:
    """The features that an instance demands."""
    found = {Feature.SINGLE_OBJECTIVE if len(instance.objectives) == 1 else Feature.MULTI_OBJECTIVE}
    if instance.constraint_names:
        found.add(Feature.INEQUALITY)
    if instance.equality_names:
        found.add(Feature.EQUALITY)
    if instance.space.has_integers:
        found.add(Feature.INTEGER)
    if not instance.space.integer.all():
        found.add(Feature.REAL)
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class SolverInfo:
    """What a solver is, without importing what it needs.

    Args:
        name: Registry name.
        version: Changes whenever results for the same seed may change.
        summary: One sentence for tables.
        supports: Features it can treat.
        needs: Import names of optional packages.
        extra: The optisolve extra that installs them.
        deterministic: Same seed gives the same answer (given the same language-model replies).
        uses_llm: It asks a language model.
        needs_llm: It cannot do without one, so ``llm=none`` is an error; means something where `uses_llm` is true.
        requires: Capabilities without which it cannot treat an instance, see `optisolve.core.capabilities`.
        welcomes: Capabilities that it uses where an instance offers them.
        steady: It can propose points while others are on their way, see `Task.flight`; others work in whole batches.
        aside: Import names of what works in compiled code that looks at no clock. Under a limit on seconds that happens in a
            process that can be killed (`optisolve.run.aside`), which is started, with these, before the clock runs.
        keeps_best: It answers with the best of what it evaluated; False for dynamics, whose answer is where they end.
        portable: Its own arithmetic depends on no kernel of BLAS and on no number of threads, so that its runs on a portable
            problem have the same hash under any of them; `benchmarks/quality/portability.py` measures it.
        citation: Paper or equation, with arXiv id or DOI where there is one.
    """

    name: str
    version: str
    summary: str
    supports: frozenset[Feature] = ANY_PROBLEM
    needs: tuple[str, ...] = ()
    extra: str = ""
    deterministic: bool = True
    uses_llm: bool = False
    needs_llm: bool = True
    requires: tuple[type, ...] = ()
    welcomes: tuple[type, ...] = ()
    steady: bool = False
    aside: tuple[str, ...] = ()
    keeps_best: bool = True
    portable: bool = False
    citation: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a solver hands back; it states no objective values and no feasibility, those are re-derived.

    Args:
        X: float64 [n, d], the returned points; n may be 0.
        termination: Why it stopped.
        limit: Which limit, when the termination is LIMIT.
        detail: Back end's own words, for people.
        dual_bound: Bound on the optimum in the problem's own sense, when the method gives one.
        report: Deterministic figures worth recording (iterations, fates, ...), JSON-compatible.
    """

    X: FloatArray
    termination: Termination
    limit: Limit | None = None
    detail: str = ""
    dual_bound: float | None = None
    report: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, eq=False, slots=True)
class Proposal:
    """What a solver has for one of several instances that it treats together; nobody has evaluated it.

    Args:
        X: float64 [n, d], inside the bounds, in the order in which a run evaluates them: of equal ones the first is kept.
        termination: Why a run on this instance alone would stop.
    """

    X: FloatArray
    termination: Termination


@dataclass(frozen=True, eq=False, slots=True)
class Known:
    """Points that the same run has evaluated and paid for before a solver begins.

    Args:
        X: float64 [n, d].
        evaluation: Their values, n rows, in the problem's own senses.
    """

    X: FloatArray
    evaluation: Evaluation


class Evaluate(Protocol):
    """The counted, traced evaluation that a solver calls."""

    def __call__(self, X: FloatArray, *, source: str | list[str] = ...) -> Evaluation:
        """Evaluate a batch; `source` labels who proposed the points, one label or one per row."""
        ...


@dataclass(frozen=True, eq=False, slots=True)
class Landed:
    """A point that has come back from a worker.

    Args:
        X: float64 [1, d].
        evaluation: Its values.
        tag: What it was sent with.
    """

    X: FloatArray
    evaluation: Evaluation
    tag: object


class Flight(Protocol):
    """Points on their way to workers, in an asynchronous run: counted when they are sent, taken over as they come back."""

    @property
    def room(self) -> int:
        """Points that may be sent now: workers that are free, at most what is left of the budget."""
        ...

    @property
    def airborne(self) -> int:
        """Points that are on their way."""
        ...

    def send(self, X: FloatArray, *, source: str, tag: object = None) -> None:
        """Send a point, float64 [1, d], inside the bounds."""
        ...

    def land(self) -> list[Landed]:
        """Wait until a point has come back; all that have, in the order of their coming."""
        ...


def is_start(source: str) -> bool:
    """Whether a label of `Evaluate` is that of first points: the user's own, those of a source (``start:null``), random."""
    return source in ("warm_start", "initial") or source.startswith("start:")


class Recorder(Protocol):
    """The part of the evaluator that builds an outcome from everything evaluated so far."""

    def outcome(
        self, termination: Termination, limit: Limit | None = ..., *, detail: str = ..., report: JsonObject | None = ...
    ) -> Outcome:
        """The non-dominated feasible points found so far (the least violating point when none is feasible)."""
        ...


class Conversation(Protocol):
    """What a task says of its language model; `optisolve.llm.session.session_of` gives the session itself.

    Attributes:
        tokens_in: Prompt tokens so far.
        tokens_out: Completion tokens so far.
    """

    tokens_in: int
    tokens_out: int

    @property
    def model(self) -> str:
        """Name of the model that was asked for."""
        ...

    @property
    def preferred_style(self) -> str:
        """Prompt style that suits the model: ``"schema"`` or ``"continuation"``."""
        ...


@dataclass(slots=True)
class Task:
    """Everything a solver may touch while it solves one instance.

    Attributes:
        instance: The instance; it carries no reference.
        evaluate: Counted evaluation; raises `BudgetExhausted` before a batch that does not fit.
        recorder: Builds the outcome from what was evaluated.
        meter: What was used and what is left.
        seed: The run's seed.
        warm_start: float64 [n, d] or None, points to start from; evaluating them is part of the run.
        known: Points with their values that earlier stages of the run have paid for; None for a run that begins.
        llm: The language-model session, for solvers whose info says ``uses_llm``.
        flight: Points on their way, in an asynchronous run of a solver whose info says ``steady``; None in all others.
        reporter: Set by a solver that has figures worth keeping when the run is cut short; called once, at the end.
    """

    instance: Instance
    evaluate: Evaluate
    recorder: Recorder
    meter: BudgetMeter
    seed: int
    solver_name: str
    warm_start: FloatArray | None = None
    known: Known | None = None
    llm: Conversation | None = None
    flight: Flight | None = None
    reporter: Callable[[], JsonObject] | None = None

    @property
    def start(self) -> FloatArray:
        """The warm start as rows, float64 [n, d]; none without one.

        Raises:
            SolverError: It has another number of variables, or a value that is not finite.
        """
        dim = self.instance.space.dim
        X = np.empty((0, dim)) if self.warm_start is None else np.atleast_2d(self.warm_start)
        if X.ndim != 2 or X.shape[1] != dim or not np.isfinite(X).all():
            raise SolverError(f"warm_start has shape {X.shape}; expected finite values [n, {dim}].")
        return X

    def rng(self, **axes: str | int) -> np.random.Generator:
        """An independent stream for a named purpose of this run, e.g. ``task.rng(wave=3)``."""
        return generator(self.seed, solver=self.solver_name, **axes)

    def outcome(
        self, termination: Termination, limit: Limit | None = None, *, detail: str = "", report: JsonObject | None = None
    ) -> Outcome:
        """The outcome made of everything evaluated so far."""
        return self.recorder.outcome(termination, limit, detail=detail, report=report)


class Solver(Options, ABC):
    """A solver: options as fields, `info` as class attribute, one method `_solve`."""

    __slots__ = ()
    info: ClassVar[SolverInfo]

    def skip(self, instance: Instance) -> str | None:
        """Why this solver cannot treat an instance here, in one sentence; None when it can."""
        missing = [name for name in self.info.needs if importlib.util.find_spec(name) is None]
        if missing:
            return f"needs {', '.join(missing)}; install it with: pip install 'optisolve[{self.info.extra}]'"
        lacking = sorted(features_of(instance) - self.info.supports)
        if lacking:
            return f"{self.info.name} cannot treat {', '.join(lacking)}"
        return next(filter(None, (capability_gap(instance, c) for c in self.info.requires)), None)

    def takes_start(self, instance: Instance) -> bool:
        """Whether the run begins with the points of a warm start, so that a memory means something to it."""
        return False

    def checkpoint(self, instance: Instance) -> dict[str, str] | None:
        """What was learned before and is used on an instance: ``name`` and ``sha256`` of the file; None for no such thing."""
        return None

    def start(self, space: object, objectives: Sequence[Objective] = (), **settings: Any) -> Any:
        """Begin a run whose points are evaluated elsewhere: `optisolve.start` with this solver, where all settings stand.

        Args:
            space: The decision space, an instance or a problem.
            objectives: What is measured.
            **settings: As for `optisolve.start`.

        Returns:
            An `optisolve.OpenRun`, with ``ask`` and ``tell``.
        """
        return importlib.import_module("optisolve").start(self, space, objectives, **settings)  # runs stand above solvers

    def caution(self, instance: Instance) -> str:
        """What must be known of the answer to an instance, e.g. that training saw none like it; "" for nothing."""
        return ""

    def propose(self, instances: Sequence[Instance], seed: int, evaluations: int) -> list[Proposal] | None:
        """The points that runs on several instances would evaluate, made in one pass; see `optisolve.prepare`.

        Args:
            instances: Of any sizes; `skip` has passed all of them.
            seed: Of each run.
            evaluations: Budget of each run, at least 1.

        Returns:
            A proposal per instance; None for a solver that treats them one by one, or does so with these options.
        """
        return None

    @abstractmethod
    def _solve(self, task: Task) -> Outcome:
        """Solve one instance; called once per run, with a fresh task.

        A `BudgetExhausted` that leaves it ends the run with what was evaluated so far and the report of `Task.reporter`.
        """

    def _title(self) -> str:
        return f"solver '{self.info.name}'"


def require_stopping_rule(task: Task) -> None:
    """Refuse a budget under which a solver would never stop.

    Raises:
        SolverError: The budget limits neither evaluations nor seconds.
    """
    budget = task.meter.budget
    if budget.evaluations is None and budget.seconds is None:
        raise SolverError(
            f"{task.solver_name} stops only at a limit; set budget.evaluations (points) or budget.seconds, got {budget}."
        )


def spent_limit(task: Task) -> Limit:
    """Which limit left no evaluations."""
    return Limit.TIME if task.meter.out_of_time else Limit.EVALUATIONS
