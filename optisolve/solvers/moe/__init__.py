"""Mixture of experts: a gate chooses solvers, a budgeted executor runs them, every answer is verified, a log explains."""

from optisolve.solvers.moe.solver import Moe, MoeLlm

__all__ = ["Moe", "MoeLlm"]
