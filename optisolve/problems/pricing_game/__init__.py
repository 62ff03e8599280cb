"""A price on power in the energy-efficiency game of selfish links."""

from optisolve.problems.pricing_game.problem import PricingGame

__all__ = ["PricingGame"]
