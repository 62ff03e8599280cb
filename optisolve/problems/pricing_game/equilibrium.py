"""The game of `pricing_game`, played price by price; `model` says what is computed.

It is a loop of loops with early ends, some 300 rounds of 45 bisections for one number: compiled it takes 0.2 to 1 ms a price,
in numpy 17 to 80 ms, so there is no second implementation beside it. The one in `tests/problems/pricing_in_numpy.py` and
the one in `tests/independent` say whether it is right. The certificate encloses the same `response`.
"""

from __future__ import annotations

import math
from typing import Any

from optisolve.numerics.compiled import njit

__all__ = ["evaluate", "excess", "response"]


@njit(cache=True, nogil=True)
def excess(g: float, frame_bits: int, cost: float) -> float:
    """g f'(g) - f(g) - cost g^2, whose root beyond ln M is the wanted SINR g."""
    base = -math.expm1(-g)
    return float(base ** (frame_bits - 1) * (frame_bits * g * math.exp(-g) - base) - cost * g * g)


@njit(cache=True, nogil=True)
def response(
    heard: float, own: float, price: float, processing: float, cap: float, rate: float, bits: int, top: float
) -> float:
    """Best power against what is heard, W; 0 when it does not pay to transmit."""
    per_watt = processing * own / heard
    cost = price / rate / per_watt**2
    low, high = math.log(bits), top
    if excess(low, bits, cost) <= 0.0:
        return 0.0
    for _ in range(45):
        middle = 0.5 * (low + high)
        if excess(middle, bits, cost) > 0.0:
            low = middle
        else:
            high = middle
    power = min(0.5 * (low + high) / per_watt, cap)
    net = rate * (-math.expm1(-power * per_watt)) ** bits / power - price * power
    return power if net > 0.0 else 0.0


@njit(cache=True, nogil=True)
def evaluate(
    price: Any, gain: Any, noise: float, processing: float, cap: float, rate: float, bits: int, top: float, P: Any, F: Any
) -> None:
    """Equilibrium powers and total utility at every price.

    Args:
        price: float64 [n], utility per W.
        gain: float64 [K], linear.
        noise: W.
        processing: Processing gain, linear.
        cap: W.
        rate: bit/s.
        bits: Bits per frame.
        top: SINR of the equilibrium without a price.
        P: float64 [n, K], W, written; the following powers of a round are kept beside them.
        F: float64 [n, 1], kbit/J, written.
    """
    n_links = gain.size
    for s in range(price.size):
        for k in range(n_links):
            P[s, k] = 0.0
        following = P[s].copy()
        out = following > 0.0  # nobody yet
        for _ in range(300):
            total, moved = noise, False
            for k in range(n_links):
                total += gain[k] * P[s, k]
            for k in range(n_links):
                if out[k]:
                    following[k] = 0.0
                    continue
                heard = total - gain[k] * P[s, k]
                following[k] = response(heard, gain[k], price[s], processing, cap, rate, bits, top)
                out[k] = following[k] <= 0.0
                if abs(following[k] - P[s, k]) > 1e-12 * max(following[k], P[s, k]):
                    moved = True
            for k in range(n_links):
                P[s, k] = following[k]
            if not moved:
                break
        total, value = noise, 0.0
        for k in range(n_links):
            total += gain[k] * P[s, k]
        for k in range(n_links):
            if P[s, k] > 0.0:
                sinr = processing * gain[k] * P[s, k] / (total - gain[k] * P[s, k])
                value += rate * (-math.expm1(-sinr)) ** bits / P[s, k]
        F[s, 0] = 1e-3 * value
