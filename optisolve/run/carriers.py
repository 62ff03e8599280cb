"""Who carries one point to its values: this process, a child process of its own, or a machine of a Ray cluster.

A process that dies is replaced and its point done again; when that fails `TRIES` times, the point is a bad one. A point that
breaks a limit is a bad one at once.
"""

from __future__ import annotations

import threading
from typing import Any, Protocol

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
_POLL_S, _BREAK_S = 0.5, 0.02


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
        self._instance, self._held, self.redone = instance, _Held(parcel, stop), 0
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
    """A Ray cluster with an actor per worker; several threads may carry at once.

    An actor is lost with its machine; another one is asked for, and as long as there is no room for it the others do its work.

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
        self._ray, self._address, self._workers, self._parcel = load_ray(), address, workers, parcel
        self._ours, self._lock = False, threading.Lock()
        self._actor: Any = None
        self._sent: Any = None
        self._coming: dict[Any, Any] = {}
        self._idle: list[Any] = []

    def start(self) -> None:
        """Join the cluster, and start as many actors as there is room for."""
        if self._actor is not None:
            return
        self._ours = connect(self._ray, self._address, self._workers)
        self._actor = self._ray.remote(num_cpus=1, max_restarts=0)(_Remote)
        self._sent = [self._ray.put(dict(self._parcel))]  # in a list, so that it is fetched where it is needed
        with self._lock:
            for _ in range(self._workers):
                self._hire()
            room = min(self._workers, max(1, int(self._ray.cluster_resources().get("CPU", 1))))
            while len(self._idle) < room and not self._stop.is_set():
                self._take_arrivals(room - len(self._idle), _WARM_UP_S)

    def carry(self, x: FloatArray, *, twin: bool) -> Attempt:
        """Give the point to an actor, and to another one when that is lost."""
        lost = ""
        for tries in range(TRIES):
            actor = self._free_actor()
            try:
                reply = self._waited(actor, actor.ask.remote(_order(x, twin)))
            except self._ray.exceptions.RayTaskError as error:  # raised by our own code over there
                raise OptisolveError(f"A Ray worker cannot evaluate: {error.cause}") from error
            except self._ray.exceptions.RayError as error:
                lost = type(error).__name__
                self._replace(actor)
                continue
            with self._lock:
                self._idle.append(actor)
                self.redone += bool(tries or reply["deaths"])
            return _attempt_of(self._instance, x, reply)
        return lost_points(self._instance, x, f"its machine was lost {TRIES} times in a row ({lost})")

    def close(self) -> None:
        """Give the actors up, and leave the cluster unless it was joined before."""
        if self._ray.is_initialized():
            for actor in [*self._idle, *self._coming.values()]:
                self._ray.kill(actor)
        self._idle, self._coming, self._actor = [], {}, None
        if self._ours:
            self._ray.shutdown()
            self._ours = False

    def _hire(self) -> None:
        actor = self._actor.remote(self._sent, self._limits)
        self._coming[actor.start.remote()] = actor

    def _take_arrivals(self, count: int, seconds: float) -> None:
        """Wait for actors that are coming, and put them among the idle ones."""
        arrived, _ = self._ray.wait(list(self._coming), num_returns=min(count, len(self._coming)), timeout=seconds)
        for ready in arrived:
            actor = self._coming.pop(ready)
            try:
                self._ray.get(ready)
            except self._ray.exceptions.RayTaskError as error:
                raise OptisolveError(str(error.cause)) from error
            except self._ray.exceptions.RayError:  # its machine was lost before it began
                self._hire()
                continue
            self._idle.append(actor)

    def _free_actor(self) -> Any:
        while True:
            with self._lock:
                if self._coming and not self._idle:
                    self._take_arrivals(1, 0.0)  # nobody waits with the lock in hand
                if self._idle:
                    return self._idle.pop()
            if self._stop.wait(_BREAK_S):
                raise Stopped

    def _replace(self, actor: Any) -> None:
        self._ray.kill(actor)
        with self._lock:
            self._hire()

    def _waited(self, actor: Any, task: Any) -> dict[str, Any]:
        while not self._ray.wait([task], timeout=_POLL_S)[0]:
            if self._stop.is_set():
                self._replace(actor)
                raise Stopped
        reply: dict[str, Any] = self._ray.get(task)
        return reply


class _Remote:
    """The actor: one child process on some machine.

    Args:
        sent: The order that brings the instance, as Ray holds it.
        limits: Of one evaluation.
    """

    def __init__(self, sent: list[Any], limits: Limits) -> None:
        self._held, self._limits = _Held(load_ray().get(sent[0])), limits

    def start(self) -> None:
        """Start the process and give it the instance."""
        self._held.start()

    def ask(self, order: JsonObject) -> dict[str, Any]:
        """The reply of the process."""
        return self._held.ask(order, self._limits)


class _Held:
    """A child process that is given an instance whenever it is new, and points.

    Args:
        parcel: The order that brings it.
        stop: Set by another thread to cut off what is running.
    """

    def __init__(self, parcel: JsonObject, stop: threading.Event | None = None) -> None:
        self._parcel = parcel
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
    F, G, H = (np.array(reply[name], dtype=np.float64).reshape(1, -1) for name in "FGH")
    return Attempt(instance.judged(Evaluation(F, G, H)), np.array([bool(reply["failed"])]), reply["failed"])
