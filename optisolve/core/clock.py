"""How much time is left for the work at hand, and who is told what was found until now.

A reference, and what a solver hands to a process of its own, is given its time here: back ends take the least of their own
limit and what is left, and work that knows something before its end says so by `so_far`. Without a limit nothing changes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

__all__ = ["limited", "retold", "so_far", "time_is_up", "time_left"]


@dataclass(frozen=True, slots=True)
class _Clock:
    end: float
    tell: Callable[[object], object] | None


_CLOCK: ContextVar[_Clock | None] = ContextVar("clock", default=None)


@contextmanager
def limited(seconds: float, tell: Callable[[object], object] | None = None) -> Iterator[None]:
    """While a piece of work is done that may take so long.

    Args:
        seconds: From now, s.
        tell: Gets what was found until now; None where nobody listens.
    """
    token = _CLOCK.set(_Clock(time.perf_counter() + seconds, tell))
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
    token = _CLOCK.set(_Clock(clock.end, lambda found: tell(form(found))))
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
    left = max(0.0, clock.end - time.perf_counter())
    return left if seconds is None else min(left, seconds)


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
