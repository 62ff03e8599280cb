"""Independent re-evaluation of what a solver returned; the only place that sets a `PointStatus`.

Beside it errors of ours that a finished run shows: a fast kernel that is not its twin, a shipped model that cannot evaluate.
A family without a kernel has one implementation. Then this can only show that it repeats itself; that it is right is for tests
against a second one (`tests/independent`), and nothing at run time claims more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from optisolve.core.arrays import BoolArray, FloatArray
from optisolve.core.errors import ProblemError
from optisolve.core.evaluation import Tried, Twins, twins_of_run
from optisolve.core.failures import attempt
from optisolve.core.problem import FAILED_VIOLATION, Instance
from optisolve.core.reference import Reference
from optisolve.core.status import Evidence, PointStatus
from optisolve.modelling.answer import passed_bound
from optisolve.run.evaluator import Evaluator

__all__ = [
    "IDEAL_TOLERANCE",
    "NEAR_TOLERANCE",
    "Miss",
    "Verification",
    "confront",
    "confront_values",
    "is_shipped",
    "own_errors",
    "shortfall_text",
    "verify_points",
]

NEAR_TOLERANCE = 1e-5
"""Largest violation of a (dimensionless) constraint that counts as nearly feasible, or ten times its own tolerance."""

IDEAL_TOLERANCE = 1e-6
"""Relative distance by which a verified point may pass a bound on one of several objectives: rounding and feasibility slack."""

_WORST_FIRST = (PointStatus.INVALID, PointStatus.INFEASIBLE, PointStatus.NEARLY_FEASIBLE, PointStatus.FEASIBLE)


@dataclass(frozen=True, slots=True)
class Miss:
    """A constraint that a point violates.

    Attributes:
        name: Name of the constraint.
        violation: By how much, dimensionless.
        tolerance: How much would have counted as feasible.
    """

    name: str
    violation: float
    tolerance: float


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
        violations: float64 [n, k + p], by how much each constraint is violated, without tolerance.
        nearest: Index of the least violating point; None where a point is feasible, or none could be evaluated.
        misses: What that point violates by more than its tolerance, the worst first.
    """

    point: PointStatus
    counts: Mapping[str, int]
    X: FloatArray
    F: FloatArray
    feasible: BoolArray
    max_violation: float
    detail: str = ""
    violations: FloatArray = field(default_factory=lambda: np.empty((0, 0)))
    nearest: int | None = None
    misses: tuple[Miss, ...] = ()

    @property
    def answers(self) -> BoolArray:
        """The rows of `X` to show: the feasible points, or the least violating one where none is, bool [n]."""
        return self.feasible if self.nearest is None else np.arange(self.feasible.size) == self.nearest


def _valid_rows(instance: Instance, array: FloatArray) -> tuple[FloatArray | list[FloatArray], str]:
    """Rows that are points of the space, and what is wrong with the first other one."""
    try:
        return instance.space.require(array), ""
    except ProblemError:  # told of each row by itself
        pass
    valid, detail = list[FloatArray](), ""
    for row in array:
        try:
            instance.space.require(row)
            valid.append(row)
        except ProblemError as error:
            detail = detail or str(error)
    return valid, detail


def verify_points(instance: Instance, X: npt.ArrayLike, twins: Twins | None = None) -> Verification:
    """Re-evaluate points with the instance's numpy twin and say what they are.

    Args:
        instance: The instance they claim to solve.
        X: [n, d]; any shape or value is accepted, what cannot be evaluated is INVALID.
        twins: Evaluates by the twin elsewhere; None means the workers of the run that this belongs to, if there are any.

    Returns:
        The verification; objective values claimed by a solver play no part in it.
    """
    try:
        array = np.asarray(X, dtype=np.float64)
    except (TypeError, ValueError) as error:
        return _none_valid(instance, 1, str(error))
    if array.size == 0:
        return _none_valid(instance, 0, "")
    array = np.atleast_2d(array)
    valid_rows, detail = _valid_rows(instance, array)
    n_invalid = array.shape[0] - len(valid_rows)
    if not len(valid_rows):
        return _none_valid(instance, n_invalid, detail)
    kept = np.array(valid_rows, order="C")
    try:
        elsewhere = twins or twins_of_run(instance)
        made: Tried = attempt(instance, kept, instance._evaluate_twin) if elsewhere is None else elsewhere(kept)
    except Exception as error:  # a plug-in's twin may do anything; what it cannot evaluate is not certified
        return _none_valid(instance, array.shape[0], f"{type(error).__name__}: {error}")
    evaluation, detail = made.evaluation, detail or made.message
    if made.message:
        n_invalid += int(made.failed.sum())
        rest = ~made.failed
        kept, evaluation = kept[rest], evaluation.part(rest)
        if not kept.shape[0]:
            return _none_valid(instance, n_invalid, detail)
    worst, feasible, violations = evaluation.max_violation, evaluation.feasible, evaluation.violations
    if bool(feasible.all()) and not n_invalid:  # the usual case, and it is met a thousand times a second
        counts, worst_point, nearest = {PointStatus.FEASIBLE.value: feasible.size}, PointStatus.FEASIBLE, None
    else:
        near = np.asarray((violations <= np.maximum(NEAR_TOLERANCE, 10.0 * instance.tolerance)).all(axis=1))
        statuses = [_status(*row) for row in zip(feasible, near, strict=True)] + [PointStatus.INVALID] * n_invalid
        counts = {status.value: count for status, count in sorted(Counter(statuses).items())}
        worst_point = next(s for s in _WORST_FIRST if s in statuses)
        nearest = None if feasible.any() else int(np.argmin(evaluation.violation))
    return Verification(
        point=worst_point,
        counts=counts,
        X=kept,
        F=evaluation.F,
        feasible=feasible,
        max_violation=float(worst.max()),
        detail=detail,
        violations=violations,
        nearest=nearest,
        misses=() if nearest is None else _misses(instance, violations[nearest]),
    )


def _none_valid(instance: Instance, count: int, detail: str) -> Verification:
    """So many points, none of which could be evaluated."""
    empty = (np.empty((0, instance.space.dim)), np.empty((0, len(instance.objectives))), np.zeros(0, dtype=bool))
    point = PointStatus.INVALID if count else PointStatus.NONE
    return Verification(point, {point.value: count} if count else {}, *empty, 0.0, detail)


def _misses(instance: Instance, violations: FloatArray) -> tuple[Miss, ...]:
    names = (*instance.constraint_names, *instance.equality_names)
    found = map(Miss, names, violations.tolist(), instance.tolerance.tolist())
    return tuple(sorted((miss for miss in found if miss.violation > miss.tolerance), key=lambda miss: -miss.violation))


def shortfall_text(instance: Instance, verification: Verification) -> str:
    """Which constraint the least violating point misses by how much, and what to do; "" where a point is feasible.

    Args:
        instance: What was solved.
        verification: The run's points, re-evaluated.
    """
    if not verification.misses:
        return ""
    worst, others = verification.misses[0], verification.misses[1:]
    more = f", and {len(others)} more constraint{'s' * (len(others) > 1)}" if others else ""
    told = f"largest violation {worst.violation:.2g} in {worst.name} (tolerance {worst.tolerance:g}){more}"
    if is_shipped(instance):
        return f"{told}: give it more evaluations, or try another solver"
    own = "write a projection (project=, or Instance._project)" if instance.repairs_by_default else "improve its projection"
    return f"{told}: {own}, set the tolerance, or give it more evaluations; see docs/own_problem.md"


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


def _status(feasible: bool, near: bool) -> PointStatus:
    if feasible:
        return PointStatus.FEASIBLE
    return PointStatus.NEARLY_FEASIBLE if near else PointStatus.INFEASIBLE


def is_shipped(instance: Instance) -> bool:
    """Whether the instance's equations come with optisolve."""
    return type(getattr(instance, "base", instance)).__module__.startswith("optisolve.problems.")


def own_errors(evaluator: Evaluator, X: FloatArray, F: FloatArray, max_violation: float) -> list[str]:
    """What must not happen whatever the user asked, in words; a record with any of it claims nothing.

    Args:
        evaluator: The run's evaluator; its numbers come from the fast kernel, if there is one.
        X: float64 [n, d], the returned points.
        F: float64 [n, m], their objectives by verification.
        max_violation: Their largest violation by verification.
    """
    instance = evaluator.instance
    shipped = is_shipped(instance)
    found = []
    if evaluator.failed and shipped:
        found.append(
            f"the model of {instance.origin.problem}, which comes with optisolve, could not evaluate {evaluator.failed} "
            f"point(s); the first: {evaluator.first_failure}. Please report it"
        )
    if told := _disagreement(evaluator, X, F, max_violation):
        found.append(_in_words(instance, told, shipped))
    return found


def _in_words(instance: Instance, told: str, shipped: bool) -> str:
    name = instance.origin.problem
    if not instance.repeats:
        cure = "Take more samples, or allow for more"
        return f"values of the run and of verification, which drew samples of its own, are too far apart: {told}. {cure}"
    if not instance.has_twin:
        cure = "Please report it" if shipped else "Its _evaluate must compute the same whenever it is called"
        return f"evaluating the returned points of {name} again gives other values: {told}. {cure}"
    cure = (
        "Delete the folders __pycache__ of the package and run again; if it stays, please report it"
        if shipped
        else "Its _evaluate and _evaluate_twin must compute the same"
    )
    return f"fast evaluation and twin of {name} disagree on the returned points: {told}. {cure}"


def _disagreement(evaluator: Evaluator, X: FloatArray, F: FloatArray, max_violation: float) -> str:
    if not X.shape[0]:
        return ""
    instance, history = evaluator.instance, evaluator.history
    known = history.F_min[history.violation < FAILED_VIOLATION]
    allowed = instance.spread(np.concatenate([F, known]))  # of all: an optimum of 0 is computed from larger numbers
    before = evaluator.archive.values_at(X) if evaluator.apart else None
    if before is not None:  # what costs seconds is not evaluated a third time
        return _apart(instance, before * instance.signs, F, allowed)
    made = attempt(instance, X, instance._evaluate)
    if made.message:
        return f"only verification can evaluate them ({made.message})"
    if told := _apart(instance, made.evaluation.F, F, allowed):
        return told
    violation = float(made.evaluation.max_violation.max())
    if abs(violation - max_violation) > np.min(instance.agreement) * max(1.0, max_violation):
        return f"the largest violation is {violation:.6g} and {max_violation:.6g}"
    return ""


def _apart(instance: Instance, run_F: FloatArray, F: FloatArray, allowed: FloatArray) -> str:
    """How far the objectives of a run, float64 [n, m], are from those of verification where that is too far; else ""."""
    apart = np.abs(run_F - F)
    worst = apart.max(axis=0) > allowed
    if not worst.any():
        return ""
    j = int(np.argmax(worst))
    i = int(np.argmax(apart[:, j]))
    told = f"{instance.objectives[j].name} is {run_F[i, j]:.12g} and {F[i, j]:.12g}"
    return told if instance.repeats else f"{told}, more than {allowed[j]:.3g} apart"
