"""What an agent of the language model remembers: nothing, its last rounds, or lessons that it wrote itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from optisolve.core.arrays import FloatArray

__all__ = ["Experience", "Memory", "Notebook"]

Memory = Literal["none", "window", "strategies"]
_MOST_SIGNAL = 3.0
"""Signals are cut here when situations are compared."""


@dataclass(frozen=True, slots=True)
class Experience:
    """What one agent saw after one round.

    Attributes:
        round: Index of the round, 0 for the start.
        level: Its action on the grid.
        signal: What it measured.
        utility: Its utility.
    """

    round: int
    level: int
    signal: float
    utility: float


class Notebook:
    """Everything one agent has seen, of which its kind of memory shows a part.

    Lessons are found again by the likeness of situations. A situation is (signal, share of the range in use, change of the
    signal in the last round): numbers that every agent measures itself. Distance is Euclidean.

    Args:
        memory: Kind of memory.
        window: Rounds shown at most.
        levels: Largest level of the grid.
    """

    def __init__(self, memory: Memory, window: int, levels: int) -> None:
        self._memory, self._window, self._levels = memory, window, levels
        self.seen: list[Experience] = []
        self._lessons: list[tuple[FloatArray, str]] = []  # the situation that each was written in

    def learn(self, experience: Experience) -> None:
        """Note one round."""
        self.seen.append(experience)

    def shown(self) -> list[Experience]:
        """Rounds to show, oldest first: the last one, the last few, or with a library half of the window by likeness."""
        if self._memory == "none":
            return self.seen[-1:]
        if self._memory == "window" or len(self.seen) <= self._window:
            return self.seen[-self._window :]
        recent = self.seen[-((self._window + 1) // 2) :]
        older = self.seen[: len(self.seen) - len(recent)]
        now = self._situation(len(self.seen) - 1)
        like = [i for i in _nearest([self._situation(i) for i in range(len(older))], now) if i > 0]
        chosen = sorted(like[: self._window - len(recent)])
        return [*(older[i] for i in chosen), *recent]

    def lessons(self, count: int) -> list[str]:
        """Lessons of the situations most like the present one, most similar last; the newer one of equals."""
        if self._memory != "strategies":
            return []
        nearest = _nearest([situation for situation, _ in self._lessons], self._situation(len(self.seen) - 1))
        return [self._lessons[i][1] for i in nearest[:count]][::-1]

    def keep(self, lesson: str) -> None:
        """Keep a lesson about the present situation."""
        self._lessons.append((self._situation(len(self.seen) - 1), lesson))

    def _situation(self, i: int) -> FloatArray:
        now, before = self.seen[i], self.seen[max(0, i - 1)]
        signal, last = (float(np.clip(e.signal, -_MOST_SIGNAL, _MOST_SIGNAL)) for e in (now, before))
        return np.array([signal, now.level / self._levels, signal - last])


def _nearest(situations: list[FloatArray], now: FloatArray) -> list[int]:
    """Places of the situations by their distance from the present one, the newer one of equals first."""
    return sorted(range(len(situations)), key=lambda i: (float(np.linalg.norm(situations[i] - now)), -i))
