"""What is measured round by round while a game is played; agents never see it."""

from __future__ import annotations

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.documents import Json
from optisolve.numerics.games import AgentGame

__all__ = ["Ledger", "jain", "oscillation"]

_KEPT = 200
"""Rounds that a report lists; of more, some between are left out, never from the figures of the whole game."""


def jain(values: FloatArray) -> float:
    """Jain's fairness index ``(sum v)^2 / (K sum v^2)`` of non-negative values: 1 when equal, 1/K when one has everything."""
    squares = float((values**2).sum())
    return 1.0 if squares <= 0.0 else float(values.sum()) ** 2 / (values.size * squares)


def oscillation(path: FloatArray) -> float:
    """Share of all movement that led nowhere: ``1 - sum_k |x_T - x_0| / sum_t sum_k |x_t - x_(t-1)|``.

    Args:
        path: float64 [T + 1, K], joint actions after every round.

    Returns:
        0 when every agent moved in one direction only or not at all, 1 when all of them are back where they began.
    """
    walked = float(np.abs(np.diff(path, axis=0)).sum())
    return 0.0 if walked <= 0.0 else 1.0 - float(np.abs(path[-1] - path[0]).sum()) / walked


class Ledger:
    """One row per round, the start included.

    Args:
        game: The game.
    """

    def __init__(self, game: AgentGame) -> None:
        self._game = game
        self._path: list[FloatArray] = []
        self._columns: dict[str, list[float]] = {
            name: [] for name in ("objective", "violation", "epsilon", "shortfall", "jain", "messages", "bytes", "tokens")
        }

    def add(self, x: FloatArray, *, objective: float, violation: float, messages: int, message_bytes: int, tokens: int) -> None:
        """Note the joint action after a round.

        Args:
            x: float64 [K].
            objective: Objective of the instance, in its own sense and unit.
            violation: Its total constraint violation.
            messages: Messages sent so far.
            message_bytes: Their size so far, bytes.
            tokens: Tokens of the language model so far.
        """
        self._path.append(x.copy())
        row = {
            "objective": objective,
            "violation": violation,
            "epsilon": float(self._game.regrets(x).max()),
            "shortfall": float(self._game.shortfall(x[None, :]).sum()),
            "jain": jain(self._game.service(x[None, :])[0]),
            "messages": messages,
            "bytes": message_bytes,
            "tokens": tokens,
        }
        for name, value in row.items():
            self._columns[name].append(value)

    @property
    def path(self) -> FloatArray:
        """Joint actions, float64 [T + 1, K]."""
        return np.array(self._path)

    def report(self) -> dict[str, Json]:
        """Rounds as columns, and the figures of the whole game.

        ``epsilon`` is the largest gain that any agent would have by moving alone: 0 at a Nash equilibrium. ``shortfall`` is
        the service missed in a round, summed over agents; its sum over the rounds after the start is the integrated deficit.
        """
        columns = self._columns
        if not self._path:
            return {}
        return {
            "played": len(self._path) - 1,
            "epsilon": columns["epsilon"][-1],
            "epsilon_least": min(columns["epsilon"]),
            "deficit": float(sum(columns["shortfall"][1:])),
            "oscillation": oscillation(self.path),
            "jain": columns["jain"][-1],
            "messages": columns["messages"][-1],
            "bytes": columns["bytes"][-1],
            "rounds": self._listed(),
        }

    def _listed(self) -> dict[str, Json]:
        n = len(self._path)
        kept = np.unique(np.rint(np.linspace(0, n - 1, min(n, _KEPT))).astype(np.int64)).tolist()
        listed = {name: [values[i] for i in kept] for name, values in self._columns.items()}
        return {"round": kept, "actions": [self._path[i].tolist() for i in kept], **listed}
