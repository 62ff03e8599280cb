"""The leaderboard's table: from records to one JSON document, the same bytes on every machine.

Every number comes from records whose audit has recomputed it. The loss of a run is that of `optisolve.study.loss`; an absent
run has loss 1. A solver's loss on a problem is the mean over the suite's units there, its loss in the suite the mean over all
problems of the suite.

All records of an instance are measured from one reference, see `optisolve.study.standing`. Entries whose every record was
reproduced are ranked among each other. Apart from them are ranked those whose replies of a language model were replayed, since
nobody can show who wrote the replies. The others stand below without a rank.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from optisolve.run.records import read_record
from optisolve.run.schema import Record
from optisolve.run.table import TABLE, Table
from optisolve.study.loss import LOSS_CAP, Yardstick, loss_of, succeeded
from optisolve.study.standing import share_references
from optisolve.trust.audit import SuiteBook, Tier
from optisolve.trust.audit.suites import LockedSuite

__all__ = [
    "RANKED",
    "SCHEMA",
    "Entry",
    "Located",
    "Slot",
    "board_bytes",
    "build_board",
    "entries_of",
    "read_located",
    "slots_of",
]

SCHEMA = "optisolve.leaderboard/2"

RANKED = (Tier.REPRODUCED, Tier.REPLAYED)
"""Tiers that are ranked, each among itself, in this order."""

Slot = tuple[str, str, str]
"""Problem, instance and repetition within a suite, as its records carry them."""


@dataclass(frozen=True, eq=False, slots=True)
class Located:
    """A record at its place in the submissions.

    Attributes:
        path: ``SUITE/SUBMITTER/RECORD_ID/record.json``, or ``row.json`` for a row of a table.
        suite: First part of the path.
        submitter: Second part.
        record: The document.
        content: Hash of points and curve as a row states it; None where they stand in the record.
    """

    path: str
    suite: str
    submitter: str
    record: Record
    content: str | None = None

    @property
    def label(self) -> str:
        """The solver's name within the suite."""
        return self.record.suite.solver

    @property
    def unit(self) -> Slot:
        """Problem, instance and repetition within the suite."""
        told = self.record.suite
        return told.problem, told.instance, told.repetition


@dataclass(frozen=True, slots=True)
class Entry:
    """One solver of one submitter in one suite.

    Attributes:
        submitter: Who ran it.
        solver: Its name within the suite.
        records: Its records by unit.
    """

    submitter: str
    solver: str
    records: Mapping[Slot, Record]


def read_located(root: Path) -> list[Located]:
    """All records below a folder ``SUITE/SUBMITTER/RECORD_ID`` and in its tables, sorted by path."""
    found = []
    for file in sorted(root.glob(f"*/*/{TABLE}")):
        suite, submitter, *_ = file.relative_to(root).parts
        for row in Table.read(file).rows:
            path = f"{suite}/{submitter}/{row.record.record_id}/row.json"
            found.append(Located(path, suite, submitter, row.record, row.content))
    for file in sorted(root.glob("*/*/*/record.json")):
        suite, submitter, *_ = file.relative_to(root).parts
        found.append(Located(file.relative_to(root).as_posix(), suite, submitter, read_record(file)))
    return sorted(found, key=lambda item: item.path)


def build_board(located: Iterable[Located], book: SuiteBook) -> dict[str, Any]:
    """The table of all suites.

    Args:
        located: Audited records.
        book: Suites with their locks. Records of another lock are counted as stale and left out.
    """
    by_suite: dict[str, list[Located]] = {}
    items = list(located)
    shared = share_references([item.record for item in items])
    for item in (replace(item, record=record) for item, record in zip(items, shared, strict=True)):
        by_suite.setdefault(item.suite, []).append(item)
    suites = []
    for name in sorted(by_suite):
        locked = book.get(name)
        if locked is not None:
            suites.append(_suite(locked, by_suite[name]))
    return {"schema": SCHEMA, "suites": suites}


def board_bytes(board: Mapping[str, Any]) -> bytes:
    """The table as it stands in its file."""
    return json.dumps(board, indent=1, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def entries_of(located: Iterable[Located]) -> list[Entry]:
    """Records grouped by submitter and solver, sorted."""
    grouped: dict[tuple[str, str], dict[Slot, Record]] = {}
    for item in located:
        grouped.setdefault((item.submitter, item.label), {})[item.unit] = item.record
    return [Entry(*key, grouped[key]) for key in sorted(grouped)]


def slots_of(locked: LockedSuite, solver: str) -> dict[str, list[Slot]]:
    """The units that an entry is measured on, by problem: every instance of the suite in every repetition.

    A solver that the suite lists has the repetitions that it has there; nobody else chooses how many runs count.
    """
    units: dict[str, list[Slot]] = {}
    for case in locked.suite.cases:
        listed = next((cell.repetitions for cell in locked.cells(case) if cell.label == solver), None)
        repetitions = locked.suite.repetitions if listed is None else listed
        units[case.label] = [(case.label, str(i), str(r)) for i in range(len(case.instances)) for r in range(repetitions)]
    return units


def _suite(locked: LockedSuite, located: Sequence[Located]) -> dict[str, Any]:
    current = [item for item in located if item.record.suite.sha256 == locked.sha256]
    rows = [_entry(entry, slots_of(locked, entry.solver)) for entry in entries_of(current)]
    problems = [case.label for case in locked.suite.cases]
    _rank(rows, problems)
    return {**locked.identity, "problems": problems, "stale_records": len(located) - len(current), "entries": rows}


def _entry(entry: Entry, units: Mapping[str, Sequence[Slot]]) -> dict[str, Any]:
    records = list(entry.records.values())
    problems, missing = {}, 0
    for label, wanted in units.items():
        own = [entry.records.get(unit) for unit in wanted]
        missing += sum(record is None for record in own)
        if all(record is None for record in own):
            continue
        measured = [loss_of(record) for record in own if record is not None]
        losses = [*(loss.value for loss in measured), *[LOSS_CAP] * (len(own) - len(measured))]
        known = [loss for loss in losses if loss is not None]
        yardsticks = {loss.yardstick.value for loss in measured} - {Yardstick.NOTHING.value}
        problems[label] = {
            "rank": None,
            "loss": None if len(known) < len(losses) else _six(_mean(known)),
            "measured_to": " or ".join(sorted(yardsticks)),
            "success": _six(_mean([float(record is not None and succeeded(record)) for record in own])),
        }
    solver, used = records[0].solver, [record.used for record in records]
    return {
        "rank": None,
        "submitter": entry.submitter,
        "solver": entry.solver,
        "method": f"{solver.name} {solver.version}",
        "llm": None if solver.llm is None else f"{solver.llm.provider} {solver.llm.model}".strip(),
        "tier": min((record.provenance.tier for record in records), key=lambda tier: tier.rank).value,
        "loss": _overall(problems, units),
        "records": len(records),
        "failed": sum(not succeeded(record) for record in records),
        "missing": missing,
        "evaluations": _six(_mean([item.evaluations for item in used])),
        "llm_calls": _six(_mean([item.llm_calls for item in used])),
        "tokens": _six(_mean([item.tokens_in + item.tokens_out for item in used])),
        "usd": _six(_mean([item.usd for item in used])),
        "problems": problems,
    }


def _overall(problems: Mapping[str, Mapping[str, Any]], units: Mapping[str, Any]) -> str | None:
    """Mean over the suite's problems; a problem without records counts as lost."""
    losses = [problems[label]["loss"] if label in problems else _six(LOSS_CAP) for label in units]
    return None if any(loss is None for loss in losses) else _six(_mean([float(loss) for loss in losses]))


def _rank(rows: list[dict[str, Any]], problems: Iterable[str]) -> None:
    """Give ranks to reproduced entries, and others to replayed ones, ties share the better one; sort the rows."""
    for tier in RANKED:
        ranked = [row for row in rows if row["tier"] == tier.value]
        for row in ranked:
            row["rank"] = _place(row["loss"], [other["loss"] for other in ranked])
            for label in problems:
                own = row["problems"].get(label)
                if own is not None:
                    rivals = [other["problems"][label]["loss"] for other in ranked if label in other["problems"]]
                    own["rank"] = _place(own["loss"], rivals)
    groups = [tier.value for tier in RANKED]

    def place(row: Mapping[str, Any]) -> tuple[Any, ...]:
        group = groups.index(row["tier"]) if row["tier"] in groups else len(groups)
        return group, row["rank"] is None, row["loss"] is None, float(row["loss"] or 0.0), row["submitter"], row["solver"]

    rows.sort(key=place)


def _place(own: str | None, all_losses: Sequence[str | None]) -> int | None:
    if own is None:
        return None
    return 1 + sum(loss is not None and float(loss) < float(own) for loss in all_losses)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _six(value: float) -> str:
    """Six decimals as text: the table must not depend on how a language prints numbers."""
    return f"{value:.6f}"
