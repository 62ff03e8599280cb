"""What stands on the site, page by page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from optisolve.study.report.build import Report
from optisolve.study.report.tables import Table
from optisolve.trust.site.charts import Chart

__all__ = ["Line", "ProblemPage", "RecordPage", "Site", "SolverPage", "Track"]


class Line(Protocol):
    """One solver on one scenario, a line of the leaderboard."""

    family: str
    scenario: str
    solver: str
    measure: str
    """What `score` is, and what it is measured to."""
    score: str
    """Mean loss of all units, failures as 1; without losses the mean value of the feasible answers."""
    loss: float
    """The same in full precision; NaN without losses."""
    standing: float
    """Sorting key, smaller is better."""
    rank: int
    """Within the scenario, ties share the better place."""
    success: float
    """Share of runs that reach the target, NaN without one."""
    runs: int
    failures: int
    evaluations: float
    """Mean per run, as calls and tokens; US dollars are those of all runs."""
    llm_calls: float
    tokens: float
    usd: float
    tier: str
    """Lowest tier among the records."""


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
    lines: tuple[Line, ...]
    records: int
    standings: tuple[Mapping[str, Any], ...] = ()
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
    lines: tuple[Line, ...]
    records: tuple[dict[str, Any], ...]


@dataclass(frozen=True, eq=False, slots=True)
class SolverPage:
    """One solver: its card, the options in its records, and its lines of all tracks."""

    name: str
    summary: str
    citation: str
    card: str
    options: Table
    lines: tuple[Line, ...]


@dataclass(frozen=True, eq=False, slots=True)
class RecordPage:
    """One record under the names that the site gives to its scenario and solver, with the command that makes it again."""

    record: Mapping[str, Any]
    scenario: str
    solver: str
    command: str
    charts: tuple[Chart, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Site:
    """Everything on the site."""

    title: str
    tracks: tuple[Track, ...]
    problems: tuple[ProblemPage, ...]
    solvers: tuple[SolverPage, ...]
    records: tuple[RecordPage, ...]
    notices: tuple[str, ...]
