"""Quality of fronts and points: hypervolume and IGD+ by moocore in the scoring box, gaps to a reference."""

from __future__ import annotations

import math
from bisect import bisect_right, insort
from collections.abc import Sequence

import numpy as np

from optisolve.core.arrays import BoolArray, FloatArray, IntArray
from optisolve.core.problem import HypervolumeBox, Instance
from optisolve.core.reference import Reference

__all__ = [
    "GAP_NOISE",
    "GainMeter",
    "exclusive_gains",
    "front_rows",
    "gain_totals",
    "hypervolume",
    "hypervolume_trace",
    "igd_plus",
    "knee_index",
    "normalize",
    "outside",
    "quiet",
    "score",
]

GAP_NOISE = 1e-9
"""Gaps of at most this size count as zero even where a reference states no tolerance, so that rounding decides nothing."""

_BLOCK = 256
"""Points screened at once against the front; bounds the memory of the comparison."""


def quiet(tie: float | None) -> float:
    """Relative difference that says nothing: the reference's tie, or rounding where it states none (None or NaN)."""
    return float(np.fmax(np.nan if tie is None else tie, GAP_NOISE))


def normalize(F: FloatArray, box: HypervolumeBox) -> FloatArray:
    """Map objectives so that the ideal point is 0 and the reference point 1 in every coordinate, whatever the sense.

    Args:
        F: float64 [n, m], in the problem's own senses.
        box: The scenario's box, same senses.

    Returns:
        float64 [n, m], to be minimized.
    """
    ideal, reference = np.asarray(box.ideal), np.asarray(box.reference)
    unit: FloatArray = (F - ideal) / (reference - ideal)
    return unit


def outside(F: FloatArray, box: HypervolumeBox) -> int:
    """How many points [n, m] lie outside a box on its bad side, so that they add nothing to the hypervolume in it."""
    return int((normalize(F, box) >= 1.0).any(axis=1).sum())


def hypervolume(F: FloatArray, box: HypervolumeBox) -> float:
    """Share of the box that a front dominates; above 1 only when points are better than the box's ideal point.

    Args:
        F: float64 [n, m], feasible points in the problem's own senses; n may be 0.
        box: The scenario's box.

    Source:
        Zitzler and Thiele 1998; computed by moocore.
    """
    return _volume(normalize(F, box))


def _volume(unit: FloatArray) -> float:
    from moocore import hypervolume as moocore_hypervolume

    inside = unit[(unit < 1.0).all(axis=1)]
    return float(moocore_hypervolume(inside, ref=1.0)) if inside.shape[0] else 0.0


def exclusive_gains(front: FloatArray, points: FloatArray) -> FloatArray:
    """What each of some points would add to a front's hypervolume alone, beside the front; float64 [n], >= 0.

    Args:
        front: float64 [k, m], losses; the box is from anywhere up to 1.
        points: float64 [n, m], losses.
    """
    inside = front[(front < 1.0).all(axis=1)]
    if points.shape[1] != 2:
        clipped = np.maximum(inside[None, :, :], points[:, None, :])  # [n, k, m]
        own = np.where((points < 1.0).all(axis=1), np.prod(1.0 - points, axis=1), 0.0)
        return np.array([max(0.0, volume - _volume(covered)) for volume, covered in zip(own, clipped, strict=True)])
    stairs = inside[front_rows(inside)]
    left, right = np.append(-np.inf, stairs[:, 0]), np.append(stairs[:, 0], 1.0)  # stairs of the part that is not dominated
    ceiling = np.append(1.0, stairs[:, 1])
    width = np.maximum(right - np.maximum(left, points[:, :1]), 0.0)  # [n, k + 1]
    gains: FloatArray = (width * np.maximum(ceiling - points[:, 1:], 0.0)).sum(axis=1)
    return gains


def front_rows(losses: FloatArray) -> IntArray:
    """Indices of the non-dominated rows, of equal ones the first; for two objectives by ascending first one.

    Args:
        losses: float64 [n, m], to be minimized.
    """
    if losses.shape[1] == 2:
        order = np.lexsort((losses[:, 1], losses[:, 0]))
        second = losses[order, 1]
        before = np.append(np.inf, np.minimum.accumulate(second)[:-1])
        rows: IntArray = order[second < before]
        return rows
    from moocore import is_nondominated

    return np.flatnonzero(is_nondominated(losses, keep_weakly=False)).astype(np.int64) if len(losses) else np.arange(0)


def igd_plus(F: FloatArray, front: FloatArray, box: HypervolumeBox) -> float | None:
    """Modified inverted generational distance to a reference front, in units of the box; None for an empty front.

    Args:
        F: float64 [n, m], feasible points, the problem's own senses.
        front: float64 [r, m], the reference front, same senses.
        box: The scenario's box, used to normalize both.

    Source:
        Ishibuchi et al. 2015, doi 10.1007/978-3-319-15892-1_8; computed by moocore.
    """
    if F.shape[0] == 0:
        return None
    from moocore import igd_plus as moocore_igd_plus

    return float(moocore_igd_plus(normalize(F, box), ref=normalize(front, box)))


def score(instance: Instance, F: FloatArray, reference: Reference | None) -> dict[str, float | None]:
    """All scores of the feasible points of one run.

    Args:
        instance: Gives senses and box.
        F: float64 [n, m], verified feasible objectives in the problem's own senses; n may be 0.
        reference: The reference, or None when there is none.

    Returns:
        ``hypervolume``, ``igd_plus`` (several objectives), ``objective`` (one objective, the best value), ``gap`` to
        the reference value and ``bound_gap`` to its dual bound, both signed, > 0 when worse and relative to ``gap_scale``.
        Between -``tie`` and ``tie`` a gap says nothing: that is the reference's own tolerance and slack, relative. For
        several objectives the gap is the share of the reference front's hypervolume that is missing, and ``gap_scale`` is
        that hypervolume. None where a score does not apply. No feasible point gives hypervolume 0 and infinite distance,
        written as None.
    """
    names = ("hypervolume", "igd_plus", "objective", "gap", "bound_gap", "gap_scale", "tie")
    scores: dict[str, float | None] = dict.fromkeys(names)
    if len(instance.objectives) > 1:
        box = instance.hypervolume_box
        assert box is not None  # the instance's constructor refuses several objectives without a box
        scores["hypervolume"] = own = hypervolume(F, box)
        if reference is not None and reference.F is not None and F.shape[0]:
            scores["igd_plus"] = igd_plus(F, reference.F, box)
            if (front := hypervolume(reference.F, box)) > 0.0:
                scores["gap"], scores["gap_scale"] = (front - own) / front, front
        return scores
    if F.shape[0] == 0:
        return scores
    objective = instance.objectives[0]
    best = float(np.min(F[:, 0] * instance.signs[0]) * instance.signs[0])
    scores["objective"] = best
    if reference is None:
        return scores
    target = reference.value if reference.value is not None else reference.dual_bound
    if target is not None:
        scale = objective.gap_scale(target)
        scores["gap_scale"], scores["tie"] = scale, reference.tie / scale
        for name, aim in (("gap", reference.value), ("bound_gap", reference.dual_bound)):
            scores[name] = None if aim is None else objective.shortfall(best, aim) / scale
    return scores


def hypervolume_trace(
    F_min: FloatArray, violation: FloatArray, signs: FloatArray, box: HypervolumeBox, at: IntArray
) -> FloatArray:
    """Hypervolume of everything evaluated up to each count.

    Args:
        F_min: float64 [n, m], minimization form, in evaluation order.
        violation: float64 [n].
        signs: float64 [m], see `Instance.signs`.
        box: The scenario's box.
        at: int64 [t], ascending evaluation counts in 1..n.

    Returns:
        float64 [t].
    """
    unit = normalize(F_min * signs, box)
    usable = (violation <= 0.0) & (unit < 1.0).all(axis=1)
    front = np.empty((0, unit.shape[1]))
    values, start = np.zeros(at.size), 0
    for i, stop in enumerate(at):
        block = unit[start:stop][usable[start:stop]]
        if block.shape[0]:
            front = _filter(np.concatenate([front, block]))
            values[i] = _volume(front)
        elif i:
            values[i] = values[i - 1]
        start = int(stop)
    return values


def gain_totals(
    F_min: FloatArray, violation: FloatArray, signs: FloatArray, box: HypervolumeBox, runs: Sequence[tuple[int, int]]
) -> list[float]:
    """Sums of the gains of `GainMeter` over runs of points, bit for bit, from a few hypervolumes instead of one per point.

    Volumes of one binade are multiples of one number, so that their differences and all partial sums of those are exact: the
    sum over a part in which the volume stays in its binade is the difference of two volumes, in whatever order it is taken.
    Only parts in which it enters another binade are looked at point by point. The parts are those of numpy's pairwise sum.

    Args:
        F_min: float64 [n, m], minimization form, in evaluation order.
        violation: float64 [n].
        signs: float64 [m], see `Instance.signs`.
        box: The scenario's box.
        runs: First index and index after the last of each run.
    """
    unit = normalize(F_min * signs, box)
    prefixes = _Prefixes(unit, (violation <= 0.0) & (unit < 1.0).all(axis=1))
    totals = []
    for start, stop in runs:
        gains = np.zeros(stop - start)
        waiting = [(start, stop)] if stop > start else []
        while waiting:
            a, b = waiting.pop()
            low, high = prefixes.volume(a), prefixes.volume(b)
            if _one_binade(low, high):
                gains[a - start] = high - low
            elif b - a <= _PAIRWISE:
                gains[a - start : b - start] = prefixes.gains(a, b)
            else:
                half = (b - a) // 2
                half -= half % 8
                waiting += [(a, a + half), (a + half, b)]
        totals.append(float(gains.sum()))
    return totals


_PAIRWISE = 128
"""Numbers that numpy sums without halving their range."""


def _one_binade(low: float, high: float) -> bool:
    """Whether everything between two volumes has one exponent; volumes round, so those beside its ends do not count."""
    return low == high or (math.frexp(low * (1.0 - 1e-12))[1] == math.frexp(high * (1.0 + 1e-12))[1] and low > 0.0)


class _Prefixes:
    """Fronts and hypervolumes of the first points of a run.

    Args:
        unit: float64 [n, m], normalized points.
        usable: bool [n], points that count.
    """

    def __init__(self, unit: FloatArray, usable: BoolArray) -> None:
        self._unit, self._usable = unit, usable
        self._known = [0]
        self._fronts = {0: np.empty((0, unit.shape[1]))}
        self._volumes = {0: 0.0}

    def volume(self, n: int) -> float:
        """Hypervolume of the first n points."""
        if n not in self._volumes:
            before = self._known[bisect_right(self._known, n) - 1]
            block = self._unit[before:n][self._usable[before:n]]
            front = self._fronts[before]
            self._fronts[n] = _filter(np.concatenate([front, block])) if block.shape[0] else front
            self._volumes[n] = _volume(self._fronts[n]) if block.shape[0] else self._volumes[before]
            insort(self._known, n)
        return self._volumes[n]

    def gains(self, a: int, b: int) -> FloatArray:
        """What each point from index `a` to before `b` adds to all before it, float64 [b - a]."""
        front = _Front(self._unit.shape[1])
        front._total, front._points = self.volume(a), self._fronts[a]
        gains, rows = np.zeros(b - a), np.flatnonzero(self._usable[a:b])
        gains[rows] = front.add(self._unit[a:b][rows])
        return gains


class GainMeter:
    """What each new point adds to all points before it, batch by batch.

    For several objectives this is the hypervolume in the scenario's box, which sums to the final one; for one objective
    without a box it is the improvement of the best feasible value, 0 for the first feasible point.

    A search must not go blind while it is on its way to the box, or when the box is not where it looks. With `working`, points
    are measured in a box of the run's own as long as none has reached the scenario's: from the best values of the first batch
    with a feasible point to its worst ones and as far again. `moved` tells that the scenario's box has taken over.

    Args:
        signs: float64 [m], see `Instance.signs`.
        box: The scenario's box; None for one objective.
        working: Measure in a box of the run's own until a point lies in the scenario's.

    Attributes:
        moved: The last batch was the first one that is measured in the scenario's box after others were not.
    """

    def __init__(self, signs: FloatArray, box: HypervolumeBox | None, *, working: bool = False) -> None:
        self._signs, self._box = signs, box
        self._best = np.inf
        self._front: _Staircase | _Front = _Staircase() if signs.size == 2 else _Front(signs.size)
        self._own: GainMeter | None = None
        self._working, self.moved = working and box is not None, False

    def add(self, F_min: FloatArray, violation: FloatArray) -> FloatArray:
        """Gains of a batch in its order, float64 [n], >= 0.

        Args:
            F_min: float64 [n, m], minimization form.
            violation: float64 [n].
        """
        if self._box is None:
            return self._improvements(np.where(violation <= 0.0, F_min[:, 0], np.inf))
        unit = normalize(F_min * self._signs, self._box)
        gains = np.zeros(unit.shape[0])
        candidates = np.flatnonzero((violation <= 0.0) & (unit < 1.0).all(axis=1))
        self.moved = bool(candidates.size) and self._own is not None
        if candidates.size:
            self._working, self._own = False, None
        elif self._working:
            return self._before(F_min, violation)
        gains[candidates] = self._front.add(unit[candidates])
        return gains

    def _before(self, F_min: FloatArray, violation: FloatArray) -> FloatArray:
        """Gains in the run's own box; zeros while nothing is feasible."""
        if self._own is None:
            feasible = F_min[violation <= 0.0]
            if not feasible.size:
                return np.zeros(F_min.shape[0])
            best, worst = feasible.min(axis=0), feasible.max(axis=0)
            width = np.where(worst > best, worst - best, np.maximum(np.abs(best), 1.0))
            corners = ((worst + width) * self._signs, best * self._signs)
            self._own = GainMeter(self._signs, HypervolumeBox(*(tuple(corner.tolist()) for corner in corners)))
        return self._own.add(F_min, violation)

    def _improvements(self, values: FloatArray) -> FloatArray:
        before = np.minimum.accumulate(np.concatenate([[self._best], values]))
        self._best = float(before[-1])
        known = np.isfinite(before[:-1])  # the first feasible point improves on nothing
        gains = np.zeros(values.size)
        gains[known] = before[:-1][known] - before[1:][known]
        return gains


class _Staircase:
    """Non-dominated points of two objectives; sorted, so that a gain is a binary search."""

    def __init__(self) -> None:
        # first objective ascending, second descending, with sentinels
        self._left, self._low = [-np.inf, 1.0], [1.0, -np.inf]

    def add(self, unit: FloatArray) -> list[float]:
        """Gains of points [n, 2] inside the unit box."""
        left, low = self._left, self._low
        gains = []
        for x, y in unit.tolist():
            start = bisect_right(left, x)  # stairs before `start` begin at or left of x
            if low[start - 1] <= y:
                gains.append(0.0)
                continue
            stop, area, floor = start, 0.0, low[start - 1]
            while low[stop] >= y:  # stairs that the point dominates
                area += (left[stop] - max(x, left[stop - 1])) * (floor - y)
                floor = low[stop]
                stop += 1
            area += (left[stop] - max(x, left[stop - 1])) * (floor - y)
            first = start - 1 if left[start - 1] == x else start
            left[first:stop], low[first:stop] = [x], [y]
            gains.append(area)
        return gains


class _Front:
    """Non-dominated points of any number of objectives; gains are differences of hypervolumes."""

    def __init__(self, n_objectives: int) -> None:
        self._points, self._total = np.empty((0, n_objectives)), 0.0

    def add(self, unit: FloatArray) -> FloatArray:
        """Gains of points [n, m] inside the unit box."""
        gains = np.zeros(unit.shape[0])
        for block in np.array_split(np.arange(unit.shape[0]), max(1, unit.shape[0] // _BLOCK)):
            for i in block[~_dominated(unit[block], self._points)]:
                point = unit[i]
                if _dominated(point[None, :], self._points)[0]:
                    continue
                rest = self._points[~(self._points >= point).all(axis=1)]
                self._points = np.concatenate([rest, point[None, :]])
                volume = _volume(self._points)
                gains[i], self._total = volume - self._total, volume
        return gains


def _dominated(points: FloatArray, front: FloatArray) -> BoolArray:
    """Which points [k, m] are weakly dominated by a front [n, m]; bool [k]."""
    no_worse = np.all(front[None, :, :] <= points[:, None, :], axis=2)  # [k, n]
    dominated: BoolArray = np.any(no_worse, axis=1)
    return dominated


def _filter(unit: FloatArray) -> FloatArray:
    from moocore import filter_dominated

    kept: FloatArray = np.ascontiguousarray(filter_dominated(unit))
    return kept


def knee_index(F_min: FloatArray) -> int:
    """Index of the point nearest to the front's own ideal point after scaling the front to the unit cube.

    Args:
        F_min: float64 [n, m], n >= 1, minimization form.

    Returns:
        Row index; the first one on ties.
    """
    low, high = F_min.min(axis=0), F_min.max(axis=0)
    width = np.where(high > low, high - low, 1.0)
    return int(np.argmin((((F_min - low) / width) ** 2).sum(axis=1)))
