"""cell_free: conformance, two searches that agree, a bound that holds everywhere."""

from __future__ import annotations

import math

import numpy as np
import pytest

from optisolve.core import Evidence
from optisolve.core.errors import OptionError, ProblemError
from optisolve.problems.cell_free.convex import CellFreeModel, level_bound
from optisolve.problems.cell_free.reference import reference
from optisolve.registry import make_problem
from optisolve.testing import ProblemConformance


class TestProjectionIsExact(ProblemConformance):
    """Balls of the access points: every projected point is feasible."""

    projection_is_exact = True

    def make_problem(self):
        return make_problem("cell_free")


def bisection(owner: CellFreeModel, *, rel_tolerance: float = 1e-6) -> tuple[float, float]:
    """The textbook bisection on the level by feasibility SOCPs: both ends of the level, by the sign of the SOCP's margin."""
    scale_point = np.full(owner.beta.shape, owner.beta.shape[1] ** -0.5)
    low, high = 0.0, math.sqrt(float((np.sqrt(owner.gamma).sum(axis=0) ** 2).min()))
    while high > low * (1.0 + rel_tolerance):
        middle = 0.5 * (low + high)
        solved, _ = owner.at_level(middle, scale_point, None)
        low, high = (middle, high) if solved.value is not None and solved.value >= 0.0 else (low, middle)
    return low, high


@pytest.mark.parametrize("seed", range(6))
def test_bisection_and_dinkelbach_agree(seed):
    """The textbook bisection and the search with a dual bound find the same worst rate within 1e-5."""
    problem = make_problem("cell_free")
    instance = problem.instance(seed)
    found = problem.reference(instance)
    assert found.evidence is Evidence.PROVEN_OPTIMAL
    low, high = np.log2(1.0 + np.square(bisection(instance.model("cvxpy"))))
    assert low == pytest.approx(found.value, rel=1e-5)
    assert high == pytest.approx(found.dual_bound, rel=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_level_bound_holds_for_any_weights_and_point(seed):
    """The closed-form dual bound is never below the optimum, whatever weights and unit vectors it is built from."""
    problem = make_problem("cell_free")
    instance, rng = problem.instance(seed), np.random.default_rng(seed)
    best = problem.reference(instance).value
    for _ in range(50):
        weights = rng.exponential(1.0, instance.beta.shape[1]) * (rng.random(instance.beta.shape[1]) < 0.8)
        weights[0] += 1e-3
        a = instance.project(rng.random((1, instance.space.dim))).reshape(instance.beta.shape)
        level = level_bound(instance.beta_snr, instance.gamma_snr, weights, a)
        assert np.log2(1.0 + level**2) >= best * (1.0 - 1e-9)


def test_one_user_gets_the_obvious_optimum():
    """One user and one access point: full power if nothing interferes but itself, SINR = rho gamma / (rho beta + 1)."""
    problem = make_problem("cell_free", {"instance_data": {"beta": [[1e-9]]}})
    instance = problem.instance()
    expected = np.log2(1.0 + instance.gamma_snr[0, 0] / (instance.beta_snr[0, 0] + 1.0))
    assert problem.reference(instance).value == pytest.approx(expected, rel=1e-6)


def test_without_time_there_is_a_point_and_no_proof():
    """The start is feasible; at a limit of no time it is reported as best known, without a bound."""
    limited = reference(make_problem("cell_free").instance(1), time_limit_s=1e-9)
    assert limited.evidence is Evidence.BEST_KNOWN
    assert limited.dual_bound is None
    assert limited.value < make_problem("cell_free").reference(make_problem("cell_free").instance(1)).value


def test_pilots_are_orthogonal_or_refused():
    """Fewer pilot symbols than users: refused by name, from a scenario and from a file of gains."""
    with pytest.raises(OptionError, match=r"pilot_symbols.*at least n_users = 4"):
        make_problem("cell_free", {"pilot_symbols": 1})
    make_problem("cell_free", {"pilot_symbols": 4}).instance(0)
    with pytest.raises(ProblemError, match="pilot_symbols = 1"):
        make_problem("cell_free", {"pilot_symbols": 1, "instance_data": {"beta": [[1e-9, 1e-9]]}}).instance()


@pytest.mark.parametrize("p_access_point_w", [1e-24, 1e-12, 1e-6, 1e6])
def test_proofs_are_relative_to_the_rate(p_access_point_w):
    """At rates from 1e-20 bit/s/Hz up a proof means 4e-6 of the rate, and the tolerance has no floor."""
    problem = make_problem("cell_free", {"p_access_point_w": p_access_point_w})
    for seed in range(3):
        instance = problem.instance(seed)
        found = problem.reference(instance)
        assert found.evidence is Evidence.PROVEN_OPTIMAL, found
        assert abs(found.value - found.dual_bound) <= found.tolerance <= 4.1e-6 * found.value
        assert instance.objectives[0].scale <= found.value


def test_slack_covers_overloaded_access_points():
    """All access points at 1 + 0.99e-8 of their power: verified, a little better, and no more than the stated slack."""
    problem = make_problem("cell_free", {"p_access_point_w": 1e-7})
    instance = problem.instance(0)
    found = problem.reference(instance)
    a = found.X.reshape(instance.beta.shape)
    a = a * np.sqrt(1.0 + 0.99e-8) / np.maximum(1.0, np.sqrt((a * a).sum(axis=1, keepdims=True)))
    told = instance.evaluate_twin(instance.space.clip(a.reshape(1, -1)))
    assert told.max_violation[0] <= 1e-8
    assert told.F[0, 0] - found.value <= found.slack
    assert told.F[0, 0] - found.dual_bound <= found.slack
    assert found.slack <= 1.1e-8 * found.value
