"""Independent re-evaluation of what a solver returned; the only place that sets a `PointStatus`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from optisolve.core.arrays import BoolArray, FloatArray
from optisolve.core.errors import ProblemError
from optisolve.core.problem import FEASIBILITY_TOLERANCE, Instance
from optisolve.core.status import PointStatus

__all__ = ["NEAR_TOLERANCE", "Verification", "verify_points"]

NEAR_TOLERANCE = 1e-5
"""Largest violation of a (dimensionless) constraint that counts as nearly feasible."""

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
        evaluation = instance.evaluate_twin(kept)
    except Exception as error:  # a plug-in's twin may raise anything; what it cannot evaluate is not certified
        told = f"{type(error).__name__}: {error}"
        return Verification(PointStatus.INVALID, {PointStatus.INVALID.value: array.shape[0]}, *empty, 0.0, told)
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


def _status(violation: float) -> PointStatus:
    if violation <= FEASIBILITY_TOLERANCE:
        return PointStatus.FEASIBLE
    return PointStatus.NEARLY_FEASIBLE if violation <= NEAR_TOLERANCE else PointStatus.INFEASIBLE
