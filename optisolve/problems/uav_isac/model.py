"""The equations of `uav_isac` in plain numpy: the twin that verification runs on.

Written to be read beside the model card. Everything is in SI units and linear scale. Sources: communication and ranging
model after "ISAC from the Sky" (arXiv 2207.02904), independent measurements of several UAVs added; air-to-ground channel
after Al-Hourani, Kandeepan and Lardner, "Optimal LAP altitude for maximum coverage", IEEE WCL 2014.

Two forms differ from the textbook line, by algebra only, so that no digits cancel:

- The common gain alpha0 divides signal, interference and noise, hence noise enters as ``noise_w / alpha0``.
- The determinant of the 2x2 information matrix is expanded by the Cauchy-Binet identity,
  ``det J = eps^2 + eps * sum_m w_m |D_m|^2 + sum_{m<n} w_m w_n (D_m x D_n)^2``, a sum of non-negative terms. The plain
  ``J11 J22 - J12^2`` loses six digits where the UAVs stand in line with a user.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optisolve.core.arrays import BoolArray, FloatArray, IntArray

__all__ = [
    "AirToGround",
    "Constants",
    "Links",
    "attenuation",
    "evaluate",
    "links",
    "project_powers",
    "too_close",
    "user_values",
]


@dataclass(frozen=True, slots=True)
class AirToGround:
    """Parameters of the Al-Hourani channel.

    Args:
        a_deg: Elevation at which the line-of-sight probability is 1 / (1 + a), degrees (also the factor a).
        b_per_deg: Steepness, 1/degree.
        eta_los_db: Excess loss with line of sight, dB.
        eta_nlos_db: Excess loss without line of sight, dB.
    """

    a_deg: float
    b_per_deg: float
    eta_los_db: float
    eta_nlos_db: float


@dataclass(frozen=True, slots=True)
class Constants:
    """Everything but the users that the equations and bounds need, SI and linear.

    Args:
        n_uavs: Number of UAVs M.
        area_m: Side A of the square, m.
        altitude_m: Flight altitude H, m.
        noise_over_gain: sigma^2 / alpha0, W per unit of path gain at 1 m.
        bandwidth_hz: Bandwidth B of every UAV, Hz.
        rate_ref_bps: Reference rate of the utility, bit/s.
        ranging_per_w: kappa = G_p beta0 / (a sigma0^2), 1/W.
        prior_per_m2: epsilon = 12 / A^2, the information of a uniform prior, 1/m^2.
        d_min_m: Smallest distance between two UAVs, m.
        p_min_w: Smallest power of a UAV, W.
        p_max_w: Largest power of a UAV, W.
        p_total_w: Cap on the sum of powers, W.
        channel: None for pure line of sight.
    """

    n_uavs: int
    area_m: float
    altitude_m: float
    noise_over_gain: float
    bandwidth_hz: float
    rate_ref_bps: float
    ranging_per_w: float
    prior_per_m2: float
    d_min_m: float
    p_min_w: float
    p_max_w: float
    p_total_w: float
    channel: AirToGround | None


@dataclass(frozen=True, eq=False, slots=True)
class Links:
    """Per-user quantities of one point, for maps and for reading.

    Attributes:
        association: int64 [K], index of the serving UAV.
        sinr: float64 [K], linear.
        rate_bps: float64 [K], bit/s.
        error_m: float64 [K], square root of the localization CRB, m.
        positions_m: float64 [M, 2], m.
        powers_w: float64 [M], W.
    """

    association: IntArray
    sinr: FloatArray
    rate_bps: FloatArray
    error_m: FloatArray
    positions_m: FloatArray
    powers_w: FloatArray


def evaluate(X: FloatArray, users_m: FloatArray, c: Constants) -> tuple[FloatArray, FloatArray]:
    """Objectives and constraints of a batch.

    Args:
        X: float64 [n, 3M], rows (x_m, y_m, p_w) per UAV.
        users_m: float64 [K, 2], m.
        c: Constants of the scenario.

    Returns:
        F float64 [n, 2] = (utility in nat, mean localization error bound in m) and G float64 [n, M(M-1)/2 + 1].
    """
    positions, powers = _split(X)  # [n, M, 2], [n, M]
    rate, error = user_values(X, users_m, c)
    F = np.stack([np.log(rate / c.rate_ref_bps).sum(axis=1), error.mean(axis=1)], axis=1)
    return F, _constraints(positions, powers, c)


def user_values(X: FloatArray, users_m: FloatArray, c: Constants) -> tuple[FloatArray, FloatArray]:
    """Rate in bit/s and error bound in m of every user, float64 [n, K] each; arguments as in `evaluate`."""
    positions, powers = _split(X)  # [n, M, 2], [n, M]
    dx, dy, path = _geometry(positions, users_m, c)  # [n, M, K] each
    _, _, rate = _rates(powers, path, dx, dy, c)
    return rate, _error_bounds(powers, path, dx, dy, c)


def links(x: FloatArray, users_m: FloatArray, c: Constants) -> Links:
    """Association, SINR, rate and error bound of every user at one point.

    Args:
        x: float64 [3M].
        users_m: float64 [K, 2], m.
        c: Constants of the scenario.
    """
    positions, powers = _split(x[None, :])
    dx, dy, path = _geometry(positions, users_m, c)
    serving, sinr, rate = _rates(powers, path, dx, dy, c)
    error = _error_bounds(powers, path, dx, dy, c)
    return Links(serving[0], sinr[0], rate[0], error[0], positions[0].copy(), powers[0].copy())


def attenuation(ground_m: FloatArray, c: Constants) -> FloatArray:
    """Excess attenuation of the air-to-ground channel as a linear factor on the path gain.

    .. math::
        P_{LoS} = 1 / (1 + a e^{-b (\\theta - a)}), \\quad
        10 \\log_{10} g = -(P_{LoS} \\eta_{LoS} + (1 - P_{LoS}) \\eta_{NLoS})

    Args:
        ground_m: Horizontal distances, any shape, m.
        c: Constants with a channel.

    Returns:
        Linear factors, same shape. Source: Al-Hourani et al. 2014, eqs. (4)-(6), expected loss.
    """
    assert c.channel is not None
    ch = c.channel
    elevation_deg = np.degrees(np.arctan2(c.altitude_m, ground_m))
    p_los = 1.0 / (1.0 + ch.a_deg * np.exp(-ch.b_per_deg * (elevation_deg - ch.a_deg)))
    excess_db = p_los * ch.eta_los_db + (1.0 - p_los) * ch.eta_nlos_db
    factor: FloatArray = 10.0 ** (-excess_db / 10.0)
    return factor


def project_powers(X: FloatArray, c: Constants) -> None:
    """Euclidean projection of the powers of every row, in place; rows that keep the cap keep their bits.

    It has the bits of the kernels in `optisolve.problems.uav_isac.repair`, so that a process which projects points that keep
    their distances need not load a compiler.

    Args:
        X: float64 [n, 3M], inside the bounds, written.
        c: Constants of the scenario.
    """
    rows = np.flatnonzero(_sum_after(X[:, 2::3], np.zeros(len(X)), c) > c.p_total_w)
    if rows.size == 0:
        return
    power = X[rows, 2::3]  # [r, M]
    cap = c.p_total_w * (1.0 - 4.0 * c.n_uavs * np.finfo(np.float64).eps)  # rounding must not leave the sum above p_total_w
    left, right = np.zeros(rows.size), np.full(rows.size, np.inf)  # breakpoints of the sum on both sides of the cap
    for m in range(c.n_uavs):
        for bound in (c.p_min_w, c.p_max_w):
            tau = power[:, m] - bound
            further, above = tau > left, _sum_after(power, tau, c) > cap
            right = np.where(further & ~above, np.minimum(right, tau), right)
            left = np.where(further & above, tau, left)
    bounded = right < np.inf
    high, low = _sum_after(power, left, c), _sum_after(power, np.where(bounded, right, left), c)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = left + (high - cap) / (high - low) * (right - left)
    tau = np.where(bounded, between, np.inf)  # unbounded: the cap is M p_min, every power goes to its lower bound
    X[rows, 2::3] = np.minimum(np.maximum(power - tau[:, None], c.p_min_w), c.p_max_w)


def too_close(X: FloatArray, c: Constants) -> BoolArray:
    """Rows in which two UAVs are nearer to each other than allowed, bool [n]."""
    close = np.zeros(len(X), dtype=bool)
    for i in range(c.n_uavs):
        for j in range(i + 1, c.n_uavs):
            dx, dy = X[:, 3 * i] - X[:, 3 * j], X[:, 3 * i + 1] - X[:, 3 * j + 1]
            close |= np.sqrt(dx * dx + dy * dy) < c.d_min_m
    return close


def _split(X: FloatArray) -> tuple[FloatArray, FloatArray]:
    uavs = X.reshape(X.shape[0], -1, 3)  # [n, M, 3]
    return uavs[:, :, :2], uavs[:, :, 2]


def _geometry(positions: FloatArray, users_m: FloatArray, c: Constants) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Horizontal offsets u - g and path factor 1 / d^2, each [n, M, K]."""
    dx = positions[:, :, 0, None] - users_m[:, 0]
    dy = positions[:, :, 1, None] - users_m[:, 1]
    return dx, dy, 1.0 / (dx * dx + dy * dy + c.altitude_m**2)


def _rates(
    powers: FloatArray, path: FloatArray, dx: FloatArray, dy: FloatArray, c: Constants
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Serving UAV [n, K], SINR [n, K] and rate [n, K] in bit/s; the users of one UAV share its band equally."""
    received = powers[:, :, None] * path  # [n, M, K], over alpha0
    if c.channel is not None:
        received *= attenuation(np.sqrt(dx * dx + dy * dy), c)
    serving = received.argmax(axis=1)  # [n, K]; argmax takes the lowest index among ties
    signal = np.take_along_axis(received, serving[:, None, :], axis=1)[:, 0]  # [n, K]
    np.put_along_axis(received, serving[:, None, :], 0.0, axis=1)  # what is left interferes
    sinr = signal / (received.sum(axis=1) + c.noise_over_gain)
    load = (serving[:, :, None] == np.arange(powers.shape[1])).sum(axis=1)  # [n, M] users per UAV
    share = np.take_along_axis(load, serving, axis=1)  # [n, K]
    return serving, sinr, c.bandwidth_hz / share * (np.log1p(sinr) / np.log(2.0))


def _error_bounds(powers: FloatArray, path: FloatArray, dx: FloatArray, dy: FloatArray, c: Constants) -> FloatArray:
    """Square root of tr J^-1 per user, [n, K], m."""
    weight = path * path * (c.ranging_per_w * (powers[:, :, None] * path) + 8.0)  # [n, M, K]: kappa p / d^6 + 8 / d^4
    trace = (weight * (dx * dx + dy * dy)).sum(axis=1)  # [n, K], of J without its prior
    eps = c.prior_per_m2
    determinant = eps * eps + eps * trace
    for m in range(powers.shape[1]):
        for n in range(m):
            cross = dx[:, m] * dy[:, n] - dx[:, n] * dy[:, m]
            determinant += weight[:, m] * weight[:, n] * (cross * cross)
    bound: FloatArray = np.sqrt((2.0 * eps + trace) / determinant)
    return bound


def _constraints(positions: FloatArray, powers: FloatArray, c: Constants) -> FloatArray:
    """Separation of every pair i < j in lexicographic order, then total power; [n, M(M-1)/2 + 1], feasible when <= 0."""
    i, j = np.triu_indices(powers.shape[1], 1)
    gap = positions[:, i] - positions[:, j]  # [n, pairs, 2]
    distance = np.sqrt(gap[:, :, 0] ** 2 + gap[:, :, 1] ** 2)
    total = powers.sum(axis=1, keepdims=True)
    return np.concatenate([(c.d_min_m - distance) / c.d_min_m, (total - c.p_total_w) / c.p_total_w], axis=1)


def _sum_after(power: FloatArray, tau: FloatArray, c: Constants) -> FloatArray:
    """Sum of the powers [n, M] lowered by tau [n] and clipped, added up UAV by UAV as the kernel does."""
    total = np.zeros(len(power))
    for m in range(c.n_uavs):
        total += np.minimum(np.maximum(power[:, m] - tau, c.p_min_w), c.p_max_w)
    return total
