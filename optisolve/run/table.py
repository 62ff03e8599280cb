"""Tables: many records in one small file, without what a second run makes again.

A row holds a record except its points, its curve (but for the last row, and what was known at the times that its suite names),
the solver's report and its sources; that is enough to say what was asked, what came out and what it cost, and to make the whole
record again. The layout is ``optisolve.table/1``:

* ``shapes``: the columns that a row of a kind has, by their path in a record (``scores.gap``);
* ``constants``: columns that are the same in every row that has them; rows leave them out;
* ``shared``: values that several rows have, by column; rows hold their number;
* ``rows``: the number of the shape, then its columns in order. One row stands on one line, sorted by record id.

The same records give the same bytes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from optisolve.core.documents import Json, JsonObject, canonical, digest
from optisolve.core.errors import RecordError
from optisolve.run.fields import Count, Digest, Part, field_problems
from optisolve.run.schema import Record
from optisolve.run.untrusted import MAX_RECORD_BYTES, printable, read_json

__all__ = ["SCHEMA", "TABLE", "Archive", "Row", "Table", "content_of", "known_at", "light"]

SCHEMA: Literal["optisolve.table/1"] = "optisolve.table/1"
TABLE = "table.json"
"""Name of a table's file."""

_MOST_UNPACKED = 2**27
"""Bytes of JSON that the rows of a table may stand for: a shared value counts for every row that has it."""

_CONTENT = "content"
"""Column beside those of the record."""

_LONG_TRACE = 10
"""Rows from which on two equal curves with the same points are no coincidence ..."""

_CLIMB = 5
"""... unless they end in the optimum after fewer improvements than this: where the repair leads there, all solvers do so."""

_OPTIMUM = 1e-9
"""Gap of an answer that is the optimum."""

_WHOLE = {
    "instance",
    "solver.options",
    "solver.prompts",
    "solver.checkpoint",
    "solver.llm.params",
    "solver.llm.models_reported",
    "solver.llm.failures",
    "budget",
    "used.report",
    "used.by_source",
    "used.seconds_by_source",
    "solutions.variables",
    "solutions.x",
    "verified.counts",
    "verified.objectives",
    "verified.F",
    "verified.feasible",
    "reference",
    "scores.box",
    "env",
    "provenance.files",
}
"""Parts that are shared between rows as a whole; all others are taken apart, and lists stand in the row."""


class Archive(Part):
    """The full records of a table in one compressed file."""

    sha256: Digest
    size: Count


class _File(Part):
    """A table as its file has it; the cells of its rows become records, which check themselves."""

    layout: Literal["optisolve.table/1"] = Field(alias="schema")
    archive: Archive | None
    constants: dict[str, Any]
    shapes: list[list[str]]
    shared: dict[str, list[Any]]
    rows: list[list[Any]]

    def documents(self) -> Iterator[tuple[dict[str, Json], str]]:
        """Every row's record and content."""
        sizes = {name: [len(_line(value)) for value in values] for name, values in self.shared.items()}
        size = 0
        for row in self.rows:
            cells = iter(row)
            columns: dict[str, Json] = {}
            for name in self.shapes[_index(next(cells))]:
                value = self.constants[name] if name in self.constants else next(cells)
                columns[name] = self.shared[name][_index(value)] if name in _WHOLE else value
                size += len(name) + (sizes[name][_index(value)] if name in _WHOLE else len(_line(value)))
            if next(cells, None) is not None:
                raise ValueError("a row has more cells than its shape has columns")
            if size > _MOST_UNPACKED:
                raise ValueError(f"its rows stand for more than {_MOST_UNPACKED:,} bytes")
            yield _nested(columns), str(columns[_CONTENT])


@dataclass(frozen=True, eq=False, slots=True)
class Row:
    """One record of a table.

    Attributes:
        record: The record without what `light` leaves out.
        content: Hash of points and curve of the full record, by which a copied run is known; "" where it is too short for that.
    """

    record: Record
    content: str = ""

    @classmethod
    def of(cls, record: Record, marks_ms: Iterable[float] = ()) -> Row:
        """The row of a full record.

        Args:
            record: The record.
            marks_ms: Times that the suite's columns name, ms: the row keeps what was known by then.
        """
        return cls(light(record, known_at(record, marks_ms)), content_of(record))


@dataclass(frozen=True, eq=False, slots=True)
class Table:
    """Records of one suite, sorted by record id.

    Attributes:
        rows: The records.
        archive: Where the full ones are, None when nobody kept them.
    """

    rows: tuple[Row, ...]
    archive: Archive | None = None

    @classmethod
    def of(cls, rows: Iterable[Row], archive: Archive | None = None) -> Table:
        """The table of some rows."""
        return cls(tuple(sorted(rows, key=lambda row: row.record.record_id)), archive)

    @classmethod
    def read(cls, path: str | os.PathLike[str], *, max_bytes: int = MAX_RECORD_BYTES) -> Table:
        """Read a table's file.

        Raises:
            RecordError: Missing, damaged, or no table.
        """
        return cls.from_json(read_json(Path(path), max_bytes=max_bytes), where=printable(path))

    @classmethod
    def from_json(cls, value: object, *, where: str = "table") -> Table:
        """A table from parsed JSON of unknown origin.

        Raises:
            RecordError: It is none, or one of its rows is no record.
        """
        try:
            file = _File.model_validate(value)
            documents = list(file.documents())
        except ValidationError as error:
            first = next(field_problems(error, _File))
            raise RecordError(f"{where}: not a table of records ({first}).") from None
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, StopIteration, RuntimeError) as error:
            raise RecordError(f"{where}: damaged ({printable(error)}). Restore it, or publish the suite again.") from None
        rows = [
            Row(Record.from_json(record, where=f"{where}, row {i}"), content) for i, (record, content) in enumerate(documents)
        ]
        if [row.record.record_id for row in rows] != sorted({row.record.record_id for row in rows}):
            raise RecordError(f"{where}: its rows must be sorted by record_id, each once.")
        if len({row.record.suite.sha256 for row in rows}) > 1:
            raise RecordError(f"{where}: its rows belong to several suites, or to several locks of one.")
        return cls(tuple(rows), file.archive)

    def to_bytes(self) -> bytes:
        """The table as it stands in its file."""
        packed = _Packed()
        for row in self.rows:
            packed.add({**_flat(row.record.to_json()), _CONTENT: row.content})
        archive = None if self.archive is None else self.archive.model_dump()
        shared = ",\n".join(f"{_line(name)}:{_lines(values)}" for name, values in sorted(packed.shared.items()))
        lines = [
            f'"schema":{_line(SCHEMA)}',
            f'"archive":{_line(archive)}',
            f'"constants":{_line(packed.constants)}',
            f'"shapes":{_lines(packed.shapes)}',
            f'"shared":{{\n{shared}\n}}',
            f'"rows":{_lines(packed.rows())}',
        ]
        return ("{" + ",\n".join(lines) + "}\n").encode()


def known_at(record: Record, marks_ms: Iterable[float]) -> set[int]:
    """Evaluations of the last rows of the curve by some times; none for a time before the first row.

    Args:
        record: With its curve, or a row with a part of it.
        marks_ms: The times, ms.
    """
    reached = [[row[0] for row in record.trace if row[1] * 1e3 <= mark] for mark in marks_ms]
    return {rows[-1] for rows in reached if rows}


def light(record: Record, at: Collection[int] = ()) -> Record:
    """A record without its points, its curve but for the end, the solver's report and its sources.

    That somebody has verified a feasible point stays: ``verified.feasible`` has one entry that says so.

    Args:
        record: The record.
        at: Evaluations whose rows of the curve stay, too.
    """
    failure = record.used.report.get("failure")
    return record.model_copy(
        update={
            "solutions": record.solutions.model_copy(update={"x": []}),
            "verified": record.verified.model_copy(update={"F": [], "feasible": [any(record.verified.feasible)]}),
            "used": record.used.model_copy(update={"report": {} if failure is None else {"failure": failure}, "by_source": {}}),
            "trace": [row for row in record.trace[:-1] if row[0] in at] + record.trace[-1:],
        }
    )


def content_of(record: Record) -> str:
    """Hash of a run's points and curve, the same whatever name it has; "" where the same curve may be a coincidence."""
    curve = [[row[0], *row[2:]] for row in record.trace]
    gap = record.scores.gap
    at_once = gap is not None and abs(gap) <= _OPTIMUM and len({tuple(row[1:]) for row in curve}) < _CLIMB
    if len(curve) < _LONG_TRACE or at_once:
        return ""
    return digest([record.instance.sha256, record.solutions.x, curve])


class _Packed:
    """Rows on their way into a file; collects what they have in common."""

    def __init__(self) -> None:
        self.shapes: list[list[str]] = []
        self.shared: dict[str, list[Json]] = {}
        self.constants: dict[str, Json] = {}
        self._varied: set[str] = set()
        self._numbers: dict[tuple[str, bytes], int] = {}
        self._rows: list[tuple[int, dict[str, Json]]] = []

    def add(self, columns: Mapping[str, Json]) -> None:
        names = list(columns)
        if names not in self.shapes:
            self.shapes.append(names)
        cells = {name: self._number(name, value) if name in _WHOLE else value for name, value in columns.items()}
        self._rows.append((self.shapes.index(names), cells))
        for name, value in cells.items():
            if name not in self._varied and canonical(self.constants.setdefault(name, value)) != canonical(value):
                self._varied.add(name)
                del self.constants[name]

    def rows(self) -> list[Json]:
        return [[shape, *(v for name, v in cells.items() if name not in self.constants)] for shape, cells in self._rows]

    def _number(self, name: str, value: Json) -> int:
        key = (name, canonical(value))
        if key not in self._numbers:
            values = self.shared.setdefault(name, [])
            self._numbers[key] = len(values)
            values.append(value)
        return self._numbers[key]


def _index(value: object) -> int:
    """A number that counts from 0: Python would read others from the end."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} is no number of a shape or shared value")
    return value


def _flat(value: JsonObject, prefix: str = "") -> dict[str, Json]:
    """Nested objects as columns with dotted names."""
    columns: dict[str, Json] = {}
    for key, item in value.items():
        name = f"{prefix}{key}"
        if isinstance(item, Mapping) and item and name not in _WHOLE:
            columns |= _flat(item, f"{name}.")
        else:
            columns[name] = item
    return columns


def _nested(columns: Mapping[str, Json]) -> dict[str, Json]:
    """The record of a row; the inverse of `_flat`."""
    nested: dict[str, Any] = {}
    for name, value in columns.items():
        if name == _CONTENT:
            continue
        *parents, last = name.split(".")
        place = nested
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    return nested


def _line(value: Json) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def _lines(values: Iterable[Json]) -> str:
    return "[\n" + ",\n".join(map(_line, values)) + "\n]"
