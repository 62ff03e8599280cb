"""Indicators: exclusive gains of hypervolume."""

from __future__ import annotations

import time

import numpy as np
import pytest

from optisolve.core.problem import HypervolumeBox
from optisolve.numerics.indicators import GainMeter, exclusive_gains, front_rows, gain_totals, hypervolume


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


def _search(rng, n, n_objectives):
    """Points that come closer to the ideal corner, as those of a run do."""
    X = np.abs(rng.normal(size=(n, n_objectives)))
    radius = 1.15 - 0.7 * (np.arange(n) / n) ** rng.uniform(0.1, 2.0) + 0.2 * rng.exponential(size=n)
    return X / np.linalg.norm(X, axis=1)[:, None] * radius[:, None]


@pytest.mark.parametrize("n_objectives", [3, 4])
def test_totals_of_gains_are_the_sums_of_the_gains_bit_for_bit(n_objectives):
    """They are part of a record's hash."""
    rng = np.random.default_rng(n_objectives)
    signs, box = np.ones(n_objectives), HypervolumeBox((1.0,) * n_objectives, (0.0,) * n_objectives)
    for n in (1, 7, 130, 300, 500):
        F, violation = _search(rng, n, n_objectives), np.where(rng.uniform(size=n) < 0.1, 1.0, 0.0)
        cut = int(rng.integers(0, n + 1))
        gains = GainMeter(signs, box).add(F, violation)
        told = gain_totals(F, violation, signs, box, [(0, cut), (cut, n), (0, n)])
        assert told == [float(part.sum()) for part in (gains[:cut], gains[cut:], gains)]


@pytest.mark.slow
def test_totals_of_gains_grow_like_the_number_of_points():
    rng, signs, box = np.random.default_rng(0), np.ones(3), HypervolumeBox((1.0,) * 3, (0.0,) * 3)
    seconds = []
    for n in (20_000, 160_000):
        F, best = _search(rng, n, 3), np.inf
        for _ in range(5):
            start = time.process_time()
            gain_totals(F, np.zeros(n), signs, box, [(0, n)])
            best = min(best, time.process_time() - start)
        seconds.append(best)
    assert np.log(seconds[1] / seconds[0]) / np.log(8.0) < 1.05
