"""Numba kernel of `maze`; the readable equations are in `model`."""

from __future__ import annotations

from typing import Any

from optisolve.numerics.compiled import njit

__all__ = ["evaluate"]

_WALL, _TRAP, _GOAL, _PRIZE = 1, 2, 4, 10


@njit(cache=True, nogil=True)
def evaluate(
    cells: Any,
    ordered: bool,
    n_prizes: int,
    start_row: int,
    start_column: int,
    goal_row: int,
    goal_column: int,
    X: Any,
    F: Any,
    G: Any,
) -> None:
    """Walk every row.

    Args:
        cells: int64 [height, width], codes.
        ordered: Prizes count only in the order of their numbers.
        n_prizes: Number of prizes, at most 62.
        start_row: Where walks begin.
        start_column: Where walks begin.
        goal_row: Where walks shall end.
        goal_column: Where walks shall end.
        X: float64 [n, T], moves 0 to 4.
        F: float64 [n, 1], written.
        G: float64 [n, 3], written.
    """
    height, width = cells.shape
    horizon = X.shape[1]
    everything = (1 << n_prizes) - 1
    for s in range(X.shape[0]):
        row, column, mask, count = start_row, start_column, 0, 0
        trapped, done, moves = False, False, horizon
        for t in range(horizon):
            a = int(X[s, t])
            r, c = row, column
            if a == 1:
                r += 1
            elif a == 2:
                r -= 1
            elif a == 3:
                c -= 1
            elif a == 4:
                c += 1
            if 0 <= r < height and 0 <= c < width and cells[r, c] != _WALL:
                row, column = r, c
            here = cells[row, column]
            if here >= _PRIZE:
                bit = 1 << (here - _PRIZE)
                if mask & bit == 0 and (not ordered or mask == bit - 1):
                    mask |= bit
                    count += 1
            elif here == _TRAP:
                trapped = True
                break
            elif here == _GOAL and mask == everything:
                done, moves = True, t + 1
                break
        away = abs(row - goal_row) + abs(column - goal_column)
        if done:
            away = 0
        elif away == 0:
            away = 1
        F[s, 0] = moves
        G[s, 0] = 1.0 if trapped else 0.0
        G[s, 1] = 1.0 - count / n_prizes if n_prizes > 0 else 0.0
        G[s, 2] = away / (width + height)
