"""Who carries one point to its values: this process, a child process of its own, or a machine of a Ray cluster.

A process that dies is replaced and its point done again; when that fails `TRIES` times, the point is a bad one. A point that
breaks a limit is a bad one at once.
"""

from __future__ import annotations

import atexit
import threading
from functools import cache
from typing import Any, Protocol
from uuid import uuid4

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.documents import JsonObject
from optisolve.core.errors import OptisolveError
from optisolve.core.evaluation import Evaluation
from optisolve.core.failures import Attempt, WrongShape, attempt, lost_points
from optisolve.core.problem import Instance
from optisolve.run.child import Child, End, Limits, Stopped
from optisolve.run.cluster import connect, load_ray

__all__ = ["TRIES", "Carrier", "InChild", "InProcess", "OnRay"]

TRIES = 3
"""Deaths of the process that evaluates a point after which it is the point's fault."""
_WARM_UP_S = 600.0
_POLL_S = 0.1


class Carrier(Protocol):
    """Evaluates one point at a time.

    Attributes:
        redone: Points that were done again after a process had died.
    """

    redone: int

    def start(self) -> None:
        """Get ready, before any limit counts."""
        ...

    def carry(self, x: FloatArray, *, twin: bool) -> Attempt:
        """What came of a point, float64 [1, d].

        Raises:
            WrongShape: The model returns arrays of a wrong shape.
            MemoryError: It has no memory.
            Stopped: The run is being stopped.
            OptisolveError: Nothing can be evaluated there at all.
        """
        ...

    def close(self) -> None:
        """Give up whatever is held."""
        ...


class InProcess:
    """This process.

    Args:
        instance: What is evaluated.
    """

    def __init__(self, instance: Instance) -> None:
        self._instance, self.redone = instance, 0

    def start(self) -> None:
        """Let the instance get ready."""
        self._instance.warm_up()

    def carry(self, x: FloatArray, *, twin: bool) -> Attempt:
        """Call the model."""
        return attempt(self._instance, x, self._instance._evaluate_twin if twin else self._instance._evaluate)

    def close(self) -> None:
        """Nothing is held."""


class InChild:
    """A child process.

    Args:
        instance: What is evaluated.
        parcel: The order that brings it.
        limits: Of one evaluation.
        stop: Set by another thread to cut off what is running.
    """

    def __init__(self, instance: Instance, parcel: JsonObject, limits: Limits, stop: threading.Event) -> None:
        self._instance, self._held, self.redone = instance, _Held("", parcel, stop), 0
        self._limits = limits

    def start(self) -> None:
        """Start the process and give it the instance."""
        self._held.start()

    def carry(self, x: FloatArray, *, twin: bool) -> Attempt:
        """Ask the process."""
        reply = self._held.ask(_order(x, twin), self._limits)
        self.redone += bool(reply["deaths"])
        return _attempt_of(self._instance, x, reply)

    def close(self) -> None:
        """End the process."""
        self._held.close()


class OnRay:
    """A Ray cluster; several threads may carry at once.

    Args:
        instance: What is evaluated.
        parcel: The order that brings it.
        limits: Of one evaluation.
        stop: Set by another thread to cut off what is running.
        address: ``local`` starts a cluster on this machine, ``auto`` finds the running one, else its address.
        workers: Points at a time; cores of a cluster that is started.
    """

    def __init__(
        self, instance: Instance, parcel: JsonObject, limits: Limits, stop: threading.Event, address: str, workers: int
    ) -> None:
        self._instance, self._limits, self._stop, self.redone = instance, limits, stop, 0
        self._ray, self._address, self._workers = load_ray(), address, workers
        self._parcel, self._key, self._ours, self._lock = parcel, uuid4().hex, False, threading.Lock()
        self._task: Any = None
        self._sent: Any = None

    def start(self) -> None:
        """Join the cluster and leave the instance there."""
        if self._task is None:
            self._ours = connect(self._ray, self._address, self._workers)
            # lost machines are our own business: a point is done again, and that is told
            self._task = self._ray.remote(num_cpus=1, max_retries=0)(_remotely)
            self._sent = [self._ray.put(dict(self._parcel))]  # in a list, so that it is fetched once per machine

    def carry(self, x: FloatArray, *, twin: bool) -> Attempt:
        """Give the point to the cluster, again when its machine is lost."""
        lost = ""
        for tries in range(TRIES):
            task = self._task.remote(self._key, self._sent, _order(x, twin), self._limits)
            try:
                reply = self._waited(task)
            except self._ray.exceptions.RayTaskError as error:  # raised by our own code over there
                raise OptisolveError(f"A Ray worker cannot evaluate: {error.cause}") from error
            except self._ray.exceptions.RayError as error:
                lost = type(error).__name__
                continue
            with self._lock:
                self.redone += bool(tries or reply["deaths"])
            return _attempt_of(self._instance, x, reply)
        return lost_points(self._instance, x, f"its machine was lost {TRIES} times in a row ({lost})")

    def close(self) -> None:
        """Leave the cluster, unless it was joined before."""
        if self._ours:
            self._ray.shutdown()
            self._ours = False

    def _waited(self, task: Any) -> dict[str, Any]:
        while not self._ray.wait([task], timeout=_POLL_S)[0]:
            if self._stop.is_set():
                self._ray.cancel(task, force=True)
                raise Stopped
        reply: dict[str, Any] = self._ray.get(task)
        return reply


class _Held:
    """A child process that is given an instance whenever it is new, and points.

    Args:
        key: Name of the instance.
        parcel: The order that brings it.
        stop: Set by another thread to cut off what is running.
    """

    def __init__(self, key: str, parcel: JsonObject, stop: threading.Event | None = None) -> None:
        self.key, self._parcel = key, parcel
        self._child = Child("optisolve.run.evaluating", stop=stop)
        self._taken: int | None = None

    def start(self) -> None:
        """A process that has the instance.

        Raises:
            OptisolveError: There can be none.
        """
        for left in reversed(range(TRIES)):
            if self._child.alive and self._child.pid == self._taken:
                return
            self._child.start()
            pid = self._child.pid
            told = self._child.ask(self._parcel, Limits(seconds=_WARM_UP_S, of=("while it got ready", "")))
            if not isinstance(told, End):
                self._require(told)
                self._taken = pid
            elif told.kind != "died" or not left:
                raise OptisolveError(f"A process that evaluates does not get ready: {told.detail}.{self._last_words()}")

    def ask(self, order: JsonObject, limits: Limits) -> dict[str, Any]:
        """The reply, with ``deaths`` of processes on the way; ``lost`` says why there are no values."""
        told: dict[str, Any] | End = {}
        for deaths in range(TRIES):
            self.start()
            told = self._child.ask(order, limits)
            if not isinstance(told, End):
                self._require(told)
                return {**told, "deaths": deaths}
            if told.kind != "died":
                return {"lost": told.detail, "deaths": deaths}
        assert isinstance(told, End)
        return {"lost": f"{told.detail}, {TRIES} times in a row{self._last_words()}", "deaths": TRIES}

    def close(self) -> None:
        """End the process."""
        self._child.close()

    def _require(self, told: dict[str, Any]) -> None:
        if "error" in told:
            self.close()
            raise OptisolveError(str(told["error"]))

    def _last_words(self) -> str:
        lines = self._child.printed().decode(errors="replace").strip().splitlines()
        return f" (it printed: {lines[-1].strip()[:200]})" if lines else ""


def _order(x: FloatArray, twin: bool) -> JsonObject:
    return {"x": x[0].tolist(), "twin": twin}


def _attempt_of(instance: Instance, x: FloatArray, reply: dict[str, Any]) -> Attempt:
    """What a reply says; values travel as decimals that give the same bits again."""
    if "wrong_shape" in reply:
        raise WrongShape(reply["wrong_shape"])
    if "no_memory" in reply:
        raise MemoryError(reply["no_memory"])
    if "lost" in reply:
        return lost_points(instance, x, reply["lost"])
    parts = (np.array(reply[name], dtype=np.float64).reshape(1, -1) for name in "FGH")
    return Attempt(instance.judged(Evaluation(*parts)), np.array([bool(reply["failed"])]), reply["failed"])


def _remotely(key: str, sent: list[Any], order: JsonObject, limits: Limits) -> dict[str, Any]:
    """Runs on the cluster; one child process per Ray worker, used again by the next point."""
    slot = _slot()
    held = slot.get("held")
    if held is None or held.key != key:
        if held is not None:
            held.close()
        held = slot["held"] = _Held(key, load_ray().get(sent[0]))
    return held.ask(order, limits)


@cache
def _slot() -> dict[str, _Held]:
    slot: dict[str, _Held] = {}
    atexit.register(lambda: [held.close() for held in slot.values()])
    return slot
