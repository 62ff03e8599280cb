"""Descent of a whole front by the slopes of its objectives."""

from optisolve.solvers.front_descent.solver import FrontDescent

__all__ = ["FrontDescent"]
