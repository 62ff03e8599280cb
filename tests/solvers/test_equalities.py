"""Integers and equalities work with every general solver, without a projection written by hand."""

from __future__ import annotations

import numpy as np
import pytest

import optisolve
from optisolve.core import Budget
from optisolve.registry import make_solver
from tests.blocks import Blocks, TwoGoalBlocks, WholeBlocks, best_value

BUDGET = Budget(evaluations=5000, llm_calls=40)


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("solver", ["moead", "moead_de", "moead_lo", "nsga2", "cma_es", "ledma", "moe"])
def test_mixed_integers_with_equalities_are_solved_to_a_thousandth(solver, seed):
    """The optimum comes from enumeration and water-filling (`best_value`)."""
    instance = Blocks().instance(3)
    result = optisolve.solve(instance, solver, budget=BUDGET, seed=seed, llm="surrogate")
    assert result.feasible
    assert result.F[0, 0] == pytest.approx(16.384354, rel=1e-3)


def test_the_stated_optimum_is_that_of_an_enumeration():
    assert best_value(Blocks().instance(3)) == pytest.approx(16.384354, abs=5e-7)


def test_random_points_are_all_feasible_in_the_equalities():
    """The weakest control gets the same repair: it is short of the optimum, yet every point it draws uses all there is."""
    result = optisolve.solve(Blocks().instance(3), "random_search", budget=Budget(evaluations=500))
    assert result.feasible
    assert result.F[0, 0] > 12.0


@pytest.mark.parametrize("solver", ["nsga2", "nsga3", "sms_emoa", "moead"])
def test_several_objectives_with_integers_and_equalities_give_a_feasible_front(solver):
    instance = TwoGoalBlocks().instance(3)
    result = optisolve.solve(instance, solver, budget=Budget(evaluations=1000))
    drawn = optisolve.solve(instance, "random_search", budget=Budget(evaluations=1000))
    assert result.feasible
    assert result.hypervolume > drawn.hypervolume > 0.0
    assert np.array_equal(result.X[:, :4], np.rint(result.X[:, :4]))
    assert np.allclose(result.X[:, :4].sum(axis=1), 12.0)


def test_a_local_method_says_why_it_leaves_integers_alone():
    reason = make_solver("scipy_local", {}).skip(Blocks().instance(3))
    assert reason is not None
    assert "integer" in reason


def test_pymoo_judges_by_the_tolerance_of_the_problem():
    """By itself it takes equalities for met at 1e-4 and inequalities at 0."""
    instance = Blocks(repairs=False, tolerance=1e-2).instance(3)
    X = np.array(
        [[3.0, 3.0, 3.0, 3.0, *powers] for powers in ([0.25] * 4, [0.25, 0.25, 0.25, 0.259], [0.25, 0.25, 0.25, 0.27])]
    )
    solver = make_solver("nsga2", {})
    told = solver._fitness(instance.evaluate(X), instance)
    assert (told["G"].sum(axis=1) > 0.0).tolist() == [False, False, True]
    assert "H" not in told
    assert solver._problem(instance).n_eq_constr == 0
    for name in ("nsga2", "cma_es"):
        found = optisolve.solve(instance, name, budget=Budget(evaluations=3000))
        assert found.feasible
        assert 1e-8 < found.verification.max_violation <= 1e-2


@pytest.mark.parametrize("solver", ["moead", "moead_de", "nsga2"])
def test_rounding_does_not_spend_the_budget_on_points_that_are_known(solver):
    """Integers alone: without another place for offspring that fall on a point of before, most evaluations are of those."""
    instance = WholeBlocks().instance(3)
    result = optisolve.solve(instance, solver, budget=Budget(evaluations=2000))
    evaluated = np.concatenate(instance.evaluated)
    assert len(np.unique(evaluated, axis=0)) > 0.9 * len(evaluated)
    assert result.result_hash == optisolve.solve(instance, solver, budget=Budget(evaluations=2000)).result_hash


def test_a_space_with_fewer_points_than_evaluations_ends_no_run():
    instance = WholeBlocks(n_users=2, n_blocks=4).instance(0)
    result = optisolve.solve(instance, "moead", budget=Budget(evaluations=500))
    assert result.record.used.evaluations == 500
    assert result.feasible
