"""Hot loop of the skeleton for user association; `association` holds the documentation."""

from __future__ import annotations

from math import inf, log

import numpy as np

from optisolve.numerics.compiled import njit
from optisolve.programs.interpreter import ascending, execute

__all__ = ["associate"]

_FAIR, _MAX_MIN = 0, 1
_MORE = 1e-12
"""Smallest gain of a move, relative to the value: less is rounding."""

_kernel = njit(cache=True, nogil=True, error_model="numpy")


@_kernel
def _crowding(load):  # type: ignore[no-untyped-def]
    return load * log(load) if load > 1.0 else 0.0


@_kernel
def _value(goal, rate, log_rate, station, load, total, slowest):  # type: ignore[no-untyped-def]
    """Objective over the users that are served; fills load, sum and least of the peak rates of every station."""
    n_users, n_stations = rate.shape
    logs, served = 0.0, 0
    for j in range(n_stations):
        load[j], total[j], slowest[j] = 0.0, 0.0, inf
    for i in range(n_users):
        j = station[i]
        if j >= 0:
            served += 1
            load[j] += 1.0
            total[j] += rate[i, j]
            slowest[j] = min(slowest[j], rate[i, j])
            logs += log_rate[i, j]
    if served == 0:
        return 0.0
    value = inf if goal == _MAX_MIN else 0.0
    for j in range(n_stations):
        if load[j] == 0.0:
            continue
        if goal == _FAIR:
            logs -= _crowding(load[j])
        elif goal == _MAX_MIN:
            value = min(value, slowest[j] / load[j])
        else:
            value += total[j] / load[j]
    return logs if goal == _FAIR else value


@_kernel
def _without(user, j, rate, station):  # type: ignore[no-untyped-def]
    """Least peak rate at a station when one of its users goes; infinite when nobody is left."""
    least = inf
    for i in range(station.size):
        if station[i] == j and i != user:
            least = min(least, rate[i, j])
    return least


@_kernel
def _change(goal, i, j, rate, log_rate, station, load, total, slowest, value, left_behind):  # type: ignore[no-untyped-def]
    """Exact change of the objective when user i is served by j; `left_behind` as from `_without` for where it is now."""
    here = station[i]
    if here == j:
        return 0.0
    if goal == _FAIR:
        change = log_rate[i, j] - (_crowding(load[j] + 1.0) - _crowding(load[j]))
        if here >= 0:
            change -= log_rate[i, here] - (_crowding(load[here]) - _crowding(load[here] - 1.0))
        return change
    if goal == _MAX_MIN:
        found = min(slowest[j], rate[i, j]) / (load[j] + 1.0)
        for other in range(load.size):
            if other == here:
                if load[other] > 1.0:
                    found = min(found, left_behind / (load[other] - 1.0))
            elif other != j and load[other] > 0.0:
                found = min(found, slowest[other] / load[other])
        return found - value
    change = (total[j] + rate[i, j]) / (load[j] + 1.0) - (total[j] / load[j] if load[j] > 0.0 else 0.0)
    if here >= 0:
        rest = (total[here] - rate[i, here]) / (load[here] - 1.0) if load[here] > 1.0 else 0.0
        change += rest - total[here] / load[here]
    return change


@_kernel
def associate(rate, log_rate, goal, instructions, numbers, told, rounds, registers, stack):  # type: ignore[no-untyped-def]
    """Serve users in the order of a program's scores, then move them while that helps; see `association.Association`.

    Args:
        rate: float64 [I, J], peak rates, Mbit/s; 0 = out of reach.
        log_rate: float64 [I, J], their logarithms; anything finite where out of reach.
        goal: 0 proportional fairness, 1 max-min, 2 sum rate.
        instructions: int64 [n, 5].
        numbers: float64 [c].
        told: bool [9], vector features that the program reads.
        rounds: Moves after the construction at most.
        registers: float64 [3, slot], zero, overwritten.
        stack: float64 [depth, slot], overwritten; slots of I J numbers.

    Returns:
        int64 [I], stations; -1 for users who reach none.
    """
    n_users, n_stations = rate.shape
    n_moves = n_users * n_stations
    vectors, scalars, matrices = np.zeros((9, n_moves)), np.zeros(4), np.zeros((0, 1, 1))
    station = np.full(n_users, -1)
    load, total, slowest = np.empty(n_stations), np.empty(n_stations), np.empty(n_stations)
    order, spare = np.empty(n_moves, dtype=np.int64), np.empty(n_moves, dtype=np.int64)
    crowd = np.zeros(n_stations)
    waiting = 0
    for i in range(n_users):
        best = 0
        for j in range(n_stations):
            best = j if rate[i, j] > rate[i, best] else best
        crowd[best] += 1.0 / n_users
        waiting += rate[i, best] > 0.0
        for j in range(n_stations):
            vectors[0, i * n_stations + j] = rate[i, j]
            vectors[1, i * n_stations + j] = rate[i, best]
    for move in range(n_moves):
        vectors[3, move] = crowd[move % n_stations]
    left = rounds
    while waiting > 0 or left > 0:
        value = _value(goal, rate, log_rate, station, load, total, slowest)
        scalars[0], scalars[1], scalars[2], scalars[3] = n_users, n_stations, waiting / n_users, value
        for i in range(n_users):
            here = station[i]
            behind = _without(i, here, rate, station) if told[7] and goal == _MAX_MIN and here >= 0 else inf
            for j in range(n_stations):
                move = i * n_stations + j
                vectors[2, move] = load[j]
                vectors[4, move] = total[j]
                vectors[5, move] = slowest[j] if load[j] > 0.0 else 0.0
                vectors[6, move] = rate[i, here] / load[here] if here >= 0 else 0.0
                if told[7]:
                    vectors[7, move] = _change(goal, i, j, rate, log_rate, station, load, total, slowest, value, behind)
                vectors[8, move] = 1.0 if here == j else 0.0
        execute(instructions, numbers, scalars, vectors, matrices, registers, stack, n_moves)
        ascending(stack[0], n_moves, order, spare)
        moved = False
        for place in range(n_moves - 1, -1, -1):
            i, j = order[place] // n_stations, order[place] % n_stations
            if rate[i, j] <= 0.0 or station[i] == j or (waiting > 0 and station[i] >= 0):
                continue
            if waiting == 0:
                behind = _without(i, station[i], rate, station) if goal == _MAX_MIN else inf
                change = _change(goal, i, j, rate, log_rate, station, load, total, slowest, value, behind)
                if not change > _MORE * max(1.0, abs(value)):
                    continue
            station[i], moved = j, True
            break
        if waiting > 0:
            waiting -= 1
        elif moved:
            left -= 1
        else:
            break
    return station
