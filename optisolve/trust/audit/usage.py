"""What a run says it spent: budget, trace, sources and termination must tell one story.

Without a second run the story can only be shown to be consistent, not to be true; `reproduce` shows the rest.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from optisolve.core.errors import OptionError
from optisolve.core.problem import FEASIBILITY_TOLERANCE, Instance, Sense
from optisolve.core.status import Limit, Termination
from optisolve.run.evaluator import checkpoints
from optisolve.run.schema import Record, SourcePart, TraceRow
from optisolve.trust.audit.findings import Findings
from optisolve.trust.audit.points import agrees

__all__ = ["check_budget", "check_start", "check_termination", "check_trace"]

_TRACE_TOLERANCE = 1e-7
"""Traces come from the fast kernel, scores from its twin; sums over a run's hypervolume gains round as well."""


def check_budget(record: Record, found: Findings) -> None:
    """Limits are usable, and what was spent lies within them."""
    budget, used = record.budget, record.used
    try:
        if budget.limits().unlimited:
            found.wrong("budget", budget, "at least one limit")
    except OptionError as error:
        for problem in error.problems:
            found.wrong(f"budget.{problem.field}", problem.given, problem.expected)
        return
    limits = {
        "evaluations": (used.evaluations, budget.evaluations),
        "llm_calls": (used.llm_calls, budget.llm_calls),
        "llm_tokens": (used.tokens_in + used.tokens_out, budget.llm_tokens),
        "usd": (used.usd, budget.usd),
    }
    for name, (spent, limit) in limits.items():
        if limit is not None and spent > limit:
            found.wrong(f"used.{name}", spent, f"at most budget.{name} = {limit}")
    if used.tokens_cached > used.tokens_in:
        found.wrong("used.tokens_cached", used.tokens_cached, f"at most used.tokens_in = {used.tokens_in}")
    _check_failed(record, found)
    late = record.termination.limit is Limit.TIME  # a back end's last point is kept although its evaluation no longer fits
    n_points = len(record.solutions.x)
    if n_points > used.evaluations + late:
        found.wrong("solutions.x", f"{n_points} points", f"no more points than evaluations ({used.evaluations})")


def _check_failed(record: Record, found: Findings) -> None:
    """Points that the model could not evaluate: counted, explained, and no more than there were."""
    count, told = record.used.failed, record.provenance.failed
    if bool(count) != (told is not None):
        found.wrong("used.failed", count, "a number above 0 exactly where provenance.failed says why")
    elif told is not None and told.policy == "penalize" and count > record.used.evaluations:
        found.wrong("used.failed", count, f"at most used.evaluations = {record.used.evaluations}")


def check_start(record: Record, instance: Instance, found: Findings) -> None:
    """What the run started from are points of this instance, and no more than those were evaluated as such."""
    rows = record.warm_start
    if rows is not None and (not rows or len(rows[0]) != instance.space.dim):
        width = len(rows[0]) if rows else 0
        found.wrong(
            "warm_start", f"{len(rows)} rows of {width} numbers", f"rows of {instance.space.dim} numbers, or no such field"
        )
    source, given = record.used.by_source.get("warm_start"), len(rows or ())
    made = 0 if source is None else source.evaluations
    if made > given:
        found.wrong("used.by_source.warm_start", f"{made} evaluations", f"at most the {given} points of warm_start")


def check_termination(record: Record, instance: Instance, best: float | None, found: Findings) -> None:
    """Why it stopped fits the limits, and no point of the record contradicts what the solver claims to have proven.

    Args:
        record: The record.
        instance: The instance.
        best: Best objective value of the feasible points, None without one or for several objectives.
        found: Gets the problems.
    """
    told, budget = record.termination, record.budget
    if (told.status is Termination.LIMIT) != (told.limit is not None):
        found.wrong("termination.limit", told.limit, "a limit exactly when termination.status is 'limit'")
    needed = "seconds" if told.limit is Limit.TIME else told.limit
    if needed in type(budget).model_fields and getattr(budget, needed) is None:
        found.wrong("termination.limit", told.limit, f"a limit that the budget has; budget.{needed} is null")
    claimed = record.solutions.claimed.dual_bound
    if told.status is Termination.INFEASIBLE and any(record.verified.feasible):
        found.wrong("termination.status", told.status, "another one: the record holds a feasible point")
    if claimed is None or best is None:
        return
    objective = instance.objectives[0]
    tie = (record.scores.tie or 0.0) * (record.scores.gap_scale or 0.0)  # checked against the reference made here
    if -objective.shortfall(best, claimed) > max(tie, 1e-6 * objective.gap_scale(best)):
        found.wrong("solutions.claimed.dual_bound", claimed, f"a bound that the record's own point {best!r} does not beat")


def check_trace(
    record: Record, instance: Instance, scores: Mapping[str, float | None], *, archived: bool, found: Findings
) -> None:
    """The anytime curve: right checkpoints, monotone, ends where the scores begin, and its sources add up.

    Args:
        record: The record.
        instance: The instance.
        scores: Recomputed scores.
        archived: The solver returns the best of what it evaluated, so the curve must end at the recomputed score.
        found: Gets the problems.
    """
    rows, used, sources = record.trace, record.used, record.used.by_source
    stop = record.termination  # a batch that raised or was interrupted was paid for, yet left no trace
    broke = stop.status in (Termination.ERROR, Termination.INTERRUPTED) or stop.limit is Limit.MEMORY
    total = sum(item.evaluations for item in sources.values())
    if total != used.evaluations and not (broke and total < used.evaluations):
        found.wrong("used.by_source", f"{total} evaluations in all", f"used.evaluations = {used.evaluations}")
    for name in ("tokens_in", "tokens_out", "usd"):
        credited = sum(getattr(item, name) for item in sources.values())
        if credited > getattr(used, name) * (1.0 + 1e-9):
            found.wrong("used.by_source", f"{credited} {name} in all", f"at most used.{name} = {getattr(used, name)}")
    for label, item in sources.items():
        if (item.survivors or 0) > item.evaluations:
            found.wrong(f"used.by_source.{label}", f"{item.survivors} survivors", f"at most {item.evaluations}")
    wanted = checkpoints(total).tolist()
    if [row[0] for row in rows] != wanted:
        ends = rows[-1][0] if rows else 0
        expected = f"{len(wanted)} checkpoints up to {total} evaluations"
        found.wrong("trace", f"{len(rows)} rows up to {ends} evaluations", expected)
        return
    if not rows:
        return
    _check_curve(rows, instance, found)
    _check_end(rows, instance, scores, late=stop.limit is Limit.TIME, archived=archived, found=found)
    _check_gains(rows, sources, instance, found)


def _check_curve(rows: list[TraceRow], instance: Instance, found: Findings) -> None:
    maximize = _rises(instance)
    for i, (_, seconds, value, violation) in enumerate(rows):
        if (value is None) != (violation > 0.0):
            found.wrong(f"trace[{i}]", rows[i], "a value exactly when the smallest violation is 0")
            return
        if value is not None and instance.hypervolume_box is not None and value < 0.0:
            found.wrong(f"trace[{i}]", value, "a hypervolume >= 0")
            return
        if not i:
            continue
        _, seconds_before, value_before, violation_before = rows[i - 1]
        if seconds < seconds_before:
            found.wrong(f"trace[{i}]", rows[i], f"seconds that do not fall (before: {seconds_before})")
        if violation > violation_before:
            found.wrong(f"trace[{i}]", rows[i], f"a smallest violation that does not rise (before: {violation_before})")
        if value_before is None or value is None:
            continue
        loss = value_before - value if maximize else value - value_before
        if loss > 1e-12 * max(1.0, abs(value_before)):  # sums of areas round
            found.wrong(f"trace[{i}]", rows[i], f"a best value that gets no worse (before: {value_before})")


def _check_end(
    rows: list[TraceRow], instance: Instance, scores: Mapping[str, float | None], *, late: bool, archived: bool, found: Findings
) -> None:
    """No returned point may be better than the curve, since every one was evaluated; nor worse, for an archive."""
    end = rows[-1][2]
    several = instance.hypervolume_box is not None
    score = scores["hypervolume" if several else "objective"]
    scale = 1.0 if several else instance.objectives[0].scale
    if score is None or (several and score == 0.0 and end is None):
        if end is not None and archived:
            found.wrong("trace", f"ends at {end!r}", "no value, since no returned point is feasible")
        return
    if end is None:
        edge = 2.0 * float(instance.tolerance.max(initial=FEASIBILITY_TOLERANCE))  # where kernel and twin may disagree
        if not late and rows[-1][3] > edge:
            found.wrong("trace", "ends without a feasible point", f"the value {score!r} of the returned points")
        return
    if agrees(end, score, scale, tolerance=_TRACE_TOLERANCE, within=_spread(instance, end, score)):
        return
    better = score > end if _rises(instance) else score < end
    if (better and not late) or (archived and not better):
        field = "scores.hypervolume" if several else "scores.objective"
        found.wrong("trace", f"ends at {end!r}", f"the recomputed {field} = {score!r}")


def _spread(instance: Instance, end: float, score: float) -> float:
    """By how much a score of a run's samples, `end`, may differ from that of verification's, which drew others.

    Objectives that each move by a share of the box move the normalized hypervolume by at most the sum of these shares.
    """
    if instance.repeats:
        return 0.0
    if (box := instance.hypervolume_box) is None:
        return float(instance.spread(np.array([[end], [score]]))[0])
    corners = np.array([box.reference, box.ideal])  # [2, m]
    return float((instance.spread(corners) / np.abs(corners[1] - corners[0])).sum())


def _check_gains(rows: list[TraceRow], sources: Mapping[str, SourcePart], instance: Instance, found: Findings) -> None:
    """Hypervolume gains add up to the end of the curve; objective gains cover at least what the curve shows."""
    several = instance.hypervolume_box is not None
    name = "hypervolume_gain" if several else "objective_gain"
    total = 0.0
    for label, source in sources.items():
        gain: float | None = getattr(source, name)
        if gain is None:
            found.wrong(f"used.by_source.{label}", "another gain", f"{name}, as fits the number of objectives")
            return
        total += gain
    values = [row[2] for row in rows if row[2] is not None]
    if several:
        end = values[-1] if values else 0.0
        if not agrees(total, end, 1.0, tolerance=_TRACE_TOLERANCE):
            found.wrong("used.by_source", f"gains of {total!r} in all", f"the end of the trace, {end!r}")
        return
    shown = abs(values[-1] - values[0]) if values else 0.0
    slack = _TRACE_TOLERANCE * max(instance.objectives[0].scale, shown)
    if total < shown - slack or (not values and total > 0.0):
        found.wrong("used.by_source", f"gains of {total!r} in all", f"at least the rise of the trace, {shown!r}")


def _rises(instance: Instance) -> bool:
    return instance.hypervolume_box is not None or instance.objectives[0].sense is Sense.MAXIMIZE
