"""The front with its local models: waves of steps, and lone points that descend to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from optisolve.core.arrays import BoolArray, FloatArray, IntArray
from optisolve.core.capabilities import Jacobian
from optisolve.core.documents import JsonObject
from optisolve.core.problem import HypervolumeBox
from optisolve.core.solver import Task
from optisolve.numerics.indicators import exclusive_gains, front_rows, normalize
from optisolve.solvers.moead.weights import weight_vectors
from optisolve.solvers.start import StartOptions, starting_points

__all__ = ["Descent"]

_NO_GAIN: Final = 1e-9
"""Predicted gains of hypervolume below this, as a share of the box, are not worth an evaluation."""
_TRUSTED, _DOUBTED = 0.5, 0.2
"""Shares of a predicted gain that came true: from the first on the next step may be longer, below the other it is shorter."""
_GROW, _HALVE, _SHRINK = 1.6, 0.5, 0.4
_LONGEST, _SHORTEST = 0.5, 1e-5
"""Trust radii; a point whose steps became shorter is done."""
_SHAKEN: Final = 0.25
"""Share of the variables that are shaken."""
_LONE_STEPS: Final = 8
"""Steps of a point that descends on its own; it gives up when it covers less than 60 % of the way that these leave it."""
_LONE_PACE: Final = 0.6
_MARGIN: Final = 0.05
"""How far the aim of lone points lies beyond the front's own ideal point, share of the box."""
_SUM: Final = 0.02
"""Weight of the sum of losses beside the largest one."""


@dataclass(eq=False, slots=True)
class _Members:
    """The points of the front with their models and steps, row by row.

    Attributes:
        X: float64 [n, d], as they were evaluated.
        L: float64 [n, m], losses: 0 at the good corner of the box, 1 at the bad one.
        radius: float64 [n].
        J: float64 [n, m, d], slopes of the losses in variables scaled to [0, 1]; zeros where they were not looked at.
        looked: bool [n], J is there.
        stale: bool [n], the steps do not belong to J and radius.
        C: float64 [n, w, d], repaired ends of the steps.
        P: float64 [n, w, m], losses predicted there.
        gain: float64 [n, w], upper bounds of what they gain; they stay bounds, since the front only advances.
    """

    X: FloatArray
    L: FloatArray
    radius: FloatArray
    J: FloatArray
    looked: BoolArray
    stale: BoolArray
    C: FloatArray
    P: FloatArray
    gain: FloatArray

    @classmethod
    def of(cls, X: FloatArray, L: FloatArray, radius: float | FloatArray, n_directions: int) -> _Members:
        """Points without slopes."""
        (n, d), m, w = X.shape, L.shape[1], n_directions
        no, yes = np.zeros(n, dtype=np.bool_), np.ones(n, dtype=np.bool_)
        arrays = np.zeros((n, m, d)), no, yes, np.zeros((n, w, d)), np.zeros((n, w, m)), np.zeros((n, w))
        return cls(X, L, np.broadcast_to(radius, n).astype(np.float64), *arrays)

    def rows(self, keep: IntArray) -> _Members:
        """Some of the points."""
        return _Members(*(getattr(self, name)[keep] for name in self.__slots__))

    def beside(self, other: _Members) -> _Members:
        """These and others."""
        return _Members(*(np.concatenate([getattr(self, name), getattr(other, name)]) for name in self.__slots__))


class Descent:
    """State of one run.

    Args:
        task: The run; its instance offers slopes.
        n_directions: Weights of the objectives tried at every point.
        radius: First trust radius.
    """

    def __init__(self, task: Task, n_directions: int, radius: float) -> None:
        self._task, self._instance, self._radius = task, task.instance, radius
        m = len(task.instance.objectives)
        self._weights = weight_vectors(m, max(m, n_directions))  # [w, m]
        self._rng = task.rng(purpose="shake")
        self._front = self._members(np.empty((0, task.instance.space.dim)), np.empty((0, m)))
        self._gain = 0.0
        self._counts = dict.fromkeys(("slopes", "steps", "steps_gained", "shaken", "shaken_gained", "lone", "lone_gained"), 0)

    def begin(self, options: StartOptions, n: int) -> None:
        """Evaluate starting points until one is feasible, and take the front of all that is known."""
        task, instance = self._task, self._instance
        start = starting_points(task, options, n)
        X, F = np.empty((0, instance.space.dim)), np.empty((0, len(instance.objectives)))
        if start.known is not None:
            met = start.known.evaluation.feasible
            X, F = start.known.X[met], start.known.evaluation.F[met]
        points, source = start.X, start.source
        while (left := task.meter.remaining_evaluations) > 0 and (len(points) or not len(X)):
            if not len(points):
                points = instance.space.sample(self._rng, n)
                source = ["start:uniform"] * n
            points = instance.project(points[:left])
            evaluation = task.evaluate(points, source=source[:left])
            met = evaluation.feasible
            X, F, points = np.concatenate([X, points[met]]), np.concatenate([F, evaluation.F[met]]), points[:0]
        if len(X):
            self._box = self._box_of(F)
            L = normalize(F, self._box)
            self._front = self._members(X, L).rows(front_rows(L))

    def wave(self, size: int) -> bool:
        """Look at slopes, and evaluate the steps that gain most; False when there are none.

        Args:
            size: Steps at once.
        """
        self._look(2 * size)
        left = self._task.meter.remaining_evaluations
        while left > 0:
            front = self._front
            self._refresh()
            picked = self._pick(min(size, left))
            if picked.size:
                self._try(picked)
                break
            alive = front.looked & (front.radius > _SHORTEST)
            if not alive.any():
                return not front.looked.all()
            front.radius[alive] *= _SHRINK
            front.stale[alive] = True
        return True

    def look_elsewhere(self, count: int, shake: float) -> bool:
        """Shake points of the front; those that gain join it, and the nearest miss descends. True when the front gained.

        Args:
            count: Points at once.
            shake: Standard deviation, a share of the variables' ranges.
        """
        front, rng = self._front, self._rng
        count, before = min(count, self._task.meter.remaining_evaluations), self._gain
        U = self._instance.space.normalize(front.X[rng.integers(0, len(front.X), count)])
        shaken = rng.random(U.shape) < _SHAKEN
        shaken[np.arange(count), rng.integers(0, U.shape[1], count)] = True
        X = self._repaired(np.clip(U + shaken * rng.normal(0.0, shake, U.shape), 0.0, 1.0))
        L, feasible = self._losses(X, "shake")
        self._counts["shaken"] += count
        gains = np.where(feasible, exclusive_gains(front.L, L), 0.0)
        better = np.flatnonzero(gains > 0.0)
        self._counts["shaken_gained"] += len(better)
        if len(better):
            self._join(self._members(X[better], L[better]))
        missed = np.flatnonzero(feasible & (gains <= 0.0))
        if len(missed):
            aim = self._front.L.min(axis=0) - _MARGIN
            ways = np.array([_way(self._front.L, L[i], aim) for i in missed])
            nearest = missed[np.argmax(ways)]
            self._descend(X[nearest], L[nearest], aim, float(ways.max()))
        return self._gain > before

    def take_gain(self) -> float:
        """Hypervolume gained since it was last asked for, share of the box."""
        gain, self._gain = self._gain, 0.0
        return gain

    def report(self) -> JsonObject:
        """Deterministic figures of the run so far."""
        return {**self._counts, "front": len(self._front.L)}

    # -- the front -------------------------------------------------------------------------------------------------

    def _members(self, X: FloatArray, L: FloatArray, radius: float | FloatArray | None = None) -> _Members:
        return _Members.of(X, L, self._radius if radius is None else radius, len(self._weights))

    def _join(self, new: _Members) -> None:
        """Take points into the front, one after the other for their gains."""
        there = self._front.L
        for loss in new.L[:, None]:
            self._gain += float(exclusive_gains(there, loss)[0])
            there = np.concatenate([there, loss])
        self._front = self._front.beside(new)
        self._front = self._front.rows(front_rows(self._front.L))

    def _box_of(self, F: FloatArray) -> HypervolumeBox:
        """The scenario's box, or one around the points as long as none of them lies in it."""
        box, signs = self._instance.hypervolume_box, self._instance.signs
        assert box is not None  # several objectives always have one
        if (normalize(F, box) < 1.0).all(axis=1).any():
            return box
        best, worst = (F * signs).min(axis=0), (F * signs).max(axis=0)
        width = np.where(worst > best, worst - best, np.maximum(np.abs(best), 1.0))
        return HypervolumeBox(tuple(((worst + width) * signs).tolist()), tuple((best * signs).tolist()))

    def _look(self, most: int) -> None:
        """Slopes at points without them, those first that would be missed most; for half of what is left at most."""
        front = self._front
        wanting = np.flatnonzero(~front.looked)
        count = min(most, wanting.size, -(-self._task.meter.remaining_evaluations // 2))
        if count > 0:
            rows = wanting[np.argsort(-_contributions(front.L)[wanting], kind="stable")[:count]]
            front.J[rows] = self._slopes(front.X[rows])
            front.looked[rows] = front.stale[rows] = True

    def _refresh(self) -> None:
        """Steps where slopes or radius are new."""
        front = self._front
        rows = np.flatnonzero(front.looked & front.stale)
        if rows.size:
            front.C[rows], front.P[rows] = self._steps(front.X[rows], front.L[rows], front.J[rows], front.radius[rows])
            ends = front.P[rows].reshape(-1, front.L.shape[1])
            front.gain[rows] = exclusive_gains(front.L, ends).reshape(len(rows), -1)
            front.stale[rows] = False

    def _pick(self, count: int) -> IntArray:
        """Steps that gain most by their models, one per point, each beside those before it; int64 [k, 2]: point, direction."""
        front = self._front
        alive = front.looked & (front.radius > _SHORTEST)
        bound = np.where(alive[:, None], front.gain, 0.0)
        expected, picked = front.L, list[tuple[int, int]]()
        while len(picked) < count and bound.size:
            row, direction = divmod(int(np.argmax(bound)), bound.shape[1])
            if bound[row, direction] <= _NO_GAIN:
                break
            end = front.P[row, direction][None]
            front.gain[row, direction] = min(front.gain[row, direction], exclusive_gains(front.L, end)[0])
            gain = exclusive_gains(expected, end)[0] if picked else front.gain[row, direction]
            if gain < bound[row, direction] * (1.0 - 1e-12):
                bound[row, direction] = gain
                continue
            picked.append((row, direction))
            bound[row] = 0.0
            expected = np.concatenate([expected, end])
        return np.array(picked, dtype=np.int64).reshape(-1, 2)

    def _try(self, picked: IntArray) -> None:
        """Evaluate steps, set radii, and take what gained hypervolume."""
        front = self._front
        rows, directions = picked.T
        C, P = front.C[rows, directions], front.P[rows, directions]
        L, feasible = self._losses(C, "descent")
        there, taken, radii = front.L, list[int](), list[float]()
        for i, row in enumerate(rows):
            expected = exclusive_gains(there, P[i : i + 1])[0]
            gain = exclusive_gains(there, L[i : i + 1])[0] if feasible[i] else 0.0
            share = gain / max(expected, _NO_GAIN)
            if gain > 0.0:
                taken.append(i)
                radii.append(_next_radius(front.radius[row], share))
                there = np.concatenate([there, L[i : i + 1]])
            if share < _DOUBTED:
                front.radius[row] *= _SHRINK
                front.stale[row] = True
        self._counts["steps"] += len(rows)
        self._counts["steps_gained"] += len(taken)
        if taken:
            self._join(self._members(C[taken], L[taken], np.array(radii)))

    # -- lone points -----------------------------------------------------------------------------------------------

    def _descend(self, x: FloatArray, loss: FloatArray, aim: FloatArray, way: float) -> None:
        """Descend from a point behind the front, towards the aim, until it gains hypervolume or falls behind its pace.

        Args:
            x: float64 [d].
            loss: float64 [m].
            aim: float64 [m], a corner better than the front.
            way: Where the front stands on the way to the aim: 1 at the point, 0 at the aim.
        """
        weight = 1.0 / np.maximum(loss - aim, 1e-9)
        radius, slopes, value = self._radius, None, float(_value(loss, aim, weight))
        self._counts["lone"] += 1
        for step in range(1, _LONE_STEPS + 1):
            if self._task.meter.remaining_evaluations < 2:
                return
            slopes = self._slopes(x[None]) if slopes is None else slopes
            C, P = self._steps(x[None], loss[None], slopes, np.array([radius]))
            expected = _value(P[0], aim, weight)
            best = int(np.argmin(expected))
            (end,), feasible = self._losses(C[0, best][None], "descent")
            reached = float(_value(end, aim, weight)) if feasible[0] else np.inf
            share = (value - reached) / max(value - float(expected[best]), _NO_GAIN)
            if reached < value:
                x, loss, value, slopes = C[0, best], end, reached, None
            radius = _next_radius(radius, share) if share > 0.0 else radius * _SHRINK
            if feasible[0] and exclusive_gains(self._front.L, end[None])[0] > 0.0:
                self._counts["lone_gained"] += 1
                self._join(self._members(C[0, best][None], end[None], radius))
                return
            covered = 1.0 - float(((loss - aim) * weight).max())
            if step >= 3 and covered * _LONE_STEPS < _LONE_PACE * step * (1.0 - way):
                return

    # -- slopes, steps, values -------------------------------------------------------------------------------------

    def _slopes(self, X: FloatArray) -> FloatArray:
        """Slopes of the losses at points, float64 [n, m, d]; none along integers, nor where they are not finite."""
        instance, space = self._instance, self._instance.space
        assert isinstance(instance, Jacobian)
        J = np.nan_to_num(instance.jacobian(X), nan=0.0, posinf=0.0, neginf=0.0)
        J[:, :, space.integer] = 0.0
        self._counts["slopes"] += len(X)
        scale = np.asarray(self._box.reference) - np.asarray(self._box.ideal)
        slopes: FloatArray = J / scale[:, None] * (space.upper - space.lower)
        return slopes

    def _steps(self, X: FloatArray, L: FloatArray, J: FloatArray, radius: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Repaired steps against the weighted slopes, float64 [k, w, d], and the losses predicted there, [k, w, m]."""
        space = self._instance.space
        start = space.normalize(X)[:, None, :]
        slope = np.einsum("wm,kmd->kwd", self._weights, J)
        slope = np.where(((start <= 0.0) & (slope > 0.0)) | ((start >= 1.0) & (slope < 0.0)), 0.0, slope)
        length = np.sqrt((slope * slope).sum(axis=2, keepdims=True))
        ends = np.clip(start - radius[:, None, None] * slope / np.maximum(length, 1e-300), 0.0, 1.0)
        C = self._repaired(ends.reshape(-1, X.shape[1]))
        moves = space.normalize(C).reshape(ends.shape) - start
        return C.reshape(ends.shape), L[:, None, :] + np.einsum("kmd,kwd->kwm", J, moves)

    def _repaired(self, U: FloatArray) -> FloatArray:
        """Points from variables scaled to [0, 1]."""
        return self._instance.project(self._instance.space.denormalize(U))

    def _losses(self, X: FloatArray, source: str) -> tuple[FloatArray, BoolArray]:
        """Losses and feasibility of points, evaluated."""
        evaluation = self._task.evaluate(X, source=source)
        return normalize(evaluation.F, self._box), evaluation.feasible


def _next_radius(radius: float, share: float) -> float:
    """The trust radius after a step, by the share of its predicted gain that came true."""
    return min(_LONGEST, radius * (_GROW if share > _TRUSTED else 1.0 if share > _DOUBTED else _HALVE))


def _contributions(L: FloatArray) -> FloatArray:
    """What every point of a front adds to the others, float64 [n]; 0 outside the box."""
    from moocore import hv_contributions

    found = np.zeros(len(L))
    inside = (L < 1.0).all(axis=1)
    if inside.any():
        found[inside] = hv_contributions(L[inside], ref=1.0)
    return found


def _way(front: FloatArray, loss: FloatArray, aim: FloatArray) -> float:
    """Where a front [n, m] stands between an aim [m] (0) and a point [m] (1); below 1 when it dominates the point."""
    return float(((front - aim) / np.maximum(loss - aim, 1e-9)).max(axis=1).min())


def _value(losses: FloatArray, aim: FloatArray, weight: FloatArray) -> FloatArray:
    """Augmented Tchebycheff value of losses [..., m]; float64 [...]."""
    weighted = (losses - aim) * weight
    value: FloatArray = weighted.max(axis=-1) + _SUM * weighted.sum(axis=-1)
    return value
