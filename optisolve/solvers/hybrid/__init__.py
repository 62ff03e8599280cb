"""An engine whose points are made by a language model now and then, and the controls of that."""

from optisolve.solvers.hybrid.controls import HybridControl
from optisolve.solvers.hybrid.solver import Hybrid

__all__ = ["Hybrid", "HybridControl"]
