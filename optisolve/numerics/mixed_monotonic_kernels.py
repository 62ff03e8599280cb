"""Hot loops of the mixed-monotonic branch and bound; the tests hold the same steps as plain numpy.

Powers are scaled to [0, 1] and gains to the noise; rates are in nats. A node is a box [low, high] of powers. `data` is the
tuple (gain [K, K], weight [K], floor [K], circuit, slope [K]); `mixed_monotonic` documents the method.
"""

from __future__ import annotations

from math import inf, log, log1p

import numpy as np

from optisolve.numerics.compiled import njit
from optisolve.numerics.logarithm import log_one_plus

__all__ = ["expand", "objective", "screen"]

ULP = 2.0**-52

_kernel = njit(cache=True, nogil=True, error_model="numpy")


@_kernel
def objective(p, data):  # type: ignore[no-untyped-def]
    """Weighted sum rate over consumed power at p [K]; -inf when an SINR floor is missed."""
    gain, weight, floor, circuit, slope = data
    total, consumed = 0.0, circuit
    for i in range(p.size):
        interference = 1.0
        for j in range(p.size):
            if j != i:
                interference += gain[i, j] * p[j]
        signal = gain[i, i] * p[i]
        if signal < floor[i] * interference * (1.0 + 1e-11):  # above what the bounds use, so that it passes verification
            return -inf
        total += weight[i] * log_one_plus(signal / interference)
        consumed += slope[i] * p[i]
    return total / consumed


@_kernel
def _interference(p, gain):  # type: ignore[no-untyped-def]
    """Interference and noise of every link at p, float64 [K]."""
    received = np.ones(p.size)
    for i in range(p.size):
        for j in range(p.size):
            if j != i:
                received[i] += gain[i, j] * p[j]
    return received


@_kernel
def _monotonic_bound(low, high, least, data):  # type: ignore[no-untyped-def]
    """Own power at its largest, everybody else's at its smallest."""
    gain, weight, _, circuit, slope = data
    total, consumed = 0.0, circuit
    for i in range(low.size):
        total += weight[i] * log_one_plus(gain[i, i] * high[i] / least[i])
        consumed += slope[i] * low[i]
    return total / consumed


@_kernel
def _lift(low, high, gain, floor):  # type: ignore[no-untyped-def]
    """Shrink the box in place to what the SINR floors leave; False when nothing is left.

    A link needs ``floor * least interference / gain`` at least, and nobody may interfere so much that a link misses its
    floor even at its largest power.
    """
    n = low.size
    for _ in range(n + 2):
        moved = False
        for i in range(n):
            if floor[i] <= 0.0:
                continue
            least = 1.0
            for j in range(n):
                if j != i:
                    least += gain[i, j] * low[j]
            needed = floor[i] * (1.0 - 1e-11) * least / gain[i, i]  # the margin covers the rounding of every round
            if needed > high[i] * (1.0 + 1e-12):
                return False
            if needed > low[i]:
                moved = moved or needed > low[i] * (1.0 + 1e-9)
                low[i] = min(needed, high[i])
            slack = gain[i, i] * high[i] / floor[i] * (1.0 + 1e-11) - least
            for j in range(n):
                if j != i and gain[i, j] > 0.0:
                    high[j] = min(high[j], low[j] + max(0.0, slack / gain[i, j]))
        if not moved:
            break
    return True


@_kernel
def _fix_monotone(low, high, least, most, data, least_value, most_value):  # type: ignore[no-untyped-def]
    """Fix powers in which the objective only rises or only falls on the box, in place; True when one was fixed.

    The derivative of ``rate - value * consumed power`` is bounded over the box by interval arithmetic, for every value that
    the optimum may still have: at a maximizer of the ratio that difference is maximal (Dinkelbach 1967).
    """
    gain, weight, _, _, slope = data
    n = low.size
    harm_least, harm_most = np.zeros(n), np.zeros(n)
    for i in range(n):
        big, small = gain[i, i] * high[i], gain[i, i] * low[i]
        big_harm = weight[i] * big / ((least[i] + big) * least[i])
        small_harm = weight[i] * small / ((most[i] + small) * most[i])
        for j in range(n):
            if j != i:
                harm_most[j] += gain[i, j] * big_harm
                harm_least[j] += gain[i, j] * small_harm
    fixed = False
    for j in range(n):
        if high[j] <= low[j]:
            continue
        own_least = weight[j] * gain[j, j] / (most[j] + gain[j, j] * high[j])
        own_most = weight[j] * gain[j, j] / (least[j] + gain[j, j] * low[j])
        if own_least - harm_most[j] - most_value * slope[j] >= 0.0:
            low[j] = high[j]
            fixed = True
        elif own_most - harm_least[j] - least_value * slope[j] <= 0.0:
            high[j] = low[j]
            fixed = True
    return fixed


@_kernel
def _concave_bound(low, high, least, most, data, value, rounds, target, corner):  # type: ignore[no-untyped-def]
    """Bound on ``rate - value * consumed power`` over a box by a concave function and its tangent planes.

    ``rate_i = log(received power) - log(interference)``: the chord of ``-log`` over the box's interference range lies above
    the second term, a tangent of ``log`` above the first. Every tangent point gives a valid bound; a few steps of Frank and
    Wolfe improve it. The corner that maximizes the last plane, a good candidate point, is written to `corner` float64 [K].
    """
    gain, weight, _, circuit, slope = data
    n = low.size
    chord, at, received = np.empty(n), np.empty(n), np.empty(n)
    constant, size = -value * circuit, value * circuit  # size: what the terms add up to without their signs
    for i in range(n):
        wide = most[i] > least[i] * (1.0 + 1e-9)
        chord[i] = log1p((most[i] - least[i]) / least[i]) / (most[i] - least[i]) if wide else 1.0 / most[i]
        constant += weight[i] * (chord[i] * (least[i] - 1.0) - log(least[i]))
        size += weight[i] * (chord[i] * least[i] + log(least[i]))
        at[i] = 0.5 * (low[i] + high[i])
    bound = inf
    for k in range(rounds):
        total, sum_of_sizes = constant, size
        for i in range(n):
            received[i] = 1.0
            for j in range(n):
                received[i] += gain[i, j] * at[j]
            total += weight[i] * (log(received[i]) + 1.0 / received[i] - 1.0)
            sum_of_sizes += weight[i] * (log(received[i]) + 1.0)
        for j in range(n):
            own = weight[j] * gain[j, j] / received[j]
            c, terms = own - value * slope[j], own + value * slope[j]
            for i in range(n):
                if i != j:
                    c += weight[i] * gain[i, j] * (1.0 / received[i] - chord[i])
                    terms += weight[i] * gain[i, j] * (1.0 / received[i] + chord[i])
            corner[j] = high[j] if c > 0.0 else low[j]
            total += c * corner[j]
            sum_of_sizes += terms * high[j]
        bound = min(bound, total + (n + 8) * ULP * sum_of_sizes)
        if bound <= target:
            break
        for j in range(n):
            at[j] += 2.0 / (k + 3.0) * (corner[j] - at[j])
    return bound


@_kernel
def screen(low, high, parent, incumbent, gap, data, rounds, corner):  # type: ignore[no-untyped-def]
    """Shrink one box in place and bound the objective on it; -inf when no feasible point is left.

    A corner of the box that may be a good point is written to `corner`, float64 [K].
    """
    gain, _, floor, circuit, slope = data
    constrained = floor.max() > 0.0
    if constrained and not _lift(low, high, gain, floor):
        return -inf
    target = incumbent * (1.0 + gap)
    least, most = _interference(low, gain), _interference(high, gain)
    bound = min(parent, _monotonic_bound(low, high, least, data))
    corner[:] = high
    if incumbent < 0.0:
        return bound
    # Moving one power to a corner of the box could break a floor elsewhere, hence only without floors.
    while not constrained and bound > target:
        if not _fix_monotone(low, high, least, most, data, incumbent, bound):
            break
        least, most = _interference(low, gain), _interference(high, gain)
        bound = min(bound, _monotonic_bound(low, high, least, data))
    if bound <= target or rounds == 0:
        return bound
    if slope.max() > 0.0:
        if _concave_bound(low, high, least, most, data, target, rounds, 0.0, corner) <= 0.0:
            bound = target
        return bound
    got = _concave_bound(low, high, least, most, data, 0.0, rounds, target * circuit, corner)
    return min(bound, got / circuit)


@_kernel
def _push(heap, bounds, size, node):  # type: ignore[no-untyped-def]
    """Insert a node into a binary heap with the largest bound on top."""
    position = size
    while position > 0:
        above = (position - 1) // 2
        if bounds[heap[above]] >= bounds[node]:
            break
        heap[position] = heap[above]
        position = above
    heap[position] = node


@_kernel
def _pop(heap, bounds, size):  # type: ignore[no-untyped-def]
    """Remove the top of the heap; `size` counts it."""
    node = heap[size - 1]
    position = 0
    while 2 * position + 1 < size - 1:
        child = 2 * position + 1
        if child + 1 < size - 1 and bounds[heap[child + 1]] > bounds[heap[child]]:
            child += 1
        if bounds[heap[child]] <= bounds[node]:
            break
        heap[position] = heap[child]
        position = child
    heap[position] = node


@_kernel
def expand(lows, highs, bounds, heap, counts, best, values, steps, gap, data, rounds):  # type: ignore[no-untyped-def]
    """Process up to `steps` boxes, best bound first.

    Args:
        lows: float64 [slots, K]; with `highs` the boxes, updated.
        bounds: float64 [slots], updated.
        heap: int64 [slots], open boxes, updated.
        counts: int64 [3], heap size, slots used, boxes processed, updated.
        best: float64 [K], the incumbent, updated.
        values: float64 [2], the incumbent's value and the largest bound among discarded boxes, updated.
        steps: Boxes to process at most; `slots` must exceed the slots used by this many.
        gap: Relative gap at which a box is discarded.
        data: See the module.
        rounds: Tangent planes of the concave bound; 0 leaves it out.
    """
    n = best.size
    low, high, corner = np.empty(n), np.empty(n), np.empty(n)
    parent_low, parent_high = np.empty(n), np.empty(n)
    for _ in range(steps):
        if counts[0] == 0 or bounds[heap[0]] <= values[0] * (1.0 + gap):
            return
        slot = heap[0]
        bound = bounds[slot]
        parent_low[:], parent_high[:] = lows[slot], highs[slot]
        _pop(heap, bounds, counts[0])
        counts[0] -= 1
        counts[2] += 1
        j = np.argmax(parent_high - parent_low)
        middle = 0.5 * (parent_low[j] + parent_high[j])
        for side in range(2):
            low[:], high[:] = parent_low, parent_high
            if side == 0:
                low[j] = middle
            else:
                high[j] = middle
            child = screen(low, high, bound, values[0], gap, data, rounds, corner)
            if child == -inf:
                continue
            for point in (corner, low, high):
                value = objective(point, data)
                if value > values[0]:
                    values[0] = value
                    best[:] = point
            if child <= values[0] * (1.0 + gap):
                values[1] = max(values[1], child)
                continue
            if slot < 0:
                slot = counts[1]
                counts[1] += 1
            lows[slot], highs[slot] = low, high
            bounds[slot] = child
            _push(heap, bounds, counts[0], slot)
            counts[0] += 1
            slot = -1  # the parent's slot is reused once
