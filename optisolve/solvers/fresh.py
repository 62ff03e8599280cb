"""Offspring that rounding and repair have made equal to points of before move on to places where nobody has been."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from optisolve.core.arrays import BoolArray, FloatArray
from optisolve.core.repair import equality_repair
from optisolve.core.solver import Task

__all__ = ["Fresh"]

_TRIES = 4


class Fresh:
    """Remembers the points of a run and moves offspring that were there already by a few unit steps of integers.

    For instances whose integers are repaired by default (`Instance.repairs_integers`), and only where that costs no
    evaluations, as all equalities are linear. After `_TRIES` tries a point is evaluated once more.

    Args:
        task: The run.
    """

    def __init__(self, task: Task) -> None:
        self._task, self._instance = task, task.instance
        self._integers = np.flatnonzero(task.instance.space.integer)
        self._rng = task.rng(operator="fresh")
        self._seen: set[bytes] = set()
        if task.known is not None:
            self._again(task.known.X)

    def moved(self, X: FloatArray, sources: Sequence[str] | str = "") -> FloatArray:
        """The points, those that were evaluated before moved; what a language model has said stays as it is.

        Args:
            X: float64 [n, d], repaired; they are about to be evaluated.
            sources: Who proposed them.
        """
        said = np.isin(sources, ("llm", "repaired")) if not isinstance(sources, str) else np.zeros(X.shape[0], dtype=bool)
        Y, again = X.copy(), self._again(X) & ~said
        linear = bool(again.any()) and bool(equality_repair(self._instance).linear.all())
        for steps in range(1, _TRIES + 1) if linear else ():
            rows = np.flatnonzero(again)
            if not rows.size:
                break
            Z = Y[rows]
            for _ in range(steps):
                which = self._rng.choice(self._integers, rows.size)
                Z[np.arange(rows.size), which] += self._rng.choice((-1.0, 1.0), rows.size)
            Z = self._instance.project(Z)
            stays = self._again(Z)
            Y[rows[~stays]], again[rows[~stays]] = Z[~stays], False
        return Y

    def _again(self, X: FloatArray) -> BoolArray:
        """Which points were there before, bool [n]; the others are remembered."""
        again = np.zeros(X.shape[0], dtype=bool)
        for i, x in enumerate(X + 0.0):  # -0.0 is 0.0
            key = x.tobytes()
            again[i] = key in self._seen
            self._seen.add(key)
        return again
