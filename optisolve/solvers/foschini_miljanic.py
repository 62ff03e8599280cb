"""Foschini-Miljanic: every link corrects its own power by its own SINR, round after round."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Gt

from optisolve.core.capabilities import InterferenceChannel, StartingPowers
from optisolve.core.problem import Instance
from optisolve.core.solver import Feature, Outcome, Solver, SolverInfo, Task
from optisolve.core.status import Limit, Termination
from optisolve.numerics.interference import foschini_miljanic, least_powers, sinr
from optisolve.solvers.interference import channel_of, interference_gap

__all__ = ["FoschiniMiljanic"]


@dataclass(frozen=True, slots=True)
class FoschiniMiljanic(Solver):
    """Distributed least-power control; one round costs one evaluation and no message.

    It starts from a warm start, from the instance's ``initial_power_w`` where it has one, or from full power. From powers
    that meet all floors every round meets them too.

    Args:
        max_rounds: Rounds at most.
        rtol: Relative change of every power below which the iteration has settled.
    """

    info: ClassVar = SolverInfo(
        name="foschini_miljanic",
        version="2",
        summary="Distributed iteration to the least powers that meet all SINR floors.",
        supports=frozenset({Feature.SINGLE_OBJECTIVE, Feature.REAL, Feature.INEQUALITY}),
        requires=(InterferenceChannel,),
        welcomes=(StartingPowers,),
        citation="Foschini and Miljanic, IEEE Trans. Veh. Technol. 1993; caps: Yates, IEEE J. Sel. Areas Commun. 1995",
    )
    max_rounds: Annotated[int, Ge(1)] = 2000
    rtol: Annotated[float, Gt(0)] = 1e-12

    def skip(self, instance: Instance) -> str | None:
        """Needs the goal of least power on an interference channel."""
        return Solver.skip(self, instance) or interference_gap(instance, ("min_power",))

    def takes_start(self, instance: Instance) -> bool:
        """The iteration begins at the powers that are given."""
        return True

    def _solve(self, task: Task) -> Outcome:
        channel, instance = channel_of(task.instance), task.instance
        start = instance.initial_power_w if isinstance(instance, StartingPowers) else channel.p_max_w
        start = start if task.warm_start is None else np.atleast_2d(task.warm_start)[0]
        arrays = (channel.gain, channel.noise_w, channel.sinr_floor)
        rounds = min(self.max_rounds, max(1, task.meter.remaining_evaluations) - 1)
        trace = foschini_miljanic(np.minimum(start, channel.p_max_w), *arrays, channel.p_max_w, rounds)  # [T + 1, K]
        moved = np.abs(np.diff(trace, axis=0)) > self.rtol * trace[1:]
        settled = np.flatnonzero(~moved.any(axis=1))
        trace = trace[: int(settled[0]) + 2] if settled.size else trace
        task.evaluate(task.instance.space.clip(trace), source="round")
        report = {"rounds": trace.shape[0] - 1}
        if not settled.size:
            limit = Limit.ITERATIONS if rounds == self.max_rounds else Limit.EVALUATIONS
            return task.outcome(Termination.LIMIT, limit, report=report)
        reached = sinr(trace[-1:], channel.gain, channel.noise_w)[0]
        missed = np.flatnonzero(reached < channel.sinr_floor * (1.0 - 1e-6))
        if missed.size:
            # With caps the fixed point is unique and any feasible powers would bound it from below (Yates 1995); near the
            # edge that is no proof in floating point, so the least powers have to confirm it.
            proof = least_powers(*arrays, channel.p_max_w).reason
            detail = (
                f"settled with links {', '.join(map(str, missed))} below their floors; {proof or 'no proof that they must be'}"
            )
            return task.outcome(Termination.INFEASIBLE if proof else Termination.CONVERGED, detail=detail, report=report)
        return task.outcome(Termination.CONVERGED, report=report)
