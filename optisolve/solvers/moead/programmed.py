"""A program as the variation operator of the engine."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from optisolve.core.budget import BudgetMeter
from optisolve.core.documents import JsonObject
from optisolve.core.errors import FieldProblem
from optisolve.core.problem import Instance
from optisolve.core.solver import SolverInfo, Task
from optisolve.programs.program import Machine, Program
from optisolve.programs.tree import ProgramError
from optisolve.programs.variation import Variation as Skeleton
from optisolve.solvers.moead.solvers import MutatingSolver
from optisolve.solvers.moead.variation import Mutation, Proposals, Variation, Wave

__all__ = ["MoeadRule", "Programmed"]


class Programmed:
    """One child per target, made by a program from its parents, then polynomial mutation.

    Args:
        program: Complete, of the skeleton ``variation``.
        mutation: What follows.
        meter: Says how much of the evaluations is used.
    """

    def __init__(self, program: Program, mutation: Mutation, meter: BudgetMeter) -> None:
        self._program, self._mutation, self._meter = program, mutation, meter
        self._machine: Machine | None = None

    def propose(self, wave: Wave) -> Proposals:
        """One child for every target."""
        from optisolve.programs.variation_kernels import vary

        space, n, d = wave.instance.space, wave.targets.size, wave.instance.space.dim
        machine = self._machine = self._machine or Machine(self._program, d)
        span = np.where(space.upper > space.lower, space.upper - space.lower, 1.0)
        pairs, U, Z = wave.rng.random((n, 2)), wave.rng.random((2, n, d)), wave.rng.standard_normal((n, d))
        draws = np.stack([wave.rng.random(n), wave.rng.standard_normal(n)], axis=1)  # [n, 2]
        codes = self._program.codes
        shares = vary(
            (wave.X - space.lower) / span,
            wave.violation,
            wave.targets,
            wave.mates,
            wave.values,
            self._progress(),
            codes.instructions,
            codes.numbers,
            pairs,
            U,
            Z,
            draws,
            machine.registers,
            machine.stack,
        )  # [n, d]
        children = np.minimum(space.lower + shares * span, space.upper)
        return Proposals(self._mutation.apply(children, space, wave.rng), wave.targets, "program")

    def _progress(self) -> float:
        """Share of the evaluations that are used; 0 where they have no limit."""
        total = self._meter.budget.evaluations
        return 0.0 if not total else min(self._meter.evaluations / total, 1.0)

    def report(self) -> JsonObject:
        """The program and its hash."""
        return self._program.report()


@dataclass(frozen=True, slots=True)
class MoeadRule(MutatingSolver):
    """MOEA/D with a program as its variation operator.

    Args:
        program: An s-expression over the features of the skeleton ``variation``, or the name of one of its rules.
    """

    info: ClassVar[SolverInfo] = SolverInfo(
        name="moead_rule",
        version="1",
        summary="Decomposition MOEA whose operator is a program written as data, in waves.",
    )
    program: str = "de"

    def checkpoint(self, instance: Instance) -> dict[str, str] | None:
        """The program's hash, and that of what made starting points; an audit refuses a record with another one."""
        before = MutatingSolver.checkpoint(self, instance)
        own = {"name": "program of variation", "sha256": Skeleton.complete(self.program).sha256}
        if before is None:
            return own
        together = hashlib.sha256(f"{before['sha256']}{own['sha256']}".encode()).hexdigest()
        return {"name": f"{before['name']} + {own['name']}", "sha256": together}

    def _check(self) -> list[FieldProblem]:
        """The program must fit."""
        try:
            Skeleton.complete(self.program)
        except ProgramError as error:
            return [*MutatingSolver._check(self), FieldProblem("program", self.program, f"a program; {error}")]
        return [*MutatingSolver._check(self)]

    def _variation(self, task: Task) -> Variation:
        return Programmed(Skeleton.complete(self.program), self._mutation(), task.meter)
