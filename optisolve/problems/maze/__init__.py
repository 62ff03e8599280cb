"""Grid worlds: collect prizes, avoid traps, reach the goal."""

from optisolve.problems.maze.problem import Maze

__all__ = ["Maze"]
