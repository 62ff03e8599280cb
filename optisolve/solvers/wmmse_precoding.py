"""WMMSE precoders: the usual yardstick for the weighted sum rate of a downlink with one array, with the capacity bound."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Gt

from optisolve.core.capabilities import MultiuserDownlink
from optisolve.core.problem import Instance
from optisolve.core.solver import Feature, Outcome, Solver, SolverInfo, Task
from optisolve.core.status import Limit, Termination
from optisolve.numerics.precoding import Downlink, capacity_bound, starts, wmmse

__all__ = ["WmmsePrecoding"]


@dataclass(frozen=True, slots=True)
class WmmsePrecoding(Solver):
    """Block coordinate ascent on receivers, weights and precoders; every start ends at a stationary point.

    One start costs one evaluation; a small budget runs fewer starts. The bound is the capacity of the broadcast channel.

    Args:
        n_starts: Regularized zero forcing, matched filter, then random combinations of some users.
        max_rounds: Rounds at most.
        tolerance: Relative growth of every start's sum rate at which the rounds stop.
    """

    info: ClassVar[SolverInfo] = SolverInfo(
        name="wmmse_precoding",
        version="1",
        summary="WMMSE precoders, multi-start, with the capacity of the broadcast channel as bound.",
        supports=frozenset({Feature.SINGLE_OBJECTIVE, Feature.REAL, Feature.INEQUALITY}),
        requires=(MultiuserDownlink,),
        citation="Shi, Razaviyayn, Luo and He 2011; bound: Vishwanath, Jindal and Goldsmith 2003",
    )
    n_starts: Annotated[int, Ge(1)] = 8
    max_rounds: Annotated[int, Ge(1)] = 2000
    tolerance: Annotated[float, Gt(0)] = 1e-9

    def skip(self, instance: Instance) -> str | None:
        """Needs the goal of the weighted sum rate."""
        reason = Solver.skip(self, instance)
        if reason is None and isinstance(instance, MultiuserDownlink) and instance.goal != "weighted_sum_rate":
            return f"needs an instance with the goal weighted_sum_rate, this one has {instance.goal}"
        return reason

    def _solve(self, task: Task) -> Outcome:
        downlink = task.instance
        assert isinstance(downlink, MultiuserDownlink)
        c = Downlink(downlink.channel, downlink.weight, downlink.noise_w, downlink.p_total_w)
        first = starts(c, self.n_starts, task.rng(purpose="starts"))[: max(1, task.meter.remaining_evaluations)]
        W, _ = wmmse(c, first, max_rounds=self.max_rounds, tolerance=self.tolerance)
        task.evaluate(np.stack([downlink.precoded(w * (1.0 - 1e-14)) for w in W]), source="wmmse_start")
        fewer = len(first) < self.n_starts
        ending = (Termination.LIMIT, Limit.EVALUATIONS) if fewer else (Termination.CONVERGED, None)
        return replace(task.outcome(*ending, report={"starts": len(first)}), dual_bound=capacity_bound(c))
