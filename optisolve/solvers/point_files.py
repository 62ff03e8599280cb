"""Files of points to start from: tables, arrays, and records of runs."""

from __future__ import annotations

import hashlib
import warnings
from collections import Counter
from pathlib import Path

import numpy as np

from optisolve.content import named_file
from optisolve.core.arrays import FloatArray
from optisolve.core.errors import SolverError
from optisolve.core.problem import Instance
from optisolve.core.space import Space

__all__ = ["file_digest", "read_points"]


def read_points(path: str, instance: Instance) -> FloatArray:
    """The points of a file, float64 [n, d], checked against the space.

    Raises:
        SolverError: It cannot be read, or holds no points of this problem.
    """
    file = named_file(path, "init")
    if not file.exists():
        raise SolverError(f"init: '{path}' does not exist; give a CSV or npy file with a row per point, or a run's folder.")
    try:
        if file.is_dir() or file.suffix == ".json":
            X = _record_points(file, instance)
        elif file.suffix == ".npy":
            X = np.asarray(np.load(file, allow_pickle=False), dtype=np.float64)
        elif file.suffix == ".csv":
            X = _table_points(file, instance.space)
        else:
            raise SolverError(f"init: '{path}' must be a .csv or .npy file, a record.json or a run's folder.")
        if X.size == 0:
            raise SolverError(f"init: '{path}' holds no points.")
        return instance.space.require(X, what=f"init: '{path}'")
    except (OSError, ValueError) as error:
        raise SolverError(f"init: '{path}' cannot be read ({error}).") from error


def file_digest(path: str) -> dict[str, str]:
    """Name and SHA-256 of a file of points, as records carry them."""
    file = Path(path)
    file = file / "record.json" if file.is_dir() else file
    return {"name": Path(path).name, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}


def _record_points(file: Path, instance: Instance) -> FloatArray:
    """The returned points of a record."""
    from optisolve.run.records import read_record

    record = read_record(file)
    if record.instance.problem != instance.origin.problem:
        raise SolverError(
            f"init: '{file}' holds points of {record.instance.problem}, this problem is {instance.origin.problem}."
        )
    return np.array(record.solutions.x, dtype=np.float64)


def _table_points(file: Path, space: Space) -> FloatArray:
    """A table of numbers; a first line of names puts its columns into the order of the space."""
    with file.open(encoding="utf-8-sig") as lines:
        head = [cell.strip().strip('"') for cell in lines.readline().split(",")]
    names = None if all(map(_is_number, head)) else head
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # no rows are told of by the caller
        X = np.loadtxt(file, delimiter=",", skiprows=int(names is not None), ndmin=2, encoding="utf-8-sig")
    if names is None or X.size == 0:
        return np.asarray(X, dtype=np.float64)
    if Counter(names) != Counter(space.names):
        odd = sorted((Counter(names) - Counter(space.names)) | (Counter(space.names) - Counter(names)))
        raise SolverError(
            f"init: '{file}' has columns of another problem ({', '.join(odd[:4])}); expected {', '.join(space.names[:4])}"
            f"{', …' if space.dim > 4 else ''}, {space.dim} in all."
        )
    return np.asarray(X[:, [names.index(name) for name in space.names]], dtype=np.float64)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
