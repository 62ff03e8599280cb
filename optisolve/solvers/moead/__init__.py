"""Decomposition MOEAs: one engine, variation operators as plug-ins."""

from optisolve.solvers.moead.engine import run
from optisolve.solvers.moead.options import DecompositionOptions
from optisolve.solvers.moead.solvers import DecompositionSolver, Moead, MoeadDe, MoeadLo
from optisolve.solvers.moead.variation import De, Feedback, Gaussian, Learner, Linear, Mutation, Proposals, Sbx, Variation, Wave

__all__ = [
    "De",
    "DecompositionOptions",
    "DecompositionSolver",
    "Feedback",
    "Gaussian",
    "Learner",
    "Linear",
    "Moead",
    "MoeadDe",
    "MoeadLo",
    "Mutation",
    "Proposals",
    "Sbx",
    "Variation",
    "Wave",
    "run",
]
