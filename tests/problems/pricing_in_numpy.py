"""`pricing_game` played in numpy, all prices at once: the second implementation that its compiled loops are compared with."""

from __future__ import annotations

import numpy as np

from optisolve.core.arrays import FloatArray, product
from optisolve.problems.pricing_game.model import Uplink

ROUNDS, BISECTIONS, SETTLED = 300, 45, 1e-12


def equilibrium(price: FloatArray, up: Uplink) -> FloatArray:
    """Powers of the smallest equilibrium, float64 [n, K], W, at prices float64 [n]."""
    P = np.zeros((price.size, up.gain.size))
    out = np.zeros(P.shape, dtype=bool)
    for _ in range(ROUNDS):
        following = np.where(out, 0.0, _best_response(P, price[:, None], up))
        out |= following <= 0.0
        moved = np.abs(following - P) > SETTLED * np.maximum(following, P)
        P = following
        if not moved.any():
            break
    return P


def total_utility(P: FloatArray, up: Uplink) -> FloatArray:
    """Delivered bits per joule of all links, float64 [n], kbit/J."""
    heard = up.noise_w + _others(P, up)
    sinr = up.processing_gain * up.gain * P / heard
    sent = P > 0.0
    each = np.where(sent, up.rate_bit_s * (-np.expm1(-sinr)) ** up.frame_bits / np.where(sent, P, 1.0), 0.0)
    return np.asarray(1e-3 * each.sum(axis=1))


def _others(P: FloatArray, up: Uplink) -> FloatArray:
    """What every link hears of the others, float64 [n, K], W."""
    return product(P, up.gain[:, None] * (1.0 - np.eye(up.gain.size)))


def _best_response(P: FloatArray, price: FloatArray, up: Uplink) -> FloatArray:
    heard = up.noise_w + _others(P, up)  # [n, K]
    per_watt = up.processing_gain * up.gain / heard
    M, cost = up.frame_bits, price / up.rate_bit_s / per_watt**2
    low, high = np.full(P.shape, np.log(M)), np.full(P.shape, up.balanced_sinr)

    def gain(g: FloatArray) -> FloatArray:  # g f'(g) - f(g)
        base = -np.expm1(-g)
        return np.asarray(base ** (M - 1) * (M * g * np.exp(-g) - base))

    pays = gain(low) > cost * low**2
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        rising = gain(middle) > cost * middle**2
        low, high = np.where(rising, middle, low), np.where(rising, high, middle)
    power = np.minimum(0.5 * (low + high) / per_watt, up.p_max_w)
    net = up.rate_bit_s * (-np.expm1(-power * per_watt)) ** M / power - price * power
    return np.asarray(np.where(pays & (net > 0.0), power, 0.0))
