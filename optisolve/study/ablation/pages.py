"""The files of an ablation's report: Markdown, CSV and PNG."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from optisolve.core.controls import SUBJECT
from optisolve.core.documents import write_atomic
from optisolve.study.ablation.markdown import markdown
from optisolve.study.ablation.plan import NAME
from optisolve.study.ablation.report import Report
from optisolve.study.ablation.scores import progress, spending
from optisolve.study.ablation.verdict import complete_runs, told_p, told_share

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
    from optisolve.plotting.ablation import ArmRow, final_figure
    from optisolve.plotting.profiles import anytime_figure
    from optisolve.plotting.style import ACCENT, Look, looks_of, save_figure

    ablation, plan = report.ablation, report.ablation.plan
    marks = " – PARTIAL" * ablation.partial + " – no language model was called" * plan.surrogate
    notes = {row.arm.name: f"p {told_p(row.p_holm)}, A12 {told_share(row.comparison.a12)}" for row in report.versus}
    losses = dict(iter(complete_runs(ablation, report.runs).groupby("arm")["loss"]))
    rows = [
        ArmRow(
            s.arm.label, s.asks, losses[s.arm.name].to_numpy(), s.loss.mean, s.loss.low, s.loss.high, notes.get(s.arm.name, "")
        )
        for s in report.arms
    ]
    yield save_figure(final_figure(rows, report.setting + marks), out / f"{NAME}.png")
    controls = [arm.name for arm in plan.arms if arm.name not in plan.asking]
    looks = looks_of([*controls[:1], SUBJECT, *controls[1:]])  # the second color is the accent, the model's own
    looks |= {name: Look(ACCENT, "*", (0, (1, 1.5))) for name in plan.asking - {SUBJECT}}
    data = progress(ablation)
    yield save_figure(
        anytime_figure(data, looks=looks, measure="loss", subtitle=plan.scenario + marks), out / f"{NAME}_evaluations.png"
    )
    if not plan.surrogate:  # a stand-in costs nothing
        axis, spent = spending(ablation, data)
        yield save_figure(
            anytime_figure(spent, looks=looks, measure="loss", subtitle=plan.scenario + marks, axis=axis),
            out / f"{NAME}_{axis}.png",
        )
