"""Games about a shared good: Kelly's mechanism and Cournot's market."""

from optisolve.problems.market_game.problem import MarketGame

__all__ = ["MarketGame"]
