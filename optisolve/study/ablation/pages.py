"""The files of an ablation's report: Markdown, CSV and PNG."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from optisolve.core.files import write_atomic
from optisolve.study.ablation.markdown import markdown
from optisolve.study.ablation.plan import NAME
from optisolve.study.ablation.report import Report
from optisolve.study.ablation.scores import Curve, curves, spending_curves
from optisolve.study.ablation.verdict import complete_runs, told_p, told_share
from optisolve.study.intervals import MIN_BLOCKS

__all__ = ["Written", "write_report"]


@dataclass(frozen=True, slots=True)
class Written:
    """Files of a report."""

    markdown: Path
    csv: Path
    pictures: tuple[Path, ...]


def write_report(report: Report, *, command: Sequence[str] = ()) -> Written:
    """Write ``ablation.md``, ``ablation.csv`` and the pictures into the plan's folder.

    Args:
        report: From `make_report`.
        command: The command line's words, for the report's head.
    """
    out = report.ablation.plan.out
    pictures = tuple(_pictures(report, out)) if report.arms else ()
    told = "optisolve " + shlex.join(command) if command else ""
    text = markdown(report, told, [path.name for path in pictures], datetime.now(UTC).date().isoformat())
    written = Written(out / f"{NAME}.md", out / f"{NAME}.csv", pictures)
    marks = {"partial": report.ablation.partial, "surrogate": report.ablation.plan.surrogate}  # in every row
    write_atomic(written.markdown, text.encode())
    write_atomic(written.csv, report.runs.assign(**marks).to_csv(index=False).encode())
    return written


def _pictures(report: Report, out: Path) -> Iterator[Path]:
    from optisolve.plotting.ablation import ArmLine, ArmRow, final_figure, progress_figure
    from optisolve.plotting.figures import save_figure

    ablation, plan = report.ablation, report.ablation.plan
    where = report.setting + " – PARTIAL" * ablation.partial + " – no language model was called" * plan.surrogate
    n = len(ablation.complete_pairs)
    band = f"95 % interval of the mean of {n} pairs" if n >= MIN_BLOCKS else f"smallest and largest of {n} pairs"
    notes = {row.arm.name: f"p {told_p(row.p_holm)}, A12 {told_share(row.comparison.a12)}" for row in report.versus}
    losses = dict(iter(complete_runs(ablation, report.runs).groupby("arm")["loss"]))
    rows = [ArmRow(s.arm.label, s.asks, losses[s.arm.name].to_numpy(), s.loss, notes.get(s.arm.name, "")) for s in report.arms]

    def lines(drawn: Mapping[str, Curve]) -> list[ArmLine]:
        return [ArmLine(arm.label, arm.name in plan.asking, *drawn[arm.name]) for arm in plan.arms if arm.name in drawn]

    first = float(report.runs["first"].max())
    progress = progress_figure(lines(curves(ablation)), where, "evaluations", band, start=first)
    yield save_figure(final_figure(rows, where), out / f"{NAME}.png")
    yield save_figure(progress, out / f"{NAME}_evaluations.png")
    if not plan.surrogate:  # a stand-in costs nothing
        spent, drawn = spending_curves(ablation)
        finals = {s.arm.label: s.loss.mean for s in report.arms if not s.asks}
        yield save_figure(progress_figure(lines(drawn), where, spent, band, finals=finals), out / f"{NAME}_{spent}.png")
