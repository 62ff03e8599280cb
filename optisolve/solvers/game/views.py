"""What an agent may know when it moves, and what agents tell each other."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.numerics.games import AgentGame

__all__ = ["Information", "Mailbox", "Report", "View", "make_view"]

Information = Literal["local", "neighbors", "global"]


@dataclass(frozen=True, slots=True)
class Report:
    """One message: what an agent says about itself.

    Attributes:
        agent: Who speaks.
        level: Its action as a whole percentage of its range.
        signal: What it measured last, rounded to three digits.
        words: What it says beyond that, "" for agents that have no words.
    """

    agent: int
    level: int
    signal: float
    words: str = ""

    @property
    def size_bytes(self) -> int:
        """Length of the message as compact JSON, bytes."""
        body: dict[str, int | float | str] = {"a": self.agent, "l": self.level, "s": self.signal}
        if self.words:
            body["w"] = self.words
        return len(json.dumps(body, separators=(",", ":")).encode())


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """The information set of one agent at one moment.

    Attributes:
        agent: Its index.
        round: Rounds played before this one.
        action: Its own action.
        lower: Smallest action.
        upper: Largest action.
        signal: What it measured last.
        utility: Its own utility.
        best_response: Its best action against what it measures.
        own_utilities: Utility of other own actions float64 [L] against what it measures, float64 [L].
        reports: Latest messages of its neighbors; empty with local information.
        world: Facts about everybody, one sentence each; empty unless information is global.
        others: float64 [K], everybody's actions; None unless information is global.
    """

    agent: int
    round: int
    action: float
    lower: float
    upper: float
    signal: float
    utility: float
    best_response: float
    own_utilities: Callable[[FloatArray], FloatArray]
    reports: tuple[Report, ...] = ()
    world: tuple[str, ...] = ()
    others: FloatArray | None = None


class Mailbox:
    """Latest message of every agent, and what all messages cost.

    Args:
        game: Who disturbs whom decides who listens to whom.
        n_neighbors: Others that an agent listens to; None means all.

    Attributes:
        messages: Messages sent so far, one per listener.
        bytes: Their size, bytes.
    """

    def __init__(self, game: AgentGame, n_neighbors: int | None) -> None:
        count = game.n_agents - 1 if n_neighbors is None else n_neighbors
        self._hears = [game.listens_to(agent, count) for agent in range(game.n_agents)]
        self._listeners = [sum(agent in heard for heard in self._hears) for agent in range(game.n_agents)]
        self._latest: dict[int, Report] = {}
        self.messages = self.bytes = 0

    def post(self, report: Report) -> None:
        """Send one message to everybody who listens to its agent."""
        self._latest[report.agent] = report
        self.messages += self._listeners[report.agent]
        self.bytes += self._listeners[report.agent] * report.size_bytes

    def heard_by(self, agent: int) -> tuple[Report, ...]:
        """Latest messages of the agents that one listens to, strongest neighbor first."""
        return tuple(self._latest[j] for j in self._hears[agent] if j in self._latest)


def make_view(
    game: AgentGame,
    x: FloatArray,
    agent: int,
    *,
    round_index: int,
    information: Information,
    reports: Sequence[Report],
    best: FloatArray,
    signal: FloatArray,
    utility: FloatArray,
) -> View:
    """The information set of one agent.

    Args:
        game: The game.
        x: float64 [K], the joint action.
        agent: Whose view.
        round_index: Rounds played before this one.
        information: ``"local"``, ``"neighbors"`` or ``"global"``.
        reports: What the neighbors said.
        best: float64 [K], best responses to x.
        signal: float64 [K], signals at x.
        utility: float64 [K], utilities at x.
    """
    everything = information == "global"
    return View(
        agent=agent,
        round=round_index,
        action=float(x[agent]),
        lower=float(game.lower[agent]),
        upper=float(game.upper[agent]),
        signal=float(signal[agent]),
        utility=float(utility[agent]),
        best_response=float(best[agent]),
        own_utilities=lambda actions: game.own_utilities(agent, np.asarray(actions, dtype=np.float64), x),
        reports=tuple(reports) if information != "local" else (),
        world=tuple(game.world()) if everything else (),
        others=x.copy() if everything else None,
    )
