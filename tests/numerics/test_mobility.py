"""Motion in time, against the theory of each model."""

import numpy as np
import pytest

from optisolve.core.motion import GaussMarkov, RandomWaypoint
from optisolve.numerics.mobility import forgetful, jakes, leaving, reflected, up_and_down, walks


def _rng(seed=0):
    return np.random.default_rng(seed)


def _tracks(motion, n, steps, side=1e6, seed=0):
    at = np.full((n, 2), side / 2.0)
    walk = walks(motion, at, side, _rng(seed))
    return np.array([next(walk).at_m for _ in range(steps)])  # [t, n, 2]


def test_a_gauss_markov_process_keeps_its_variance_and_forgets_at_its_rate():
    keep, rng = 0.9, _rng(1)
    states = [rng.standard_normal(4000)]
    for _ in range(6):
        states.append(forgetful(states[-1], keep, rng))
    assert np.var(states[-1]) == pytest.approx(1.0, abs=0.08)
    for lag in (1, 3, 6):
        assert np.corrcoef(states[0], states[lag])[0, 1] == pytest.approx(keep**lag, abs=0.05)


def test_gauss_markov_walkers_have_the_stated_speed_and_memory():
    motion = GaussMarkov(step_s=2.0, speed_m_s=3.0, memory_s=10.0, session_s=None)
    velocity = np.diff(_tracks(motion, 2000, 8), axis=0) / motion.step_s  # far from every border
    assert np.sqrt((velocity**2).sum(axis=2).mean()) == pytest.approx(3.0, rel=0.03)
    lagged = (velocity[0] * velocity[5]).mean() / (velocity**2).mean()
    assert lagged == pytest.approx(np.exp(-5 * 2.0 / 10.0), abs=0.04)


@pytest.mark.parametrize("motion", [GaussMarkov(step_s=30.0, session_s=60.0), RandomWaypoint(step_s=30.0, session_s=60.0)])
def test_walkers_stay_in_the_area(motion):
    at = _tracks(motion, 40, 200, side=100.0)
    assert at.min() >= 0.0
    assert at.max() <= 100.0


def test_random_waypoint_walkers_keep_their_speeds_and_rest_at_their_points():
    motion = RandomWaypoint(step_s=1.0, speed_min_m_s=1.0, speed_max_m_s=2.0, pause_s=5.0, session_s=None)
    moved = np.linalg.norm(np.diff(_tracks(motion, 50, 400, side=100.0), axis=0), axis=2)
    assert moved.max() <= 2.0 + 1e-9
    assert (moved == 0.0).any()  # a pause lasts five steps
    straight = moved[(moved > 1e-9)]
    assert np.median(straight) == pytest.approx(1.4, abs=0.15)


def test_mirrors_fold_positions_back_and_turn_them_round():
    at, turned = reflected(np.array([[-3.0, 4.0], [12.0, 10.0]]), 10.0)
    assert np.allclose(at, [[3.0, 4.0], [8.0, 10.0]])
    assert turned.tolist() == [[True, False], [True, False]]


def test_failures_and_repairs_take_their_mean_times():
    up, down, step, n = 20.0, 4.0, 0.5, 400
    lines = up_and_down(n, up, down, step, _rng(2))
    states = np.array([next(lines) for _ in range(2000)])
    assert not states[0].any()
    settled = states[200:]
    down_share = down / (up + down)
    assert settled.mean() == pytest.approx(down_share, abs=0.01)
    changes = np.diff(settled.astype(int), axis=0)
    seen = down_share * -np.expm1(-step * (1.0 / up + 1.0 / down))  # up at one look, down at the next
    assert (changes == 1).sum() / (~settled[:-1]).sum() == pytest.approx(seen, rel=0.05)


def test_who_leaves_leaves_at_the_rate_of_exponential_stays():
    rng = _rng(3)
    gone = sum(leaving(100, 50.0, 5.0, rng).size for _ in range(400))
    assert gone / 40_000 == pytest.approx(1.0 - np.exp(-0.1), abs=0.01)
    assert not leaving(5, None, 1e9, rng).size


def test_fading_is_correlated_by_the_bessel_function():
    assert jakes(10.0, 0.0) == 1.0
    assert jakes(10.0, 2.404825557695773 / (2.0 * np.pi * 10.0)) == pytest.approx(0.0, abs=1e-9)  # first zero of J0
