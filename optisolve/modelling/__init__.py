"""Modelling layers shared by problems (which build models) and solvers (which run them); nothing heavy is imported here."""

from optisolve.modelling.answer import ModelAnswer, certify, proven_infeasible

__all__ = ["ModelAnswer", "certify", "proven_infeasible"]
