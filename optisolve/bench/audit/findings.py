"""What an audit finds, and the tier that follows from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from optisolve.bench.untrusted import printable, shortened
from optisolve.core.errors import FieldProblem

__all__ = ["Audit", "Findings", "Tier"]


class Tier(StrEnum):
    """How much of a record was shown to be true, by whoever audits it and never by the record itself."""

    SELF_REPORTED = "self_reported"
    """Nothing contradicts it, but a part could not be checked; the audit says which."""
    VERIFIED = "verified"
    """Everything that can be checked without a second run holds: layout, hashes, instance, points, scores, usage."""
    REPRODUCED = "reproduced"
    """A second run gave the same ``result_hash``."""

    @property
    def rank(self) -> int:
        """0 for the weakest tier."""
        return list(Tier).index(self)


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
    """

    record_id: str
    problems: tuple[FieldProblem, ...]
    tier: Tier = Tier.VERIFIED
    notes: tuple[str, ...] = ()
    uncounted: tuple[str, ...] = ()
    where: str = ""

    def __bool__(self) -> bool:
        return not self.problems

    def __str__(self) -> str:
        where = f" ({self.where})" if self.where and self.problems else ""
        if self.problems:
            head = f"{self.record_id}{where}: {len(self.problems)} mismatch(es)"
            return "\n".join([head, *(f"  - {problem}" for problem in self.problems)])
        return "\n".join([f"{self.record_id}: {self.tier.value}", *(f"  note: {note}" for note in self.notes)])


@dataclass(slots=True)
class Findings:
    """Collects what the parts of an audit find.

    Attributes:
        problems: Mismatches.
        notes: What could not be checked.
        uncounted: Scores that must not be compared.
        tier: Lowered by whatever could not be checked.
    """

    problems: list[FieldProblem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    uncounted: list[str] = field(default_factory=list)
    tier: Tier = Tier.VERIFIED

    def wrong(self, name: str, given: object, expected: object) -> None:
        """Note a mismatch; what was given is shortened and made printable."""
        self.problems.append(FieldProblem(printable(name), shortened(given), printable(expected)))

    def unchecked(self, why: str) -> None:
        """A part that this installation cannot check: the record is self-reported at best."""
        self.notes.append(printable(why))
        self.tier = Tier.SELF_REPORTED

    def not_counted(self, scores: tuple[str, ...], why: str) -> None:
        """Scores whose reference cannot be confirmed here."""
        self.notes.append(f"{', '.join(scores)} not counted: {printable(why)}")
        self.uncounted += scores
