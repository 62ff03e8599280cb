"""Another problem with a typed goal on top."""

from optisolve.problems.goal.problem import GoalProblem

__all__ = ["GoalProblem"]
