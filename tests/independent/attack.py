"""Search for verified points that a certificate says cannot exist."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from optisolve.core import Instance
from optisolve.core.problem import FEASIBILITY_TOLERANCE
from optisolve.core.reference import Reference
from tests.independent.protocol import family, own_evaluation

_ENUMERATED = 20_000
_LOCAL_STEPS = 60


@dataclass(frozen=True)
class Strike:
    """The best verified point that was found against a certificate.

    Attributes:
        tried: Points evaluated.
        feasible: How many of them were verified feasible.
        beyond: How far the best one lies beyond the bound, in units of the objective's gap scale; < 0 when it does not.
        beaten: Beyond by more than the reference's tie, or a feasible point of an instance that is proven infeasible.
        x: The point, [d].
    """

    tried: int
    feasible: int
    beyond: float
    beaten: bool
    x: np.ndarray | None


def attack(name: str, instance: Instance, reference: Reference, rng: np.random.Generator, *, n_random: int = 200) -> Strike:
    """Trivial policies, random and projected points, enumeration where small, the family's own ideas, local search.

    Args:
        name: The family.
        instance: A single-objective instance.
        reference: Its certificate.
        rng: Source of randomness.
        n_random: Random points.
    """
    X = _candidates(name, instance, reference, rng, n_random)
    pool = [X]
    best = _best(instance, X)
    width = instance.space.upper - instance.space.lower
    for step in 0.3 * 0.75 ** np.arange(_LOCAL_STEPS):
        if best is None:
            break
        moves = best + step * width * rng.standard_normal((16, width.size)) * (rng.random((16, width.size)) < 0.5)
        tried = np.concatenate([_inside(instance, moves), instance.project(moves)])
        pool.append(tried)
        best = _best(instance, np.concatenate([best[None], tried]))
    X = np.concatenate(pool)
    return _judge(name, instance, reference, X, best)


def passed_ideal(name: str, instance: Instance, reference: Reference, rng: np.random.Generator, *, n_random: int = 200) -> str:
    """Which objective's bound a verified point passes, in words; "" when none does. For several objectives."""
    X = _candidates(name, instance, reference, rng, n_random)
    X = X[instance.evaluate_twin(X).max_violation <= FEASIBILITY_TOLERANCE]
    if not len(X):
        return ""
    F = instance.evaluate_twin(X).F
    for i, (objective, bound) in enumerate(zip(instance.objectives, reference.ideal_bound or (), strict=False)):
        x = X[int(np.argmin(F[:, i] * instance.signs[i]))]
        value = own_evaluation(name, instance, x[None])[0][0, i]  # by equations that the family did not write
        if -objective.shortfall(float(value), bound) > 1e-12 * objective.gap_scale(bound):
            return f"{objective.name} {value!r} beyond {bound!r} at {x.tolist()}"
    return ""


def _candidates(name: str, instance: Instance, reference: Reference, rng: np.random.Generator, n_random: int) -> np.ndarray:
    space = instance.space
    raw = space.sample(rng, n_random)
    corners = np.where(rng.random((32, space.dim)) < 0.5, space.lower, space.upper)
    parts = [
        raw,
        corners,
        instance.project(raw),
        instance.project(corners),
        *map(np.atleast_2d, instance.null_policies().values()),
    ]
    if reference.X is not None:
        near = reference.X[rng.integers(0, len(reference.X), 64)] * (
            1.0 + 10.0 ** rng.uniform(-12, -1, (64, 1)) * rng.standard_normal((64, space.dim))
        )
        parts += [reference.X, _inside(instance, near), instance.project(near)]
    if space.integer.all() and np.prod(space.upper - space.lower + 1.0) <= _ENUMERATED:
        axes = [np.arange(low, high + 1.0) for low, high in zip(space.lower, space.upper, strict=True)]
        parts.append(np.array(list(itertools.product(*axes))))
    own = np.asarray(family(name).attack(instance, reference, rng), dtype=np.float64).reshape(-1, space.dim)
    parts.append(_inside(instance, own))
    return np.concatenate([_inside(instance, np.asarray(p, dtype=np.float64)) for p in parts])


def _inside(instance: Instance, X: np.ndarray) -> np.ndarray:
    return instance.space.clip(np.atleast_2d(X))


def _best(instance: Instance, X: np.ndarray) -> np.ndarray | None:
    evaluation = instance.evaluate_twin(X)
    feasible = evaluation.max_violation <= FEASIBILITY_TOLERANCE
    if not feasible.any():
        return None
    values = np.where(feasible, evaluation.F[:, 0] * instance.signs[0], np.inf)
    return np.asarray(X[int(np.argmin(values))])


def _judge(name: str, instance: Instance, reference: Reference, X: np.ndarray, best: np.ndarray | None) -> Strike:
    if best is None:
        return Strike(len(X), 0, float("-inf"), beaten=False, x=None)
    feasible = int((instance.evaluate_twin(X).max_violation <= FEASIBILITY_TOLERANCE).sum())
    F, G, H = own_evaluation(name, instance, best[None])  # by equations that the family did not write
    violation = max([0.0, *G.ravel().tolist(), *np.abs(H).ravel().tolist()])
    objective, bound = instance.objectives[0], reference.dual_bound
    if reference.evidence.value == "proven_infeasible":
        return Strike(len(X), feasible, float("inf"), beaten=violation <= FEASIBILITY_TOLERANCE, x=best)
    if bound is None:
        return Strike(len(X), feasible, float("-inf"), beaten=False, x=best)
    beyond = -objective.shortfall(float(F[0, 0]), bound)
    beaten = beyond > reference.tie + 1e-12 * abs(bound) and violation <= FEASIBILITY_TOLERANCE
    return Strike(len(X), feasible, beyond / objective.gap_scale(bound), beaten=beaten, x=best)
