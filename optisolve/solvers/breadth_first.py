"""Breadth-first search: the shortest walk through a grid, or the proof that there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from optisolve.core.capabilities import GridWalk
from optisolve.core.solver import Feature, Outcome, Solver, SolverInfo, Task
from optisolve.core.status import Termination
from optisolve.modelling.answer import ModelAnswer
from optisolve.numerics.grid_world import GridWorld, shortest_walk
from optisolve.solvers.model_outcome import evaluated_outcome

__all__ = ["BreadthFirst"]


@dataclass(frozen=True, slots=True)
class BreadthFirst(Solver):
    """Search states of a cell and the prizes collected, nearest first. One evaluation."""

    info: ClassVar[SolverInfo] = SolverInfo(
        name="breadth_first",
        version="1",
        summary="Exact shortest safe walk past all prizes, or the proof that there is none.",
        supports=frozenset({Feature.SINGLE_OBJECTIVE, Feature.INTEGER, Feature.INEQUALITY}),
        requires=(GridWalk,),
        citation="Lee 1961, doi 10.1109/TEC.1961.5219222",
    )

    def _solve(self, task: Task) -> Outcome:
        grid = task.instance
        assert isinstance(grid, GridWalk)
        return evaluated_outcome(task, _walked(grid.world, task.instance.space.dim), tolerance=0.0)


def _walked(world: GridWorld, horizon: int) -> ModelAnswer:
    """The walk as moves; what is left of the horizon stays on the goal."""
    walk = shortest_walk(world)
    if walk is None:
        return ModelAnswer(Termination.INFEASIBLE, None, None, detail="no walk without a trap reaches all prizes and the goal")
    if walk.moves.size > horizon:
        told = f"the shortest safe walk has {walk.moves.size} moves, the horizon is {horizon}"
        return ModelAnswer(Termination.INFEASIBLE, None, None, detail=told)
    x = np.zeros(horizon)
    x[: walk.moves.size] = walk.moves
    return ModelAnswer(Termination.OPTIMAL, x, float(walk.moves.size), report={"states": walk.expanded})
