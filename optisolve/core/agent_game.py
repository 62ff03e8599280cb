"""The contract of games: K agents with one bounded action each.

Utilities are dimensionless or in the unit that a game names, and higher is better.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from optisolve.core.arrays import FloatArray

__all__ = ["AgentGame"]


class AgentGame(ABC):
    """K agents; agent i chooses ``x_i`` in ``[lower_i, upper_i]`` and wants its own utility ``u_i(x)`` to be large.

    Attributes:
        lower: float64 [K].
        upper: float64 [K].
        action_name: What an agent chooses.
        signal_name: What an agent measures after everybody has moved; see `signal`.
        role: Who an agent is and what its action does, for a language model.
        aim: What an agent wants, for a language model.
        target: Signal that an agent aims at, None when more utility is all it wants.
        default_start: Share of the range at which every agent starts when nothing else is known.
    """

    action_name: ClassVar[str] = "transmit power"
    action_unit: ClassVar[str] = "W"
    signal_name: ClassVar[str]
    role: ClassVar[str]
    aim: ClassVar[str]
    target: ClassVar[float | None] = None
    default_start: ClassVar[float] = 1.0

    def __init__(self, lower: FloatArray, upper: FloatArray) -> None:
        self.lower, self.upper = lower, upper

    @property
    def n_agents(self) -> int:
        """Number of agents K."""
        return int(self.upper.size)

    @abstractmethod
    def utilities(self, X: FloatArray) -> FloatArray:
        """Utility of every agent at joint actions X float64 [n, K]; float64 [n, K]."""

    @abstractmethod
    def signal(self, X: FloatArray) -> FloatArray:
        """What every agent measures at joint actions X float64 [n, K]; float64 [n, K]."""

    @abstractmethod
    def best_response(self, x: FloatArray) -> FloatArray:
        """Exact best action of every agent if the others stayed at x float64 [K]; float64 [K]."""

    def shortfall(self, X: FloatArray) -> FloatArray:
        """How much service every agent misses, float64 [n, K]; 0 for games without a promised service."""
        return np.zeros_like(X)

    def service(self, X: FloatArray) -> FloatArray:
        """What fairness is measured on, float64 [n, K]; the signal unless a game says otherwise."""
        return self.signal(X)

    def listens_to(self, agent: int, count: int) -> list[int]:
        """The `count` other agents that matter most to one of them; all of them alike unless a game knows better."""
        return [j for j in range(self.n_agents) if j != agent][:count]

    def facts(self, agent: int) -> list[str]:
        """What an agent knows about itself from the start, one sentence each."""
        return []

    def world(self) -> list[str]:
        """What an agent with global information knows about everybody, one sentence each."""
        return []

    def own_utilities(self, agent: int, actions: FloatArray, x: FloatArray) -> FloatArray:
        """Utility of one agent for some of its own actions float64 [L] while the others stay at x; float64 [L]."""
        rows = np.tile(x, (actions.size, 1))
        rows[:, agent] = actions
        return self.utilities(rows)[:, agent]

    def regrets(self, x: FloatArray) -> FloatArray:
        """What every agent could gain by moving alone, float64 [K], >= 0; all 0 at a Nash equilibrium."""
        best = self.best_response(x)
        rows = np.tile(x, (self.n_agents, 1))
        np.fill_diagonal(rows, best)
        gained: FloatArray = np.diag(self.utilities(rows)) - self.utilities(x[None, :])[0]
        return np.maximum(gained, 0.0)
