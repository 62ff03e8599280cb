"""OFDMA resource allocation: which user gets which subcarrier, with which power."""

from optisolve.problems.resource_allocation.problem import ResourceAllocation

__all__ = ["ResourceAllocation"]
