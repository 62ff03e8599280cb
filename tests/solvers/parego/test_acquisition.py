"""Expected improvements against Monte Carlo with an independent hypervolume."""

from __future__ import annotations

import moocore
import numpy as np
import pytest
from scipy.optimize import approx_fprime

from optisolve.solvers.parego.acquisition import Goal, Warp


def by_sampling(front, mean, deviation, reference, n=4000):
    rng = np.random.default_rng(7)
    base = moocore.hypervolume(front, ref=reference)
    draws = Warp.unwarped(mean + deviation * rng.normal(size=(n, mean.size)))
    return np.mean([moocore.hypervolume(np.vstack([front, draw]), ref=reference) for draw in draws]) - base


def goal_of(Y, kind="hypervolume", corner=None):
    return Goal.of(Y, kind, np.random.default_rng(0), corner)


def improvement(goal, mean, deviation):
    return np.exp(goal.judged(mean, deviation, np.ones(mean.shape[1])).value)


FRONT_2 = np.array([[0.0, 1.0], [0.3, 0.6], [0.5, 0.2], [1.0, 0.0], [0.9, 0.9]])
FRONT_3 = np.array([[0.0, 1.0, 0.4], [0.3, 0.6, 0.5], [1.0, 0.0, 0.7], [0.5, 0.5, 0.0], [0.4, 0.4, 1.0]])


def test_one_objective_is_the_closed_form():
    """The mean of 10^6 draws agrees; Jones et al. 1998."""
    goal = goal_of(np.array([[0.5], [-0.5], [0.9]]))
    drawn = -0.2 + 0.5 * np.random.default_rng(1).normal(size=10**6)
    value = improvement(goal, np.array([[-0.2]]), np.array([[0.5]]))[0]
    assert value == pytest.approx(np.maximum(-0.5 - drawn, 0.0).mean(), rel=1e-2)


@pytest.mark.parametrize(
    ("mean", "deviation"), [((0.2, 0.2), (0.1, 0.3)), ((0.6, 0.6), (0.4, 0.2)), ((0.0, 0.5), (0.05, 0.05))]
)
def test_two_objectives_are_exact(mean, deviation):
    goal, mean, deviation = goal_of(FRONT_2), np.array(mean), np.array(deviation)
    expected = by_sampling(FRONT_2, mean, deviation, np.array([1.1, 1.1]))
    assert improvement(goal, mean[None], deviation[None])[0] == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize(("mean", "deviation"), [((0.2, 0.2, 0.2), (0.2, 0.3, 0.1)), ((1.2, 0.6, 0.1), (0.5, 0.3, 0.5))])
def test_three_objectives_and_the_logarithmic_tail_are_exact(mean, deviation):
    mean, deviation, corner = np.array(mean), np.array(deviation), np.array([4.0, 1.5, 2.5])
    goal = goal_of(FRONT_3, corner=corner)
    expected = by_sampling(FRONT_3, mean, deviation, corner)
    assert improvement(goal, mean[None], deviation[None])[0] == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("m", [1, 2, 3])
def test_open_cells_and_the_dominated_volume_fill_the_box(m, seed):
    """A point that is certain dominates exactly what the front and it dominate together, equal coordinates included."""
    rng = np.random.default_rng(seed)
    front, corner = np.round(rng.random((30, m)), 1), np.full(m, 1.05)
    for point in np.round(rng.random((5, m)), 1) - 0.05:
        more = moocore.hypervolume(np.vstack([front, point]), ref=corner) - moocore.hypervolume(front, ref=corner)
        value = improvement(goal_of(front, corner=corner), point[None], np.full((1, m), 1e-9))[0]
        assert value == pytest.approx(more, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("m", [1, 2, 3])
def test_gradients_are_those_of_differences(m):
    rng = np.random.default_rng(m)
    goal, where = goal_of(rng.random((20, m)) * 3.0, corner=np.full(m, 3.5)), np.append(np.full(m, 0.4), np.full(m, 0.7))
    judged = goal.judged(where[None, :m], where[None, m:], np.ones(m), gradient=True)
    differences = approx_fprime(where, lambda v: goal.judged(v[None, :m], v[None, m:], np.ones(m)).value[0], 1e-6)
    np.testing.assert_allclose(np.append(judged.by_mean, judged.by_deviation), differences, rtol=1e-4, atol=1e-5)


def test_four_objectives_are_ordered_as_the_hypervolume_orders_them():
    rng = np.random.default_rng(3)
    front, corner = rng.random((12, 4)), np.full(4, 1.2)
    goal = goal_of(front, corner=corner)
    means, deviations = rng.random((12, 4)), 0.05 + 0.2 * rng.random((12, 4))
    expected = np.array([by_sampling(front, m, s, corner, n=800) for m, s in zip(means, deviations, strict=True)])
    assert np.corrcoef(improvement(goal, means, deviations), expected)[0, 1] > 0.95


def test_a_corner_that_nothing_has_reached_is_replaced():
    near, far = goal_of(FRONT_2, corner=np.full(2, -5.0)), goal_of(FRONT_2)
    np.testing.assert_array_equal(near.corner, far.corner)
    assert goal_of(FRONT_2, corner=np.full(2, 3.0)).corner[0] == 3.0


@pytest.mark.parametrize("kind", ["hypervolume", "tchebycheff"])
def test_hopeless_points_are_still_ordered(kind):
    goal = goal_of(FRONT_2, kind)
    means = np.array([[50.0, 50.0], [20.0, 20.0], [30.0, 30.0]])
    value = goal.judged(means, np.full((3, 2), 1e-9), np.array([0.5, 0.5])).value
    assert np.isfinite(value).all()
    assert list(np.argsort(-value)) == [1, 2, 0]


def test_a_pending_point_takes_its_improvement_away():
    goal, here = goal_of(FRONT_2), np.array([[0.1, 0.3]])
    before = improvement(goal, here, np.full((1, 2), 0.01))
    after = improvement(goal.with_point(here[0]), here, np.full((1, 2), 0.01))
    assert after[0] < 0.1 * before[0]


def test_units_of_the_objectives_are_of_no_concern():
    scale, shift = np.array([1e6, 1e-6]), np.array([5.0, -2.0])
    F = np.vstack([FRONT_2, [[3.0, 5.0]]])
    one, other = Warp.of(F), Warp.of(F * scale + shift)
    np.testing.assert_allclose(one.unit(F), other.unit(F * scale + shift), atol=1e-8)
    np.testing.assert_allclose(Warp.unwarped(Warp.warped(one.unit(F))), one.unit(F), rtol=1e-12)
