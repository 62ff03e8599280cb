"""A scenario of another family with a typed goal: what `optisolve ask` solves, and how its records are made again."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from optisolve.core.errors import FieldProblem, OptionError, OptisolveError, ProblemError
from optisolve.core.goal import goal_from
from optisolve.core.goal_instance import GoalInstance
from optisolve.core.problem import Instance, Problem
from optisolve.core.reference import Effort, Reference
from optisolve.core.status import Termination
from optisolve.modelling.answer import certify, proven_infeasible
from optisolve.registry import make_problem

__all__ = ["GoalProblem"]

_RELATIVE = 1e-6
"""Distance of value and bound of a convex goal up to which it counts as proven."""


@dataclass(frozen=True)
class GoalProblem(Problem):
    """A problem with a goal.

    Args:
        problem: Scenario or family that the goal is about.
        params: Its parameters that differ from the scenario's.
        goal: The typed goal; see `optisolve.core.goal.Goal`.
    """

    name: ClassVar[str] = "goal"
    version: ClassVar[str] = "1"
    summary: ClassVar[str] = "A scenario of another family with a typed goal: other requirements, another objective."
    evidence: ClassVar[str] = "that of the family for native goals"

    problem: str
    params: dict[str, Any] = field(default_factory=dict)
    goal: dict[str, Any] = field(default_factory=dict)

    def instance(self, seed: int = 0) -> Instance:
        """The family's instance of this seed with the goal on top.

        Raises:
            OptionError: The goal does not fit the instance.
        """
        return self.base().instance(seed).with_goal(goal_from(self.goal))

    def base(self) -> Problem:
        """The problem without the goal."""
        return make_problem(self.problem, self.params)

    def reference(self, instance: Instance, effort: Effort = Effort.NORMAL) -> Reference | None:
        """The family's reference for a native instance; a certified convex model where the family offers one; else None."""
        if not isinstance(instance, GoalInstance):
            return self.base().reference(instance, effort)
        bounds = (*instance.bounds, *instance.base.own_bounds())
        verdict = instance.base.satisfiable(bounds)
        if verdict.answer is False:
            return proven_infeasible(verdict.proof, solver="satisfiability")
        model = instance.model("cvxpy")
        if model is None:
            return None
        answer = model.solve()
        if answer.termination is Termination.INFEASIBLE or answer.x is None:
            return None
        tolerance = _RELATIVE * max(instance.objectives[0].scale, abs(answer.dual_bound or 0.0))
        x = instance.space.clip(answer.x[None])[0]
        return certify(
            instance,
            x,
            dual_bound=answer.dual_bound,
            tolerance=tolerance,
            slack=0.0,
            solver=answer.backend,
            solver_version=answer.version,
            detail=answer.detail,
        )

    def _check(self) -> Iterable[FieldProblem]:
        if self.problem == "goal" or self.problem.startswith("goal/"):
            yield FieldProblem("problem", self.problem, "a family of its own, not a goal on a goal")
            return
        try:
            goal_from(self.goal)
        except OptionError as error:
            yield from (dataclasses.replace(p, field=f"goal.{p.field}") for p in error.problems)
        try:
            self.base()
        except OptionError as error:
            yield from (dataclasses.replace(p, field=f"params.{p.field}") for p in error.problems)
        except ProblemError as error:
            yield FieldProblem("params", self.params, str(error))
        except OptisolveError as error:
            yield FieldProblem("problem", self.problem, str(error))
