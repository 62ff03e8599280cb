"""Interval branch and bound: the best price for selfish links, with a certified gap."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Gt

from optisolve.core.arrays import FloatArray
from optisolve.core.capabilities import PricedLinks
from optisolve.core.solver import Feature, Outcome, Solver, SolverInfo, Task
from optisolve.core.status import Limit, Termination
from optisolve.numerics.priced_links import ROUNDING, good_price, neighbors, upper_bound

__all__ = ["IntervalBranchAndBound"]

_LEFT = 18
"""Evaluations that are kept for the end: a value between two looks at the budget, and the numbers beside the best one."""


@dataclass(frozen=True, slots=True)
class IntervalBranchAndBound(Solver):
    """A grid finds a good price; halving of intervals, each bounded by an enclosure of the game, proves it or finds a better.

    Every price that is played is an evaluation; enclosures are none.

    Args:
        grid: Prices of each of three grids, of which the later two surround the best so far; fewer where the budget is small.
        gap: Relative gap asked for.
        max_intervals: Intervals bounded at most.
    """

    info: ClassVar[SolverInfo] = SolverInfo(
        name="interval_branch_and_bound",
        version="1",
        summary="Branch and bound over one price, intervals bounded by enclosures of the links' game.",
        supports=frozenset({Feature.SINGLE_OBJECTIVE, Feature.REAL}),
        requires=(PricedLinks,),
        citation="Saraydar, Mandayam and Goodman 2002, doi 10.1109/26.983324 (the game); Moore 1966, Interval Analysis",
    )
    grid: Annotated[int, Ge(3)] = 101
    gap: Annotated[float, Gt(0)] = 1e-6
    max_intervals: Annotated[int, Ge(1)] = 20_000

    def _solve(self, task: Task) -> Outcome:
        instance, meter = task.instance, task.meter
        assert isinstance(instance, PricedLinks)
        low, high = float(task.instance.space.lower[0]), float(task.instance.space.upper[0])

        def values_at(decisions: FloatArray) -> FloatArray:
            return task.evaluate(decisions[:, None]).F[:, 0]

        n = min(self.grid, (meter.remaining_evaluations - _LEFT) // 6)
        proof = upper_bound(
            instance.uplink,
            low,
            high,
            lambda x: float(values_at(np.array([x]))[0]),
            good_price(values_at, low, high, n) if n >= 3 else low,
            rtol=self.gap,
            most_cells=self.max_intervals,
            stop=lambda: meter.out_of_time or meter.remaining_evaluations < _LEFT,
        )
        value = proof.value
        if not meter.out_of_time and meter.remaining_evaluations >= 17:
            value = max(value, float(values_at(np.clip(neighbors(proof.x), low, high)).max()))
        proven = proof.bound <= value * (1.0 + self.gap) * (1.0 + 2.0 * ROUNDING)
        limit = Limit.TIME if meter.out_of_time else Limit.EVALUATIONS
        limit = Limit.NODES if proof.n_cells >= self.max_intervals else limit
        found = task.outcome(
            Termination.OPTIMAL if proven else Termination.LIMIT,
            None if proven else limit,
            detail=f"value {value:.9g}, bound {proof.bound:.9g}",
            report={"intervals": proof.n_cells},
        )
        return replace(found, dual_bound=proof.bound if np.isfinite(proof.bound) else None)
