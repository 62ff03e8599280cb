"""The game of selfish links with a price on power, played price by price, and enclosures of its course.

`optisolve.problems.pricing_game.model` and `priced_links` say what is computed.

It is a loop of loops with early ends, some 300 rounds of 45 bisections for one number: compiled it takes 0.2 to 1 ms a price,
in numpy 17 to 80 ms, so there is no second implementation beside it. The one in `tests/problems/pricing_in_numpy.py` and
the one in `tests/independent` say whether it is right. `enclosed` uses the same `response`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.numerics.compiled import njit

__all__ = ["enclosed", "evaluate", "excess", "response"]


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


@njit(cache=True, nogil=True)
def enclosed(
    price_low: float,
    price_high: float,
    gain: FloatArray,
    noise: float,
    processing: float,
    cap: float,
    rate: float,
    bits: int,
    top: float,
    work: FloatArray,
) -> float:
    """Upper bound of the total utility, bit/J; `work` is float64 [5, K] to write on."""
    n = gain.size
    least, most, state, next_least, next_most = work[0], work[1], work[2], work[3], work[4]
    work[:] = 0.0  # state: 0 active, 1 perhaps gone, 2 gone
    numbers = (processing, cap, rate, bits, top)
    utmost = min(cap, math.sqrt(rate * excess(math.log(bits), bits, 0.0) / price_low))  # of a link that stays, W
    for _ in range(300):
        low_total, high_total, moved = noise, noise, False
        for k in range(n):
            low_total += gain[k] * least[k]
            high_total += gain[k] * most[k]
        for k in range(n):
            if state[k] == 2.0:
                next_least[k] = next_most[k] = 0.0
                continue
            low_heard, high_heard = low_total - gain[k] * least[k], high_total - gain[k] * most[k]
            lowest = response(low_heard, gain[k], price_high, *numbers)
            if lowest <= 0.0 and response(low_heard, gain[k], price_low, *numbers) <= 0.0:
                state[k] = 2.0  # it leaves even at its best
                next_least[k] = next_most[k] = 0.0
            else:
                if state[k] == 0.0 and response(high_heard, gain[k], price_high, *numbers) <= 0.0:
                    state[k] = 1.0
                next_least[k] = 0.0 if state[k] == 1.0 else lowest
                reply = response(high_heard, gain[k], price_low, *numbers)
                next_most[k] = reply if reply > 0.0 else utmost
            moved |= abs(next_least[k] - least[k]) > 1e-12 * max(next_least[k], least[k])
            moved |= abs(next_most[k] - most[k]) > 1e-12 * max(next_most[k], most[k])
        least[:], most[:] = next_least, next_most
        if not moved:
            break
    low_total, value = noise, 0.0
    for k in range(n):
        low_total += gain[k] * least[k]
    for k in range(n):
        if state[k] < 2.0:
            low_heard = low_total - gain[k] * least[k]
            per_watt = processing * gain[k] / low_heard
            wanted = per_watt * response(low_heard, gain[k], price_low, processing, np.inf, rate, bits, top)
            sinr = per_watt * most[k] if wanted <= 0.0 else min(per_watt * most[k], wanted)
            each = per_watt / sinr
            if least[k] > 0.0:
                each = min(each, 1.0 / least[k])
            value += rate * (-math.expm1(-sinr)) ** bits * each
    return value
