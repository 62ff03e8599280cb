"""Scalarizing functions in plain numpy, for what is computed once a run; the kernels compute them once a point.

All objectives are in minimization form and are first normalized,

.. math:: \\hat f_j = (f_j - z_j) / s_j,

with the running ideal point z and the width s of the running front (all ones without normalization).
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np

from optisolve.core.arrays import BoolArray, FloatArray

__all__ = [
    "MIN_WEIGHT",
    "Points",
    "Scalarization",
    "Yardstick",
    "dominated",
    "front_nadir",
    "front_width",
    "pbi",
    "scalarize",
    "tchebycheff",
]

MIN_WEIGHT = 1e-6
"""Replaces smaller weights, so that no objective is ignored altogether (weakly optimal points otherwise tie)."""


class Scalarization(IntEnum):
    """Scalarizing functions, numbered for the kernels."""

    TCHEBYCHEFF = 0
    PBI = 1


class Points(NamedTuple):
    """Evaluated points.

    Args:
        X: float64 [n, d].
        F: float64 [n, m], minimization form.
        violation: float64 [n].
    """

    X: FloatArray
    F: FloatArray
    violation: FloatArray


class Yardstick(NamedTuple):
    """What a point is worth to each of N sub-problems.

    Args:
        weights: float64 [N, m], >= `MIN_WEIGHT`.
        ideal: float64 [m].
        width: float64 [m], > 0.
        kind: A `Scalarization`.
        theta: Penalty of PBI.
    """

    weights: FloatArray
    ideal: FloatArray
    width: FloatArray
    kind: int
    theta: float


def tchebycheff(f_hat: FloatArray, weight: FloatArray) -> FloatArray:
    """Weighted Tchebycheff value, max_j w_j |f_j|.

    Args:
        f_hat: float64 [..., m], normalized objectives.
        weight: float64 [..., m], >= `MIN_WEIGHT`.

    Returns:
        float64 [...], lower is better.

    Source: Zhang & Li 2007, doi 10.1109/TEVC.2007.892759, eq. (2).
    """
    value: FloatArray = np.max(weight * np.abs(f_hat), axis=-1)
    return value


def pbi(f_hat: FloatArray, weight: FloatArray, theta: float) -> FloatArray:
    """Penalty-based boundary intersection, d1 + theta d2.

    d1 is the length of the projection onto the weight's direction, d2 the distance from that direction.

    Args:
        f_hat: float64 [..., m], normalized objectives.
        weight: float64 [..., m], >= `MIN_WEIGHT`.
        theta: Penalty of the distance d2, dimensionless.

    Returns:
        float64 [...], lower is better.

    Source: Zhang & Li 2007, doi 10.1109/TEVC.2007.892759, eqs. (4)-(6).
    """
    direction = weight / np.sqrt((weight * weight).sum(axis=-1))[..., None]
    d1 = (f_hat * direction).sum(axis=-1)
    offset = f_hat - d1[..., None] * direction
    d2 = np.sqrt((offset * offset).sum(axis=-1))
    value: FloatArray = np.abs(d1) + theta * d2
    return value


def scalarize(F: FloatArray, weights: FloatArray, ideal: FloatArray, width: FloatArray, kind: int, theta: float) -> FloatArray:
    """Scalarized values of objectives F under weights that broadcast against them.

    Args:
        F: float64 [..., m], minimization form.
        weights: float64 [..., m], >= `MIN_WEIGHT`.
        ideal: float64 [m].
        width: float64 [m], > 0.
        kind: A `Scalarization`.
        theta: Penalty of PBI, dimensionless; unused otherwise.

    Returns:
        float64 [...], lower is better.
    """
    f_hat, weights = np.broadcast_arrays((F - ideal) / width, weights)
    return tchebycheff(f_hat, weights) if kind == Scalarization.TCHEBYCHEFF else pbi(f_hat, weights, theta)


def dominated(F: FloatArray) -> BoolArray:
    """Which rows are dominated by another row, bool [n]; F float64 [n, m] is minimized."""
    no_worse = np.all(F[:, None, :] <= F[None, :, :], axis=2)  # [n, n], row i against row j
    better = np.any(F[:, None, :] < F[None, :, :], axis=2)
    return np.asarray(np.any(no_worse & better, axis=0), dtype=np.bool_)


def front_nadir(F: FloatArray, violation: FloatArray) -> FloatArray:
    """Largest objectives of the non-dominated feasible incumbents; of all incumbents while none is feasible.

    Args:
        F: float64 [N, m], minimization form.
        violation: float64 [N].

    Returns:
        float64 [m].
    """
    feasible = violation <= 0.0
    kept = F[feasible] if feasible.any() else F
    if feasible.any():
        kept = kept[~dominated(kept)]
    nadir: FloatArray = kept.max(axis=0)
    return nadir


def front_width(F: FloatArray, ideal: FloatArray, nadir: FloatArray) -> FloatArray:
    """Width of the front per objective, never zero.

    An objective in which the front has no extent takes the extent of all incumbents instead, and 1 when they have
    none either.

    Args:
        F: float64 [N, m], minimization form.
        ideal: float64 [m].
        nadir: float64 [m].

    Returns:
        float64 [m], > 0.
    """
    largest = F.max(axis=0)
    tiny = 1e-12 * np.maximum(np.abs(ideal), np.abs(largest))
    width = nadir - ideal
    width = np.where(width > tiny, width, largest - ideal)
    return np.where(width > tiny, width, 1.0)
