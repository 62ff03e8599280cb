"""Agents that choose their own actions, with and without a language model."""

from optisolve.solvers.game.solver import Game, GameControl

__all__ = ["Game", "GameControl"]
