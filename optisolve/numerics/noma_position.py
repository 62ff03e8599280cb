"""Where one transmitter above a square should hover: branch and bound over the position, exact split of its power.

Users are served on one channel with successive interference cancellation. For a fixed position the best split is known; the
best sum rate never grows when a user's channel gets worse (the capacity region of a degraded broadcast channel shrinks), so the
best split at every user's smallest distance bounds a square of positions. Squares are refined level by level: the method Big
Square Small Square of location theory. The search is in `noma_position_kernels`; here is what others need without compiling.

Source: Hansen, Peeters, Richard and Thisse 1985, doi 10.1287/opre.33.6.1251; the bound is derived in `problems/noma_uav`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.problem import FEASIBILITY_TOLERANCE

__all__ = ["MISSED", "SPARE", "UNIT", "FoundPosition"]

SPARE = 1e-12
"""Share of the strongest user's need that a split may miss by rounding; far below what verification accepts."""

UNIT = float(np.finfo(np.float64).eps)

MISSED = FEASIBILITY_TOLERANCE * (1.0 + 1e-5)
"""Share by which a verified point may miss a constraint, with room for the rounding of its evaluation."""


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
