"""Documents: plain JSON values, the canonical bytes that hashes are taken of, and files that nobody sees half written."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path, PurePath
from typing import TypeAlias

import numpy as np

from optisolve.core.arrays import FloatArray, IntArray

__all__ = [
    "Json",
    "JsonObject",
    "canonical",
    "digest",
    "document",
    "file_source",
    "joined",
    "naming",
    "parquet",
    "plain",
    "staging_folder",
    "write_atomic",
]

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
"""What JSON can say."""

JsonObject: TypeAlias = Mapping[str, Json]


def canonical(value: object) -> bytes:
    """Canonical JSON: sorted keys, no spaces, shortest round-trip floats.

    Raises:
        ValueError: A number is not finite.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode()


def digest(value: object) -> str:
    """SHA-256 of the canonical JSON, 64 hexadecimal digits."""
    return hashlib.sha256(canonical(value)).hexdigest()


def joined(texts: Mapping[str, bytes | Mapping[str, bytes]]) -> bytes:
    """Canonical JSON of an object whose values are canonical JSON already, or objects of such ones."""
    values = {key: text if isinstance(text, bytes) else joined(text) for key, text in texts.items()}
    return b"{" + b",".join(canonical(key) + b":" + values[key] for key in sorted(values)) + b"}"


def document(value: object) -> bytes:
    """JSON for a file that people open: indented, in the given order, with a line break at its end.

    Raises:
        ValueError: A number is not finite.
    """
    return json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False).encode() + b"\n"


def plain(value: object) -> Json:
    """Plain JSON values: tuples to lists, numpy scalars and arrays to Python, dataclasses to objects, the rest to text."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        made: Json = value.tolist()
        return made
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return str(value.as_posix() if isinstance(value, PurePath) else value)


def parquet(columns: Mapping[str, FloatArray | IntArray]) -> bytes:
    """A table of numbers as a Parquet file; pandas reads it, and is not loaded to write it, which would take 0.3 s.

    Args:
        columns: float64 or int64 [n] by name; NaN is written as a missing value.
    """
    import pyarrow
    from pyarrow.parquet import write_table

    def column(values: FloatArray | IntArray) -> pyarrow.Array:  # pyarrow.array would load pandas
        missing = np.isnan(values)
        known = pyarrow.py_buffer(np.packbits(~missing, bitorder="little").tobytes()) if missing.any() else None
        numbers = pyarrow.py_buffer(np.ascontiguousarray(values))
        return pyarrow.Array.from_buffers(pyarrow.from_numpy_dtype(values.dtype), values.size, [known, numbers])

    file = BytesIO()
    write_table(pyarrow.Table.from_arrays([column(values) for values in columns.values()], names=[*columns]), file)
    return file.getvalue()


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file through a temporary one in the same folder and an atomic rename.

    Raises:
        OSError: With the file's name; nothing of it is left.
    """
    with naming(path):
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let an error of the file system name the file that was meant: a write to a full disk names none."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


@contextmanager
def staging_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """A new folder in `parent` to be filled and renamed; it goes when that fails."""
    made = Path(tempfile.mkdtemp(dir=parent, prefix=prefix))
    try:
        yield made
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise


def file_source(path: str | Path) -> dict[str, str]:
    """A file's name without its folder, which belongs to one machine, and the SHA-256 of its content."""
    return {"name": Path(path).name, "sha256": hashlib.sha256(Path(path).read_bytes()).hexdigest()}
