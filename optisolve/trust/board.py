"""The leaderboard's table: from records to one JSON document, the same bytes on every machine.

Every number comes from records whose audit has recomputed it. The loss of a run is that of `optisolve.study.loss`; an absent
run has loss 1. A solver's loss on a problem is the mean over the suite's units there, its loss in the suite the mean over all
problems of the suite.

All records of an instance are measured from one reference, see `optisolve.study.standing`. Entries whose every record was
reproduced are ranked among each other. Apart from them are ranked those whose replies of a language model were replayed, since
nobody can show who wrote the replies. The others stand below without a rank.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from optisolve.core.documents import document
from optisolve.run.environment import reproduction_of
from optisolve.run.fields import Part
from optisolve.run.records import read_record
from optisolve.run.schema import Record, Reproduction
from optisolve.run.table import TABLE, Table
from optisolve.study.loss import LOSS_CAP, Yardstick, loss_of, succeeded
from optisolve.study.standing import share_references
from optisolve.trust.audit import SuiteBook, Tier
from optisolve.trust.audit.suites import LockedSuite

__all__ = [
    "RANKED",
    "Board",
    "BoardRow",
    "BoardSuite",
    "Entry",
    "Located",
    "Slot",
    "build_board",
    "entries_of",
    "read_located",
    "slots_of",
]

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


class Place(Part):
    """How an entry does on one problem; fractions are text of six decimals, as everywhere in the table."""

    rank: int | None
    loss: str | None
    measured_to: str
    success: str


class BoardRow(Part):
    """One entry of a suite: who, with what, how it does and what it spends in the mean.

    ``reproduction`` says what second runs of a ranked entry give where BLAS chooses other kernels.
    """

    rank: int | None
    submitter: str
    solver: str
    method: str
    llm: str | None
    tier: Annotated[Tier, Field(strict=False)]
    reproduction: Annotated[Reproduction, Field(strict=False)] | None = None
    loss: str | None
    records: int
    failed: int
    missing: int
    evaluations: str
    llm_calls: str
    tokens: str
    usd: str
    problems: dict[str, Place]


class BoardSuite(Part):
    """A suite's rows, best first."""

    name: str
    version: str
    sha256: str
    problems: list[str]
    stale_records: int
    entries: list[BoardRow]


class Board(Part):
    """The table of all suites."""

    layout: Literal["optisolve.leaderboard/2"] = Field(alias="schema")
    suites: list[BoardSuite]

    def to_bytes(self) -> bytes:
        """The table as it stands in its file."""
        return document(self.to_json())


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


def build_board(located: Iterable[Located], book: SuiteBook) -> Board:
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
    return Board(schema="optisolve.leaderboard/2", suites=suites)


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


def _suite(locked: LockedSuite, located: Sequence[Located]) -> BoardSuite:
    current = [item for item in located if item.record.suite.sha256 == locked.sha256]
    rows = [_entry(entry, slots_of(locked, entry.solver)) for entry in entries_of(current)]
    return BoardSuite(
        **locked.identity,
        problems=[case.label for case in locked.suite.cases],
        stale_records=len(located) - len(current),
        entries=_ranked(rows),
    )


def _entry(entry: Entry, units: Mapping[str, Sequence[Slot]]) -> BoardRow:
    records = list(entry.records.values())
    problems, missing = {}, 0
    for label, slots in units.items():
        own = [entry.records.get(unit) for unit in slots]
        missing += sum(record is None for record in own)
        if all(record is None for record in own):
            continue
        measured = [loss_of(record) for record in own if record is not None]
        losses = [*(loss.value for loss in measured), *[LOSS_CAP] * (len(own) - len(measured))]
        known = [loss for loss in losses if loss is not None]
        yardsticks = {loss.yardstick.value for loss in measured} - {Yardstick.NOTHING.value}
        problems[label] = Place(
            rank=None,
            loss=None if len(known) < len(losses) else _six(_mean(known)),
            measured_to=" or ".join(sorted(yardsticks)),
            success=_six(_mean([float(record is not None and succeeded(record)) for record in own])),
        )
    solver, used = records[0].solver, [record.used for record in records]
    return BoardRow(
        rank=None,
        submitter=entry.submitter,
        solver=entry.solver,
        method=f"{solver.name} {solver.version}",
        llm=None if solver.llm is None else f"{solver.llm.provider} {solver.llm.model}".strip(),
        tier=(tier := min((record.provenance.tier for record in records), key=lambda tier: tier.rank)),
        reproduction=_reproduction(records) if tier in RANKED else None,
        loss=_overall([problems[label].loss if label in problems else _six(LOSS_CAP) for label in units]),
        records=len(records),
        failed=sum(not succeeded(record) for record in records),
        missing=missing,
        evaluations=_six(_mean([item.evaluations for item in used])),
        llm_calls=_six(_mean([item.llm_calls for item in used])),
        tokens=_six(_mean([item.tokens_in + item.tokens_out for item in used])),
        usd=_six(_mean([item.usd for item in used])),
        problems=problems,
    )


def _reproduction(records: Iterable[Record]) -> Reproduction:
    """What second runs of an entry give on other kernels; older records do not say it, so what is declared here stands in."""
    kinds = (record.provenance.reproduction or reproduction_of(record.solver, record.instance.problem) for record in records)
    return Reproduction.BIT_FOR_BIT if all(kind is Reproduction.BIT_FOR_BIT for kind in kinds) else Reproduction.STATISTICAL


def _overall(losses: Sequence[str | None]) -> str | None:
    """Mean over the suite's problems; a problem without records counts as lost."""
    known = [float(loss) for loss in losses if loss is not None]
    return None if len(known) < len(losses) else _six(_mean(known))


def _ranked(rows: Sequence[BoardRow]) -> list[BoardRow]:
    """The rows sorted and with their ranks: each among its own tier, ties share the better one."""
    placed = []
    for entry in rows:
        row = entry
        if row.tier in RANKED:
            rivals = [other for other in rows if other.tier == row.tier]
            problems = {}
            for label, own in row.problems.items():
                losses = [other.problems[label].loss for other in rivals if label in other.problems]
                problems[label] = own.model_copy(update={"rank": _place(own.loss, losses)})
            rank = _place(row.loss, [other.loss for other in rivals])
            row = row.model_copy(update={"rank": rank, "problems": problems})
        placed.append(row)

    def place(row: BoardRow) -> tuple[object, ...]:
        group = RANKED.index(row.tier) if row.tier in RANKED else len(RANKED)
        return group, row.rank is None, row.loss is None, float(row.loss or 0.0), row.submitter, row.solver

    return sorted(placed, key=place)


def _place(own: str | None, all_losses: Sequence[str | None]) -> int | None:
    if own is None:
        return None
    return 1 + sum(loss is not None and float(loss) < float(own) for loss in all_losses)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _six(value: float) -> str:
    """Six decimals as text: the table must not depend on how a language prints numbers."""
    return f"{value:.6f}"
