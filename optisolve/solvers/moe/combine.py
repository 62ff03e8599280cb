"""Combining answers, only in ways that cannot make them worse unnoticed.

Averaging is safe on a convex set with a concave objective and wrong elsewhere: two links with unit gains, noise 0.1 and caps
of 1 reach log2(11) = 3.459 bit/s/Hz when either is on alone, and 1.749 at the average of the two answers. `convex_blend`
therefore needs the family's declaration, checks it by evaluation, and keeps a blend only when it is better than its members.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from optisolve.core.arrays import FloatArray, IntArray
from optisolve.core.errors import SolverError
from optisolve.core.problem import Evaluation, Instance
from optisolve.run.archive import nondominated

__all__ = ["Blend", "blend_refusal", "convex_blend", "fuse_gpi", "fuse_q", "pareto_merge", "weighted_policy"]


@dataclass(frozen=True, eq=False, slots=True)
class Blend:
    """A blend of points, or why there is none.

    Attributes:
        point: float64 [d]; None when refused or not better.
        reason: Why it was refused or dropped; "" when it is kept.
        evaluations: Evaluations it cost.
    """

    point: FloatArray | None
    reason: str
    evaluations: int = 0


def blend_refusal(instance: Instance) -> str:
    """Why points of an instance must not be averaged; "" when they may."""
    if len(instance.objectives) != 1:
        return "several objectives: fronts are merged, not averaged"
    if instance.space.has_integers:
        return "integer variables: the average of two points is no point"
    if instance.equality_names:
        return "equality constraints: their set is not declared convex"
    if not instance.convex:
        return f"{instance.origin.problem} declares no convex set with a concave objective, so an average may be worse than all"
    return ""


def convex_blend(
    instance: Instance, points: FloatArray, weights: Sequence[float], evaluate: Callable[[FloatArray], Evaluation]
) -> Blend:
    """Average feasible points where that is safe, and keep the average only when it is better than all of them.

    Args:
        instance: The instance.
        points: float64 [k, d], feasible.
        weights: k weights >= 0, not all 0.
        evaluate: Counted evaluation of a batch.

    Raises:
        SolverError: Weights and points do not match.
    """
    reason = blend_refusal(instance)
    if reason:
        return Blend(None, reason)
    w = np.asarray(weights, dtype=np.float64)
    if w.shape != (points.shape[0],) or (w < 0.0).any() or not w.sum() > 0.0:
        raise SolverError(f"convex_blend: {w.shape[0]} weights for {points.shape[0]} points; they must be >= 0 and not all 0.")
    if points.shape[0] < 2:
        return Blend(None, "fewer than two feasible answers")
    w = w / w.sum()
    batch = np.vstack([instance.space.clip((w @ points)[None, :]), points])
    told = evaluate(batch)
    values = told.F[:, 0] * instance.signs[0]  # to be minimized
    if told.violation[0] > 0.0 or values[0] > float(w @ values[1:]) + 1e-9 * instance.objectives[0].gap_scale(values[0]):
        return Blend(None, "the declared convexity is contradicted by evaluation", batch.shape[0])
    if not values[0] < values[1:].min():
        return Blend(None, "not better than the best member", batch.shape[0])
    return Blend(batch[0], "", batch.shape[0])


def pareto_merge(F_min: Sequence[FloatArray]) -> list[IntArray]:
    """Non-dominated points of the union of fronts.

    Args:
        F_min: Fronts float64 [n_i, m], to be minimized.

    Returns:
        For every front the indices of its points that stay.
    """
    sizes = [front.shape[0] for front in F_min]
    keep = nondominated(np.concatenate(list(F_min)))
    edges = np.cumsum([0, *sizes])
    return [keep[(keep >= a) & (keep < b)] - a for a, b in pairwise(edges)]


def fuse_q(q: FloatArray, weights: Sequence[float], *, allowed: FloatArray | None = None) -> FloatArray:
    """Scale-free fusion of experts' action values: ``sum_i w_i (Q_i - mean_a Q_i) / (max_a Q_i - min_a Q_i)``.

    Args:
        q: float64 [experts, ..., actions].
        weights: One per expert, >= 0; an expert with equal values everywhere has no say.
        allowed: bool [..., actions]; forbidden actions get -inf.

    Returns:
        float64 [..., actions]; the fused policy is its argmax.

    Source: our reading of the inference fusion of arXiv 2402.09756, whose formula is not published.
    """
    values = np.asarray(q, dtype=np.float64)
    w = np.asarray(weights, dtype=np.float64)
    if w.shape != (values.shape[0],) or (w < 0.0).any():
        raise SolverError(f"fuse_q: {w.size} weights for {values.shape[0]} experts; they must be >= 0.")
    spread = values.max(axis=-1, keepdims=True) - values.min(axis=-1, keepdims=True)
    scaled = (values - values.mean(axis=-1, keepdims=True)) / np.where(spread > 0.0, spread, 1.0)
    fused: FloatArray = np.tensordot(w, scaled, axes=1)
    return fused if allowed is None else np.where(allowed, fused, -np.inf)


def fuse_gpi(q: FloatArray) -> FloatArray:
    """Generalized policy improvement: ``max_i Q_i``, float64 [..., actions]; values must be on one scale.

    Args:
        q: float64 [experts, ..., actions], all for the task at hand.

    Source: Barreto et al. 2017, successor features for transfer.
    """
    best: FloatArray = np.asarray(q, dtype=np.float64).max(axis=0)
    return best


def weighted_policy(q: FloatArray, weights: Sequence[float]) -> IntArray:
    """Greedy actions of `fuse_q`, int64 [...]; ties go to the first action."""
    return np.asarray(np.argmax(fuse_q(q, weights), axis=-1), dtype=np.int64)
