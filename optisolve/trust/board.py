"""The leaderboard's table: from records to one JSON document, the same bytes on every machine.

Every number comes from records whose audit has recomputed it. The loss of a run is that of `optisolve.study.loss`; an absent
run has loss 1. A solver's loss on a problem is the mean over the suite's units there, its loss in the suite the mean over all
problems of the suite that have a reference.

All records of an instance are measured from one reference, see `optisolve.study.standing`. Entries whose every record was
reproduced are ranked among each other. Apart from them are ranked those whose replies of a language model were replayed, since
nobody can show who wrote the replies. The others stand below without a rank.

No loss is negative. No rank hangs on a tolerance: an entry is behind those that are better by more than the tie, which the
table states by problem: the tolerance of the references plus the slack that the tolerance of constraints gives, relative, the
largest of an instance's, and never less than the last digit that is printed. Who beats a best known reference by more than
that has loss 0 and the better rank on that problem; over the suite, losses are compared.

Where a suite states columns (`optisolve.study.suite_entries.Columns`), its entries have more figures: `OwnColumns`. Their
seconds are those of whoever ran it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from optisolve.run.environment import reproduction_of
from optisolve.run.records import read_record
from optisolve.run.schema import Record, Reproduction
from optisolve.run.table import TABLE, Table
from optisolve.run.untrusted import printable
from optisolve.study.loss import LOSS_CAP, Yardstick, loss_of, losses_after, succeeded
from optisolve.study.standing import share_references
from optisolve.study.suite_entries import Columns
from optisolve.trust.audit import SuiteBook, Tier
from optisolve.trust.audit.suites import LockedSuite
from optisolve.trust.board_parts import Board, BoardRow, BoardSuite, MarkPlace, OwnColumns, Place
from optisolve.trust.statistical import SAME_LOSS

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
    return Board(schema="optisolve.leaderboard/3", suites=suites)


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


@dataclass(frozen=True, slots=True)
class _Measured:
    """An entry's row without ranks, and by what it gets them on problems: below 0 where a best known reference is beaten."""

    row: BoardRow
    standings: Mapping[str, float]


def _suite(locked: LockedSuite, located: Sequence[Located]) -> BoardSuite:
    current = [item for item in located if item.record.suite.sha256 == locked.sha256]
    scored = {case.label for case in locked.suite.cases if case.effort is not None}
    found = [_entry(entry, slots_of(locked, entry.solver), scored, locked.suite.columns) for entry in entries_of(current)]
    ties = _ties([item.record for item in current], [case.label for case in locked.suite.cases])
    tie = _mean([ties[label] for label in ties if label in scored] or [SAME_LOSS])
    return BoardSuite(
        **locked.identity,
        problems=[case.label for case in locked.suite.cases],
        tie=_six(tie),
        ties={label: _six(own) for label, own in ties.items()},
        stale_records=len(located) - len(current),
        entries=_ranked(found, ties, tie),
    )


def _ties(records: Iterable[Record], labels: Iterable[str]) -> dict[str, float]:
    """Differences of losses that say nothing, by problem; only records that were shown to be true have a word in it."""
    widest: dict[str, dict[str, float]] = {label: {} for label in labels}
    for record in records:
        if record.provenance.tier in RANKED:
            own = widest[record.suite.problem]
            own[record.suite.instance] = max(own.get(record.suite.instance, 0.0), loss_of(record).tie)
    return {label: max(SAME_LOSS, _mean(list(own.values()) or [0.0])) for label, own in widest.items()}


def _entry(entry: Entry, units: Mapping[str, Sequence[Slot]], scored: set[str], columns: Columns) -> _Measured:
    records = list(entry.records.values())
    problems, standings, missing = {}, {}, 0
    for label, slots in units.items():
        own = [entry.records.get(unit) for unit in slots]
        missing += sum(record is None for record in own)
        if all(record is None for record in own):
            continue
        measured = [loss_of(record) for record in own if record is not None]
        absent = [LOSS_CAP] * (len(own) - len(measured))
        loss = _known_mean([*(loss.value for loss in measured), *absent])
        yardsticks = {loss.yardstick.value for loss in measured} - {Yardstick.NOTHING.value}
        if loss is not None:
            standings[label] = _mean([*(loss.standing for loss in measured), *absent])
        problems[label] = Place(
            rank=None,
            loss=None if loss is None else _six(loss),
            measured_to=" or ".join(sorted(yardsticks)),
            success=_six(_mean([float(record is not None and succeeded(record)) for record in own])),
        )
    solver, used = records[0].solver, [record.used for record in records]
    row = BoardRow(
        rank=None,
        submitter=entry.submitter,
        solver=entry.solver,
        method=f"{solver.name} {solver.version}",
        llm=None if solver.llm is None else f"{solver.llm.provider} {solver.llm.model}".strip(),
        tier=(tier := min((record.provenance.tier for record in records), key=lambda tier: tier.rank)),
        reproduction=_reproduction(records) if tier in RANKED else None,
        loss=_overall([problems[label].loss if label in problems else _six(LOSS_CAP) for label in units if label in scored]),
        records=len(records),
        failed=sum(not succeeded(record) for record in records),
        missing=missing,
        evaluations=_six(_mean([item.evaluations for item in used])),
        llm_calls=_six(_mean([item.llm_calls for item in used])),
        tokens=_six(_mean([item.tokens_in + item.tokens_out for item in used])),
        usd=_six(_mean([item.usd for item in used])),
        problems=problems,
    )
    if columns:
        row = row.model_copy(update={"columns": _columns(entry, units, scored, columns)})
    return _Measured(row, standings)


def _columns(entry: Entry, units: Mapping[str, Sequence[Slot]], scored: set[str], columns: Columns) -> OwnColumns:
    """What a suite's own columns say of an entry; ranks come later."""
    records = list(entry.records.values())
    machines = {f"{record.env.cpu or record.env.platform}, {record.env.cores or 'unknown'} cores" for record in records}
    told = {
        "machine": printable(" or ".join(sorted(machines)))[:400],
        "seconds": _six(median(item.used.wall_s for item in records)),
    }
    found = OwnColumns.model_validate(told)
    if columns.solved:
        slots = [entry.records.get(unit) for label, own in units.items() if label in scored for unit in own]
        solved = [float(record is not None and loss_of(record).value == 0.0) for record in slots]
        found = found.model_copy(update={"solved": _six(_mean(solved or [0.0]))})
    if marks := columns.loss_at_ms:
        seconds, absent = [mark / 1e3 for mark in marks], [LOSS_CAP] * len(marks)
        by_problem = []
        for label in (label for label in units if label in scored):
            own = [entry.records.get(unit) for unit in units[label]]
            runs = [absent if record is None else losses_after(record, seconds) for record in own]
            by_problem.append([_known_mean(losses) for losses in zip(*runs, strict=True)])
        means = [_known_mean(losses) for losses in zip(*by_problem, strict=True)]
        places = {f"{mark:g}": MarkPlace(rank=None, loss=_text(loss)) for mark, loss in zip(marks, means, strict=False)}
        found = found.model_copy(update={"at_ms": places})
    return found


def _reproduction(records: Iterable[Record]) -> Reproduction:
    """What second runs of an entry give on other kernels; older records do not say it, so what is declared here stands in."""
    kinds = (record.provenance.reproduction or reproduction_of(record.solver, record.instance.problem) for record in records)
    return Reproduction.BIT_FOR_BIT if all(kind is Reproduction.BIT_FOR_BIT for kind in kinds) else Reproduction.STATISTICAL


def _overall(losses: Sequence[str | None]) -> str | None:
    """Mean over the suite's problems; a problem without records counts as lost."""
    return _text(_known_mean([None if loss is None else float(loss) for loss in losses]))


def _ranked(found: Sequence[_Measured], ties: Mapping[str, float], tie: float) -> list[BoardRow]:
    """The rows sorted and with their ranks: each among its own tier; ties share the better one."""
    placed = []
    for own in found:
        row = own.row
        if row.tier in RANKED:
            rivals = [other for other in found if other.row.tier == row.tier]
            problems = {}
            for label, told in row.problems.items():
                standings = [other.standings.get(label) for other in rivals]
                problems[label] = told.model_copy(update={"rank": _place(own.standings.get(label), standings, ties[label])})
            rank = _place(_number(row.loss), [_number(other.row.loss) for other in rivals], tie)
            row = row.model_copy(update={"rank": rank, "problems": problems})
            if row.columns is not None and row.columns.at_ms:
                row = row.model_copy(update={"columns": _marked(row.columns, [other.row for other in rivals], tie)})
        placed.append(row)

    def place(row: BoardRow) -> tuple[object, ...]:
        group = RANKED.index(row.tier) if row.tier in RANKED else len(RANKED)
        return group, row.rank is None, row.loss is None, float(row.loss or 0.0), row.submitter, row.solver

    return sorted(placed, key=place)


def _marked(own: OwnColumns, rivals: Sequence[BoardRow], tie: float) -> OwnColumns:
    """The columns with ranks by time."""
    places = {}
    for mark, place in own.at_ms.items():
        losses = [_number(other.columns.at_ms[mark].loss) for other in rivals if other.columns is not None]
        places[mark] = place.model_copy(update={"rank": _place(_number(place.loss), losses, tie)})
    return own.model_copy(update={"at_ms": places})


def _place(own: float | None, everybody: Sequence[float | None], tie: float) -> int | None:
    """1 plus how many are better by more than the tie."""
    if own is None:
        return None
    room = tie + 1e-12  # differences of rounded numbers round
    return 1 + sum(other is not None and other + room < own for other in everybody)


def _known_mean(values: Sequence[float | None]) -> float | None:
    """The mean; None where one is unknown, or there is none."""
    known = [value for value in values if value is not None]
    return _mean(known) if known and len(known) == len(values) else None


def _number(text: str | None) -> float | None:
    return None if text is None else float(text)


def _text(value: float | None) -> str | None:
    return None if value is None else _six(value)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _six(value: float) -> str:
    """Six decimals as text: the table must not depend on how a language prints numbers."""
    return f"{value:.6f}"
