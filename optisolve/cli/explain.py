"""``optisolve explain RECORD``: the explanation log of a mixture of experts as a page, or as JSON lines."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.markdown import Markdown

from optisolve.cli.display import console, shown
from optisolve.core.errors import RecordError
from optisolve.core.files import write_atomic
from optisolve.run.records import read_record

__all__ = ["explain_command"]


def explain_command(options: argparse.Namespace) -> int:
    """Print the page, after its chain was checked; ``--out`` writes Markdown, ``--jsonl`` the entries."""
    from optisolve.solvers.moe.log import to_jsonl
    from optisolve.solvers.moe.page import explanation_page

    path = Path(options.path)
    record = read_record(path / "record.json" if path.is_dir() else path)
    entries = record.used.report.get("explanation")
    if not entries:
        raise RecordError(f"{path}: the record of {record.solver.name} has no explanation; moe and moe_llm write one.")
    page = explanation_page(entries)
    if options.jsonl:
        write_atomic(Path(options.jsonl), to_jsonl(entries).encode())
    if options.out:
        write_atomic(Path(options.out), page.encode())
    if not options.out and not options.jsonl:
        console.print(Markdown(shown(page), hyperlinks=False))
    return 0
