"""Mixed-monotonic branch and bound: a sum rate or an energy efficiency with a certified gap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Gt

from optisolve.core.arrays import FloatArray
from optisolve.core.capabilities import EnergyChannel, WeightedChannel
from optisolve.core.problem import Instance
from optisolve.core.solver import Feature, Outcome, Solver, SolverInfo, Task
from optisolve.core.status import Limit, Termination
from optisolve.numerics.mixed_monotonic import CertifiedSearch, RateProgram, maximize_rate
from optisolve.numerics.wmmse import normalized_gain, wmmse
from optisolve.solvers.interference import channel_of, interference_gap

__all__ = ["BranchAndBound"]


@dataclass(frozen=True, slots=True)
class BranchAndBound(Solver):
    """Best-first search over boxes of powers; stops with a bound at any limit.

    Boxes are no evaluations: only the start and the answer are evaluated. For about ten links the gap closes; beyond that the
    bound stays loose.

    Args:
        gap: Relative gap asked for.
        max_nodes: Boxes at most; the deterministic limit.
        rounds: Tangent planes of the concave bound; 0 leaves it out.
        n_random_starts: WMMSE starts for the first incumbent, besides full power.
    """

    info: ClassVar = SolverInfo(
        name="branch_and_bound",
        version="2",
        summary="Certified power control by mixed-monotonic branch and bound.",
        supports=frozenset({Feature.SINGLE_OBJECTIVE, Feature.REAL, Feature.INEQUALITY}),
        requires=(WeightedChannel,),
        welcomes=(EnergyChannel,),
        citation="Matthiesen, Hellings, Jorswieck and Utschick, arXiv 1910.07853; pruning by monotonicity and chords is ours",
    )
    gap: Annotated[float, Gt(0)] = 1e-4
    max_nodes: Annotated[int, Ge(1)] = 200_000
    rounds: Annotated[int, Ge(0)] = 2
    n_random_starts: Annotated[int, Ge(0)] = 32

    def skip(self, instance: Instance) -> str | None:
        """Needs a rate or an energy efficiency on an interference channel; minimum rates are welcome."""
        goals = ("sum_rate", "weighted_sum_rate", "energy_efficiency")
        return Solver.skip(self, instance) or interference_gap(instance, goals)

    def takes_start(self, instance: Instance) -> bool:
        """Powers that are given are the first incumbent."""
        return True

    def _solve(self, task: Task) -> Outcome:
        channel = channel_of(task.instance)
        assert isinstance(channel, WeightedChannel)
        start = self._start(task, channel)
        if task.meter.remaining_evaluations > 1:  # the last evaluation is kept for the answer
            task.evaluate(start, source="wmmse_start")
        consumer = channel if isinstance(channel, EnergyChannel) and channel.goal == "energy_efficiency" else None
        program = RateProgram(
            gain=channel.gain,
            noise_w=channel.noise_w,
            p_max_w=channel.p_max_w,
            weight=channel.weight,
            sinr_floor=channel.sinr_floor,
            circuit_power_w=1.0 if consumer is None else consumer.circuit_power_w,
            slope=0.0 if consumer is None else consumer.power_slope,
        )
        search = maximize_rate(
            program,
            start_w=start[0],
            gap=self.gap,
            max_nodes=self.max_nodes,
            rounds=self.rounds,
            out_of_time=lambda: task.meter.out_of_time,
        )
        return self._outcome(task, search)

    def _outcome(self, task: Task, search: CertifiedSearch) -> Outcome:
        report = {"boxes": search.nodes}
        if search.powers_w is None:
            nothing = np.empty((0, task.instance.space.dim))
            if search.closed:
                return Outcome(nothing, Termination.INFEASIBLE, detail="no powers meet the minimum rates", report=report)
            limit = Limit.TIME if task.meter.out_of_time else Limit.NODES
            return Outcome(nothing, Termination.LIMIT, limit, dual_bound=search.dual_bound, report=report)
        X = task.instance.project(search.powers_w)
        if task.meter.out_of_time:  # the meter takes no more evaluations, verification does not need one
            return Outcome(X, Termination.LIMIT, Limit.TIME, dual_bound=search.dual_bound, report=report)
        task.evaluate(X, source="branch_and_bound")
        detail = f"value {search.value:.6g}, bound {search.dual_bound:.6g}"
        if search.closed:
            return Outcome(X, Termination.OPTIMAL, None, detail, search.dual_bound, report)
        return Outcome(X, Termination.LIMIT, Limit.NODES, detail, search.dual_bound, report)

    def _start(self, task: Task, channel: WeightedChannel) -> FloatArray:
        """The best of WMMSE's answers and the warm start, repaired, float64 [1, K], W; judged without evaluations."""
        n_links = channel.p_max_w.size
        random = task.rng(purpose="starts").random((self.n_random_starts, n_links))
        scaled = normalized_gain(channel.gain, channel.noise_w, channel.p_max_w)
        starts = np.vstack([np.ones(n_links), random])[None]
        powers = wmmse(scaled[None], channel.weight[None], starts)[0][0] * channel.p_max_w
        points = task.instance.project(np.vstack([powers, task.start]))
        received = points @ (channel.gain - np.diag(np.diag(channel.gain))).T + channel.noise_w  # [S, K]
        ratio = points * np.diag(channel.gain) / received
        value = np.log1p(ratio) @ channel.weight
        if isinstance(channel, EnergyChannel) and channel.goal == "energy_efficiency":
            value = value / (channel.circuit_power_w + channel.power_slope * points.sum(axis=1))
        feasible = (ratio >= channel.sinr_floor * (1.0 - 1e-10)).all(axis=1)
        return points[[int(np.argmax(np.where(feasible, value, -1.0)))]]
