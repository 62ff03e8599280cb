"""Projected random search: the weakest control worth printing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge

from optisolve.core.solver import Outcome, Solver, SolverInfo, Task, require_stopping_rule, spent_limit
from optisolve.core.status import Termination

__all__ = ["RandomSearch"]


@dataclass(frozen=True, slots=True)
class RandomSearch(Solver):
    """Draw points uniformly from the space, repair them, keep the best.

    Args:
        batch_size: Points per evaluation call; results do not depend on it.
        repair: Project points with `Instance.project`, the same repair that the other solvers use.
    """

    info: ClassVar[SolverInfo] = SolverInfo(
        name="random_search",
        version="1",
        summary="Uniform samples with the same repair as the other solvers: the weakest control.",
        steady=True,
        portable=True,
    )
    batch_size: Annotated[int, Ge(1)] = 256
    repair: bool = True

    def _solve(self, task: Task) -> Outcome:
        require_stopping_rule(task)
        space, rng = task.instance.space, task.rng(purpose="samples")
        if task.flight is not None:
            while task.flight.room or task.flight.airborne:
                while task.flight.room:
                    x = space.sample(rng, 1)
                    task.flight.send(task.instance.project(x) if self.repair else x, source="random")
                task.flight.land()
        while (left := task.meter.remaining_evaluations) > 0:
            X = space.sample(rng, min(self.batch_size, left))  # [n, d]
            task.evaluate(task.instance.project(X) if self.repair else X, source="random")
        return task.outcome(Termination.LIMIT, spent_limit(task))
