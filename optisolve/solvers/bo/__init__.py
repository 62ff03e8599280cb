"""Bayesian optimization by other people's libraries, botorch and optuna, as peers of our own solvers."""

from optisolve.solvers.bo.botorch_solver import Botorch
from optisolve.solvers.bo.optuna_adapter import OptunaGp, OptunaTpe

__all__ = ["Botorch", "OptunaGp", "OptunaTpe"]
