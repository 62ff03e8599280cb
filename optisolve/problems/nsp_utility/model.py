r"""The equations of `nsp_utility` in plain numpy: the twin that verification runs on.

One transmitter spreads power p over M parallel branches with gains g_m and noise sigma^2. Qualities of service:

.. math::

    R &= B \sum_m \log_2(1 + p_m g_m / \sigma^2)                         && \text{rate [bit/s], concave} \\
    A &= \exp(-\sum_m \gamma_{th} \sigma^2 / (p_m g_m))                  && \text{availability, every branch must hold (Rayleigh), log-concave} \\
    b &= \frac1M \sum_m \tfrac12 (1 - \sqrt{\bar\gamma_m / (1 + \bar\gamma_m)}) && \text{bit error probability (BPSK, Rayleigh), convex} \\
    E &= \sum_m p_m + P_c                                                && \text{consumed power [W]}

Utility = base + payment * quality - price * sum(p); quality is R in Mbit/s, A, 1 - b, or the effective throughput R A in
Mbit/s. The energy goal minimizes E. Floors on outage 1 - A, on b and on R may be added to any goal.

Source: our own formulation ("NSP-U") of the case study in arXiv 2402.09756, whose exact formulas are not published; the
formulas for availability and BEP are textbook ones (Rayleigh fading with mean gain g_m; BPSK).
"""  # noqa: E501

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from optisolve.core.arrays import FloatArray

__all__ = ["Constants", "Goal", "availability_exponent", "bit_error", "evaluate", "project", "rate_mbps", "typical_quality"]

Goal = Literal["rate", "availability", "bep", "throughput", "energy"]

_LN2 = float(np.log(2.0))


@dataclass(frozen=True, slots=True)
class Constants:
    """What the equations need beside the gains.

    Args:
        goal: What is paid for; ``energy`` minimizes consumed power.
        bandwidth_hz: B of every branch, Hz.
        noise_w: sigma^2, W.
        p_total_w: Cap on the sum of powers, W.
        p_circuit_w: P_c, W.
        snr_threshold: gamma_th below which a branch is in outage, linear.
        payment_base: Utility at quality 0 and power 0.
        payment: Utility per unit of quality.
        price_per_w: Cost of 1 W.
        outage_max: Largest outage probability, or None.
        bep_max: Largest mean bit error probability, or None.
        rate_min_mbps: Smallest rate, Mbit/s, or None.
    """

    goal: Goal
    bandwidth_hz: float
    noise_w: float
    p_total_w: float
    p_circuit_w: float
    snr_threshold: float
    payment_base: float
    payment: float
    price_per_w: float
    outage_max: float | None
    bep_max: float | None
    rate_min_mbps: float | None


def rate_mbps(c: Constants, snr: FloatArray) -> FloatArray:
    """Rate R, float64 [n], Mbit/s, from the branches' SNR, float64 [n, M]."""
    rate: FloatArray = 1e-6 * c.bandwidth_hz / _LN2 * np.log1p(snr).sum(axis=-1)
    return rate


def availability_exponent(c: Constants, snr: FloatArray) -> FloatArray:
    """-log A, float64 [n]; infinite where a branch has no power. Snr: float64 [n, M]."""
    with np.errstate(divide="ignore", over="ignore"):
        exponent: FloatArray = (c.snr_threshold / snr).sum(axis=-1)
    return exponent


def bit_error(snr: FloatArray) -> FloatArray:
    """Mean bit error probability b, float64 [n], from the branches' mean SNR, float64 [n, M].

    Written as 1 / (2 (1 + s)(1 + sqrt(s / (1 + s)))), equal to the textbook form and without its cancellation.
    """
    error: FloatArray = (0.5 / ((1.0 + snr) * (1.0 + np.sqrt(snr / (1.0 + snr))))).mean(axis=-1)
    return error


def typical_quality(c: Constants, gain: FloatArray) -> float:
    """Quality of a plain answer with the whole power, in the quality's unit, > 0: what earnings are measured by.

    Power like 1 / sqrt(gain) where every branch must hold, equal power else; 1 where quality is a probability near 1, or
    underflows.
    """
    if c.goal in ("bep", "energy"):
        return 1.0
    share = gain**-0.5 if c.goal in ("availability", "throughput") else np.ones_like(gain)
    snr = c.p_total_w * share / share.sum() * (gain / c.noise_w)
    rate, available = float(rate_mbps(c, snr)), float(np.exp(-availability_exponent(c, snr)))
    quality = {"rate": rate, "availability": available, "throughput": rate * available}[c.goal]
    return quality or (1.0 if c.goal == "availability" else rate)


def evaluate(c: Constants, gain: FloatArray, X: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Objective and constraints.

    Args:
        c: Goal and constants.
        gain: float64 [M], linear.
        X: float64 [n, M], powers, W.

    Returns:
        F float64 [n, 1]: utility, or consumed power in W; G float64 [n, k]: total power and the floors in use.
    """
    snr = X * (gain / c.noise_w)  # [n, M]
    total_w = X.sum(axis=1)
    rate, exponent, error = rate_mbps(c, snr), availability_exponent(c, snr), bit_error(snr)
    if c.goal == "energy":
        F = total_w + c.p_circuit_w
    else:
        available = np.exp(-exponent)
        quality = {"rate": rate, "availability": available, "bep": 1.0 - error, "throughput": rate * available}[c.goal]
        F = c.payment_base + c.payment * quality - c.price_per_w * total_w
    columns = [total_w / c.p_total_w - 1.0]
    if c.outage_max is not None:
        columns.append(-np.expm1(-exponent) / c.outage_max - 1.0)
    if c.bep_max is not None:
        columns.append(error / c.bep_max - 1.0)
    if c.rate_min_mbps is not None:
        columns.append(1.0 - rate / c.rate_min_mbps)
    return F[:, None], np.column_stack(columns)


def project(c: Constants, gain: FloatArray, X: FloatArray) -> FloatArray:
    """Euclidean projection on the total power, then scaling up where a floor is missed.

    Every floor gets easier with more power, so a point below a floor is scaled by the smallest factor that meets all
    floors within the total power, or to the total power when none does.

    Args:
        c: Constants.
        gain: float64 [M], linear.
        X: float64 [n, M], inside the bounds.
    """
    P = c.p_total_w
    over = X.sum(axis=1) > P * (1.0 + 1e-12)
    if over.any():
        ordered = -np.sort(-X[over], axis=1)  # [n, M], descending
        shift = (np.cumsum(ordered, axis=1) - P) / np.arange(1, X.shape[1] + 1)  # [n, M]
        last = (ordered > shift).sum(axis=1) - 1  # largest index whose branch keeps power
        X[over] = np.maximum(X[over] - np.take_along_axis(shift, last[:, None], axis=1), 0.0)
    missed = (evaluate(c, gain, X)[1][:, 1:] > 1e-12).any(axis=1) & (X.sum(axis=1) > 0.0)
    if missed.any():
        X[missed] *= _smallest_factor(c, gain, X[missed])[:, None]
    powers: FloatArray = np.minimum(X, P)
    return powers


def _smallest_factor(c: Constants, gain: FloatArray, X: FloatArray) -> FloatArray:
    """Smallest factor in [1, P / sum(p)] that meets the floors, by bisection; the largest one when none does."""
    low: FloatArray = np.ones(X.shape[0])
    high: FloatArray = c.p_total_w / X.sum(axis=1)
    for _ in range(60):
        middle = 0.5 * (low + high)
        fine = (evaluate(c, gain, X * middle[:, None])[1][:, 1:] <= 0.0).all(axis=1)
        low, high = np.where(fine, low, middle), np.where(fine, middle, high)
    return high
