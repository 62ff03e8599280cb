"""Tables of a submission: taken apart into rows, which from there on are treated like records."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from optisolve.core.errors import FieldProblem, RecordError
from optisolve.run.table import Row, Table
from optisolve.run.untrusted import strict_json
from optisolve.trust.audit import SuiteBook
from optisolve.trust.submission.rows import ROW, row_changes, taken_apart
from optisolve.trust.submission.rules import RECORDS, ROWS, Place, place_of
from optisolve.trust.submission.tree import File, Tree

__all__ = ["Rows", "rows_of"]


@dataclass(slots=True)
class Rows:
    """The rows of all tables of a commit.

    Attributes:
        places: Where each row's file was written, by its path.
        contents: Hash of points and curve of each row, by path.
        fresh: Paths of the rows that are to be audited.
        problems: Tables that cannot be read, and published rows that were changed.
    """

    places: dict[str, Place] = field(default_factory=dict)
    contents: dict[str, str] = field(default_factory=dict)
    fresh: list[str] = field(default_factory=list)
    problems: list[FieldProblem] = field(default_factory=list)


def rows_of(
    head: Tree, base: Tree | None, files: Mapping[str, File], root: Path, suites: SuiteBook, sample: int | None = None
) -> Rows:
    """Take all tables of a commit apart.

    Args:
        head: The commit.
        base: What it is compared with; None makes every row fresh.
        files: The head's files.
        root: Where its files were written.
        suites: Suites with their locks.
        sample: Without a base, how many rows of each table are audited; None for all. The commit chooses which.
    """
    found = Rows()
    for path in files:
        place = place_of(path)
        if place is None or place.name != ROWS:
            continue
        try:
            rows = taken_apart(root / place.suite / place.submitter / ROWS)
            before = () if base is None else _base_rows(base, path)
        except RecordError as error:
            found.problems.append(FieldProblem(path, str(error), "a table that optisolve submit pack wrote"))
            continue
        locked = suites.get(place.suite)
        fresh, problems = row_changes(before, rows, "" if locked is None else locked.sha256)
        found.problems += [FieldProblem(f"{path}: {problem.field}", problem.given, problem.expected) for problem in problems]
        for row in rows:
            name = _path(place, row)
            found.places[name] = Place(place.suite, place.submitter, row.record.record_id, ROW)
            found.contents[name] = row.content
        found.fresh += [_path(place, row) for row in _some(fresh, head.revision, sample if base is None else None)]
    return found


def _path(place: Place, row: Row) -> str:
    return f"{RECORDS}/{place.suite}/{place.submitter}/{row.record.record_id}/{ROW}"


def _base_rows(base: Tree, path: str) -> Iterable[Row]:
    for _, data in base.read(base.files(path).values()):
        return Table.from_json(strict_json(data), where=path).rows
    return ()


def _some(rows: list[Row], revision: str, count: int | None) -> list[Row]:
    """Rows that nobody could choose before the commit had its name."""

    def drawn(row: Row) -> str:
        return hashlib.sha256(f"{revision}|{row.record.record_id}".encode()).hexdigest()

    return rows if count is None else sorted(rows, key=drawn)[:count]
