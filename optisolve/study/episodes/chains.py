"""Episodes in a suite: what a step is handed by the records of earlier ones, and whether that is what it began with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, cast

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.budget import Budget
from optisolve.core.episode import Step
from optisolve.core.errors import FieldProblem
from optisolve.run.schema import Record
from optisolve.study.episodes.memory import Memory, Policy, room
from optisolve.study.suite import Suite

__all__ = ["Handed", "check_chains", "handed_to", "learn_record"]


class Handed(NamedTuple):
    """What a step is handed.

    Attributes:
        warm_start: float64 [n, d], points; None for none.
        notes: In words.
    """

    warm_start: FloatArray | None
    notes: tuple[str, ...]


def learn_record(memory: Memory, step: Step, record: Record) -> None:
    """Let a memory learn the verified feasible points of a record."""
    feasible = np.array(record.verified.feasible, dtype=np.bool_)
    X = np.reshape(np.array(record.solutions.x, dtype=np.float64), (-1, step.instance.space.dim))
    F = np.reshape(np.array(record.verified.F, dtype=np.float64), (-1, len(step.instance.objectives)))
    memory.learn(step, X[feasible], F[feasible])


def handed_to(steps: Sequence[Step], records: Sequence[Record], policy: str, budget: Budget, seed: int) -> Handed:
    """What the step after some records is handed.

    Args:
        steps: Of the episode.
        records: Of its first steps, in order.
        policy: Of the memory.
        budget: Of every step.
        seed: Of the suite.
    """
    memory = Memory(cast(Policy, policy), room(budget), seed)
    for step, record in zip(steps, records, strict=False):
        learn_record(memory, step, record)
    here = steps[len(records)]
    return Handed(memory.start(here), memory.notes(here))


def check_chains(suite: Suite, records: Iterable[Record]) -> list[FieldProblem]:
    """Steps of a suite's episodes that did not begin with what their memory hands on.

    Args:
        suite: With episodes.
        records: Any; those of other suites and of solvers without a memory are left out.
    """
    cells = {(cell.case.label, cell.label): cell for cell in suite.cells if cell.memory}
    chains: dict[tuple[str, str, str], dict[int, Record]] = {}
    for record in records:
        told = record.suite
        if told.name == suite.name and (told.problem, told.solver) in cells:
            chains.setdefault((told.problem, told.solver, told.repetition), {})[int(told.instance)] = record
    found = list[FieldProblem]()
    for (problem, solver, repetition), chain in sorted(chains.items()):
        cell = cells[problem, solver]
        before = list[Record]()
        for number in range(max(chain) + 1):
            where = f"{problem}.{solver}.i{number}.r{repetition}"
            if number not in chain:
                found.append(FieldProblem(where, "no record", "a record of every step before the last one"))
                break
            record = chain[number]
            start, notes = handed_to(cell.case.steps(), before, cell.memory, cell.budget, suite.seed)
            given = None if record.warm_start is None else np.array(record.warm_start, dtype=np.float64)
            same = given is None if start is None else given is not None and np.array_equal(given, start)
            if not same or tuple(record.notes) != notes:
                expected = f"what memory={cell.memory} hands on from the steps before"
                found.append(FieldProblem(where, "another start", expected))
            before.append(record)
    return found
