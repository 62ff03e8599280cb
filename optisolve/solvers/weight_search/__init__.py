"""Local search over link weights, block by block, from the marginal costs of an optimal flow."""

from optisolve.solvers.weight_search.solver import WeightSearch

__all__ = ["WeightSearch"]
