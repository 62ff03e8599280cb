"""The best of what was evaluated: non-dominated feasible points, or the least violating one."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Any

import numpy as np

from optisolve.core.arrays import FloatArray, IntArray
from optisolve.core.problem import FAILED_VIOLATION
from optisolve.core.solver import Outcome
from optisolve.core.status import Limit, Termination

__all__ = ["Archive", "archived_outcome", "nondominated", "thinned"]


def nondominated(F: FloatArray) -> IntArray:
    """Indices of the non-dominated rows, ascending; of equal rows only the first is kept.

    Args:
        F: float64 [n, m], to be minimized.
    """
    if F.shape[0] <= 1:
        return np.arange(F.shape[0])
    if F.shape[1] == 1:
        return np.array([int(np.argmin(F[:, 0]))])
    from moocore import is_nondominated

    return np.flatnonzero(is_nondominated(F, keep_weakly=False)).astype(np.int64)


def thinned(F: FloatArray, count: int) -> IntArray:
    """Indices of at most so many points of a front, ascending: a front that is as even as a front's own points allow.

    The best point in every objective, then again and again the one farthest from those kept, objectives scaled by the front's
    extent; of equal ones the first.

    Args:
        F: float64 [n, m], non-dominated, to be minimized.
        count: Points to keep, >= 1.

    Source:
        Farthest-point selection: Gonzalez 1985, doi 10.1016/0304-3975(85)90224-5.
    """
    if F.shape[0] <= count:
        return np.arange(F.shape[0])
    low = F.min(axis=0)
    extent = F.max(axis=0) - low
    unit = (F - low) / np.where(extent > 0.0, extent, 1.0)
    kept = list(dict.fromkeys(int(i) for i in F.argmin(axis=0)))[:count]
    distance = np.min([((unit - unit[i]) ** 2).sum(axis=1) for i in kept], axis=0)  # squared
    while len(kept) < count:
        kept.append(int(np.argmax(distance)))
        np.minimum(distance, ((unit - unit[kept[-1]]) ** 2).sum(axis=1), out=distance)
    return np.sort(np.array(kept, dtype=np.int64))


class Archive:
    """Non-dominated feasible points in the order in which they were found; all of them unless a capacity is given.

    Points are buffered and pruned in blocks that grow with the archive, which keeps the cost per evaluation small. While
    nothing is feasible the least violating point is remembered; a point that the model could not evaluate never is.

    Args:
        n_objectives: Number of objectives m.
        dim: Number of variables.
        block: Buffered points that trigger a pruning, at least; no fewer than are kept already.
        capacity: Points that are kept at most, see `thinned`; None for all.
    """

    def __init__(self, n_objectives: int, dim: int, *, block: int = 1024, capacity: int | None = None) -> None:
        self._X = np.empty((0, dim))
        self._F = np.empty((0, n_objectives))  # minimization form
        self._new_X: list[FloatArray] = []
        self._new_F: list[FloatArray] = []
        self._pending = 0
        self._block, self._capacity = block, capacity
        self._least: tuple[float, FloatArray] | None = None

    def copy(self) -> Archive:
        """The archive as it is now; points are shared, since nobody writes into them."""
        same = copy(self)
        same._new_X, same._new_F = list(self._new_X), list(self._new_F)
        return same

    def add(self, X: FloatArray, F_min: FloatArray, violation: FloatArray) -> None:
        """Offer a batch of evaluated points; the arrays are copied.

        Args:
            X: float64 [n, d].
            F_min: float64 [n, m], objectives in minimization form.
            violation: float64 [n], total constraint violation, 0 when feasible.
        """
        feasible = violation <= 0.0
        n_feasible = int(np.count_nonzero(feasible))
        if n_feasible:
            everything = n_feasible == feasible.size  # the usual case, and copying is faster than selecting
            self._new_X.append(X.copy() if everything else X[feasible])
            self._new_F.append(F_min.copy() if everything else F_min[feasible])
            self._pending += n_feasible
            if self._pending >= max(self._block, self._F.shape[0]):
                self._prune()
        elif X.shape[0] and self._X.shape[0] == 0 and not self._pending:
            i = int(np.argmin(violation))
            if violation[i] < (FAILED_VIOLATION if self._least is None else self._least[0]):
                self._least = (float(violation[i]), X[i : i + 1].copy())

    @property
    def F_min(self) -> FloatArray:
        """Objectives of the archive in minimization form, float64 [n, m]."""
        self._prune()
        return self._F

    @property
    def X(self) -> FloatArray:
        """Points of the archive, float64 [n, d]; empty while nothing is feasible."""
        self._prune()
        return self._X

    @property
    def points(self) -> FloatArray:
        """What to return: the archive, or the least violating point while nothing is feasible, float64 [n, d]."""
        if self.X.shape[0] == 0 and self._least is not None:
            return self._least[1]
        return self._X

    def values_at(self, X: FloatArray) -> FloatArray | None:
        """Objectives in minimization form of points, float64 [n, d], that the archive holds; None where one is not in it."""
        rows = {x.tobytes(): i for i, x in enumerate(self.X)}
        found = [rows.get(x.tobytes(), -1) for x in X]
        return None if -1 in found else self.F_min[found]

    def _prune(self) -> None:
        if not self._pending:
            return
        F = np.concatenate([self._F, *self._new_F])
        X = np.concatenate([self._X, *self._new_X])
        keep = nondominated(F)
        if self._capacity is not None:
            keep = keep[thinned(F[keep], self._capacity)]
        self._F, self._X = F[keep], X[keep]
        self._new_F, self._new_X, self._pending = [], [], 0


def archived_outcome(
    archive: Archive,
    termination: Termination,
    limit: Limit | None = None,
    *,
    detail: str = "",
    report: Mapping[str, Any] | None = None,
) -> Outcome:
    """The outcome made of an archive; for one objective the best point, for several the front sorted by the first."""
    X = archive.points
    if X.shape[0] == archive.F_min.shape[0]:
        X = X[np.argsort(archive.F_min[:, 0], kind="stable")]
    return Outcome(np.ascontiguousarray(X), termination, limit, detail, report=dict(report or {}))
