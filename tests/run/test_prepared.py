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


@pytest.mark.parametrize("solver", ["wmmse", "ddpm", "ddpm_null", "rule"])
def test_instances_of_several_sizes_together_get_the_points_that_each_gets_alone(solver):
    cases = [optisolve.load_problem("power_control", n_links=n).instance(seed) for n, seed in ((4, 1), (6, 2), (4, 3))]
    budget = optisolve.Budget(evaluations=9)
    ready = optisolve.prepare(solver, cases[0], seed=2, budget=budget)
    for case, answer in zip(cases, ready(cases), strict=True):
        known = optisolve.solve(case, solver, seed=2, budget=budget)
        np.testing.assert_array_equal(answer.X, known.X)
        np.testing.assert_array_equal(answer.F, known.F)
        assert answer.termination == known.termination


def test_fronts_of_several_instances_are_drawn_together():
    problem = optisolve.load_problem("uav_isac")
    cases = [problem.instance(seed) for seed in (1, 2)]
    for case, answer in zip(cases, optisolve.prepare("ddpm", problem, n_preferences=5)(cases), strict=True):
        known = optisolve.solve(case, "ddpm", n_preferences=5)
        np.testing.assert_array_equal(answer.X, known.X)
        np.testing.assert_array_equal(answer.F, known.F)


def test_instances_of_one_size_share_their_forward_passes(monkeypatch):
    from optisolve.solvers.ddpm.forward.interference import InterferenceForward

    problem = optisolve.load_problem("power_control", n_links=4)
    ready, passes = optisolve.prepare("ddpm", problem), []
    denoise = InterferenceForward.denoise

    def counted(self, noisy, *args, **kwargs):
        passes.append(len(noisy))
        return denoise(self, noisy, *args, **kwargs)

    monkeypatch.setattr(InterferenceForward, "denoise", counted)
    ready([problem.instance(seed) for seed in range(7)])
    assert passes == [7, 7]  # two steps of the chain


def test_a_solver_with_a_language_model_or_that_does_not_fit_is_refused_at_once():
    with pytest.raises(optisolve.OptisolveError, match="record"):
        optisolve.prepare("ledma", optisolve.load_problem("uav_isac"))
    with pytest.raises(optisolve.OptisolveError, match="cannot solve"):
        optisolve.prepare("wmmse", optisolve.load_problem("uav_isac"))


def test_of_equal_points_the_first_is_the_answer_and_violating_ones_never_are():
    """The usual case, in which nothing is violated, is chosen without an archive: it must choose what `solve` keeps."""
    from optisolve.core.solver import Proposal
    from optisolve.core.status import Termination

    floors = optisolve.load_problem("power_control", n_links=3, goal="min_power", min_rate_share=0.5).instance(1)
    free = optisolve.load_problem("power_control", n_links=3).instance(1)
    X = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    best = int(np.argmax(free.evaluate(X).F[:, 0]))
    chosen = optisolve.prepare("wmmse", free)._chosen(free, Proposal(np.concatenate([X, X[::-1]]), Termination.CONVERGED))
    np.testing.assert_array_equal(chosen.X, X[best : best + 1])
    violated = floors.evaluate(X).violation
    assert violated[0] > 0.0 == violated[3]
    chosen = optisolve.prepare("matrix_inversion", floors)._chosen(floors, Proposal(X, Termination.CONVERGED))
    np.testing.assert_array_equal(chosen.X, X[3:])
    assert chosen.feasible
