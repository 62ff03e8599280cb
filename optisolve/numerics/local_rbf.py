"""Radial basis functions on the nearest known points: a cheap guess of what a point is worth, for many places at once.

A cubic with a linear tail, interpolating up to a tiny ridge; one small linear system per place, all of them solved together.

Source: Gutmann 2001, J. Global Optimization 19, doi 10.1023/A:1011255519438 (cubic with linear tail); the nearest points only,
as in Regis & Shoemaker 2007, doi 10.1007/s10898-006-9040-1.
"""

from __future__ import annotations

import numpy as np

from optisolve.core.arrays import FloatArray

__all__ = ["local_guess"]

_RIDGE = 1e-8
"""Added to the diagonal, in units of the cubed radius: points that are almost equal leave the system solvable."""
_FEW = 1.2
"""Known points per coefficient of the linear tail below which the tail is a constant."""


def local_guess(U: FloatArray, Y: FloatArray, centers: FloatArray, Q: FloatArray, n_near: int) -> FloatArray:
    """Guess values at points round several places.

    Args:
        U: float64 [N, d], known points, scaled so that distances mean something; N >= 1.
        Y: float64 [N, c], their values.
        centers: float64 [n, d], the places; each one's model is made of the points nearest to it.
        Q: float64 [n, q, d], where the values are asked for.
        n_near: Known points per model, at most N are used.

    Returns:
        float64 [n, q, c].

    Raises:
        numpy.linalg.LinAlgError: A system is singular to the last digit.
    """
    n, d = centers.shape
    n_near = min(n_near, U.shape[0])
    squares = _squares(centers[None], U[None])[0]  # [n, N]
    near = np.argpartition(squares, n_near - 1, axis=1)[:, :n_near]
    radius = np.sqrt(np.maximum(np.take_along_axis(squares, near, axis=1).max(axis=1), 1e-24))[:, None, None]
    P, Z = (U[near] - centers[:, None]) / radius, (Q - centers[:, None]) / radius  # [n, K, d], [n, q, d]
    values = Y[near]  # [n, K, c]
    mean = values.mean(axis=1, keepdims=True)
    tail = 1 + d if n_near >= _FEW * (1 + d) else 1
    A = np.zeros((n, n_near + tail, n_near + tail))
    A[:, :n_near, :n_near] = _squares(P, P) ** 1.5 + _RIDGE * np.eye(n_near)
    A[:, :n_near, n_near:] = _with_one(P)[:, :, :tail]
    A[:, n_near:, :n_near] = A[:, :n_near, n_near:].transpose(0, 2, 1)
    A[:, n_near:, n_near:] = -1e-9 * np.eye(tail)  # points in a plane leave some slopes open; the smallest ones are taken
    right = np.concatenate([values - mean, np.zeros((n, tail, Y.shape[1]))], axis=1)
    weights = np.linalg.solve(A, right)
    guess: FloatArray = np.concatenate([_squares(Z, P) ** 1.5, _with_one(Z)[:, :, :tail]], axis=2) @ weights + mean
    return guess


def _squares(A: FloatArray, B: FloatArray) -> FloatArray:
    """Squared distances between the rows of stacks, float64 [n, a, b]."""
    inner = A @ B.transpose(0, 2, 1)
    squares: FloatArray = np.maximum((A**2).sum(axis=2)[:, :, None] + (B**2).sum(axis=2)[:, None, :] - 2.0 * inner, 0.0)
    return squares


def _with_one(A: FloatArray) -> FloatArray:
    """Rows led by a one, float64 [n, a, 1 + d]."""
    return np.concatenate([np.ones((*A.shape[:2], 1)), A], axis=2)
