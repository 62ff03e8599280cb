"""A scenario of another family with a typed goal: what `optisolve ask` solves, and how its records are made again."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from optisolve.core.errors import FieldProblem, OptionError, OptisolveError, ProblemError
from optisolve.core.problem import FEASIBILITY_TOLERANCE, Instance, Problem
from optisolve.core.reference import Effort, Reference
from optisolve.goals.goal import goal_from
from optisolve.goals.goal_instance import GoalInstance, bound_scales, with_goal
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
        goal: The typed goal; see `optisolve.goals.goal.Goal`.
    """

    name: ClassVar[str] = "goal"
    version: ClassVar[str] = "2"
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
        return with_goal(self.base().instance(seed), goal_from(self.goal))

    def base(self) -> Problem:
        """The problem without the goal."""
        return make_problem(self.problem, self.params)

    def reference(self, instance: Instance, effort: Effort = Effort.NORMAL) -> Reference | None:
        """The family's reference for a native instance; a certified convex model where the family offers one; else None.

        A back end that finds nothing leaves evidence NONE with its words. What a verified point may save beyond the bound is
        told by the same model with the goal's bounds as loose as verification lets them be.
        """
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
        bound, objective = answer.dual_bound, instance.objectives[0]
        return certify(
            instance,
            None if answer.x is None else instance.space.clip(answer.x[None])[0],
            dual_bound=bound,
            tolerance=0.0 if bound is None else _RELATIVE * objective.gap_scale(bound),
            slack=0.0 if bound is None else _slack(instance, bound),
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


def _slack(instance: GoalInstance, bound: float) -> float:
    """How far the bound of the model with loosened goal bounds lies beyond the bound; infinite when it has none."""
    by = FEASIBILITY_TOLERANCE * (1.0 + 1e-5) * bound_scales(instance.base, instance.bounds)  # with room for rounding
    loose = tuple(
        dataclasses.replace(b, value=b.value + (step if b.upper else -step))
        for b, step in zip(instance.bounds, by.tolist(), strict=True)
    )
    model = instance.base.goal_model("cvxpy", instance.typed_goal, loose)
    beyond = None if model is None else model.solve().dual_bound
    return float("inf") if beyond is None else max(0.0, instance.objectives[0].shortfall(bound, beyond))
