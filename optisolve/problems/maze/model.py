r"""The equations of `maze` in plain numpy: the twin that verification runs on.

A walker starts at s_0 and makes moves a_1, a_2, ... of (stay, up, down, left, right); walls and the border hold it where it is.

.. math:: s_t = T(s_{t-1}, a_t), \qquad m_t = m_{t-1} \cup \{ i : s_t = \text{prize}_i \}

(with ordered prizes, i counts only when all lower numbers are collected). A trap ends the walk; so does the goal once all
prizes are collected. The objective is the number of moves until that success, the horizon where there is none.

Constraints, dimensionless: ``trap`` is 1 when the walk ends in a trap; ``prizes`` is the share of prizes not collected;
``goal`` is the Manhattan distance from the last cell to the goal over width + height, and at least one step of it when the goal
was reached too early.

Source: our formal model of the maze study of arXiv 2402.09756 (figure 2 gives the grid and the task in words).
"""

from __future__ import annotations

import numpy as np

from optisolve.core.arrays import FloatArray, IntArray

__all__ = ["GOAL", "PRIZE", "START", "TRAP", "WALL", "walk"]

WALL, TRAP, START, GOAL, PRIZE = 1, 2, 3, 4, 10
_UP = np.array([0, 1, -1, 0, 0])
_RIGHT = np.array([0, 0, 0, -1, 1])


def walk(cells: IntArray, ordered: bool, X: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Objective and constraints of a batch of walks.

    Args:
        cells: int64 [height, width], codes; row 0 is the bottom row.
        ordered: Prizes count only in the order of their numbers.
        X: float64 [n, T], moves 0 to 4.

    Returns:
        Moves until success float64 [n, 1], and constraints float64 [n, 3].
    """
    height, width = cells.shape
    n, horizon = X.shape
    n_prizes = int((cells >= PRIZE).sum())
    (row,), (column,) = (values[:1] for values in np.nonzero(cells == START))
    goal_row, goal_column = (int(values[0]) for values in np.nonzero(cells == GOAL))
    r, c = np.full(n, row), np.full(n, column)
    has = np.zeros((n, n_prizes), dtype=bool)
    trapped, done = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
    moves = np.full(n, horizon, dtype=np.int64)
    for t in range(horizon):
        active = ~trapped & ~done
        a = X[:, t].astype(np.int64)
        to_r, to_c = r + _UP[a], c + _RIGHT[a]
        inside = (to_r >= 0) & (to_r < height) & (to_c >= 0) & (to_c < width)
        free = inside & (cells[np.where(inside, to_r, 0), np.where(inside, to_c, 0)] != WALL)
        go = active & free
        r, c = np.where(go, to_r, r), np.where(go, to_c, c)
        here = cells[r, c]
        for i in range(n_prizes):
            due = has[:, :i].all(axis=1) if ordered else True
            has[:, i] |= active & (here == PRIZE + i) & due
        trapped |= active & (here == TRAP)
        arrived = active & (here == GOAL) & has.all(axis=1)
        moves = np.where(arrived, t + 1, moves)
        done |= arrived
    missing = 1.0 - has.mean(axis=1) if n_prizes else np.zeros(n)
    away = np.abs(r - goal_row) + np.abs(c - goal_column)
    away = np.where(done, 0, np.maximum(away, 1))
    G = np.column_stack([trapped.astype(np.float64), missing, away / (width + height)])
    return moves.astype(np.float64)[:, None], G
