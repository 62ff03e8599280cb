"""The report of an ablation: everything computed once, then written as Markdown, CSV and PNG."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from optisolve.core.files import write_atomic
from optisolve.study.ablation.bounds import Corners, find_corners
from optisolve.study.ablation.plan import Ablation
from optisolve.study.ablation.scores import (
    IGD_PLUS,
    Measure,
    Yardstick,
    base_measure,
    curves,
    measures,
    score_runs,
    spending_curves,
    yardsticks,
)
from optisolve.study.ablation.verdict import ArmSummary, Verdict, Versus, compare, conclude, summarize, told_p, told_share
from optisolve.study.intervals import MIN_BLOCKS

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FATES", "Report", "Written", "make_report", "share_of_answers", "spread_words", "write_report"]

FATES = ("ok", "clipped", "repaired", "duplicate", "rejected")


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """What the runs say.

    Attributes:
        ablation: The experiment.
        yardsticks: What distances are measured to, by instance.
        runs: One row per run.
        measures: The primary one first.
        arms: Every arm over the complete pairs.
        versus: The language model against every other arm, by measure.
        verdict: The answer.
        corners: Where the optimum is; None when nothing feasible was found.
        banners: What must be seen before any figure: partial, stand-in, failures, corners.
    """

    ablation: Ablation
    yardsticks: dict[int, Yardstick]
    runs: pd.DataFrame
    measures: tuple[Measure, ...]
    arms: list[ArmSummary]
    versus: dict[str, list[Versus]]
    verdict: Verdict
    corners: Corners | None
    banners: list[str]

    @property
    def setting(self) -> str:
        """Scenario, budget and size in one line."""
        plan = self.ablation.plan
        limits = [f"{value:g} {name.replace('_', ' ')}" for name, value in plan.budget.options().items() if value is not None]
        size = (
            f"instances 0-{plan.instances - 1} x {plan.seeds} seeds"
            if plan.instances > 1
            else f"instance 0, {plan.seeds} seeds"
        )
        return f"{plan.problem.scenario or plan.problem.name}, {', '.join(limits)} per run, {size}"


@dataclass(frozen=True, slots=True)
class Written:
    """Files of a report."""

    markdown: Path
    csv: Path
    pictures: tuple[Path, ...]


def make_report(ablation: Ablation) -> Report:
    """Compute everything that the report says."""
    sticks = yardsticks(ablation)
    runs = score_runs(ablation, sticks)
    wanted = measures(ablation, runs)
    arms = summarize(ablation, runs, wanted)
    versus = {measure.column: compare(ablation, runs, measure) for measure in wanted}
    corners = find_corners(ablation, arms)
    warning = "" if corners is None else corners.warning
    return Report(
        ablation=ablation,
        yardsticks=sticks,
        runs=runs,
        measures=wanted,
        arms=arms,
        versus=versus,
        verdict=conclude(ablation, wanted[0], arms, versus[wanted[0].column], warning),
        corners=corners,
        banners=_banners(ablation, arms, runs, corners, wanted[0])
        + [f"REFERENCE WITHDRAWN on instance {seed}: {stick.note}" for seed, stick in sticks.items() if stick.note],
    )


def share_of_answers(runs: pd.DataFrame, arm: str) -> dict[str, float] | None:
    """Shares of an arm's candidates by fate, of its targets by the fallback operator, and its re-asks per target.

    Returns:
        Shares with the number of ``candidates``; None for an arm that asks no model or whose answers were all refused.
    """
    if runs.empty or "targets" not in runs:
        return None
    rows = runs[runs["arm"] == arm]
    if rows.empty or rows["targets"].isna().all():
        return None
    counts = {fate: float(rows[f"answers_{fate}"].sum()) for fate in FATES}
    total, targets = sum(counts.values()), float(rows["targets"].sum())
    shares = {fate: count / total if total else 0.0 for fate, count in counts.items()}
    per_target = {name: float(rows[name].sum()) / max(targets, 1.0) for name in ("fallbacks", "refused_by_budget", "reasks")}
    return {"candidates": total, **shares, **per_target}


def spread_words(report: Report) -> str:
    """What stands behind the means: an interval from `MIN_BLOCKS` pairs on, else a range, and what it is about."""
    instances = len({instance for instance, _ in report.ablation.complete_pairs})
    where = "this instance" if instances == 1 else f"these {instances} instances"
    if report.arms and report.arms[0].n >= MIN_BLOCKS:
        return f"in brackets the 95 % interval: other runs on {where}, not other instances"
    return f"in parentheses the smallest and the largest pair: fewer than {MIN_BLOCKS} pairs give no interval"


def write_report(report: Report, out: Path, *, command: Sequence[str] = ()) -> Written:
    """Write ``ablation.md``, ``ablation.csv`` and the pictures.

    Args:
        report: From `make_report`.
        out: Folder.
        command: The command line's words, for the report's head.
    """
    from optisolve.study.ablation.markdown import markdown

    out.mkdir(parents=True, exist_ok=True)
    pictures = _pictures(report, out) if report.arms else ()
    told = "optisolve " + shlex.join(command) if command else ""
    text = markdown(report, told, [path.name for path in pictures], datetime.now(UTC).date().isoformat())
    write_atomic(out / "ablation.md", text.encode())
    write_atomic(out / "ablation.csv", _csv(report).encode())
    return Written(out / "ablation.md", out / "ablation.csv", pictures)


def _csv(report: Report) -> str:
    """One row per run; the marks of a partial or stand-in experiment stand in every row."""
    plan = report.ablation.plan
    table = report.runs.copy()
    table.insert(0, "problem", plan.problem.scenario or plan.problem.name)
    table["partial"] = report.ablation.partial
    table["surrogate"] = plan.surrogate
    return str(table.to_csv(index=False))


def _banners(
    ablation: Ablation, arms: Sequence[ArmSummary], runs: pd.DataFrame, corners: Corners | None, primary: Measure
) -> list[str]:
    plan, told = ablation.plan, []
    if ablation.partial:
        reason = f" ({ablation.stopped})" if ablation.stopped else ""
        told.append(
            f"PARTIAL: {len(ablation.complete_pairs)} of {len(plan.pairs)} pairs are complete{reason}; only these count. "
            "The same command goes on where this one stopped."
        )
    if plan.surrogate:
        why = f" {plan.notice}" if plan.notice else ""
        told.append(
            "NO LANGUAGE MODEL WAS CALLED: a surrogate drawn from published operator statistics answered in its place. "
            f"Nothing here is evidence about a language model.{why}"
        )
    if primary is IGD_PLUS:
        share = float((runs["hypervolume"] == 0.0).mean())
        told.append(
            f"OUTSIDE THE SCORING BOX: {share:.0%} of the runs do not reach it, so their hypervolume is 0 and the verdict is "
            "by IGD+. The budget is too small for this problem: give more evaluations or fewer variables."
        )
    if corners is not None and corners.warning:
        told.append(f"WHERE THE OPTIMUM IS: {corners.warning}")
    for summary in arms:
        if summary.failed or summary.broke:
            parts = [f"{summary.failed} found no feasible point"] * bool(summary.failed)
            parts += [f"{summary.broke} ended in an error"] * bool(summary.broke)
            told.append(f"FAILURES: of the {summary.n} runs of {summary.arm.name}, {', '.join(parts)}; they count as worst.")
        answers = share_of_answers(runs, summary.arm.name)
        if answers is not None and answers["fallbacks"] > 0.2:
            told.append(
                f"FALLBACKS: DE served {answers['fallbacks']:.0%} of the targets of {summary.arm.name}, because the model's "
                "answers were not usable; the arm is partly DE."
            )
        if answers is not None and answers["refused_by_budget"] > 0:
            told.append(
                f"BUDGET: {answers['refused_by_budget']:.0%} of the targets of {summary.arm.name} were left to DE, because the "
                "budget of the language model was spent (re-asks cost calls, too)."
            )
    return told


def _pictures(report: Report, out: Path) -> tuple[Path, ...]:
    from optisolve.plotting.ablation import ArmLine, ArmRow, curves_figure, final_figure, spending_figure
    from optisolve.plotting.figures import save_figure

    ablation, primary, base = report.ablation, report.measures[0], base_measure(report.ablation)
    where = report.setting + (" – PARTIAL" if ablation.partial else "")
    where += " – no language model was called" if ablation.plan.surrogate else ""
    n = len(ablation.complete_pairs)
    band = f"95 % interval of the mean of {n} pairs" if n >= MIN_BLOCKS else f"smallest and largest of {n} pairs"
    label = "hypervolume (share of the scoring box)" if base.maximize else "gap to the reference"
    notes = {row.arm.name: _note(row) for row in report.versus[primary.column]}
    labels = {arm.name: arm.label for arm in ablation.plan.arms}
    asks = {arm.name: arm.asks_llm for arm in ablation.plan.arms}
    pairs = set(ablation.complete_pairs)
    complete = [pair in pairs for pair in zip(report.runs["instance"], report.runs["seed"], strict=True)]
    runs = report.runs[complete]
    rows = [
        ArmRow(
            summary.arm.label,
            runs.loc[runs["arm"] == summary.arm.name, primary.column].to_numpy(dtype=np.float64),
            summary.estimates[primary.column],
            notes.get(summary.arm.name, ""),
            summary.arm.asks_llm,
        )
        for summary in report.arms
    ]

    def lines(made: Mapping[str, Any]) -> list[ArmLine]:
        return [ArmLine(labels[arm], c.x, c.mean, c.low, c.high, asks[arm]) for arm, c in made.items()]

    first = int(getattr(ablation.plan.arms[0].solver, "pop_size", 1))
    figures = {
        "ablation.png": final_figure(rows, primary.label, where, maximize=primary.maximize),
        "ablation_evaluations.png": curves_figure(lines(curves(ablation, report.yardsticks)), label, where, first, band),
    }
    spent, made = spending_curves(ablation, report.yardsticks)
    if made and not ablation.plan.surrogate:  # a stand-in costs nothing
        finals = {s.arm.label: s.means[base.column] for s in report.arms if not s.arm.asks_llm}
        figures[f"ablation_{spent}.png"] = spending_figure(lines(made), finals, label, where, spent, band)
    return tuple(save_figure(figure, out / name) for name, figure in figures.items())


def _note(row: Versus) -> str:
    return f"p {told_p(row.p_holm)}, A12 {told_share(row.comparison.a12)}"
