"""What an agent of the language model remembers: nothing, its last rounds, or lessons that it wrote itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from optisolve.core.arrays import FloatArray

__all__ = ["Experience", "Library", "Memory", "Notebook"]

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


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """A sentence that the model wrote, and the situation that it was written in."""

    situation: FloatArray
    text: str


class Library:
    """Lessons of one agent, found again by the likeness of situations.

    A situation is (signal, share of the range in use, change of the signal in the last round): numbers that every agent
    measures itself. Distance is Euclidean.
    """

    def __init__(self) -> None:
        self._lessons: list[Lesson] = []

    def __len__(self) -> int:
        return len(self._lessons)

    def add(self, situation: FloatArray, text: str) -> None:
        """Keep a lesson."""
        self._lessons.append(Lesson(situation, text))

    def nearest(self, situation: FloatArray, count: int) -> list[str]:
        """The lessons of the most similar situations, most similar last; the newer one of equals."""
        order = sorted(
            range(len(self._lessons)), key=lambda i: (float(np.linalg.norm(self._lessons[i].situation - situation)), -i)
        )
        return [self._lessons[i].text for i in order[:count]][::-1]


class Notebook:
    """Everything one agent has seen, of which its kind of memory shows a part.

    Args:
        memory: Kind of memory.
        window: Rounds shown at most.
        levels: Largest level of the grid.
    """

    def __init__(self, memory: Memory, window: int, levels: int) -> None:
        self._memory, self._window, self._levels = memory, window, levels
        self.seen: list[Experience] = []
        self.library = Library()

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
        now = self.situation()
        like = sorted(range(1, len(older)), key=lambda i: (float(np.linalg.norm(self._situation(i) - now)), -i))
        chosen = sorted(like[: self._window - len(recent)])
        return [*(older[i] for i in chosen), *recent]

    def lessons(self, count: int) -> list[str]:
        """Lessons for the present situation."""
        return self.library.nearest(self.situation(), count) if self._memory == "strategies" else []

    def situation(self) -> FloatArray:
        """The present situation, float64 [3]."""
        return self._situation(len(self.seen) - 1)

    def _situation(self, i: int) -> FloatArray:
        now, before = self.seen[i], self.seen[max(0, i - 1)]
        signal, last = (float(np.clip(e.signal, -_MOST_SIGNAL, _MOST_SIGNAL)) for e in (now, before))
        return np.array([signal, now.level / self._levels, signal - last])
