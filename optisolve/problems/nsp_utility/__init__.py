"""What a network service provider earns: power over antenna branches for one service intent or several."""

from optisolve.problems.nsp_utility.problem import NspUtility

__all__ = ["NspUtility"]
