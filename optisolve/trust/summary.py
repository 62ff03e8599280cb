"""A track in one line: the best solver, the trivial answer, the best solver that others wrote; for the site and for README."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from optisolve.study.suite import list_suites, suite_file
from optisolve.trust.board import RANKED, Board, BoardRow, BoardSuite

__all__ = ["NULL", "PEERS", "TrackSummary", "is_peer", "question_of", "summaries", "summary_of"]

NULL = "null"
"""Label of the solver that gives a problem's trivial answers."""

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
        best: Solvers in the first place, among those whose runs were repeated.
        loss: Their mean loss over all problems of the suite; None without a rank.
        null: Mean loss of the trivial answers; None where nobody ran them.
        peer: Best solver that another project wrote, "" without one.
        peer_loss: Its mean loss.
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


def summary_of(suite: BoardSuite) -> TrackSummary:
    """One track of the leaderboard.

    Args:
        suite: With its entries.
    """
    ranked = [row for row in suite.entries if row.tier is RANKED[0] and row.rank is not None]
    first = [row for row in ranked if row.rank == 1]
    peers = [row for row in ranked if is_peer(row.method)]
    return TrackSummary(
        name=suite.name,
        asks=question_of(suite.name),
        problems=len(suite.problems),
        solvers=len({row.solver for row in suite.entries}),
        records=sum(row.records for row in suite.entries),
        best=tuple(row.solver for row in first),
        loss=_least(first),
        null=_least([row for row in suite.entries if row.solver == NULL]),
        peer=min(peers, key=lambda row: (float(row.loss or 1.0), row.solver)).solver if peers else "",
        peer_loss=_least(peers),
    )


def _least(rows: Sequence[BoardRow]) -> float | None:
    return min((float(row.loss) for row in rows if row.loss is not None), default=None)
