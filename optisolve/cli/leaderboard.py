"""``optisolve leaderboard``: from records to a static site."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rich.markup import escape

from optisolve.cli.display import console
from optisolve.core.errors import OptisolveError

__all__ = ["leaderboard_command"]


def leaderboard_command(options: argparse.Namespace) -> int:
    """``optisolve leaderboard PATH... [--out DIR]``: 0 when the site was written."""
    from optisolve.bench.site import build_site, write_site

    site = build_site(options.path, title=options.title, degeneracy=_degeneracy(options.degeneracy))
    page = write_site(site, options.out)
    for notice in site.notices:
        console.print(f"[yellow]note:[/] {escape(notice)}", soft_wrap=True)
    told = f"{len(site.records)} records, {len(site.solvers)} solvers, {len(site.problems)} problems, {len(site.tracks)} tracks"
    console.print(f"leaderboard: {escape(str(page))} ({told})", soft_wrap=True)
    return 0


def _degeneracy(path: str | None) -> dict[str, list[dict[str, object]]] | None:
    if path is None:
        return None
    try:
        told = json.loads(Path(path).read_text(encoding="utf-8"))
        return {str(name): list(item["rows"]) for name, item in told.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise OptisolveError(f"--degeneracy {path}: cannot be read ({error}); benchmarks/degeneracy.py writes it.") from error
