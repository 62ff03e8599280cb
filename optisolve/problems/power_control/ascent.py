"""Local ascent of a power-control objective under minimum rates, from a feasible point."""

from __future__ import annotations

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.problems.power_control.instance import PowerControlInstance
from optisolve.problems.power_control.model import Goal

__all__ = ["local_ascent"]


def local_ascent(instance: PowerControlInstance, start_w: FloatArray, *, max_iterations: int = 100) -> FloatArray:
    """Improve a point by SLSQP with analytic gradients; floors are linear in the powers.

    Args:
        instance: Goal sum rate, weighted sum rate or energy efficiency.
        start_w: float64 [K], feasible, W.
        max_iterations: SLSQP iterations.

    Returns:
        float64 [K], feasible, W; the start when nothing better was found.
    """
    from scipy.optimize import LinearConstraint, minimize

    scaled = instance.gain * instance.p_max_w / instance.noise_w[:, None]  # noise 1, powers in [0, 1]
    own = np.diag(scaled)
    cross = scaled - np.diag(own)
    efficiency = instance.goal is Goal.ENERGY_EFFICIENCY
    circuit, slope = (instance.circuit_power_w, instance.power_slope * instance.p_max_w) if efficiency else (1.0, 0.0)

    def loss(y: FloatArray) -> tuple[float, FloatArray]:
        heard = 1.0 + cross @ y
        received = heard + own * y
        consumed = circuit + float(np.sum(slope * y))
        rate = float(instance.weight @ np.log(received / heard))
        slope_of_rate = own * instance.weight / received + cross.T @ (instance.weight * (1.0 / received - 1.0 / heard))
        return -rate / consumed, -(slope_of_rate - rate / consumed * slope) / consumed

    floors = instance.sinr_floor
    rows = np.diag(own) - floors[:, None] * cross  # rows @ y >= floors
    asked = floors > 0.0
    found = minimize(
        loss,
        start_w / instance.p_max_w,
        jac=True,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * own.size,
        constraints=[LinearConstraint(rows[asked], floors[asked], np.inf)] if asked.any() else [],
        options={"maxiter": max_iterations, "ftol": 1e-12},
    )
    if not np.isfinite(found.x).all():
        return start_w
    candidates = np.vstack([start_w, instance.project(found.x * instance.p_max_w)[0]])
    evaluation = instance.evaluate(candidates)
    better = evaluation.violation[1] <= 0.0 and evaluation.F[1, 0] > evaluation.F[0, 0]
    return candidates[1] if better else start_w
