"""The explanation log: what was decided, predicted and reached, as a chain of hashed entries.

Each entry holds the hash of the one before it, so that no entry can be changed, dropped or moved without notice. Entries hold
nothing that depends on clocks, so that the same seed gives the same chain.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from optisolve.core.errors import RecordError

__all__ = ["GENESIS", "ExplanationLog", "check_chain", "to_jsonl"]

GENESIS = "optisolve.explanation/1"
"""What the first entry refers to."""


class ExplanationLog:
    """Entries in order; see the module."""

    def __init__(self) -> None:
        self._entries: list[dict[str, Any]] = []
        self._head = hashlib.sha256(GENESIS.encode()).hexdigest()

    def add(self, step: str, **facts: Any) -> None:
        """Append an entry.

        Args:
            step: What it is about, e.g. ``"gate"``.
            **facts: JSON-compatible; floats that are not finite become None.
        """
        body = {"index": len(self._entries), "step": step, "facts": _plain(facts), "previous": self._head}
        self._head = _digest(body)
        self._entries.append({**body, "hash": self._head})

    @property
    def entries(self) -> list[dict[str, Any]]:
        """All entries so far, copies."""
        return [dict(entry) for entry in self._entries]


def check_chain(entries: Iterable[Mapping[str, Any]]) -> int:
    """Check a chain.

    Returns:
        The number of entries.

    Raises:
        RecordError: An entry was changed, dropped, moved or added; the text names its place.
    """
    head = hashlib.sha256(GENESIS.encode()).hexdigest()
    count = 0
    for count, entry in enumerate(entries, start=1):
        body = {key: entry.get(key) for key in ("index", "step", "facts", "previous")}
        if (
            set(entry) != {*body, "hash"}
            or body["index"] != count - 1
            or body["previous"] != head
            or _digest(body) != entry["hash"]
        ):
            raise RecordError(f"explanation[{count - 1}]: the chain is broken here; an entry was changed, dropped or moved.")
        head = str(entry["hash"])
    return count


def to_jsonl(entries: Iterable[Mapping[str, Any]]) -> str:
    """One entry per line."""
    return "".join(json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n" for entry in entries)


def _digest(body: Mapping[str, Any]) -> str:
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, bool) or value is None or isinstance(value, str | int):
        return value
    number = float(value)
    return number if math.isfinite(number) else None
