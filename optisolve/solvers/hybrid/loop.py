"""The loop that `Hybrid` and its controls share: an engine proposes, somebody else makes a share of the points."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, NamedTuple, Protocol

import numpy as np
from annotated_types import Ge, Le

from optisolve.core.arrays import BoolArray, FloatArray
from optisolve.core.documents import Json, JsonObject
from optisolve.core.problem import Instance
from optisolve.core.solver import Outcome, Task, is_start, require_stopping_rule, spent_limit
from optisolve.core.status import Limit, Termination
from optisolve.solvers.hybrid.engines import CmaEngine, Engine, ParegoEngine
from optisolve.solvers.hybrid.state import State
from optisolve.solvers.moead.weights import weight_vectors
from optisolve.solvers.parego.solver import Parego, one_thread
from optisolve.solvers.start import Init, StartOptions

__all__ = ["EngineOptions", "Made", "Others", "run"]

_PREFERENCES = 11
"""Weight vectors that questions take turns with, where there are several objectives."""


class Made(NamedTuple):
    """What somebody made of a question.

    Attributes:
        x: float64 [d], repaired; None leaves the engine's own point where it is.
        label: Who made the point; "" for the engine, under its own label.
    """

    x: FloatArray | None
    label: str


class Others(Protocol):
    """Who makes the share of the points that the engine does not."""

    def make(self, states: Sequence[State]) -> list[Made]:
        """A point for every state; those of one call are evaluated together."""
        ...

    def report(self) -> JsonObject:
        """Deterministic figures of the run so far."""
        ...


@dataclass(frozen=True, slots=True)
class EngineOptions(StartOptions):
    """Base of `Hybrid` and its control: an engine, and the share of its points that somebody else makes.

    Both draw from the streams of the engine: runs of one seed begin with the same points, and the same places in the run are
    given away with the same preferences, so that they differ in nothing but who makes those points.

    Args:
        init: Where the first points come from, see `StartOptions`.
        engine: ``parego``; ``cma_es``, for one objective; ``auto``: CMA-ES for one objective of real variables, else `parego`.
        share: Share of the engine's points that somebody else makes, evenly spread over the run.
        n_initial: Points evaluated first; None means what the engine takes: at most a quarter of the budget, and with `parego`
            four fifths where a trained sampler makes them.
        batch_size: Points of a step of `parego`, for several workers; None means one, and one more per hundred points known. A
            generation of CMA-ES has a size of its own.
        repair: Project points with `Instance.project`; otherwise they are only clipped to the bounds.
    """

    fills: ClassVar[str] = "sobol"
    init: Init = ("auto",)
    engine: Literal["auto", "parego", "cma_es"] = "auto"
    share: Annotated[float, Ge(0), Le(1)] = 0.3
    n_initial: Annotated[int, Ge(2)] | None = None
    batch_size: Annotated[int, Ge(1), Le(64)] | None = None
    repair: bool = True

    def skip(self, instance: Instance) -> str | None:
        """Why this solver cannot treat an instance here; what the engine cannot treat is a reason."""
        if self._engine_for(instance) == "parego":
            return self._parego().skip(instance)
        if len(instance.objectives) > 1:
            return f"engine=cma_es treats one objective, this has {len(instance.objectives)}; engine=parego takes several"
        return StartOptions.skip(self, instance)

    def _engine_for(self, instance: Instance) -> str:
        if self.engine != "auto":
            return self.engine
        return "parego" if len(instance.objectives) > 1 or instance.space.has_integers else "cma_es"

    def _parego(self) -> Parego:
        return Parego(init=self.init, n_initial=self.n_initial, batch_size=self.batch_size, repair=self.repair)

    def _engine(self, task: Task) -> Engine:
        if self._engine_for(task.instance) == "parego":
            return ParegoEngine(task, self._parego())
        return CmaEngine(task, self, n_initial=self.n_initial, repair=self.repair)


def run(task: Task, options: EngineOptions, others: Others) -> Outcome:
    """One run, until the budget is spent or the engine has nothing more to ask."""
    require_stopping_rule(task)
    task.solver_name = options._engine_for(task.instance)  # its streams, whoever makes the share
    hybrid = _Run(task, options, others)
    task.reporter = hybrid.report
    with one_thread():
        hybrid.engine.begin()
        while task.meter.remaining_evaluations > 0:
            if not hybrid.step():
                return task.outcome(Termination.LIMIT, Limit.STALLED, report=hybrid.report())
    return task.outcome(Termination.LIMIT, spent_limit(task), report=hybrid.report())


class _Run:
    """Engine, others, and whose turn it is."""

    def __init__(self, task: Task, options: EngineOptions, others: Others) -> None:
        self._task, self._share, self._others = task, options.share, others
        self.engine = options._engine(task)
        self._offset = float(task.rng(purpose="turns").random())
        self._preferences = _turns(task)
        self._points: Counter[str] = Counter()
        self._proposed = 0

    def step(self) -> bool:
        """One proposal of the engine, part of which others make; False when there is none."""
        X, own = self.engine.propose()
        if X.shape[0] == 0:
            return False
        X, labels, given = X.copy(), [own] * X.shape[0], np.zeros(X.shape[0], dtype=np.bool_)
        rows = np.flatnonzero(self._others_turn(X.shape[0]))
        states = [state for _ in rows if (state := self.engine.state(next(self._preferences))) is not None]
        if states:
            for row, made in zip(rows, self._others.make(states), strict=True):
                labels[row] = made.label or own
                if made.x is not None:
                    X[row], given[row] = made.x, True
        self._points.update(labels)
        self.engine.learn(X, self._task.evaluate(X, source=labels), given)
        return True

    def report(self) -> JsonObject:
        """Points after the first ones by who made them, the engine's figures, and those of the others."""
        points: dict[str, Json] = {label: self._points[label] for label in sorted(self._points) if not is_start(label)}
        return {"engine": self._task.solver_name, "points": points, **self.engine.report(), **self._others.report()}

    def _others_turn(self, count: int) -> BoolArray:
        """Which of the next points others make, bool [count]: evenly spread, the first one anywhere."""
        at = np.floor(self._share * np.arange(self._proposed, self._proposed + count + 1) + self._offset)
        self._proposed += count
        turn: BoolArray = np.diff(at) > 0
        return turn


def _turns(task: Task) -> Iterator[FloatArray]:
    """Preferences, float64 [m], each once per round, in an order of its own."""
    m = len(task.instance.objectives)
    weights, rng = weight_vectors(m, _PREFERENCES if m > 1 else 1), task.rng(purpose="preferences")
    while True:
        yield from weights[rng.permutation(len(weights))]
