"""The tables beside a record: pictures are drawn from them, so they must say what the record says."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.run.schema import Record
from optisolve.run.untrusted import bounded_memory
from optisolve.trust.audit.findings import Findings

__all__ = ["check_tables"]

_SPARE_BYTES = 2**20
_BYTES_PER_NUMBER = 16
"""Room of a table's file, and of what it unpacks to: twice the numbers of the record, and what the format itself needs."""
_MEMORY = 2**28


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


def _differs(path: Path, wanted: FloatArray) -> str:
    import pyarrow.parquet as pq

    most = _SPARE_BYTES + _BYTES_PER_NUMBER * wanted.size + 4096 * wanted.shape[1]
    try:
        if not path.is_file() or path.stat().st_size > most:
            return f"not a file of at most {most:,} bytes"
        # Declared sizes first: a small file may unpack to billions of rows. A file may lie about them, hence the second limit.
        with bounded_memory(_MEMORY + 8 * most), pq.ParquetFile(path, thrift_container_size_limit=100_000) as file:
            shape, groups = (file.metadata.num_rows, file.metadata.num_columns), range(file.metadata.num_row_groups)
            if shape != wanted.shape:
                return f"{shape[0]} rows, {shape[1]} columns instead of {wanted.shape[0]} and {wanted.shape[1]}"
            unpacked = sum(file.metadata.row_group(i).total_byte_size for i in groups)
            kinds = {file.schema.column(i).physical_type for i in range(shape[1])}
            if unpacked > most or not kinds <= {"DOUBLE", "INT64", "INT32"}:  # INT32: a column of nothing but null
                return f"{unpacked:,} bytes of {', '.join(sorted(kinds))} instead of at most {most:,} bytes of numbers"
            columns = [np.asarray(column.to_numpy(), dtype=np.float64) for column in file.read().itercolumns()]
    except Exception as error:  # a damaged file makes the reader raise many things
        return f"{type(error).__name__}: {error}"
    given = np.column_stack(columns) if columns else np.empty(wanted.shape)
    return "" if np.array_equal(given, wanted, equal_nan=True) else "other numbers"
