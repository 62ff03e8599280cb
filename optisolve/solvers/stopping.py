"""Stopping at a limit: what every sampling solver needs."""

from __future__ import annotations

from optisolve.core.budget import BudgetMeter
from optisolve.core.errors import SolverError
from optisolve.core.solver import Task
from optisolve.core.status import Limit

__all__ = ["require_stopping_rule", "spent_limit", "spent_on_the_model"]


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


def spent_on_the_model(meter: BudgetMeter) -> Limit:
    """Which limit allows no further call to a language model: the one that is nearest, or the time where none is set."""
    budget = meter.budget
    used = {
        limit: spent / allowed if allowed else 1.0
        for limit, allowed, spent in (
            (Limit.LLM_CALLS, budget.llm_calls, meter.llm_calls),
            (Limit.LLM_TOKENS, budget.llm_tokens, meter.tokens_in + meter.tokens_out),
            (Limit.USD, budget.usd, meter.usd),
        )
        if allowed is not None
    }
    return Limit.TIME if meter.out_of_time or not used else max(used, key=lambda limit: used[limit])
