"""Expected improvements against Monte Carlo with an independent hypervolume."""

from __future__ import annotations

import moocore
import numpy as np
import pytest

from optisolve.solvers.parego.acquisition import Goal


def by_sampling(front, mean, deviation, reference, n=4000):
    rng = np.random.default_rng(7)
    base = moocore.hypervolume(front, ref=reference)
    draws = mean + deviation * rng.normal(size=(n, mean.size))
    return np.mean([moocore.hypervolume(np.vstack([front, draw]), ref=reference) for draw in draws]) - base


def goal_of(Y, kind="hypervolume"):
    return Goal.of(Y, kind, np.random.default_rng(0))


FRONT_2 = np.array([[0.0, 1.0], [0.3, 0.6], [0.5, 0.2], [1.0, 0.0], [0.9, 0.9]])
FRONT_3 = np.array([[0.0, 1.0, 0.4], [0.3, 0.6, 0.5], [1.0, 0.0, 0.7], [0.5, 0.5, 0.0], [0.4, 0.4, 1.0]])


def test_one_objective_is_the_closed_form():
    """Twice the mean of 10^6 draws agrees; Jones et al. 1998."""
    goal = goal_of(np.array([[2.0], [1.0], [3.0]]))
    drawn = 1.3 + 0.5 * np.random.default_rng(1).normal(size=10**6)
    expected = np.maximum(1.0 - drawn, 0.0).mean() / goal.width[0]
    value = np.exp(goal.log_improvement(np.array([[1.3]]), np.array([[0.5]]), np.ones(1)))[0]
    assert value == pytest.approx(expected, rel=1e-2)


@pytest.mark.parametrize(
    ("mean", "deviation"), [((0.2, 0.2), (0.1, 0.3)), ((0.6, 0.6), (0.4, 0.2)), ((0.0, 0.5), (0.05, 0.05))]
)
def test_two_objectives_are_exact(mean, deviation):
    goal, mean, deviation = goal_of(FRONT_2), np.array(mean), np.array(deviation)
    expected = by_sampling(FRONT_2, mean, deviation, np.array([1.1, 1.1]))
    value = np.exp(goal.log_improvement(mean[None], deviation[None], np.ones(2)))[0]
    assert value == pytest.approx(expected, rel=0.05)


def test_three_objectives_are_ordered_as_the_hypervolume_orders_them():
    goal, rng = goal_of(FRONT_3), np.random.default_rng(3)
    means, deviations = rng.random((12, 3)), 0.05 + 0.2 * rng.random((12, 3))
    value = np.exp(goal.log_improvement(means, deviations, np.ones(3)))
    expected = np.array([by_sampling(FRONT_3, m, s, np.full(3, 1.1), n=800) for m, s in zip(means, deviations, strict=True)])
    assert np.corrcoef(value, expected)[0, 1] > 0.97


@pytest.mark.parametrize("kind", ["hypervolume", "tchebycheff"])
def test_hopeless_points_are_still_ordered(kind):
    goal = goal_of(FRONT_2, kind)
    means = np.array([[50.0, 50.0], [20.0, 20.0], [30.0, 30.0]])
    value = goal.log_improvement(means, np.full((3, 2), 1e-9), np.array([0.5, 0.5]))
    assert np.isfinite(value).all()
    assert list(np.argsort(-value)) == [1, 2, 0]


def test_a_pending_point_takes_its_improvement_away():
    goal, here = goal_of(FRONT_2), np.array([[0.1, 0.3]])
    before = goal.log_improvement(here, np.full((1, 2), 0.01), np.ones(2))
    after = goal.with_point(here[0]).log_improvement(here, np.full((1, 2), 0.01), np.ones(2))
    assert after[0] < before[0] - 2.0


def test_units_of_the_objectives_are_of_no_concern():
    scale, shift = np.array([1e6, 1e-6]), np.array([5.0, -2.0])
    mean, deviation = np.array([[0.4, 0.1]]), np.array([[0.2, 0.1]])
    one = goal_of(FRONT_2).log_improvement(mean, deviation, np.ones(2))
    other = goal_of(FRONT_2 * scale + shift).log_improvement(mean * scale + shift, deviation * scale, np.ones(2))
    np.testing.assert_allclose(one, other, rtol=1e-6)
