"""What the solvers behind a modelling layer share: asking for a model, and turning an answer into an outcome."""

from __future__ import annotations

import numpy as np

from optisolve.core.errors import BudgetExhausted
from optisolve.core.problem import Instance
from optisolve.core.solver import Outcome, Task
from optisolve.core.status import Limit, Termination
from optisolve.modelling.answer import ModelAnswer

__all__ = ["evaluated_outcome", "missing_model", "seconds_left"]


def missing_model(instance: Instance, dialect: str, what: str) -> str | None:
    """Why a solver skips an instance that offers no model in its dialect; None when there is one."""
    if instance.model(dialect) is not None:
        return None
    return f"{instance.origin.scenario} offers no {what} (instance.model('{dialect}') is None)"


def seconds_left(task: Task) -> float | None:
    """Wall-clock time a back end may use, s, a little less than what is left; None when the budget has no such limit."""
    limit = task.meter.budget.seconds
    return None if limit is None else 0.95 * max(0.0, limit - task.meter.elapsed_s)


_MEETS = 1e-6
"""Distance of value and bound, relative to the objective's gap scale, up to which a claim of optimality is passed on."""


def evaluated_outcome(task: Task, answer: ModelAnswer, *, tolerance: float, source: str = "") -> Outcome:
    """Evaluate a back end's point through the task and keep its claim of optimality only if value and bound meet.

    Args:
        task: The run.
        answer: The back end's answer.
        tolerance: Rounding error of the model, in the objective's unit; 1e-6 of the objective's gap scale is added.
        source: Label of the point in the trace; "" for the solver's own.

    Returns:
        The outcome. OPTIMAL becomes CONVERGED when the model was a relaxation that the point does not attain.

    Raises:
        BudgetExhausted: Not even one evaluation is left; when only the time is up the point is kept.
    """
    if answer.x is None:
        X = np.empty((0, task.instance.space.dim))
        return Outcome(X, answer.termination, answer.limit, answer.detail, answer.dual_bound, answer.report)
    X = task.instance.space.clip(answer.x[None, :])
    try:
        evaluation = task.evaluate(X, source=source) if source else task.evaluate(X)
    except BudgetExhausted as stop:
        if stop.limit is not Limit.TIME:
            raise
        # the back end used up the time: what it found was paid for, and verification evaluates it anyway
        return Outcome(X, Termination.LIMIT, Limit.TIME, answer.detail, answer.dual_bound, answer.report)
    termination, detail = answer.termination, answer.detail
    if termination is Termination.OPTIMAL and answer.dual_bound is not None:
        value, objective = float(evaluation.F[0, 0]), task.instance.objectives[0]
        gap = objective.shortfall(value, answer.dual_bound)
        if evaluation.violation[0] > 0.0 or not gap <= tolerance + _MEETS * objective.gap_scale(value):
            termination = Termination.CONVERGED
            detail += "; the model is a relaxation that this point does not attain"
    return Outcome(X, termination, answer.limit, detail, answer.dual_bound, answer.report)
