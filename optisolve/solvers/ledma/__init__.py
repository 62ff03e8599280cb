"""A language model as variation operator of the decomposition engine, and its controls."""

from optisolve.solvers.ledma.controls import LedmaControl, Mixture
from optisolve.solvers.ledma.operator import LlmVariation, Operation
from optisolve.solvers.ledma.shares import random_share
from optisolve.solvers.ledma.solver import Ledma

__all__ = ["Ledma", "LedmaControl", "LlmVariation", "Mixture", "Operation", "random_share"]
