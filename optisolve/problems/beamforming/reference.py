"""References of `beamforming`: duality with its own bounds, checked by the SOCP; WMMSE with the capacity bound."""

from __future__ import annotations

import numpy as np

from optisolve.core.arrays import ComplexArray, FloatArray
from optisolve.core.clock import so_far, time_is_up, time_left
from optisolve.core.problem import FEASIBILITY_TOLERANCE
from optisolve.core.reference import Effort, Reference
from optisolve.core.seeds import generator
from optisolve.modelling import certify, proven_infeasible
from optisolve.numerics import precoding as sum_rate
from optisolve.numerics import uplink_duality as duality
from optisolve.numerics.uplink_duality import Uplink
from optisolve.problems.beamforming import model
from optisolve.problems.beamforming.instance import BeamformingInstance

__all__ = ["REL_TOLERANCE", "reference"]

REL_TOLERANCE = 1e-7
"""Relative distance of value and bound up to which a proof is claimed."""

STARTS = {Effort.QUICK: 8, Effort.NORMAL: 40, Effort.THOROUGH: 200}
"""WMMSE starts by effort."""
_AT_ONCE = 4
"""Starts that run together where there is a limit on time."""


def reference(instance: BeamformingInstance, effort: Effort, *, max_rounds: int = 20_000) -> Reference:
    """Best point and bound of any goal.

    Args:
        instance: The instance.
        effort: Starts of WMMSE; with THOROUGH the SOCP is solved too, and the better point is certified.
        max_rounds: Rounds of the fixed points at most.

    Returns:
        PROVEN_OPTIMAL or, where the rounds were too few or for the sum rate, DUAL_BOUND; PROVEN_INFEASIBLE when not even
        targets that are missed by the feasibility tolerance fit under the power cap.
    """
    c = instance.constants
    if c.goal == "weighted_sum_rate":
        return _sum_rate(instance, STARTS[effort])
    uplink = Uplink(c.h, c.noise_w, c.p_total_w)
    solved = _least_power(instance, uplink, max_rounds) if c.goal == "min_power" else _balanced(instance, uplink, max_rounds)
    if isinstance(solved, Reference):
        return solved
    x, bound, slack, detail = solved

    def certified(x: FloatArray | None, detail: str) -> Reference:
        return certify(
            instance,
            x,
            dual_bound=bound,
            tolerance=REL_TOLERANCE * bound,
            slack=slack,
            solver="uplink_duality",
            solver_version="2",
            detail=detail,
        )

    found = certified(x, detail)
    if effort is not Effort.THOROUGH:
        return found
    so_far(found)
    x, agreement = _cross_checked(instance, x)
    return certified(x, f"{detail}; {agreement}")


def _least_power(
    instance: BeamformingInstance, uplink: Uplink, max_rounds: int
) -> Reference | tuple[FloatArray | None, float, float, str]:
    """A point, the bound in W, its slack and how they were made; or the proof that there is no point."""
    found = duality.least_power_precoders(uplink, instance.constants.sinr_target, max_rounds=max_rounds)
    if found.reason:
        return proven_infeasible(found.reason, solver="uplink_duality", solver_version="2")
    # A verified point needs the relaxed targets' power at least, and its power is a sum of 2 K M squares
    least = found.verified_bound * (1.0 - (instance.space.dim + 4.0) * duality.UNIT)
    detail = f"fixed point of the dual uplink, {found.rounds} rounds; its powers are the dual bound"
    x = None if found.W is None else instance.precoded(found.W)
    return x, found.bound, max(0.0, found.bound - least), detail


def _balanced(instance: BeamformingInstance, uplink: Uplink, max_rounds: int) -> tuple[FloatArray | None, float, float, str]:
    """A point, the bound, its slack and how they were made."""
    c, K = instance.constants, instance.constants.sinr_target.size
    found = duality.balanced_precoders(uplink, c.sinr_target, max_rounds=max_rounds)
    assert found.W is not None
    # More power by a factor lifts the bound by that factor at most; the rest is the rounding of an evaluation
    truly = found.bound * duality.MORE_POWER * c.sinr_target
    slack = max(0.0, float((uplink.computed(truly) / c.sinr_target).max()) - found.bound) + 8.0 * K * duality.UNIT * found.bound
    detail = f"normalized fixed point of the dual uplink, {found.rounds} rounds; bound by its largest ratio"
    return instance.precoded(found.W), found.bound, slack, detail


def _sum_rate(instance: BeamformingInstance, n_starts: int) -> Reference:
    full = instance.constants
    c = sum_rate.Downlink(full.h, full.weight, full.noise_w, full.p_total_w)
    starts = sum_rate.starts(c, n_starts, generator(0, problem="beamforming", purpose="wmmse_starts"))
    bound = sum_rate.capacity_bound(c)

    def certified(W: ComplexArray | None, tried: int) -> Reference:
        return certify(
            instance,
            None if W is None else instance.space.clip(model.to_points(W[None] * (1.0 - 1e-14)))[0],
            dual_bound=bound,
            tolerance=REL_TOLERANCE * bound,
            slack=sum_rate.slack(c, bound),
            solver="wmmse",
            solver_version="2",
            detail=f"best of {tried} WMMSE starts; bound: weighted capacity of the broadcast channel (dirty-paper coding)",
        )

    if time_left() is None:
        W, rate = sum_rate.wmmse(c, starts)
        return certified(W[int(np.argmax(rate))], n_starts)
    best, value, tried = None, -np.inf, 0
    while not tried or (tried < n_starts and not time_is_up()):
        so_far(certified(best, tried))
        W, rate = sum_rate.wmmse(c, starts[tried : tried + _AT_ONCE])
        tried += rate.size
        if rate.max() > value:
            best, value = W[int(np.argmax(rate))], float(rate.max())
    return certified(best, tried)


def _cross_checked(instance: BeamformingInstance, x: FloatArray | None) -> tuple[FloatArray | None, str]:
    """The better of a point and the SOCP's, and how far apart they are; `certify` then holds it against the bound."""
    from optisolve.problems.beamforming.convex import BeamformingModel

    answer = BeamformingModel(instance.constants).solve()
    if answer.x is None:
        return x, f"the SOCP ended without a point ({answer.termination.value})"
    other = instance.space.clip(answer.x[None])[0]
    told = instance.evaluate_twin(other)
    if told.max_violation[0] > FEASIBILITY_TOLERANCE:
        return x, "the SOCP's point misses a constraint"
    if x is None:
        return other, "the point is the SOCP's"
    own, value = float(instance.evaluate_twin(x).F[0, 0]), float(told.F[0, 0])
    better = instance.objectives[0].shortfall(value, own) < 0.0
    return other if better else x, f"the SOCP's value differs by {abs(value - own) / abs(own):.1e} relative"
