"""Equalities are repaired by default: exactly where they are linear, by Gauss-Newton steps elsewhere, and at a stated cost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import optisolve
from optisolve.core import Budget, Description, Evaluation, Instance, Kind, Objective, Origin, Sense, Space, Variable
from optisolve.core.affine import AffineSystem
from optisolve.core.errors import ProblemError
from optisolve.core.evaluation import FEASIBILITY_TOLERANCE
from optisolve.core.repair import equality_repair
from tests.blocks import Blocks


class Own(Instance):
    """A user's instance: functions of the points, no projection; counts the points that its model was asked for."""

    def __init__(self, equalities, lower, upper, *, integer=(), tolerance=FEASIBILITY_TOLERANCE):
        self.h, self.asked = equalities, 0
        lower, upper = np.array(lower, dtype=float), np.array(upper, dtype=float)
        kinds = [Kind.INTEGER if j in integer else Kind.REAL for j in range(lower.size)]
        super().__init__(
            origin=Origin("own", "1", "own", {}, 0),
            space=Space.of(Variable(f"x{j}", lower[j], upper[j], kind=kind) for j, kind in enumerate(kinds)),
            objectives=(Objective("size", Sense.MINIMIZE, meaning="squared length"),),
            equality_names=tuple(f"h{i}" for i in range(np.shape(equalities(lower[None]))[1])),
            tolerance=tolerance,
        )

    def arrays(self):
        return {"bounds": self.space.upper}

    def describe(self):
        return Description("The shortest vector that solves a few equations.")

    def _evaluate(self, X):
        self.asked += X.shape[0]
        return Evaluation((X**2).sum(axis=1, keepdims=True), np.empty((X.shape[0], 0)), self.h(X))


class Apart(Own):
    """The same where the equalities can be had without the objective."""

    def _equalities(self, X):
        return self.h(X)


def linear(A, b):
    return lambda X: X @ np.asarray(A, dtype=float).T - np.asarray(b, dtype=float)


@st.composite
def systems(draw, *, integers=False):
    """Equations that a point of the box solves, the box, which variables are whole, and points to repair."""
    d = draw(st.integers(1, 7))
    p = draw(st.integers(1, min(d, 3)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    lower = rng.integers(-6, 1, d).astype(float)
    upper = lower + rng.integers(0, 9, d)
    whole = rng.random(d) < (0.5 if integers else 0.0)
    A = rng.integers(-3, 4, (p, d)).astype(float) if integers or draw(st.booleans()) else rng.normal(size=(p, d))
    solution = lower + rng.random(d) * (upper - lower)
    at_bounds = rng.random(d) < draw(st.sampled_from([0.0, 0.5, 1.0]))  # the only solution may be a corner
    solution = np.where(at_bounds, np.where(rng.random(d) < 0.5, lower, upper), solution)
    solution = np.where(whole, np.rint(solution), solution)
    return A, A @ solution, lower, upper, whole, lower + rng.random((6, d)) * (upper - lower)


@settings(max_examples=60, deadline=None)
@given(systems())
def test_linear_equalities_of_reals_are_solved_wherever_the_box_holds_a_solution(case):
    A, b, lower, upper, _, X = case
    instance = Own(linear(A, b), lower, upper)
    repaired = instance.project(X)
    assert instance.evaluate(repaired).feasible.all()
    assert np.array_equal(instance.project(repaired), repaired)


@settings(max_examples=40, deadline=None)
@given(systems(integers=True))
def test_linear_equalities_of_integers_and_reals_are_solved_wherever_the_box_holds_a_solution(case):
    A, b, lower, upper, whole, X = case
    instance = Own(linear(A, b), lower, upper, integer=np.flatnonzero(whole))
    repaired = instance.project(X)
    assert np.array_equal(repaired[:, whole], np.rint(repaired[:, whole]))
    assert instance.evaluate(repaired).feasible.all()
    assert np.array_equal(instance.project(repaired), repaired)


@settings(max_examples=40, deadline=None)
@given(systems(integers=True))
def test_feasible_points_are_left_as_they_are_bit_by_bit(case):
    A, b, lower, upper, whole, X = case
    instance = Own(linear(A, b), lower, upper, integer=np.flatnonzero(whole))
    feasible = instance.project(X)
    nearly = np.clip(
        np.where(whole, feasible, feasible + 1e-10 * np.cos(np.arange(feasible.size).reshape(X.shape))), lower, upper
    )
    inside = nearly[instance.evaluate(nearly).feasible]
    assert np.array_equal(instance.project(inside), inside)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_the_projection_on_a_sum_is_the_nearest_point(seed):
    """Compared with the shift by a common amount and clipping, found by bisection (Held, Wolfe & Crowder 1974)."""
    rng = np.random.default_rng(seed)
    d = int(rng.integers(2, 9))
    x, total = rng.uniform(0.0, 1.0, d), float(rng.uniform(0.05, 0.95)) * d
    low, high = -2.0, 2.0
    for _ in range(200):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if np.clip(x + middle, 0.0, 1.0).sum() < total else (low, middle)
    instance = Own(linear(np.ones((1, d)), [total]), np.zeros(d), np.ones(d))
    assert np.allclose(instance.project(x)[0], np.clip(x + low, 0.0, 1.0), atol=1e-9)


def test_a_sum_of_integers_is_shared_out_by_the_largest_remainders():
    """Balinski & Young: quotas 2.6, 4.3, 1.1 of 8 seats leave one seat over, which goes to the remainder 0.6."""
    instance = Own(linear([[1.0, 1.0, 1.0]], [8.0]), [0, 0, 0], [9, 9, 9], integer=(0, 1, 2))
    assert instance.project([2.6, 4.3, 1.1]).tolist() == [[3.0, 4.0, 1.0]]
    assert instance.project([3.0, 4.0, 1.0]).tolist() == [[3.0, 4.0, 1.0]]


def test_integers_give_way_so_that_reals_can_close_the_rest():
    """5 n + y = 13 with y in [0, 1] has no solution; with y in [0, 3] only n = 2, y = 3."""
    instance = Own(linear([[5.0, 1.0]], [13.0]), [0, 0], [9, 3], integer=(0,))
    assert np.allclose(instance.project([[9.0, 0.0], [0.0, 0.5]]), [[2.0, 3.0]] * 2, atol=1e-9)
    impossible = Own(linear([[5.0, 1.0]], [13.0]), [0, 0], [9, 1], integer=(0,))
    repaired = impossible.project([[9.0, 0.0]])
    assert (repaired >= 0.0).all()
    assert not impossible.evaluate(repaired).feasible.any()


@pytest.mark.parametrize(
    "equalities",
    [
        lambda X: (X**2).sum(axis=1, keepdims=True) - 1.0,
        lambda X: X[:, :1] * X[:, 1:2] / 0.5 - 1.0,
        lambda X: np.stack([X[:, 0] * X[:, 1] - X[:, 2], X.sum(axis=1) - 2.0], axis=1),
    ],
    ids=["sphere", "product", "product_and_sum"],
)
def test_equalities_that_are_not_linear_are_met_after_a_few_looks(equalities):
    instance = Own(equalities, [-1.5, 0.2, -1.0, -1.0], [2.0] * 4)
    X = instance.space.sample(np.random.default_rng(1), 100)
    repaired = instance.project(X)
    assert not equality_repair(instance).linear.all()
    assert instance.evaluate(repaired).feasible.all()
    assert instance.asked < 25 * 100
    assert np.array_equal(instance.project(repaired), repaired)


def test_integers_stay_where_reals_meet_an_equality_that_is_not_linear():
    instance = Own(lambda X: X[:, :1] * X[:, 1:2] - 3.0, [1, 0.1], [6, 4.0], integer=(0,))
    repaired = instance.project([[2.0, 0.3], [6.0, 4.0]])
    assert np.allclose(repaired, [[2.0, 1.5], [6.0, 0.5]], atol=1e-7)


def test_what_only_looks_linear_along_the_axes_is_not_taken_for_linear():
    """A product is linear in each variable; a kink beyond the steps is linear at each of them."""
    for equalities in (
        lambda X: X[:, :1] * X[:, 1:2] - 1.0,
        lambda X: X.sum(axis=1, keepdims=True) + np.maximum(X[:, :1] + X[:, 1:2] - 3.6, 0.0) - 2.0,
    ):
        assert equality_repair(Own(equalities, [0.0, 0.0], [2.0, 2.0])).linear.tolist() == [False]
    assert equality_repair(Own(linear([[1.0, 1.0]], [2.0]), [0.0, 0.0], [2.0, 2.0])).linear.tolist() == [True]


def test_looking_at_the_equalities_is_charged_to_the_run_that_looks():
    """d + 7 looks for linear ones, in every run alike; where the model is asked, the budget knows of it."""
    instance = Own(linear([[1.0, 1.0, 1.0]], [1.5]), np.zeros(3), np.ones(3))
    results = [optisolve.solve(instance, "random_search", budget=Budget(evaluations=100)) for _ in range(2)]
    assert {result.record.used.by_source["repair"].evaluations for result in results} == {3 + 7}
    assert len({result.result_hash for result in results}) == 1

    sphere = Own(lambda X: (X**2).sum(axis=1, keepdims=True) - 1.0, -np.ones(3), np.ones(3))
    result = optisolve.solve(sphere, "moead_de", budget=Budget(evaluations=2000))
    assert result.feasible
    assert result.F[0, 0] == pytest.approx(1.0, abs=1e-7)
    used = result.record.used
    assert sum(item.evaluations for item in used.by_source.values()) == used.evaluations <= 2000
    assert sphere.asked <= used.evaluations + 100  # verification, and probes for the hash, are ours


def test_equalities_that_can_be_had_alone_cost_no_evaluations():
    instance = Apart(lambda X: (X**2).sum(axis=1, keepdims=True) - 1.0, -np.ones(3), np.ones(3))
    result = optisolve.solve(instance, "moead_de", budget=Budget(evaluations=500))
    assert result.feasible
    assert "repair" not in result.record.used.by_source


def test_a_point_at_which_the_model_fails_stops_no_repair():
    def broken(X):
        if (X[:, 0] > 0.9).any():
            raise FloatingPointError("no convergence")
        return X.sum(axis=1, keepdims=True) - 1.0

    for kind in (Own, Apart):
        instance = kind(broken, np.zeros(3), np.ones(3))
        result = optisolve.solve(instance, "moead_de", budget=Budget(evaluations=1500))
        assert result.feasible


def test_a_projection_of_ones_own_is_used_as_it_is():
    instance = Blocks(repairs=False).instance(3)
    X = instance.space.sample(np.random.default_rng(0), 5)
    assert np.array_equal(instance.project(X), X)


def test_solutions_on_a_corner_and_fixed_variables_are_found():
    corner = AffineSystem(np.ones((1, 3)), np.array([6.0]), np.zeros(3), np.full(3, 2.0), np.zeros(3, bool), np.array([1e-11]))
    assert np.allclose(corner.solve(np.zeros((1, 3))), 2.0, atol=1e-11)
    fixed = Own(linear([[1.0, 1.0]], [3.0]), [1.0, 0.0], [1.0, 5.0])
    assert np.allclose(fixed.project([1.0, 4.0]), [[1.0, 2.0]])


@pytest.mark.parametrize("tolerance", [0.0, -1.0, np.nan, "small", {"h9": 1e-3}, {"h0": None}])
def test_a_tolerance_that_is_none_is_refused_by_name(tolerance):
    with pytest.raises(ProblemError, match="tolerance"):
        Own(linear([[1.0]], [0.5]), [0.0], [1.0], tolerance=tolerance)


def test_tolerances_by_name_leave_the_others_as_they_are():
    instance = Own(linear([[1.0, 0.0], [0.0, 1.0]], [0.5, 0.5]), [0.0, 0.0], [1.0, 1.0], tolerance={"h1": 1e-3})
    assert instance.tolerance.tolist() == [1e-8, 1e-3]
    assert instance.evaluate([[0.5, 0.5005], [0.5005, 0.5]]).feasible.tolist() == [True, False]
