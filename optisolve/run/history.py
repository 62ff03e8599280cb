"""What a run evaluated, in order: enough to draw anytime curves and to credit every source."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from optisolve.core.arrays import FloatArray, IntArray

__all__ = ["History"]


class History:
    """Objectives, violations and sources of all evaluated points, in evaluation order.

    Args:
        n_objectives: Number of objectives m.
    """

    def __init__(self, n_objectives: int) -> None:
        self._F = np.empty((1024, n_objectives))
        self._violation = np.empty(1024)
        self._source = np.empty(1024, dtype=np.int64)
        self._n = 0
        self._clock: list[tuple[int, float]] = []
        self.sources: list[str] = []

    def __len__(self) -> int:
        return self._n

    def append(self, F_min: FloatArray, violation: FloatArray, source: str | Sequence[str], elapsed_s: float) -> None:
        """Add a batch: F_min float64 [n, m] in minimization form, violation float64 [n]."""
        n = F_min.shape[0]
        while self._n + n > self._violation.size:
            self._grow()
        block = slice(self._n, self._n + n)
        self._F[block] = F_min
        self._violation[block] = violation
        self._source[block] = self._code(source) if isinstance(source, str) else [self._code(s) for s in source]
        self._n += n
        self._clock.append((self._n, elapsed_s))

    @property
    def F_min(self) -> FloatArray:
        """float64 [n, m], minimization form."""
        return self._F[: self._n]

    @property
    def violation(self) -> FloatArray:
        """float64 [n], total violation of each point."""
        return self._violation[: self._n]

    @property
    def source(self) -> IntArray:
        """int64 [n], index into `sources`."""
        return self._source[: self._n]

    def seconds_at(self, evaluations: IntArray) -> FloatArray:
        """Elapsed time when each evaluation count was reached, float64, s."""
        counts = np.array([n for n, _ in self._clock])
        times = np.array([t for _, t in self._clock])
        return times[np.searchsorted(counts, evaluations)]

    def first(self, n: int) -> History:
        """The first n points as a history of their own."""
        part = History(self._F.shape[1])
        part._F, part._violation, part._source, part._n = self._F[:n], self._violation[:n], self._source[:n], n
        part._clock, part.sources = self._clock, self.sources
        return part

    def _code(self, source: str) -> int:
        if source not in self.sources:
            self.sources.append(source)
        return self.sources.index(source)

    def _grow(self) -> None:
        self._F = np.concatenate([self._F, np.empty_like(self._F)])
        self._violation = np.concatenate([self._violation, np.empty_like(self._violation)])
        self._source = np.concatenate([self._source, np.empty_like(self._source)])
