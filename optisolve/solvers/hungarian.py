"""The Hungarian method on instances that are assignments with convex group costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from optisolve.core.problem import Instance
from optisolve.core.solver import Feature, Outcome, Solver, SolverInfo, Task
from optisolve.modelling.answer import ModelAnswer
from optisolve.modelling.assignment import solve_assignment
from optisolve.solvers.model_outcome import answered, evaluated_outcome, missing_model

__all__ = ["Hungarian"]


@dataclass(frozen=True, slots=True)
class Hungarian(Solver):
    """Solve the instance's assignment model exactly; the bound comes from prices, not from the method itself."""

    info: ClassVar[SolverInfo] = SolverInfo(
        name="hungarian",
        version="2",
        summary="Linear assignment for quotas and proportional fairness, exact and polynomial.",
        supports=frozenset(Feature) - {Feature.MULTI_OBJECTIVE},
        aside=("scipy.optimize",),
        citation="Kuhn 1955, doi 10.1002/nav.3800020109; Crouse 2016, doi 10.1109/TAES.2016.140952 (scipy's variant)",
        portable=True,
    )

    def skip(self, instance: Instance) -> str | None:
        """Instances that are no assignment problem are skipped."""
        return Solver.skip(self, instance) or missing_model(instance, "assignment", "assignment model")

    def _solve(self, task: Task) -> Outcome:
        return evaluated_outcome(task, answered(task, _answer), tolerance=0.0)


def _answer(instance: Instance, *, seconds: float | None) -> ModelAnswer:  # noqa: ARG001  # scipy takes no limit
    return solve_assignment(instance.model("assignment"))
