r"""Uplink-downlink duality: points and rigorous bounds for least power and balanced SINR, in plain numpy.

Powers are in units of the cap P and channels are scaled by :math:`\sqrt{P}/\sigma`, so that the noise is 1 and no unit is left.
With uplink powers lambda and :math:`\Sigma_{-k}(\lambda) = I + \sum_{j \ne k} \lambda_j h_j h_j^H`, the least uplink power of
user k against the others' is

.. math:: T_k(\lambda) = \gamma_k / q_k(\lambda), \qquad q_k = h_k^H \Sigma_{-k}(\lambda)^{-1} h_k,

a standard interference function (monotone, scalable). Two facts give bounds from any vector lambda >= 0:

- lambda <= T(lambda) is dual feasible: sum(lambda) bounds the least downlink power from below. The iteration
  lambda <- max(lambda, T(lambda)) from 0 rises through such vectors, so its sum is a valid bound whenever it stops, and a sum
  above the power cap proves that the targets cannot be reached.
- With sum(lambda) = 1, the balanced SINR is at most max_k lambda_k q_k / gamma_k.

Both need q_k from above only, and q_k is the least value of a regularized least-squares problem:

.. math:: q_k = \min_z |h_k - B z|^2 + |z|^2, \qquad B = (\sqrt{\lambda_j} h_j)_{j \ne k}.

Whatever z is put in, the right-hand side is an upper bound, evaluated from the channels themselves with a term for its own
rounding: no inverse has to be accurate, at any signal-to-noise ratio. At the minimum h_k - B z is the best receiver.

What a verified point may gain. It may violate every constraint by eps, and its SINRs are computed: with received amplitudes
off by at most d_k (in units of the noise's), the root of noise and interference is off by that too, and
:math:`\sqrt{SINR'} \le (\sqrt{SINR} + d_k)(1 + d_k)`. So a true SINR reaches `Uplink.attained` of the computed one, and bounds
for such targets hold for every verified point.

Source: Visotsky and Madhow 1999; Yates 1995 (standard functions); Wiesel, Eldar and Shamai 2006; Tan, Chiang and Srikant 2011
(normalized fixed point).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from optisolve.core.arrays import ComplexArray, FloatArray
from optisolve.core.problem import FEASIBILITY_TOLERANCE

__all__ = [
    "MORE_POWER",
    "UNIT",
    "Precoders",
    "Raised",
    "Uplink",
    "balance",
    "balanced_precoders",
    "directed_powers",
    "least_power",
    "least_power_precoders",
    "relaxed_targets",
]

UNIT = float(np.finfo(np.float64).eps)
MORE_POWER = 1.0 + 2.0 * FEASIBILITY_TOLERANCE
"""What a verified point may use of the cap, with room for the rounding of the sum."""

_FEW = 16
"""Users up to which every one gets a least-squares problem of its own; of more, one inverse serves all."""

_LEAST_SHARE = 1e-4
"""Smallest 1 / (1 + SINR) for which that inverse is trusted to give good receivers."""

_STALLED = 40
"""Rounds without a better bound after which the normalized fixed point stops."""


class Uplink:
    """The dual uplink of a downlink with one array, without units.

    Args:
        channel: complex128 [K, M], h_k as row k.
        noise_w: sigma^2, W.
        p_total_w: P, W.

    Attributes:
        h: complex128 [K, M], channels times sqrt(P) / sigma.
        rounding: float64 [2, K], how far an evaluation may be off at user k: a received amplitude, in units of the noise's,
            and the root of noise and interference, relative.
    """

    def __init__(self, channel: ComplexArray, noise_w: float, p_total_w: float) -> None:
        self.channel, self.noise_w, self.p_total_w = channel, noise_w, p_total_w
        self.h: ComplexArray = channel * (math.sqrt(p_total_w) / math.sqrt(noise_w))
        norm = np.linalg.norm(self.h, axis=1)
        K, M = channel.shape
        terms = np.array([[M + 4.0], [M + K + 8.0]])  # an amplitude is a sum of M complex products, K of them interfere
        self.rounding: FloatArray = 2.0 * UNIT * terms * np.stack([norm, np.maximum(norm, 1.0)])
        # h_k = Q r_k: the least-squares problems live in the span of the channels, at most K dimensions
        self._rows: ComplexArray = np.ascontiguousarray(np.linalg.qr(self.h.T)[1].T)  # [K, min(K, M)]
        self._others = np.array([[j for j in range(len(norm)) if j != k] for k in range(len(norm))], dtype=np.intp)

    def gains(self, powers: FloatArray) -> tuple[FloatArray, ComplexArray]:
        """Upper bounds on q_k and the best receivers, from uplink powers float64 [K] in units of P.

        Returns:
            float64 [K], never below the true q_k; complex128 [K, M], receivers as rows, the best downlink directions.
        """
        K, M = self.h.shape
        residual, size, squares = self._from_inverse(powers) or self._from_least_squares(powers)
        amplitude = np.abs(residual) + 4.0 * (K + 8.0) * UNIT * size  # no smaller than the exact |h_k - B z|
        q = (amplitude**2).sum(axis=1) + squares
        return q * (1.0 + 4.0 * (K + M) * UNIT), residual

    def _from_inverse(self, powers: FloatArray) -> tuple[ComplexArray, FloatArray, FloatArray] | None:
        """h_k - B z, the sizes of its terms and |z|^2 for all users from one inverse; None for few users or large SINRs.

        An error of z counts only squared, since q_k is a minimum; what is left after dividing by 1 / (1 + SINR) is enough for
        SINRs below 1 / `_LEAST_SHARE`.
        """
        K, span = self._rows.shape
        if K <= _FEW:
            return None
        root, columns = np.sqrt(powers), self._rows.T
        covariance = np.eye(span) + (columns * powers) @ columns.conj().T
        T = columns.conj().T @ np.linalg.solve(covariance, columns)  # [j, k], h_j^H Sigma^-1 h_k
        share = 1.0 - powers * np.diag(T).real  # 1 / (1 + SINR)
        if not share.min() > _LEAST_SHARE:
            return None
        z = root[:, None] * T / share
        np.fill_diagonal(z, 0.0)
        taken = root[:, None] * z  # [j, k]
        residual = self.h - taken.T @ self.h
        size = np.abs(self.h) + np.abs(taken).T @ np.abs(self.h)
        return residual, size, (np.abs(z) ** 2).sum(axis=0)

    def _from_least_squares(self, powers: FloatArray) -> tuple[ComplexArray, FloatArray, FloatArray]:
        """The same by one least-squares problem per user, accurate at any SINR."""
        root, others = np.sqrt(powers), self._others
        K, span = self._rows.shape
        if K == 1:
            return self.h.copy(), np.abs(self.h), np.zeros(1)
        B = np.swapaxes(root[others][:, :, None] * self._rows[others], 1, 2)  # [K, span, K - 1]
        eye = np.broadcast_to(np.eye(K - 1), (K, K - 1, K - 1))
        Q, R = np.linalg.qr(np.concatenate([B, eye], axis=1))
        right = np.einsum("ksj,ks->kj", Q[:, :span].conj(), self._rows)
        z = np.linalg.solve(R, right[:, :, None])[:, :, 0]  # [K, K - 1]
        taken = root[others] * z
        residual = self.h - np.einsum("kj,kjm->km", taken, self.h[others])
        size = np.abs(self.h) + np.einsum("kj,kjm->km", np.abs(taken), np.abs(self.h[others]))
        return residual, size, (np.abs(z) ** 2).sum(axis=1)

    def attained(self, sinr: FloatArray) -> FloatArray:
        """SINRs that are truly reached, at least, where an evaluation says `sinr`; both float64 [K]."""
        root = np.sqrt(sinr) / (1.0 + self.rounding[1]) - self.rounding[0]
        reached: FloatArray = np.maximum(root, 0.0) ** 2
        return reached

    def computed(self, sinr: FloatArray) -> FloatArray:
        """SINRs that an evaluation says at most, where `sinr` are truly reached; both float64 [K]."""
        said: FloatArray = ((np.sqrt(sinr) + self.rounding[0]) * (1.0 + self.rounding[1])) ** 2
        return said


def relaxed_targets(uplink: Uplink, target: FloatArray) -> FloatArray:
    """What a verified point reaches of SINR targets, float64 [K], at least: each may be missed by the feasibility tolerance."""
    return uplink.attained(target * (1.0 - FEASIBILITY_TOLERANCE) * (1.0 - 4.0 * UNIT))


@dataclass(frozen=True, eq=False, slots=True)
class Raised:
    """Where a fixed point ended.

    Attributes:
        powers: float64 [K], uplink powers in units of P.
        bound: The bound that they prove: least power in units of P, or balanced SINR.
        rounds: Rounds used.
        receivers: complex128 [K, M], best directions for these powers.
        level: Smallest of lambda_k q_k / gamma_k at these powers: the balanced SINR that the receivers reach.
    """

    powers: FloatArray
    bound: float
    rounds: int
    receivers: ComplexArray
    level: float = 1.0


def least_power(
    uplink: Uplink, target: FloatArray, *, start: FloatArray | None = None, enough: float = math.inf, max_rounds: int = 20_000
) -> Raised:
    """Raise uplink powers to the fixed point of T, through dual feasible vectors only.

    Args:
        uplink: The dual uplink.
        target: float64 [K], SINR targets, linear.
        start: float64 [K], uplink powers to begin with; they are shrunk until they are dual feasible. None begins at 0.
        enough: A bound above this ends the rounds: the targets are out of reach then.
        max_rounds: Rounds at most.

    Returns:
        The powers; their sum is a lower bound on the downlink power in units of P, its rounding taken off.
    """
    powers = np.zeros(target.size) if start is None else _dual_feasible(uplink, target, start)
    K, rounds = target.size, 0
    while True:
        q, receivers = uplink.gains(powers)
        if rounds >= max_rounds:
            break
        rounds += 1
        raised = np.maximum(powers, target / q * (1.0 - 2.0 * UNIT))
        change = float(np.max((raised - powers) / np.where(raised > 0.0, raised, 1.0)))
        powers = raised
        if change <= 4.0 * UNIT or powers.sum() > enough:
            break
    return Raised(powers, float(powers.sum()) * (1.0 - (K + 2.0) * UNIT), rounds, receivers)


def _dual_feasible(uplink: Uplink, target: FloatArray, powers: FloatArray) -> FloatArray:
    """Given powers shrunk just so far that lambda <= T(lambda); zeros when that takes more than half of them."""
    shrink = 0.0
    while shrink < 0.5:
        candidate = powers * (1.0 - shrink)
        q, _ = uplink.gains(candidate)
        if (candidate * q <= target * (1.0 - 2.0 * UNIT)).all():
            return candidate
        shrink = max(4.0 * shrink, 4.0 * UNIT)
    return np.zeros_like(powers)


def balance(
    uplink: Uplink, target: FloatArray, *, start: FloatArray | None = None, max_rounds: int = 20_000, tolerance: float = 1e-13
) -> Raised:
    """Normalized fixed point for the balanced SINR.

    Args:
        uplink: The dual uplink.
        target: float64 [K], linear.
        start: float64 [K], > 0, uplink powers to begin with, only their ratios count; None for equal ones.
        max_rounds: Rounds at most.
        tolerance: Spread of lambda_k / T_k at which the iteration stops, relative.

    Returns:
        Uplink powers with sum 1; an upper bound on min_k SINR_k / gamma_k, the best one on the way.
    """
    K = target.size
    powers = np.ones(K) if start is None else start
    bound, best_round, rounds = math.inf, 0, 0
    while True:
        powers = powers / powers.sum()
        q, receivers = uplink.gains(powers)
        ratio = powers * q / target
        if ratio.max() < bound * (1.0 - 4.0 * UNIT):
            best_round = rounds
        bound = min(bound, float(ratio.max()))
        rounds += 1
        settled = ratio.max() <= ratio.min() * (1.0 + tolerance)
        if settled or rounds >= max_rounds or rounds - best_round > _STALLED:
            break
        powers = target / q
    return Raised(powers, bound * (1.0 + 4.0 * (K + 2.0) * UNIT), rounds, receivers, float(ratio.min()))


def directed_powers(channel: ComplexArray, noise_w: float, W: ComplexArray, target: FloatArray) -> FloatArray | None:
    """Least powers that reach SINRs with the directions of given precoders.

    Args:
        channel: complex128 [K, M].
        noise_w: W.
        W: complex128 [K, M]; only directions count.
        target: float64 [K], SINRs, linear.

    Returns:
        float64 [K], W; None when no powers reach them (or a direction is zero).
    """
    norms = np.linalg.norm(W, axis=1)
    if not (norms > 0.0).all():
        return None
    received = np.einsum("km,njm->nkj", channel.conj(), (W / norms[:, None])[None])[0]
    gains = received.real**2 + received.imag**2  # [K, K], at user k from the signal of user j
    own = np.diag(gains)
    if not (own > 0.0).all():
        return None
    # Rows by their own need gamma / gain, unknowns in units of the noise: no unit is left, whatever the gains' spread
    coupling = -gains * (target / own)[:, None]
    np.fill_diagonal(coupling, 1.0)
    try:
        power = noise_w * np.linalg.solve(coupling, target / own)
    except np.linalg.LinAlgError:
        return None
    # A solution with a negative entry belongs to SINRs out of reach (spectral radius of the coupling above 1)
    return power if np.isfinite(power).all() and (power > 0.0).all() else None


@dataclass(frozen=True, eq=False, slots=True)
class Precoders:
    """What the duality found, in the units of the downlink.

    Attributes:
        W: complex128 [K, M], sqrt(W); None when none was found.
        bound: Dual bound for points that are exactly feasible: least power in W, or balanced SINR.
        verified_bound: The same for targets as low as `relaxed_targets`; for the balanced SINR the bound itself.
        rounds: Rounds of the fixed point.
        reason: The proof that not even the relaxed targets can be met; "" when there is none.
    """

    W: ComplexArray | None
    bound: float
    verified_bound: float
    rounds: int
    reason: str = ""


def least_power_precoders(uplink: Uplink, target: FloatArray, *, max_rounds: int = 20_000) -> Precoders:
    """Precoders of least power that reach SINR targets under the cap.

    Args:
        uplink: The dual uplink.
        target: float64 [K], linear.
        max_rounds: Rounds of the fixed point at most.
    """
    P, share = uplink.p_total_w, FEASIBILITY_TOLERANCE
    relaxed = least_power(uplink, relaxed_targets(uplink, target), enough=MORE_POWER, max_rounds=max_rounds)
    if relaxed.bound > MORE_POWER:
        reason = (
            f"the SINR targets, each relaxed by {share:g}, need more than {relaxed.bound * P:.9g} W by uplink duality, "
            f"the cap is {P:g} W"
        )
        return Precoders(None, relaxed.bound * P, relaxed.bound * P, relaxed.rounds, reason)
    found = least_power(uplink, target, start=relaxed.powers, enough=2.0, max_rounds=max_rounds)
    W = None
    for asked in (target * (1.0 + 1e-14), target * (1.0 - 0.9 * share)):  # the second for the very edge
        power = directed_powers(uplink.channel, uplink.noise_w, found.receivers, asked)
        if power is not None and power.sum() <= P * (1.0 + 0.9 * share):
            W = _scaled(found.receivers, power)
            break
    return Precoders(W, found.bound * P, relaxed.bound * P, found.rounds)


def balanced_precoders(uplink: Uplink, target: FloatArray, *, max_rounds: int = 20_000) -> Precoders:
    """Precoders at full power that balance the ratios of SINR to target.

    Args:
        uplink: The dual uplink.
        target: float64 [K], linear.
        max_rounds: Rounds of the fixed point at most.
    """
    P, K = uplink.p_total_w, target.size
    found = balance(uplink, target, max_rounds=max_rounds)
    # Downlink powers reach what the uplink reaches with the same receivers: its smallest ratio
    power = directed_powers(uplink.channel, uplink.noise_w, found.receivers, found.level * (1.0 - 1e-12) * target)
    power = np.full(K, P / K) if power is None else power
    W = _scaled(found.receivers, power * (P / power.sum()) * (1.0 - 1e-14))
    return Precoders(W, found.bound, found.bound, found.rounds)


def _scaled(directions: ComplexArray, power: FloatArray) -> ComplexArray:
    """Precoders with given directions, complex128 [K, M], and powers, float64 [K], W."""
    W: ComplexArray = directions * (np.sqrt(power) / np.linalg.norm(directions, axis=1))[:, None]
    return W
