"""A plug-in for tests of the runner: solvers that do what plug-ins must not, and a model that cannot evaluate every point."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from optisolve.core import Budget, Limit, Outcome, Problem, Solver, SolverInfo, Task, Termination
from optisolve.core.controls import SUBJECT, Arm
from optisolve.core.problem import Description, Evaluation, HypervolumeBox, Instance, Objective, Origin, Sense
from optisolve.core.reference import Effort, Reference
from optisolve.core.solver import ANY_PROBLEM
from optisolve.core.space import Space, Variable
from optisolve.core.status import Evidence
from optisolve.testing.toys import SumCapSphere

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


@dataclass(frozen=True, slots=True)
class Guessing(Solver):
    """Asks its language model for a number, takes a random point when it gets none, and names a control of its own."""

    info: ClassVar[SolverInfo] = SolverInfo("guessing", "1", "asks a language model for points", ANY_PROBLEM, uses_llm=True)
    batch: int = 4

    def controls(self, *, budget: Budget, model: str) -> Sequence[Arm]:
        return [
            Arm(SUBJECT, "guesses of the model", "guessing", self.options()),
            Arm("blind", "guesses without it", "random_search", {"batch_size": self.batch}),
        ]

    def _solve(self, task: Task) -> Outcome:
        space, rng = task.instance.space, task.rng()
        while (left := task.meter.remaining_evaluations) > 0:
            _ask(task, task.meter.evaluations)
            task.evaluate(task.instance.project(space.sample(rng, min(self.batch, left))), source="llm")
        return task.outcome(Termination.LIMIT, Limit.EVALUATIONS)


def _ask(task: Task, attempt: int) -> None:
    from optisolve.llm.types import LlmRequest

    assert task.llm is not None
    task.llm.ask([LlmRequest(tag="question", prompt="Why?", max_tokens=8, attempt=attempt)])


@dataclass(frozen=True)
class Fragile(Problem):
    """A distance from the middle of a cube, to two corners when there are two objectives; the model fails near one face.

    Args:
        fails: How the model fails: ``nan``, ``raise``, ``timeout``, ``constraint`` (NaN in G), ``never``.
        share: Share of the cube in which it does.
        policy: The instance's `on_failure`.
        objectives: 1 or 2.
        twin_factor: What the fast evaluation's objectives are multiplied by: 1 for a twin that agrees.
    """

    name: ClassVar[str] = "fragile"
    version: ClassVar[str] = "1"
    summary: ClassVar[str] = "A simulator that does not converge everywhere."

    fails: str = "nan"
    share: float = 0.1
    policy: str = "penalize"
    objectives: int = 1
    twin_factor: float = 1.0

    def instance(self, seed: int = 0) -> Instance:
        return _FragileInstance(self.origin(seed), self)


class _FragileInstance(Instance):
    def __init__(self, origin: Origin, problem: Fragile) -> None:
        self.fails, self.share, self.twin_factor = problem.fails, problem.share, problem.twin_factor
        self.on_failure = problem.policy
        names = [f"f{j}" for j in range(problem.objectives)]
        super().__init__(
            origin=origin,
            space=Space.of(Variable(f"x{i}", 0.0, 1.0) for i in range(3)),
            objectives=tuple(Objective(name, Sense.MINIMIZE, meaning="squared distance from a corner") for name in names),
            constraint_names=("plane",) if self.fails == "constraint" else (),
            hypervolume_box=HypervolumeBox((3.0, 3.0), (0.0, 0.0)) if len(names) == 2 else None,
        )

    def arrays(self):
        return {"share": np.array([self.share])}

    def describe(self) -> Description:
        return Description("Come close to one corner of a cube, or to two; near one face the simulator does not converge.")

    def _evaluate(self, X):
        bad = X[:, 0] < self.share
        if bad.any() and self.fails == "raise":
            raise RuntimeError("the simulator\ndid not converge \x1b[31m")
        if bad.any() and self.fails == "timeout":
            raise TimeoutError("no answer within 5 s")
        made = self._evaluate_twin(X)
        F = made.F * self.twin_factor
        F[bad] = np.nan if self.fails == "nan" else F[bad]
        return Evaluation(F, np.where(bad[:, None], np.nan, made.G), made.H)

    def _evaluate_twin(self, X):
        F = np.column_stack([((X - corner) ** 2).sum(axis=1) for corner in (0.0, 1.0)[: len(self.objectives)]])
        G = X.sum(axis=1, keepdims=True)[:, : len(self.constraint_names)] - 2.5
        return Evaluation(F, G, np.empty((X.shape[0], 0)))


@dataclass(frozen=True)
class Misjudged(SumCapSphere):
    """A sphere with another reference: ``loose``, ``beaten``, with a ``wrong`` bound, or with none.

    Args:
        kind: Which one; "" for the true one.
    """

    name: ClassVar[str] = "misjudged"
    kind: str = ""

    def reference(self, instance: Instance, effort: Effort = Effort.QUICK) -> Reference | None:
        true = SumCapSphere.reference(self, instance, effort)
        assert true is not None
        assert true.value is not None
        if self.kind == "loose":  # nothing up to 90 % off can be told from the optimum
            return replace(true, tolerance=0.9 * instance.objectives[0].gap_scale(true.value))
        if self.kind in ("beaten", "wrong"):
            low = true.value - 50.0
            bound = low if self.kind == "wrong" else None
            return Reference(Evidence.BEST_KNOWN, X=true.X, value=low, dual_bound=bound, solver="careless")
        return None if self.kind == "none" else true
