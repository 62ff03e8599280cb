"""Reference of `power_game`: the closed form, confirmed by elimination, with a bound from provably least powers."""

from __future__ import annotations

import numpy as np

from optisolve.core.problem import FEASIBILITY_TOLERANCE
from optisolve.core.reference import Reference
from optisolve.modelling.answer import certify, proven_infeasible
from optisolve.numerics.interference import least_total_power
from optisolve.problems.power_game.instance import PowerGameInstance
from optisolve.problems.power_game.model import least_bandwidth, least_powers_closed_form

__all__ = ["reference"]

_VERSION = "2"
_RELATIVE = 1e-7


def reference(instance: PowerGameInstance) -> Reference:
    """Least total power, or the proof that no feasible powers exist.

    Three things can be in the way: the load (no powers at all meet the thresholds), a cap, and the intent. As the least
    powers are least in every component, each is proven by them; with thresholds and intent missed by the feasibility
    tolerance they say what a verified point may save beyond the bound.
    """
    cell = instance.cell
    exact, load = least_powers_closed_form(cell)
    least = least_total_power(instance.gain, instance.noise_w, instance.sinr_floor, instance.p_max_w)
    bound, verified = least.bound_w, least.verified_bound_w
    before = float(cell.initial_power_w.sum())
    target, proof = before - cell.power_saving_w, least.reason.replace("link ", "agent ")
    if proof and load >= 1.0:
        proof = f"total load {load:.6g} >= 1; needs more than {least_bandwidth(cell.rate_threshold_bit_s) / 1e3:.6g} kHz"
    elif not proof and cell.power_saving_w > 0.0 and verified > target + FEASIBILITY_TOLERANCE * before:
        proof = f"the thresholds need {verified:.6g} W, the intent allows {target:.6g} W"
    if proof:
        return proven_infeasible(proof, solver="closed_form", solver_version=_VERSION)
    points = least.points_w
    if exact is not None:
        points = np.vstack([np.minimum(exact, instance.p_max_w), points])
    fits = instance.evaluate_twin(points).max_violation <= FEASIBILITY_TOLERANCE
    return certify(
        instance,
        points[int(np.argmax(fits))],
        dual_bound=bound,
        tolerance=_RELATIVE * bound,
        slack=bound - verified,
        solver="closed_form",
        solver_version=_VERSION,
        detail=f"closed form, total load {load:.6g}; bound from powers that provably are componentwise least",
    )
