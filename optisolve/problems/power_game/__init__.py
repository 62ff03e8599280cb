"""Agents that share one receiver, with rate thresholds and an intent to save power."""

from optisolve.problems.power_game.problem import PowerGame

__all__ = ["PowerGame"]
