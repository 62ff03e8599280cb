"""The tables beside a record: pictures are drawn from them, so they must say what the record says, and be true."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from optisolve.core.arrays import BoolArray, FloatArray
from optisolve.core.failures import attempt
from optisolve.core.problem import Evaluation, Instance
from optisolve.run.evaluator import History, trace_rows
from optisolve.run.history import HISTORY_FILE, history_columns
from optisolve.run.schema import Record
from optisolve.run.untrusted import bounded_memory
from optisolve.trust.audit.findings import Findings
from optisolve.trust.audit.points import RELATIVE_TOLERANCE

__all__ = ["MOST_EVALUATED", "check_history", "check_tables"]

_SPARE_BYTES = 2**20
_BYTES_PER_NUMBER = 16
"""Room of a table's file, and of what it unpacks to: twice the numbers of the record, and what the format itself needs."""
_MEMORY = 2**28
_KINDS = frozenset({"DOUBLE", "INT64", "INT32"})
"""Columns of numbers; INT32 is a column of nothing but null."""
_CURVE_TOLERANCE = 1e-7
"""The curve was drawn by the fast kernel of another machine perhaps."""

MOST_EVALUATED = 1000
"""Points of a history that an audit evaluates again, drawn by the record's hash: a model may be slow."""


def check_tables(record: Record, folder: Path, found: Findings) -> None:
    """Compare ``front.parquet`` and ``trace.parquet``, where they exist, with the record.

    Args:
        record: A record of the right layout.
        folder: Its folder.
        found: Gets the problems.
    """
    feasible = np.asarray(record.verified.feasible, dtype=bool)
    width = len(record.verified.objectives) + len(record.solutions.variables)
    front = np.empty((0, width))
    if feasible.any():
        front = np.hstack([np.array(rows, dtype=np.float64)[feasible] for rows in (record.verified.F, record.solutions.x)])
        front = front[np.argsort(front[:, 0], kind="stable")]
    trace = np.array([[np.nan if v is None else float(v) for v in row] for row in record.trace]).reshape(-1, 4)
    for name, wanted in (("front.parquet", front), ("trace.parquet", trace)):
        path = folder / name
        if path.exists() and (why := _differs(path, wanted)):
            found.wrong(name, why, "the numbers of the record")


def check_history(record: Record, instance: Instance, folder: Path, found: Findings) -> None:
    """Compare ``history.parquet`` with the hash, the counts and the curve of the record, and evaluate points of it again.

    Args:
        record: A record of the right layout.
        instance: Its instance, rebuilt.
        folder: Its folder.
        found: Gets the problems, and a note of how many points were evaluated again.
    """
    told, path = record.provenance.history, folder / HISTORY_FILE
    if told is None or not path.exists():
        if told is not None or path.exists():
            found.notes.append(f"{HISTORY_FILE}: {'not here' if told else 'the record names none'}; it was not checked")
        return
    count = sum(part.evaluations for part in record.used.by_source.values())
    columns = history_columns(instance)
    read = _read(path, (count, len(columns)), _KINDS | {"BYTE_ARRAY"})
    if isinstance(read, str):
        found.wrong(HISTORY_FILE, read, "every evaluated point of the run")
        return
    if hashlib.sha256(path.read_bytes()).hexdigest() != told.sha256:
        found.wrong(HISTORY_FILE, "another content", f"the file with the SHA-256 {told.sha256} of the record")
    elif list(read) != columns:
        found.wrong(HISTORY_FILE, list(read), f"the columns {columns}")
    else:
        try:
            _check_rows(record, instance, read, found)
        except (ValueError, TypeError) as error:
            found.wrong(HISTORY_FILE, f"{type(error).__name__}: {error}", "numbers, and names in the column source")


def _check_rows(record: Record, instance: Instance, columns: Mapping[str, npt.NDArray[Any]], found: Findings) -> None:
    n = columns["evaluation"].size
    values = np.column_stack([columns[name].astype(np.float64) for name in list(columns)[3:]]).reshape(n, -1)
    widths = [len(instance.objectives), instance.space.dim, len(instance.constraint_names), len(instance.equality_names)]
    F, X, G, H = np.split(values, np.cumsum(widths)[:-1], axis=1)
    failed: BoolArray = np.asarray(np.isnan(F).any(axis=1))
    sources, labels = [str(label) for label in columns["source"]], record.used.by_source
    if {label: sources.count(label) for label in labels} != {label: part.evaluations for label, part in labels.items()}:
        found.wrong(HISTORY_FILE, "other sources", "as many points of every source as used.by_source says")
    history = History(widths[0])
    violation = instance.judged(Evaluation(F, G, H, failed)).violation
    history.append(np.where(failed[:, None], 0.0, F) * instance.signs, violation, "told", 0.0)
    curve = zip(record.trace, trace_rows(instance, history), strict=False)  # their lengths are checked with the trace
    same = all(_near(told[2], again[2]) and _near(told[3], again[3]) for told, again in curve)
    if not same or not np.array_equal(columns["evaluation"], np.arange(1, n + 1)):
        found.wrong(HISTORY_FILE, "other values", "points whose best so far give the record's trace")
    rows = np.flatnonzero(~failed)
    if rows.size > MOST_EVALUATED:
        chosen = np.random.default_rng(int(record.result_hash[:16], 16)).choice(rows.size, MOST_EVALUATED, replace=False)
        rows = rows[np.sort(chosen)]
    again = attempt(instance, X[rows], instance._evaluate_twin)
    scales = np.array([objective.scale for objective in instance.objectives])
    units = (scales, np.ones(widths[2]), np.ones(widths[3]))
    both = np.concatenate([F[rows], again.evaluation.F])
    spreads: tuple[FloatArray | float, ...] = (0.0 if instance.repeats else instance.spread(both), 0.0, 0.0)
    for part, true, unit, within in zip((F, G, H), again.evaluation, units, spreads, strict=True):
        off = np.abs(part[rows] - true) > np.maximum(RELATIVE_TOLERANCE * np.maximum(np.abs(true), unit), within)
        if again.message or off.any():
            row = int(rows[np.argmax(off.any(axis=1))]) + 1
            found.wrong(HISTORY_FILE, f"other values at evaluation {row}", "those that evaluating the points again gives")
            return
    found.notes.append(f"{HISTORY_FILE}: {rows.size:,} of {n:,} points evaluated again")


def _near(given: float | None, wanted: float | None) -> bool:
    if given is None or wanted is None:
        return given is wanted
    return math.isclose(given, wanted, rel_tol=_CURVE_TOLERANCE, abs_tol=_CURVE_TOLERANCE)


def _differs(path: Path, wanted: FloatArray) -> str:
    columns = _read(path, wanted.shape, _KINDS)
    if isinstance(columns, str):
        return columns
    given = np.column_stack([column.astype(np.float64) for column in columns.values()]) if columns else np.empty(wanted.shape)
    return "" if np.array_equal(given, wanted, equal_nan=True) else "other numbers"


def _read(path: Path, wanted: tuple[int, ...], allowed: frozenset[str]) -> dict[str, npt.NDArray[Any]] | str:
    """The columns of a stranger's table of known size, or what is wrong with the file."""
    import pyarrow.parquet as pq

    most = _SPARE_BYTES + _BYTES_PER_NUMBER * wanted[0] * wanted[1] + 4096 * wanted[1]
    try:
        if not path.is_file() or path.stat().st_size > most:
            return f"not a file of at most {most:,} bytes"
        # Declared sizes first: a small file may unpack to billions of rows. A file may lie about them, hence the second limit.
        with bounded_memory(_MEMORY + 8 * most), pq.ParquetFile(path, thrift_container_size_limit=100_000) as file:
            shape, groups = (file.metadata.num_rows, file.metadata.num_columns), range(file.metadata.num_row_groups)
            if shape != wanted:
                return f"{shape[0]} rows, {shape[1]} columns instead of {wanted[0]} and {wanted[1]}"
            unpacked = sum(file.metadata.row_group(i).total_byte_size for i in groups)
            kinds = {file.schema.column(i).physical_type for i in range(shape[1])}
            if unpacked > most or not kinds <= allowed:
                return f"{unpacked:,} bytes of {', '.join(sorted(kinds))} instead of at most {most:,} bytes of numbers"
            table = file.read()
            return {name: table.column(i).to_numpy() for i, name in enumerate(table.column_names)}
    except Exception as error:  # a damaged file makes the reader raise many things
        return f"{type(error).__name__}: {error}"
