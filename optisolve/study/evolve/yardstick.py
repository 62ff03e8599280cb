"""What a program is worth on instances that belong to a purpose: training, validation, test."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.budget import Budget
from optisolve.core.problem import FEASIBILITY_TOLERANCE, Instance, Problem
from optisolve.core.status import PointStatus
from optisolve.programs.program import Program
from optisolve.programs.skeleton import Answering, Skeleton
from optisolve.run.solve import solve
from optisolve.solvers.moead.programmed import MoeadRule
from optisolve.solvers.rule import Rule

__all__ = ["Yardstick", "valued"]

_LEAST = 0.1
"""Hypervolume, as a share of its box, up to which gains are shares of this one: near 0 a ratio would be all that counts."""


def valued(skeleton: type[Skeleton], rounds: int, evaluations: int) -> Callable[[Program, Instance], float]:
    """What a program is worth on an instance, larger is better; NaN where it leads to nothing feasible.

    Args:
        skeleton: What the program is the missing piece of.
        rounds: Steps, or improvements after the construction, of one answer.
        evaluations: Evaluations of one run of the engine, for a skeleton that makes no answer by itself.
    """

    def of_answer(program: Program, instance: Instance) -> float:
        assert issubclass(skeleton, Answering)
        evaluation = instance.evaluate(skeleton.answer(program, instance, rounds)[None, :])
        feasible = evaluation.max_violation[0] <= FEASIBILITY_TOLERANCE
        return float(-instance.signs[0] * evaluation.F[0, 0]) if feasible else float("nan")

    def of_run(program: Program, instance: Instance) -> float:
        solver: MoeadRule | Rule = MoeadRule(program=program.text)
        if issubclass(skeleton, Answering):
            solver = Rule.from_mapping({"program": program.text, "skeleton": skeleton.name, "rounds": rounds})
        result = solve(instance, solver, budget=Budget(evaluations=evaluations), seed=0)
        if result.hypervolume is not None:
            return result.hypervolume
        feasible = result.point_status is PointStatus.FEASIBLE
        return float(-instance.signs[0] * result.verification.F[0, 0]) if feasible else float("nan")

    def either(program: Program, instance: Instance) -> float:
        one = issubclass(skeleton, Answering) and len(instance.objectives) == 1
        return (of_answer if one else of_run)(program, instance)

    return either


class Yardstick:
    """Gains over a hand rule on a set of instances that belongs to a purpose.

    Args:
        valued: What a program is worth on an instance.
        problem: Where instances come from.
        purpose: Name of the set: sets of different names share no instance.
        seed: Of the experiment.
        size: Number of instances.
        baseline: The hand rule.
    """

    def __init__(
        self,
        valued: Callable[[Program, Instance], float],
        problem: Problem,
        purpose: str,
        seed: int,
        size: int,
        baseline: Program,
    ) -> None:
        self._valued = valued
        first = 1_000_000 * (1 + ("train", "validation", "test").index(purpose) + 3 * seed)
        self._instances = [problem.instance(seed=first + i) for i in range(size)]
        self._base = self._values(baseline)
        several = len(self._instances[0].objectives) > 1
        scales = [_LEAST if several else i.objectives[0].gap_scale(b) for i, b in zip(self._instances, self._base, strict=True)]
        self._per = np.maximum(np.abs(self._base), scales) if several else np.array(scales)

    def gains(self, program: Program) -> FloatArray:
        """Percent of the hand rule's value by which a program is better, float64 [n]; -100 where it breaks a constraint.

        Where the objective has no natural zero, percent of its scale; of a hypervolume of at least a tenth of its box.
        """
        gains: FloatArray = 100.0 * (self._values(program) - self._base) / self._per
        return np.where(np.isfinite(gains), gains, -100.0)

    def gain(self, program: Program) -> float:
        """Their mean."""
        return float(self.gains(program).mean())

    def _values(self, program: Program) -> FloatArray:
        return np.array([self._valued(program, instance) for instance in self._instances])
