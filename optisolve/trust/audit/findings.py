"""What an audit finds, and the tier that follows from it."""

from __future__ import annotations

from dataclasses import dataclass, field

from optisolve.core.errors import FieldProblem
from optisolve.run.schema import Tier
from optisolve.run.untrusted import printable, shortened
from optisolve.trust.statistical import Pair

__all__ = ["ELSEWHERE", "Audit", "Findings"]

ELSEWHERE = "another platform: a second run ends elsewhere here"
"""How the note begins of a run that was neither shown nor refuted."""

_MOST_KEPT = 100
_MOST_SHOWN = 10
_LONGEST = 1000
"""A record of millions of wrong fields must not fill memory, a terminal or a log."""


@dataclass(frozen=True, slots=True)
class Audit:
    """Outcome of an audit; true when nothing contradicts the record.

    Attributes:
        record_id: The record's own name, or its file when it has none that can be printed.
        problems: Every mismatch: field, what the record says, what was expected.
        tier: What was shown; meaningful only without problems.
        notes: What could not be checked and why, one sentence each.
        uncounted: Scores that must not be compared, e.g. ``"gap"`` when its reference cannot be made again.
        where: The file, "" for a record in memory.
        further: Mismatches that were counted and not kept.
        pair: The losses of a run and of the second run, which ended elsewhere on another platform; None where none did.
        made: Loss of the second run; None where there was none, or nothing to measure it to.
    """

    record_id: str
    problems: tuple[FieldProblem, ...]
    tier: Tier = Tier.VERIFIED
    notes: tuple[str, ...] = ()
    uncounted: tuple[str, ...] = ()
    where: str = ""
    further: int = 0
    pair: Pair | None = None
    made: float | None = None

    def __bool__(self) -> bool:
        return not self.problems

    def __str__(self) -> str:
        where = f" ({self.where})" if self.where and self.problems else ""
        if not self.problems:
            return "\n".join([f"{self.record_id}: {self.tier.value}", *(f"  note: {note}" for note in self.notes)])
        count = len(self.problems) + self.further
        lines = [f"{self.record_id}{where}: {count} mismatch(es)", *(f"  - {told}" for told in self.problems[:_MOST_SHOWN])]
        left = count - min(len(self.problems), _MOST_SHOWN)
        return "\n".join([*lines, *([f"  - and {left:,} more"] if left else [])])


@dataclass(slots=True)
class Findings:
    """Collects what the parts of an audit find.

    Attributes:
        problems: Mismatches.
        notes: What could not be checked.
        uncounted: Scores that must not be compared.
        tier: Lowered by whatever could not be checked.
        further: Mismatches beyond those that are kept.
        undecided: What was made again differs, as it may on another platform: a claim is neither shown nor refuted.
        pair: As in `Audit`.
        made: As in `Audit`.
    """

    problems: list[FieldProblem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    uncounted: list[str] = field(default_factory=list)
    tier: Tier = Tier.VERIFIED
    further: int = 0
    undecided: bool = False
    pair: Pair | None = None
    made: float | None = None

    def wrong(self, name: str, given: object, expected: object) -> None:
        """Note a mismatch; what was given is shortened and made printable. Beyond a hundred they are only counted."""
        if len(self.problems) >= _MOST_KEPT:
            self.further += 1
            return
        self.problems.append(FieldProblem(printable(name)[:_LONGEST], shortened(given), printable(expected)[:_LONGEST]))

    def unchecked(self, why: str) -> None:
        """A part that this installation cannot check: the record is self-reported at best."""
        self.notes.append(printable(why))
        self.tier = Tier.SELF_REPORTED

    def unconfirmed(self, why: str) -> None:
        """A part that comes out otherwise here, as it may: the record is self-reported, whatever it claims."""
        self.unchecked(why)
        self.undecided = True

    def not_counted(self, scores: tuple[str, ...], why: str) -> None:
        """Scores whose reference cannot be confirmed here."""
        self.notes.append(f"{', '.join(scores)} not counted: {printable(why)}")
        self.uncounted += scores

    def audit(self, record_id: str, where: str) -> Audit:
        """The outcome, once everything was looked at."""
        told = tuple(self.notes), tuple(self.uncounted)
        return Audit(record_id, tuple(self.problems), self.tier, *told, where, self.further, self.pair, self.made)
