"""The reference that gaps refer to: made again from the problem, confronted with the record's own points, and compared.

Gaps count only where the reference that was made here gives them, up to rounding. What the record says about its reference is
refused where it is refuted, where it flatters the run, or where it names somebody else as its maker; a reference that took more
work than this audit spends leaves its gaps uncounted.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

import numpy as np

from optisolve.core.errors import OptisolveError
from optisolve.core.problem import Instance, Objective, Problem, Sense
from optisolve.core.reference import Effort, Reference
from optisolve.core.status import Evidence
from optisolve.numerics.indicators import score
from optisolve.run.records import describe_reference
from optisolve.run.schema import Record, ReferencePart
from optisolve.run.verify import IDEAL_TOLERANCE, Verification, confront
from optisolve.trust.audit.findings import Findings
from optisolve.trust.audit.points import agrees, feasible_objectives

__all__ = ["ReferenceMaker", "check_reference"]

_AGREEMENT = 1e-7
"""Agreement asked of two runs of the same reference method, relative to what gaps are divided by; iterative methods stop a
little apart. No tolerance of the reference widens it: inside its tolerance a reference could be moved at will."""

_ROUNDING = 1e-9
_FLATTERY = 1e-3
"""How much nearer to its front a run may seem before it is refused; below, the front is another one and does not count."""
_NUMBER = re.compile(r"[-+]?\d[\d,]*(\.\d+)?(e[-+]?\d+)?")

_SHOWS = {
    Evidence.NONE: 0,
    Evidence.BEST_KNOWN: 1,
    Evidence.LOCAL: 1,
    Evidence.DUAL_BOUND: 2,
    Evidence.PROVEN_OPTIMAL: 3,
    Evidence.PROVEN_INFEASIBLE: 3,
}


@dataclass(frozen=True, eq=False, slots=True)
class ReferenceMaker:
    """Makes references again and remembers them, since many records share an instance.

    Args:
        effort: Most work to spend on one; None makes none.
    """

    effort: Effort | None = Effort.QUICK
    _made: dict[tuple[str, Effort], Reference | None] = field(default_factory=dict)

    @property
    def efforts(self) -> list[Effort]:
        """What is tried, cheapest first."""
        return [] if self.effort is None else list(Effort)[: list(Effort).index(self.effort) + 1]

    def make(self, problem: Problem, instance: Instance, effort: Effort) -> Reference | None:
        """The reference; its point is re-evaluated and dropped when it is not feasible.

        Raises:
            OptisolveError: It cannot be made here, e.g. a package is missing.
        """
        key = (f"{instance.origin}|{instance.sha256}", effort)
        if key not in self._made:
            self._made[key] = problem.reference(instance, effort)
        return self._made[key]


def check_reference(
    record: Record,
    problem: Problem,
    instance: Instance,
    actual: Verification,
    maker: ReferenceMaker,
    found: Findings,
) -> None:
    """Check the record's reference and, for several objectives, the distance to its front.

    Args:
        record: The record; its scores against the stated reference were recomputed already.
        problem: Makes references.
        instance: The instance.
        actual: The record's points, re-evaluated.
        maker: Makes and remembers references.
        found: Gets the problems.
    """
    told = record.reference
    if told is None:
        for name, value in (("igd_plus", record.scores.igd_plus), ("gap_scale", record.scores.gap_scale)):
            if value is not None:
                found.wrong(f"scores.{name}", value, "null, since the record has no reference")
        return
    before = len(found.problems)
    several = len(instance.objectives) > 1
    if several:
        _check_several(told, instance, actual, found)
    else:
        _check_alone(told, instance.objectives[0], found)
        _check_own_points(told, instance, actual, found)
    if len(found.problems) > before:
        return
    scores = ("gap", "igd_plus" if several else "bound_gap")
    if not maker.efforts:
        found.not_counted(scores, "the reference was not made again, as asked")
        return
    why = ""
    try:
        for effort in maker.efforts:
            made = maker.make(problem, instance, effort)
            standing = confront(instance, made, actual)
            if made is None or standing is None:
                found.wrong(
                    "reference", told.solver or "a reference", f"null: {problem.name} has no reference for this instance"
                )
                return
            if several:
                why = _compare_fronts(record, told, instance, actual, standing, found)
            else:
                why = _compare(told, instance, standing, found)
            if not why or len(found.problems) > before:
                return
    except OptisolveError as error:
        why = f"the reference cannot be made again here ({error})"
    found.not_counted(scores, why)


# -- what a reference must satisfy whoever made it ---------------------------------------------------------------------


def _check_alone(told: ReferencePart, objective: Objective, found: Findings) -> None:
    """Evidence follows from value, bound and tolerance; nothing lies beyond the bound."""
    evidence, value, bound = told.evidence, told.value, told.dual_bound
    if told.ideal_bound is not None:
        found.wrong("reference.ideal_bound", told.ideal_bound, "null for one objective")
    needs = {
        Evidence.PROVEN_OPTIMAL: (value is not None and bound is not None, "a value and a dual bound"),
        Evidence.DUAL_BOUND: (bound is not None, "a dual bound"),
        Evidence.BEST_KNOWN: (value is not None, "a value"),
        Evidence.LOCAL: (value is not None, "a value"),
        Evidence.NONE: (value is None and bound is None, "neither value nor bound"),
        Evidence.PROVEN_INFEASIBLE: (value is None and bound is None, "neither value nor bound"),
    }
    holds, expected = needs[evidence]
    if not holds:
        found.wrong("reference.evidence", evidence, f"{expected}, or other evidence")
    if value is None or bound is None:
        return
    short, room = objective.shortfall(value, bound), _ROUNDING * objective.gap_scale(bound)
    if short < -(told.tolerance + told.slack + room):
        found.wrong("reference.value", value, f"no better than reference.dual_bound {bound!r}")
    if evidence is Evidence.PROVEN_OPTIMAL and short > told.tolerance + room:
        found.wrong("reference.evidence", evidence, f"value and dual_bound within the tolerance {told.tolerance!r}")


def _check_own_points(told: ReferencePart, instance: Instance, actual: Verification, found: Findings) -> None:
    """A feasible point of this very record refutes a bound that it beats, and a proof that there is no such point."""
    bound, F, objective = told.dual_bound, feasible_objectives(actual), instance.objectives[0]
    if not F.size:
        return
    if told.evidence is Evidence.PROVEN_INFEASIBLE:
        found.wrong("reference.evidence", told.evidence, "another one: the record holds a feasible point")
    if bound is None:
        return
    best = float(F.max() if objective.sense is Sense.MAXIMIZE else F.min())
    room = told.tolerance + told.slack + _ROUNDING * objective.gap_scale(bound)
    if -objective.shortfall(best, bound) > room:
        found.wrong("reference.dual_bound", bound, f"a bound that the record's own point {best!r} does not beat")


def _check_several(told: ReferencePart, instance: Instance, actual: Verification, found: Findings) -> None:
    for name, value in (("value", told.value), ("dual_bound", told.dual_bound)):
        if value is not None:
            found.wrong(f"reference.{name}", value, "null for several objectives")
    bounds, F = told.ideal_bound, feasible_objectives(actual)
    if bounds is None:
        return
    if len(bounds) != len(instance.objectives):
        found.wrong("reference.ideal_bound", bounds, f"{len(instance.objectives)} bounds, one per objective")
        return
    for i, (bound, objective) in enumerate(zip(bounds, instance.objectives, strict=True)):
        if not F.size:
            return
        best = float(F[:, i].max() if objective.sense is Sense.MAXIMIZE else F[:, i].min())
        if -objective.shortfall(best, bound) > IDEAL_TOLERANCE * objective.gap_scale(bound):
            found.wrong(f"reference.ideal_bound[{i}]", bound, f"a bound that the record's own point {best!r} does not beat")


# -- against a reference made here -------------------------------------------------------------------------------------


def _compare(told: ReferencePart, instance: Instance, made: Reference, found: Findings) -> str:
    """Compare with a reference made here: problems for what is refuted, a reason when it merely differs, else ""."""
    own, objective = describe_reference(made), instance.objectives[0]
    target = own.value if own.value is not None else own.dual_bound
    rounding = _AGREEMENT * objective.gap_scale(target or 0.0)
    apart = {name: _apart(getattr(told, name), getattr(own, name)) for name in ("value", "dual_bound", "tolerance", "slack")}
    differing = [name for name, distance in apart.items() if distance > rounding]
    if told.evidence != own.evidence:
        differing.append("evidence")
    closed = made.evidence in (Evidence.PROVEN_INFEASIBLE, Evidence.PROVEN_OPTIMAL)
    if not differing:
        return _check_words(told, own, found, closed=closed)
    _refute(told, own, instance, made, rounding, found)
    within = all(name in ("value", "dual_bound") and apart[name] <= made.tie for name in differing)
    if not found.problems and closed and not within:
        # The case is closed at this effort already, so more work would end with the same reference.
        stated, ours = told.to_json(), own.to_json()
        for name in differing:
            found.wrong(f"reference.{name}", stated[name], f"{ours[name]!r}, which the problem itself gives")
    return f"its reference ({told.solver}) was not confirmed by the one made here ({own.solver}); try --effort thorough"


def _apart(told: float | None, own: float | None) -> float:
    if told is None or own is None:
        return 0.0 if told is own else math.inf
    return abs(told - own)


def _refute(
    told: ReferencePart, own: ReferencePart, instance: Instance, made: Reference, rounding: float, found: Findings
) -> None:
    """What a verified point or a proven bound made here contradicts, or what flatters the run."""
    point, objective = _verified_value(instance, made), instance.objectives[0]

    def better_by(value: float, other: float) -> float:
        return -objective.shortfall(value, other)

    if told.dual_bound is not None and point is not None and better_by(point, told.dual_bound) > made.tie + rounding:
        found.wrong(
            "reference.dual_bound", told.dual_bound, f"a bound that the feasible point of value {point!r} does not beat"
        )
    if told.tolerance + told.slack > made.tie + rounding and told.evidence == own.evidence:  # gaps inside are ties
        name = "tolerance" if told.tolerance > made.tolerance + rounding else "slack"
        found.wrong(f"reference.{name}", getattr(told, name), f"{getattr(own, name)!r}, which the problem itself gives")
    if told.value is None:
        return
    if own.dual_bound is not None and better_by(told.value, own.dual_bound) > made.tie + rounding:
        found.wrong("reference.value", told.value, f"a value within the proven bound {own.dual_bound!r}")
    if point is not None and better_by(point, told.value) > rounding:  # it would flatter the run
        found.wrong("reference.value", told.value, f"at least as good as the feasible point of value {point!r}")


def _check_words(told: ReferencePart, own: ReferencePart, found: Findings, *, closed: bool) -> str:
    """Who made it and what was withdrawn, as the problem itself says; how, in words, is the record's own account.

    Returns:
        Why the reference may be another one of the same numbers, made with more work; "" when it is this one.
    """
    for name in ("solver", "note"):  # numbers inside the words may round
        if not _same_words(told, own, name):
            if name == "solver" and not closed:
                return f"its reference is by {told.solver}, the one made here by {own.solver}; try --effort thorough"
            found.wrong(f"reference.{name}", getattr(told, name), f"{getattr(own, name)!r}, as the problem itself says")
    for name in ("detail", "solver_version"):
        if not _same_words(told, own, name):
            found.notes.append(f"reference.{name} is the record's own word, not confirmed here")
    return ""


def _same_words(told: ReferencePart, own: ReferencePart, name: str) -> bool:
    return _NUMBER.sub("#", getattr(told, name)) == _NUMBER.sub("#", getattr(own, name))


def _compare_fronts(
    record: Record, told: ReferencePart, instance: Instance, actual: Verification, made: Reference, found: Findings
) -> str:
    own, scores = describe_reference(made), record.scores.values()
    wanted = score(instance, feasible_objectives(actual), made)
    same_front = told.sha256 == own.sha256
    same_method = all(getattr(told, name) == getattr(own, name) for name in ("solver", "solver_version", "detail"))
    tolerance = _ROUNDING if same_front else _AGREEMENT
    apart = [name for name in ("igd_plus", "gap_scale") if not agrees(scores[name], wanted[name], 1.0, tolerance=tolerance)]
    if not apart:
        if same_front or same_method:
            _compare_bounds(told, own, instance, found)
            _check_words(told, own, found, closed=True)
            for name in ("evidence", "tolerance", "slack"):
                if getattr(told, name) != getattr(own, name):
                    found.wrong(f"reference.{name}", getattr(told, name), getattr(own, name))
            return ""
    elif flattered := [name for name in apart if same_front or (same_method and _flatters(scores[name], wanted[name]))]:
        for name in flattered:
            found.wrong(f"scores.{name}", scores[name], wanted[name])
        return ""
    if _SHOWS[told.evidence] > _SHOWS[made.evidence]:
        found.wrong("reference.evidence", told.evidence, f"{own.evidence}, all that this problem's references show")
    return f"its front ({told.solver}) is not the one made here ({own.solver}); try --effort thorough"


def _flatters(told: float | None, wanted: float | None) -> bool:
    """A distance, or a front to be measured to, that is smaller than it should be."""
    return told is not None and wanted is not None and told < wanted - _FLATTERY


def _compare_bounds(told: ReferencePart, own: ReferencePart, instance: Instance, found: Findings) -> None:
    scales = [objective.scale for objective in instance.objectives]
    if not agrees(told.ideal_bound, own.ideal_bound, scales, tolerance=1e-4):
        found.wrong("reference.ideal_bound", told.ideal_bound, f"{own.ideal_bound}, which the problem itself gives")


def _verified_value(instance: Instance, made: Reference) -> float | None:
    """Value of the reference's point by the numpy twin; None without a feasible point."""
    if made.X is None:
        return None
    evaluation = instance.evaluate_twin(np.atleast_2d(made.X))
    if not evaluation.feasible[0]:
        return None
    return float(evaluation.F[0, 0])
