"""The tables beside a record: pictures are drawn from them, so they must say what the record says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from optisolve.bench.audit.findings import Findings
from optisolve.core.arrays import FloatArray

__all__ = ["check_tables"]

MAX_BYTES = 64 * 2**20
"""Largest table that is read."""


def check_tables(record: Mapping[str, Any], folder: Path, found: Findings) -> None:
    """Compare ``front.parquet`` and ``trace.parquet``, where they exist, with the record.

    Args:
        record: A record of the right layout.
        folder: Its folder.
        found: Gets the problems.
    """
    feasible = np.asarray(record["verified"]["feasible"], dtype=bool)
    width = len(record["verified"]["objectives"]) + len(record["solutions"]["variables"])
    front = np.empty((0, width))
    if feasible.any():
        rows = [
            np.asarray(record[part][key], dtype=np.float64)[feasible] for part, key in (("verified", "F"), ("solutions", "x"))
        ]
        front = np.hstack(rows)
        front = front[np.argsort(front[:, 0], kind="stable")]
    trace = np.array([[np.nan if v is None else float(v) for v in row] for row in record["trace"]]).reshape(-1, 4)
    for name, wanted in (("front.parquet", front), ("trace.parquet", trace)):
        path = folder / name
        if path.exists() and (why := _differs(path, wanted)):
            found.wrong(name, why, "the numbers of the record")


def _differs(path: Path, wanted: FloatArray) -> str:
    import pyarrow.parquet as pq

    try:
        if not path.is_file() or path.stat().st_size > MAX_BYTES:
            return f"not a file of at most {MAX_BYTES:,} bytes"
        with pq.ParquetFile(path) as file:
            shape = (file.metadata.num_rows, file.metadata.num_columns)
            if shape != wanted.shape:  # before anything is unpacked: a small file may hold billions of rows
                return f"{shape[0]} rows, {shape[1]} columns instead of {wanted.shape[0]} and {wanted.shape[1]}"
            columns = [np.asarray(column.to_numpy(), dtype=np.float64) for column in file.read().itercolumns()]
    except Exception as error:  # a damaged file makes the reader raise many things
        return f"{type(error).__name__}: {error}"
    given = np.column_stack(columns) if columns else np.empty(wanted.shape)
    return "" if np.array_equal(given, wanted, equal_nan=True) else "other numbers"
