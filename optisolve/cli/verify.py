"""``optisolve verify``: audit records and say which tier was shown."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from optisolve.cli.display import console, print_json
from optisolve.core.errors import FieldProblem, RecordError
from optisolve.core.reference import Effort
from optisolve.registry import PROBLEMS, SOLVERS
from optisolve.run.records import iter_records
from optisolve.run.untrusted import printable
from optisolve.trust.audit import AUDIT_LIMITS, Audit, Auditor, ReferenceMaker, SuiteBook, Tier, audits

if TYPE_CHECKING:
    from optisolve.study.suite import Suite

__all__ = ["once", "record_files", "verify_command"]

_EXIT_REFUSED = 2


def verify_command(options: argparse.Namespace) -> int:
    """``optisolve verify PATH...``: 0 when every record holds, 2 when one is refused, 1 when there is none."""
    suites = _suites(options.suite)
    auditor = Auditor(
        PROBLEMS,
        SOLVERS,
        ReferenceMaker(None if options.effort == "none" else Effort(options.effort)),
        SuiteBook(suites),
        reproduce=True if options.reproduce else None,
    )
    done: list[Audit] = []
    for told in audits(auditor, record_files(options.path), limits=replace(AUDIT_LIMITS, seconds=options.seconds)):
        audit = once(told, done)
        done.append(audit)
        _show(audit, as_json=options.json)
    if not options.json:
        console.print(_summary(done), soft_wrap=True)
    return 0 if all(done) else _EXIT_REFUSED


def _suites(files: list[str]) -> dict[str, Suite]:
    if not files:
        return {}
    from optisolve.study.suite import load_suite

    return {suite.name: suite for suite in map(load_suite, files)}


def record_files(paths: Iterable[str]) -> list[Path]:
    """All record files at or below the paths, each once.

    Raises:
        RecordError: A path without any record.
    """
    files: dict[Path, Path] = {}
    for path in paths:
        found = list(iter_records(path))
        if not found:
            raise RecordError(f"{printable(path)}: no record.json at or below this path.")
        files |= {file.resolve(): file for file in found if file.resolve() not in files}
    return list(files.values())


def once(audit: Audit, before: Iterable[Audit]) -> Audit:
    """The audit, or a refused one when the same record was audited before under another file name."""
    twin = next((other for other in before if other.record_id == audit.record_id), None)
    if twin is None:
        return audit
    problem = FieldProblem("record_id", audit.record_id, f"a record that counts once; {twin.where} is the same")
    return replace(audit, problems=(*audit.problems, problem))


def _show(audit: Audit, *, as_json: bool) -> None:
    if as_json:
        print_json(_plain(audit))
    else:
        console.print(escape(str(audit)), style="green" if audit else "red", soft_wrap=True)


def _plain(audit: Audit) -> dict[str, Any]:
    return {
        "record_id": audit.record_id,
        "file": audit.where,
        "holds": bool(audit),
        "tier": audit.tier.value if audit else None,
        "mismatches": len(audit.problems) + audit.further,
        "problems": [{"field": p.field, "given": repr(p.given), "expected": p.expected} for p in audit.problems],
        "notes": list(audit.notes),
        "uncounted": list(audit.uncounted),
    }


def _summary(audits: list[Audit]) -> str:
    tiers = [f"{sum(bool(a) and a.tier is tier for a in audits)} {tier.value}" for tier in reversed(Tier)]
    refused = sum(not audit for audit in audits)
    return f"{len(audits)} record(s): {', '.join(tiers)}, {refused} refused"
