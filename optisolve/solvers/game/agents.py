"""Agents without a language model; every one decides from its own `View` alone."""

from __future__ import annotations

from typing import Literal, Protocol, get_args

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.numerics.games import AgentGame, MinPowerGame
from optisolve.solvers.game.views import View

__all__ = ["Agent", "ControlKind", "agent_gap", "make_agent"]

ControlKind = Literal[
    "best_response", "grid_best_response", "foschini_miljanic", "regret_matching", "proportional_cut", "equal_cut", "random"
]


class Agent(Protocol):
    """Chooses its next action."""

    def act(self, view: View) -> float:
        """The next action, inside the agent's range."""
        ...


class BestResponse:
    """The exact best response to what the agent measures."""

    def act(self, view: View) -> float:
        """Whatever maximizes the own utility if the others stayed."""
        return view.best_response


class GridBestResponse:
    """The best response among the same levels that a language model may name."""

    def __init__(self, levels: int) -> None:
        self._shares = np.arange(levels + 1) / levels

    def act(self, view: View) -> float:
        """The level with the largest utility; the lowest one of several."""
        actions = view.lower + self._shares * (view.upper - view.lower)
        return float(actions[int(np.argmax(view.own_utilities(actions)))])


class FoschiniMiljanic:
    """``p <- min(P, p * target / signal-to-interference)``: the rule of 1993, which needs the own SINR only."""

    def __init__(self, game: MinPowerGame, agent: int) -> None:
        self._game, self._floor = game, float(game.sinr_floor[agent])

    def act(self, view: View) -> float:
        """The power that would meet the floor exactly if the others stayed."""
        # SINR per watt, from the measured rate share; at zero power the agent measures the interference itself.
        needed = float(self._game.needed[view.agent])
        measured = np.expm1(view.signal * needed * np.log(2.0))
        if self._floor <= 0.0:
            return view.lower
        if view.action <= 0.0 or measured <= 0.0:
            return view.best_response
        return min(view.upper, view.action * self._floor / float(measured))


class RegretMatching:
    """Plays a level as often as the agent regrets not having played it (Hart and Mas-Colell 2000, external regret).

    Utilities of all own levels follow from the measured interference, so every round updates every regret.

    Args:
        levels: The range is divided into so many steps.
        rng: Draws the mixed action.
    """

    def __init__(self, levels: int, rng: np.random.Generator) -> None:
        self._shares, self._rng = np.arange(levels + 1) / levels, rng
        self._regret: FloatArray = np.zeros(levels + 1)

    def act(self, view: View) -> float:
        """A level drawn in proportion to the positive regrets; the same action again while there are none."""
        actions = view.lower + self._shares * (view.upper - view.lower)
        self._regret += view.own_utilities(actions) - view.utility
        positive = np.maximum(self._regret, 0.0)
        total = float(positive.sum())
        if total <= 0.0:
            return view.action
        return float(actions[self._rng.choice(actions.size, p=positive / total)])


class Cut:
    """One cut at the beginning, nothing afterwards: what "save five percent" means to somebody who does not measure.

    Args:
        share: Share of the own action to cut.
        amount: Amount to cut beside it, in the action's unit.
    """

    def __init__(self, share: float, amount: float) -> None:
        self._share, self._amount, self._done = share, amount, False

    def act(self, view: View) -> float:
        """The cut action, once."""
        if self._done:
            return view.action
        self._done = True
        return max(view.lower, view.action * (1.0 - self._share) - self._amount)


class Uniform:
    """A uniform draw, whatever happens: the weakest control."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def act(self, view: View) -> float:
        """Any action of the range."""
        return float(view.lower + self._rng.random() * (view.upper - view.lower))


def agent_gap(kind: str, game: AgentGame) -> str | None:
    """Why a kind of agent cannot play a game; None when it can."""
    if kind == "foschini_miljanic" and not isinstance(game, MinPowerGame):
        return "foschini_miljanic agents need SINR floors at the least power"
    return None


def make_agent(
    kind: str, game: AgentGame, agent: int, *, levels: int, cut_share: float, total_start: float, rng: np.random.Generator
) -> Agent:
    """An agent by name.

    Args:
        kind: One of `ControlKind`.
        game: The game.
        agent: Its index.
        levels: Steps of the grid for kinds that use one.
        cut_share: What the cuts save of the total at the start.
        total_start: Total of all actions at the start.
        rng: The agent's own stream.
    """
    if kind == "best_response":
        return BestResponse()
    if kind == "grid_best_response":
        return GridBestResponse(levels)
    if kind == "foschini_miljanic" and isinstance(game, MinPowerGame):
        return FoschiniMiljanic(game, agent)
    if kind == "regret_matching":
        return RegretMatching(levels, rng)
    if kind == "proportional_cut":
        return Cut(cut_share, 0.0)
    if kind == "equal_cut":
        return Cut(0.0, cut_share * total_start / game.n_agents)
    if kind == "random":
        return Uniform(rng)
    raise ValueError(f"no agent '{kind}' for this game; known: {', '.join(get_args(ControlKind))}")
