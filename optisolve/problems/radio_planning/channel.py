"""The statistical channel of 3GPP TR 38.901: probability of line of sight, path loss, shadowing that changes slowly in space.

Two environments: urban macro (UMa, antennas above the roofs) and urban micro (UMi street canyon, below them), for receivers at
most 13 m high. Line of sight and shadowing are Gaussian fields per site over the receivers' positions, with exponential
correlation; a receiver sees a site where its field of line of sight lies below the quantile of its probability.

Source: 3GPP TR 38.901 V17.0.0, Tables 7.4.1-1 (path loss, deviations), 7.4.2-1 (line of sight), 7.5-6 (correlation distances of
shadowing), 7.6.3.1-2 (of line of sight). Fields as sums of waves: Shinozuka and Deodatis 1991, doi 10.1115/1.3119501.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import ndtri

from optisolve.core.arrays import BoolArray, FloatArray

__all__ = [
    "ENVIRONMENTS",
    "Environment",
    "EnvironmentName",
    "gaussian_field",
    "los_probability",
    "path_loss_db",
    "shadowed_loss_db",
]

EnvironmentName = Literal["uma", "umi"]

_LIGHT_M_S = 299_792_458.0
_EFFECTIVE_M = 1.0
"""Effective height of the surroundings; 1 m for receivers at most 13 m high."""
_NEAR_M = 10.0
"""Shortest horizontal distance of the path-loss formulas."""
_SURE_M = 18.0
"""Horizontal distance up to which there is line of sight for sure."""
_WAVES = 96


@dataclass(frozen=True, slots=True)
class Environment:
    """Numbers of one environment.

    Args:
        los_decay_m: Scale of the exponential in the probability of line of sight, m.
        los_db: Constant, slope below and slope beyond the break point per decade, and factor of the break point's correction.
        nlos_db: Constant, slope per decade of distance, slope per decade of frequency, fall per meter of the receiver's height.
        deviation_db: Of shadowing, with and without line of sight.
        correlation_m: Distances of shadowing, with and without line of sight.
        los_correlation_m: Distance of line of sight.
    """

    los_decay_m: float
    los_db: tuple[float, float, float, float]
    nlos_db: tuple[float, float, float, float]
    deviation_db: tuple[float, float]
    correlation_m: tuple[float, float]
    los_correlation_m: float = 50.0


ENVIRONMENTS: Mapping[EnvironmentName, Environment] = {
    "uma": Environment(63.0, (28.0, 22.0, 40.0, 9.0), (13.54, 39.08, 20.0, 0.6), (4.0, 6.0), (37.0, 50.0)),
    "umi": Environment(36.0, (32.4, 21.0, 40.0, 9.5), (22.4, 35.3, 21.3, 0.3), (4.0, 7.82), (10.0, 13.0)),
}


def los_probability(environment: EnvironmentName, horizontal_m: FloatArray) -> FloatArray:
    """Probability of line of sight, Table 7.4.2-1, receivers at most 13 m high.

    Args:
        environment: ``"uma"`` or ``"umi"``.
        horizontal_m: Distance on the ground, m.
    """
    near = _SURE_M / np.maximum(horizontal_m, _SURE_M)
    return np.asarray(near + np.exp(-horizontal_m / ENVIRONMENTS[environment].los_decay_m) * (1.0 - near))


def path_loss_db(
    environment: EnvironmentName, horizontal_m: FloatArray, station_m: FloatArray, receiver_m: float, carrier_hz: float
) -> tuple[FloatArray, FloatArray]:
    """Path loss with and without line of sight, dB, Table 7.4.1-1.

    Args:
        environment: ``"uma"`` or ``"umi"``.
        horizontal_m: Distance on the ground, m; what is nearer than 10 m counts as 10 m.
        station_m: Height of the transmitter, m, broadcasting with the distance.
        receiver_m: Height of the receiver, m.
        carrier_hz: Carrier frequency, Hz.

    Returns:
        Two arrays like `horizontal_m`.
    """
    numbers, ghz = ENVIRONMENTS[environment], carrier_hz / 1e9
    flat = np.maximum(horizontal_m, _NEAR_M)
    drop = station_m - receiver_m
    distance = np.sqrt(flat**2 + drop**2)
    turn = 4.0 * (station_m - _EFFECTIVE_M) * (receiver_m - _EFFECTIVE_M) * carrier_hz / _LIGHT_M_S
    constant, below, beyond, correction = numbers.los_db
    common = constant + 20.0 * np.log10(ghz)
    far = common + beyond * np.log10(distance) - correction * np.log10(turn**2 + drop**2)
    los = np.where(flat <= turn, common + below * np.log10(distance), far)
    constant, slope, frequency, fall = numbers.nlos_db
    nlos = constant + slope * np.log10(distance) + frequency * np.log10(ghz) - fall * (receiver_m - 1.5)
    return los, np.maximum(los, nlos)


def gaussian_field(rng: np.random.Generator, n_fields: int, points_m: FloatArray, correlation_m: float) -> FloatArray:
    """Independent standard Gaussian fields with correlation exp(-distance / `correlation_m`), float64 [n_fields, K].

    Each is a sum of waves whose wave numbers follow the field's spectrum, k d / (1 + k² d²)^1.5.

    Args:
        rng: Random numbers.
        n_fields: How many.
        points_m: float64 [K, 2], m.
        correlation_m: d, m.
    """
    draws = rng.random((3, n_fields, _WAVES))
    number = np.sqrt(1.0 / (1.0 - draws[0]) ** 2 - 1.0) / correlation_m
    angle, phase = 2.0 * np.pi * draws[1], 2.0 * np.pi * draws[2]
    field = np.zeros((n_fields, len(points_m)))
    for w in range(_WAVES):  # one wave after the other: a field's value depends on no other point
        across, along = number[:, w] * np.cos(angle[:, w]), number[:, w] * np.sin(angle[:, w])
        field += np.cos(across[:, None] * points_m[:, 0] + along[:, None] * points_m[:, 1] + phase[:, w, None])
    return np.asarray(field * np.sqrt(2.0 / _WAVES))


def shadowed_loss_db(
    rng: np.random.Generator, environment: EnvironmentName, sites_m: FloatArray, receivers_m: FloatArray, carrier_hz: float
) -> tuple[FloatArray, BoolArray]:
    """Loss from every site to every receiver between isotropic antennas, dB, and where there is line of sight.

    Args:
        rng: Random numbers.
        environment: ``"uma"`` or ``"umi"``.
        sites_m: float64 [N, 3], m.
        receivers_m: float64 [K, 3], m, all at one height.
        carrier_hz: Carrier frequency, Hz.

    Returns:
        float64 [N, K] and bool [N, K].
    """
    numbers, n = ENVIRONMENTS[environment], len(sites_m)
    flat = np.linalg.norm(receivers_m[None, :, :2] - sites_m[:, None, :2], axis=2)  # [N, K]
    sees = gaussian_field(rng, n, receivers_m[:, :2], numbers.los_correlation_m) <= ndtri(los_probability(environment, flat))
    bright, dark = (gaussian_field(rng, n, receivers_m[:, :2], d) for d in numbers.correlation_m)
    los, nlos = path_loss_db(environment, flat, sites_m[:, 2, None], float(receivers_m[0, 2]), carrier_hz)
    loss = np.where(sees, los + numbers.deviation_db[0] * bright, nlos + numbers.deviation_db[1] * dark)
    return loss, sees
