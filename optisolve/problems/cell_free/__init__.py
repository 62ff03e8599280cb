"""Cell-free massive MIMO: downlink power coefficients for the largest worst rate."""

from optisolve.problems.cell_free.problem import CellFree

__all__ = ["CellFree"]
