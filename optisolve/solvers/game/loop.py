"""The loop that every kind of agent plays in: who moves when, what is known, what is measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, Protocol

import numpy as np
from annotated_types import Ge, Gt, Le

from optisolve.core.arrays import FloatArray
from optisolve.core.documents import Json
from optisolve.core.options import Options
from optisolve.core.solver import Task, spent_limit
from optisolve.core.status import Limit, Termination
from optisolve.numerics.games import AgentGame
from optisolve.solvers.game.agents import Agent
from optisolve.solvers.game.ledger import Ledger
from optisolve.solvers.game.views import Information, Mailbox, Report, View, make_view

__all__ = ["REFUSED", "Desk", "Move", "Play", "Protocols", "Rules"]

Protocols = Literal["simultaneous", "sequential", "asynchronous"]
REFUSED = "refused"
"""Source of a move that the budget did not pay for: the agent stays where it is, and the game ends."""
_SAME = 1e-12


@dataclass(frozen=True, slots=True)
class Move:
    """What an agent does.

    Attributes:
        action: Its next action.
        source: Who decided: a kind of agent, ``"llm"``, ``"repaired"``, ``"fallback"`` or `REFUSED`.
        words: What it tells its neighbors, "" for nothing.
    """

    action: float
    source: str
    words: str = ""


class Desk(Protocol):
    """Decides for several agents at once: those that a language model plays."""

    def moves(self, views: Sequence[View]) -> list[Move]:
        """One move per view; all questions are in flight together."""
        ...

    def learn(self, round_index: int, x: FloatArray, signal: FloatArray, utility: FloatArray) -> None:
        """What every agent measured after a round, float64 [K] each."""
        ...


@dataclass(frozen=True, slots=True)
class Rules(Options):
    """How the game is played.

    Args:
        information: What an agent knows beside its own action, gain and measurements: nothing (``"local"``), the latest message
            of its neighbors (``"neighbors"``), or everybody's gains and needs (``"global"``).
        n_neighbors: Others that an agent listens to, those that disturb it most; None means all.
        protocol: ``"simultaneous"``: everybody moves at once. ``"sequential"``: one after the other, in an order drawn every
            round. ``"asynchronous"``: in a round each agent wakes up with a probability, and at least one does.
        wake_probability: That probability.
        rounds: Rounds at most; one round is one evaluation.
        max_step: Largest move of any agent in one turn, as a share of its range; what goes beyond is cut. None for no limit.
        rtol: Moves below this share of the action count as standing still.
        patience: Moves in a row of every agent, all without a change, after which the game has settled.
    """

    information: Information = "local"
    n_neighbors: Annotated[int, Ge(1)] | None = None
    protocol: Protocols = "simultaneous"
    wake_probability: Annotated[float, Gt(0), Le(1)] = 0.5
    rounds: Annotated[int, Ge(1), Le(100_000)] = 20
    max_step: Annotated[float, Gt(0), Le(1)] | None = None
    rtol: Annotated[float, Ge(0)] = 1e-10
    patience: Annotated[int, Ge(1)] = 2


class Play:
    """One game.

    Args:
        task: Evaluations, budget and random streams.
        game: Utilities.
        rules: How it is played.
        start: float64 [K], joint action at the start.
        agents: Agents without a language model, by index.
        desk: Plays all other agents; None when there are none.
    """

    def __init__(
        self,
        task: Task,
        game: AgentGame,
        rules: Rules,
        start: FloatArray,
        agents: Mapping[int, Agent],
        desk: Desk | None,
        kinds: Sequence[str],
    ) -> None:
        self._task, self._game, self._rules, self._agents, self._desk = task, game, rules, agents, desk
        self._kinds = kinds
        self.x = start.copy()
        self._ledger = Ledger(game)
        self._mail = Mailbox(game, rules.n_neighbors)
        self._sources: Counter[str] = Counter()
        self._quiet = np.zeros(game.n_agents, dtype=np.int64)
        self._order = task.rng(purpose="order")

    def run(self) -> tuple[Termination, Limit | None]:
        """Play until it settles, the rounds are over, or the budget is spent."""
        self._settle_round("initial", 0)
        for t in range(1, self._rules.rounds + 1):
            if self._task.meter.remaining_evaluations <= 0:
                return Termination.LIMIT, spent_limit(self._task)
            sources = self._round(t)
            paid = [source for source in sources if source != REFUSED]
            if REFUSED in sources and not paid:
                return Termination.LIMIT, None
            self._settle_round(_label(sources), t)
            if REFUSED in sources:
                return Termination.LIMIT, None
            if (self._quiet >= self._rules.patience).all():
                return Termination.CONVERGED, None
        return Termination.LIMIT, Limit.ITERATIONS

    def report(self) -> dict[str, Json]:
        """Deterministic figures, JSON-compatible."""
        return {**self._ledger.report(), "moves": dict(sorted(self._sources.items())), "agents": list(self._kinds)}

    def _round(self, t: int) -> list[str]:
        """Every agent that is due moves; returns the sources of their moves."""
        sources: list[str] = []
        for group in self._groups():
            views = self._views(group, t)
            moves = self._decide(views)
            # A list, not a generator: everybody moves, whoever moved before.
            changed = [self._apply(view, move) for view, move in zip(views, moves, strict=True)]
            sources += [move.source for move in moves]
            if any(changed):
                self._quiet[:] = 0
            else:
                self._quiet[list(group)] += 1
            if any(move.source == REFUSED for move in moves):
                break
        return sources

    def _groups(self) -> Iterator[list[int]]:
        """Agents that move at the same time, group after group."""
        n, rules = self._game.n_agents, self._rules
        if rules.protocol == "simultaneous":
            yield list(range(n))
        elif rules.protocol == "sequential":
            for agent in self._order.permutation(n):
                yield [int(agent)]
        else:
            awake = np.flatnonzero(self._order.random(n) < rules.wake_probability)
            yield awake.tolist() or [int(self._order.integers(n))]

    def _views(self, group: Sequence[int], t: int) -> list[View]:
        game, x = self._game, self.x
        best, signal, utility = game.best_response(x), game.signal(x[None, :])[0], game.utilities(x[None, :])[0]
        return [
            make_view(
                game,
                x,
                agent,
                round_index=t - 1,
                information=self._rules.information,
                reports=self._mail.heard_by(agent),
                best=best,
                signal=signal,
                utility=utility,
            )
            for agent in group
        ]

    def _decide(self, views: Sequence[View]) -> list[Move]:
        asked = [view for view in views if view.agent not in self._agents]
        answers = iter(self._desk.moves(asked)) if self._desk is not None and asked else iter(())
        moves = []
        for view in views:
            agent = self._agents.get(view.agent)
            moves.append(next(answers) if agent is None else Move(agent.act(view), self._kinds[view.agent]))
        return moves

    def _apply(self, view: View, move: Move) -> bool:
        """Take a move over and send the agent's message; True when its action changed."""
        self._sources[move.source] += 1
        if move.source == REFUSED:
            return False
        before = float(self.x[view.agent])
        step = np.inf if self._rules.max_step is None else self._rules.max_step * (view.upper - view.lower)
        after = min(max(move.action, view.lower, before - step), view.upper, before + step)
        moved = abs(after - before) > max(self._rules.rtol * abs(after), _SAME * (view.upper - view.lower))
        self.x = self.x.copy()
        self.x[view.agent] = after
        if self._rules.information == "neighbors":
            width = view.upper - view.lower
            level = round(100.0 * (after - view.lower) / width) if width > 0.0 else 0
            self._mail.post(Report(view.agent, level, float(f"{view.signal:.3g}"), move.words))
        return moved

    def _settle_round(self, source: str, t: int) -> None:
        """Evaluate the joint action, measure, and let the language model's agents remember."""
        evaluation = self._task.evaluate(self.x[None, :], source=source)
        llm = self._task.llm
        self._ledger.add(
            self.x,
            objective=float(evaluation.F[0, 0]),
            violation=float(evaluation.violation[0]),
            messages=self._mail.messages,
            message_bytes=self._mail.bytes,
            tokens=0 if llm is None else llm.tokens_in + llm.tokens_out,
        )
        if self._desk is not None:
            row = self.x[None, :]
            self._desk.learn(t, self.x, self._game.signal(row)[0], self._game.utilities(row)[0])


def _label(sources: Sequence[str]) -> str:
    """Source of a round's joint action: the language model's if it decided anything in it."""
    asked = [source for source in sources if source in ("llm", "repaired", "fallback")]
    if not asked:
        return "round"
    return "llm" if any(source != "fallback" for source in asked) else "fallback"
