"""The points of a run with their values: what one stage has paid for, no other pays for again."""

from __future__ import annotations

from collections.abc import Sequence

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
        self._X: list[FloatArray] = []
        self._told: list[Evaluation] = []
        self._gains = GainMeter(task.instance.signs, task.instance.hypervolume_box, working=True)
        self.gained = 0.0

    def __len__(self) -> int:
        return len(self._rows)

    def __call__(self, X: FloatArray, *, source: str | Sequence[str] = "solver") -> Evaluation:
        """Values of a batch, float64 [n, d]."""
        X = self._task.instance.space.require(X)
        keys = [row.tobytes() for row in X + 0.0]  # -0.0 is 0.0
        seen = set(self._rows)
        new: list[int] = []
        for i, key in enumerate(keys):
            if key not in seen:
                seen.add(key)
                new.append(i)
        if new:
            labels = source if isinstance(source, str) else [source[i] for i in new]
            fresh = X[new]
            self._keep(fresh, [keys[i] for i in new], self._task.evaluate(fresh, source=labels))
        if len(new) == len(keys):
            return self._told[-1]
        everything = self.known
        assert everything is not None
        rows = np.array([self._rows[key] for key in keys], dtype=np.int64)
        told = everything.evaluation
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
        self._rows.update(zip(keys, range(len(self._rows), len(self._rows) + len(keys)), strict=True))
        self._X.append(X.copy())
        self._told.append(told)
        gains = self._gains.add(told.F * self._task.instance.signs, told.violation)
        self.gained = (0.0 if self._gains.moved else self.gained) + float(gains.sum())
