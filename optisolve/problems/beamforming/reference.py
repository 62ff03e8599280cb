"""References of `beamforming`: duality with its own bounds, checked by the SOCP; WMMSE with the capacity bound."""

from __future__ import annotations

import math

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.errors import SolverError
from optisolve.core.reference import Effort, Reference
from optisolve.core.seeds import generator
from optisolve.modelling import certify, proven_infeasible
from optisolve.problems.beamforming import duality, model, sum_rate
from optisolve.problems.beamforming.instance import BeamformingInstance
from optisolve.problems.beamforming.model import Constants

__all__ = ["REL_TOLERANCE", "reference"]

REL_TOLERANCE = 1e-7
"""Relative distance of value and bound up to which a proof is claimed."""

STARTS = {Effort.QUICK: 8, Effort.NORMAL: 40, Effort.THOROUGH: 200}
"""WMMSE starts by effort."""


def reference(instance: BeamformingInstance, effort: Effort, *, max_rounds: int = 20_000) -> Reference:
    """Best point and bound of any goal.

    Args:
        instance: The instance.
        effort: Starts of WMMSE; with THOROUGH the SOCP must agree with the duality.
        max_rounds: Rounds of the fixed points at most.

    Returns:
        PROVEN_OPTIMAL or, where the rounds were too few or for the sum rate, DUAL_BOUND; NONE with "infeasible: ..." when the
        dual bound exceeds the power cap.

    Raises:
        SolverError: The SOCP and the duality disagree (THOROUGH).
    """
    c = instance.constants
    if c.goal == "weighted_sum_rate":
        return _sum_rate(instance, STARTS[effort])
    found = _least_power(instance, max_rounds) if c.goal == "min_power" else _balanced(instance, max_rounds)
    if effort is Effort.THOROUGH:
        _cross_check(instance, found)
    return found


def _least_power(instance: BeamformingInstance, max_rounds: int) -> Reference:
    c = instance.constants
    powers, bound, rounds = duality.least_power(c, max_rounds=max_rounds)
    if bound > c.p_total_w:
        return proven_infeasible(
            f"the SINR targets need more than {bound:.6g} W by uplink duality, the cap is {c.p_total_w:g} W",
            solver="uplink_duality",
        )
    x: FloatArray | None = None
    W = duality.Uplink(c).precoders(powers)
    power = model.power_control(c, W, c.sinr_target)
    if power is not None and power.sum() <= c.p_total_w:
        scale = np.sqrt(power * (1.0 + 1e-14)) / np.linalg.norm(W, axis=1)
        x = instance.space.clip(model.to_points((W * scale[:, None])[None]))[0]
    return certify(
        instance,
        x,
        dual_bound=bound,
        tolerance=REL_TOLERANCE * max(bound, 1e-12),
        slack=0.0,
        solver="uplink_duality",
        detail=f"fixed point of the dual uplink, {rounds} rounds; its powers are the dual bound",
    )


def _balanced(instance: BeamformingInstance, max_rounds: int) -> Reference:
    c = instance.constants
    powers, bound, rounds = duality.balance(c, max_rounds=max_rounds)
    W = duality.Uplink(c).precoders(powers)
    level = float((powers / duality.Uplink(c).step(powers)).min()) * (1.0 - 1e-12)
    power = model.power_control(c, W, level * c.sinr_target)
    if power is None:
        power = np.full(c.sinr_target.size, c.p_total_w / c.sinr_target.size)
    scale = np.sqrt(power * (c.p_total_w / power.sum()) * (1.0 - 1e-14)) / np.linalg.norm(W, axis=1)
    return certify(
        instance,
        instance.space.clip(model.to_points((W * scale[:, None])[None]))[0],
        dual_bound=bound,
        tolerance=REL_TOLERANCE * bound,
        slack=0.0,
        solver="uplink_duality",
        detail=f"normalized fixed point of the dual uplink, {rounds} rounds; bound by its largest ratio",
    )


def _sum_rate(instance: BeamformingInstance, n_starts: int) -> Reference:
    c = instance.constants
    W, rate = sum_rate.wmmse(c, _starts(c, n_starts))
    best = int(np.argmax(rate))
    x = model.to_points(W[best : best + 1] * (1.0 - 1e-14))
    return certify(
        instance,
        instance.space.clip(x)[0],
        dual_bound=sum_rate.capacity_bound(c),
        tolerance=REL_TOLERANCE * float(rate[best]),
        slack=0.0,
        solver="wmmse",
        detail=f"best of {n_starts} WMMSE starts; bound: weighted capacity of the broadcast channel (dirty-paper coding)",
    )


def _starts(c: Constants, n_starts: int) -> model.ComplexArray:
    """Regularized zero forcing, matched filter, and random combinations, complex128 [s, K, K]."""
    K = c.weight.size
    gram = c.h.conj() @ c.h.T
    rng = generator(0, problem="beamforming", purpose="wmmse_starts")
    noise = rng.standard_normal((n_starts, K, K, 2))
    starts = noise[..., 0] + 1j * noise[..., 1]
    starts[0] = np.linalg.inv(gram + K * c.noise_w / c.p_total_w * np.eye(K))
    if n_starts > 1:
        starts[1] = np.eye(K)
    # Random subsets of users, since switching users off is a stationary point that full starts miss
    active = rng.random((n_starts, K)) < rng.uniform(0.3, 1.0, (n_starts, 1))
    active[:2] = True
    active[~active.any(axis=1)] = True
    starts *= np.where(active, 1.0, 1e-3)[:, None, :]
    return starts


def _cross_check(instance: BeamformingInstance, found: Reference) -> None:
    """Solve the same by CVXPY and compare."""
    from optisolve.problems.beamforming.convex import BeamformingModel

    answer = BeamformingModel(instance.constants).solve()
    if found.value is None or answer.x is None:
        agree = found.value is None and answer.x is None
        difference = math.nan
    else:
        other = float(instance.evaluate_twin(instance.space.clip(answer.x[None])).F[0, 0])
        difference = abs(other - found.value) / abs(found.value)
        agree = difference <= 1e-5
    if not agree:
        raise SolverError(
            f"{instance.origin.scenario} seed {instance.origin.seed}: duality and SOCP differ by {difference:.1e} relative; "
            f"{answer.detail}"
        )
