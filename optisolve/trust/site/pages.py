"""What stands on the site, page by page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from optisolve.run.records import box_note
from optisolve.run.schema import Record
from optisolve.study.report.build import Report
from optisolve.study.report.tables import Table
from optisolve.trust.board import BoardRow
from optisolve.trust.site.charts import Chart

__all__ = ["Lines", "ProblemPage", "RecordPage", "Site", "SolverPage", "Track"]


Lines = Sequence[Any]
"""Lines of a leaderboard, one solver on one scenario each, from `optisolve.trust.site.build.lines_of`."""


@dataclass(frozen=True, eq=False, slots=True)
class Track:
    """One suite's leaderboard.

    Attributes:
        name: Of the suite, "runs" for records of no suite.
        version: Of the suite.
        sha256: Of its lock.
        report: Rankings and statistics.
        lines: Of the table, best first within each scenario.
        records: How many there are.
        standings: Entries of the suite in the leaderboard's own table, best first; empty without it.
        problems: How many problems the suite has, for `standings`.
    """

    name: str
    version: str
    sha256: str
    report: Report
    lines: Lines
    records: int
    standings: tuple[BoardRow, ...] = ()
    problems: int = 0


@dataclass(frozen=True, eq=False, slots=True)
class ProblemPage:
    """One scenario: its card, what is proven about its references, and what every solver reaches on it."""

    name: str
    family: str
    summary: str
    card: str
    evidence: str
    tables: tuple[Table, ...]
    charts: tuple[Chart, ...]
    lines: Lines
    records: tuple[dict[str, Any], ...]


@dataclass(frozen=True, eq=False, slots=True)
class SolverPage:
    """One solver: its card, the options in its records, and its lines of all tracks."""

    name: str
    summary: str
    citation: str
    card: str
    options: Table
    lines: Lines


@dataclass(frozen=True, eq=False, slots=True)
class RecordPage:
    """One record under the names that the site gives to its scenario and solver, with the command that makes it again.

    Attributes:
        sources: Who made what; None where there is one source only.
    """

    record: Record
    scenario: str
    solver: str
    command: str
    charts: tuple[Chart, ...]
    sources: Table | None

    @property
    def note(self) -> str:
        """What must be known to read its hypervolume, or ""."""
        return box_note(self.record)


@dataclass(frozen=True, eq=False, slots=True)
class Site:
    """Everything on the site."""

    title: str
    tracks: tuple[Track, ...]
    problems: tuple[ProblemPage, ...]
    solvers: tuple[SolverPage, ...]
    records: tuple[RecordPage, ...]
    notices: tuple[str, ...]
