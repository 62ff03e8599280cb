"""Where one transmitter above a square should hover: branch and bound over the position, exact split of its power.

Users are served on one channel with successive interference cancellation. For a fixed position the best split is known; the
best sum rate never grows when a user's channel gets worse (the capacity region of a degraded broadcast channel shrinks), so the
best split at every user's smallest distance bounds a square of positions. Squares are refined level by level: the method Big
Square Small Square of location theory.

Source: Hansen, Peeters, Richard and Thisse 1985, doi 10.1287/opre.33.6.1251; the bound is derived in `problems/noma_uav`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.capabilities import HoveringTransmitter
from optisolve.core.problem import FEASIBILITY_TOLERANCE

__all__ = ["MISSED", "SPARE", "UNIT", "FoundPosition", "best_position"]

SPARE = 1e-12
"""Share of the strongest user's need that a split may miss by rounding; far below what verification accepts."""

UNIT = float(np.finfo(np.float64).eps)

MISSED = FEASIBILITY_TOLERANCE * (1.0 + 1e-5)
"""Share by which a verified point may miss a constraint, with room for the rounding of its evaluation."""

_MAX_LEVELS = 60
"""Halvings of the squares at most; below, their size is lost in the rounding of the coordinates."""

_TOGETHER = 4096
"""Squares between two looks at the clock."""


@dataclass(frozen=True, eq=False, slots=True)
class FoundPosition:
    """What the search ended with.

    Attributes:
        place_m: float64 [2], best position; None when none was found.
        value: Its sum rate, bit/s/Hz; -1 without one.
        edge: Minimum rates are met at it only within the feasibility tolerance, no position was found where they are met.
        bound: No position and split that meet all constraints are worth more, bit/s/Hz; -1 when there are none.
        loose: The same for those that miss every constraint by no more than verification accepts.
        cells: Squares looked at.
    """

    place_m: FloatArray | None
    value: float
    edge: bool
    bound: float
    loose: float
    cells: int


def best_position(
    case: HoveringTransmitter, *, rel_gap: float, max_cells: int, out_of_time: Callable[[], bool] | None = None
) -> FoundPosition:
    """Best position with its exact split, and bounds valid for the whole area.

    Args:
        case: Users, transmitter, area.
        rel_gap: Squares whose bound exceeds the best value by less than this share are closed.
        max_cells: Squares bounded at most.
        out_of_time: Whether to stop; asked every few thousand squares.
    """
    from optisolve.numerics import noma_position_kernels as kernels

    c, users = case.constants, case.users_m
    altitude, scale, ordered = c.altitude_m, c.noise_over_gain_1m_w / c.p_total_w, c.power_order
    strict, loosened = (np.empty((2, len(users))) for _ in range(2))
    kernels.rules(case.min_rate, 0.0, *strict)
    kernels.rules(case.min_rate, MISSED, *loosened)
    # Differences of coordinates are rounded at the size of the area, which counts where it is much larger than the altitude
    below = 1.0 - UNIT * (16.0 + 8.0 * case.area_m / altitude)
    best, place, bound, loose = -1.0, None, -1.0, -1.0
    edge, edge_place = -1.0, None
    half, cells, level, stopped = case.area_m / 32.0, 0, 0, False
    active = _first_squares(half)
    while len(active) and cells + len(active) <= max_cells and level < _MAX_LEVELS and not stopped:
        cells += len(active)
        for part in _parts(active):
            found, x, y = kernels.centers(users, altitude, scale, ordered, *strict, part, best)
            if found > best:
                best, place = found, np.array([x, y])
            stopped = stopped or _up(out_of_time)
        limit, divided = best * (1.0 + rel_gap) if best >= 0.0 else -1.0, [np.empty((0, 3))]
        for part in _parts(active):
            if stopped := stopped or _up(out_of_time):
                break
            children = np.empty((4 * len(part), 3))
            count, closed, relaxed, near, x, y = kernels.divide(
                users, altitude, scale, below, ordered, *strict, *loosened, MISSED, limit, part, half, level, children
            )
            divided.append(children[:count])
            bound, loose = max(bound, closed), max(loose, relaxed)
            if near > edge:
                edge, edge_place = near, np.array([x, y])
        if not stopped:
            active, half, level = np.concatenate(divided), 0.5 * half, level + 1
    if len(active):
        bound = max(bound, float(active[:, 2].max()))
        if stopped:  # no time for all of them: the whole area as one square
            active, half = np.full((1, 3), 0.5 * case.area_m), 0.5 * case.area_m
        loose = max(loose, kernels.loosest(users, altitude, scale * below, ordered, *loosened, MISSED, active, half))
    if best < 0.0:
        return FoundPosition(edge_place, edge, edge >= 0.0, bound, loose, cells)
    return FoundPosition(place, best, False, bound, loose, cells)


def _first_squares(half: float) -> FloatArray:
    """Sixteen by sixteen squares, float64 [256, 3]: center in m, and a bound that says nothing."""
    steps = half * (2.0 * np.arange(16) + 1.0)
    x, y = (grid.ravel() for grid in np.meshgrid(steps, steps, indexing="ij"))
    return np.column_stack([x, y, np.full(256, np.inf)])


def _parts(active: FloatArray) -> list[FloatArray]:
    return [active[i : i + _TOGETHER] for i in range(0, len(active), _TOGETHER)]


def _up(out_of_time: Callable[[], bool] | None) -> bool:
    return out_of_time is not None and out_of_time()
