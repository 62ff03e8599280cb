"""Full records from tables: out of their archive where it lies, else by making every run again."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from optisolve.core.documents import write_atomic
from optisolve.core.errors import OptisolveError, RecordError
from optisolve.run.schema import Record
from optisolve.run.table import Row, Table, light
from optisolve.run.untrusted import printable, strict_json
from optisolve.trust.remake import Match, remake
from optisolve.trust.submission.bundle import archive_name, read_archive
from optisolve.trust.submission.rows import taken_apart
from optisolve.trust.submission.rules import ROWS, TRANSCRIPTS

__all__ = ["Restored", "find_tables", "kept_records", "restore"]


@dataclass(frozen=True, slots=True)
class Restored:
    """One row and its full record.

    Attributes:
        record_id: The row's.
        match: How a second run compares with the row; None where the run cannot be made again here.
        reason: What differs, or why the run cannot be made again.
        archived: The record came out of the archive, and is the one that was published.
    """

    record_id: str
    match: Match | None
    reason: str = ""
    archived: bool = False


def find_tables(records: Path, suite: str, submitter: str = "") -> list[Path]:
    """The tables of a suite.

    Args:
        records: ``benchmarks/records`` of a checkout.
        suite: Name of the suite.
        submitter: Only this one's; "" takes all.

    Raises:
        RecordError: There is none.
    """
    found = sorted(path for path in (records / suite).glob(f"*/{ROWS}") if submitter in ("", path.parent.name))
    if not found:
        whose = f" of {submitter}" if submitter else ""
        raise RecordError(f"{records / suite}: no table{whose}. Published suites are the folders of {records}.")
    return found


def restore(
    table: Path, out: Path, *, archives: Sequence[Path] = (), count: int | None = None, workers: int = 1
) -> Iterator[Restored]:
    """Write the full records of a table to ``OUT/UNIT/record.json``.

    Args:
        table: The table's file; transcripts lie beside it.
        out: Folder of the suite's records.
        archives: Archives, or folders in which the one that the table names is looked for; its hash is checked.
        count: Make at most so many records; None for all.
        workers: Processes that make runs again. The answers do not depend on it.

    Yields:
        One answer per row, in the order of the table.

    Raises:
        RecordError: The table, its transcripts or an archive cannot be used.
    """
    whole = Table.read(table)
    kept = kept_records(whole, archives)
    rows = whole.rows if count is None else whole.rows[:count]
    with tempfile.TemporaryDirectory(prefix="optisolve-rows-") as scratch:
        copy = Path(scratch)
        for name in (ROWS, TRANSCRIPTS):
            if (table.parent / name).is_file():
                (copy / name).write_bytes((table.parent / name).read_bytes())
        taken_apart(copy / ROWS)
        left = [row for row in rows if row.record.result_hash not in kept]
        made = _made(left, copy, out, workers)
        for row in rows:
            if files := kept.get(row.record.result_hash):
                _write(_target(out, row), files)
                yield Restored(row.record.record_id, Match.SAME, archived=True)
            else:
                yield next(made)


def kept_records(table: Table, archives: Sequence[Path]) -> dict[str, dict[str, bytes]]:
    """Files of the full records in a table's archive, by result hash; none where it lies nowhere.

    Args:
        table: Names its archive.
        archives: Archives, or folders in which it is looked for; its hash is checked.

    Raises:
        RecordError: The archive is not what the table names.
    """
    archive = next(_existing(table, archives), None)
    return {} if archive is None else _unpacked(archive, table)


def _made(rows: Sequence[Row], scratch: Path, out: Path, workers: int) -> Iterator[Restored]:
    folders = [scratch / row.record.record_id for row in rows]
    records, targets = [row.record for row in rows], [_target(out, row) for row in rows]
    if workers <= 1 or len(rows) < 2:
        yield from map(_make, records, folders, targets)
        return
    from joblib import Parallel, delayed, parallel_config

    with parallel_config(backend="loky", inner_max_num_threads=1):
        made = Parallel(n_jobs=workers, return_as="generator")(map(delayed(_make), records, folders, targets))
    yield from made


def _make(row: Record, folder: Path, target: Path) -> Restored:
    """Make one run again and write its record; runs in a process of its own."""
    try:
        made = remake(row, folder)
    except OptisolveError as error:
        return Restored(row.record_id, None, printable(error))
    files = {"record.json": made.record.to_bytes()}
    if (folder / "transcript.jsonl").is_file():
        files["transcript.jsonl"] = (folder / "transcript.jsonl").read_bytes()
    _write(target, files)
    return Restored(row.record_id, made.match, made.reason)


def _target(out: Path, row: Row) -> Path:
    return out / (row.record.suite.unit or row.record.record_id)


def _write(target: Path, files: dict[str, bytes]) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for name, data in sorted(files.items(), reverse=True):  # the record last
        write_atomic(target / name, data)


def _existing(table: Table, archives: Sequence[Path]) -> Iterator[Path]:
    """Where the table's archive lies."""
    if table.archive is None or not table.rows:
        return
    name = archive_name(table.rows[0].record.suite.name, table.archive)
    for place in archives:
        path = place / name if place.is_dir() else place
        if path.is_file():
            yield path


def _unpacked(archive: Path, table: Table) -> dict[str, dict[str, bytes]]:
    """Files by result hash; every record of the archive is the one that its row describes."""
    assert table.archive is not None
    rows = {row.record.result_hash: row for row in table.rows}
    kept = {}
    for files in read_archive(archive, table.archive):
        record = Record.from_json(strict_json(files["record.json"]), where=printable(archive))
        row = rows.get(record.result_hash)
        same = row is not None and row.record.record_id == record.record_id
        if same and row is not None and row.record != light(record, {told[0] for told in row.record.trace}):
            raise RecordError(f"{archive}: {record.record_id} is not what its row in the table says.")
        kept[record.result_hash] = files
    return kept
