"""One UAV serves ground users by power-domain NOMA: where to hover, how to split the power."""

from optisolve.problems.noma_uav.problem import NomaUav

__all__ = ["NomaUav"]
