"""``optisolve leaderboard``: from records to a static site."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from rich.markup import escape

from optisolve.cli.display import console
from optisolve.core.errors import OptisolveError
from optisolve.trust.board import SCHEMA

__all__ = ["leaderboard_command", "read_degeneracy"]


def leaderboard_command(options: argparse.Namespace) -> int:
    """``optisolve leaderboard PATH... [--out DIR]``: 0 when the site was written."""
    from optisolve.trust.site import build_site, write_site

    degeneracy = None if options.degeneracy is None else read_degeneracy(options.degeneracy)
    board = None if options.table is None else _table(options.table)
    site = build_site(options.path, title=options.title, degeneracy=degeneracy, board=board)
    page = write_site(site, options.out)
    for notice in site.notices:
        console.print(f"[yellow]note:[/] {escape(notice)}", soft_wrap=True)
    told = f"{len(site.records)} records, {len(site.solvers)} solvers, {len(site.problems)} problems, {len(site.tracks)} tracks"
    console.print(f"leaderboard: {escape(str(page))} ({told})", soft_wrap=True)
    return 0


def read_degeneracy(path: str | Path) -> dict[str, list[dict[str, object]]]:
    """Rows of the degeneracy report by scenario.

    Args:
        path: File that ``benchmarks/degeneracy.py`` wrote.

    Raises:
        OptisolveError: It cannot be read.
    """
    try:
        told = json.loads(Path(path).read_text(encoding="utf-8"))
        return {str(name): list(item["rows"]) for name, item in told.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise OptisolveError(f"{path}: cannot be read ({error}); benchmarks/degeneracy.py writes it.") from error


def _table(path: str) -> dict[str, Any]:
    try:
        told = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise OptisolveError(f"--table {path}: cannot be read ({error}); 'optisolve submit table' writes it.") from error
    if not isinstance(told, dict) or told.get("schema") != SCHEMA:
        raise OptisolveError(f"--table {path}: not a table of the leaderboard; 'optisolve submit table' writes it.")
    return told
