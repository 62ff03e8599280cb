"""Who evaluates: settings of a run that change no result, except limits on an evaluation and the asynchronous mode."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Gt

from optisolve.core.errors import FieldProblem
from optisolve.core.options import Options

if TYPE_CHECKING:
    from optisolve.core.evaluation import RunsIn

__all__ = ["Executor", "Workers"]

Executor = Literal["auto", "serial", "thread", "process", "ray"]


@dataclass(frozen=True, slots=True)
class Workers(Options):
    """Who evaluates.

    Args:
        workers: Evaluations at a time; None means one, and leaves batches whole where the instance takes them whole.
        executor: ``serial`` (here), ``thread``, ``process`` (one process each, on this machine) or ``ray`` (a cluster);
            ``auto`` is what the instance says of itself, and a process where an evaluation has a limit.
        address: Of the Ray cluster: ``local``, ``auto`` or ``HOST:PORT``.
        evaluation_limit_s: Seconds after which an evaluation is killed and its point is a bad one.
        evaluation_limit_mb: Memory above which it is, MB.
        asynchronous: A free worker gets the next point at once, without waiting for the others of a batch. Which point that is
            depends on who comes first: the same seed does not give the same result.
    """

    workers: Annotated[int, Ge(1)] | None = None
    executor: Executor = "auto"
    address: str = "local"
    evaluation_limit_s: Annotated[float, Gt(0)] | None = None
    evaluation_limit_mb: Annotated[float, Gt(0)] | None = None
    asynchronous: bool = False

    def _check(self) -> Iterator[FieldProblem]:
        if self.executor == "serial" and self.workers not in (None, 1):
            yield FieldProblem("workers", self.workers, "1 with executor=serial; thread, process and ray have several")
        for name in ("evaluation_limit_s", "evaluation_limit_mb"):
            if self.executor in ("serial", "thread") and getattr(self, name) is not None:
                told = f"no limit with executor={self.executor}, which cannot end an evaluation; process and ray can"
                yield FieldProblem(name, getattr(self, name), told)
        if self.address != "local" and self.executor != "ray":
            yield FieldProblem("address", self.address, "executor=ray beside it")
        if self.asynchronous and self.workers in (None, 1):
            yield FieldProblem("workers", self.workers, "2 or more with asynchronous=true")

    @property
    def limited(self) -> bool:
        """Whether an evaluation has a limit."""
        return self.evaluation_limit_s is not None or self.evaluation_limit_mb is not None

    def chosen(self, runs_in: RunsIn) -> Executor:
        """The executor for an instance; ``auto`` where it is left alone, and whole batches are evaluated here.

        Args:
            runs_in: What the instance says of itself.
        """
        if self.executor != "auto":
            return self.executor
        if self.limited:
            return "process"
        if self.workers in (None, 1):
            return "auto" if self.workers is None and runs_in == "vectorized" else "serial"
        return "thread" if runs_in == "thread" else "process"
