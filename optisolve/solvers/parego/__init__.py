"""Bayesian optimization with Gaussian processes, for problems whose evaluations are few."""

from optisolve.solvers.parego.solver import Parego

__all__ = ["Parego"]
