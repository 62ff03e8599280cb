"""WMMSE and on/off switches in plain numpy, one instance and one point at a time: what their kernels are compared with."""

from __future__ import annotations

import numpy as np

from optisolve.core.arrays import FloatArray


def wmmse_in_numpy(
    gain: FloatArray, weight: FloatArray, start: FloatArray, *, max_iterations: int = 500, tolerance: float = 1e-6
) -> tuple[FloatArray, int]:
    """One instance and one start in plain numpy, in the textbook's receiver-weight-transmitter form.

    Args:
        gain: float64 [K, K].
        weight: float64 [K].
        start: float64 [K].
        max_iterations: As `wmmse`.
        tolerance: As `wmmse`.

    Returns:
        Powers float64 [K] and steps taken.
    """
    h = np.sqrt(np.diag(gain))  # [K] direct amplitudes
    cross = gain - np.diag(np.diag(gain))
    b = np.sqrt(start)  # [K] transmit amplitudes
    before = -1.0
    for step in range(max_iterations):
        heard = 1.0 + cross @ b**2  # [K]
        received = heard + (h * b) ** 2
        u = h * b / received  # MMSE receivers
        m = received / heard  # weights 1 / (1 - u h b)
        rate = float(weight @ np.log1p((h * b) ** 2 / heard)) / np.log(2.0)
        if rate - before <= tolerance * min(1.0, rate):
            return b**2, step
        before = rate
        pressure = gain.T @ (weight * m * u**2)  # [K]
        b = np.where(b > 0.0, np.clip(weight * m * u * h / np.where(pressure > 0.0, pressure, 1.0), 0.0, 1.0), 0.0)
    return b**2, max_iterations


def switch_in_numpy(gain: FloatArray, weight: FloatArray, power: FloatArray, *, max_switches: int) -> tuple[FloatArray, float]:
    """One point in plain numpy; see `switch_links`.

    Args:
        gain: float64 [K, K].
        weight: float64 [K].
        power: float64 [K].
        max_switches: Switches at most.

    Returns:
        float64 [K] in {0, 1} and its weighted sum rate, bit/s/Hz.
    """

    def rate(p: FloatArray) -> float:
        signal = np.diag(gain) * p
        return float(weight @ np.log1p(signal / (1.0 + gain @ p - signal)) / np.log(2.0))

    on = (np.asarray(power) > 0.5).astype(np.float64)
    value = rate(on)
    for _ in range(max_switches):
        flipped = np.abs(on - np.eye(on.size))  # [K, K], row k with link k switched
        candidates = np.array([rate(row) for row in flipped])
        k = int(np.argmax(candidates))
        if candidates[k] <= value * (1.0 + 1e-9):
            break
        on, value = flipped[k], float(candidates[k])
    return on, value
