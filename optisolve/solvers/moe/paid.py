"""The points of a run with their values: what one stage has paid for, no other pays for again."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.problem import Evaluation
from optisolve.core.solver import Known, Task
from optisolve.numerics.indicators import GainMeter

__all__ = ["Paid"]


class Paid:
    """Evaluates what is new, and answers from memory what is not.

    A stage that asks for a known point spends a part of its own share and nothing of the run's budget, so it cannot go on for ever.

    Args:
        task: The run.

    Attributes:
        gained: Hypervolume so far in the scenario's box; before it is reached, in a box of the run's own.
    """

    def __init__(self, task: Task) -> None:
        self._task = task
        self._rows: dict[bytes, int] = {}
        self._looked: set[bytes] = set()
        self._X: list[FloatArray] = []
        self._told: list[Evaluation] = []
        self._gains = GainMeter(task.instance.signs, task.instance.hypervolume_box, working=True)
        self.gained = 0.0

    def __len__(self) -> int:
        return len(self._rows)

    def __call__(self, X: FloatArray, *, source: str | list[str] = "solver") -> Evaluation:
        """Values of a batch, float64 [n, d]."""
        X, keys = self._read(X)
        self._pay(X, keys, self._rows.keys(), source)
        return self._values(keys)

    def look(self, X: FloatArray, *, source: str | list[str] = "look") -> Evaluation:
        """The same for a look at something else of the points, their slopes or equalities: it is paid for beside their values, once."""
        X, keys = self._read(X)
        self._pay(X, keys, self._looked, source)
        self._looked.update(keys)
        return self._values(keys)

    def _read(self, X: FloatArray) -> tuple[FloatArray, list[bytes]]:
        """The batch as it is evaluated, and what tells its points from others."""
        X = self._task.instance.space.require(X)
        return X, [row.tobytes() for row in X + 0.0]  # -0.0 is 0.0

    def _pay(self, X: FloatArray, keys: Sequence[bytes], paid: Collection[bytes], source: str | list[str]) -> None:
        """Evaluate the points that are not paid for."""
        new = {key: i for i, key in reversed(list(enumerate(keys))) if key not in paid}  # of equal points the first one
        if not new:
            return
        rows = sorted(new.values())
        labels = source if isinstance(source, str) else [source[i] for i in rows]
        self._keep(X[rows], [keys[i] for i in rows], self._task.evaluate(X[rows], source=labels))

    def _values(self, keys: Sequence[bytes]) -> Evaluation:
        known = self.known
        assert known is not None
        told, rows = known.evaluation, np.array([self._rows[key] for key in keys], dtype=np.int64)
        failed = None if told.failed is None else told.failed[rows]
        return Evaluation(told.F[rows], told.G[rows], told.H[rows], failed, told.tolerance)

    @property
    def known(self) -> Known | None:
        """All points so far; None while there are none."""
        if not self._told:
            return None
        if len(self._told) > 1:
            parts = self._told
            failed = None
            if any(part.failed is not None for part in parts):
                masks = [np.zeros(len(p.F), dtype=np.bool_) if p.failed is None else p.failed for p in parts]
                failed = np.concatenate(masks)
            F, G, H = (np.concatenate(values) for values in zip(*parts, strict=True))
            self._told = [Evaluation(F, G, H, failed, parts[0].tolerance)]
            self._X = [np.concatenate(self._X)]
        return Known(self._X[0], self._told[0])

    def _keep(self, X: FloatArray, keys: Sequence[bytes], told: Evaluation) -> None:
        gains = self._gains.add(told.F * self._task.instance.signs, told.violation)
        self.gained = (0.0 if self._gains.moved else self.gained) + float(gains.sum())
        fresh = np.array([key not in self._rows for key in keys])
        if not fresh.all():
            X, told = X[fresh], told.part(fresh)
        for key in keys:
            self._rows.setdefault(key, len(self._rows))
        self._X.append(X)
        self._told.append(told)
