"""The sector antenna of every transmitter: a column of 3GPP elements, turned and tilted as a whole.

Directions are those of the map: x east, y north, z up. An azimuth is counted counter-clockwise from east, a down-tilt is
positive towards the ground; yaw and pitch of a ray tracer whose antennas look along +x are the same angles.

Source: 3GPP TR 38.901 V17.0.0, Table 7.3-1 (element) and section 7.3 (panel of elements with uniform spacing).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optisolve.core.arrays import FloatArray

__all__ = ["SectorAntenna", "element_gain_db"]

_BEAMWIDTH_DEG = 65.0
_SIDE_DB = 30.0
_ELEMENT_DBI = 8.0


def element_gain_db(elevation_deg: FloatArray, azimuth_deg: FloatArray) -> FloatArray:
    """Gain of one element, dBi; TR 38.901 Table 7.3-1.

    Args:
        elevation_deg: Above the element's own horizon, in [-90, 90].
        azimuth_deg: Off its boresight, in [-180, 180], same shape.
    """
    vertical = np.minimum(12.0 * (elevation_deg / _BEAMWIDTH_DEG) ** 2, _SIDE_DB)
    horizontal = np.minimum(12.0 * (azimuth_deg / _BEAMWIDTH_DEG) ** 2, _SIDE_DB)
    gain: FloatArray = _ELEMENT_DBI - np.minimum(vertical + horizontal, _SIDE_DB)
    return gain


@dataclass(frozen=True, slots=True)
class SectorAntenna:
    """A vertical column of elements with equal weights, so that its beam is narrow in elevation and wide in azimuth.

    Args:
        n_rows: Elements of the column.
        spacing_wavelengths: Distance between them, wavelengths.
    """

    n_rows: int = 8
    spacing_wavelengths: float = 0.5

    @property
    def peak_dbi(self) -> float:
        """Gain along the boresight, dBi: eight elements have 17 dBi."""
        return _ELEMENT_DBI + 10.0 * float(np.log10(self.n_rows))

    def gain_db(self, direction: FloatArray, azimuth_deg: float, tilt_deg: float) -> FloatArray:
        """Gain towards directions, dBi.

        Args:
            direction: float64 [..., 3], from the antenna to the point, any length above 0.
            azimuth_deg: Of the boresight, counter-clockwise from east.
            tilt_deg: Of the boresight, down from the horizon.

        Returns:
            float64 [...].
        """
        unit = direction / np.linalg.norm(direction, axis=-1, keepdims=True)
        yaw, pitch = np.deg2rad(azimuth_deg), np.deg2rad(tilt_deg)
        ahead = unit[..., 0] * np.cos(yaw) + unit[..., 1] * np.sin(yaw)
        left = unit[..., 1] * np.cos(yaw) - unit[..., 0] * np.sin(yaw)
        front = ahead * np.cos(pitch) - unit[..., 2] * np.sin(pitch)
        up = ahead * np.sin(pitch) + unit[..., 2] * np.cos(pitch)
        element = element_gain_db(np.rad2deg(np.arcsin(np.clip(up, -1.0, 1.0))), np.rad2deg(np.arctan2(left, front)))
        half = np.pi * self.spacing_wavelengths * up  # half the phase from element to element
        sine = np.sin(half)
        flat = np.abs(sine) < 1e-9
        array = np.where(flat, float(self.n_rows), np.sin(self.n_rows * half) / np.where(flat, 1.0, sine))
        with np.errstate(divide="ignore"):
            gain: FloatArray = element + 10.0 * np.log10(array**2 / self.n_rows)
        return gain
