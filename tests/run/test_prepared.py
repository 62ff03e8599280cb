"""Prepared solvers: the points of `solve`, without its records."""

import numpy as np
import pytest

import optisolve


@pytest.mark.parametrize("solver", ["wmmse", "null", "ddpm"])
def test_a_prepared_solver_gives_the_points_of_solve(solver):
    problem = optisolve.load_problem("power_control", n_links=4)
    ready = optisolve.prepare(solver, problem, seed=3)
    cases = [problem.instance(seed) for seed in (5, 6)]
    for case, answer in zip(cases, ready(cases), strict=True):
        known = optisolve.solve(case, solver, seed=3)
        np.testing.assert_array_equal(answer.X, known.X)
        np.testing.assert_array_equal(answer.F, known.F)
        assert (answer.feasible, answer.termination) == (known.feasible, known.termination)
    np.testing.assert_array_equal(ready(cases[0]).X, ready.result(cases[0]).X)


def test_a_solver_with_a_language_model_or_that_does_not_fit_is_refused_at_once():
    with pytest.raises(optisolve.OptisolveError, match="record"):
        optisolve.prepare("ledma", optisolve.load_problem("uav_isac"))
    with pytest.raises(optisolve.OptisolveError, match="cannot solve"):
        optisolve.prepare("wmmse", optisolve.load_problem("uav_isac"))
