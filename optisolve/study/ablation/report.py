"""The report of an ablation: everything that it says, computed once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from optisolve.study.ablation.bounds import Corners, find_corners
from optisolve.study.ablation.runs import Ablation
from optisolve.study.ablation.scores import FATES, score_runs
from optisolve.study.ablation.verdict import ArmSummary, Verdict, Versus, compare, conclude, summarize
from optisolve.study.intervals import MIN_BLOCKS

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Report", "make_report", "share_of_answers", "spread_words"]

_MANY_OUTSIDE = 0.5
"""Share of the runs outside the scoring box from which the report warns."""


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """What the runs say.

    Attributes:
        ablation: The experiment.
        runs: One row per run, see `optisolve.study.ablation.scores.score_runs`.
        arms: Every arm over the complete pairs.
        versus: The language model against every other arm, by loss.
        distances: The same by IGD+; empty for one objective, and where a run has none.
        verdict: The answer.
        corners: Where the optimum is; None when nothing feasible was found.
        banners: What must be seen before any figure: partial, stand-in, failures, corners.
    """

    ablation: Ablation
    runs: pd.DataFrame
    arms: list[ArmSummary]
    versus: list[Versus]
    distances: list[Versus]
    verdict: Verdict
    corners: Corners | None
    banners: list[str]

    @property
    def setting(self) -> str:
        """Scenario, budget and size in one line."""
        plan = self.ablation.plan
        limits = [f"{value:g} {name.replace('_', ' ')}" for name, value in plan.budget.options().items() if value is not None]
        size = f"instances 0-{plan.instances - 1} x" if plan.instances > 1 else "instance 0,"
        size = f"steps 0-{plan.instances - 1} of an episode x" if plan.moving else size
        return f"{plan.scenario}, {', '.join(limits)} per run, {size} {plan.seeds} seeds"


def make_report(ablation: Ablation) -> Report:
    """Compute everything that the report says."""
    runs = score_runs(ablation)
    arms, versus = summarize(ablation, runs), compare(ablation, runs)
    measured = bool(arms) and all("igd_plus" in summary.others for summary in arms)
    corners = find_corners(ablation, arms)
    return Report(
        ablation=ablation,
        runs=runs,
        arms=arms,
        versus=versus,
        distances=compare(ablation, runs, "igd_plus") if measured else [],
        verdict=conclude(ablation, arms, versus, "" if corners is None else corners.warning),
        corners=corners,
        banners=list(_banners(ablation, arms, runs, corners)),
    )


def share_of_answers(runs: pd.DataFrame, arm: str) -> dict[str, float] | None:
    """Shares of an arm's candidates by fate, of its targets by the fallback operator, and its re-asks per target.

    Returns:
        Shares with the number of ``candidates``; None for an arm that asks no model, does not say, or was always refused.
    """
    if runs.empty or "targets" not in runs:
        return None
    told = runs[runs["arm"] == arm]
    if told.empty or told["targets"].isna().all():
        return None
    totals = told[[*(f"answers_{fate}" for fate in FATES), "fallbacks", "refused_by_budget", "reasks", "targets"]].sum()
    candidates, targets = float(sum(totals[f"answers_{fate}"] for fate in FATES)), max(float(totals["targets"]), 1.0)
    shares = {fate: float(totals[f"answers_{fate}"]) / max(candidates, 1.0) for fate in FATES}
    per_target = {name: float(totals[name]) / targets for name in ("fallbacks", "refused_by_budget", "reasks")}
    return {"candidates": candidates, **shares, **per_target}


def spread_words(report: Report) -> str:
    """What stands behind the means: an interval from `MIN_BLOCKS` pairs on, else a range, and what it is about."""
    instances = len({instance for instance, _ in report.ablation.complete_pairs})
    where = "this instance" if instances == 1 else f"these {instances} instances"
    if report.arms and report.arms[0].n >= MIN_BLOCKS:
        return f"in brackets the 95 % interval: other runs on {where}, not other instances"
    return f"in parentheses the smallest and the largest pair: fewer than {MIN_BLOCKS} pairs give no interval"


def _banners(ablation: Ablation, arms: Sequence[ArmSummary], runs: pd.DataFrame, corners: Corners | None) -> Iterator[str]:
    plan = ablation.plan
    if ablation.partial:
        reason = f" ({ablation.stopped})" if ablation.stopped else ""
        yield (
            f"PARTIAL: {len(ablation.complete_pairs)} of {len(plan.pairs)} pairs are complete{reason}; only these count. "
            "The same command goes on where this one stopped."
        )
    if plan.surrogate:
        yield (
            "NO LANGUAGE MODEL WAS CALLED: a surrogate drawn from published operator statistics answered in its place. "
            "Nothing here is evidence about a language model."
        )
    yield from plan.notices
    outside = float((runs["hypervolume"] == 0.0).mean()) if "hypervolume" in runs else 0.0
    if outside >= _MANY_OUTSIDE:
        yield (
            f"OUTSIDE THE SCORING BOX: {outside:.0%} of the runs do not reach it, so their loss is 1 and they cannot be told "
            "apart by it. The budget is too small for this problem: give more evaluations or fewer variables."
        )
    if corners is not None and corners.warning:
        yield f"WHERE THE OPTIMUM IS: {corners.warning}"
    yield from _failures(arms)
    for summary in arms:
        if summary.asks and not summary.cost["calls"]:
            yield f"NEVER ASKED: no run of {summary.arm.name} made a call, so its loss says nothing about a model."
        answers = share_of_answers(runs, summary.arm.name)
        if answers is not None and answers["fallbacks"] > 0.2:
            yield (
                f"FALLBACKS: the solver's own stand-in served {answers['fallbacks']:.0%} of the targets of {summary.arm.name}, "
                "because the model's answers were not usable; the arm is partly something else."
            )
        if answers is not None and answers["refused_by_budget"] > 0:
            yield (
                f"BUDGET: {answers['refused_by_budget']:.0%} of the targets of {summary.arm.name} were left to others, because "
                "the budget of the language model was spent (re-asks cost calls, too)."
            )
    notes = {(key[1], r.reference.note) for key, r in ablation.records.items() if r.reference is not None}
    yield from (f"REFERENCE WITHDRAWN on instance {index}: {note}" for index, note in sorted(n for n in notes if n[1]))


def _failures(arms: Sequence[ArmSummary]) -> Iterator[str]:
    for summary in arms:
        parts = [f"{summary.failed} found no feasible point"] * bool(summary.failed)
        parts += [f"{summary.broke} ended in an error"] * bool(summary.broke)
        if parts:
            yield f"FAILURES: of the {summary.n} runs of {summary.arm.name}, {', '.join(parts)}; their loss is 1, the worst."
