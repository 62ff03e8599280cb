"""CVXPY as a solver: the instance brings its model, the point is evaluated like anybody else's."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Gt

from optisolve.core.arrays import FloatArray
from optisolve.core.errors import BudgetExhausted
from optisolve.core.problem import Instance
from optisolve.core.solver import Feature, Outcome, Solver, SolverInfo, Task
from optisolve.core.status import Limit, Termination
from optisolve.modelling.answer import ModelAnswer
from optisolve.modelling.cvxpy import CvxpyModel
from optisolve.solvers.model_outcome import answered

__all__ = ["Cvxpy"]


@dataclass(frozen=True, slots=True)
class Cvxpy(Solver):
    """Solve the instance's own CVXPY model, if it has one.

    OPTIMAL is passed on only when the point, evaluated by us, is feasible and meets the model's dual bound; otherwise the
    run ends as CONVERGED with the reason in the detail.

    Args:
        seconds: Wall-clock limit of the model's solves, s; None leaves the run's own limit.
        optimality_tolerance: Distance of value and dual bound, divided like a gap (`Objective.gap_scale`), up to which
            OPTIMAL is believed.
    """

    info: ClassVar[SolverInfo] = SolverInfo(
        name="cvxpy",
        version="2",
        summary="The instance's convex model, solved by CVXPY and a conic or MILP back end, re-verified.",
        supports=frozenset(Feature) - {Feature.MULTI_OBJECTIVE},
        aside=("cvxpy",),
        citation="Diamond & Boyd 2016, CVXPY, JMLR 17(83); Agrawal et al. 2019, DPP, arXiv 1910.12430",
    )
    seconds: Annotated[float, Gt(0)] | None = None
    optimality_tolerance: Annotated[float, Gt(0)] = 1e-5

    def skip(self, instance: Instance) -> str | None:
        """Instances without a CVXPY model are skipped."""
        reason = super(Cvxpy, self).skip(instance)
        if reason is None and not isinstance(instance.model("cvxpy"), CvxpyModel):
            return f"{instance.origin.scenario} offers no CVXPY model"
        return reason

    def _solve(self, task: Task) -> Outcome:
        answer = answered(task, _answer, self.seconds)
        found: tuple[float, float] | None = None
        try:
            if answer.x is not None:
                found = _evaluate(task, answer.x)
        except BudgetExhausted as stop:
            if stop.limit is not Limit.TIME or answer.x is None:
                return task.outcome(Termination.LIMIT, stop.limit)
            X = task.instance.space.clip(np.atleast_2d(answer.x))  # it was paid for, and verification evaluates it anyway
            return Outcome(X, Termination.LIMIT, Limit.TIME, answer.detail, answer.dual_bound, answer.report)
        termination, doubt = answer.termination, ""
        if termination is Termination.OPTIMAL:
            doubt = self._doubt(task.instance, found, answer.dual_bound)
            termination = Termination.CONVERGED if doubt else Termination.OPTIMAL
        outcome = task.outcome(
            termination,
            answer.limit,
            detail=f"{answer.backend} {answer.version}: {answer.detail}{doubt}",
            report=dict(answer.report),
        )
        return dataclasses.replace(outcome, dual_bound=answer.dual_bound)

    def _doubt(self, instance: Instance, found: tuple[float, float] | None, bound: float | None) -> str:
        """Why a claimed optimum is not believed; empty when it is."""
        if found is None:
            return "; claimed optimal without a point"
        value, violation = found
        if violation > 0.0:
            return f"; claimed optimal, but the point violates a constraint by {violation:.1e}"
        if bound is None:
            return "; claimed optimal without a dual bound"
        gap = abs(value - bound) / instance.objectives[0].gap_scale(bound)
        return f"; claimed optimal, but value and bound differ by {gap:.1e} relative" if gap > self.optimality_tolerance else ""


def _answer(instance: Instance, own_limit: float | None, *, seconds: float | None) -> ModelAnswer:
    limits = [s for s in (own_limit, seconds) if s is not None]
    answer: ModelAnswer = instance.model("cvxpy").solve(time_limit_s=min(limits) if limits else None)
    return answer


def _evaluate(task: Task, x: FloatArray) -> tuple[float, float] | None:
    """Value and violation of the point as it is, or after the instance's repair when only that is feasible."""
    best = (math.nan, math.inf)
    x = task.instance.space.clip(np.atleast_2d(x))
    for X, source in ((x, "cvxpy"), (task.instance.project(x), "cvxpy:repaired")):
        evaluation = task.evaluate(X, source=source)
        violation = float(evaluation.violation[0])
        if violation < best[1]:
            best = (float(evaluation.F[0, 0]), violation)
        if violation == 0.0:
            break
    return best
