r"""One price for selfish links: upper bound over all prices by branch and bound, with enclosures of the game's course.

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
from optisolve.core.capabilities import SelfishLinks

__all__ = ["ROUNDING", "Proof", "enclosed_value", "good_price", "neighbors", "upper_bound"]

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


def good_price(values_at: Callable[[FloatArray], FloatArray], low: float, high: float, n: int) -> float:
    """The best decision of a grid that is refined twice around its best point.

    Args:
        values_at: Values of decisions float64 [n], kbit/J, float64 [n].
        low: Smallest decision, log10 of the price.
        high: Largest.
        n: Decisions of each of the three grids.
    """
    first, last, best = low, high, low
    for _ in range(3):
        grid = np.linspace(low, high, n)
        best = float(grid[int(np.argmax(values_at(grid)))])
        step = (high - low) / (n - 1)
        low, high = max(best - 2.0 * step, first), min(best + 2.0 * step, last)
    return best


def neighbors(x: float) -> FloatArray:
    """Decisions beside one, float64 [17]: where a link leaves the value jumps, the best is the last number before."""
    return np.asarray(x + 8.0 * np.spacing(x) * np.linspace(-1.0, 1.0, 17))


def upper_bound(
    up: SelfishLinks,
    low: float,
    high: float,
    value_at: Callable[[float], float],
    start: float,
    *,
    rtol: float,
    most_cells: int,
    stop: Callable[[], bool] | None = None,
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
        stop: Whether to end at once; asked before every value.
    """
    value, x = max((value_at(x), x) for x in (low, high, start))
    heap, n_cells = [(-math.inf, low, high)], 0  # bounds with their sign turned, ends
    while heap:
        bound, a, b = heapq.heappop(heap)
        if -bound <= value * (1.0 + rtol) or n_cells >= most_cells or (stop is not None and stop()):
            return Proof(x, value, max(-bound, value) * (1.0 + ROUNDING), n_cells)
        middle = 0.5 * (a + b)
        if not a < middle < b:
            continue  # both ends are known, and there is nothing between them
        value, x = max((value, x), (value_at(middle), middle))
        for left, right in ((a, middle), (middle, b)):
            n_cells += 1
            heapq.heappush(heap, (-min(-bound, enclosed_value(up, left, right)), left, right))
    return Proof(x, value, value * (1.0 + ROUNDING), n_cells)


def enclosed_value(up: SelfishLinks, low: float, high: float) -> float:
    """Upper bound of the value for decisions between two, kbit/J."""
    from optisolve.numerics.priced_links_kernels import enclosed

    numbers = (up.noise_w, up.processing_gain, up.p_max_w, up.rate_bit_s, up.frame_bits, up.balanced_sinr)
    return 1e-3 * float(enclosed(10.0**low, 10.0**high, up.gain, *numbers, np.empty((5, up.gain.size))))
