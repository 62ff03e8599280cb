"""The full record of a table's row: the run is made again, and compared with what the row says.

A row is a claim. It holds what was asked, so nothing but shipped files and, where a language model was asked, its transcript is
needed to make the run again; what the run finds is then the evidence that the row left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from optisolve.core.problem import Problem
from optisolve.core.solver import Solver
from optisolve.registry import PROBLEMS, SOLVERS, Registry
from optisolve.run.schema import Record, ScoresPart
from optisolve.run.table import light
from optisolve.trust.elsewhere import run_there
from optisolve.trust.replay import agrees, difference, other_platform, replay_record
from optisolve.trust.statistical import SAME_LOSS, curves_apart, spent_alike, worse_by

__all__ = ["Match", "Remade", "filled", "remake", "repeated"]


class Match(StrEnum):
    """What a second run says about a row."""

    SAME = "same"
    """It has the row's ``result_hash``."""
    ROUNDING = "rounding"
    """The hash differs; course, counts and values agree up to the rounding of another processor."""
    AGREES = "statistical"
    """It ends elsewhere, the row names another platform, and what was spent and reached agrees; see `statistical`."""
    PLATFORM = "another platform"
    """It ends elsewhere, and the row names another platform: neither shown nor refuted, until its repetitions are compared."""
    DIFFERENT = "different"
    """It ends elsewhere on the platform that the row names, or where no platform excuses it: the row is refuted."""


@dataclass(frozen=True, slots=True)
class Remade:
    """A run that was made again.

    Attributes:
        record: The full record of the second run, with the row's reference, gaps and tier.
        match: How it compares with the row.
        reason: What differs, "" when nothing does.
        kernels: The kernels it was made on where those were not this process's own, in words.
    """

    record: Record
    match: Match
    reason: str = ""
    kernels: str = ""


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
    kept = {told[0] for told in row.trace}
    return _decided(row, folder, lambda whole: light(whole, kept), problems, solvers)


def repeated(
    record: Record,
    folder: Path | None,
    *,
    problems: Registry[Problem] = PROBLEMS,
    solvers: Registry[Solver] = SOLVERS,
) -> Remade:
    """Make the run of a full record again; arguments as `remake`."""
    return _decided(record, folder, _whole, problems, solvers)


def _decided(
    told: Record,
    folder: Path | None,
    part: Callable[[Record], Record],
    problems: Registry[Problem],
    solvers: Registry[Solver],
) -> Remade:
    """A second run and what it says; `part` leaves of a record what the told one has."""
    again = replay_record(told, folder, problems=problems, solvers=solvers).result.record
    made = _compared(told, again, part)
    if made.match is not Match.DIFFERENT or again.result_hash == told.result_hash:
        return made
    platform = other_platform(told, problems=problems, solvers=solvers)
    if not platform:
        return made
    there = run_there(told, folder) if (problems, solvers) == (PROBLEMS, SOLVERS) else None
    if there is not None:
        made_there = replace(_compared(told, there.record, part), kernels=there.kernels)
        if made_there.match is not Match.DIFFERENT or there.exact or there.record.result_hash == told.result_hash:
            return made_there
    worse = worse_by(told, again)
    alike = spent_alike(told, again) and max(abs(worse), curves_apart(told, part(again))) <= SAME_LOSS
    record = _with_claims(told, again, elsewhere=True, moved=worse)
    return Remade(record, Match.AGREES if alike else Match.PLATFORM, f"{made.reason}; {platform}")


def _whole(record: Record) -> Record:
    return record


def _compared(row: Record, again: Record, part: Callable[[Record], Record]) -> Remade:
    """A second run beside the row, whatever the platforms."""
    found = part(again)
    reason, alike = difference(row, found), agrees(row, found)
    record = _with_claims(row, again, moved=worse_by(row, again) if alike else 0.0)
    if record.result_hash == row.result_hash:  # as the row states it; what else it states must be what that hash covers
        same = row.sealed().result_hash == found.sealed().result_hash
        return Remade(record, Match.SAME) if same else Remade(record, Match.DIFFERENT, reason)
    return Remade(record, Match.ROUNDING if alike else Match.DIFFERENT, reason)


def _with_claims(row: Record, again: Record, *, elsewhere: bool = False, moved: float = 0.0) -> Record:
    """The full record of a second run, with the row's reference, the gaps to it and its tier.

    The reference and what follows from it are no part of a run; whether they hold is for an audit to say. Where the runs end
    elsewhere, or apart by rounding, the row's gaps are moved by the difference of the two ends, so that they hold if and only
    if the row's do.
    """
    absolute, (told, found) = {"hypervolume", "objective", "box", "outside"}, (row.scores.to_json(), again.scores.to_json())
    kept = {name: value for name, value in told.items() if name not in absolute}
    if moved:
        kept |= {name: kept[name] - moved for name in ("gap", "bound_gap") if kept[name] is not None}
    relative = ScoresPart.model_validate(kept | {name: value for name, value in found.items() if name in absolute})
    provenance = again.provenance.model_copy(update={"tier": row.provenance.tier})
    claims: dict[str, object] = {"reference": row.reference, "scores": relative, "provenance": provenance}
    if elsewhere and _named_alike(row, again):  # its data may come out otherwise where numpy's instructions do
        claims |= {"instance": row.instance, "env": row.env}
    return again.model_copy(update=claims).sealed()


def _named_alike(row: Record, again: Record) -> bool:
    """The same problem, parameters and seed."""
    return row.instance.model_copy(update={"sha256": again.instance.sha256}) == again.instance


def filled(row: Record, made: Record) -> Record:
    """The row with what it left out, from a second run that shows it; what the first run spent stays as it was told.

    Args:
        row: The record of a row.
        made: The full record of the second run.
    """
    used = row.used.model_copy(update={"report": made.used.report, "by_source": made.used.by_source})
    parts = {"solutions": made.solutions, "verified": made.verified, "trace": made.trace, "used": used}
    return row.model_copy(update=parts).sealed()
