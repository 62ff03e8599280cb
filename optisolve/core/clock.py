"""How much time is left for the work at hand, and who is told what was found until now.

A reference, and what a solver hands to a process of its own, is given its time here: back ends take the least of their own
limit and what is left, and work that knows something before its end says so by `so_far`. Without a limit nothing changes.

Clocks stand still while kernels are compiled or read from where they are kept: that is start-up, and a second run has none.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace

__all__ = ["go_on", "limited", "retold", "so_far", "stand_still", "stood_still_s", "time_is_up", "time_left"]


@dataclass(slots=True)
class _Pause:
    total_s: float = 0.0
    since: float = 0.0
    depth: int = 0


_PAUSES: dict[int, _Pause] = {}
"""What each thread of this process has spent on start-up."""


def stand_still() -> None:
    """From now on the clocks of this thread stand still, until `go_on` has been called as often."""
    pause = _PAUSES.setdefault(threading.get_ident(), _Pause())
    pause.depth += 1
    if pause.depth == 1:
        pause.since = time.perf_counter()
        _tell_pause(True)


def go_on() -> None:
    """The end of what `stand_still` began."""
    pause = _PAUSES.setdefault(threading.get_ident(), _Pause())
    if pause.depth == 1:
        pause.total_s += time.perf_counter() - pause.since
        _tell_pause(False)
    pause.depth = max(0, pause.depth - 1)


def stood_still_s(thread: int | None = None) -> float:
    """How long the clocks of a thread have stood still so far, s.

    Args:
        thread: Its identifier; None for this thread.
    """
    pause = _PAUSES.get(threading.get_ident() if thread is None else thread)
    if pause is None:
        return 0.0
    total, since = pause.total_s, pause.since
    return total + (time.perf_counter() - since if pause.depth else 0.0)


@dataclass(frozen=True, slots=True)
class _Clock:
    end: float
    tell: Callable[[object], object] | None
    paused: Callable[[bool], object] | None = None


_CLOCK: ContextVar[_Clock | None] = ContextVar("clock", default=None)


def _tell_pause(begins: bool) -> None:
    clock = _CLOCK.get()
    if clock is not None and clock.paused is not None:
        clock.paused(begins)


@contextmanager
def limited(
    seconds: float, tell: Callable[[object], object] | None = None, paused: Callable[[bool], object] | None = None
) -> Iterator[None]:
    """While a piece of work is done that may take so long.

    Args:
        seconds: From now, s.
        tell: Gets what was found until now; None where nobody listens.
        paused: Told True when the clock begins to stand still, False when it goes on.
    """
    token = _CLOCK.set(_Clock(_now() + seconds, tell, paused))
    try:
        yield
    finally:
        _CLOCK.reset(token)


@contextmanager
def retold(form: Callable[[object], object]) -> Iterator[None]:
    """While a part of a piece of work says what it has found in a form of its own.

    Args:
        form: Makes the form of the whole of it.
    """
    clock = _CLOCK.get()
    if clock is None or (tell := clock.tell) is None:
        yield
        return
    token = _CLOCK.set(replace(clock, tell=lambda found: tell(form(found))))
    try:
        yield
    finally:
        _CLOCK.reset(token)


def time_left(seconds: float | None = None) -> float | None:
    """What is left, s, at least 0; None for no limit.

    Args:
        seconds: Another limit that holds as well.
    """
    clock = _CLOCK.get()
    if clock is None:
        return seconds
    left = max(0.0, clock.end - _now())
    return left if seconds is None else min(left, seconds)


def _now() -> float:
    """Time of this thread's clock, s."""
    return time.perf_counter() - stood_still_s()


def time_is_up() -> bool:
    """Whether nothing is left."""
    return time_left() == 0.0


def so_far(found: object) -> None:
    """Say what is known by now, in the form of the answer; it becomes the answer when the time is up before there is another.

    Args:
        found: Can be pickled.
    """
    clock = _CLOCK.get()
    if clock is not None and clock.tell is not None:
        clock.tell(found)
