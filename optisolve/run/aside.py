"""Work in a process of its own that is killed when its time is up: for compiled code that looks at no clock.

The process (``python -m optisolve.run.aside``, see `optisolve.run.child`) is started before a clock runs and kept for the next
piece of work. What is known before the end goes through `optisolve.core.clock.so_far`.
"""

from __future__ import annotations

import base64
import importlib
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar, cast

import cloudpickle

from optisolve.core.clock import limited
from optisolve.core.documents import Json, JsonObject
from optisolve.core.errors import OptisolveError
from optisolve.core.failures import failure_text
from optisolve.core.memory import NoRoom
from optisolve.core.problem import Instance, Problem
from optisolve.core.reference import STOPPED, Effort, Reference
from optisolve.core.status import Evidence
from optisolve.run.child import Child, End, Limits, serve
from optisolve.run.evaluating import pickled

__all__ = ["Late", "aside", "get_ready", "limited_reference", "main"]

T = TypeVar("T")

_IMPORT_S = 120.0
_KEPT_MB = 600.0
"""Resident memory above which a process is not kept for the next piece of work."""


@dataclass(frozen=True, slots=True)
class Late:
    """What is there instead of an answer.

    Attributes:
        kind: ``time``, ``memory`` or ``died`` (the process crashed or was killed by the system).
        detail: One sentence.
        so_far: What the work had said by then, see `optisolve.core.clock.so_far`; None for nothing.
    """

    kind: Literal["time", "memory", "died"]
    detail: str
    so_far: object = None


_IDLE: list[tuple[int, Child]] = []
"""Processes that wait for work, with the process that has started them: one that was forked off shares none."""


def get_ready(instance: Instance, modules: Sequence[str] = ()) -> None:
    """Start a process, unless one is waiting, and let it import what the work will need; before a clock runs.

    Args:
        instance: What the work is about; what is loaded here of its family is loaded there.
        modules: Further names to import.

    Raises:
        OptisolveError: No process can be started.
    """
    family = type(instance).__module__.rpartition(".")[0]
    own = [name for name in sys.modules if family and (name == family or name.startswith(f"{family}."))]
    child = _taken()
    if not isinstance(child.ask({"import": [*modules, *own]}, Limits(_IMPORT_S)), End):
        _IDLE.append((os.getpid(), child))


def aside(work: Callable[..., T], *args: object, seconds: float, grace_s: float = 0.1) -> T | Late:
    """Do a piece of work in a process that can be killed.

    Args:
        work: A function; it and its arguments can be pickled.
        args: Its arguments.
        seconds: What it may take, s; the work finds it in `optisolve.core.clock.time_left`.
        grace_s: How much later it is killed, s.

    Returns:
        What the function returns; or why there is nothing.

    Raises:
        OptisolveError: Work or answer cannot be pickled, or the work raised this or anything else.
    """
    return cast(T | Late, _asked(pickled((work, args)), seconds, grace_s))


def _asked(parcel: str, seconds: float, grace_s: float) -> object:
    """What comes of a pickled piece of work: its answer, or why there is none."""
    order: JsonObject = {"work": parcel, "path": list(sys.path), "seconds": seconds}
    child = _taken()
    try:
        told = child.ask(order, Limits(seconds + grace_s))
    except BaseException:
        child.close()
        raise
    if isinstance(told, End):
        found = None if child.so_far is None else _unpickled(cast(str, child.so_far["so_far"]))
        words = child.printed().decode(errors="replace").strip().splitlines()
        child.close()
        detail = f"{STOPPED} ({seconds:.3g} s)" if told.kind == "time" else f"{told.detail} {' '.join(words[-1:])[:200]}"
        unmet = any("memory allocation" in line or "bad_alloc" in line for line in words)  # how compiled code ends without any
        return Late("memory" if unmet else told.kind, detail.strip(), found)
    if child.resident_mb > _KEPT_MB:
        child.close()
    else:
        _IDLE.append((os.getpid(), child))
    if "no_memory" in told:
        found = None if child.so_far is None else _unpickled(cast(str, child.so_far["so_far"]))
        return Late("memory", told["no_memory"], found)
    if "error" in told:
        raise cast(OptisolveError, _unpickled(told["error"]))
    return _unpickled(told["answer"])


def limited_reference(problem: Problem, instance: Instance, effort: Effort, seconds: float | None) -> Reference | None:
    """A reference that is made in so much time, in a process of its own.

    Args:
        problem: Whose reference it is.
        instance: What it is about.
        effort: How much work it may cost.
        seconds: Limit, s; None for no limit, and the work is done here.

    Returns:
        The reference; what was known of it when the time was up; or one that says that there is no bound.
    """
    if seconds is None or not _has_reference(problem):
        return problem.reference(instance, effort)
    try:
        parcel = pickled((_reference, (problem, instance, effort)))
    except Exception:  # a problem of this process alone; its back ends are limited, itself it is not
        with limited(seconds):
            return problem.reference(instance, effort)
    get_ready(instance, (*_BACK_ENDS, f"{type(problem).__module__.rpartition('.')[0]}.reference"))
    begin = time.perf_counter()
    made = _asked(parcel, 0.9 * seconds, 0.15 * seconds + 0.2)
    if made is None:
        return None
    if isinstance(made, Reference):  # in time, since its back ends have ended it, perhaps with nothing in hand
        late = made.evidence is Evidence.NONE and time.perf_counter() - begin > 0.8 * seconds
        return replace(made, detail=f"no bound within {seconds:g} s; {made.detail}") if late else made
    assert isinstance(made, Late)
    why = f"{STOPPED} ({seconds:g} s)" if made.kind == "time" else made.detail
    if isinstance(made.so_far, Reference):
        return replace(made.so_far, detail=f"{made.so_far.detail}; {why}")
    told = f"no bound within {seconds:g} s" if made.kind == "time" else f"no bound: {why}"
    return Reference(Evidence.NONE, solver=problem.name, detail=told)


_BACK_ENDS = ("scipy.optimize", "highspy")


def _has_reference(problem: Problem) -> bool:
    """Whether a family says anything about its optimum."""
    return type(problem).reference is not Problem.reference


def _reference(problem: Problem, instance: Instance, effort: Effort) -> Reference | None:
    return problem.reference(instance, effort)


def _taken() -> Child:
    """A process that waits, or a new one."""
    while _IDLE:
        owner, child = _IDLE.pop()
        if owner == os.getpid() and child.alive:
            return child
    child = Child("optisolve.run.aside")
    child.start()
    return child


def _unpickled(text: str) -> Any:
    return cloudpickle.loads(base64.b64decode(text))


class _Worker:
    """The child's side."""

    def __init__(self) -> None:
        self._tell: Callable[[Json], None] = print
        self._paused: Callable[[bool], None] = print

    def hand_out(self, tell: Callable[[Json], None], paused: Callable[[bool], None]) -> None:
        self._tell, self._paused = tell, paused

    def __call__(self, order: dict[str, Any]) -> JsonObject:
        if "import" in order:
            for name in filter(None, order["import"]):
                with suppress(ImportError, ValueError):  # the work itself says what is missing
                    importlib.import_module(name)
            return {"imported": True}
        sys.path += [folder for folder in order["path"] if folder not in sys.path]
        try:
            work, args = _unpickled(order["work"])
            with limited(order["seconds"], lambda found: self._tell(pickled(found)), self._paused):
                return {"answer": pickled(work(*args))}
        except MemoryError as error:
            return {"no_memory": str(error) if isinstance(error, NoRoom) else f"out of memory: {error}".rstrip(": ")}
        except OptisolveError as error:
            return {"error": pickled(error)}
        except Exception as error:  # whatever a family or a library does
            return {"error": pickled(OptisolveError(failure_text(error)))}


def main() -> None:
    """Answer orders until standard input ends."""
    worker = _Worker()
    serve(lambda: None, worker, worker.hand_out)


if __name__ == "__main__":
    main()
