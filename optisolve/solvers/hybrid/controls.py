"""The controls of `hybrid`: the same engine, the same places in the run, and no language model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Ge

from optisolve.core.arrays import FloatArray
from optisolve.core.documents import JsonObject
from optisolve.core.solver import Outcome, SolverInfo, Task
from optisolve.solvers.hybrid.loop import EngineOptions, Made, run
from optisolve.solvers.hybrid.state import State

__all__ = ["CONTROL", "OPERATORS", "HybridControl"]

CONTROL = "control"
"""Source label of the points that stand in the language model's place."""

OPERATORS = {
    "gaussian": "Gaussian override, from the engine's mean and deviation",
    "uniform": "uniform random override",
    "none": "the engine alone, no override",
}
"""What `HybridControl` can put in the language model's place."""

_TRIES = 20
"""Draws in which a point that is not known is looked for."""
_DIGITS = 9
"""Digits of variables scaled to [0, 1] to which points are the same point."""


@dataclass(frozen=True, slots=True)
class HybridControl(EngineOptions):
    """`Hybrid` with something else in the language model's place.

    Args:
        operator: Who makes the share: ``gaussian``, normal noise round the mean that the model would be told, with the standard
            deviations that it would be told; ``uniform``, random points; ``none``, the engine itself, which is then alone.
        max_points: Points that the operator makes in the whole run, as a budget of calls would allow; None means all.
    """

    info: ClassVar[SolverInfo] = SolverInfo(
        name="hybrid_control",
        version="1",
        summary="hybrid with a plain operator in the language model's place, or its engine alone: arms of optisolve ablate.",
        citation="controls of ours",
    )
    operator: Literal["gaussian", "uniform", "none"] = "gaussian"
    max_points: Annotated[int, Ge(0)] | None = None

    def _solve(self, task: Task) -> Outcome:
        return run(task, self, _Operator(task, self))


class _Operator:
    """Makes points by one of `OPERATORS`."""

    def __init__(self, task: Task, options: HybridControl) -> None:
        self._task, self._options = task, options
        self._rng = task.rng(purpose="control")
        self._made = 0

    def make(self, states: Sequence[State]) -> list[Made]:
        """A point per state, as long as there are any left to make."""
        return [self._one(state) for state in states]

    def report(self) -> JsonObject:
        """Nothing beyond the points, which the run counts."""
        return {}

    def _one(self, state: State) -> Made:
        most = self._options.max_points
        if self._options.operator == "none" or (most is not None and self._made >= most):
            return Made(None, "")
        self._made += 1
        space, instance = self._task.instance.space, self._task.instance
        known = {row.tobytes() for row in np.round(state.points.X, _DIGITS) + 0.0}  # -0.0 is 0.0
        for _ in range(_TRIES):
            X = space.clip(space.denormalize(self._drawn(state)))
            X = instance.project(X) if self._options.repair else X
            if (np.round(space.normalize(X), _DIGITS) + 0.0).tobytes() not in known:
                return Made(X[0], CONTROL)
        return Made(None, "")

    def _drawn(self, state: State) -> FloatArray:
        """A point of the unit box, float64 [1, d]."""
        if self._options.operator == "uniform":
            return self._task.instance.space.normalize(self._task.instance.space.sample(self._rng, 1))
        return np.clip(state.mean + state.spread * self._rng.standard_normal((1, state.mean.size)), 0.0, 1.0)
