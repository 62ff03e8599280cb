"""Independent re-evaluation of what a solver returned; the only place that sets a `PointStatus`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from optisolve.core.arrays import BoolArray, FloatArray
from optisolve.core.errors import ProblemError
from optisolve.core.failures import attempt
from optisolve.core.problem import FEASIBILITY_TOLERANCE, Evaluation, Instance
from optisolve.core.reference import Reference
from optisolve.core.status import Evidence, PointStatus
from optisolve.modelling.answer import passed_bound

__all__ = ["IDEAL_TOLERANCE", "NEAR_TOLERANCE", "Verification", "confront", "confront_values", "verify_points"]

NEAR_TOLERANCE = 1e-5
"""Largest violation of a (dimensionless) constraint that counts as nearly feasible."""

IDEAL_TOLERANCE = 1e-6
"""Relative distance by which a verified point may pass a bound on one of several objectives: rounding and feasibility slack."""

_WORST_FIRST = (PointStatus.INVALID, PointStatus.INFEASIBLE, PointStatus.NEARLY_FEASIBLE, PointStatus.FEASIBLE)


@dataclass(frozen=True, eq=False, slots=True)
class Verification:
    """What the returned points really are.

    Attributes:
        point: Worst status among the points; NONE when there are none.
        counts: Points by status.
        X: float64 [n, d], the points that could be evaluated.
        F: float64 [n, m], their objectives by the numpy twin, in the problem's own senses.
        feasible: bool [n].
        max_violation: Largest violation among them; 0 when there are none.
        detail: Why points are invalid, "" when none is.
    """

    point: PointStatus
    counts: Mapping[str, int]
    X: FloatArray
    F: FloatArray
    feasible: BoolArray
    max_violation: float
    detail: str = ""


def verify_points(instance: Instance, X: npt.ArrayLike) -> Verification:
    """Re-evaluate points with the instance's numpy twin and say what they are.

    Args:
        instance: The instance they claim to solve.
        X: [n, d]; any shape or value is accepted, what cannot be evaluated is INVALID.

    Returns:
        The verification; objective values claimed by a solver play no part in it.
    """
    m, d = len(instance.objectives), instance.space.dim
    empty = (np.empty((0, d)), np.empty((0, m)), np.zeros(0, dtype=bool))
    try:
        array = np.asarray(X, dtype=np.float64)
    except (TypeError, ValueError) as error:
        return Verification(PointStatus.INVALID, {PointStatus.INVALID.value: 1}, *empty, 0.0, str(error))
    if array.size == 0:
        return Verification(PointStatus.NONE, {}, *empty, 0.0)
    array = np.atleast_2d(array)
    valid_rows, detail = [], ""
    for row in array:
        try:
            instance.space.require(row)
            valid_rows.append(row)
        except ProblemError as error:
            detail = detail or str(error)
    n_invalid = array.shape[0] - len(valid_rows)
    if not valid_rows:
        return Verification(PointStatus.INVALID, {PointStatus.INVALID.value: n_invalid}, *empty, 0.0, detail)
    kept = np.ascontiguousarray(valid_rows)
    try:
        made = attempt(instance, kept, instance._evaluate_twin)
    except Exception as error:  # a plug-in's twin may do anything; what it cannot evaluate is not certified
        told = f"{type(error).__name__}: {error}"
        return Verification(PointStatus.INVALID, {PointStatus.INVALID.value: array.shape[0]}, *empty, 0.0, told)
    evaluation, detail = made.evaluation, detail or made.message
    if made.message:
        n_invalid += int(made.failed.sum())
        rest = ~made.failed
        kept, evaluation = kept[rest], Evaluation(evaluation.F[rest], evaluation.G[rest], evaluation.H[rest])
        if not kept.shape[0]:
            return Verification(PointStatus.INVALID, {PointStatus.INVALID.value: n_invalid}, *empty, 0.0, detail)
    worst = evaluation.max_violation
    statuses = [_status(v) for v in worst] + [PointStatus.INVALID] * n_invalid
    return Verification(
        point=next(s for s in _WORST_FIRST if s in statuses),
        counts={status.value: count for status, count in sorted(Counter(statuses).items())},
        X=kept,
        F=evaluation.F,
        feasible=worst <= FEASIBILITY_TOLERANCE,
        max_violation=float(worst.max()),
        detail=detail,
    )


def confront(instance: Instance, reference: Reference | None, verification: Verification) -> Reference | None:
    """What is left of a reference after a run: a proof that a verified point contradicts is withdrawn, with a note.

    Args:
        instance: What was solved.
        reference: What was claimed about it.
        verification: The run's points, re-evaluated.

    Returns:
        The reference itself when nothing contradicts it, as it should always be; an error of ours is recorded and
        shown, and never ends a run.
    """
    return confront_values(instance, reference, verification.F[verification.feasible])


def confront_values(instance: Instance, reference: Reference | None, F: FloatArray) -> Reference | None:
    """As `confront`, from the objectives alone.

    Args:
        instance: What was solved.
        reference: What was claimed about it.
        F: float64 [n, m], objectives of verified feasible points, the problem's own senses; n may be 0.
    """
    if reference is None or not F.shape[0]:
        return reference
    if reference.evidence is Evidence.PROVEN_INFEASIBLE:
        return reference.withdrawn(
            f"{reference.solver} claimed a proof that the instance is infeasible ({reference.detail}), yet a point of this "
            "run satisfies every constraint: the proof is wrong, which is an error of optisolve; please report it."
        )
    best = np.min(F * instance.signs, axis=0) * instance.signs
    if len(instance.objectives) == 1:
        bound = reference.dual_bound
        passed = bound is not None and -instance.objectives[0].shortfall(float(best[0]), bound) > reference.tie
        return reference.withdrawn(passed_bound(float(best[0]), reference)) if passed else reference
    for i, (objective, bound) in enumerate(zip(instance.objectives, reference.ideal_bound or (), strict=False)):
        if -objective.shortfall(float(best[i]), bound) > IDEAL_TOLERANCE * objective.gap_scale(bound):
            told = f"A verified point reaches {float(best[i])!r} in {objective.name}, beyond the bound {bound!r}"
            return reference.withdrawn(f"{told} of {reference.solver}, which is an error of optisolve; please report it.")
    return reference


def _status(violation: float) -> PointStatus:
    if violation <= FEASIBILITY_TOLERANCE:
        return PointStatus.FEASIBLE
    return PointStatus.NEARLY_FEASIBLE if violation <= NEAR_TOLERANCE else PointStatus.INFEASIBLE
