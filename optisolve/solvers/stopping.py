"""Stopping at a limit: what every sampling solver needs."""

from __future__ import annotations

from optisolve.core.errors import SolverError
from optisolve.core.solver import Task
from optisolve.core.status import Limit

__all__ = ["require_stopping_rule", "spent_limit"]


def require_stopping_rule(task: Task) -> None:
    """Refuse a budget under which a solver would never stop.

    Raises:
        SolverError: The budget limits neither evaluations nor seconds.
    """
    budget = task.meter.budget
    if budget.evaluations is None and budget.seconds is None:
        raise SolverError(
            f"{task.solver_name} stops only at a limit; set budget.evaluations (points) or budget.seconds, got {budget}."
        )


def spent_limit(task: Task) -> Limit:
    """Which limit left no evaluations."""
    return Limit.TIME if task.meter.out_of_time else Limit.EVALUATIONS
