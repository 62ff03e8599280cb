"""botorch, optuna_gp, optuna_tpe: the kit, constraints, integers, bad input, and what they leave untouched."""

from __future__ import annotations

import importlib.util
import logging
import subprocess
import sys
import warnings

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import optisolve
from optisolve import Budget, solve
from optisolve.core import Limit, Termination
from optisolve.core.solver import Known
from optisolve.solvers.bo import Botorch, OptunaGp, OptunaTpe
from optisolve.testing import SolverConformance

LACKING = [name for name in ("botorch", "optuna", "torch") if importlib.util.find_spec(name) is None]
needs_bo = pytest.mark.skipif(bool(LACKING), reason="needs the extra [bo]")
QUICK = {"mc_samples": 16, "num_restarts": 2, "raw_samples": 32, "maxiter": 20}
"""Little effort of botorch's."""
REGION = {"trust_region_from": 1, "n_candidates": 200}
ALL = [("botorch", QUICK), ("botorch", REGION), ("optuna_gp", {}), ("optuna_tpe", {})]
IDS = ["botorch", "trust_region", "optuna_gp", "optuna_tpe"]


CLASSES = [Botorch, OptunaGp, OptunaTpe]
every = pytest.mark.parametrize(("solver", "options"), ALL, ids=IDS)


@needs_bo
class TestBotorch(SolverConformance):
    """The kit, with as few evaluations as it is made for."""

    evaluations = 9

    def make_solver(self):
        return Botorch(n_initial=7, batch_size=2, **QUICK)


@needs_bo
@pytest.mark.slow
class TestTrustRegion(SolverConformance):
    """The kit in trust regions."""

    evaluations = 24

    def make_solver(self):
        return Botorch(n_initial=20, batch_size=2, **REGION)


@needs_bo
class TestOptunaGp(SolverConformance):
    """The kit, with as few evaluations as it is made for."""

    evaluations = 12

    def make_solver(self):
        return OptunaGp()


@needs_bo
class TestOptunaTpe(SolverConformance):
    """The kit."""

    evaluations = 30

    def make_solver(self):
        return OptunaTpe()


def small(function, **settings):
    """A problem of two variables in [-1, 1]."""
    return optisolve.problem(function, -1.0, 1.0, names=["a", "b"], name="small", **settings)


@pytest.mark.parametrize("cls", CLASSES)
def test_the_preset_names_every_option_with_its_default(cls):
    assert optisolve.load_solver(cls.info.name) == cls()


@pytest.mark.parametrize("cls", CLASSES)
def test_without_the_extra_a_solver_says_what_installs_it(cls, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "pip install 'optisolve[bo]'" in cls().skip(small(lambda x: float(x.sum())).instance())


def test_heavy_libraries_are_imported_when_a_run_needs_them():
    code = "import sys, optisolve.solvers.bo; sys.exit(bool({'torch', 'botorch', 'optuna'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@needs_bo
@every
def test_points_that_the_run_has_paid_for_are_not_evaluated_again(solver, options):
    instance = optisolve.load_problem("pymoo/zdt1_shifted", n_variables=3).instance(0)
    X = instance.space.sample(np.random.default_rng(0), 25)
    known = Known(X, instance.evaluate(X))

    class Handed(type(optisolve.load_solver(solver))):
        def _solve(self, task):
            task.known = known
            return super()._solve(task)

    result = solve(instance, Handed(**options), budget=Budget(evaluations=2), seed=0, reference=None, history="all")
    assert set(result.history["source"]) == {solver}
    distance = np.abs(result.history[list(instance.space.names)].to_numpy()[:, None] - X[None]).max(axis=2)
    assert distance.min() > 1e-9


@needs_bo
@every
def test_a_warm_start_comes_first(solver, options):
    instance, warm = small(lambda x: float(x @ x)).instance(), np.array([[0.25, -0.5]])
    budget = Budget(evaluations=4)
    result = solve(instance, solver, budget=budget, seed=0, warm_start=warm, history="all", n_initial=3, **options)
    assert result.history[["a", "b"]].to_numpy()[0].tolist() == [0.25, -0.5]
    assert result.history["source"][0] == "warm_start"


@needs_bo
@pytest.mark.parametrize(
    ("function", "settings"),
    [
        (lambda x: 1.0, {}),
        (lambda x: [1.0, 2.0], {}),
        (lambda x: [float(1e200 * x[0] ** 2), float(1e-200 * x[1])], {}),
        (lambda x: 1.0 if x[0] < -0.5 else float("nan"), {}),
        (lambda x: [float(x.sum()), float(x @ x)], {"ineq": lambda x: 2.0 + x @ x}),
        (lambda x: float(x.sum()), {"ineq": lambda x: np.concatenate([x - 0.2, -x - 0.9, np.full(8, x.sum())])}),
    ],
    ids=["constant", "constants", "scales", "failures", "infeasible", "many_constraints"],
)
@every
def test_odd_values_end_nothing(solver, options, function, settings):
    problem, budget = small(function, **settings), Budget(evaluations=12)
    result = solve(problem, solver, budget=budget, seed=0, n_initial=10, batch_size=2, **options)
    assert result.record.used.evaluations == 12


@needs_bo
@pytest.mark.parametrize(("solver", "options"), ALL[1:], ids=IDS[1:])
def test_a_small_space_of_integers_is_searched_to_its_end(solver, options):
    problem = optisolve.problem(
        lambda x: float((x[0] - 2) ** 2 + (x[1] - 1) ** 2), 0, 3, names=["a", "b"], integer=True, name="grid"
    )
    result = solve(problem, solver, budget=Budget(evaluations=200), seed=0, n_initial=8, batch_size=3, **options)
    assert result.F[0, 0] == 0.0
    assert (result.termination, result.limit) == (Termination.LIMIT, Limit.STALLED)
    assert result.record.used.evaluations <= 16 + 8  # the first points may repeat


@needs_bo
@pytest.mark.parametrize(("solver", "options"), [ALL[0], ALL[2]], ids=[IDS[0], IDS[2]])
def test_constraints_are_learned(solver, options):
    """Least f in a disk that the box's best corner is not in."""
    problem = small(lambda x: float(x.sum()), ineq=lambda x: x @ x - 0.5)
    result = solve(problem, solver, budget=Budget(evaluations=22), seed=2, n_initial=10, **{**options, "batch_size": 2})
    assert result.feasible
    assert result.F[0, 0] == pytest.approx(-1.0, abs=0.03)


@needs_bo
@every
def test_nothing_of_the_process_is_changed_and_threads_are_of_no_concern(solver, options):
    import torch

    instance = optisolve.load_problem("pymoo/re31").instance(0)
    threads, hashes = torch.get_num_threads(), set()
    try:
        for number in (1, 2):
            torch.set_num_threads(number)
            torch.manual_seed(number)
            before = torch.get_rng_state(), np.random.get_state()[1].copy(), list(warnings.filters)
            with threadpool_limits(number):
                budget = Budget(evaluations=25)
                result = solve(instance, solver, budget=budget, seed=3, reference=None, n_initial=22, **options)
            hashes.add(result.result_hash)
            assert torch.get_num_threads() == number
            assert torch.equal(torch.get_rng_state(), before[0])
            assert (np.random.get_state()[1] == before[1]).all()
            assert list(warnings.filters) == before[2]
            assert logging.getLogger("optuna").level != logging.CRITICAL
    finally:
        torch.set_num_threads(threads)
    assert len(hashes) == 1


@needs_bo
def test_many_variables_are_refused_in_words_or_searched_in_a_region():
    big = optisolve.problem(lambda x: float(x @ x), -1.0, 1.0, names=[f"x{i}" for i in range(101)], name="big")
    with pytest.raises(optisolve.OptisolveError, match=r"at most max_variables=100 variables, this has 101; botorch"):
        solve(big, "optuna_gp", budget=Budget(evaluations=20))
    result = solve(big, "botorch", budget=Budget(evaluations=24), n_initial=20, n_candidates=100)
    assert result.run.outcome.report["trust_region_restarts"] == 0


@needs_bo
@pytest.mark.slow
@pytest.mark.parametrize("solver", ["botorch", "optuna_gp"])
def test_forty_evaluations_are_worth_more_than_two_hundred_random_ones(solver):
    instance = optisolve.load_problem("pymoo/re24").instance(1)
    few, many = (
        solve(instance, which, budget=Budget(evaluations=n), seed=1, reference=None).hypervolume
        for which, n in ((solver, 40), ("random_search", 200))
    )
    assert few > many


@needs_bo
@pytest.mark.slow
def test_a_trust_region_beats_random_points_by_far_where_variables_are_many():
    big = optisolve.problem(lambda x: float(((x - 0.3) ** 2).sum()), -1.0, 1.0, names=[f"x{i}" for i in range(60)], name="big")
    region, random = (
        solve(big, which, budget=Budget(evaluations=120), seed=1, **options).F[0, 0]
        for which, options in (("botorch", {"batch_size": 4}), ("random_search", {}))
    )
    assert region < 0.5 * random
