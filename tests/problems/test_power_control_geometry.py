"""The geometric channel of power control."""

from __future__ import annotations

import numpy as np

from optisolve.problems.power_control.problem import Geometry, path_loss_db
from optisolve.registry import make_problem

GEOMETRY = Geometry(1000.0, 2.0, 65.0, 2.4e9, 1.5, 2.5, 8.0, rayleigh=True)


def test_path_loss_is_continuous_and_doubles_its_slope_at_the_break_point():
    """20 dB per decade before the break point 4 h^2 / lambda = 72.05 m, 40 dB after it."""
    wavelength = 299_792_458.0 / 2.4e9
    at = 4.0 * 1.5**2 / wavelength
    d = at * np.array([0.1, 1.0 - 1e-9, 1.0 + 1e-9, 10.0])
    loss = path_loss_db(d, GEOMETRY)
    assert abs(loss[2] - loss[1]) < 1e-6
    np.testing.assert_allclose([loss[1] - loss[0], loss[3] - loss[2]], [20.0, 40.0], atol=1e-6)


def test_noise_and_gap_follow_from_the_scenario():
    """-169 dBm/Hz over 5 MHz is -102.01 dBm; the 6 dB gap divides the direct gains only."""
    problem = make_problem("power_control/d2d50")
    instance = problem.instance(0)
    np.testing.assert_allclose(10.0 * np.log10(instance.noise_w * 1e3), -102.0103, atol=1e-4)
    without_gap = make_problem("power_control/d2d50", {"snr_gap_db": 0.0}).instance(0)
    ratio = without_gap.gain / instance.gain
    off = ~np.eye(50, dtype=bool)
    np.testing.assert_allclose(np.diag(ratio), 10.0**0.6, rtol=1e-12)
    np.testing.assert_allclose(ratio[off], 1.0, rtol=1e-12)
