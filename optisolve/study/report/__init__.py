"""Reports: from records to one HTML page, tables for papers, and figures; the same records give the same bytes."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable
from pathlib import Path

from optisolve.core.documents import write_atomic
from optisolve.core.text import slug
from optisolve.study.report.build import Experiment, FamilySection, Report, build_report
from optisolve.study.report.html import render_html
from optisolve.study.report.latex import escape_latex, render_latex
from optisolve.study.report.svg import pdf_bytes
from optisolve.study.report.tables import Table

__all__ = [
    "Experiment",
    "FamilySection",
    "Report",
    "build_report",
    "escape_latex",
    "render_html",
    "render_latex",
    "write_report",
]


def write_report(report: Report, folder: str | os.PathLike[str], *, pdf: bool = False) -> Path:
    """Write the page with its figures, and its tables.

    Args:
        report: From `build_report`.
        folder: Made when absent; files of an older report with the same names are replaced.
        pdf: Also write every figure as ``figures/*.pdf``; fonts are cut to each one's letters, which takes as long as all else.

    Returns:
        ``folder/index.html``. Beside it stand ``tables/*.csv`` (full precision), ``tables/*.tex`` (booktabs)
        and ``tables/units.csv`` (one row per unit).
    """
    root = Path(folder)
    for sub in ("tables", *(["figures"] if pdf else [])):
        (root / sub).mkdir(parents=True, exist_ok=True)
    tables = list(_tables(report))
    for name, table in zip(_file_names(table.name for table in tables), tables, strict=True):
        write_atomic(root / "tables" / f"{name}.csv", table.data.to_csv(index=False, lineterminator="\n").encode())
        write_atomic(root / "tables" / f"{name}.tex", render_latex(table).encode())
    write_atomic(root / "tables" / "units.csv", report.units.to_csv(index=False, lineterminator="\n").encode())
    pictures = [picture for family in report.families for picture in family.pictures] if pdf else []
    for name, picture in zip(_file_names(picture.name for picture in pictures), pictures, strict=True):
        write_atomic(root / "figures" / f"{name}.pdf", pdf_bytes(picture.figure))
    page = root / "index.html"
    write_atomic(page, render_html(report).encode())
    return page


def _file_names(names: Iterable[str]) -> Iterable[str]:
    """Names of files for names that come from records, and so may hold anything; every one is different."""
    taken: set[str] = set()
    for name in names:
        safe = slug(name)
        number = next(i for i in itertools.count(1) if (safe if i == 1 else f"{safe}-{i}") not in taken)
        taken.add(unique := safe if number == 1 else f"{safe}-{number}")
        yield unique


def _tables(report: Report) -> Iterable[Table]:
    """All tables that hold something."""
    yield from report.setup
    for experiment in report.experiments:
        yield experiment.scenarios
        for family in experiment.families:
            found = (family.ranking, *family.tables, *(table for _, table in family.details))
            yield from (table for table in found if table is not None and len(table.texts))
        yield from (*experiment.controls, experiment.costs, *experiment.failures)
