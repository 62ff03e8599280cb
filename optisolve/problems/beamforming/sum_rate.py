r"""Weighted sum rate: WMMSE from many starts, and an upper bound from the capacity of the broadcast channel.

The bound. Linear precoding cannot beat dirty-paper coding, whose weighted sum capacity equals that of the dual multiple-access
channel. With users sorted by weight, alpha_1 >= ... >= alpha_K and alpha_{K+1} = 0, it is the concave maximum

.. math:: \max_{q \ge 0, \sum q \le P} f(q), \quad f = \sum_k (\alpha_k - \alpha_{k+1}) \log_2 \det(I + \sum_{j \le k} q_j h_j h_j^H / \sigma^2),

and for any q, :math:`f^* \le f(q) - \nabla f^T q + P \max(0, \max_k \nabla_k f)` by concavity, which is what is reported.

Source: Vishwanath, Jindal and Goldsmith 2003 (duality); Shi et al. 2011 (WMMSE), here in the form without a search for the power
multiplier: at a stationary point all power is used, so the noise may be scaled with the power in use.
"""  # noqa: E501

from __future__ import annotations

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.problems.beamforming.model import ComplexArray, Constants

__all__ = ["capacity_bound", "wmmse"]


def capacity_bound(c: Constants) -> float:
    """Upper bound on the weighted sum rate, bit/s/Hz, see the module's head."""
    from scipy.optimize import LinearConstraint, minimize

    K, P = c.weight.size, c.p_total_w
    order = np.argsort(-c.weight, kind="stable")
    h = c.h[order] / np.sqrt(c.noise_w)
    steps = -np.diff(np.append(c.weight[order], 0.0))  # alpha_k - alpha_{k+1}

    def negative(share: FloatArray) -> float:
        return -_capacity(h, steps, np.maximum(share, 0.0) * P)[0]

    def slope_of_negative(share: FloatArray) -> FloatArray:
        return -P * _capacity(h, steps, np.maximum(share, 0.0) * P)[1]

    simplex = LinearConstraint(np.ones((1, K)), -np.inf, 1.0)
    found = minimize(
        negative,
        np.full(K, 1.0 / K),
        jac=slope_of_negative,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * K,
        constraints=[simplex],
        options={"maxiter": 200, "ftol": 1e-12},
    )
    q = np.maximum(found.x, 0.0) * P
    value, slope = _capacity(h, steps, q)
    bound = value - float(slope @ q) + P * max(0.0, float(slope.max()))
    return bound * (1.0 + 1e-12)


def _capacity(h: ComplexArray, steps: FloatArray, q: FloatArray) -> tuple[float, FloatArray]:
    """f and its gradient in bit/s/Hz and bit/s/Hz/W; h complex128 [K, M] sorted by weight and scaled by the noise."""
    K, M = h.shape
    value, slope, covariance = 0.0, np.zeros(K), np.eye(M, dtype=complex)
    for k in range(K):
        covariance = covariance + q[k] * np.outer(h[k], h[k].conj())
        if steps[k] == 0.0:
            continue
        value += steps[k] * float(np.linalg.slogdet(covariance)[1])
        solved = np.linalg.solve(covariance, h[: k + 1].T)  # [M, k + 1]
        slope[: k + 1] += steps[k] * np.einsum("jm,mj->j", h[: k + 1].conj(), solved).real
    return value / np.log(2.0), slope / np.log(2.0)


def wmmse(
    c: Constants, starts: ComplexArray, *, max_rounds: int = 2000, tolerance: float = 1e-9
) -> tuple[ComplexArray, FloatArray]:
    """Weighted MMSE iterations from several starts at once.

    Precoders are kept as combinations of the channels, W = H^H C, where all stationary points lie.

    Args:
        c: The instance's data.
        starts: complex128 [s, K, K], coefficients C, column k for user k.
        max_rounds: Rounds at most.
        tolerance: Relative growth of every start's sum rate at which the rounds stop.

    Returns:
        Precoders, complex128 [s, K, M], at full power; their weighted sum rates, float64 [s], bit/s/Hz.
    """
    gram = c.h.conj() @ c.h.T  # [K, K], entry [k, j] is h_k^H h_j
    C, before = starts, np.full(starts.shape[0], -np.inf)
    for _ in range(max_rounds):
        received, noise = _received(c, gram, C)
        total = (np.abs(received) ** 2).sum(axis=2) + noise[:, None]  # [s, K]
        own = np.einsum("skk->sk", received)
        receiver = own.conj() / total
        mse_weight = c.weight / np.maximum(1.0 - (receiver * own).real, 1e-300)  # alpha / MSE
        D = mse_weight * np.abs(receiver) ** 2
        loading = c.noise_w / c.p_total_w * D.sum(axis=1)  # [s]
        lhs = D[:, :, None] * gram + loading[:, None, None] * np.eye(gram.shape[0])
        C = np.linalg.solve(lhs, (mse_weight * receiver.conj())[:, :, None] * np.eye(gram.shape[0]))
        rate = _sum_rate(c, gram, C)
        if (rate <= before * (1.0 + tolerance)).all():
            break
        before = rate
    W = np.einsum("km,skj->sjm", c.h, C)
    W = W * np.sqrt(c.p_total_w / (np.abs(W) ** 2).sum(axis=(1, 2)))[:, None, None]
    return W, _sum_rate(c, gram, C)


def _received(c: Constants, gram: ComplexArray, C: ComplexArray) -> tuple[ComplexArray, FloatArray]:
    """h_k^H w_j, complex128 [s, K, K], and the noise in the scale of C, float64 [s]."""
    received = gram @ C
    power = np.einsum("skj,skj->s", C.conj(), received).real
    return received, c.noise_w / c.p_total_w * power


def _sum_rate(c: Constants, gram: ComplexArray, C: ComplexArray) -> FloatArray:
    received, noise = _received(c, gram, C)
    gains = np.abs(received) ** 2
    signal = np.einsum("skk->sk", gains)
    sinr = signal / (gains.sum(axis=2) - signal + noise[:, None])
    rate: FloatArray = (c.weight * np.log1p(sinr)).sum(axis=1) / np.log(2.0)
    return rate
