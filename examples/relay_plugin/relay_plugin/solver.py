"""A pattern search: try a step along every axis, keep what helps, halve the step when nothing does."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Gt

from optisolve.core import Feature, Outcome, Solver, SolverInfo, Task, Termination


@dataclass(frozen=True, slots=True)
class CoordinateSearch(Solver):
    """Coordinate search from the middle of the box.

    Args:
        tolerance: Smallest step, as a share of each variable's range.
    """

    info: ClassVar[SolverInfo] = SolverInfo(
        name="coordinate_search",
        version="1",
        summary="coordinate search with step halving",
        supports=frozenset({Feature.SINGLE_OBJECTIVE, Feature.REAL}),
        citation="Kolda, Lewis and Torczon 2003, doi 10.1137/S003614450242889",
    )

    tolerance: Annotated[float, Gt(0)] = 1e-4

    def _solve(self, task: Task) -> Outcome:
        space, sign = task.instance.space, task.instance.signs[0]
        x, step = space.denormalize(np.full((1, space.dim), 0.5)), 0.25
        best = (task.evaluate(x).F * sign).item()
        while step > self.tolerance:
            moves = np.vstack([np.eye(space.dim), -np.eye(space.dim)]) * step * (space.upper - space.lower)
            trial = space.clip(x + moves)  # [2 d, d]
            values = (task.evaluate(trial).F * sign)[:, 0]
            if values.min() < best:
                best, x = float(values.min()), trial[[int(np.argmin(values))]]
            else:
                step /= 2
        return task.outcome(Termination.CONVERGED)
