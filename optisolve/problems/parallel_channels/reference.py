"""References of `parallel_channels`: water-filling by sorting, its Lagrangian dual as bound, CVXPY as second opinion."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.reference import Effort, Reference
from optisolve.core.status import Evidence
from optisolve.numerics.water_filling import dual_value, water_fill
from optisolve.problems.parallel_channels.instance import ParallelChannelsInstance

__all__ = ["reference", "water_filling_cvxpy"]

_RELATIVE = 1e-9


def reference(instance: ParallelChannelsInstance, effort: Effort) -> Reference:
    """The exact optimum; proven when the dual value meets it.

    Args:
        instance: Any instance; every one is feasible, since zero power is.
        effort: Beyond QUICK also CVXPY is asked and the detail says whether it agrees.
    """
    snr_per_w = instance.gain / instance.noise_w
    powers, level = water_fill(snr_per_w, instance.weight, instance.p_total_w)
    x = instance.project(powers)
    evaluation = instance.evaluate_twin(x)
    value, bound = float(evaluation.F[0, 0]), dual_value(snr_per_w, instance.weight, instance.p_total_w, level)
    tolerance = _RELATIVE * max(abs(bound), 1e-300)
    detail = f"water-filling by sorting, {int((powers > 0.0).sum())} of {powers.size} channels on"
    if effort is not Effort.QUICK:
        other = water_filling_cvxpy(snr_per_w * instance.p_total_w, instance.weight)
        agrees = other is not None and abs(other - value) <= 1e-6 * max(1.0, value)
        detail += f"; CVXPY {'agrees' if agrees else f'gives {other}'}"
    proven = bool(evaluation.violation[0] <= 0.0) and abs(value - bound) <= tolerance
    return Reference(
        Evidence.PROVEN_OPTIMAL if proven else Evidence.DUAL_BOUND,
        X=x,
        value=value,
        dual_bound=bound,
        tolerance=tolerance,
        solver="water_filling",
        solver_version="1",
        detail=detail,
    )


def water_filling_cvxpy(snr: FloatArray, weight: FloatArray, *, max_iterations: int | None = None) -> float | None:
    """The optimal value by an interior-point method, bit/s/Hz; None when the back end did not finish.

    Args:
        snr: float64 [M], signal to noise ratio with the whole budget on that channel.
        weight: float64 [M].
        max_iterations: Limit of the back end; None for its own.
    """
    import cvxpy as cp

    problem, parameters = _program(snr.size)
    parameters["snr"].value, parameters["weight"].value = snr, weight
    limits = {} if max_iterations is None else {"max_iter": max_iterations}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of inaccurate answers, which the status below tells as well
        try:
            problem.solve(solver=cp.CLARABEL, **limits)
        except cp.SolverError:
            return None
    return float(problem.value) / float(np.log(2.0)) if problem.status == cp.OPTIMAL else None


@cache
def _program(n_channels: int) -> tuple[Any, dict[str, Any]]:
    """Compiled once per number of channels; the parameters get new numbers."""
    import cvxpy as cp

    snr, weight = cp.Parameter(n_channels, nonneg=True), cp.Parameter(n_channels, nonneg=True)
    share = cp.Variable(n_channels, nonneg=True)
    rate, ratio = cp.Variable(n_channels), cp.multiply(snr, share)
    constraints = [cp.sum(share) <= 1.0, rate <= cp.log1p(ratio)]  # the product weight * log(snr * p) would not be DPP
    return cp.Problem(cp.Maximize(weight @ rate), constraints), {"snr": snr, "weight": weight}
