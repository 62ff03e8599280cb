"""A plug-in for tests of the runner: solvers that do what plug-ins must not."""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from optisolve.core import Limit, Outcome, Solver, SolverInfo, Task, Termination
from optisolve.core.solver import ANY_PROBLEM

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


@dataclass(frozen=True, slots=True)
class Misbehaving(Solver):
    info: ClassVar[SolverInfo] = SolverInfo("misbehaving", "1", "samples, then does as told", ANY_PROBLEM)
    then: str = "stop"

    def _solve(self, task: Task) -> Outcome:
        if self.then == "raise":
            raise ValueError("a bug of the plug-in")
        task.evaluate(task.instance.project(task.instance.space.sample(task.rng(), 20)), source="random")
        if self.then == "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        if self.then == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.then == "exit":
            os._exit(3)
        if self.then == "hang":
            time.sleep(600)
        if self.then == "memory":
            hoard = [np.ones(2_000_000) for _ in range(500)]  # 16 MB each
            time.sleep(600 * len(hoard))
        if self.then == "print":
            print("words on standard output", flush=True)  # noqa: T201
            print("words on standard error", file=sys.stderr, flush=True)  # noqa: T201
        report = {"pid": os.getpid(), "threads": {name: os.environ.get(name) for name in THREADS}}
        return task.outcome(Termination.LIMIT, Limit.EVALUATIONS, report=report if self.then == "tell" else {})


@dataclass(frozen=True, slots=True)
class Patient(Solver):
    """Waits, and leaves a sign of life when it is asked to."""

    info: ClassVar[SolverInfo] = SolverInfo("patient", "1", "waits between evaluations", ANY_PROBLEM)
    seconds: float = 0.5
    sign: str = ""

    def _solve(self, task: Task) -> Outcome:
        task.evaluate(task.instance.project(task.instance.space.sample(task.rng(), 20)), source="random")
        if self.sign:
            Path(self.sign, f"{task.seed}-{os.getpid()}").touch()
        time.sleep(self.seconds)
        return task.outcome(Termination.LIMIT, Limit.EVALUATIONS)


@dataclass(frozen=True, slots=True)
class Asking(Solver):
    """Asks its language model twice, and dies in between as long as a file exists."""

    info: ClassVar[SolverInfo] = SolverInfo("asking", "1", "asks a language model", ANY_PROBLEM, uses_llm=True)
    gate: str = ""

    def _solve(self, task: Task) -> Outcome:
        task.evaluate(task.instance.project(task.instance.space.sample(task.rng(), 20)), source="random")
        for attempt in range(2):
            _ask(task, attempt)
            if Path(self.gate).exists():
                os.kill(os.getpid(), signal.SIGKILL)
        return task.outcome(Termination.LIMIT, Limit.EVALUATIONS)


def _ask(task: Task, attempt: int) -> None:
    from optisolve.llm.types import LlmRequest

    assert task.llm is not None
    task.llm.ask([LlmRequest(tag="question", prompt="Why?", max_tokens=8, attempt=attempt)])
