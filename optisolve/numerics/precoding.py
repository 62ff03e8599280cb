r"""Weighted sum rate: WMMSE from many starts, and an upper bound from the capacity of the broadcast channel.

The bound. Linear precoding cannot beat dirty-paper coding, whose weighted sum capacity equals that of the dual multiple-access
channel. With users sorted by weight, alpha_1 >= ... >= alpha_K and alpha_{K+1} = 0, powers q in units of P and channels scaled by
sqrt(P) / sigma, it is the concave maximum

.. math:: \max_{q \ge 0, \sum q \le 1} f(q), \quad f = \sum_k (\alpha_k - \alpha_{k+1}) \ln \det(I + \sum_{j \le k} q_j h_j h_j^H).

The logarithm of a determinant is concave, hence for any nonsingular matrices V_k

.. math:: f(q) \le \sum_k (\alpha_k - \alpha_{k+1}) [|V_k|_F^2 - M - \ln |\det V_k|^2 + \sum_{j \le k} q_j |V_k h_j|^2],

which is linear in q: its maximum over the simplex is the largest coefficient. Whatever V_k is put in (the inverse root of the
optimal covariance is best), this is an upper bound; it is evaluated with a term for its own rounding, so no inverse has to be
accurate. At a low signal-to-noise ratio the bound ln det(I + X) <= tr X is tight and has nothing to cancel; the smaller one counts.

Source: Vishwanath, Jindal and Goldsmith 2003 (duality); Shi et al. 2011 (WMMSE), here in the form without a search for the power
multiplier: at a stationary point all power is used, so the noise may be scaled with the power in use.
"""  # noqa: E501

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from optisolve.core.arrays import ComplexArray, FloatArray
from optisolve.core.problem import FEASIBILITY_TOLERANCE
from optisolve.numerics.uplink_duality import UNIT, Uplink

__all__ = ["Downlink", "capacity_bound", "slack", "starts", "wmmse"]

LEAST_LOADING = 1e-13
"""Regularization of WMMSE at least, relative: keeps users with like channels solvable where there is hardly any noise."""


@dataclass(frozen=True, eq=False, slots=True)
class Downlink:
    """An array of M antennas and K users.

    Attributes:
        h: complex128 [K, M], channels.
        weight: float64 [K], of the rates.
        noise_w: W.
        p_total_w: Cap on the power of all precoders, W.
    """

    h: ComplexArray
    weight: FloatArray
    noise_w: float
    p_total_w: float


def capacity_bound(c: Downlink) -> float:
    """Upper bound on the weighted sum rate, bit/s/Hz, see the module's head."""
    order = np.argsort(-c.weight, kind="stable")
    h = Uplink(c.h, c.noise_w, c.p_total_w).h[order]
    steps = -np.diff(np.append(c.weight[order], 0.0))  # alpha_k - alpha_{k+1}
    traced = c.weight[order] * (np.abs(h) ** 2).sum(axis=1)  # coefficients of q in the bound by the trace
    bound = min(float(traced.max()), _linear_bound(h, steps, _best_powers(h, steps)))
    return bound / math.log(2.0) * (1.0 + 8.0 * (sum(h.shape) + 8.0) * UNIT)


def slack(c: Downlink, bound: float) -> float:
    """How far a verified point may lie beyond the bound, bit/s/Hz.

    The capacity is concave in the power and 0 without any, so more power by a factor lifts it by that factor at most. A
    computed SINR lifts a rate by at most 2 ln(1 + d) + ln(1 + d + d^2) nats, see `duality`.
    """
    amplitude, relative = Uplink(c.h, c.noise_w, c.p_total_w).rounding
    lift = np.minimum(2.0 * np.log1p(relative) + np.log1p(amplitude + amplitude**2), 1.0)
    rounding = float((c.weight * lift).sum()) / math.log(2.0)
    return 2.0 * FEASIBILITY_TOLERANCE * bound + rounding


def _best_powers(h: ComplexArray, steps: FloatArray) -> FloatArray:
    """Powers that nearly maximize f, float64 [K], by SLSQP; any answer is valid, a good one makes the bound tight."""
    from scipy.optimize import LinearConstraint, minimize

    K = steps.size
    first = np.full(K, 1.0 / K)
    unit = max(_capacity(h, steps, first)[0], float(np.finfo(np.float64).tiny))

    def negative(q: FloatArray) -> float:
        return -_capacity(h, steps, np.maximum(q, 0.0))[0] / unit

    def slope_of_negative(q: FloatArray) -> FloatArray:
        return -_capacity(h, steps, np.maximum(q, 0.0))[1] / unit

    simplex = LinearConstraint(np.ones((1, K)), -np.inf, 1.0)
    found = minimize(
        negative,
        first,
        jac=slope_of_negative,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * K,
        constraints=[simplex],
        options={"maxiter": 200, "ftol": 1e-12},
    )
    q = np.maximum(found.x, 0.0)
    return q if np.isfinite(q).all() and q.any() else first


def _linear_bound(h: ComplexArray, steps: FloatArray, q: FloatArray) -> float:
    """The bound of the module's head in nats, with V_k from powers q float64 [K]; h complex128 [K, M] sorted by weight."""
    K, M = h.shape
    constant, slope, size = 0.0, np.zeros(K), 0.0
    for k in np.flatnonzero(steps > 0.0):
        stacked = np.concatenate([np.sqrt(q[: k + 1, None]) * h[: k + 1].conj(), np.eye(M)])  # R^H R is the covariance
        V = np.tril(np.linalg.inv(_root(stacked).conj().T))
        logs = np.log(np.abs(np.diag(V)))
        constant += steps[k] * float((np.abs(V) ** 2).sum() - M - 2.0 * logs.sum())
        size += steps[k] * (2.0 * M + 2.0 * np.abs(logs).sum())
        image = np.abs(h[: k + 1] @ V.T) + 4.0 * (M + 8.0) * UNIT * (np.abs(h[: k + 1]) @ np.abs(V).T)  # [k + 1, M]
        slope[: k + 1] += steps[k] * (image**2).sum(axis=1)
    rounding = 4.0 * (M + K + 8.0) * UNIT
    return float(constant + rounding * size + slope.max() * (1.0 + rounding))


def _root(stacked: ComplexArray) -> ComplexArray:
    """Triangular R with R^H R = A^H A."""
    return np.asarray(np.linalg.qr(stacked)[1], dtype=np.complex128)


def _capacity(h: ComplexArray, steps: FloatArray, q: FloatArray) -> tuple[float, FloatArray]:
    """f and its gradient in nats; h complex128 [K, M] sorted by weight and scaled by power and noise."""
    K, M = h.shape
    value, slope = 0.0, np.zeros(K)
    for k in np.flatnonzero(steps > 0.0):
        root = np.sqrt(q[: k + 1])
        R = _root(np.concatenate([root[:, None] * h[: k + 1].conj(), np.eye(M)]))
        # ln det(I + X) as a sum of logarithms near 1 would lose small signals; then it is close to the trace
        log_det = 2.0 * float(np.log(np.abs(np.diag(R))).sum())
        trace = float((q[: k + 1] * (np.abs(h[: k + 1]) ** 2).sum(axis=1)).sum())
        value += steps[k] * (log_det if trace > 1e-6 else trace)
        slope[: k + 1] += steps[k] * (np.abs(np.linalg.solve(R.conj().T, h[: k + 1].T)) ** 2).sum(axis=0)
    return value, slope


def wmmse(
    c: Downlink, starts: ComplexArray, *, max_rounds: int = 2000, tolerance: float = 1e-9
) -> tuple[ComplexArray, FloatArray]:
    """Weighted MMSE iterations from several starts at once.

    Precoders are kept in the span of the channels, where all stationary points lie: w = Q y, and u_k = Q s_k for the directions
    of the channels.

    Args:
        c: Channels, weights, noise and power.
        starts: complex128 [s, K, K], precoders as combinations of the channels' directions, column k for user k.
        max_rounds: Rounds at most.
        tolerance: Relative growth of every start's sum rate at which the rounds stop.

    Returns:
        Precoders, complex128 [s, K, M], at full power; their weighted sum rates, float64 [s], bit/s/Hz.
    """
    norm = np.linalg.norm(c.h, axis=1)
    Q, S = np.linalg.qr((c.h / norm[:, None]).T)  # [M, rank], [rank, K]
    snr = c.p_total_w / c.noise_w * norm**2  # [K]
    Y, before = _normalized(S @ starts), np.full(starts.shape[0], -np.inf)
    for _ in range(max_rounds):
        own, signal, interference = _received(S, snr, Y)
        # alpha / MSE = alpha (signal + interference) / interference, and the receiver is conj(own) / (signal + interference)
        D = c.weight * snr * signal / (interference * (signal + interference))  # [s, K]
        loading = np.maximum((D / snr).sum(axis=1), LEAST_LOADING * D.max(axis=1))  # [s]
        share = D / loading[:, None]
        lhs = np.einsum("rk,sk,qk->srq", S, share, S.conj()) + np.eye(S.shape[0])
        right = c.weight * own * np.sqrt(snr) / interference  # [s, K]
        Y = _normalized(np.linalg.solve(lhs, S * right[:, None, :]))
        rate = _sum_rate(c, S, snr, Y)
        if (rate <= before * (1.0 + tolerance)).all():
            break
        before = rate
    W = np.sqrt(c.p_total_w) * np.swapaxes(Q @ Y, 1, 2)  # [s, K, M]
    return W, _sum_rate(c, S, snr, Y)


def starts(c: Downlink, n_starts: int, rng: np.random.Generator) -> ComplexArray:
    """Regularized zero forcing, matched filter, and random combinations of some users, complex128 [s, K, K]; see `wmmse`.

    Args:
        c: Channels, weights, noise and power.
        n_starts: Number s, at least 1.
        rng: Draws what is random.
    """
    K = c.weight.size
    norm = np.linalg.norm(c.h, axis=1)
    users = c.h / norm[:, None]
    noise = rng.standard_normal((n_starts, K, K, 2))
    found: ComplexArray = noise[..., 0] + 1j * noise[..., 1]
    loading = K * c.noise_w / c.p_total_w / norm**2  # [K]
    found[0] = np.linalg.inv((users.conj() @ users.T + np.diag(loading + 1e-14)) / (1.0 + loading)[:, None])
    if n_starts > 1:
        found[1] = np.eye(K)
    # Random subsets of users, since switching users off is a stationary point that full starts miss
    active = rng.random((n_starts, K)) < rng.uniform(0.3, 1.0, (n_starts, 1))
    active[:2] = True
    active[~active.any(axis=1)] = True
    found *= np.where(active, 1.0, 1e-3)[:, None, :]
    return found


def _normalized(Y: ComplexArray) -> ComplexArray:
    """Precoders complex128 [s, rank, K] at full power, which is 1."""
    Y = Y / np.abs(Y).max(axis=(1, 2), keepdims=True)  # squares of very small or large entries would not be finite
    scaled: ComplexArray = Y / np.linalg.norm(Y, axis=(1, 2), keepdims=True)
    return scaled


def _received(S: ComplexArray, snr: FloatArray, Y: ComplexArray) -> tuple[ComplexArray, FloatArray, FloatArray]:
    """Own amplitude complex128 [s, K], its power, and interference with noise, float64 [s, K], in units of the noise's."""
    received = np.sqrt(snr)[:, None] * (S.conj().T @ Y)  # [s, K, K]
    own = np.einsum("skk->sk", received).copy()
    np.einsum("skk->sk", received)[...] = 0.0
    return own, np.abs(own) ** 2, (np.abs(received) ** 2).sum(axis=2) + 1.0


def _sum_rate(c: Downlink, S: ComplexArray, snr: FloatArray, Y: ComplexArray) -> FloatArray:
    _, signal, interference = _received(S, snr, Y)
    rate: FloatArray = (c.weight * np.log1p(signal / interference)).sum(axis=1) / math.log(2.0)
    return rate
