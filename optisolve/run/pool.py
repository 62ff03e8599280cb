"""Workers: evaluations side by side, one point per call, taken over in the order of the batch.

So a result depends neither on who evaluates nor on how many: with one worker or eight, in threads, in processes or on a Ray
cluster, the hash is the same. Only the limit of an evaluation depends on clocks, and the asynchronous mode on who comes first.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from typing import TYPE_CHECKING, Self, TypeAlias

import numpy as np

from optisolve.core.arrays import FloatArray, IntArray
from optisolve.core.failures import Attempt, WrongShape, attempt, hopeless_points, point_by_point
from optisolve.core.problem import Instance
from optisolve.core.status import Limit
from optisolve.core.workers import Workers

if TYPE_CHECKING:
    from optisolve.run.carriers import Carrier

__all__ = ["Outcome", "Pool", "Unfinished"]

_POLL_S = 0.1
_OF = ("the limit of an evaluation (evaluation_limit_s)", "the limit of an evaluation (evaluation_limit_mb)")


class Unfinished(BaseException):
    """A run ends in the middle of a batch.

    Args:
        rows: int64 [k], rows of the batch that were evaluated.
        made: What came of them; None for no rows.
        limit: The limit that ends it; None for the user.
    """

    def __init__(self, rows: IntArray, made: Attempt | None, limit: Limit | None = None) -> None:
        super().__init__()
        self.rows, self.made, self.limit = rows, made, limit


class Pool:
    """Evaluates batches point by point, several at a time.

    Args:
        instance: What is evaluated.
        workers: Who evaluates.
        at_most: Points that there can be, so that no more workers are started.

    Attributes:
        executor: Who evaluates, never ``auto``.
        count: How many do.
    """

    def __init__(self, instance: Instance, workers: Workers, at_most: int | None = None) -> None:
        self._instance, self.settings = instance, workers
        self.executor = workers.chosen(instance.runs_in)
        self.count = min(workers.workers or 1, at_most or workers.workers or 1)
        self._stop = threading.Event()
        self._out_of_time: Callable[[], bool] = _never
        self._carriers: list[Carrier] = []
        self._idle: queue.SimpleQueue[Carrier] = queue.SimpleQueue()
        self._threads: ThreadPoolExecutor | None = None

    @property
    def redone(self) -> int:
        """Points that were done again after a process had died or a machine was lost."""
        return sum(carrier.redone for carrier in self._carriers)

    def start(self, out_of_time: Callable[[], bool] | None = None) -> None:
        """Start all workers; before the clock of a run begins.

        Args:
            out_of_time: Says when no further point is begun.

        Raises:
            OptisolveError: There can be no workers, or the instance cannot be given to them.
        """
        self._out_of_time = out_of_time or self._out_of_time
        if self._carriers:
            return
        self._carriers = self._made()
        if self.executor != "serial":
            self._threads = ThreadPoolExecutor(self.count, thread_name_prefix="optisolve-evaluates")
        if self._threads is None or len(self._carriers) == 1:
            self._carriers[0].start()
        else:
            for future in [self._threads.submit(carrier.start) for carrier in self._carriers]:
                future.result()
        for i in range(self.count):
            self._idle.put(self._carriers[i % len(self._carriers)])

    def told(self) -> dict[str, str | int | float | bool]:
        """What a record says of it."""
        settings, limits = self.settings, ("evaluation_limit_s", "evaluation_limit_mb")
        given = {name: value for name in limits if (value := getattr(settings, name)) is not None}
        extra = {"redone": self.redone} if self.redone else {}
        late = {"asynchronous": True} if settings.asynchronous else {}
        return {"executor": self.executor, "workers": self.count, **given, **late, **extra}

    def hurry(self) -> None:
        """Cut off what is running; called from a signal handler."""
        self._stop.set()

    def attempts(self, X: FloatArray) -> Attempt:
        """What came of the points of a batch, float64 [n, d].

        Raises:
            Unfinished: The run ends in the middle.
            WrongShape: The model returns arrays of a wrong shape for every point.
            MemoryError: It has no memory for any of them.
            OptisolveError: Nothing can be evaluated at all.
        """
        return self._evaluated(X, twin=False)

    def twins(self, X: FloatArray) -> Attempt:
        """The same by the instance's twin, for verification; it begins anew when a run was stopped, and has all the time."""
        self._stop.clear()
        self.start()
        return self._evaluated(X, twin=True)

    def submit(self, x: FloatArray, *, twin: bool = False) -> Future[Attempt]:
        """A point on its way, float64 [1, d]; a serial pool evaluates it now."""
        work = partial(self._carried, x.copy(), twin)
        if self._threads is not None:
            return self._threads.submit(work)
        future: Future[Attempt] = Future()
        try:
            future.set_result(work())
        except BaseException as error:  # as a thread would keep it
            future.set_exception(error)
        return future

    @staticmethod
    def outcome(future: Future[Attempt]) -> Outcome:
        """What came of a point that was submitted; None where it was cut off.

        Raises:
            OptisolveError: Nothing can be evaluated at all.
        """
        return _outcome(future)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all workers."""
        self._stop.set()
        if self._threads is not None:
            self._threads.shutdown(wait=self.executor != "thread", cancel_futures=True)
        for carrier in self._carriers:
            carrier.close()
        self._carriers = []

    def _made(self) -> list[Carrier]:
        from optisolve.run.carriers import InChild, InProcess, OnRay
        from optisolve.run.child import Limits
        from optisolve.run.evaluating import packed

        if self.executor in ("serial", "thread"):
            return [InProcess(self._instance)]
        told, none = self.settings, float("inf")
        limits = Limits(told.evaluation_limit_s or none, told.evaluation_limit_mb or none, _OF)
        parcel = packed(self._instance)
        if self.executor == "ray":
            return [OnRay(self._instance, parcel, limits, self._stop, told.address, self.count)]
        return [InChild(self._instance, parcel, limits, self._stop) for _ in range(self.count)]

    def _carried(self, x: FloatArray, twin: bool) -> Attempt:
        from optisolve.run.child import Stopped

        if self._stop.is_set():
            raise Stopped
        carrier = self._idle.get()
        try:
            return carrier.carry(x, twin=twin)
        finally:
            self._idle.put(carrier)

    def _evaluated(self, X: FloatArray, *, twin: bool) -> Attempt:
        if X.shape[0] == 0:
            return attempt(self._instance, X, self._instance._evaluate)
        late: Callable[[], bool] = _never if twin else self._out_of_time
        futures = list[Future[Attempt]]()
        for i in range(X.shape[0]):
            if self._threads is None and i and (late() or self._stop.is_set()):
                break
            futures.append(self.submit(X[i : i + 1], twin=twin))
        waiting = set(futures)
        while waiting and not self._stop.is_set() and not late():
            _, waiting = wait(waiting, timeout=_POLL_S)
        if waiting:
            for future in futures:
                future.cancel()  # those that are on their way go on
            wait([future for future in futures if not future.cancelled()])
        outcomes = [_outcome(future) for future in futures] + [None] * (X.shape[0] - len(futures))
        if None in outcomes:
            rows = np.array([i for i, outcome in enumerate(outcomes) if outcome is not None], dtype=np.int64)
            raise Unfinished(rows, self._part(X[rows], outcomes), None if self._stop.is_set() else Limit.TIME)
        return self._whole(X, outcomes)

    def _whole(self, X: FloatArray, outcomes: Sequence[Outcome]) -> Attempt:
        """One attempt of those that are there, in the order of the rows."""
        there = (outcome for outcome in outcomes if outcome is not None)

        def next_one(_x: FloatArray) -> Attempt:
            outcome = next(there)
            if isinstance(outcome, Attempt):
                return outcome
            raise outcome

        return next_one(X) if X.shape[0] == 1 else point_by_point(self._instance, X, next_one)

    def _part(self, X: FloatArray, outcomes: Sequence[Outcome]) -> Attempt | None:
        if not X.shape[0]:
            return None
        try:
            return self._whole(X, outcomes)
        except (WrongShape, MemoryError) as error:
            return hopeless_points(self._instance, X, error)


Outcome: TypeAlias = Attempt | WrongShape | MemoryError | None
"""What came of a point; None where it was cut off or not begun."""


def _outcome(future: Future[Attempt]) -> Outcome:
    from optisolve.run.child import Stopped

    error = None if future.cancelled() else future.exception()
    if future.cancelled() or isinstance(error, Stopped):
        return None
    if error is None:
        return future.result()
    if isinstance(error, WrongShape | MemoryError):
        return error
    raise error


def _never() -> bool:
    return False
