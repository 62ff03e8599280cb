"""Gaussian-process regression on the unit box: Matern-5/2 with one length per variable, fitted by maximum a posteriori.

The mean is constant and, like the signal's variance, eliminated in closed form, so that a fit searches over lengths and one
relative noise only. Its gradient costs matrix products, never an array of n x n x d.

Sources: Rasmussen & Williams 2006, sections 2.7, 4.2 and 5.4; the prior of the lengths grows with the square root of the
dimension, Hvarfner et al. 2024, arXiv 2402.02229, section 5.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve, lapack
from scipy.optimize import minimize

from optisolve.core.arrays import FloatArray

__all__ = ["GaussianProcess"]

_ROOT5 = math.sqrt(5.0)
_LENGTH, _LENGTH_SPREAD = math.log(0.3), 0.8
"""Mean and standard deviation of the logarithm of a length over the root of the dimension, a priori."""
_NOISE, _NOISE_SPREAD = math.log(1e-4), 2.0
"""Mean and standard deviation of the logarithm of noise over signal (variances), a priori: simulators, not measurements."""
_BOUNDS_LENGTH, _BOUNDS_NOISE = (math.log(5e-3), math.log(1e3)), (math.log(1e-8), math.log(0.3))
_ITERATIONS = 40


@dataclass(frozen=True, eq=False, slots=True)
class GaussianProcess:
    """A fitted process, ready to predict.

    Attributes:
        U: float64 [n, d], where values are known, in the unit box.
        y: float64 [n], the values.
        theta: float64 [d + 1], logarithms of lengths and of noise over signal.
        mean: Constant mean.
        signal: Variance of the signal.
        alpha: float64 [n], (K + noise)^-1 (y - mean).
        whiten: float64 [n, n], inverse of the lower Cholesky factor of K + noise, with a signal of 1.
    """

    U: FloatArray
    y: FloatArray
    theta: FloatArray
    mean: float
    signal: float
    alpha: FloatArray
    whiten: FloatArray

    @classmethod
    def fit(
        cls, U: FloatArray, y: FloatArray, start: FloatArray | None = None, *, hurry: Callable[[], bool] = lambda: False
    ) -> GaussianProcess:
        """The process whose lengths and noise are most probable.

        Args:
            U: float64 [n, d], in the unit box, n >= 2; equal rows are fine, since there is noise.
            y: float64 [n].
            start: float64 [d + 1], a theta to begin from as well as from that of the prior.
            hurry: Asked after every iteration; the best so far is good enough when it says so.

        Returns:
            The fitted process; for constant values one that predicts that constant.
        """
        d = U.shape[1]
        prior = np.full(d + 1, _LENGTH + 0.5 * math.log(d))
        prior[d] = _NOISE
        if np.ptp(y) <= 1e-12 * np.abs(y).max(initial=1.0):
            return cls.at(U, y, prior)
        bounds = [_BOUNDS_LENGTH] * d + [_BOUNDS_NOISE]
        low, high = np.array(bounds).T

        def halt(_: FloatArray) -> None:
            if hurry():
                raise StopIteration

        # A former fit of fewer points may take what it cannot explain for noise, and would go on to do so.
        ends = [
            minimize(
                _loss,
                np.clip(begin, low, high),
                args=(U, y, prior),
                jac=True,
                method="L-BFGS-B",
                bounds=bounds,
                callback=halt,
                options={"maxiter": _ITERATIONS, "ftol": 1e-6},
            )
            for begin in ([prior] if start is None else [prior, start])
        ]
        best = min(ends, key=lambda end: float(end.fun))
        return cls.at(U, y, np.asarray(best.x, dtype=np.float64))

    @classmethod
    def at(cls, U: FloatArray, y: FloatArray, theta: FloatArray) -> GaussianProcess:
        """The process with given lengths and noise; one factorization."""
        factor, mean, alpha, signal = _solved(_correlation(U, U, theta), y, theta)
        whiten, _ = lapack.dtrtri(factor, lower=1)
        return cls(U, y, theta, mean, signal, alpha, np.tril(whiten))

    def predict(self, V: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation of the noiseless value, each float64 [k], at points V, float64 [k, d]."""
        cross = _correlation(self.U, V, self.theta)  # [n, k]
        explained = np.einsum("nk,nk->k", *(2 * (self.whiten @ cross,)))
        deviation = np.sqrt(self.signal * np.maximum(1.0 - explained, 1e-12))
        return self.mean + cross.T @ self.alpha, deviation

    def slopes(self, V: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Mean and standard deviation as `predict` gives them, and their gradients, float64 [k, d], by the points."""
        r2 = _squared(self.U, V, self.theta)
        r = _ROOT5 * np.sqrt(r2)
        decay = np.exp(-r)
        cross = (1.0 + r + (5.0 / 3.0) * r2) * decay  # [n, k]
        half = self.whiten @ cross
        left = 1.0 - np.einsum("nk,nk->k", half, half)
        deviation = np.sqrt(self.signal * np.maximum(left, 1e-12))
        fall = (-5.0 / 3.0) * (1.0 + r) * decay
        lengths2 = np.exp(2.0 * self.theta[:-1])

        def along(weights: FloatArray) -> FloatArray:
            """Gradient of a sum of correlations with weights, float64 [n, k], held constant."""
            M = weights * fall
            gradient: FloatArray = (M.sum(axis=0)[:, None] * V - M.T @ self.U) / lengths2
            return gradient

        of_deviation = -self.signal * along(self.whiten.T @ half) * (left > 1e-12)[:, None] / deviation[:, None]
        return self.mean + cross.T @ self.alpha, deviation, along(self.alpha[:, None]), of_deviation

    def believing(self, u: FloatArray) -> GaussianProcess:
        """The process that takes its own mean at a pending point u, float64 [d], for a value seen there.

        Source: Ginsbourger, Le Riche & Carraro 2010, doi 10.1007/978-3-642-10701-6_6 (kriging believer).
        """
        mean, _ = self.predict(u[None, :])
        return GaussianProcess.at(np.vstack([self.U, u]), np.append(self.y, mean), self.theta)


def _squared(U: FloatArray, V: FloatArray, theta: FloatArray) -> FloatArray:
    """Squared distances in lengths, float64 [n, k]."""
    lengths = np.exp(theta[:-1])
    A, B = U / lengths, V / lengths
    r2: FloatArray = (A * A).sum(axis=1)[:, None] + (B * B).sum(axis=1) - 2.0 * (A @ B.T)
    return np.maximum(r2, 0.0, out=r2)


def _correlation(U: FloatArray, V: FloatArray, theta: FloatArray) -> FloatArray:
    """Matern-5/2, float64 [n, k]."""
    r2 = _squared(U, V, theta)
    r = _ROOT5 * np.sqrt(r2)
    return (1.0 + r + (5.0 / 3.0) * r2) * np.exp(-r)


def _solved(K: FloatArray, y: FloatArray, theta: FloatArray) -> tuple[FloatArray, float, FloatArray, float]:
    """Lower Cholesky factor of K + noise, generalized least-squares mean, alpha and variance of the signal."""
    n = y.size
    K.flat[:: n + 1] = 1.0 + math.exp(theta[-1]) + n * 1e-14
    factor = cho_factor(K, lower=True, overwrite_a=True, check_finite=False)
    ones = cho_solve(factor, np.ones(n), check_finite=False)
    mean = float(ones @ y / ones.sum())
    alpha = cho_solve(factor, y - mean, check_finite=False)
    signal = max(float((y - mean) @ alpha) / n, 1e-300)
    return factor[0], mean, alpha, signal


def _loss(theta: FloatArray, U: FloatArray, y: FloatArray, prior: FloatArray) -> tuple[float, FloatArray]:
    """Negative logarithm of the posterior density of theta, and its gradient.

    The derivative of the correlation by the logarithm of length i is (5/3) (1 + r) exp(-r) (u_i - v_i)^2 / l_i^2 with
    r = sqrt(5) times the distance in lengths; summed against a symmetric weight W it is a difference of two products.
    """
    n, d = U.shape
    r2 = _squared(U, U, theta)
    r = _ROOT5 * np.sqrt(r2)
    decay = np.exp(-r)
    noise = math.exp(theta[-1])
    factor, _, alpha, signal = _solved((1.0 + r + (5.0 / 3.0) * r2) * decay, y, theta)
    inverse, _ = lapack.dpotri(factor, lower=1)
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    W = np.outer(alpha, alpha) / signal - inverse  # [n, n]
    M = W * ((5.0 / 3.0) * (1.0 + r) * decay)
    A = U / np.exp(theta[:-1])
    by_length = M.sum(axis=1) @ (A * A) - ((M @ A) * A).sum(axis=0)
    spread = np.full(d + 1, _LENGTH_SPREAD)
    spread[d] = _NOISE_SPREAD
    off = (theta - prior) / spread
    value = 0.5 * n * math.log(signal) + float(np.log(np.diag(factor)).sum()) + 0.5 * float(off @ off)
    gradient = off / spread
    gradient[:d] -= by_length
    gradient[d] -= 0.5 * noise * float(np.trace(W))
    return value, gradient
