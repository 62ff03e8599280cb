"""What stands on the site, page by page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optisolve.run.schema import Record
from optisolve.study.report.build import Report
from optisolve.study.report.tables import Table
from optisolve.trust.site.charts import Chart

__all__ = ["ProblemPage", "RecordPage", "Row", "Site", "SolverPage", "Track"]


@dataclass(frozen=True, slots=True)
class Row:
    """One solver on one scenario, a line of the leaderboard.

    Attributes:
        family: Problem family.
        scenario: Label of the scenario.
        solver: Label of the solver.
        measure: What `score` is.
        score: In words.
        loss: Sorting key, smaller is better; failures count as the worst.
        success: Share of runs that reach the target, None without one.
        runs: Units that count.
        failures: Of those, how many failed.
        evaluations: Mean per run.
        calls: Mean language-model calls per run.
        tokens: Mean tokens per run.
        usd: US dollars of all runs.
        tier: Lowest tier among the records.
        rank: Within the scenario, ties share the better place.
    """

    family: str
    scenario: str
    solver: str
    measure: str
    score: str
    loss: float
    success: float | None
    runs: int
    failures: int
    evaluations: float
    calls: float
    tokens: float
    usd: float
    tier: str
    rank: int


@dataclass(frozen=True, eq=False, slots=True)
class Track:
    """One suite's leaderboard.

    Attributes:
        name: Of the suite, "runs" for records of no suite.
        version: Of the suite.
        sha256: Of its lock.
        report: Rankings and statistics.
        rows: Lines of the table, best first within each scenario.
        records: How many there are.
        standings: Entries of the suite in the leaderboard's own table, best first; empty without it.
        problems: How many problems the suite has, for `standings`.
    """

    name: str
    version: str
    sha256: str
    report: Report
    rows: tuple[Row, ...]
    records: int
    standings: tuple[Mapping[str, Any], ...] = ()
    problems: int = 0


@dataclass(frozen=True, eq=False, slots=True)
class ProblemPage:
    """One scenario.

    Attributes:
        name: Label.
        family: Family.
        summary: What is decided.
        card: The family's model card, Markdown.
        evidence: What is proven about the references.
        tables: Scores, null policies, instances and references, degeneracy.
        charts: Interactive.
        records: Record ids with solver, instance, repetition, score.
    """

    name: str
    family: str
    summary: str
    card: str
    evidence: str
    tables: tuple[Table, ...]
    charts: tuple[Chart, ...]
    records: tuple[dict[str, Any], ...]


@dataclass(frozen=True, eq=False, slots=True)
class SolverPage:
    """One solver.

    Attributes:
        name: Label.
        summary: What it is.
        citation: Source.
        card: Markdown, "" when it has none.
        options: Its options in the records, as a table.
        rows: Its lines of all tracks.
    """

    name: str
    summary: str
    citation: str
    card: str
    options: Table
    rows: tuple[Row, ...]


@dataclass(frozen=True, eq=False, slots=True)
class RecordPage:
    """One record.

    Attributes:
        record: The record.
        scenario: Label of its scenario.
        solver: Label of its solver.
        command: What makes it again.
        charts: Front and trace.
    """

    record: Record
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
