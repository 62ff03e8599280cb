"""parego: the kit, better than random points where evaluations are few, constraints, integers, refusals, threads."""

from __future__ import annotations

import pytest
from threadpoolctl import threadpool_limits

import optisolve
from optisolve import Budget, solve
from optisolve.core import Limit, Termination
from optisolve.solvers.parego import Parego
from optisolve.testing import SolverConformance


class TestConformance(SolverConformance):
    """The kit, with as few evaluations as it is made for."""

    evaluations = 30

    def make_solver(self):
        return Parego(n_initial=6)


def banana(x):
    """Rosenbrock's function of 4 variables; least 0 at ones."""
    return float((100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2).sum())


@pytest.mark.parametrize("name", ["pymoo/re21", "pymoo/re31"])
def test_sixty_evaluations_are_worth_more_than_random_ones(name):
    """In every one of three pairs, and more than random search has after five times as many."""
    problem = optisolve.load_problem(name)
    for seed in range(3):
        instance = problem.instance(seed)
        few, many = (
            solve(instance, solver, budget=Budget(evaluations=n), seed=seed, reference=None).hypervolume
            for solver, n in (("parego", 60), ("random_search", 300))
        )
        assert few > many


def test_a_smooth_function_is_solved_in_few_steps():
    problem = optisolve.problem(lambda x: float(((x - 0.3) ** 2).sum()), -1.0, 1.0, names=list("abcd"), name="bowl")
    result = solve(problem, "parego", budget=Budget(evaluations=50), seed=1)
    assert result.F[0, 0] < 1e-4


def test_constraints_are_learned():
    """Least f under a circle that the box's best corner violates; the optimum is 2 - sqrt(2) away from the corner."""
    problem = optisolve.problem(
        lambda x: float(x.sum()), -1.0, 1.0, names=["a", "b"], ineq=lambda x: x @ x - 0.5, name="circle"
    )
    result = solve(problem, "parego", budget=Budget(evaluations=50), seed=2)
    assert result.feasible
    assert result.F[0, 0] == pytest.approx(-1.0, abs=2e-2)


def test_a_small_space_of_integers_is_searched_to_its_end():
    problem = optisolve.problem(
        lambda x: float((x[0] - 2) ** 2 + (x[1] - 1) ** 2), 0, 3, names=["a", "b"], integer=True, name="grid"
    )
    result = solve(problem, "parego", budget=Budget(evaluations=200), seed=0)
    assert result.F[0, 0] == 0.0
    assert result.termination is Termination.LIMIT
    assert result.limit is Limit.STALLED
    assert result.record.used.evaluations <= 16 + 8  # the first points may repeat


def test_constant_objectives_and_failures_end_nothing():
    def often_broken(x):
        if x[0] > 0.0:
            raise ValueError("no answer here")
        return 1.0

    problem = optisolve.problem(often_broken, -1.0, 1.0, names=["a", "b"], name="broken")
    result = solve(problem, "parego", budget=Budget(evaluations=30), seed=0)
    assert result.record.used.evaluations == 30
    assert result.F[0, 0] == 1.0


def test_many_variables_are_refused_in_words():
    big = optisolve.problem(lambda x: float(x.sum()), 0.0, 1.0, names=[f"x{i}" for i in range(61)], name="big")
    with pytest.raises(optisolve.OptisolveError, match=r"at most max_variables=60 variables, this has 61; moead_de"):
        solve(big, "parego", budget=Budget(evaluations=20))


@pytest.mark.parametrize("options", [{}, {"acquisition": "tchebycheff"}, {"batch_size": 4}])
def test_the_number_of_threads_is_of_no_concern(options):
    instance = optisolve.load_problem("pymoo/re31").instance(0)
    hashes = set()
    for threads in (1, 2):
        with threadpool_limits(threads):
            hashes.add(solve(instance, "parego", budget=Budget(evaluations=40), seed=3, reference=None, **options).result_hash)
    assert len(hashes) == 1
