r"""The equations of `beamforming` in plain numpy: the twin that verification runs on.

A base station with M antennas serves K single-antenna users; user k has channel h_k and precoder w_k,

.. math:: SINR_k = \frac{|h_k^H w_k|^2}{\sum_{j \ne k} |h_k^H w_j|^2 + \sigma^2}.

Goals: ``min_power`` minimizes sum |w_k|^2 subject to SINR_k >= gamma_k; ``max_min`` maximizes min_k SINR_k / gamma_k;
``weighted_sum_rate`` maximizes sum_k alpha_k log2(1 + SINR_k). Every goal has the cap sum |w_k|^2 <= P.

A point lists, user by user and antenna by antenna, the real and imaginary parts of w in sqrt(W).

Source: Bengtsson and Ottersten 2001; Schubert and Boche, "Solution of the multiuser downlink beamforming problem", 2004.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from optisolve.core.arrays import ComplexArray, FloatArray
from optisolve.numerics.uplink_duality import directed_powers

__all__ = [
    "Constants",
    "Goal",
    "cross_gains",
    "evaluate",
    "power_control",
    "precoders",
    "project",
    "sinr",
    "to_points",
]

Goal = Literal["min_power", "max_min", "weighted_sum_rate"]


@dataclass(frozen=True, eq=False, slots=True)
class Constants:
    """Data of one instance.

    Args:
        goal: What is optimized.
        h: complex128 [K, M], channels (h_k as row k).
        weight: float64 [K], rate weights alpha.
        sinr_target: float64 [K], linear gamma.
        noise_w: sigma^2, W.
        p_total_w: P, W.
    """

    goal: Goal
    h: ComplexArray
    weight: FloatArray
    sinr_target: FloatArray
    noise_w: float
    p_total_w: float


def precoders(c: Constants, X: FloatArray) -> ComplexArray:
    """Precoders of points, complex128 [n, K, M], row k is w_k; X float64 [n, 2 K M]."""
    parts = X.reshape(X.shape[0], *c.h.shape, 2)
    W: ComplexArray = parts[..., 0] + 1j * parts[..., 1]
    return W


def to_points(W: ComplexArray) -> FloatArray:
    """Points of precoders, float64 [n, 2 K M]; W complex128 [n, K, M]."""
    X: FloatArray = np.stack([W.real, W.imag], axis=-1).reshape(W.shape[0], -1)
    return X


def cross_gains(c: Constants, W: ComplexArray) -> FloatArray:
    """Received powers |h_k^H w_j|^2, float64 [n, K, K], W; entry [k, j] at user k from the signal of user j."""
    received = np.einsum("km,njm->nkj", c.h.conj(), W)
    power: FloatArray = received.real**2 + received.imag**2
    return power


def sinr(c: Constants, W: ComplexArray) -> FloatArray:
    """SINR of every user, float64 [n, K]; W complex128 [n, K, M]."""
    interference = cross_gains(c, W)
    signal = np.einsum("nkk->nk", interference).copy()
    np.einsum("nkk->nk", interference)[...] = 0.0  # left out of the sum: subtracting it would cost the digits of the rest
    found: FloatArray = signal / (interference.sum(axis=2) + c.noise_w)
    return found


def evaluate(c: Constants, X: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Objective and constraints.

    Args:
        c: The instance's data.
        X: float64 [n, 2 K M], sqrt(W).

    Returns:
        F float64 [n, 1]: W, or smallest SINR over target, or bit/s/Hz; G float64 [n, k]: total power, and for
        ``min_power`` one column per user's SINR.
    """
    reached = sinr(c, precoders(c, X))
    power = (X * X).sum(axis=1)
    G = (power / c.p_total_w - 1.0)[:, None]
    if c.goal == "min_power":
        return power[:, None], np.column_stack([G, 1.0 - reached / c.sinr_target])
    if c.goal == "max_min":
        return (reached / c.sinr_target).min(axis=1, keepdims=True), G
    return (c.weight * np.log1p(reached) / np.log(2.0)).sum(axis=1, keepdims=True), G


def power_control(c: Constants, W: ComplexArray, target: FloatArray) -> FloatArray | None:
    """Least powers that reach SINRs with the directions of given precoders.

    Args:
        c: The instance's data.
        W: complex128 [K, M]; only directions count.
        target: float64 [K], SINRs, linear.

    Returns:
        float64 [K], W; None when no powers reach them (or a direction is zero).
    """
    return directed_powers(c.h, c.noise_w, W, target)


def project(c: Constants, X: FloatArray) -> FloatArray:
    """Projection on the power ball; for ``min_power`` also the least powers for the point's directions.

    The second step is taken where a SINR is missed and the directions admit its target within the power.

    Args:
        c: The instance's data.
        X: float64 [n, 2 K M], changed.
    """
    power = (X * X).sum(axis=1)
    over = power > c.p_total_w
    X[over] *= np.sqrt(c.p_total_w / power[over])[:, None]
    if c.goal != "min_power":
        return X
    missed = (evaluate(c, X)[1][:, 1:] > 1e-12).any(axis=1)
    for row in np.flatnonzero(missed):
        W = precoders(c, X[row : row + 1])[0]
        least = power_control(c, W, c.sinr_target)
        if least is not None and least.sum() <= c.p_total_w:
            scale = np.sqrt(least * (1.0 + 1e-14)) / np.linalg.norm(W, axis=1)
            X[row] = to_points((W * scale[:, None])[None])[0]
    return X
