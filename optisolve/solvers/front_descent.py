"""Descent of a whole front: local linear models by the objectives' Jacobian, the step that gains most hypervolume first."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Final

import numpy as np
from annotated_types import Ge, Gt, Le

from optisolve.core.arrays import BoolArray, FloatArray, IntArray
from optisolve.core.capabilities import Jacobian
from optisolve.core.documents import JsonObject
from optisolve.core.problem import Evaluation, HypervolumeBox
from optisolve.core.solver import Feature, Outcome, Solver, SolverInfo, Task, require_stopping_rule, spent_limit
from optisolve.core.status import Limit, Termination
from optisolve.numerics.indicators import exclusive_gains, front_rows, normalize
from optisolve.solvers.moead.weights import weight_vectors
from optisolve.solvers.start import PopulationOptions, starting_points

__all__ = ["FrontDescent"]

_NO_GAIN: Final = 1e-9
"""Predicted gains of hypervolume below this, as a share of the box, are not worth an evaluation."""
_GROW, _SHRINK = 1.6, 0.4
_TRUSTED, _DOUBTED = 0.5, 0.2
"""Shares of the predicted gain: from the first on a step was a good one and the next may be longer, below the other it was bad."""
_LONGEST: Final = 0.5
"""Longest step, as a share of the variables' ranges."""


@dataclass(frozen=True, slots=True)
class FrontDescent(PopulationOptions):
    """Improve every point of a front along the slopes of its objectives, as long as steps are predicted to gain hypervolume.

    A point of the front has a linear model of the objectives, a trust radius, and a step for each of some weights of the
    objectives; corners of the weights spread the front, the others push it forward. Of all steps, repaired by the instance,
    those are evaluated that gain most hypervolume by their models, together and beside what is there; what came of them
    sets the radii. A look at the Jacobian of a point is charged as one evaluation more: a point with values and slopes costs two.

    Args:
        n_directions: Weights of the objectives tried at every point.
        wave_size: Steps evaluated at once, and Jacobians looked at.
        radius: First trust radius, a length in variables scaled to [0, 1].
        smallest_radius: Points whose steps became shorter are done; when all are, the run ends before its budget.
    """

    info: ClassVar[SolverInfo] = SolverInfo(
        name="front_descent",
        version="1",
        summary="Front steepest descent: trust-region steps by the objectives' Jacobian, chosen by predicted hypervolume gain.",
        supports=frozenset({Feature.MULTI_OBJECTIVE, Feature.INEQUALITY, Feature.EQUALITY, Feature.REAL, Feature.INTEGER}),
        requires=(Jacobian,),
        citation="Cocchi et al. 2020, doi 10.1007/s10589-020-00192-0; hypervolume gradient: Emmerich & Deutz 2014, "
        "doi 10.1007/978-3-319-01128-8_8",
    )
    init: tuple[str, ...] = ("auto",)
    n_directions: Annotated[int, Ge(2)] = 5
    wave_size: Annotated[int, Ge(1)] = 4
    radius: Annotated[float, Gt(0), Le(0.5)] = 0.05
    smallest_radius: Annotated[float, Gt(0)] = 1e-5

    def _solve(self, task: Task) -> Outcome:
        require_stopping_rule(task)
        descent = _Descent(task, self)
        task.reporter = descent.report
        descent.begin()
        while task.meter.remaining_evaluations > 0:
            if not descent.step():
                return task.outcome(Termination.CONVERGED, detail="no step gains anything", report=descent.report())
        return task.outcome(Termination.LIMIT, spent_limit(task), report=descent.report())


@dataclass(eq=False, slots=True)
class _Members:
    """The points of the front with their models and steps, row by row.

    Attributes:
        U: float64 [n, d], variables scaled to [0, 1].
        L: float64 [n, m], losses: 0 at the good corner of the box, 1 at the bad one.
        J: float64 [n, m, d], slopes of the losses in U; zeros where they were not looked at.
        radius: float64 [n].
        looked: bool [n], J is there.
        stale: bool [n], the steps do not belong to J and radius.
        C: float64 [n, w, d], repaired ends of the steps.
        P: float64 [n, w, m], losses predicted there.
        gain: float64 [n, w], upper bounds of what they gain: the front only grows.
    """

    U: FloatArray
    L: FloatArray
    J: FloatArray
    radius: FloatArray
    looked: BoolArray
    stale: BoolArray
    C: FloatArray
    P: FloatArray
    gain: FloatArray

    @classmethod
    def of(cls, U: FloatArray, L: FloatArray, radius: FloatArray, n_directions: int) -> _Members:
        """Points without slopes."""
        (n, d), m, w = U.shape, L.shape[1], n_directions
        no, yes = np.zeros(n, dtype=np.bool_), np.ones(n, dtype=np.bool_)
        arrays = np.zeros((n, m, d)), radius, no, yes, np.zeros((n, w, d)), np.zeros((n, w, m)), np.zeros((n, w))
        return cls(U, L, *arrays)

    def rows(self, keep: IntArray) -> _Members:
        """Some of the points."""
        return _Members(*(getattr(self, name)[keep] for name in self.__slots__))

    def beside(self, other: _Members) -> _Members:
        """These and others."""
        return _Members(*(np.concatenate([getattr(self, name), getattr(other, name)]) for name in self.__slots__))


@dataclass(eq=False, slots=True)
class _Counts:
    """What was done."""

    looks: int = 0
    steps: int = 0
    gained: int = 0


@dataclass(eq=False, slots=True)
class _Descent:
    """State of one run."""

    task: Task
    options: FrontDescent
    weights: FloatArray = field(init=False)
    box: HypervolumeBox = field(init=False)
    front: _Members = field(init=False)
    counts: _Counts = field(default_factory=_Counts)

    def begin(self) -> None:
        """Evaluate the starting points until one is feasible, and take their front."""
        task, options = self.task, self.options
        instance, m = task.instance, len(task.instance.objectives)
        self.weights = weight_vectors(m, max(m, options.n_directions))
        self.front = self._members(np.empty((0, instance.space.dim)), np.empty((0, m)), options.radius)
        start = starting_points(task, options, options.population(task.meter.budget))
        X, F = np.empty((0, instance.space.dim)), np.empty((0, m))
        if start.known is not None:
            met = start.known.evaluation.feasible
            X, F = start.known.X[met], start.known.evaluation.F[met]
        points, source = start.X, start.source
        rng = task.rng(purpose="until_feasible")
        while points.shape[0] and (left := task.meter.remaining_evaluations) > 0:
            points = instance.project(points[:left])
            evaluation = task.evaluate(points, source=source[:left])
            X, F = np.concatenate([X, points[evaluation.feasible]]), np.concatenate([F, evaluation.F[evaluation.feasible]])
            if X.shape[0]:
                break
            points = instance.space.sample(rng, len(source))
            source = ["start:uniform"] * len(source)
        if X.shape[0]:
            self.box = self._box(F)
            L = normalize(F, self.box)
            self.front = self._members(instance.space.normalize(X), L, options.radius).rows(front_rows(L))

    def step(self) -> bool:
        """Look at slopes, evaluate the steps that gain most; False when there are none."""
        self._look()
        left = self.task.meter.remaining_evaluations
        if left == 0:
            return True
        front = self.front
        while True:
            self._refresh()
            picked = self._pick(min(self.options.wave_size, left))
            if picked.size:
                self._try(picked)
                return True
            alive = front.radius > self.options.smallest_radius
            if not (front.looked & alive).any():
                return not front.looked.all()
            front.radius[front.looked & alive] *= _SHRINK
            front.stale[front.looked & alive] = True

    def report(self) -> JsonObject:
        """Deterministic figures of the run so far."""
        counts = self.counts
        return {"looks": counts.looks, "steps": counts.steps, "gained": counts.gained, "front": len(self.front.L)}

    def _members(self, U: FloatArray, L: FloatArray, radius: float | FloatArray) -> _Members:
        return _Members.of(U, L, np.broadcast_to(radius, len(U)).astype(np.float64), len(self.weights))

    def _box(self, F: FloatArray) -> HypervolumeBox:
        """The scenario's box, or one around the points as long as none of them lies in it."""
        box = self.task.instance.hypervolume_box
        assert box is not None  # several objectives always have one
        if (normalize(F, box) < 1.0).all(axis=1).any():
            return box
        signs = self.task.instance.signs
        best, worst = (F * signs).min(axis=0), (F * signs).max(axis=0)
        width = np.where(worst > best, worst - best, np.maximum(np.abs(best), 1.0))
        return HypervolumeBox(tuple(((worst + width) * signs).tolist()), tuple((best * signs).tolist()))

    def _look(self) -> None:
        """Slopes at the points without them that have most room to their neighbors, for half of what is left at most."""
        front, instance = self.front, self.task.instance
        assert isinstance(instance, Jacobian)
        wanting = np.flatnonzero(~front.looked)
        count = min(self.options.wave_size, wanting.size, -(-self.task.meter.remaining_evaluations // 2))
        if count == 0:
            return
        rows = wanting[np.argsort(-_room(front.L)[wanting], kind="stable")[:count]]
        space = instance.space
        J = np.nan_to_num(instance.jacobian(space.denormalize(front.U[rows])), nan=0.0, posinf=0.0, neginf=0.0)
        J[:, :, space.integer] = 0.0
        scale = np.asarray(self.box.reference) - np.asarray(self.box.ideal)
        front.J[rows] = J / scale[:, None] * (space.upper - space.lower)
        front.looked[rows] = front.stale[rows] = True
        self.counts.looks += count

    def _refresh(self) -> None:
        """Steps where slopes or radius are new: against the weighted slopes, no further out of the box, then repaired."""
        front, instance = self.front, self.task.instance
        rows = np.flatnonzero(front.looked & front.stale)
        if not rows.size:
            return
        U = front.U[rows, None, :]  # [k, 1, d]
        slope = np.einsum("wm,kmd->kwd", self.weights, front.J[rows])
        slope = np.where(((U <= 0.0) & (slope > 0.0)) | ((U >= 1.0) & (slope < 0.0)), 0.0, slope)
        length = np.sqrt((slope * slope).sum(axis=2, keepdims=True))
        ends = np.clip(U - front.radius[rows, None, None] * slope / np.maximum(length, 1e-300), 0.0, 1.0)
        X = instance.project(instance.space.denormalize(ends.reshape(-1, ends.shape[2])))
        front.C[rows] = instance.space.normalize(X).reshape(ends.shape)
        front.P[rows] = front.L[rows, None, :] + np.einsum("kmd,kwd->kwm", front.J[rows], front.C[rows] - U)
        P = front.P[rows].reshape(-1, front.L.shape[1])
        front.gain[rows] = exclusive_gains(front.L, P).reshape(len(rows), -1)
        front.stale[rows] = False

    def _pick(self, count: int) -> IntArray:
        """Steps that gain most by their models, one per point, each beside those before it; int64 [k, 2]: point, direction."""
        front = self.front
        alive = front.looked & (front.radius > self.options.smallest_radius)
        bound = np.where(alive[:, None], front.gain, 0.0)
        expected, picked = front.L, list[tuple[int, int]]()
        while len(picked) < count and bound.size:
            row, direction = divmod(int(np.argmax(bound)), bound.shape[1])
            if bound[row, direction] <= _NO_GAIN:
                break
            point = front.P[row, direction][None]
            front.gain[row, direction] = min(front.gain[row, direction], exclusive_gains(front.L, point)[0])
            gain = exclusive_gains(expected, point)[0] if picked else front.gain[row, direction]
            if gain < bound[row, direction] * (1.0 - 1e-12):
                bound[row, direction] = gain
                continue
            picked.append((row, direction))
            bound[row] = 0.0
            expected = np.concatenate([expected, point])
        return np.array(picked, dtype=np.int64).reshape(-1, 2)

    def _try(self, picked: IntArray) -> None:
        """Evaluate steps, set radii, and take what gained hypervolume."""
        front, options = self.front, self.options
        rows, directions = picked.T
        C, P = front.C[rows, directions], front.P[rows, directions]
        L, feasible = self._losses(C)
        there, taken, radii = front.L, list[int](), list[float]()
        for i, row in enumerate(rows):
            expected = exclusive_gains(there, P[i : i + 1])[0]
            gain = exclusive_gains(there, L[i : i + 1])[0] if feasible[i] else 0.0
            share = gain / max(expected, _NO_GAIN)
            if gain > 0.0:
                factor = _GROW if share > _TRUSTED else 1.0 if share > _DOUBTED else 0.5
                taken.append(i)
                radii.append(min(_LONGEST, factor * front.radius[row]))
                there = np.concatenate([there, L[i : i + 1]])
            if share < _DOUBTED:
                front.radius[row] *= _SHRINK
                front.stale[row] = True
        self.counts.steps += len(rows)
        self.counts.gained += len(taken)
        if taken:
            self.front = front.beside(self._members(C[taken], L[taken], np.array(radii)))
            self.front = self.front.rows(front_rows(self.front.L))

    def _losses(self, U: FloatArray) -> tuple[FloatArray, BoolArray]:
        """Losses and feasibility of points, evaluated."""
        instance = self.task.instance
        evaluation: Evaluation = self.task.evaluate(instance.project(instance.space.denormalize(U)), source="descent")
        return normalize(evaluation.F, self.box), evaluation.feasible


def _room(L: FloatArray) -> FloatArray:
    """What each point of a front gains alone, beside the others; float64 [n]."""
    return np.array([exclusive_gains(np.delete(L, i, axis=0), L[i : i + 1])[0] for i in range(len(L))])
