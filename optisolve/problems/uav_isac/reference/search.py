"""A front by local search: smooth programs from many starts and for many weights, kept in one archive.

Every program minimizes a weighted Chebyshev distance to the good corner of the scoring box under a fixed association, by
SLSQP with exact gradients; its answer is repaired, evaluated by the instance and archived. The next round starts from
what is best for each weight so far, shaken: a change of association happens between programs, never inside one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.clock import so_far, time_is_up
from optisolve.core.seeds import generator
from optisolve.problems.uav_isac import placements
from optisolve.problems.uav_isac.instance import UavIsacInstance

__all__ = ["Archive", "SearchWork", "local_front", "polish"]

_AUGMENTATION = 1e-3  # weight of the sum beside the maximum, so that no answer is only weakly efficient
_REASSOCIATIONS = 3
_ITERATIONS = 60
_MANY_UAVS = 10
_ROUNDING = 1e-9  # objectives that agree to so much of the box are one point


@dataclass(frozen=True, slots=True)
class SearchWork:
    """How much a local front may cost.

    Args:
        n_weights: Weights of the two objectives, evenly spread in angle.
        n_rounds: Rounds over all weights; fewer programs run with more than 10 UAVs, in proportion to 1 / M^3.
        n_refined: Weights of the last pass, which starts from the best points as they are.
    """

    n_weights: int
    n_rounds: int
    n_refined: int = 0


@dataclass(eq=False, slots=True)
class Archive:
    """Feasible points of one instance; asks for its non-dominated ones.

    Args:
        instance: What the points solve.
    """

    instance: UavIsacInstance
    X: FloatArray = field(init=False)
    F: FloatArray = field(init=False)

    def __post_init__(self) -> None:
        self.X = np.empty((0, self.instance.space.dim))
        self.F = np.empty((0, 2))

    def add(self, X: FloatArray) -> None:
        """Repair, evaluate and keep what nothing else dominates.

        Args:
            X: float64 [n, d], bounds may be violated.
        """
        X = self.instance.project(X)
        self.X, F = np.vstack([self.X, X]), np.vstack([self.F, self.instance.evaluate(X).F])
        keep = non_dominated(unit_losses(self.instance, F))
        self.X, self.F = self.X[keep], F[keep]


def unit_losses(instance: UavIsacInstance, F: FloatArray) -> FloatArray:
    """Objectives as losses, 0 at the good corner of the scoring box and 1 at the bad one; float64 [n, 2]."""
    box = instance.hypervolume_box
    assert box is not None  # two objectives always have one
    ideal, reference = np.asarray(box.ideal), np.asarray(box.reference)
    losses: FloatArray = (F - ideal) / (reference - ideal)
    return losses


def non_dominated(losses: FloatArray) -> Any:
    """Indices of the non-dominated rows of float64 [n, 2], by ascending first loss; equal points once."""
    rounded = np.round(losses / _ROUNDING)
    order = np.lexsort((rounded[:, 1], rounded[:, 0]))
    second = rounded[order, 1]
    before = np.concatenate([[np.inf], np.minimum.accumulate(second)[:-1]])
    return order[second < before]


def local_front(instance: UavIsacInstance, work: SearchWork, *, seed: int = 0, warm: FloatArray | None = None) -> Archive:
    """Run the search.

    Args:
        instance: What to solve.
        work: How much it may cost; the answer depends on it and on the seed alone, unless the time of a reference is limited.
        seed: Seed of the random starts and of the shaking.
        warm: float64 [n, d], further points to begin with.

    Returns:
        The archive; its front is locally polished, nothing is proven about it.
    """
    from threadpoolctl import threadpool_limits

    # The linear algebra inside SLSQP is tiny: threads cost up to 100 times more than they save on a busy machine, and
    # one thread gives the same bits everywhere.
    with threadpool_limits(limits=1, user_api="blas"):
        return _search(instance, work, generator(seed, problem="uav_isac", purpose="reference_search"), warm)


def _search(instance: UavIsacInstance, work: SearchWork, rng: np.random.Generator, warm: FloatArray | None) -> Archive:
    archive = Archive(instance)
    archive.add(np.vstack(list(placements.drafts(instance.constants, instance.users_m).values())))
    archive.add(instance.space.sample(rng, 256))
    if warm is not None:
        archive.add(warm)
    weights = _weights(work.n_weights)
    n_programs = int(work.n_weights * work.n_rounds * min(1.0, (_MANY_UAVS / instance.constants.n_uavs) ** 3))
    for program in range(n_programs):
        so_far(archive.X)
        if time_is_up():
            return archive
        weight, turn = weights[program % len(weights)], program // len(weights)
        if warm is None and turn < 2:  # first from the best null policy or sample, then from somewhere else
            start = _draft(instance, rng) if turn else _best_for(archive, weight)
        else:
            start = _shake(instance, _best_for(archive, weight), rng)
        archive.add(polish(instance, start, weight))
    for weight in _weights(work.n_refined):
        if time_is_up():
            return archive
        archive.add(polish(instance, _best_for(archive, weight), weight))
    return archive


def polish(instance: UavIsacInstance, x: FloatArray, weight: FloatArray) -> FloatArray:
    """Local optima of the weighted Chebyshev loss, following the association a few times.

    Args:
        instance: What to solve.
        x: float64 [d], start.
        weight: float64 [2], positive.

    Returns:
        float64 [n, d], one repaired point for every association tried.
    """
    from optisolve.problems.uav_isac.gradients import associate

    points, x = [], instance.project(x)[0]
    serving = associate(x, instance.users_m, instance.packed)
    for _ in range(_REASSOCIATIONS):
        x = instance.project(_Program(instance, serving, weight).solve(x))[0]
        points.append(x)
        changed = associate(x, instance.users_m, instance.packed)
        if np.array_equal(changed, serving):
            break
        serving = changed
    return np.array(points)


class _Program:
    """min t + augmentation s.t. weight_i loss_i <= t, separations, total power; variables scaled to about 1, t last."""

    def __init__(self, instance: UavIsacInstance, serving: Any, weight: FloatArray) -> None:
        c, box = instance.constants, instance.hypervolume_box
        assert box is not None
        self._instance, self._serving, self._weight = instance, serving, weight
        self._scale = np.tile([c.area_m, c.area_m, c.p_max_w], c.n_uavs)  # [d]
        self._ideal, self._width = np.asarray(box.ideal), np.asarray(box.reference) - np.asarray(box.ideal)
        self._pairs = np.triu_indices(c.n_uavs, 1)
        self._F, self._dF = np.empty(2), np.empty((2, instance.space.dim))
        self._last: FloatArray | None = None

    def solve(self, x: FloatArray) -> FloatArray:
        """float64 [d], perhaps a little infeasible, from float64 [d]."""
        from scipy.optimize import minimize

        space = self._instance.space
        z = np.append(x / self._scale, 0.0)
        z[-1] = self._losses(z).max()
        if not np.isfinite(z[-1]):
            return x  # the UAVs of the start stand so that nobody can be located: there is no slope to follow
        bounds = [*zip(space.lower / self._scale, space.upper / self._scale, strict=True), (None, None)]
        slack: Any = {"type": "ineq", "fun": self._slack, "jac": self._slack_gradient}
        options: Any = {"maxiter": _ITERATIONS, "ftol": 1e-10}
        answer = minimize(
            self._objective,
            z,
            jac=self._objective_gradient,
            bounds=bounds,
            constraints=slack,
            method="SLSQP",
            options=options,
        )
        found = answer.x[:-1] * self._scale
        return found if np.isfinite(found).all() else x

    def _update(self, z: FloatArray) -> None:
        from optisolve.problems.uav_isac.gradients import smooth_objectives

        if self._last is None or not np.array_equal(z[:-1], self._last):
            self._last = z[:-1].copy()
            instance = self._instance
            smooth_objectives(self._last * self._scale, instance.users_m, instance.packed, self._serving, self._F, self._dF)

    def _losses(self, z: FloatArray) -> FloatArray:
        self._update(z)
        losses: FloatArray = self._weight * (self._F - self._ideal) / self._width
        return losses

    def _loss_gradients(self, z: FloatArray) -> FloatArray:
        self._update(z)
        gradients: FloatArray = (self._weight / self._width)[:, None] * self._dF * self._scale
        return gradients

    def _objective(self, z: FloatArray) -> float:
        return float(z[-1] + _AUGMENTATION * self._losses(z).sum())

    def _objective_gradient(self, z: FloatArray) -> FloatArray:
        return np.append(_AUGMENTATION * self._loss_gradients(z).sum(axis=0), 1.0)

    def _slack(self, z: FloatArray) -> FloatArray:
        c = self._instance.constants
        gap, _ = self._gaps(z)
        powers = z[2:-1:3].sum() * c.p_max_w
        near = (gap**2).sum(axis=1) * (c.area_m / c.d_min_m) ** 2 - 1.0 if c.n_uavs > 1 else np.empty(0)
        return np.concatenate([z[-1] - self._losses(z), near, [1.0 - powers / c.p_total_w]])

    def _slack_gradient(self, z: FloatArray) -> FloatArray:
        c = self._instance.constants
        gap, (i, j) = self._gaps(z)
        rows = np.zeros((2 + len(i) + 1, z.size))
        rows[:2, :-1], rows[:2, -1] = -self._loss_gradients(z), 1.0
        pairs, factor = 2 + np.arange(len(i)), 2.0 * (c.area_m / c.d_min_m) ** 2
        for axis in range(2):
            rows[pairs, 3 * i + axis] = factor * gap[:, axis]
            rows[pairs, 3 * j + axis] = -factor * gap[:, axis]
        rows[-1, 2:-1:3] = -c.p_max_w / c.p_total_w
        return rows

    def _gaps(self, z: FloatArray) -> tuple[FloatArray, Any]:
        positions = z[:-1].reshape(-1, 3)[:, :2]
        i, j = self._pairs
        gap: FloatArray = positions[i] - positions[j]  # [pairs, 2], over the side of the area
        return gap, (i, j)


def _weights(count: int) -> FloatArray:
    """float64 [count, 2], positive, their reciprocals evenly spread in angle."""
    angles = (np.arange(count) + 0.5) / count * np.pi / 2
    return np.column_stack([1.0 / np.cos(angles), 1.0 / np.sin(angles)])


def _best_for(archive: Archive, weight: FloatArray) -> FloatArray:
    losses = (weight * unit_losses(archive.instance, archive.F)).max(axis=1)
    best: FloatArray = archive.X[losses.argmin()]
    return best


def _draft(instance: UavIsacInstance, rng: np.random.Generator) -> FloatArray:
    """A random start: UAVs over users, powers at random."""
    c = instance.constants
    over = rng.choice(instance.users_m, c.n_uavs, replace=c.n_uavs > len(instance.users_m))
    positions = over + rng.normal(0.0, 0.5 * c.altitude_m, over.shape)
    return np.column_stack([positions, rng.uniform(c.p_min_w, c.p_max_w, c.n_uavs)]).ravel()


def _shake(instance: UavIsacInstance, x: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Move one or two UAVs: nearby, or over another user; sometimes swap two powers."""
    c, uavs = instance.constants, x.reshape(-1, 3).copy()
    for m in rng.choice(c.n_uavs, min(c.n_uavs, int(rng.integers(1, 3))), replace=False):
        if rng.random() < 0.5:
            uavs[m, :2] += rng.normal(0.0, 0.1 * c.area_m, 2)
        else:
            uavs[m, :2] = rng.choice(instance.users_m) + rng.normal(0.0, 0.5 * c.altitude_m, 2)
        uavs[m, 2] *= np.exp(rng.normal(0.0, 0.5))
    if c.n_uavs > 1 and rng.random() < 0.25:
        i, j = rng.choice(c.n_uavs, 2, replace=False)
        uavs[[i, j], 2] = uavs[[j, i], 2]
    return uavs.ravel()
