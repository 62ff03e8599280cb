"""The reference that gaps refer to: consistent in itself, not refuted by any point, and made again from the problem.

A reference that cannot be made again is refused where it is refuted or flatters the run, and not counted otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from optisolve.bench.audit.findings import Findings
from optisolve.bench.audit.points import agrees, feasible_objectives
from optisolve.bench.records import describe_reference
from optisolve.core.errors import OptisolveError
from optisolve.core.problem import FEASIBILITY_TOLERANCE, Instance, Problem, Sense
from optisolve.core.reference import Effort, Reference
from optisolve.core.status import Evidence
from optisolve.scoring.indicators import score
from optisolve.scoring.verify import Verification

__all__ = ["ReferenceMaker", "check_reference"]

_AGREEMENT = 1e-7
"""Relative agreement asked of two runs of the same reference method; iterative methods stop a little apart."""

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
    record: Mapping[str, Any],
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
    told = record["reference"]
    if told is None:
        if record["scores"]["igd_plus"] is not None:
            found.wrong("scores.igd_plus", record["scores"]["igd_plus"], "null, since the record has no reference")
        return
    before = len(found.problems)
    several = len(instance.objectives) > 1
    if several:
        _check_several(told, instance, actual, found)
    else:
        _check_alone(told, instance, found)
        _check_own_points(told, instance, actual, found)
    if len(found.problems) > before:
        return
    scores = ("igd_plus",) if several else ("gap", "bound_gap")
    if not maker.efforts:
        found.not_counted(scores, "the reference was not made again, as asked")
        return
    why = ""
    try:
        for effort in maker.efforts:
            made = maker.make(problem, instance, effort)
            if made is None:
                found.wrong(
                    "reference", told["solver"] or "a reference", f"null: {problem.name} has no reference for this instance"
                )
                return
            why = _compare(record, instance, actual, made, found)
            if not why or len(found.problems) > before:
                return
    except OptisolveError as error:
        why = f"the reference cannot be made again here ({error})"
    found.not_counted(scores, why)


# -- what a reference must satisfy whoever made it ---------------------------------------------------------------------


def _check_alone(told: Mapping[str, Any], instance: Instance, found: Findings) -> None:
    """Evidence follows from value, bound and tolerance; nothing lies beyond the bound."""
    evidence, value, bound, tolerance = (told[key] for key in ("evidence", "value", "dual_bound", "tolerance"))
    if told["ideal_bound"] is not None:
        found.wrong("reference.ideal_bound", told["ideal_bound"], "null for one objective")
    needs = {
        "proven_optimal": (value is not None and bound is not None, "a value and a dual bound"),
        "dual_bound": (bound is not None, "a dual bound"),
        "best_known": (value is not None, "a value"),
        "local": (value is not None, "a value"),
        "none": (value is None and bound is None, "neither value nor bound"),
        "proven_infeasible": (value is None and bound is None, "neither value nor bound"),
    }
    holds, expected = needs[evidence]
    if not holds:
        found.wrong("reference.evidence", evidence, f"{expected}, or other evidence")
    if value is None or bound is None:
        return
    beyond = _better_by(instance, value, bound)
    slack = tolerance + 1e-9 * max(abs(bound), instance.objectives[0].scale)
    if beyond > slack:
        found.wrong("reference.value", value, f"no better than reference.dual_bound {bound!r}")
    if evidence == "proven_optimal" and abs(beyond) > slack:
        found.wrong("reference.evidence", evidence, f"|value - dual_bound| within the tolerance {tolerance!r}")


def _check_own_points(told: Mapping[str, Any], instance: Instance, actual: Verification, found: Findings) -> None:
    """A feasible point of this very record refutes a bound that it beats."""
    bound, F = told["dual_bound"], feasible_objectives(actual)
    if bound is None or not F.size:
        return
    best = float(F.max() if _maximizes(instance) else F.min())
    if _better_by(instance, best, bound) > _slack(told, instance, best):
        found.wrong("reference.dual_bound", bound, f"a bound that the record's own point {best!r} does not beat")


def _check_several(told: Mapping[str, Any], instance: Instance, actual: Verification, found: Findings) -> None:
    for name in ("value", "dual_bound"):
        if told[name] is not None:
            found.wrong(f"reference.{name}", told[name], "null for several objectives")
    bounds, F = told["ideal_bound"], feasible_objectives(actual)
    if bounds is None:
        return
    if len(bounds) != len(instance.objectives):
        found.wrong("reference.ideal_bound", bounds, f"{len(instance.objectives)} bounds, one per objective")
        return
    for i, (bound, objective) in enumerate(zip(bounds, instance.objectives, strict=True)):
        if not F.size:
            return
        best = float(F[:, i].max() if objective.sense is Sense.MAXIMIZE else F[:, i].min())
        beyond = best - bound if objective.sense is Sense.MAXIMIZE else bound - best
        if beyond > 1e-6 * max(abs(bound), objective.scale):
            found.wrong(f"reference.ideal_bound[{i}]", bound, f"a bound that the record's own point {best!r} does not beat")


# -- against a reference made here -------------------------------------------------------------------------------------


def _compare(record: Mapping[str, Any], instance: Instance, actual: Verification, made: Reference, found: Findings) -> str:
    """Compare with a reference made here: problems for what is refuted, a reason when it merely differs, else ""."""
    told, own = record["reference"], describe_reference(made)
    assert own is not None
    if len(instance.objectives) > 1:
        return _compare_fronts(record, instance, actual, made, own, found)
    scale = instance.objectives[0].scale
    slack = max(_AGREEMENT * max(scale, abs(own["value"] or own["dual_bound"] or 0.0)), made.tolerance)
    differing = [
        name
        for name in ("value", "dual_bound")
        if (told[name] is None) != (own[name] is None) or (told[name] is not None and abs(told[name] - own[name]) > slack)
    ]
    if told["evidence"] != own["evidence"]:
        differing.append("evidence")
    if not agrees(told["tolerance"], own["tolerance"], 0.0, tolerance=1e-6):
        differing.append("tolerance")
    hopeless = made.evidence is Evidence.PROVEN_INFEASIBLE
    if not differing:
        return ""
    _refute(told, own, instance, made, slack, found)
    if not found.problems and (hopeless or made.evidence is Evidence.PROVEN_OPTIMAL):
        # The case is closed at this effort already, so more work would end with the same reference.
        for name in differing:
            found.wrong(f"reference.{name}", told[name], f"{own[name]!r}, which the problem itself gives")
    return f"its reference ({told['solver']}) was not confirmed by the one made here ({own['solver']}); try --effort thorough"


def _refute(
    told: Mapping[str, Any], own: Mapping[str, Any], instance: Instance, made: Reference, slack: float, found: Findings
) -> None:
    """What a verified point or a proven bound made here contradicts, or what flatters the run."""
    point = _verified_value(instance, made)
    if told["dual_bound"] is not None and point is not None and _better_by(instance, point, told["dual_bound"]) > slack:
        found.wrong(
            "reference.dual_bound", told["dual_bound"], f"a bound that the feasible point of value {point!r} does not beat"
        )
    if told["value"] is None:
        return
    if own["dual_bound"] is not None and _better_by(instance, told["value"], own["dual_bound"]) > slack:
        found.wrong("reference.value", told["value"], f"a value within the proven bound {own['dual_bound']!r}")
    if point is not None and _better_by(instance, point, told["value"]) > slack:  # it would flatter the run
        found.wrong("reference.value", told["value"], f"at least as good as the feasible point of value {point!r}")


def _compare_fronts(
    record: Mapping[str, Any],
    instance: Instance,
    actual: Verification,
    made: Reference,
    own: Mapping[str, Any],
    found: Findings,
) -> str:
    told = record["reference"]
    wanted = score(instance, feasible_objectives(actual), made)["igd_plus"]
    distance = record["scores"]["igd_plus"]
    same_front = told["sha256"] == own["sha256"]
    same_method = all(told[name] == own[name] for name in ("solver", "solver_version", "detail"))
    if agrees(distance, wanted, 1.0, tolerance=1e-9 if same_front else 1e-6):
        if same_front or same_method:
            _compare_bounds(told, own, instance, found)
            if told["evidence"] != own["evidence"]:
                found.wrong("reference.evidence", told["evidence"], own["evidence"])
            return ""
    elif same_front or (same_method and distance is not None and wanted is not None and distance < wanted - 1e-3):
        found.wrong("scores.igd_plus", distance, wanted)
        return ""
    if _SHOWS[Evidence(told["evidence"])] > _SHOWS[made.evidence]:
        found.wrong("reference.evidence", told["evidence"], f"{own['evidence']}, all that this problem's references show")
    return f"its front ({told['solver']}) is not the one made here ({own['solver']}); try --effort thorough"


def _compare_bounds(told: Mapping[str, Any], own: Mapping[str, Any], instance: Instance, found: Findings) -> None:
    scales = [objective.scale for objective in instance.objectives]
    if not agrees(told["ideal_bound"], own["ideal_bound"], scales, tolerance=1e-4):
        found.wrong("reference.ideal_bound", told["ideal_bound"], f"{own['ideal_bound']}, which the problem itself gives")


def _verified_value(instance: Instance, made: Reference) -> float | None:
    """Value of the reference's point by the numpy twin; None without a feasible point."""
    if made.X is None:
        return None
    evaluation = instance.evaluate_twin(np.atleast_2d(made.X))
    if float(evaluation.max_violation[0]) > FEASIBILITY_TOLERANCE:
        return None
    return float(evaluation.F[0, 0])


def _maximizes(instance: Instance) -> bool:
    return instance.objectives[0].sense is Sense.MAXIMIZE


def _better_by(instance: Instance, value: float, other: float) -> float:
    """How much better a value is than another one, in the objective's unit."""
    return value - other if _maximizes(instance) else other - value


def _slack(told: Mapping[str, Any], instance: Instance, value: float) -> float:
    """Room for rounding; a record cannot widen it beyond a thousandth by stating a large tolerance."""
    size = max(abs(value), instance.objectives[0].scale)
    return float(min(told["tolerance"], 1e-3 * size) + 1e-6 * size)
