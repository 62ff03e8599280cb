r"""Uplink-downlink duality: points and rigorous bounds for least power and balanced SINR, in plain numpy.

Channels are scaled by the noise, so that sigma = 1. With uplink powers lambda and
:math:`\Sigma(\lambda) = I + \sum_j \lambda_j h_j h_j^H`, the least uplink power of user k against the others' is

.. math:: T_k(\lambda) = \gamma_k / (h_k^H \Sigma_{-k}(\lambda)^{-1} h_k),

a standard interference function (monotone, scalable). Two facts give bounds from any vector lambda >= 0:

- lambda <= T(lambda) is dual feasible: sum(lambda) bounds the least downlink power from below. The iteration
  lambda <- T(lambda) from 0 rises through such vectors, so its sum is a valid bound whenever it stops, and a sum above the
  power cap proves that the targets cannot be reached.
- With sum(lambda) = P, the balanced SINR is at most max_k lambda_k / T_k(lambda).

Source: Visotsky and Madhow 1999; Yates 1995 (standard functions); Wiesel, Eldar and Shamai 2006; Tan, Chiang and Srikant 2011
(normalized fixed point).
"""

from __future__ import annotations

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.problems.beamforming.model import ComplexArray, Constants

__all__ = ["Uplink", "balance", "balance_bound", "least_power", "power_bound"]

ROUNDING = 1e-11
"""Relative slack by which bounds are loosened against rounding."""


class Uplink:
    """The dual uplink of an instance.

    Args:
        c: The instance's data.

    Attributes:
        gram: complex128 [K, K], entry [k, j] is h_k^H h_j / sigma^2.
    """

    def __init__(self, c: Constants) -> None:
        self.c = c
        self.gram: ComplexArray = c.h.conj() @ c.h.T / c.noise_w

    def step(self, powers: FloatArray) -> FloatArray:
        """T(lambda), float64 [K], W, of uplink powers, float64 [K], W."""
        inner = self._inner(powers)
        t = np.einsum("kj,jk->k", self.gram, inner).real  # h_k^H Sigma^-1 h_k
        least: FloatArray = self.c.sinr_target * np.maximum(1.0 - powers * t, 0.0) / t
        return least

    def precoders(self, powers: FloatArray) -> ComplexArray:
        """MMSE receivers of the uplink as rows, complex128 [K, M]; the best downlink directions."""
        W: ComplexArray = self._inner(powers).T @ self.c.h
        return W

    def _inner(self, powers: FloatArray) -> ComplexArray:
        """(I + diag(lambda) G)^-1, so that Sigma^-1 H^H = H^H times it."""
        return np.asarray(np.linalg.inv(np.eye(powers.size) + powers[:, None] * self.gram), dtype=np.complex128)


def least_power(c: Constants, *, max_rounds: int = 20_000) -> tuple[FloatArray, float, int]:
    """Raise uplink powers to the fixed point of T.

    Args:
        c: The instance's data.
        max_rounds: Rounds at most.

    Returns:
        Uplink powers, float64 [K], W; a lower bound on the downlink power, W; rounds used. The iteration stops as soon as the
        bound exceeds the power cap: then the targets are out of reach.
    """
    uplink, powers, rounds = Uplink(c), np.zeros(c.sinr_target.size), 0
    while rounds < max_rounds:
        rounds += 1
        raised = uplink.step(powers)
        change = float(np.max(np.abs(raised - powers) / np.maximum(raised, 1e-300)))
        powers = raised
        if change < 1e-14 or powers.sum() > c.p_total_w * (1.0 + 1e-6):
            break
    return powers, power_bound(uplink, powers), rounds


def power_bound(uplink: Uplink, powers: FloatArray) -> float:
    """Lower bound on the least downlink power, W, from any uplink powers, float64 [K], W >= 0.

    Powers a little above T are shrunk until they are dual feasible; 0 when that takes more than half of them.
    """
    excess = max(0.0, float(np.max(powers / np.maximum(uplink.step(powers), 1e-300))) - 1.0)
    shrink = 0.0 if excess <= ROUNDING else excess
    while shrink < 0.5:
        candidate = powers * (1.0 - shrink)
        if (candidate <= uplink.step(candidate) * (1.0 + ROUNDING)).all():
            return float(candidate.sum()) * (1.0 - ROUNDING)
        shrink = 4.0 * max(shrink, ROUNDING)
    return 0.0


def balance_bound(uplink: Uplink, powers: FloatArray, *, rounds: int = 8) -> float:
    """Upper bound on the balanced SINR from any uplink powers, float64 [K], > 0; only their ratios count.

    A few rounds of the normalized fixed point improve the powers; the best bound on the way is returned.
    """
    bound, total = np.inf, uplink.c.p_total_w
    for _ in range(rounds):
        powers = powers * (total / powers.sum())
        least = uplink.step(powers)
        bound, powers = min(bound, float(np.max(powers / least))), least
    return bound * (1.0 + ROUNDING)


def balance(c: Constants, *, max_rounds: int = 20_000, tolerance: float = 1e-13) -> tuple[FloatArray, float, int]:
    """Normalized fixed point for the balanced SINR.

    Args:
        c: The instance's data.
        max_rounds: Rounds at most.
        tolerance: Spread of lambda_k / T_k at which the iteration stops, relative.

    Returns:
        Uplink powers, float64 [K], W, with sum P; an upper bound on min_k SINR_k / gamma_k; rounds used.
    """
    uplink, K = Uplink(c), c.sinr_target.size
    powers, bound, rounds = np.full(K, c.p_total_w / K), np.inf, 0
    while rounds < max_rounds:
        rounds += 1
        least = uplink.step(powers)
        ratio = powers / least
        bound = min(bound, float(ratio.max()))
        if ratio.max() <= ratio.min() * (1.0 + tolerance):
            break
        powers = least * (c.p_total_w / least.sum())
    return powers, bound * (1.0 + ROUNDING), rounds
