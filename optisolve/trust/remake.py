"""The full record of a table's row: the run is made again, and compared with what the row says.

A row is a claim. It holds what was asked, so nothing but shipped files and, where a language model was asked, its transcript is
needed to make the run again; what the run finds is then the evidence that the row left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from optisolve.core.problem import Problem
from optisolve.core.solver import Solver
from optisolve.registry import PROBLEMS, SOLVERS, Registry
from optisolve.run.schema import Record, ScoresPart
from optisolve.run.table import light
from optisolve.trust.replay import agrees, difference, other_platform, replay_record

__all__ = ["Match", "Remade", "filled", "remake"]


class Match(StrEnum):
    """What a second run says about a row."""

    SAME = "same"
    """It has the row's ``result_hash``."""
    ROUNDING = "rounding"
    """The hash differs; course, counts and values agree up to the rounding of another processor."""
    PLATFORM = "another platform"
    """It ends elsewhere, and the row names other kernels or packages: neither shown nor refuted."""
    DIFFERENT = "different"
    """It ends elsewhere on the same kernels and packages: the row is refuted."""


@dataclass(frozen=True, slots=True)
class Remade:
    """A run that was made again.

    Attributes:
        record: The full record of the second run, with the row's reference, gaps and tier.
        match: How it compares with the row.
        reason: What differs, "" when nothing does.
    """

    record: Record
    match: Match
    reason: str = ""


def remake(
    row: Record,
    folder: Path | None,
    *,
    problems: Registry[Problem] = PROBLEMS,
    solvers: Registry[Solver] = SOLVERS,
) -> Remade:
    """Make the run of a row again.

    Args:
        row: The record of a row.
        folder: Where its ``transcript.jsonl`` stands; None when there is none.
        problems: Where to find problems.
        solvers: Where to find solvers.

    Raises:
        OptisolveError: The run cannot be made again here.
    """
    again = replay_record(row, folder, problems=problems, solvers=solvers).result.record
    # The reference and what follows from it are no part of a run; whether they hold is for an audit to say.
    absolute, (told, found_again) = (
        {"hypervolume", "objective", "box", "outside"},
        (row.scores.to_json(), again.scores.to_json()),
    )
    kept = {name: value for name, value in told.items() if name not in absolute}
    relative = ScoresPart.model_validate(kept | {name: value for name, value in found_again.items() if name in absolute})
    provenance = again.provenance.model_copy(update={"tier": row.provenance.tier})
    record = again.model_copy(update={"reference": row.reference, "scores": relative, "provenance": provenance}).sealed()
    found = light(again)
    reason = difference(row, found)
    if record.result_hash == row.result_hash:  # as the row states it; what else it states must be what that hash covers
        same = row.sealed().result_hash == found.sealed().result_hash
        return Remade(record, Match.SAME) if same else Remade(record, Match.DIFFERENT, reason)
    if agrees(row, found):
        return Remade(record, Match.ROUNDING, reason)
    if platform := other_platform(row):
        return Remade(record, Match.PLATFORM, f"{reason}; {platform}")
    return Remade(record, Match.DIFFERENT, reason)


def filled(row: Record, made: Record) -> Record:
    """The row with what it left out, from a second run that shows it; what the first run spent stays as it was told.

    Args:
        row: The record of a row.
        made: The full record of the second run.
    """
    used = row.used.model_copy(update={"report": made.used.report, "by_source": made.used.by_source})
    parts = {"solutions": made.solutions, "verified": made.verified, "trace": made.trace, "used": used}
    return row.model_copy(update=parts).sealed()
