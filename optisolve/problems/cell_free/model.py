r"""The equations of `cell_free` in plain numpy: the twin that verification runs on.

M single-antenna access points serve K users by conjugate beamforming with orthogonal pilots. With the share
:math:`a_{mk}^2 = \eta_{mk} \gamma_{mk}` of access point m's power that user k gets,

.. math:: SINR_k = \frac{\rho (\sum_m \sqrt{\gamma_{mk}}\, a_{mk})^2}{\rho \sum_m \beta_{mk} \sum_j a_{mj}^2 + 1},
          \qquad \sum_k a_{mk}^2 \le 1,

where beta is the large-scale gain, rho the transmit power over the noise, and gamma the mean square of the channel estimate,
:math:`\gamma = \tau \rho_p \beta^2 / (\tau \rho_p \beta + 1)`. The objective is log2(1 + min_k SINR_k).

Source: Ngo, Ashikhmin, Yang, Larsson and Marzetta 2017, doi 10.1109/TWC.2017.2655515, in amplitudes instead of eta.
"""

from __future__ import annotations

import numpy as np

from optisolve.core.arrays import FloatArray

__all__ = ["estimate_gain", "evaluate", "project", "sinr"]


def estimate_gain(beta: FloatArray, pilot_snr: float) -> FloatArray:
    """Mean square gamma of the channel estimates, float64 [M, K]; beta float64 [M, K], pilot_snr tau rho_p."""
    heard = pilot_snr * beta
    gamma: FloatArray = beta * (heard / (heard + 1.0))  # the square of a small gain would lose it
    return gamma


def sinr(beta_snr: FloatArray, gamma_snr: FloatArray, a: FloatArray) -> FloatArray:
    """SINR of every user, float64 [n, K].

    Args:
        beta_snr: float64 [M, K], rho beta.
        gamma_snr: float64 [M, K], rho gamma.
        a: float64 [n, M, K], amplitudes.
    """
    signal = (np.sqrt(gamma_snr) * a).sum(axis=1)  # [n, K]
    load = (a * a).sum(axis=2)  # [n, M]
    found: FloatArray = signal**2 / ((load[:, :, None] * beta_snr).sum(axis=1) + 1.0)
    return found


def evaluate(beta_snr: FloatArray, gamma_snr: FloatArray, X: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Objective and constraints.

    Args:
        beta_snr: float64 [M, K], rho beta.
        gamma_snr: float64 [M, K], rho gamma.
        X: float64 [n, M K], amplitudes, access point by access point.

    Returns:
        F float64 [n, 1], bit/s/Hz; G float64 [n, M], load of every access point minus 1.
    """
    a = X.reshape(X.shape[0], *beta_snr.shape)
    worst = sinr(beta_snr, gamma_snr, a).min(axis=1, keepdims=True)
    return np.log1p(worst) / np.log(2.0), (a * a).sum(axis=2) - 1.0


def project(shape: tuple[int, ...], X: FloatArray) -> FloatArray:
    """Exact Euclidean projection of non-negative amplitudes, float64 [n, M K], on the unit balls of the access points."""
    a = X.reshape(X.shape[0], *shape)
    norm = np.sqrt((a * a).sum(axis=2, keepdims=True))
    inside: FloatArray = (a / np.maximum(norm, 1.0)).reshape(X.shape)
    return inside
