"""Reading files that a stranger wrote: bounded, strict, and never more than one clear error."""

from __future__ import annotations

import json
import math
import stat
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from optisolve.core.errors import RecordError
from optisolve.core.text import encodable, printable

__all__ = [
    "MAX_DEPTH",
    "MAX_RECORD_BYTES",
    "bounded_memory",
    "printable",
    "read_bytes",
    "read_json",
    "reason",
    "shortened",
    "strict_json",
]

MAX_RECORD_BYTES = 64 * 2**20
"""Largest record that is read at all, bytes; a front of 10,000 points with 100 variables needs about 20 MB."""

MAX_DEPTH = 32
"""Deepest nesting of a JSON file; a record needs 8."""

_SHOWN = 120
_LOOKED_AT = (float, str, list, dict)


def shortened(value: object) -> object:
    """The value itself when its representation is short, else the beginning of it; keeps messages readable."""
    if isinstance(value, (bool, float, type(None))) or (isinstance(value, int) and abs(value) < 10**_SHOWN):
        return value
    if isinstance(value, (list, dict, tuple)) and len(value) > _SHOWN:
        return _Told(f"{type(value).__name__} of {len(value)} items")
    if isinstance(value, int):
        return _Told(f"a number of {value.bit_length()} bits")
    told = printable(value if isinstance(value, str) else repr(value))
    cut = told if len(told) <= _SHOWN else told[:_SHOWN] + "..."
    return cut if isinstance(value, str) else _Told(cut)


def reason(error: Exception) -> str:
    """What is wrong with a stranger's document, from the exception that reading it raised."""
    return f"{error} is missing" if isinstance(error, KeyError) else str(error) or "something of another kind"


class _Told(str):
    """Words that stand for a value; shown without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def read_bytes(path: Path, *, max_bytes: int) -> bytes:
    """The content of a regular file.

    Args:
        path: The file.
        max_bytes: Largest size that is read, bytes.

    Raises:
        RecordError: Missing, not a regular file (a folder, a pipe, a device), or larger.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise RecordError(f"{printable(path)}: not a regular file.")
        data = b""
        if found.st_size <= max_bytes:
            with path.open("rb") as stream:
                data = stream.read(max_bytes + 1)  # the file may have grown since
    except (OSError, ValueError) as error:
        raise RecordError(f"{printable(path)}: cannot be read ({getattr(error, 'strerror', None) or error}).") from error
    if max(found.st_size, len(data)) > max_bytes:
        size = max(found.st_size, len(data))
        raise RecordError(f"{printable(path)}: {size:,} bytes; at most {max_bytes:,} are read.")
    return data


def read_json(path: Path, *, max_bytes: int = MAX_RECORD_BYTES) -> Any:
    """Parse a JSON file of unknown origin; see `strict_json`.

    Raises:
        RecordError: The file or its content cannot be used.
    """
    data = read_bytes(path, max_bytes=max_bytes)
    try:
        return strict_json(data)
    except ValueError as error:
        raise RecordError(f"{printable(path)}: not valid JSON ({printable(error)}).") from error


def strict_json(data: bytes) -> Any:
    """Parse JSON text: UTF-8, no key twice, bounded depth.

    NaN and infinities are kept, so that whoever checks the layout can name the field.

    Args:
        data: The text.

    Raises:
        ValueError: Anything else, with the reason.
    """
    try:
        text = data.decode("utf-8")
        value = json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        ended = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string")
        raise ValueError(f"{error.msg} at line {error.lineno}{'; the file is cut off' if ended else ''}") from error
    except RecursionError:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels") from None
    except MemoryError:
        raise ValueError("too large for this machine's memory") from None
    _require_depth(value)
    return value


def unusable(value: Any, most_entries: int) -> Iterator[tuple[str, str, str]]:
    """What no file of ours holds: NaN, infinities, halves of characters, objects of more entries than anybody would read.

    Args:
        value: Parsed JSON.
        most_entries: Most entries of one object.

    Returns:
        Path (e.g. ``"verified.F[0][1]"``), what is there, what was expected.
    """
    pending = [("", value)]
    while pending:
        where, item = pending.pop()
        if isinstance(item, float):
            if not math.isfinite(item):
                yield where, "NaN or infinity", "a finite number or null"
        elif isinstance(item, str):
            if encodable(item) != item:
                yield where, item, "text without broken characters"
        elif isinstance(item, list):
            pending += [(f"{where}[{i}]", entry) for i, entry in enumerate(item) if isinstance(entry, _LOOKED_AT)]
        elif isinstance(item, Mapping) and len(item) > most_entries:
            yield where or "(file)", f"{len(item):,} fields", f"at most {most_entries:,}"
        elif isinstance(item, Mapping):
            prefix = f"{where}." if where else ""
            pending += [(prefix + printable(key), key) for key in item if isinstance(key, str) and not key.isascii()]
            pending += [(prefix + printable(key), entry) for key, entry in item.items() if isinstance(entry, _LOOKED_AT)]


@contextmanager
def bounded_memory(extra_bytes: int = 6 * 2**30) -> Iterator[None]:
    """Let this process grow by at most so many bytes; beyond that Python raises MemoryError instead of being killed.

    Without effect where the system has no such limit (Windows, macOS) or a stricter one is set already.
    """
    if not sys.platform.startswith("linux"):
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    wanted = pages * resource.getpagesize() + extra_bytes
    limits = [value for value in (soft, hard) if value != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min([wanted, *limits]), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key '{printable(twice)}' stands twice in one object")
    return found


def _require_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for item in level
            if isinstance(item, (list, dict))
            for child in (item.values() if isinstance(item, dict) else item)
            if isinstance(child, (list, dict))
        ]
        if not level:
            return
    raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
