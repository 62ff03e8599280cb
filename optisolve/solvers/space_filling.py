"""Points that fill a box evenly and know nothing of the problem."""

from __future__ import annotations

import math

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.space import Space

__all__ = ["latin_hypercube", "sobol", "spread"]


def latin_hypercube(space: Space, rng: np.random.Generator, n: int) -> FloatArray:
    """Sample n points so that each variable visits each of n equal slices once.

    Args:
        space: The decision space.
        rng: Source of randomness.
        n: Number of points, may be 0.

    Returns:
        float64 [n, d]; integer variables are uniform over their values.

    Source: McKay, Beckman & Conover, Technometrics 21(2), 1979.
    """
    slices = rng.permuted(np.tile(np.arange(n)[:, None], (1, space.dim)), axis=0)  # [n, d]
    return spread(space, (slices + rng.random((n, space.dim))) / max(n, 1))


def sobol(rng: np.random.Generator, d: int, n: int) -> FloatArray:
    """The first n points of a scrambled Sobol sequence, float64 [n, d], in the unit box."""
    from scipy.stats import qmc

    if n == 0:
        return np.empty((0, d))
    points: FloatArray = qmc.Sobol(d, rng=rng).random_base2(math.ceil(math.log2(n)))[:n]
    return points


def spread(space: Space, U: FloatArray) -> FloatArray:
    """Points of the unit box, float64 [n, d], in the space; integer variables are uniform over their values."""
    if not space.has_integers:
        return space.denormalize(U)
    # Integers own an interval of length 1 each, so the ends are as likely as the others.
    lower = np.where(space.integer, np.ceil(space.lower) - 0.5, space.lower)
    upper = np.where(space.integer, np.floor(space.upper) + 0.5, space.upper)
    return space.clip(lower + U * (upper - lower))
