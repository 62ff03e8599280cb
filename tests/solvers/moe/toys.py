"""Experts and sessions that misbehave on purpose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from optisolve.core.solver import Outcome, Solver, SolverInfo, Task
from optisolve.core.status import Termination
from optisolve.llm.types import LlmReply
from optisolve.solvers.moe.cards import Card, Expert


def expert(solver: Solver, name: str = "", guarantee: str = "none") -> Expert:
    return Expert(name or solver.info.name, solver, Card("search", guarantee, "all", 50, 50, None, "a toy"))


@dataclass(frozen=True, slots=True)
class Breaks(Solver):
    info: ClassVar = SolverInfo(name="breaks", version="1", summary="Evaluates once, then raises.")

    def _solve(self, task: Task) -> Outcome:
        task.evaluate(task.instance.space.sample(task.rng(), 1))
        raise ZeroDivisionError("a bug of a plug-in")


@dataclass(frozen=True, slots=True)
class Boasts(Solver):
    info: ClassVar = SolverInfo(name="boasts", version="1", summary="Claims a bound that its own point beats.")

    def _solve(self, task: Task) -> Outcome:
        X = task.instance.project(task.instance.space.sample(task.rng(), 4))
        value = float(task.evaluate(X).F[:, 0].max())
        better = value + 1.0 if task.instance.objectives[0].sense == "minimize" else value - 1.0
        return Outcome(X, Termination.OPTIMAL, dual_bound=better)


@dataclass(frozen=True, slots=True)
class Invents(Solver):
    info: ClassVar = SolverInfo(name="invents", version="1", summary="Returns a point outside the space without evaluating it.")

    def _solve(self, task: Task) -> Outcome:
        return Outcome(task.instance.space.upper[None, :] * 2.0 + np.ones((1, task.instance.space.dim)), Termination.OPTIMAL)


@dataclass(frozen=True, slots=True)
class Greedy(Solver):
    info: ClassVar = SolverInfo(name="greedy", version="1", summary="Evaluates until somebody stops it.")

    def _solve(self, task: Task) -> Outcome:
        while True:
            task.evaluate(task.instance.project(task.instance.space.sample(task.rng(), 7)))


class Scripted:
    """A session that answers from a list of texts; an empty text is a failure."""

    model, preferred_style = "scripted", "schema"
    tokens_in, tokens_out, usd = 0, 0, 0.0

    def __init__(self, *texts: str) -> None:
        self.texts, self.requests = list(texts), []

    def ask(self, requests):
        self.requests += requests
        replies = []
        for _ in requests:
            text = self.texts.pop(0) if self.texts else ""
            replies.append(
                LlmReply(texts=(text,), finish=("stop",)) if text else LlmReply(failure="timeout", detail="too slow")
            )
        return replies
