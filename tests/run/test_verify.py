"""Scores come from re-evaluated points and agree with theory."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optisolve.core import Evidence, HypervolumeBox, PointStatus, Reference
from optisolve.numerics.indicators import (
    GainMeter,
    _Front,
    _Staircase,
    hypervolume,
    hypervolume_trace,
    igd_plus,
    knee_index,
    score,
)
from optisolve.run.verify import verify_points
from optisolve.testing.toys import ShiftedZdt1, SumCapSphere

BOX = HypervolumeBox(reference=(-10.0, 4.0), ideal=(0.0, 0.0))  # maximize the first, minimize the second


def test_hypervolume_of_one_point_is_the_product_of_its_normalized_sides():
    """By hand: (10 - 5)/10 * (4 - 1)/4."""
    assert hypervolume(np.array([[-5.0, 1.0]]), BOX) == pytest.approx(0.375, rel=1e-15)


def test_points_outside_the_box_count_nothing_and_the_ideal_point_counts_one():
    assert hypervolume(np.array([[-11.0, 1.0], [-5.0, 5.0]]), BOX) == 0.0
    assert hypervolume(np.empty((0, 2)), BOX) == 0.0
    assert hypervolume(np.array([[0.0, 0.0]]), BOX) == 1.0


@given(st.integers(0, 1000))
def test_hypervolume_agrees_with_counting_random_darts(seed):
    rng = np.random.default_rng(seed)
    F = np.column_stack([rng.uniform(-10, 0, 6), rng.uniform(0, 4, 6)])
    unit = np.column_stack([-F[:, 0] / 10, F[:, 1] / 4])
    darts = rng.random((20_000, 2))
    share = (unit[None] <= darts[:, None]).all(axis=2).any(axis=1).mean()
    assert hypervolume(F, BOX) == pytest.approx(share, abs=0.02)


def test_igd_plus_is_zero_on_the_front_and_positive_behind_it():
    front = np.array([[-5.0, 1.0], [-2.0, 3.0]])
    assert igd_plus(front, front, BOX) == 0.0
    assert igd_plus(front - np.array([1.0, 0.0]), front, BOX) == pytest.approx(0.1)
    assert igd_plus(np.empty((0, 2)), front, BOX) is None


@given(st.integers(0, 500), st.integers(1, 600))
def test_gains_by_evaluation_sum_to_the_final_hypervolume(seed, n):
    rng = np.random.default_rng(seed)
    F_min = np.column_stack([rng.uniform(0, 11, n), rng.uniform(0, 5, n)])
    violation = (rng.random(n) < 0.3).astype(float)
    signs = np.array([-1.0, 1.0])
    gains = GainMeter(signs, BOX).add(F_min, violation)
    total = hypervolume((F_min * signs)[violation == 0], BOX)
    assert (gains >= 0).all()
    assert (gains[violation > 0] == 0).all()
    assert gains.sum() == pytest.approx(total, abs=1e-12)
    trace = hypervolume_trace(F_min, violation, signs, BOX, np.unique([1, (n + 1) // 2, n]))
    assert (np.diff(trace) >= -1e-15).all()
    assert trace[-1] == pytest.approx(total, abs=1e-12)


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=40))
def test_the_staircase_agrees_with_differences_of_hypervolumes(points):
    """Integer grids make ties and duplicates common; moocore computes the other side."""
    unit = np.array(points) / 7.0
    assert np.allclose(_Staircase().add(unit), _Front(2).add(unit), rtol=0, atol=1e-12)


@given(st.integers(0, 200), st.integers(1, 60), st.integers(1, 60))
def test_gains_do_not_depend_on_how_the_evaluations_come_in_batches(seed, n, cut):
    rng = np.random.default_rng(seed)
    F_min = np.column_stack([rng.uniform(0, 11, n), rng.uniform(0, 5, n)])
    violation = (rng.random(n) < 0.3).astype(float)
    for signs, box in ((np.array([-1.0, 1.0]), BOX), (np.array([-1.0]), None)):
        F, batched = F_min[:, : signs.size], GainMeter(signs, box)
        gains = np.concatenate([batched.add(F[:cut], violation[:cut]), batched.add(F[cut:], violation[cut:])])
        assert np.array_equal(gains, GainMeter(signs, box).add(F, violation))


def test_gains_of_one_objective_are_improvements_of_the_best_feasible_value():
    """By hand: nothing for the first feasible point, then 9 - 7 and 7 - 4."""
    values, violation = np.array([[5.0], [9.0], [7.0], [8.0], [4.0], [1.0]]), np.array([1.0, 0, 0, 0, 0, 1.0])
    assert GainMeter(np.array([1.0]), None).add(values, violation).tolist() == [0, 0, 2, 0, 3, 0]


@pytest.mark.parametrize(
    ("points", "status"),
    [
        ([[1.0, 1, 1, 1]], PointStatus.FEASIBLE),
        ([[2.0, 2, 2, 2.00001]], PointStatus.NEARLY_FEASIBLE),
        ([[5.0, 5, 5, 5]], PointStatus.INFEASIBLE),
        ([[1.0, 1, 1, 1], [5.0, 5, 5, 5]], PointStatus.INFEASIBLE),
        ([[1.0, 1, 1, 1], [np.nan, 1, 1, 1]], PointStatus.INVALID),
        ([[1.0, 1, 1]], PointStatus.INVALID),
        ([[99.0, 0, 0, 0]], PointStatus.INVALID),
        ([["a", 0, 0, 0]], PointStatus.INVALID),
        ([], PointStatus.NONE),
    ],
)
def test_status_is_the_worst_of_the_re_evaluated_points(points, status):
    assert verify_points(SumCapSphere().instance(1), points).point is status


def test_one_invalid_point_does_not_hide_the_others():
    check = verify_points(SumCapSphere().instance(1), [[1.0, 1, 1, 1], [np.nan, 1, 1, 1]])
    assert check.counts == {"feasible": 1, "invalid": 1}
    assert check.feasible.tolist() == [True]
    assert "'x0' = nan" in check.detail


def test_gaps_have_the_problem_s_own_sense_and_never_divide_by_zero():
    problem = SumCapSphere()
    instance = problem.instance(1)
    reference = problem.reference(instance)
    assert reference is not None
    scores = score(instance, np.array([[reference.value - 0.5]]), reference)  # maximization: smaller is worse
    assert scores["gap"] == pytest.approx(0.5 / max(abs(reference.value), 1.0))
    assert scores["bound_gap"] == pytest.approx(scores["gap"], abs=1e-9)
    zero = Reference(Evidence.BEST_KNOWN, value=0.0)
    assert score(instance, np.array([[-0.25]]), zero)["gap"] == 0.25


def test_nothing_feasible_is_the_worst_score_not_a_missing_one():
    assert score(ShiftedZdt1().instance(0), np.empty((0, 2)), None)["hypervolume"] == 0.0
    assert score(SumCapSphere().instance(0), np.empty((0, 1)), None)["objective"] is None


def test_the_knee_is_the_point_nearest_to_the_front_s_ideal():
    assert knee_index(np.array([[0.0, 10.0], [1.0, 1.0], [100.0, 0.0]])) == 1


def test_a_search_that_has_not_reached_the_box_still_learns_what_its_points_are_worth():
    """Gains come from a box of the run's own, from the first batch with a point inside on from the scenario's."""
    signs, none = np.array([1.0, -1.0]), np.zeros(2)
    box = HypervolumeBox(reference=(1.0, 0.0), ideal=(0.0, 1.0))
    blind, meter = GainMeter(signs, box), GainMeter(signs, box, working=True)
    far = [np.array([[9.0, 4.0], [8.0, 5.0]]), np.array([[7.0, 5.5], [6.0, 3.0]]), np.array([[9.5, 9.5], [5.0, 2.5]])]
    gains = [(blind.add(F, none), meter.add(F, none), meter.moved) for F in far]
    assert all(not nothing.any() for nothing, *_ in gains)
    assert [(gain > 0.0).tolist() for _, gain, _ in gains] == [[True, True], [True, True], [False, True]]
    assert not any(moved for *_, moved in gains)
    inside = np.array([[0.5, -0.5], [7.0, 7.0]])
    assert np.array_equal(meter.add(inside, none), blind.add(inside, none))
    assert meter.moved
    again = np.array([[0.2, -0.6], [4.0, 1.0]])
    assert np.array_equal(meter.add(again, none), blind.add(again, none))
    assert not meter.moved


def test_a_search_that_begins_in_the_box_is_measured_in_nothing_else():
    rng = np.random.default_rng(5)
    for m in (2, 3):
        signs, box = np.ones(m), HypervolumeBox((1.0,) * m, (0.0,) * m)
        F, violation = rng.random((60, m)) * 1.5, np.where(rng.random(60) < 0.3, 1.0, 0.0)
        plain, working = GainMeter(signs, box), GainMeter(signs, box, working=True)
        for i in range(0, 60, 20):
            batch = F[i : i + 20], violation[i : i + 20]
            assert np.array_equal(plain.add(*batch), working.add(*batch))
            assert not working.moved


def test_points_without_a_feasible_one_make_no_box():
    meter = GainMeter(np.ones(2), HypervolumeBox((1.0, 1.0), (0.0, 0.0)), working=True)
    assert meter.add(np.array([[5.0, 5.0]]), np.array([1.0])).tolist() == [0.0]
    assert meter.add(np.array([[4.0, 4.0]]), np.array([0.0]))[0] > 0.0
