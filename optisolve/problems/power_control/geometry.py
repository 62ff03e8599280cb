"""Random channels: pairs that are all alike, and pairs dropped in a square."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optisolve.core.arrays import FloatArray

__all__ = [
    "SPEED_OF_LIGHT_M_S",
    "Drop",
    "Geometry",
    "drop_gain",
    "drop_pairs",
    "gaussian_gain",
    "geometric_gain",
    "path_loss_db",
]

SPEED_OF_LIGHT_M_S = 299_792_458.0


@dataclass(frozen=True, slots=True)
class Geometry:
    """A square with transmitter-receiver pairs.

    Args:
        area_side_m: Side of the square, m.
        link_min_m: Shortest direct link, m.
        link_max_m: Longest direct link, m.
        carrier_hz: Carrier, Hz.
        antenna_height_m: Height of all antennas, m.
        antenna_gain_db: Antenna gain, counted once per link, dB.
        shadowing_db: Standard deviation of log-normal shadowing, dB.
        rayleigh: Multiply by unit-mean exponential fading.
    """

    area_side_m: float
    link_min_m: float
    link_max_m: float
    carrier_hz: float
    antenna_height_m: float
    antenna_gain_db: float
    shadowing_db: float
    rayleigh: bool


def gaussian_gain(rng: np.random.Generator, n_links: int, cross_gain: float) -> FloatArray:
    """Power gains |CN(0, 1)|^2 of all pairs, cross gains times a factor, float64 [K, K]."""
    gain = rng.exponential(size=(n_links, n_links))
    return np.where(np.eye(n_links, dtype=bool), gain, cross_gain * gain)


@dataclass(frozen=True, eq=False, slots=True)
class Drop:
    """Pairs of a transmitter and a receiver in a square, and what their channels have drawn.

    Attributes:
        transmitter_m: float64 [K, 2], m.
        receiver_m: float64 [K, 2], m; may lie outside of the square.
        shadow: float64 [K, K], standard normal, shadowing in units of its deviation.
        fading: float64 [K, K], power gain of fading, mean 1.
    """

    transmitter_m: FloatArray
    receiver_m: FloatArray
    shadow: FloatArray
    fading: FloatArray


def drop_pairs(rng: np.random.Generator, n_links: int, geometry: Geometry) -> Drop:
    """Pairs dropped in a square.

    Transmitters are uniform in the square; each receiver lies at a uniform distance in a uniform direction from its
    transmitter and may leave the square.
    """
    transmitter = rng.uniform(0.0, geometry.area_side_m, (n_links, 2))  # [K, 2]
    distance = rng.uniform(geometry.link_min_m, geometry.link_max_m, n_links)
    angle = rng.uniform(0.0, 2.0 * np.pi, n_links)
    receiver = transmitter + distance[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
    shadow = rng.standard_normal((n_links, n_links))
    fading = rng.exponential(size=shadow.shape) if geometry.rayleigh else np.ones(shadow.shape)
    return Drop(transmitter, receiver, shadow, fading)


def drop_gain(drop: Drop, geometry: Geometry) -> FloatArray:
    """Power gains of dropped pairs, to receiver (row) from transmitter (column), float64 [K, K]."""
    apart = np.linalg.norm(drop.receiver_m[:, None, :] - drop.transmitter_m[None, :, :], axis=2)  # [K, K]
    loss_db = path_loss_db(apart, geometry) - geometry.antenna_gain_db
    loss_db = loss_db + geometry.shadowing_db * drop.shadow
    return np.asarray(10.0 ** (-loss_db / 10.0) * drop.fading)


def geometric_gain(rng: np.random.Generator, n_links: int, geometry: Geometry) -> FloatArray:
    """Power gains of pairs dropped in a square, float64 [K, K], see `drop_pairs`."""
    return drop_gain(drop_pairs(rng, n_links, geometry), geometry)


def path_loss_db(distance_m: FloatArray, geometry: Geometry) -> FloatArray:
    """Line-of-sight street path loss with one break point, dB.

    With break point ``R = 4 h^2 / lambda`` and ``L_bp = |20 log10(lambda^2 / (8 pi h^2))|`` the loss is
    ``L_bp + 6 + 20 log10(d / R)`` up to R and ``L_bp + 6 + 40 log10(d / R)`` beyond. This is the median form of the
    short-range model in Recommendation ITU-R P.1411 as we know it; we did not check it against the text. Distances below
    1 m count as 1 m.
    """
    wavelength = SPEED_OF_LIGHT_M_S / geometry.carrier_hz
    height_squared = geometry.antenna_height_m**2
    break_point = 4.0 * height_squared / wavelength
    at_break = abs(20.0 * np.log10(wavelength**2 / (8.0 * np.pi * height_squared)))
    ratio = np.log10(np.maximum(distance_m, 1.0) / break_point)
    return np.asarray(at_break + 6.0 + np.where(ratio <= 0.0, 20.0, 40.0) * ratio)
