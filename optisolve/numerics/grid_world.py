"""Walks on grid worlds: shortest safe walks with all prizes, and distances."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from optisolve.core.arrays import FloatArray, IntArray
from optisolve.core.grid_world import FREE, GOAL, MOVES, PRIZE, START, TRAP, WALL, GridWorld

__all__ = ["FREE", "GOAL", "MOVES", "PRIZE", "START", "TRAP", "WALL", "GridWorld", "Walk", "distances", "shortest_walk"]


@dataclass(frozen=True, eq=False)
class Walk:
    """A shortest walk.

    Attributes:
        moves: int64 [n], moves from the start until the goal is reached with all prizes.
        expanded: States of the product graph (cell and set of prizes) that the search reached.
    """

    moves: IntArray
    expanded: int


def shortest_walk(world: GridWorld) -> Walk | None:
    """Breadth-first search on the product of cells and sets of collected prizes; None when no safe walk exists.

    Every move costs 1, so the first arrival is a shortest walk: the search is the proof.
    """
    table, traps, goal = world.next_cells(), world.traps, world.goal
    everything = (1 << world.prizes.size) - 1
    start = (world.start, world.collected(0, world.start))
    came: dict[tuple[int, int], tuple[tuple[int, int], int] | None] = {start: None}
    queue = deque([start])
    while queue:
        state = queue.popleft()
        cell, mask = state
        if cell == goal and mask == everything:
            return Walk(_back(came, state), len(came))
        for move in range(1, len(MOVES)):
            following = int(table[cell, move])
            reached = (following, world.collected(mask, following))
            if not traps[following] and reached not in came:
                came[reached] = (state, move)
                queue.append(reached)
    return None


def _back(came: dict[tuple[int, int], tuple[tuple[int, int], int] | None], state: tuple[int, int]) -> IntArray:
    moves: list[int] = []
    step = came[state]
    while step is not None:
        state, move = step
        moves.append(move)
        step = came[state]
    return np.array(moves[::-1], dtype=np.int64)


def distances(world: GridWorld, target: int, *, safe: bool = False) -> FloatArray:
    """Moves from every cell to a target, float64 [size]; infinite where it cannot be reached.

    Args:
        world: The grid.
        target: Index of a cell.
        safe: Never step on a trap.
    """
    table, traps = world.next_cells(), world.traps
    told = np.full(world.size, np.inf)
    told[target] = 0.0
    queue = deque([target])
    while queue:
        cell = queue.popleft()
        for before in np.flatnonzero((table[:, 1:] == cell).any(axis=1)).tolist():
            if np.isinf(told[before]) and not (safe and traps[before]):
                told[before] = told[cell] + 1.0
                queue.append(before)
    return told
