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
from optisolve.trust.site.maps import AnswerMap
from optisolve.trust.summary import TrackSummary

__all__ = [
    "Lines",
    "ModelRow",
    "ProblemPage",
    "QuestionPage",
    "RecordPage",
    "Site",
    "SolverPage",
    "Standing",
    "Track",
    "TrackPicture",
    "Winner",
]


Lines = Sequence[Any]
"""Lines of a leaderboard, one solver on one scenario each, from `optisolve.trust.site.build.lines_of`."""


@dataclass(frozen=True, eq=False, slots=True)
class Winner:
    """Who is best on one problem of a track, beside those who must be beaten; scores are texts.

    Attributes:
        scenario: The problem's name on the site.
        allowed: Evaluations that a run may spend, "∞" without a limit.
        measure: What the score is, and what it is measured to.
        best: Solvers that share the first place.
        score: Theirs.
        null: Of the trivial answers, "–" where nobody ran them.
        peer: Best solver that another project wrote, "" without one.
        peer_score: Its score.
        command: The run behind the first record of the first of `best`.
        record_id: That record.
        seconds: What that run took, s, on the machine that reported it.
    """

    scenario: str
    allowed: str
    measure: str
    best: tuple[str, ...]
    score: str
    null: str
    peer: str
    peer_score: str
    command: str
    record_id: str
    seconds: float


@dataclass(frozen=True, eq=False, slots=True)
class TrackPicture:
    """What is drawn of one problem of a track; a record without curve and points has nothing to draw.

    Attributes:
        scenario: The problem's name on the site.
        charts: Anytime curves, and attainment surfaces where there are two objectives.
        map: The problem's own picture of the best answer, None without one.
    """

    scenario: str
    charts: tuple[Chart, ...]
    map: AnswerMap | None


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
        tie: Difference of losses up to which nobody is ahead, as the table states it; "" without standings.
        asks: What the suite asks; "" for one that optisolve does not ship.
        summary: The track in one line; None without standings.
        winners: Problem by problem.
        pictures: Likewise; those without anything to draw are left out.
    """

    name: str
    version: str
    sha256: str
    report: Report
    lines: Lines
    records: int
    standings: tuple[BoardRow, ...] = ()
    problems: int = 0
    tie: str = ""
    asks: str = ""
    summary: TrackSummary | None = None
    winners: tuple[Winner, ...] = ()
    pictures: tuple[TrackPicture, ...] = ()


@dataclass(frozen=True, slots=True)
class Standing:
    """A solver among those that a question compares.

    Attributes:
        solver: Its name on the site.
        loss: Mean over all problems of the question; one without its records counts 1.
        treated: On how many of them it has records.
        seconds: Mean of a run, s, on the machines that reported it.
        tier: The lowest of its records.
    """

    solver: str
    loss: float
    treated: int
    seconds: float
    tier: str


@dataclass(frozen=True, slots=True)
class ModelRow:
    """A solver that asks a language model, beside the best one that does not, on the problems that both treat.

    Attributes:
        solver: Its name on the site.
        model: Provider and model, as reported.
        surrogate: No language model was called.
        problems: How many problems both treat.
        loss: Its mean loss there.
        without: Best solver without a language model there.
        without_loss: Its mean loss.
        llm_calls: Mean per run.
        tokens: Mean per run.
        usd: Of all runs.
        command: The run behind its first record.
        record_id: That record.
    """

    solver: str
    model: str
    surrogate: bool
    problems: int
    loss: float
    without: str
    without_loss: float
    llm_calls: float
    tokens: float
    usd: float
    command: str
    record_id: str


@dataclass(frozen=True, eq=False, slots=True)
class QuestionPage:
    """A question of users, answered from the records of a track.

    Attributes:
        name: Of the page.
        question: In the words of whoever asks.
        words: Paragraphs that say how the answer is found.
        track: The suite whose records answer it.
        after: Time after which losses are compared, ms; "" for the end of the runs.
        answer: The answer in sentences, with its figures.
        standings: Solvers, best first.
        winners: Problem by problem, with the command of each row.
        models: What solvers with a language model reach; for the question about them.
    """

    name: str
    question: str
    words: tuple[str, ...]
    track: str = ""
    after: str = ""
    answer: tuple[str, ...] = ()
    standings: tuple[Standing, ...] = ()
    winners: tuple[Winner, ...] = ()
    models: tuple[ModelRow, ...] = ()


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
    questions: tuple[QuestionPage, ...]
    notices: tuple[str, ...]
