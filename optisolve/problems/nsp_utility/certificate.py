r"""Upper bounds for the concave inner problems of `nsp_utility`, by our own dual function in plain numpy.

Powers are scaled, q = p / P. The inner objective f is concave and every floor is g_i(q) <= 0 with g_i convex, so for any
multipliers mu >= 0 and any point z with positive powers

.. math:: f(q) \le L(q) \le L(z) + \nabla L(z)^T (q - z) \le \alpha + \nu \sum_m q_m, \qquad L = f - \sum_i \mu_i g_i,

with :math:`\nu = \max_m \nabla_m L(z)` and :math:`\alpha = L(z) - \nabla L(z)^T z`, for every feasible q >= 0. The bound
holds for whatever z and mu a back end delivers; it is tight when they are the optimal pair. It is made with the floors as low
as verification lets them be (`Inner.relaxed`) and carries the rounding of its terms, so it holds for every verified point.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.problem import FEASIBILITY_TOLERANCE

__all__ = ["RELAXED_SHARE", "Cut", "Inner", "cut"]

_RELAXATION = FEASIBILITY_TOLERANCE * (1.0 + 1e-5)
"""By how much a verified point may violate a floor, with room for the rounding of the evaluator."""

RELAXED_SHARE = 1.0 + _RELAXATION
"""Largest sum of scaled powers of a verified point."""

_ULP = 2.0**-52

SMALLEST_SHARE = 1e-12
"""Shares of the power below this are raised to it where a bound is computed; slopes at 0 may be infinite."""


NEWTON_STEPS = 8


@dataclass(frozen=True, eq=False, slots=True)
class Taylor:
    """A function at a point: value, gradient, and Hessian diag(curvature) - ridge ridge^T.

    At most one term of a sum may have a ridge. `size` and `steepness` are what value and slope add up to without the signs
    of the terms: their rounding is proportional to it.
    """

    value: float
    slope: FloatArray
    curvature: FloatArray
    ridge: FloatArray
    size: float = field(default=0.0)
    steepness: FloatArray = field(default_factory=lambda: np.zeros(()))

    def plus(self, factor: float, other: Taylor) -> Taylor:
        """This function plus a factor times one without a ridge."""
        return Taylor(
            self.value + factor * other.value,
            self.slope + factor * other.slope,
            self.curvature + factor * other.curvature,
            self.ridge,
            self.size + abs(factor) * max(other.size, abs(other.value)),
            self.steepness + abs(factor) * np.maximum(other.steepness, np.abs(other.slope)),
        )


@dataclass(frozen=True, eq=False, slots=True)
class Inner:
    """An inner problem in scaled powers.

    Args:
        goal: ``rate``, ``bep``, ``energy``, ``log_availability``, ``log_throughput``, or ``feasibility`` (f = 0).
        snr: float64 [M], SNR of a branch that gets all power, linear.
        threshold: SNR below which a branch is in outage, linear.
        price: Cost of all power in units of f.
        exponent_max: Floor on availability as a cap on -log A, or None.
        bep_max: Largest mean bit error probability, or None.
        nats_min: Smallest sum of log(1 + SNR), nat, or None.
    """

    goal: str
    snr: FloatArray
    threshold: float
    price: float
    exponent_max: float | None
    bep_max: float | None
    nats_min: float | None

    def relaxed(self) -> Inner:
        """The same with every floor as low as verification lets it be."""
        exponent = self.exponent_max
        if exponent is not None:
            outage = -np.expm1(-exponent) * (1.0 + _RELAXATION)
            exponent = float(-np.log1p(-outage)) if outage < 1.0 else None
        return replace(
            self,
            exponent_max=exponent,
            bep_max=None if self.bep_max is None else self.bep_max * (1.0 + _RELAXATION),
            nats_min=None if self.nats_min is None else self.nats_min * (1.0 - _RELAXATION),
        )

    def objective(self, q: FloatArray) -> Taylor:
        """f at q, float64 [M] > 0."""
        zero = np.zeros_like(q)
        if self.goal == "feasibility":
            return Taylor(0.0, zero, zero, zero)
        if self.goal == "energy":
            return Taylor(-float(q.sum()), zero - 1.0, zero, zero, float(q.sum()), zero + 1.0)
        if self.goal == "rate":
            nats = self._nats(q)
            nats = replace(nats, size=abs(nats.value), steepness=np.abs(nats.slope))
            return nats.plus(-self.price, Taylor(float(q.sum()), zero + 1.0, zero, zero))
        if self.goal == "bep":
            paid = self.price * float(q.sum())
            return Taylor(-paid, zero - self.price, zero, zero, paid, zero + self.price).plus(-1.0, self._error(q))
        if self.goal == "log_availability":
            return Taylor(0.0, zero, zero, zero, 0.0, zero).plus(-1.0, self._exponent(q))
        n = self._nats(q)
        log, slope = float(np.log(n.value)), n.slope / n.value
        log_nats = Taylor(log, slope, n.curvature / n.value, slope, 1.0 + abs(log), np.abs(slope))
        return log_nats.plus(-1.0, self._exponent(q))

    def floors(self, q: FloatArray) -> dict[str, Taylor]:
        """Every normalized floor g_i(q) <= 0 in use, by name."""
        zero = np.zeros_like(q)
        found = {}
        if self.exponent_max is not None:
            found["outage"] = Taylor(-1.0, zero, zero, zero, 1.0).plus(1.0 / self.exponent_max, self._exponent(q))
        if self.bep_max is not None:
            found["bep"] = Taylor(-1.0, zero, zero, zero, 1.0).plus(1.0 / self.bep_max, self._error(q))
        if self.nats_min is not None:
            found["rate"] = Taylor(1.0, zero, zero, zero, 1.0).plus(-1.0 / self.nats_min, self._nats(q))
        return found

    def lagrangian(self, q: FloatArray, multipliers: Mapping[str, float]) -> Taylor:
        """L = f - sum of multipliers times floors; negative multipliers count as 0."""
        total = self.objective(q)
        for name, floor in self.floors(q).items():
            total = total.plus(-max(0.0, multipliers.get(name, 0.0)), floor)
        return total

    def _nats(self, q: FloatArray) -> Taylor:
        slope = self.snr / (1.0 + self.snr * q)
        return Taylor(float(np.log1p(self.snr * q).sum()), slope, -slope * slope, np.zeros_like(q))

    def _exponent(self, q: FloatArray) -> Taylor:
        term = self.threshold / (self.snr * q)
        return Taylor(float(term.sum()), -term / q, 2.0 * term / (q * q), np.zeros_like(q))

    def _error(self, q: FloatArray) -> Taylor:
        s, M = self.snr * q, q.size
        value = 0.5 / ((1.0 + s) * (1.0 + np.sqrt(s / (1.0 + s))))
        slope = -0.25 * self.snr / (np.sqrt(s) * (1.0 + s) ** 1.5)
        curvature = 0.125 * self.snr**2 * (1.0 + 4.0 * s) / (s**1.5 * (1.0 + s) ** 2.5)
        return Taylor(float(value.mean()), slope / M, curvature / M, np.zeros_like(q))


@dataclass(frozen=True, slots=True)
class Cut:
    """The bound f(q) <= alpha + nu * sum(q) for all feasible q."""

    alpha: float
    nu: float

    def at(self, share: float) -> float:
        """Bound on f over all feasible q with sum(q) <= share."""
        rounding = 4.0 * _ULP * (abs(self.alpha) + max(0.0, self.nu) * share)
        return self.alpha + max(0.0, self.nu) * share + rounding


def cut(inner: Inner, z: FloatArray, multipliers: Mapping[str, float], share: float) -> Cut:
    """The bound at a point and multipliers, see the module's head, over all points that verification accepts.

    The bound is off by the first power of the error in z, so a few Newton steps on L improve z first; the best of all
    the cuts on the way is returned.

    Args:
        inner: The inner problem; its floors are relaxed here.
        z: float64 [M], scaled powers; values below `SMALLEST_SHARE` are raised.
        multipliers: Non-negative multiplier of every floor, by name; missing ones count as 0.
        share: Cap on sum(q) at which the cut should be tight.
    """
    z, inner, rounding = np.maximum(z, SMALLEST_SHARE), inner.relaxed(), (z.size + 16) * _ULP
    best: Cut | None = None
    for _ in range(NEWTON_STEPS):
        L = inner.lagrangian(z, multipliers)
        unsure = rounding * (L.size + 2.0 * float((L.steepness * z).sum()))
        found = Cut(L.value - float(L.slope @ z) + unsure, float((L.slope + rounding * L.steepness).max()))
        gain = np.inf if best is None else best.at(share) - found.at(share)
        if gain > 0.0:
            best = found
        if abs(gain) <= rounding * abs(found.at(share)):  # a step cut short gains little, and the next one much
            break
        z = _newton(L, z, share)
    assert best is not None
    return best


def _newton(L: Taylor, z: FloatArray, share: float) -> FloatArray:
    """One damped Newton step towards the maximum of L; the sum of z is kept where the cap binds."""
    used = z > 1e-7 * z.max()  # branches without power stay without
    hessian = np.diag(L.curvature[used]) - np.outer(L.ridge[used], L.ridge[used])
    step = np.zeros_like(z)
    try:
        newton, ones = np.linalg.solve(hessian, -L.slope[used]), np.linalg.solve(hessian, np.ones(int(used.sum())))
    except np.linalg.LinAlgError:
        return z
    if z.sum() > share * (1.0 - 1e-6):
        newton = newton + ones * ((share - z.sum()) - newton.sum()) / ones.sum()
    step[used] = newton
    if not np.isfinite(step).all():
        return z
    shrink = float(np.max(-step / z))  # powers fall to a tenth at most
    return np.maximum(z + step * min(1.0, 0.9 / shrink if shrink > 0.0 else 1.0), SMALLEST_SHARE)
