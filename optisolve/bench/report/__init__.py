"""Reports: from records to one HTML page, tables for papers, and figures; the same records give the same bytes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from optisolve.bench.report.build import FamilySection, Report, build_report
from optisolve.bench.report.html import render_html
from optisolve.bench.report.latex import escape_latex, render_latex
from optisolve.bench.report.svg import pdf_bytes
from optisolve.bench.report.tables import Table
from optisolve.core.files import write_atomic

__all__ = ["FamilySection", "Report", "build_report", "escape_latex", "render_html", "render_latex", "write_report"]


def write_report(report: Report, folder: str | os.PathLike[str]) -> Path:
    """Write the page, its tables and its figures.

    Args:
        report: From `build_report`.
        folder: Made when absent; files of an older report with the same names are replaced.

    Returns:
        ``folder/index.html``. Beside it stand ``tables/*.csv`` (full precision), ``tables/*.tex`` (booktabs),
        ``tables/units.csv`` (one row per unit) and ``figures/*.pdf``.
    """
    root = Path(folder)
    for sub in ("tables", "figures"):
        (root / sub).mkdir(parents=True, exist_ok=True)
    for table in _tables(report):
        write_atomic(root / "tables" / f"{table.name}.csv", table.data.to_csv(index=False, lineterminator="\n").encode())
        write_atomic(root / "tables" / f"{table.name}.tex", render_latex(table).encode())
    write_atomic(root / "tables" / "units.csv", report.units.to_csv(index=False, lineterminator="\n").encode())
    for picture in (picture for family in report.families for picture in family.pictures):
        write_atomic(root / "figures" / f"{picture.name}.pdf", pdf_bytes(picture.figure))
    page = root / "index.html"
    write_atomic(page, render_html(report).encode())
    return page


def _tables(report: Report) -> Iterable[Table]:
    sections: Sequence[Sequence[Table]] = [(f.ranking, *f.tables, *(table for _, table in f.details)) for f in report.families]
    yield from report.setup
    for section in sections:
        yield from section
    yield from report.controls
    yield report.costs
    yield from report.failures
