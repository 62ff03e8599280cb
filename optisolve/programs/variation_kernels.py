"""Hot loop of the skeleton for the decomposition engine; `variation` holds the documentation."""

from __future__ import annotations

from math import sqrt

import numpy as np

from optisolve.numerics.compiled import njit
from optisolve.programs.interpreter import execute

__all__ = ["vary"]

_kernel = njit(cache=True, nogil=True, error_model="numpy")


@_kernel
def _moments(S, rows, mean, spread):  # type: ignore[no-untyped-def]
    """Mean and standard deviation of some points, per variable."""
    n = rows.size
    for j in range(mean.size):
        total = 0.0
        for k in range(n):
            total += S[rows[k], j]
        mean[j] = total / n
        squares = 0.0
        for k in range(n):
            squares += (S[rows[k], j] - mean[j]) ** 2
        spread[j] = sqrt(squares / n)


@_kernel
def _podium(mates, values, violation, chosen):  # type: ignore[no-untyped-def]
    """Best, second, third and worst parent, equal ones as they stand; with few parents some are the same."""
    size = mates.size
    for place in range(3):
        found = -1
        for k in range(size):
            taken = False
            for before in range(min(place, size - 1)):
                taken = taken or chosen[before] == k
            if not taken and (found < 0 or _before(k, found, mates, values, violation)):
                found = k
        chosen[place] = found
    chosen[3] = 0
    for k in range(1, size):
        if _before(chosen[3], k, mates, values, violation):
            chosen[3] = k


@_kernel
def _before(k, other, mates, values, violation):  # type: ignore[no-untyped-def]
    mine, its = violation[mates[k]], violation[mates[other]]
    return mine < its or (mine == its and values[k] < values[other])


@_kernel
def vary(S, violation, targets, mates, values, progress, instructions, numbers, pairs, U, Z, draws, registers, stack):  # type: ignore[no-untyped-def]
    """One offspring per target.

    Args:
        S: float64 [N, d], incumbents in units of the box, 0 to 1.
        violation: float64 [N].
        targets: int64 [n].
        mates: int64 [n, T].
        values: float64 [n, T], scalarized values of the mates.
        progress: Share of the evaluations that are used.
        instructions: int64 [c, 5].
        numbers: float64.
        pairs: float64 [n, 2], uniform: two different mates.
        U: float64 [2, n, d], uniform.
        Z: float64 [n, d], standard normal.
        draws: float64 [n, 2], one uniform and one normal number per offspring.
        registers: float64 [3, slot], overwritten.
        stack: float64 [depth, slot], overwritten.

    Returns:
        float64 [n, d] in [0, 1].
    """
    n, d, size = targets.size, S.shape[1], mates.shape[1]
    children = np.empty((n, d))
    vectors, scalars, matrices = np.empty((14, d)), np.empty(4), np.empty((0, 1, 1))
    chosen = np.zeros(4, dtype=np.int64)
    everybody = np.arange(S.shape[0])
    _moments(S, everybody, vectors[9], vectors[10])
    scalars[2], scalars[3] = progress, d
    for row in range(n):
        first = int(pairs[row, 0] * size)
        second = int(pairs[row, 1] * (size - 1))
        if second >= first and size > 1:
            second += 1
        _podium(mates[row], values[row], violation, chosen)
        vectors[0, :] = S[targets[row]]
        vectors[1, :] = S[mates[row, first]]
        vectors[2, :] = S[mates[row, second]]
        for place in range(4):
            vectors[3 + place, :] = S[mates[row, chosen[place]]]
        _moments(S, mates[row], vectors[7], vectors[8])
        vectors[11, :] = U[0, row]
        vectors[12, :] = U[1, row]
        vectors[13, :] = Z[row]
        scalars[0], scalars[1] = draws[row, 0], draws[row, 1]
        for r in range(registers.shape[0]):
            registers[r, :] = 0.0
        execute(instructions, numbers, scalars, vectors, matrices, registers, stack, d)
        for j in range(d):
            children[row, j] = min(max(stack[0, j], 0.0), 1.0)
    return children
