"""Who made the points of a run and what that added, as it is printed: from a record alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from optisolve.core.solver import is_start

if TYPE_CHECKING:
    from optisolve.run.schema import Record, SourcePart

__all__ = ["BY_MODEL", "Stage", "by_sources", "shown_sources", "stages"]

BY_MODEL = ("llm", "repaired")
"""Sources of points that a language model, or its stand-in, has made."""
_STARTS = {
    "warm_start": "own points",
    "initial": "random start",
    "start:uniform": "random start",
    "start:latin_hypercube": "random start, spread",
    "start:null": "trivial answers",
    "start:ddpm": "trained sampler",
    "start:file": "points of a file",
}


@dataclass(frozen=True, slots=True)
class Stage:
    """One row.

    Attributes:
        name: Who made the points, in words.
        evaluations: How many.
        gain: What each of them added to everything before it, summed.
        after: Sum of all gains when the stage was over; None for those who took turns.
        parts: Who they were, largest gain first; empty for a single one.
    """

    name: str
    evaluations: int
    gain: float
    after: float | None
    parts: tuple[tuple[str, SourcePart], ...] = ()


def stages(record: Record) -> list[Stage]:
    """First points by their source, in order; then the classical operators; then the language model or its stand-in."""
    llm, sources = record.solver.llm, record.used.by_source
    told, reached = list[Stage](), 0.0
    for name, item in sources.items():
        if is_start(name):
            reached += item.gain
            told.append(Stage(_STARTS.get(name, name), item.evaluations, item.gain, reached))
    model = "language model" if llm is None or llm.provider != "surrogate" else "stand-in, no model"
    later = {name: item for name, item in sources.items() if not is_start(name) and item.evaluations}
    for title, mine in (("operators", False), (model, True)):
        part = {name: item for name, item in later.items() if (name in BY_MODEL) == mine}
        if part:
            told.append(_together(title, part))
    return told


def _together(title: str, sources: Mapping[str, SourcePart]) -> Stage:
    parts = tuple(sorted(sources.items(), key=lambda entry: (-entry[1].gain, entry[0])))
    name, parts = (parts[0][0], ()) if title == "operators" and len(parts) == 1 else (title, parts)
    items = sources.values()
    return Stage(name, sum(item.evaluations for item in items), sum(item.gain for item in items), None, parts)


def by_sources(record: Record) -> bool:
    """Whether a run's points came from sources that are worth telling apart."""
    known = [name for name in record.used.by_source if is_start(name) and not _STARTS.get(name, "").startswith("random")]
    return record.solver.llm is not None or bool(known)


def shown_sources(record: Record) -> dict[str, SourcePart]:
    """Who made what, for people: what the offline stand-in made is not shown as a language model's.

    Args:
        record: A record; its ``used.by_source`` has the same label ``llm`` for whoever sits in the model's place.
    """
    llm, by_source = record.solver.llm, record.used.by_source
    stand_in = llm is not None and llm.provider == "surrogate"
    return {"surrogate" if stand_in and name == "llm" else name: item for name, item in by_source.items()}
