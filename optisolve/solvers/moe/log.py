"""The explanation log: what was decided, predicted and reached, entry by entry.

Entries hold nothing that depends on clocks, so that the same seed gives the same log. They stand in the run's record, whose
hashes cover them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from optisolve.core.documents import Json, plain
from optisolve.core.errors import RecordError
from optisolve.core.solver import Task

__all__ = ["Entry", "ExplanationLog", "Facts", "log_instance", "read_entries", "to_jsonl"]

Facts: TypeAlias = Mapping[str, Any]
"""What one entry says, in JSON; which facts there are depends on its step, and a file may hold others."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry.

    Attributes:
        index: Its place, from 0.
        step: What it is about, e.g. ``"gate"``.
        facts: What it says.
    """

    index: int
    step: str
    facts: Facts


class ExplanationLog:
    """Entries in order."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []

    def add(self, step: str, **facts: object) -> None:
        """Append an entry.

        Args:
            step: What it is about, e.g. ``"gate"``.
            **facts: JSON-compatible; floats that are not finite become None.
        """
        self._entries.append(Entry(len(self._entries), step, {name: _finite(plain(fact)) for name, fact in facts.items()}))

    @property
    def entries(self) -> list[Json]:
        """All entries so far, as they stand in a record."""
        return [plain(entry) for entry in self._entries]


def log_instance(log: ExplanationLog, task: Task) -> None:
    """Say what is solved, and with what budget."""
    instance, origin = task.instance, task.instance.origin
    log.add(
        "instance",
        scenario=origin.scenario,
        seed=origin.seed,
        sha256=instance.sha256,
        variables=instance.space.dim,
        constraints=len(instance.constraint_names),
        objectives=[{"name": o.name, "sense": o.sense.value, "unit": o.unit} for o in instance.objectives],
        goal=origin.params.get("goal") if origin.problem == "goal" else None,
        budget={k: v for k, v in task.meter.budget.options().items() if v is not None and k != "seconds"},
        run_seed=task.seed,
    )


def read_entries(entries: Iterable[Json]) -> list[Entry]:
    """The log of a record.

    Raises:
        RecordError: An entry is none, or stands at another place than it says; the text names it.
    """
    read = []
    for index, entry in enumerate(entries):
        fields = entry if isinstance(entry, Mapping) else {}
        step, facts = fields.get("step"), fields.get("facts")
        if not isinstance(step, str) or not isinstance(facts, Mapping) or fields.get("index") != index:
            told = json.dumps(entry)[:80]
            raise RecordError(f"explanation[{index}]: {told} is no entry; expected index {index}, a step and its facts.")
        read.append(Entry(index, step, facts))
    return read


def to_jsonl(entries: Iterable[Json]) -> str:
    """One entry per line."""
    return "".join(json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n" for entry in entries)


def _finite(value: Json) -> Json:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
