"""Indicators: exclusive gains of hypervolume."""

from __future__ import annotations

import numpy as np
import pytest

from optisolve.core.problem import HypervolumeBox
from optisolve.numerics.indicators import exclusive_gains, front_rows, hypervolume


@pytest.mark.parametrize("n_objectives", [2, 3, 4])
def test_an_exclusive_gain_is_a_difference_of_hypervolumes(n_objectives):
    """Points inside, outside and beyond the ideal corner, beside a front with points outside of the box."""
    rng = np.random.default_rng(n_objectives)
    box = HypervolumeBox((1.0,) * n_objectives, (0.0,) * n_objectives)
    front, points = rng.uniform(0.2, 1.2, (12, n_objectives)), rng.uniform(-0.1, 1.1, (30, n_objectives))
    before = hypervolume(front, box)
    alone = [hypervolume(np.concatenate([front, point[None]]), box) - before for point in points]
    np.testing.assert_allclose(exclusive_gains(front, points), alone, atol=1e-12)
    kept = front[front_rows(front)]
    np.testing.assert_allclose(exclusive_gains(kept, points), alone, atol=1e-12)
    assert (exclusive_gains(np.empty((0, n_objectives)), points[:1] * 0.5 + 0.2) > 0.0).all()
