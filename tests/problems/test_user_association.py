"""User association: conformance, brute force, agreement of assignment, flow, CP-SAT and HiGHS."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from optisolve.core import Evidence
from optisolve.core.errors import OptionError
from optisolve.modelling.assignment import group_prices, price_bound, solve_assignment
from optisolve.modelling.cpsat import solve_cpsat
from optisolve.modelling.highs import solve_highs
from optisolve.numerics.station_flow import max_min_flow
from optisolve.problems.user_association.reference import Limits, solve_reference
from optisolve.registry import make_problem
from optisolve.testing import ProblemConformance

GOALS = ["proportional_fair", "max_min", "sum_rate"]


class TestProjectionIsExact(ProblemConformance):
    """With limited reach every projected point is covered."""

    projection_is_exact = True

    def make_problem(self):
        return make_problem("user_association/max_min_fixed_rate")


def small(goal, seed, n_users=7, n_small=2, **changes):
    problem = make_problem("user_association", {"goal": goal, "n_users": n_users, "n_small": n_small, **changes})
    return problem, problem.instance(seed)


def brute_force(instance):
    """The best of all J^I associations by the numpy twin."""
    n_users, n_stations = instance.rate_mbps.shape
    X = np.array(list(itertools.product(range(n_stations), repeat=n_users)), dtype=np.float64)
    evaluation = instance.evaluate_twin(X)
    return evaluation.F[evaluation.violation <= 0.0, 0].max()


def test_proportional_fairness_by_assignment_is_exact():
    """Golden (moe_games.md, section 10): linear assignment = brute force, I = 7, J = 3, 60 draws."""
    for seed in range(60):
        problem, instance = small("proportional_fair", seed)
        reference = problem.reference(instance)
        assert reference.evidence is Evidence.PROVEN_OPTIMAL
        assert reference.value == pytest.approx(brute_force(instance), rel=1e-12)


@pytest.mark.parametrize("goal", GOALS)
def test_reference_cpsat_and_highs_equal_brute_force(goal):
    """Three methods and enumeration, one optimum; no bound lies below it."""
    for seed in range(4):
        problem, instance = small(goal, seed, n_users=6)
        optimum = brute_force(instance)
        assert problem.reference(instance).value == pytest.approx(optimum, rel=1e-9)
        for answer in (solve_cpsat(instance.model("cpsat"), deterministic_time=5.0), solve_highs(instance.model("highs"))):
            assert instance.evaluate_twin(answer.x).F[0, 0] == pytest.approx(optimum, rel=1e-9)
            assert answer.dual_bound >= optimum - 1e-6 * max(1.0, abs(optimum))
            assert answer.dual_bound <= optimum + 1e-4 * max(1.0, abs(optimum))


def test_threshold_and_flow_equals_cpsat_and_brute_force():
    """Equal rates inside a station: two methods and enumeration."""
    fixed = {"fixed_rate_mbps": 20.0, "sinr_min_db": -6.5}
    for seed in range(6):
        problem, instance = small("max_min", seed, n_users=8, **fixed)
        x, bound = max_min_flow(instance.rate_mbps)
        assert bound == pytest.approx(brute_force(instance), rel=1e-12)
        assert instance.evaluate_twin(x).F[0, 0] == pytest.approx(bound, rel=1e-12)
        answer = solve_cpsat(instance.model("cpsat"), deterministic_time=5.0)
        assert instance.evaluate_twin(answer.x).F[0, 0] == pytest.approx(bound, rel=1e-12)
        assert problem.reference(instance).solver == "threshold_flow"


def test_stations_of_different_fixed_rates():
    """Flow with other rates per station, checked by hand: capacities 3 and 1 at rate 10."""
    rates = np.array([[30.0, 0.0], [30.0, 10.0], [30.0, 10.0], [30.0, 10.0]])
    x, value = max_min_flow(rates)
    assert value == 10.0
    assert (x == 0).sum() == 3


def test_prices_certify_only_the_optimum():
    """A worse assignment has a price bound strictly above its value: the certificate cannot be talked into it."""
    _, instance = small("proportional_fair", 3, n_users=20)
    form = instance.model("assignment")
    answer = solve_assignment(form)
    value = instance.evaluate_twin(answer.x).F[0, 0]
    assert answer.dual_bound == pytest.approx(value, abs=1e-9)
    worse = answer.x.astype(np.int64)
    worse[0] = (worse[0] + 1) % 3
    bound = form.value_of(price_bound(form.values, form.slot_costs, group_prices(form.values, form.slot_costs, worse)))
    assert bound > instance.evaluate_twin(worse.astype(float)).F[0, 0] + 1e-6
    assert bound >= value - 1e-9


def test_a_user_out_of_reach_is_proven_infeasible():
    """A row of zeros gives a reason instead of a number, for every goal."""
    arrays = {"peak_rate_bps": [[1e6, 2e6], [0.0, 0.0]], "received_dbm": [[-80.0, -70.0]] * 2, "bias_db": [0.0, 0.0]}
    for goal in GOALS:
        problem = make_problem("user_association", {"goal": goal, "instance_data": arrays})
        reference = problem.reference(problem.instance(0))
        assert reference.X is None
        assert reference.evidence is Evidence.PROVEN_INFEASIBLE
        assert reference.detail == "user1 reaches no station"


@pytest.mark.parametrize("goal", ["max_min", "sum_rate"])
def test_a_limited_reference_gives_a_bound_and_no_proof(goal):
    """With next to no work allowed: a feasible point, a valid bound, evidence DUAL_BOUND."""
    problem = make_problem("user_association", {"goal": goal, "n_users": 60, "n_small": 6})
    instance = problem.instance(1)
    reference = solve_reference(instance, Limits(deterministic_time=1e-6))
    assert reference.evidence is Evidence.DUAL_BOUND
    assert reference.dual_bound > reference.value
    assert instance.evaluate_twin(reference.X).violation[0] == 0.0


def test_a_nearly_dead_link_does_not_overflow_the_integer_model():
    """Rates over twelve decades: CP-SAT's model stays inside 64 bits and its bound valid."""
    rates = 1e6 * np.array([[10.0, 1e-11], [1e-9, 5.0], [8.0, 1e-12]])
    arrays = {"peak_rate_bps": rates.tolist(), "received_dbm": [[-80.0, -90.0]] * 3, "bias_db": [0.0, 0.0]}
    problem = make_problem("user_association", {"goal": "max_min", "instance_data": arrays})
    reference = problem.reference(problem.instance(0))
    assert reference.evidence is Evidence.PROVEN_OPTIMAL
    assert reference.value == pytest.approx(4.0)


def test_a_bad_file_names_the_field():
    with pytest.raises(OptionError, match="peak_rate_bps"):
        make_problem("user_association", {"instance_data": {"peak_rate_bps": [[-1.0]]}}).instance(0)


def card_value(instance, station, goal):
    """The card's equation at one association: peak rate over load, nothing lifted."""
    peak = instance.arrays()["peak_rate_bps"] / 1e6
    rate = peak[np.arange(len(station)), station] / np.bincount(station, minlength=peak.shape[1])[station]
    return {"proportional_fair": np.log(rate).sum(), "max_min": rate.min(), "sum_rate": rate.sum()}[goal]


@pytest.mark.parametrize("goal", GOALS)
def test_a_reachable_pair_counts_with_its_own_rate(goal):
    """A pair of 0.0956 bit/s, as the default scenario draws it for user 18, is no pair of 1 bit/s."""
    instance = make_problem("user_association", {"goal": goal}).instance(110)
    peak = instance.arrays()["peak_rate_bps"]
    assert 0.0 < peak[18, 1] < 1.0
    station = peak.argmax(axis=1)
    station[18] = 1
    x = station.astype(np.float64)
    for evaluation in (instance.evaluate(x), instance.evaluate_twin(x)):
        assert evaluation.violation[0] == 0.0
        assert evaluation.F[0, 0] == pytest.approx(card_value(instance, station, goal), rel=1e-12)


@pytest.mark.parametrize("goal", GOALS)
def test_a_pair_out_of_reach_is_infeasible_and_finite(goal):
    """It has no rate; under proportional fairness it counts with the smallest rate of the instance, as the card says."""
    arrays = {"peak_rate_bps": [[0.0, 4.0], [2.0, 8.0]], "received_dbm": [[-80.0, -70.0]] * 2, "bias_db": [0.0, 0.0]}
    instance = make_problem("user_association", {"goal": goal, "instance_data": arrays}).instance(0)
    expected = {"proportional_fair": np.log(2e-6) + np.log(8e-6), "max_min": 0.0, "sum_rate": 8e-6}[goal]
    for evaluation in (instance.evaluate([0.0, 1.0]), instance.evaluate_twin([0.0, 1.0])):
        assert evaluation.G[0, 0] == 0.5
        assert evaluation.F[0, 0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_a_cell_of_100_km_is_certified(seed):
    """Optima that use pairs far below 1 bit/s: the bound and the evaluators speak of the same rates."""
    wide = make_problem("user_association", {"radius_m": 100_000.0})
    reference = wide.reference(wide.instance(seed))
    assert reference.evidence is Evidence.PROVEN_OPTIMAL
    assert not reference.note
    few = {"goal": "max_min", "n_users": 8, "n_macro": 2, "n_small": 0, "bandwidth_hz": 1.0, "radius_m": 100_000.0}
    narrow = make_problem("user_association", few)
    instance = narrow.instance(110 + seed)
    reference = narrow.reference(instance)
    assert reference.evidence is Evidence.PROVEN_OPTIMAL
    assert reference.value == pytest.approx(brute_force(instance), rel=1e-6)
    assert reference.value == pytest.approx(card_value(instance, reference.X[0].astype(int), "max_min"), rel=1e-12)


def test_small_rates_are_proven_as_sharply_as_large_ones():
    """Peak rates of 10 to 1,000 bit/s: the proof's tolerance shrinks with them, and enumeration finds nothing better."""
    for seed in range(8):
        _, instance = small("sum_rate", seed, n_users=6)
        arrays = {
            name: (values * (1e-5 if name == "peak_rate_bps" else 1.0)).tolist() for name, values in instance.arrays().items()
        }
        own = make_problem("user_association", {"goal": "sum_rate", "instance_data": arrays})
        case = own.instance(0)
        reference = own.reference(case)
        assert reference.evidence is Evidence.PROVEN_OPTIMAL
        assert reference.tie <= 1.1e-6 * reference.value
        assert brute_force(case) <= reference.dual_bound
        assert case.objectives[0].gap_scale(0.0) < 1e-3 * reference.value * 2.0


def test_rates_beyond_computing_are_refused_by_name():
    """A rate that a double cannot divide by loads and other rates: one error that names the entry."""
    arrays = {"peak_rate_bps": [[1e6, 1e-300]], "received_dbm": [[-80.0, -70.0]], "bias_db": [0.0, 0.0]}
    with pytest.raises(OptionError, match=r"peak_rate_bps\[0, 1\]"):
        make_problem("user_association", {"instance_data": arrays}).instance(0)
    with pytest.raises(OptionError, match="radius_m"):
        make_problem("user_association", {"radius_m": 1e200})
