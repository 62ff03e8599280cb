"""Matrix inversion: the least powers that meet all SINR floors, from one system of linear equations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from optisolve.core.capabilities import InterferenceChannel, PowerSaving, StartingPowers
from optisolve.core.problem import FEASIBILITY_TOLERANCE, Instance
from optisolve.core.solver import Feature, Outcome, Solver, SolverInfo, Task
from optisolve.core.status import Termination
from optisolve.modelling.answer import ModelAnswer
from optisolve.numerics.interference import LeastTotal, least_total_power, sinr
from optisolve.solvers.interference import channel_of, interference_gap
from optisolve.solvers.model_outcome import evaluated_outcome

__all__ = ["MatrixInversion"]


@dataclass(frozen=True, slots=True)
class MatrixInversion(Solver):
    """Solve ``p = M p + v``: what `foschini_miljanic` iterates to, with a dual bound or the proof that nothing will do.

    One evaluation. No powers that meet the floors are smaller in any component, and that is checked beyond rounding.
    """

    info: ClassVar[SolverInfo] = SolverInfo(
        name="matrix_inversion",
        version="1",
        summary="Exact least powers that meet all SINR floors, or the proof that there are none.",
        supports=frozenset({Feature.SINGLE_OBJECTIVE, Feature.REAL, Feature.INEQUALITY}),
        requires=(InterferenceChannel,),
        welcomes=(StartingPowers, PowerSaving),
        citation="Foschini and Miljanic 1993, doi 10.1109/25.260747; Yates 1995, doi 10.1109/49.414651",
    )

    def skip(self, instance: Instance) -> str | None:
        """Needs the goal of least power on an interference channel."""
        return Solver.skip(self, instance) or interference_gap(instance, ("min_power",))

    def _solve(self, task: Task) -> Outcome:
        channel = channel_of(task.instance)
        least = least_total_power(channel.gain, channel.noise_w, channel.sinr_floor, channel.p_max_w)
        reason = least.reason or _too_little_saved(task.instance, least)
        if reason:
            return evaluated_outcome(task, ModelAnswer(Termination.INFEASIBLE, None, None, detail=reason), tolerance=0.0)
        reached = np.log1p(sinr(least.points_w, channel.gain, channel.noise_w))
        fits = (reached >= (1.0 - FEASIBILITY_TOLERANCE) * np.log1p(channel.sinr_floor)).all(axis=1)
        x = least.points_w[int(np.argmax(fits))]
        return evaluated_outcome(task, ModelAnswer(Termination.OPTIMAL, x, least.bound_w), tolerance=0.0)


def _too_little_saved(instance: Instance, least: LeastTotal) -> str:
    """The proof that an intended fall of the total power is out of reach; "" when there is none."""
    if not isinstance(instance, PowerSaving) or not isinstance(instance, StartingPowers) or instance.power_saving_w <= 0.0:
        return ""
    before = float(instance.initial_power_w.sum())
    target = before - instance.power_saving_w
    if least.verified_bound_w <= target + FEASIBILITY_TOLERANCE * before:
        return ""
    return f"the floors need {least.verified_bound_w:.6g} W, the intent allows {target:.6g} W"
