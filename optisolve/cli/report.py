"""``optisolve report``: from records to a page, tables and figures."""

from __future__ import annotations

import argparse

from rich.markup import escape

from optisolve.cli.display import console

__all__ = ["report_command"]


def report_command(options: argparse.Namespace) -> int:
    """``optisolve report PATH... [--out DIR]``: 0 when the report was written."""
    from optisolve.study.report import build_report, write_report

    report = build_report(options.path, title=options.title, alpha=options.alpha)
    page = write_report(report, options.out)
    for sentence in report.summary:
        console.print(escape(sentence), soft_wrap=True)
    for notice in report.notices:
        console.print(f"[yellow]note:[/] {escape(notice)}", soft_wrap=True)
    for family in report.families:
        console.print(f"[bold]{escape(family.name)}[/]: {escape(' '.join(family.summary))}", soft_wrap=True)
    console.print(f"report: {escape(str(page))}", soft_wrap=True)
    return 0
