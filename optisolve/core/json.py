"""JSON, once: plain values from ours, the canonical bytes that hashes are taken of, the file that people open."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import TypeAlias

import numpy as np

__all__ = ["Json", "JsonObject", "canonical", "digest", "document", "plain"]

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
