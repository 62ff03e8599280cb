r"""Upper bound of `pricing_game` over all prices: branch and bound on the one decision, with enclosures of the game's course.

For an active link the best response is :math:`p = \sqrt{R N(\gamma) / c}`, where :math:`N = \gamma f' - f` falls beyond the
inflection ln M. More interference or a higher price therefore lowers the SINR that the link wants; more interference raises its
power, a higher price lowers it; and both make it leave earlier. So over an interval of prices :math:`[c_1, c_2]` the powers
of every round lie between those that follow the lowest powers at :math:`c_2` and the highest powers at :math:`c_1`, as long as
the same links leave in the same rounds; a link of which that is not certain counts as silent in the lower powers and as present
in the upper ones. With :math:`h` the SINR of one watt, a link then earns at most

.. math::

    R f(\hat\gamma) \min(\hat h / \hat\gamma, 1 / p_{low}), \qquad
    \hat\gamma = \min(\hat h \, p_{high}, \gamma(c_1, \text{least interference}))

since f(g)/g rises up to the SINR without a price. Intervals whose bound exceeds the best value found are halved. Where a link
leaves the value jumps; halving ends there when no float64 number lies between both ends, that is, when there is no further
decision. The bound holds up to the rounding of the equilibrium, for which `ROUNDING` is added.

Source: our own derivation; supermodularity of the game: Saraydar, Mandayam and Goodman 2002, doi 10.1109/26.983324.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.numerics.compiled import njit
from optisolve.problems.pricing_game.equilibrium import excess, response
from optisolve.problems.pricing_game.model import Uplink

__all__ = ["ROUNDING", "Proof", "enclosed_value", "upper_bound"]

ROUNDING = 1e-8
"""Relative error of a settled equilibrium's value: 300 rounds that may each stop 1e-12 short, times what f makes of them."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What branch and bound found.

    Attributes:
        x: Best decision met, log10 of the price.
        value: Its value, kbit/J.
        bound: No decision is worth more, kbit/J; infinite when the intervals were too few for any bound.
        n_cells: Intervals looked at.
    """

    x: float
    value: float
    bound: float
    n_cells: int


def upper_bound(
    up: Uplink, low: float, high: float, value_at: Callable[[float], float], start: float, *, rtol: float, most_cells: int
) -> Proof:
    """Bound the value over all decisions of an interval.

    Args:
        up: The game.
        low: Smallest decision, log10 of the price.
        high: Largest.
        value_at: Value of a decision, kbit/J.
        start: A good decision; the better it is, the fewer intervals.
        rtol: Gap between value and bound at which to stop, relative.
        most_cells: Intervals looked at, at most.
    """
    value, x = max((value_at(x), x) for x in (low, high, start))
    heap, n_cells = [(-math.inf, low, high)], 0  # bounds with their sign turned, ends
    while heap:
        bound, a, b = heapq.heappop(heap)
        if -bound <= value * (1.0 + rtol) or n_cells >= most_cells:
            return Proof(x, value, max(-bound, value) * (1.0 + ROUNDING), n_cells)
        middle = 0.5 * (a + b)
        if not a < middle < b:
            continue  # both ends are known, and there is nothing between them
        value, x = max((value, x), (value_at(middle), middle))
        for left, right in ((a, middle), (middle, b)):
            n_cells += 1
            heapq.heappush(heap, (-min(-bound, enclosed_value(up, left, right)), left, right))
    return Proof(x, value, value * (1.0 + ROUNDING), n_cells)


def enclosed_value(up: Uplink, low: float, high: float) -> float:
    """Upper bound of the value for decisions between two, kbit/J."""
    numbers = (up.noise_w, up.processing_gain, up.p_max_w, up.rate_bit_s, up.frame_bits, up.balanced_sinr)
    return 1e-3 * float(_enclosed(10.0**low, 10.0**high, up.gain, *numbers, np.empty((5, up.gain.size))))


@njit(cache=True, nogil=True)
def _enclosed(
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
