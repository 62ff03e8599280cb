"""Big Square Small Square: where one transmitter hovers and how it splits its power, with a certified gap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge, Gt

from optisolve.core.capabilities import HoveringTransmitter
from optisolve.core.documents import JsonObject
from optisolve.core.solver import Feature, Outcome, Solver, SolverInfo, Task
from optisolve.core.status import Limit, Termination
from optisolve.modelling.answer import ModelAnswer
from optisolve.numerics.noma_position import FoundPosition
from optisolve.solvers.model_outcome import evaluated_outcome

__all__ = ["BigSquareSmallSquare"]


@dataclass(frozen=True, slots=True)
class BigSquareSmallSquare(Solver):
    """Branch and bound over squares of positions; everywhere the split of the power is exact. One evaluation.

    Args:
        gap: Relative gap asked for.
        max_squares: Squares bounded at most.
    """

    info: ClassVar[SolverInfo] = SolverInfo(
        name="big_square_small_square",
        version="1",
        summary="Branch and bound over the position of one transmitter, exact split of its power.",
        supports=frozenset({Feature.SINGLE_OBJECTIVE, Feature.REAL, Feature.INEQUALITY}),
        requires=(HoveringTransmitter,),
        citation="Hansen, Peeters, Richard and Thisse 1985, doi 10.1287/opre.33.6.1251 (Big Square Small Square)",
    )
    gap: Annotated[float, Gt(0)] = 1e-4
    max_squares: Annotated[int, Ge(256)] = 5_000_000

    def _solve(self, task: Task) -> Outcome:
        from optisolve.numerics.noma_position_kernels import best_position

        hover = task.instance
        assert isinstance(hover, HoveringTransmitter)
        found = best_position(hover, rel_gap=self.gap, max_cells=self.max_squares, out_of_time=lambda: task.meter.out_of_time)
        return evaluated_outcome(
            task, self._answer(found, hover, task.meter.out_of_time), tolerance=self.gap * max(found.value, 0.0)
        )

    def _answer(self, found: FoundPosition, hover: HoveringTransmitter, out_of_time: bool) -> ModelAnswer:
        report: JsonObject = {"squares": found.cells}
        if found.loose < 0.0:
            reason = "no position admits the minimum rates"
            return ModelAnswer(Termination.INFEASIBLE, None, None, detail=reason, report=report)
        x = None if found.place_m is None else hover.hovering(found.place_m)
        if found.bound < 0.0:
            told = "the minimum rates can be met, if at all, only within the feasibility tolerance"
            termination = Termination.NUMERICAL_ERROR if x is None else Termination.CONVERGED
            return ModelAnswer(termination, x, None, detail=told, report=report)
        told = f"value {found.value:.6g}, bound {found.bound:.6g}"
        if found.value >= 0.0 and found.bound <= found.value * (1.0 + self.gap):
            return ModelAnswer(Termination.OPTIMAL, x, found.bound, detail=told, report=report)
        limit = Limit.TIME if out_of_time else Limit.NODES
        return ModelAnswer(Termination.LIMIT, x, found.bound, limit, detail=told, report=report)
