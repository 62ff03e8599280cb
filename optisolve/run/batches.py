"""Batches of points that wait for values, and the solver that waits for them in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Self

import numpy as np
import numpy.typing as npt

from optisolve.core.arrays import BoolArray, FloatArray, IntArray
from optisolve.core.errors import SolverError
from optisolve.core.evaluation import Evaluation
from optisolve.core.problem import Instance
from optisolve.core.space import Space
from optisolve.run.execution import Run

__all__ = ["Batch", "Halted", "Told", "Worker", "values_of"]

_SAME = 1e-9
"""Share of a variable's range by which a told point may differ from the one that was asked: it went through a text perhaps."""
_FAREWELL_S = 10.0


@dataclass(frozen=True, eq=False, slots=True)
class Told:
    """A batch with its values, as the solver asked for it."""

    X: FloatArray
    evaluation: Evaluation


@dataclass(eq=False, slots=True)
class Batch:
    """A batch on its way: how many rows were handed out, which were told, and their values, NaN until then."""

    X: FloatArray
    evaluation: Evaluation
    told: BoolArray
    asked: int = 0

    @classmethod
    def of(cls, instance: Instance, X: FloatArray) -> Self:
        """Points, float64 [n, d], before any of them was handed out."""
        n = X.shape[0]
        widths = (len(instance.objectives), len(instance.constraint_names), len(instance.equality_names))
        return cls(X, Evaluation(*(np.full((n, width), np.nan) for width in widths)), np.zeros(n, dtype=bool))

    @property
    def waiting(self) -> IntArray:
        """Rows that were handed out and have no values."""
        return np.flatnonzero(~self.told[: self.asked])

    def rows_of(self, points: FloatArray, space: Space) -> IntArray:
        """The rows that points are, int64 [k].

        Args:
            points: float64 [k, d].
            space: Their space.

        Raises:
            SolverError: A point was not handed out, has values already, or is meant twice.
        """
        width = np.where(space.upper > space.lower, space.upper - space.lower, 1.0)
        free, rows = [*self.waiting], list[int]()
        for i, x in enumerate(points):
            off = np.abs(self.X - x) / width  # [n, d]
            same = np.flatnonzero(off.max(axis=1) <= _SAME)
            row = next((row for row in same[np.argsort(off[same].max(axis=1), kind="stable")] if row in free), None)
            if row is None:
                raise SolverError(f"tell: row {i} of X {_refusal(self, same, off, space.names)}")
            free.remove(row)
            rows.append(int(row))
        return np.array(rows, dtype=np.int64)

    @property
    def part(self) -> Told:
        """The rows that were told."""
        return Told(self.X[self.told], self.evaluation.part(self.told))


class Halted(BaseException):
    """Ends a solver that sleeps; no error, so that no solver may take it for one of its own."""


def _refusal(batch: Batch, same: IntArray, off: FloatArray, names: Sequence[str]) -> str:
    if batch.told[same].any():
        return "was told before."
    if same.size:
        return "stands there twice." if same[0] < batch.asked else "was not handed out yet; ask for it first."
    near = int(np.argmin(off.max(axis=1)))
    j = int(np.argmax(off[near]))
    return (
        f"was not asked for; the nearest point that was differs in {names[j]} by {off[near, j]:.2g} of its range. Tell points "
        "as they were asked, with all their digits; points of your own are given at the start: warm_start=X."
    )


def values_of(which: str, given: npt.ArrayLike | None, n: int, names: Sequence[str]) -> FloatArray:
    """Values of n points, float64 [n, number of names]."""
    k = len(names)
    if given is None:
        if k:
            raise SolverError(f"tell: {which} is missing; it holds {', '.join(names)}, [{n}, {k}].")
        return np.empty((n, 0))
    try:
        values = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        values = np.empty((0, 0, 0))
    if values.shape in ((n,), ()) and k == 1:
        values = values.reshape(-1, 1)
    elif values.shape == (k,) and n == 1:
        values = values[None, :]
    if values.shape != (n, k):
        told = f"numbers [{n}, {k}] ({', '.join(names)})" if k else "nothing: the run has no such constraints"
        raise SolverError(f"tell: {which} has shape {np.shape(given)} for {n} points; expected {told}.")
    return values


class Worker:
    """A solver in a thread of its own, awake only inside `next`.

    Args:
        journal: What was told so far, batch by batch; it grows while the solver sleeps.
        go: Runs the solver with an evaluation that waits.

    Attributes:
        asleep: The solver waits for values.
    """

    def __init__(self, journal: Sequence[Told], go: Callable[..., Run]) -> None:
        self._journal, self._go, self._used = journal, go, 0
        self._wake: SimpleQueue[BaseException | None] = SimpleQueue()
        self._events: SimpleQueue[FloatArray | Run | BaseException] = SimpleQueue()
        self.asleep = False
        self._thread = threading.Thread(target=self._work, name="optisolve-open-run", daemon=True)
        self._thread.start()

    def next(self) -> FloatArray | Run | BaseException:
        """What the solver comes to: a batch without values, its end, or an exception of ours."""
        if self.asleep:
            self.asleep = False
            self._wake.put(None)
        event = self._events.get()
        self.asleep = isinstance(event, np.ndarray)
        return event

    def stop(self, end: BaseException) -> None:
        """Wake the sleeping solver up by an exception."""
        self.asleep = False
        self._wake.put(end)

    def close(self) -> None:
        """End the thread, wherever it is."""
        self._wake.put(Halted())
        if self._thread is not threading.current_thread():
            self._thread.join(_FAREWELL_S)

    def _work(self) -> None:
        try:
            self._events.put(self._go(measure=self._measure))
        except BaseException as error:  # it belongs to whoever waits for the solver
            self._events.put(error)

    def _measure(self, X: FloatArray) -> Evaluation:
        if self._used == len(self._journal):
            self._events.put(X.copy())
            if (end := self._wake.get()) is not None:
                raise end
        past = self._journal[self._used]
        self._used += 1
        if not np.array_equal(past.X, X):
            raise Halted(
                "The solver asks for other points than before, with the same settings and values: this is another version of "
                "optisolve or of a library, or the solver does not repeat itself. Go on where the run was begun."
            )
        return past.evaluation
