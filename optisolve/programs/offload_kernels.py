"""Hot loop of the skeleton for offloading; `offload` holds the documentation."""

from __future__ import annotations

import numpy as np

from optisolve.numerics.compiled import njit
from optisolve.programs.interpreter import ascending, execute

__all__ = ["offload"]

_LESS = 1e-12
"""Smallest saving of a move, relative to the cost: less is rounding."""

_kernel = njit(cache=True, nogil=True, error_model="numpy")


@_kernel
def _loads(root, place, load):  # type: ignore[no-untyped-def]
    """Sum of roots on every server."""
    load[:] = 0.0
    for i in range(place.size):
        if place[i] > 0:
            load[place[i] - 1] += root[i, place[i] - 1]


@_kernel
def _cost(local, transmit, place, load):  # type: ignore[no-untyped-def]
    total = 0.0
    for i in range(place.size):
        total += transmit[i, place[i] - 1] if place[i] > 0 else local[i]
    for s in range(load.size):
        total += load[s] * load[s]
    return total


@_kernel
def _change(i, j, local, transmit, root, place, load):  # type: ignore[no-untyped-def]
    """Exact change of the cost when task i goes to place j; 0 is home."""
    here = place[i]
    if here == j:
        return 0.0
    change = local[i] if j == 0 else transmit[i, j - 1] + root[i, j - 1] * (2.0 * load[j - 1] + root[i, j - 1])
    if here == 0:
        return change - local[i]
    return change - transmit[i, here - 1] - root[i, here - 1] * (2.0 * load[here - 1] - root[i, here - 1])


@_kernel
def _exchange(order, n_places, local, transmit, root, place, load, least):  # type: ignore[no-untyped-def]
    """One task leaves its server and another one goes on it: the first pair by the scores that saves enough, if there is one.

    `order` is ascending, so both are looked for from its end.
    """
    for first in range(order.size - 1, -1, -1):
        i, j = order[first] // n_places, order[first] % n_places
        here = place[i]
        if here in (0, j):
            continue
        saved = _change(i, j, local, transmit, root, place, load)
        place[i] = j
        _loads(root, place, load)
        for second in range(order.size - 1, -1, -1):
            k = order[second] // n_places
            if k == i or order[second] % n_places != here or place[k] == here:
                continue
            if saved + _change(k, here, local, transmit, root, place, load) < -least:
                place[k] = here
                return True
        place[i] = here
        _loads(root, place, load)
    return False


@_kernel
def offload(local, transmit, root, instructions, numbers, rounds, registers, stack):  # type: ignore[no-untyped-def]
    """Move tasks in the order of a program's scores while that saves, then exchange them; see `offload.Offload`.

    Args:
        local: float64 [N].
        transmit: float64 [N, S].
        root: float64 [N, S].
        instructions: int64 [n, 5].
        numbers: float64 [c].
        rounds: Moves at most, beside the first one of every task.
        registers: float64 [3, slot], zero, overwritten.
        stack: float64 [depth, slot], overwritten; slots of N (S + 1) numbers.

    Returns:
        int64 [N], servers; 0 is home.
    """
    n, n_places = local.size, transmit.shape[1] + 1
    n_moves = n * n_places
    vectors, scalars, matrices = np.zeros((8, n_moves)), np.zeros(4), np.zeros((0, 1, 1))
    place, load = np.zeros(n, dtype=np.int64), np.zeros(n_places - 1)
    order, spare = np.empty(n_moves, dtype=np.int64), np.empty(n_moves, dtype=np.int64)
    for _ in range(n + rounds):
        _loads(root, place, load)
        cost, away = _cost(local, transmit, place, load), 0
        for i in range(n):
            away += place[i] > 0
            for j in range(n_places):
                move = i * n_places + j
                vectors[0, move] = local[i]
                vectors[1, move] = local[i] if j == 0 else transmit[i, j - 1]
                vectors[2, move] = 0.0 if j == 0 else root[i, j - 1]
                vectors[3, move] = 0.0 if j == 0 else load[j - 1]
                vectors[4, move] = 0.0 if place[i] == 0 else load[place[i] - 1]
                vectors[5, move] = _change(i, j, local, transmit, root, place, load)
                vectors[6, move] = 1.0 if place[i] == j else 0.0
                vectors[7, move] = 1.0 if j == 0 else 0.0
        scalars[0], scalars[1], scalars[2], scalars[3] = n, n_places - 1, away / n, cost
        execute(instructions, numbers, scalars, vectors, matrices, registers, stack, n_moves)
        ascending(stack[0], n_moves, order, spare)
        least = _LESS * cost
        moved = False
        for at in range(n_moves - 1, -1, -1):
            if vectors[5, order[at]] < -least:
                place[order[at] // n_places], moved = order[at] % n_places, True
                break
        if not moved and not _exchange(order, n_places, local, transmit, root, place, load, least):
            break
    return place
