"""The mixed-monotonic branch and bound in plain numpy: the second implementation that its kernels are compared with.

Same bounds, same order of boxes, same result up to rounding; tests and the speed benchmark compare the two. Gains are
scaled so that noise is 1 and every power runs over [0, 1]; rates are in nats.
"""

from __future__ import annotations

import heapq

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.numerics.mixed_monotonic import Data


def interference(p: FloatArray, gain: FloatArray) -> FloatArray:
    """Interference and noise of every link at p [K], float64 [K]."""
    return 1.0 + (gain - np.diag(np.diag(gain))) @ p


def objective(p: FloatArray, data: Data) -> float:
    """Weighted sum rate over consumed power at p [K]; -inf when an SINR floor is missed."""
    received = interference(p, data.gain)
    signal = np.diag(data.gain) * p
    if (signal < data.floor * received * (1.0 + 1e-11)).any():  # above what the bounds use, so that it passes verification
        return -np.inf
    return float(data.weight @ np.log1p(signal / received)) / (data.circuit + float(data.slope @ p))


def monotonic_bound(low: FloatArray, high: FloatArray, data: Data) -> float:
    """Bound on a box: own power at its largest, everybody else's at its smallest (arXiv 1910.07853, MMP)."""
    rate = data.weight @ np.log1p(np.diag(data.gain) * high / interference(low, data.gain))
    return float(rate) / (data.circuit + float(data.slope @ low))


def lift(low: FloatArray, high: FloatArray, data: Data) -> bool:
    """Shrink the box in place to what the SINR floors leave; False when nothing is left.

    A link needs ``floor * least interference / gain`` at least, and nobody may interfere so much that a link misses its
    floor even at its largest power.
    """
    n = low.size
    for _ in range(n + 2):
        moved = False
        for i in np.flatnonzero(data.floor > 0.0):
            others = np.arange(n) != i
            least = 1.0 + float(data.gain[i, others] @ low[others])
            needed = data.floor[i] * (1.0 - 1e-11) * least / data.gain[i, i]  # the margin covers the rounding of every round
            if needed > high[i] * (1.0 + 1e-12):
                return False
            if needed > low[i]:
                moved = moved or bool(needed > low[i] * (1.0 + 1e-9))
                low[i] = min(needed, high[i])
            slack = data.gain[i, i] * high[i] / data.floor[i] * (1.0 + 1e-11) - least
            heard = others & (data.gain[i] > 0.0)
            high[heard] = np.minimum(high[heard], low[heard] + np.maximum(0.0, slack / data.gain[i, heard]))
        if not moved:
            break
    return True


def fix_monotone(low: FloatArray, high: FloatArray, data: Data, least_value: float, most_value: float) -> bool:
    """Fix powers in which the objective only rises or only falls on the box, in place; True when one was fixed.

    The derivative of ``rate - value * consumed power`` is bounded over the box by interval arithmetic, for every value that
    the optimum may still have: at a maximizer of the ratio that difference is maximal (Dinkelbach 1967).
    """
    own_gain = np.diag(data.gain)
    cross = data.gain - np.diag(own_gain)
    least, most = interference(low, data.gain), interference(high, data.gain)
    big, small = own_gain * high, own_gain * low
    harm_most = cross.T @ (data.weight * big / ((least + big) * least))
    harm_least = cross.T @ (data.weight * small / ((most + small) * most))
    own_least = data.weight * own_gain / (most + big)
    own_most = data.weight * own_gain / (least + small)
    free = high > low
    rising = free & (own_least - harm_most - most_value * data.slope >= 0.0)
    falling = free & ~rising & (own_most - harm_least - least_value * data.slope <= 0.0)
    low[rising] = high[rising]
    high[falling] = low[falling]
    return bool(rising.any() or falling.any())


def concave_bound(
    low: FloatArray, high: FloatArray, data: Data, value: float, rounds: int, target: float
) -> tuple[float, FloatArray]:
    """Bound on ``rate - value * consumed power`` over a box by a concave function and its tangent planes.

    ``rate_i = log(received power) - log(interference)``: the chord of ``-log`` over the box's interference range lies above
    the second term, a tangent of ``log`` above the first. Every tangent point gives a valid bound; a few steps of Frank and
    Wolfe improve it.

    Returns:
        The bound and the corner that maximizes the last plane, a good candidate point.
    """
    own, cross = np.diag(data.gain), data.gain - np.diag(np.diag(data.gain))
    least, most = interference(low, data.gain), interference(high, data.gain)
    wide = most > least * (1.0 + 1e-9)
    chord = np.where(wide, np.log1p((most - least) / least) / np.where(wide, most - least, 1.0), 1.0 / most)
    constant = float(data.weight @ (chord * (least - 1.0) - np.log(least))) - value * data.circuit
    size = float(data.weight @ (chord * least + np.log(least))) + value * data.circuit  # the terms without their signs
    at, bound, corner = 0.5 * (low + high), np.inf, high.copy()
    for k in range(rounds):
        received = 1.0 + data.gain @ at
        # The chord of a link's own interference does not see its own power, which would cancel out of the sum below.
        c = data.weight * own / received + cross.T @ (data.weight * (1.0 / received - chord)) - value * data.slope
        corner = np.where(c > 0.0, high, low)
        total = constant + float(data.weight @ (np.log(received) + 1.0 / received - 1.0)) + float(c @ corner)
        terms = data.weight * own / received + cross.T @ (data.weight * (1.0 / received + chord)) + value * data.slope
        sizes = size + float(data.weight @ (np.log(received) + 1.0)) + float(terms @ high)
        bound = min(bound, total + (low.size + 8) * 2.0**-52 * sizes)
        if bound <= target:
            break
        at = at + 2.0 / (k + 3.0) * (corner - at)
    return bound, corner


def screen(
    low: FloatArray, high: FloatArray, parent: float, incumbent: float, gap: float, data: Data, rounds: int
) -> tuple[float, FloatArray]:
    """Shrink one box in place and bound the objective on it.

    Returns:
        The bound (-inf when no feasible point is left) and a corner of the box that may be a good point.
    """
    constrained = bool(data.floor.max() > 0.0)
    if constrained and not lift(low, high, data):
        return -np.inf, high
    target = incumbent * (1.0 + gap)
    bound = min(parent, monotonic_bound(low, high, data))
    if incumbent < 0.0:
        return bound, high
    while not constrained and bound > target:
        if not fix_monotone(low, high, data, incumbent, bound):
            break
        bound = min(bound, monotonic_bound(low, high, data))
    if bound <= target or rounds == 0:
        return bound, high
    if data.slope.max() > 0.0:
        got, corner = concave_bound(low, high, data, target, rounds, 0.0)
        return (target if got <= 0.0 else bound), corner
    got, corner = concave_bound(low, high, data, 0.0, rounds, target * data.circuit)
    return min(bound, got / data.circuit), corner


def search(data: Data, best: FloatArray, *, gap: float, max_nodes: int, rounds: int) -> tuple[FloatArray, float, float, int]:
    """Best-first branch and bound.

    Args:
        data: The scaled problem.
        best: float64 [K], a start in [0, 1]; an infeasible one only costs time.
        gap: Relative gap at which a box is discarded.
        max_nodes: Boxes to process at most.
        rounds: Tangent planes of the concave bound.

    Returns:
        Best point, its value, the dual bound, boxes processed.
    """
    value, discarded, n_nodes, order = objective(best, data), -np.inf, 0, 0
    root = (np.zeros(best.size), np.ones(best.size))
    heap = [(-screen(*root, np.inf, value, gap, data, rounds)[0], order, *root)]
    if heap[0][0] == np.inf:
        return best, -np.inf, -np.inf, 0
    while heap and n_nodes < max_nodes and -heap[0][0] > value * (1.0 + gap):
        negative, _, parent_low, parent_high = heapq.heappop(heap)
        n_nodes += 1
        j = int(np.argmax(parent_high - parent_low))
        for side in range(2):
            low, high = parent_low.copy(), parent_high.copy()
            (low if side == 0 else high)[j] = 0.5 * (parent_low[j] + parent_high[j])
            bound, corner = screen(low, high, -negative, value, gap, data, rounds)
            if bound == -np.inf:
                continue
            for point in (corner, low, high):
                found = objective(point, data)
                if found > value:
                    value, best = found, point.copy()
            if bound <= value * (1.0 + gap):
                discarded = max(discarded, bound)
                continue
            order += 1
            heapq.heappush(heap, (-bound, order, low, high))
    top = -heap[0][0] if heap else -np.inf
    return best, value, max(top, discarded, value), n_nodes
