"""References of `parallel_channels`: water-filling by sorting, its Lagrangian dual as bound, CVXPY as second opinion."""

from __future__ import annotations

import numpy as np

from optisolve.core.clock import so_far
from optisolve.core.problem import FEASIBILITY_TOLERANCE
from optisolve.core.reference import Effort, Reference
from optisolve.core.status import Termination
from optisolve.modelling.answer import certify
from optisolve.numerics.water_filling import dual_value, water_fill
from optisolve.problems.parallel_channels.convex import WaterFillingModel
from optisolve.problems.parallel_channels.instance import ParallelChannelsInstance

__all__ = ["reference"]

_RELATIVE = 1e-9
_AGREES = 1e-6


def reference(instance: ParallelChannelsInstance, effort: Effort) -> Reference:
    """The exact optimum; proven when the dual value meets it.

    Args:
        instance: Any instance; every one is feasible, since zero power is.
        effort: Beyond QUICK also CVXPY is asked and the detail says whether it agrees.
    """
    snr_per_w = instance.gain / instance.noise_w
    powers, level = water_fill(snr_per_w, instance.weight, instance.p_total_w)
    bound = dual_value(snr_per_w, instance.weight, instance.p_total_w, level)
    detail = f"water-filling by sorting, {int((powers > 0.0).sum())} of {powers.size} channels on"

    def certified(detail: str) -> Reference:
        return certify(
            instance,
            instance.project(powers)[0],
            dual_bound=bound,
            tolerance=_RELATIVE * bound,
            slack=FEASIBILITY_TOLERANCE * instance.p_total_w / (level * np.log(2.0)),  # more than the budget, by weak duality
            solver="water_filling",
            detail=detail,
        )

    if effort is not Effort.QUICK:
        so_far(certified(detail))
        answer = WaterFillingModel(snr_per_w, instance.weight, instance.p_total_w).solve()
        value = float(instance.evaluate_twin(answer.x).F[0, 0]) if answer.x is not None else float("nan")
        agrees = answer.termination is Termination.OPTIMAL and abs(value - bound) <= _AGREES * bound
        detail += f"; CVXPY {'agrees' if agrees else f'says {answer.termination.value}, {value}'}"
    return certified(detail)
