"""Kelly's mechanism and Cournot's market: conformance, equilibria by two ways, optima with bounds."""

from __future__ import annotations

import numpy as np
import pytest

import optisolve
from optisolve.core import Budget, Evidence, Termination
from optisolve.core.errors import OptionError
from optisolve.registry import make_problem, make_solver
from tests.independent.protocol import own_evaluation

SCENARIOS = ("market_game", "market_game/cournot")


def play(scenario, seed=0, **options):
    instance = make_problem(scenario).instance(seed)
    result = optisolve.solve(instance, make_solver("game_control", options), budget=Budget(evaluations=600))
    return instance, result


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_best_responses_in_turn_reach_the_equilibrium_that_the_formula_gives(scenario):
    for seed in range(5):
        instance, result = play(scenario, seed, protocol="sequential")
        nash = instance.null_policies()["nash"][0]
        assert instance.game.regrets(nash).max() < 1e-9
        assert result.termination is Termination.CONVERGED
        np.testing.assert_allclose(result.run.outcome.X[0], nash, atol=1e-6)


def test_five_sellers_who_all_respond_at_once_never_settle():
    """Theory: with more than three sellers simultaneous best responses diverge on a linear market."""
    _, result = play("market_game/cournot")
    told = result.record.used.report
    assert result.termination is not Termination.CONVERGED
    assert told["epsilon"] > 100.0
    assert told["oscillation"] > 0.9


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_references_are_proven_and_no_equilibrium_or_sample_beats_them(scenario):
    problem = make_problem(scenario)
    for seed in range(5):
        instance = problem.instance(seed)
        reference = problem.reference(instance)
        assert reference.evidence is Evidence.PROVEN_OPTIMAL
        sample = instance.space.sample(np.random.default_rng(seed), 4000)
        points = np.vstack([*instance.null_policies().values(), sample])
        assert instance.evaluate(points).F.max() <= reference.dual_bound * (1.0 + 1e-9)


def test_kellys_equilibrium_is_worth_at_least_three_quarters_of_the_optimum():
    """Johari and Tsitsiklis 2004."""
    problem = make_problem("market_game")
    for seed in range(20):
        instance = problem.instance(seed)
        nash = instance.evaluate(instance.null_policies()["nash"]).F[0, 0]
        assert 0.75 <= nash / problem.reference(instance).value < 1.0


def test_cooperation_among_sellers_is_worth_more_than_competition():
    """The cartel earns more than the equilibrium, and any of its members would gain by leaving it."""
    problem = make_problem("market_game/cournot")
    instance = problem.instance(0)
    reference = problem.reference(instance)
    nash = instance.evaluate(instance.null_policies()["nash"]).F[0, 0]
    assert reference.value > 1.3 * nash
    assert instance.game.regrets(reference.X[0]).max() > 1.0


def test_equal_sellers_have_the_textbook_equilibrium():
    """q = (A - c) / (B (K + 1)): 90 / 6 = 15 each."""
    instance = make_problem("market_game/cournot", {"cost_low": 10.0, "cost_high": 10.0}).instance(0)
    np.testing.assert_allclose(instance.null_policies()["nash"][0], 15.0, atol=1e-9)


@pytest.mark.parametrize("ratio", [1e-12, 1e-9, 1.0, 1e9, 1e12])
def test_kelly_keeps_its_digits_far_from_the_knee(ratio):
    """Shares far below or above the knee: the card's loops give the same, and the bound holds without a note."""
    problem = make_problem("market_game", {"knee": 100.0 * ratio})
    for seed in range(5):
        instance = problem.instance(seed)
        X = instance.space.sample(np.random.default_rng(seed), 100)
        F = instance.evaluate(X).F
        np.testing.assert_allclose(F, own_evaluation("market_game", instance, X)[0], rtol=1e-12)
        reference = problem.reference(instance)
        assert reference.note == ""
        assert F.max() <= reference.dual_bound


def test_what_a_binding_smallest_bid_leaves_is_a_bound():
    """Users who should get nothing bid the least all the same: the family claims no optimum there, as its card says."""
    problem = make_problem("market_game", {"knee": 1e8, "bid_min": 1.0})
    reference = problem.reference(problem.instance(0))
    assert reference.evidence is Evidence.DUAL_BOUND
    assert reference.value < reference.dual_bound


def test_a_market_whose_price_covers_no_cost_is_left_alone():
    """The optimum is to sell nothing, and it is proven."""
    problem = make_problem("market_game/cournot", {"intercept": 1.0})
    reference = problem.reference(problem.instance(0))
    assert (reference.evidence, reference.value) == (Evidence.PROVEN_OPTIMAL, 0.0)


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        ({"bid_min": 20.0}, "bid_max"),
        ({"worth_low": 20.0}, "worth_high"),
        ({"cost_low": 40.0}, "cost_high"),
        ({"knee": 1e20}, "knee"),
        ({"capacity": 1e-300}, "capacity"),
    ],
)
def test_ranges_that_cross_or_cannot_be_computed_are_refused_by_name(overrides, named):
    """A smallest bid above the largest, and the like."""
    with pytest.raises(OptionError, match=named):
        make_problem("market_game", overrides)
