"""parego: the kit, better than evolution where evaluations are few, what is known, batches, bad input, threads, time."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import optisolve
from optisolve import Budget, solve
from optisolve.core import ANY_PROBLEM, Limit, Outcome, Solver, SolverInfo, Task, Termination
from optisolve.core.solver import Known
from optisolve.solvers.parego import Parego
from optisolve.testing import SolverConformance
from optisolve.testing.toys import toy_instances


class TestConformance(SolverConformance):
    """The kit, with as few evaluations as it is made for."""

    evaluations = 30

    def make_solver(self):
        return Parego(n_initial=6)


@pytest.mark.parametrize(("name", "evaluations"), [("pymoo/re21", 40), ("pymoo/re31", 40), ("pymoo/mw3", 90)])
def test_its_evaluations_are_worth_more_than_twice_as_many_of_nsga2(name, evaluations):
    instance = optisolve.load_problem(name).instance(0)
    few, many = (
        solve(instance, solver, budget=Budget(evaluations=n), seed=1, reference=None).hypervolume
        for solver, n in (("parego", evaluations), ("nsga2", 2 * evaluations))
    )
    assert few > many


@dataclass(frozen=True, slots=True)
class Relay(Solver):
    """Evaluates ten points, then hands over to parego what it knows."""

    info: ClassVar[SolverInfo] = SolverInfo(name="relay", version="1", summary="Two stages.", supports=ANY_PROBLEM)

    def _solve(self, task: Task) -> Outcome:
        X = task.instance.project(task.instance.space.sample(task.rng(), 10))
        return Parego(n_initial=8)._solve(replace(task, known=Known(X, task.evaluate(X, source="first"))))


@pytest.mark.parametrize("case", range(3))
def test_what_a_run_knows_is_not_paid_for_again(case):
    instance = toy_instances()[case]
    result = solve(instance, Relay(), budget=Budget(evaluations=25), seed=3, reference=None, history="all")
    assert set(result.history["source"]) == {"first", "surrogate"}
    X = result.history[list(instance.space.names)].to_numpy()
    assert len(np.unique(np.round(X[10:], 9), axis=0)) == 15
    assert not (np.abs(X[10:, None] - X[None, :10]).max(axis=2) < 1e-9).any()


def test_sources_of_first_points_are_taken_and_named():
    instance = optisolve.load_problem("uav_isac").instance(20)
    result = solve(
        instance, "parego", budget=Budget(evaluations=12), seed=0, reference=None, history="all", init=["null", "sobol"]
    )
    assert result.history["source"].value_counts().to_dict() == {"start:null": 1, "start:sobol": 3, "surrogate": 8}
    plain = optisolve.load_problem("pymoo/re21").instance(0)
    result = solve(plain, "parego", budget=Budget(evaluations=12), seed=0, reference=None, history="all")
    assert set(result.history["source"]) == {"start:null", "start:sobol", "surrogate"}


def test_a_batch_can_be_asked_for_in_parts_and_told_in_any_order():
    """Points of one step differ although none of them has a value yet; the run is the one that `solve` makes."""
    instance = optisolve.load_problem("pymoo/re21").instance(0)
    whole = solve(instance, "parego", budget=Budget(evaluations=20), seed=2, reference=None, batch_size=6, n_initial=8)
    state = optisolve.start("parego", instance, budget=Budget(evaluations=20), seed=2, batch_size=6, n_initial=8)
    first = state.ask()
    state.tell(first, *instance.evaluate(first))
    one, rest = state.ask(2), state.ask()
    assert state.pending.shape == (6, 4)
    both = np.concatenate([rest[::-1], one])
    assert (np.abs(both[:, None] - both[None]).max(axis=2) + np.eye(6) > 1e-6).all()
    for part in (rest[::-1], one):
        state.tell(part, *instance.evaluate(part))
    while not state.done:
        X = state.ask()
        state.tell(X, *instance.evaluate(X))
    assert state.result.result_hash == whole.result_hash


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


def test_four_objectives_and_an_equality_with_integers():
    """Distances from four corners of the plane x + y + z = 5, x a whole number."""
    corners = np.array([[0.0, 1.0, 4.0], [1.0, 4.0, 0.0], [4.0, 0.0, 1.0], [2.0, 2.0, 1.0]])
    problem = optisolve.problem(
        lambda x: ((x - corners) ** 2).sum(axis=1).tolist(),
        0.0,
        4.0,
        names=["x", "y", "z"],
        integer=[True, False, False],
        eq=lambda x: x.sum() - 5.0,
        name="corners",
    )
    result = solve(problem, "parego", budget=Budget(evaluations=25), seed=1)
    assert result.feasible
    assert len(result.F) > 3
    assert np.all(result.X[:, 0] == np.rint(result.X[:, 0]))


HOSTILE = {
    "constant": lambda x: [1.0, 1.0],
    "one constant": lambda x: [float(x.sum()), -3.0],
    "huge": lambda x: [1e150 * float(x[0]), 1e-150 * float(1.0 - x[0] + x[1])],
    "a cliff": lambda x: [1e12 if x[0] > -0.9 else float(x[0]), float(x[1])],
    "mostly not": lambda x: [float("nan") if x[0] > -0.6 else float(x[0]), float(x[1])],
}


@pytest.mark.parametrize("acquisition", ["hypervolume", "tchebycheff"])
@pytest.mark.parametrize("kind", HOSTILE)
def test_constant_huge_and_missing_values_end_nothing(kind, acquisition):
    problem = optisolve.problem(HOSTILE[kind], -1.0, 1.0, names=["a", "b"], name="hostile", box=([2.0, 2.0], [-2.0, -4.0]))
    result = solve(problem, "parego", budget=Budget(evaluations=24), seed=0, acquisition=acquisition)
    assert result.record.used.evaluations == 24
    assert result.termination is Termination.LIMIT
    assert len(result.F) > 0


def test_where_nothing_can_be_evaluated_one_error_says_so():
    problem = optisolve.problem(lambda x: float("nan"), -1.0, 1.0, names=["a", "b"], name="never")
    with pytest.raises(optisolve.OptisolveError, match="could evaluate none of 24 points"):
        solve(problem, "parego", budget=Budget(evaluations=24), seed=0)


def test_equal_points_are_no_singular_matrix():
    problem = optisolve.problem(lambda x: float(x @ x), -1.0, 1.0, names=["a", "b"], name="bowl")
    result = solve(problem, "parego", budget=Budget(evaluations=30), seed=0, warm_start=np.full((12, 2), 0.5), n_initial=4)
    assert result.F[0, 0] < 1e-2


def test_where_nothing_is_feasible_the_least_violation_is_found():
    """x1 + x2 >= 3 in a box that ends at 1: at best 1 is missed."""
    problem = optisolve.problem(
        lambda x: float(x[0]), 0.0, 1.0, names=["a", "b", "c"], ineq=lambda x: 3.0 - x[0] - x[1], name="impossible"
    )
    result = solve(problem, "parego", budget=Budget(evaluations=30), seed=0)
    assert not result.feasible
    assert result.run.evaluator.history.violation.min() < 1.0 + 1e-3


def test_the_time_that_is_left_is_kept():
    """A fit of hundreds of points in sixty variables would take longer than all of it."""
    problem = optisolve.problem(
        lambda x: [float(x.sum()), float((x - 0.5) @ (x - 0.5))],
        0.0,
        1.0,
        names=[f"x{i}" for i in range(60)],
        name="wide",
    )
    X = np.random.default_rng(0).random((400, 60))
    begun = time.perf_counter()
    result = solve(problem, "parego", budget=Budget(seconds=1.0), seed=0, warm_start=X)
    assert time.perf_counter() - begun < 4.0
    assert result.limit is Limit.TIME


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
