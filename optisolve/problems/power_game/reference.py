"""Reference of `power_game`: the closed form, confirmed by elimination, with a bound from multipliers."""

from __future__ import annotations

import numpy as np

from optisolve.core.reference import Reference
from optisolve.modelling.answer import certify, proven_infeasible
from optisolve.numerics.interference import coupling, least_powers
from optisolve.problems.power_game.instance import PowerGameInstance
from optisolve.problems.power_game.model import least_bandwidth, least_powers_closed_form

__all__ = ["reference"]

_RELATIVE = 1e-9


def reference(instance: PowerGameInstance) -> Reference:
    """Least total power, or the proof that no feasible powers exist.

    Three things can be in the way: the load (no powers at all meet the thresholds), a cap, and the intent. As the least
    powers are least in every component, each is proven by them.
    """
    cell = instance.cell
    exact, load = least_powers_closed_form(cell)
    proof = least_powers(instance.gain, instance.noise_w, instance.sinr_floor, instance.p_max_w).reason
    if exact is None:
        needed = least_bandwidth(cell.rate_threshold_bit_s)
        proof = f"total load {load:.6g} >= 1; needs more than {needed / 1e3:.6g} kHz"
    elif not proof and cell.power_saving_w > 0.0:
        target = float(cell.initial_power_w.sum()) - cell.power_saving_w
        if float(exact.sum()) > target * (1.0 + 1e-12):
            proof = f"the thresholds need {exact.sum():.6g} W, the intent allows {target:.6g} W"
    if proof or exact is None:
        return proven_infeasible(proof, solver="closed_form")
    return certify(
        instance,
        np.minimum(exact, instance.p_max_w),
        dual_bound=_dual_bound(instance),
        tolerance=_RELATIVE * float(exact.sum()),
        slack=0.0,
        solver="closed_form",
        detail=f"closed form, total load {load:.6g}; bound from the multipliers of p = I(p)",
    )


def _dual_bound(instance: PowerGameInstance) -> float:
    """``max m'v  s.t.  (I - M)' m = 1, m >= 0``: a lower bound on the total power for every such m, W."""
    matrix, constant = coupling(instance.gain, instance.noise_w, instance.sinr_floor)
    multipliers = np.maximum(np.linalg.solve((np.eye(constant.size) - matrix).T, np.ones(constant.size)), 0.0)
    slack = np.ones(constant.size) - (multipliers - matrix.T @ multipliers)  # 0 up to rounding
    return float(multipliers @ constant + np.minimum(slack, 0.0) @ instance.p_max_w)
