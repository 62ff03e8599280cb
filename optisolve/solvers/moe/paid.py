"""The points of a run with their values: what one stage has paid for, no other pays for again."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.problem import Evaluation
from optisolve.core.solver import Known, Task
from optisolve.numerics.indicators import GainMeter

__all__ = ["Paid"]


_FREE = 20
"""How many points a share may ask for again, per point of the run; who asks for ever is charged at last."""


class Paid:
    """Evaluates what is new, and answers from memory what is not.

    Args:
        task: The run.

    Attributes:
        stage: Who is at work; set by whoever leads the run.
        moves: How often another box took over; hypervolumes before and after that do not compare.
        gained: Hypervolume so far in the scenario's box; before it is reached, in a box of the run's own.
    """

    def __init__(self, task: Task) -> None:
        self._task = task
        self._rows: dict[bytes, int] = {}
        self._looked: set[bytes] = set()
        self._X: list[FloatArray] = []
        self._told: list[Evaluation] = []
        self._by: list[str] = []
        self.stage = ""
        self._gains = GainMeter(task.instance.signs, task.instance.hypervolume_box, working=True)
        self._asked_again = 0
        self.gained, self.moves = 0.0, 0

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def mark(self) -> tuple[int, float]:
        """Where a run stands, for `at`."""
        return self.moves, self.gained

    def at(self, mark: tuple[int, float]) -> float:
        """Hypervolume at a mark, in today's box; none of its points lay in that if another one was in use."""
        return mark[1] if mark[0] == self.moves else 0.0

    def __call__(self, X: FloatArray, *, source: str | list[str] = "solver") -> Evaluation:
        """Values of a batch, float64 [n, d]."""
        return self._answered(X, self._rows.keys(), source)

    def look(self, X: FloatArray, *, source: str | list[str] = "look") -> Evaluation:
        """The same for a look at something else of the points, slopes or equalities: paid for beside their values, once."""
        told = self._answered(X, self._looked, source)
        self._looked.update(_keys(X))
        return told

    def price(self, X: FloatArray, *, looks: bool) -> int:
        """Evaluations that a share is charged for a batch: none for what is paid for, unless somebody asks for it for ever."""
        keys = _keys(X)
        new = len({key for key in keys if key not in (self._looked if looks else self._rows)})
        self._asked_again += len(keys) - new
        return new if self._asked_again <= _FREE * (len(self._rows) + len(keys)) else len(keys)

    def known(self, without: str = "") -> Known | None:
        """All points so far, or those that one stage did not find; None while there are none."""
        if not self._told:
            return None
        if len(self._told) > 1:
            self._told, self._X = [_joined(self._told)], [np.concatenate(self._X)]
        rows = [i for i, name in enumerate(self._by) if name != without]
        if not rows or len(rows) == len(self._by):
            return Known(self._X[0], self._told[0])
        return Known(self._X[0][rows], _rows(self._told[0], rows))

    def _answered(self, X: FloatArray, paid: Collection[bytes], source: str | list[str]) -> Evaluation:
        keys = _keys(X)
        new = {key: i for i, key in reversed(list(enumerate(keys))) if key not in paid}  # of equal points the first one
        if new:
            rows = sorted(new.values())
            labels = source if isinstance(source, str) else [source[i] for i in rows]
            self._keep(X[rows], [keys[i] for i in rows], self._task.evaluate(X[rows], source=labels))
        known = self.known()
        assert known is not None
        return _rows(known.evaluation, [self._rows[key] for key in keys])

    def _keep(self, X: FloatArray, keys: Sequence[bytes], told: Evaluation) -> None:
        gains = self._gains.add(told.F * self._task.instance.signs, told.violation)
        if self._gains.moved:
            self.gained, self.moves = 0.0, self.moves + 1
        self.gained += float(gains.sum())
        fresh = [i for i, key in enumerate(keys) if key not in self._rows]
        self._rows.update(zip([keys[i] for i in fresh], range(len(self._rows), len(self._rows) + len(fresh)), strict=True))
        self._X.append(X[fresh])
        self._by += [self.stage] * len(fresh)
        self._told.append(_rows(told, fresh))


def _keys(X: FloatArray) -> list[bytes]:
    """What tells points from others."""
    return [row.tobytes() for row in np.asarray(X, dtype=np.float64) + 0.0]  # -0.0 is 0.0


def _rows(told: Evaluation, rows: Sequence[int]) -> Evaluation:
    at = np.array(rows, dtype=np.int64)
    return Evaluation(told.F[at], told.G[at], told.H[at], None if told.failed is None else told.failed[at], told.tolerance)


def _joined(parts: Sequence[Evaluation]) -> Evaluation:
    failed = None
    if any(part.failed is not None for part in parts):
        masks = [np.zeros(len(part.F), dtype=np.bool_) if part.failed is None else part.failed for part in parts]
        failed = np.concatenate(masks)
    F, G, H = (np.concatenate(values) for values in zip(*parts, strict=True))
    return Evaluation(F, G, H, failed, parts[0].tolerance)
