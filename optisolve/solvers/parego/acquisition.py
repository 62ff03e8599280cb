"""What a point is expected to add, from means and deviations of its warped objectives.

All values are in minimization form. Improvements are given as logarithms, so that they still order points that add next to
nothing, and with their gradients.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri

from optisolve.core.arrays import FloatArray, IntArray
from optisolve.solvers.moead.scalarize import dominated
from optisolve.solvers.space_filling import sobol

__all__ = ["Acquisition", "Goal", "Judged", "Warp"]

Acquisition = Literal["hypervolume", "tchebycheff"]

_N_SAMPLES, _N_DIRECTIONS = 32, 128
"""Draws of the objectives' posterior, and directions of a hypervolume of four objectives and more; the same for all points."""
_AUGMENTED = 0.05
"""Weight of the sum in the augmented Tchebycheff value (Knowles 2006)."""
_BEYOND = 1.1
"""Where the box ends in which a front's hypervolume is counted, in widths of the front from its ideal point."""
_SOFT = 1e-3
"""Softness of an improvement by samples, in widths of the front."""
_LEAST = 1e-300


@dataclass(frozen=True, eq=False, slots=True)
class Warp:
    """Values as processes see them: linear up to twice the better half's width, logarithmic beyond.

    A bad tail does not rule a fit then. `unit` values are linear everywhere: 0 is the median, -1 the best.

    Args:
        middle: float64 [m].
        half: float64 [m], > 0.
    """

    middle: FloatArray
    half: FloatArray

    @classmethod
    def of(cls, F: FloatArray) -> Warp:
        """The warp for values, float64 [n, m]."""
        middle = np.median(F, axis=0)
        half, spread = middle - F.min(axis=0), F.std(axis=0)
        return cls(middle, np.where(half > 0.0, half, np.where(spread > 0.0, spread, 1.0)))

    def unit(self, F: FloatArray) -> FloatArray:
        """Values, float64 [..., m], in unit form."""
        scaled: FloatArray = (F - self.middle) / self.half
        return scaled

    @staticmethod
    def warped(unit: FloatArray) -> FloatArray:
        """Unit values, warped."""
        return np.where(unit > 1.0, 1.0 + np.log(np.maximum(unit, 1.0)), unit)

    @staticmethod
    def unwarped(warped: FloatArray) -> FloatArray:
        """Warped values, in unit form."""
        return np.where(warped > 1.0, np.exp(np.minimum(warped, 700.0) - 1.0), warped)


class Judged(NamedTuple):
    """Logarithms of improvements, float64 [n], and their derivatives by means and deviations, float64 [n, m]."""

    value: FloatArray
    by_mean: FloatArray
    by_deviation: FloatArray


@dataclass(frozen=True, eq=False, slots=True)
class Goal:
    """What is improved on: the front so far.

    Args:
        best: float64 [n, m], unit values of the feasible points.
        ideal: float64 [m].
        corner: float64 [m], where the hypervolume ends.
        kind: What counts as an improvement: of the front's hypervolume, or of a preference's Tchebycheff value.
        normal: float64 [q, m], draws of the standard normal distribution.
        directions: float64 [l, m], positive unit vectors.
        levels: float64 [k, m], values between which the front leaves cells open, ascending.
        cells: int64 [2, c, m], rows of `levels` where open cells begin and end; -1 is minus infinity.
    """

    best: FloatArray
    ideal: FloatArray
    corner: FloatArray
    kind: Acquisition
    normal: FloatArray = field(repr=False)
    directions: FloatArray = field(repr=False)
    levels: FloatArray = field(repr=False)
    cells: IntArray = field(repr=False)

    @classmethod
    def of(cls, unit: FloatArray, kind: Acquisition, rng: np.random.Generator, corner: FloatArray | None = None) -> Goal:
        """The goal given unit values of the feasible points.

        Args:
            unit: float64 [n, m].
            kind: What counts as an improvement.
            rng: Draws samples and directions.
            corner: float64 [m], where the hypervolume ends; None, or one that no point has reached: a little beyond the front.
        """
        m = unit.shape[1]
        front = unit[~dominated(unit)]
        if corner is None or not (front < corner).all(axis=1).any():
            corner = _corner(unit, front)
        normal = ndtri(np.clip(sobol(rng, m, _N_SAMPLES), 1e-6, 1.0 - 1e-6))
        directions = np.abs(ndtri(np.clip(sobol(rng, m, _N_DIRECTIONS), 1e-6, 1.0 - 1e-6)))
        directions = np.maximum(directions / np.linalg.norm(directions, axis=1, keepdims=True), 1e-6)
        return cls(unit, front.min(axis=0), corner, kind, normal, directions, *_open_cells(front, corner))

    def with_point(self, unit: FloatArray) -> Goal:
        """The same with one more value, float64 [m], that of a pending point."""
        best = np.vstack([self.best, unit])
        levels, cells = _open_cells(best[~dominated(best)], self.corner)
        return replace(self, best=best, levels=levels, cells=cells)

    def scalar(self, unit: FloatArray, weight: FloatArray) -> FloatArray:
        """Augmented Tchebycheff values, float64 [...], of unit values, float64 [..., m]."""
        parts = weight * (unit - self.ideal) / (self.corner - self.ideal)
        value: FloatArray = parts.max(axis=-1) + _AUGMENTED * parts.sum(axis=-1)
        return value

    @property
    def has_gradient(self) -> bool:
        """Whether `judged` knows derivatives."""
        return self.kind == "hypervolume" and self.best.shape[1] <= 3

    def judged(self, mean: FloatArray, deviation: FloatArray, weight: FloatArray, *, gradient: bool = False) -> Judged:
        """Logarithm of the expected improvement.

        Args:
            mean: float64 [n, m], of warped values.
            deviation: float64 [n, m], > 0.
            weight: float64 [m], the preference; of no concern to the hypervolume.
            gradient: With derivatives, where there are any; zeros otherwise.

        Returns:
            Values and derivatives. Points that add nothing that a number can tell are ordered by their means.
        """
        by_mean, by_deviation = np.zeros_like(mean), np.zeros_like(mean)
        if self.has_gradient:
            improvement, by_mean, by_deviation = self._of_cells(mean, deviation, gradient)
        elif self.kind == "tchebycheff":
            improvement = self._of_scalar(mean, deviation, weight)
        else:
            improvement = self._of_directions(mean, deviation)
        floored = np.maximum(improvement, _LEAST)
        value = np.log(floored) - 1e-9 * mean.sum(axis=1)
        return Judged(value, by_mean / floored[:, None] - 1e-9, by_deviation / floored[:, None])

    def _of_cells(self, mean: FloatArray, deviation: FloatArray, gradient: bool) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Of the hypervolume, exact: a sum over the cells that the front leaves open; with derivatives, float64 [n, m].

        Source: Emmerich, Yang, Deutz, Wang & Fonseca 2016, doi 10.1007/978-3-319-29975-4_8, section 5 (in other words).
        """
        n, m = mean.shape
        below, slopes, spreads = _below(self.levels, mean, deviation, gradient)  # [k + 1, n, m]
        first, last = self.cells
        columns = np.arange(m)
        widths = [below[last[:, j], :, j] - below[first[:, j], :, j] for j in columns]  # m times [c, n]
        others = [math.prod((widths[i] for i in columns if i != j), start=np.ones((1, n))) for j in columns]
        improvement: FloatArray = (widths[0] * others[0]).sum(axis=0)
        if not gradient:
            return improvement, np.zeros_like(mean), np.zeros_like(mean)
        derivatives = [
            np.stack([((by[last[:, j], :, j] - by[first[:, j], :, j]) * others[j]).sum(axis=0) for j in columns], axis=1)
            for by in (slopes, spreads)
        ]
        return improvement, derivatives[0], derivatives[1]

    def _of_scalar(self, mean: FloatArray, deviation: FloatArray, weight: FloatArray) -> FloatArray:
        """Of the augmented Tchebycheff value, by samples with a softplus (Ament et al. 2023, arXiv 2310.20708), float64 [n]."""
        drawn = Warp.unwarped(mean[:, None, :] + deviation[:, None, :] * self.normal)  # [n, q, m]
        better = self.scalar(self.best, weight).min() - self.scalar(drawn, weight)  # [n, q]
        improvement: FloatArray = _SOFT * np.logaddexp(0.0, better / _SOFT).mean(axis=1)
        return improvement

    def _of_directions(self, mean: FloatArray, deviation: FloatArray) -> FloatArray:
        """Of the hypervolume of four objectives and more, up to a factor, float64 [n].

        A hypervolume is a mean over directions of powers of the distance to the box's corner, Golovin & Zhang 2020,
        arXiv 2006.04655, lemma 5; the expectation over the posterior is by samples.
        """
        m, width = mean.shape[1], self.corner - self.ideal
        reach = ((self.corner - self.best) / width)[:, None, :] / self.directions  # [k, l, m]
        held = np.maximum(reach.min(axis=2), 0.0).max(axis=0) ** m  # [l]
        total = np.zeros(mean.shape[0])
        for draw in self.normal:
            drawn = (self.corner - Warp.unwarped(mean + deviation * draw)) / width  # [n, m]
            length = (drawn[:, None, :] / self.directions).min(axis=2)  # [n, l]
            total += np.maximum(np.maximum(length, 0.0) ** m - held, 0.0).mean(axis=1)
        mean_gain: FloatArray = total / self.normal.shape[0]
        return mean_gain


def _corner(unit: FloatArray, front: FloatArray) -> FloatArray:
    """A little beyond the front, float64 [m]; where it has no width, by the width of all points."""
    ideal, nadir = front.min(axis=0), front.max(axis=0)
    spread = unit.max(axis=0) - ideal
    thin = nadir - ideal <= 1e-9 * np.maximum(spread, _LEAST)
    corner: FloatArray = ideal + _BEYOND * np.where(~thin, nadir - ideal, np.where(spread > 0.0, spread, 1.0))
    return corner


def _open_cells(front: FloatArray, corner: FloatArray) -> tuple[FloatArray, IntArray]:
    """The cells between front and corner that no point dominates, for up to three objectives.

    The front is swept along its last objective. At every level a staircase of strips stands open, each ending at the corner or
    at a point; a new point closes those that it cuts. There are at most 2 n + 1.

    Args:
        front: float64 [n, m], non-dominated.
        corner: float64 [m].

    Returns:
        Levels, float64 [k, m], and cells, int64 [2, c, m], see `Goal`. None for more objectives.
    """
    m = corner.size
    if m > 3:
        return np.empty((0, m)), np.empty((2, 0, m), dtype=np.int64)
    points = np.unique(front[(front < corner).all(axis=1)], axis=0)
    levels = np.sort(np.vstack([points, corner]), axis=0)
    end = levels.shape[0] - 1
    rank = np.stack([np.searchsorted(levels[:, j], points[:, j]) for j in range(m)], axis=1)  # [n, m]
    if m == 1:
        return levels, np.array([[[-1]], [[0]]])
    depth = rank[:, 2] if m == 3 else np.zeros(rank.shape[0], dtype=np.int64)
    strips = [
        (-1, end, end, -1)
    ]  # begin and end along the first objective, end along the second, since which level of the last
    closed = list[tuple[int, int, int, int, int]]()
    for i in np.lexsort((rank[:, 1], rank[:, 0], depth)):
        x, y, z = int(rank[i, 0]), int(rank[i, 1]), int(depth[i]) if m == 3 else -1
        left, right, cut, kept = list[tuple[int, int, int, int]](), list[tuple[int, int, int, int]](), [], x
        for strip in strips:
            begin, stop, height, since = strip
            if stop <= x:
                left.append(strip)
            elif height <= y:
                right.append(strip)
            else:
                cut.append(strip)
                kept = stop
        for begin, stop, height, since in cut:
            if since < z:
                closed.append((begin, stop, height, since, z))
            if begin < x:
                left.append((begin, x, height, max(since, z)))
        strips = [*left, *([(x, kept, y, z)] if cut else []), *right]
    closed += [(*strip, end if m == 3 else 0) for strip in strips]
    table = np.array(closed, dtype=np.int64)
    first = np.stack([table[:, 0], np.full(table.shape[0], -1), table[:, 3]], axis=1)
    last = np.stack([table[:, 1], table[:, 2], table[:, 4]], axis=1)
    return levels, np.stack([first, last])[:, :, :m]


def _below(
    levels: FloatArray, mean: FloatArray, deviation: FloatArray, gradient: bool
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Expectations of max(t - Y, 0) for Y in unit form whose warped value is normal, and derivatives.

    Args:
        levels: float64 [k, m], the t.
        mean: float64 [n, m].
        deviation: float64 [n, m], > 0.
        gradient: With derivatives.

    Returns:
        Expectation, derivatives by mean and by deviation, each float64 [k + 1, n, m]; the last row, for minus infinity, is 0.
    """
    t, linear = levels[:, None, :], np.minimum(levels, 1.0)[:, None, :]
    z = (linear - mean) / deviation  # [k, n, m]
    P, p = ndtr(z), np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
    value = (t - mean) * P + deviation * p
    by_mean, by_deviation = -P, p
    far = np.flatnonzero((levels > 1.0).any(axis=1))
    if far.size:  # the logarithmic tail: a lognormal distribution, cut
        ends = Warp.warped(np.maximum(t[far], 1.0))
        first, last = (1.0 - mean) / deviation, (ends - mean) / deviation
        factor = np.exp(np.minimum(mean - 1.0 + 0.5 * deviation * deviation, 600.0))
        inside = ndtr(last) - ndtr(first)
        shifted = ndtr(last - deviation) - ndtr(first - deviation)
        value[far] += t[far] * inside - factor * shifted
        if gradient:
            step = np.exp(-0.5 * (last - deviation) ** 2) - np.exp(-0.5 * (first - deviation) ** 2)
            by_mean[far] -= factor * shifted
            by_deviation[far] -= factor * (deviation * shifted - step / math.sqrt(2.0 * math.pi))
    ended = (np.concatenate([part, np.zeros((1, *part.shape[1:]))]) for part in (np.maximum(value, 0.0), by_mean, by_deviation))
    value, by_mean, by_deviation = ended
    return value, by_mean, by_deviation
