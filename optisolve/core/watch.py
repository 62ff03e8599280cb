"""What a solver does beside its evaluator while it solves: looks at the instance are counted, references are refused.

A solver is handed an evaluator that counts. It also holds the instance, and may build the problem again by its name; both
lead past the evaluator. While a run is watched, an evaluation of the same instance by whatever way goes through the run's
evaluator, and no reference is made. Code that means to deceive can still copy the equations; records of a solver whose code
nobody knows are no more than self-reported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol

from optisolve.core.arrays import FloatArray
from optisolve.core.errors import SolverError
from optisolve.core.objective import Evaluation

__all__ = ["refuse_reference", "unwatched", "watched", "watching"]


class _Hashed(Protocol):
    """What tells an instance from others."""

    @property
    def sha256(self) -> str: ...


@dataclass(frozen=True, eq=False, slots=True)
class _Watch:
    instance: _Hashed
    evaluate: Callable[[FloatArray], Evaluation]

    def covers(self, instance: _Hashed) -> bool:
        return instance is self.instance or instance.sha256 == self.instance.sha256


_WATCH: ContextVar[_Watch | None] = ContextVar("watch", default=None)


@contextmanager
def watching(instance: _Hashed, evaluate: Callable[[FloatArray], Evaluation]) -> Iterator[None]:
    """While a solver runs in this thread.

    Args:
        instance: What it solves.
        evaluate: Counts and evaluates a batch; gets what the solver evaluates without asking.

    Raises:
        SolverError: A solver of the same instance is at work already, whose accounts would not see this one's.
    """
    if watched(instance) is not None:
        raise SolverError("A solver started another run on the instance that it solves; its evaluations would not be counted.")
    token = _WATCH.set(_Watch(instance, evaluate))
    try:
        yield
    finally:
        _WATCH.reset(token)


@contextmanager
def unwatched() -> Iterator[None]:
    """For the evaluator itself, and for looks that cannot help the answer and are stated in the run's report."""
    token = _WATCH.set(None)
    try:
        yield
    finally:
        _WATCH.reset(token)


def watched(instance: _Hashed) -> Callable[[FloatArray], Evaluation] | None:
    """The counting evaluation of the run that this call belongs to; None when it belongs to no run on this instance."""
    watch = _WATCH.get()
    if watch is None:
        return None
    with unwatched():  # hashing an instance may evaluate it
        return watch.evaluate if watch.covers(instance) else None


def refuse_reference(problem: str) -> None:
    """Refuse to make a reference while a solver runs.

    Raises:
        SolverError: A solver asked for what it is scored against.
    """
    if _WATCH.get() is not None:
        raise SolverError(f"A solver asked for a reference of {problem} while it solves; references are made outside of runs.")
