"""Typed goals: metrics that a family documents, goals and wishes over them, and the units people write them in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from optisolve.goals.goal_instance import GoalInstance, MeasuredInstance, with_goal
from optisolve.goals.metric import Bound, Feasibility, Metric

if TYPE_CHECKING:
    from optisolve.goals.goal import Goal, goal_from

__all__ = ["Bound", "Feasibility", "Goal", "GoalInstance", "MeasuredInstance", "Metric", "goal_from", "with_goal"]


def __getattr__(name: str) -> Any:
    """Goals are models of pydantic, which an instance without a goal does not wait for."""
    if name not in ("Goal", "goal_from"):
        raise AttributeError(f"module 'optisolve.goals' has no attribute '{name}'")
    from optisolve.goals import goal

    return getattr(goal, name)
