"""A track in one line: the best solver, the trivial answer, the best solver that others wrote; for the site and for README."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from optisolve.study.loss import LOSS_CAP
from optisolve.study.suite import Suite, list_suites, load_suite, suite_file
from optisolve.trust.board import RANKED, Board, BoardRow, BoardSuite

__all__ = ["COLD", "NULL", "PEERS", "TrackSummary", "is_peer", "question_of", "summaries", "summary_of"]

NULL = "null"
"""Label of the solver that gives a problem's trivial answers."""

COLD = "cold starts"
"""The trivial answer where instances move: every step begins anew."""

PEERS = {
    "botorch": "BoTorch",
    "cma_es": "pymoo and pycma",
    "cpsat": "OR-Tools CP-SAT",
    "cvxpy": "CVXPY",
    "highs": "HiGHS",
    "nsga2": "pymoo",
    "nsga3": "pymoo",
    "optuna_gp": "Optuna",
    "optuna_tpe": "Optuna",
    "scipy_local": "SciPy",
    "sms_emoa": "pymoo",
}
"""Solvers whose search is another project's, and which project that is."""


@dataclass(frozen=True, slots=True)
class TrackSummary:
    """What a track says, in short.

    Attributes:
        name: Of the suite.
        asks: What it asks, from the first line of its file; "" for a suite that optisolve does not ship.
        problems: How many problems it has.
        solvers: How many solvers are ranked.
        records: How many records they have.
        best: Solvers with the least loss, among those whose runs were repeated or replayed, without stand-ins for models; where
            instances move, the memory that does best.
        loss: Their mean loss over all problems of the suite; None without a rank. In a suite that is about time the mean over
            its times; where instances move, the mean over its problems of the least loss that a solver with that memory has.
        null: Mean loss of the trivial answers; None where nobody ran them.
        peer: Best solver that another project wrote, "" without one.
        peer_loss: Its mean loss.
        trivial: What `null` is the loss of: the solver `NULL`, or `COLD`.
        times: Those that the suite is about, ms; () where its losses are those at the end of the runs.
    """

    name: str
    asks: str
    problems: int
    solvers: int
    records: int
    best: tuple[str, ...]
    loss: float | None
    null: float | None
    peer: str
    peer_loss: float | None
    trivial: str = NULL
    times: tuple[str, ...] = ()

    @property
    def of_solvers(self) -> bool:
        """Whether `best` names solvers, not memories."""
        return self.trivial == NULL


def summaries(board: Board) -> list[TrackSummary]:
    """Every track of the leaderboard that has an entry, by name.

    Args:
        board: The leaderboard's table.
    """
    return [summary_of(suite) for suite in board.suites if suite.entries]


def is_peer(method: str) -> bool:
    """Whether a solver's search is another project's.

    Args:
        method: Its registered name, with or without a version behind it.
    """
    return method.partition(" ")[0] in PEERS


def question_of(suite: str) -> str:
    """What a suite asks: the first line of its file; "" for one that does not come with optisolve."""
    if suite not in list_suites():
        return ""
    return suite_file(suite).read_text(encoding="utf-8").partition("\n")[0].lstrip("# ").strip()


def summary_of(suite: BoardSuite, at: str | None = None) -> TrackSummary:
    """One track of the leaderboard.

    Args:
        suite: With its entries.
        at: One of the times that the suite is about, ms, to sum up by it alone.
    """
    entries = suite.entries if at is None else [_only(row, at) for row in suite.entries]
    ranked = [row for row in entries if row.tier in RANKED and row.rank is not None and not _stands_in(row)]
    least = _least(ranked)
    times = next((tuple(row.columns.at_ms) for row in entries if row.columns is not None), ())
    first = [row for row in ranked if _worst(_figure(row)) <= _worst(least) + float(suite.tie)]
    peers = [row for row in ranked if is_peer(row.method)]
    told = TrackSummary(
        name=suite.name,
        asks=question_of(suite.name),
        problems=len(suite.problems),
        solvers=len({row.solver for row in suite.entries}),
        records=sum(row.records for row in suite.entries),
        best=tuple(row.solver for row in sorted(first, key=lambda row: (_worst(_figure(row)), row.solver))),
        loss=least,
        null=_least([row for row in entries if row.solver == NULL]),
        peer=min(peers, key=lambda row: (_worst(_figure(row)), row.solver)).solver if peers else "",
        peer_loss=_least(peers),
        times=times,
    )
    moving = load_suite(suite.name) if suite.name in list_suites() else None
    return told if moving is None or not all(case.motion for case in moving.cases) else _of_moving(told, suite, moving)


def _of_moving(told: TrackSummary, suite: BoardSuite, moving: Suite) -> TrackSummary:
    """The summary of a suite of episodes, where solvers differ in what they remember: memories are compared.

    Whoever may spend more than the suite's budget shows what there was to gain, and takes no part.
    """
    usual = [cell for cell in moving.cells if cell.budget.evaluations == cell.case.budget.evaluations]
    memories = {cell.label: cell.memory or COLD for cell in usual}
    least: dict[str, dict[str, float]] = {}
    for row in (row for row in suite.entries if row.tier is RANKED[0] and row.solver in memories):
        own = least.setdefault(memories[row.solver], {})
        for label, place in row.problems.items():
            if place.loss is not None:
                own[label] = min(own.get(label, 1.0), float(place.loss))
    scored = set().union(*least.values()) if least else set()
    losses = {memory: fmean(own.get(label, 1.0) for label in sorted(scored)) for memory, own in least.items() if scored}
    best = sorted(memory for memory, loss in losses.items() if loss <= min(losses.values()) + float(suite.tie))
    return replace(told, best=tuple(best), loss=min(losses.values(), default=None), trivial=COLD, null=losses.get(COLD))


def _stands_in(row: BoardRow) -> bool:
    """Whether a labelled stand-in took a language model's place: it shows the loop, and leads no table of models."""
    return (row.llm or "").startswith("surrogate")


def _only(row: BoardRow, at: str) -> BoardRow:
    """A row that knows one of its times."""
    if row.columns is None:
        return row
    kept = {time: place for time, place in row.columns.at_ms.items() if time == at}
    return row.model_copy(update={"columns": row.columns.model_copy(update={"at_ms": kept})})


def _figure(row: BoardRow) -> float | None:
    """What a track is summed up by: the mean over its times, where it has some, else the loss."""
    losses = [row.loss] if row.columns is None or not row.columns.at_ms else [p.loss for p in row.columns.at_ms.values()]
    known = [float(loss) for loss in losses if loss is not None]
    return fmean(known) if len(known) == len(losses) else None


def _worst(loss: float | None) -> float:
    return LOSS_CAP if loss is None else loss


def _least(rows: Sequence[BoardRow]) -> float | None:
    return min((loss for row in rows if (loss := _figure(row)) is not None), default=None)
