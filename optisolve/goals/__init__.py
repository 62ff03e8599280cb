"""Typed goals: metrics that a family documents, goals and wishes over them, and the units people write them in."""

from optisolve.goals.goal import Goal, goal_from
from optisolve.goals.goal_instance import GoalInstance, MeasuredInstance, with_goal
from optisolve.goals.metric import Bound, Feasibility, Metric

__all__ = ["Bound", "Feasibility", "Goal", "GoalInstance", "MeasuredInstance", "Metric", "goal_from", "with_goal"]
