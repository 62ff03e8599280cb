"""Combining answers, only in ways that cannot make them worse unnoticed.

Averaging is safe on a convex set with a concave objective and wrong elsewhere: two links with unit gains, noise 0.1 and caps
of 1 reach log2(11) = 3.459 bit/s/Hz when either is on alone, and 1.749 at the average of the two answers. `convex_blend`
therefore needs the family's declaration, checks it by evaluation, and keeps a blend only when it is better than its members.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.problem import Evaluation, Instance

__all__ = ["Blend", "blend_refusal", "convex_blend"]


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


def convex_blend(instance: Instance, points: FloatArray, evaluate: Callable[[FloatArray], Evaluation]) -> Blend:
    """Average feasible points where that is safe, and keep the average only when it is better than all of them.

    Args:
        instance: The instance.
        points: float64 [k, d], feasible.
        evaluate: Counted evaluation of a batch.
    """
    reason = blend_refusal(instance)
    if reason:
        return Blend(None, reason)
    if points.shape[0] < 2:
        return Blend(None, "fewer than two feasible answers")
    w = np.full(points.shape[0], 1.0 / points.shape[0])
    batch = np.vstack([instance.space.clip((w @ points)[None, :]), points])
    told = evaluate(batch)
    values = told.F[:, 0] * instance.signs[0]  # to be minimized
    if told.violation[0] > 0.0 or values[0] > float(w @ values[1:]) + 1e-9 * instance.objectives[0].gap_scale(values[0]):
        return Blend(None, "the declared convexity is contradicted by evaluation", batch.shape[0])
    if not values[0] < values[1:].min():
        return Blend(None, "not better than the best member", batch.shape[0])
    return Blend(batch[0], "", batch.shape[0])
