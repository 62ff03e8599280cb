"""CP-SAT, HiGHS and Hungarian: conformance, honest statuses, bounds in the problem's own sense."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import scipy.sparse as sp

from optisolve import solve
from optisolve.core import Budget, Limit, PointStatus, Termination
from optisolve.core.errors import SolverError
from optisolve.core.solver import Outcome, Solver, SolverInfo, Task
from optisolve.modelling.answer import ModelAnswer
from optisolve.modelling.assignment import AssignmentModel, solve_assignment
from optisolve.modelling.cpsat import steps
from optisolve.modelling.highs import HighsModel, solve_highs
from optisolve.registry import make_problem, make_solver
from optisolve.solvers.cpsat import CpSat
from optisolve.solvers.highs import Highs
from optisolve.solvers.hungarian import Hungarian
from optisolve.solvers.model_outcome import evaluated_outcome
from optisolve.solvers.moe.executor import Quality
from optisolve.solvers.moe.standing import Standing
from optisolve.testing import SolverConformance
from optisolve.testing.toys import toy_instances

CASES = {
    "offloading": {},
    "offloading/deadlines": {},
    "offloading/multi_server": {},
    "user_association": {"n_users": 8, "n_small": 2},
    "user_association/max_min": {"n_users": 8},
    "user_association/sum_rate": {"n_users": 8},
    "resource_allocation/quota": {"n_users": 4, "n_tones": 8, "quota": 2},
    "resource_allocation/min_rates": {"n_users": 3, "n_tones": 6, "rate_min_bps": 5e5},
}


def instances():
    return [make_problem(name, changes).instance(1) for name, changes in CASES.items()]


class Conformance(SolverConformance):
    """The kit on the instances that offer models."""

    evaluations = 20

    def make_instances(self):
        return instances()


class TestCpSat(Conformance):
    def make_solver(self):
        return CpSat(deterministic_time=5.0)


class TestHighs(Conformance):
    def make_solver(self):
        return Highs(node_limit=5000)


class TestHungarian(Conformance):
    def make_solver(self):
        return Hungarian()


@pytest.mark.parametrize("name", ["cpsat", "highs", "hungarian"])
def test_instances_without_a_model_are_skipped_with_a_reason(name):
    """Every toy is skipped, in words that name what is missing."""
    solver = make_solver(name)
    for instance in toy_instances():
        reason = solver.skip(instance)
        assert reason is not None
        assert "model" in reason or "several objectives" in reason


@pytest.mark.parametrize("name", ["cpsat", "highs", "hungarian"])
def test_the_answer_is_the_reference(name):
    """Each solver reaches the certified optimum and claims a bound that does not contradict it."""
    met = 0
    for case, changes in CASES.items():
        problem = make_problem(case, changes)
        instance = problem.instance(1)
        if make_solver(name).skip(instance) is not None:
            continue
        reference = problem.reference(instance)
        result = solve(instance, name, budget=Budget(evaluations=5), reference=reference)
        assert result.point_status is PointStatus.FEASIBLE
        assert result.record.scores.gap == pytest.approx(0.0, abs=1e-6)
        bound = result.run.outcome.dual_bound
        sign = instance.signs[0]
        assert sign * bound <= sign * reference.value + 1e-6 * max(1.0, abs(reference.value))
        assert result.termination in (Termination.OPTIMAL, Termination.CONVERGED)
        met += 1
    assert met >= 2


def test_a_relaxation_is_not_called_optimal():
    """Under deadlines CP-SAT's model leaves the floors' cost out; where they bind the claim is CONVERGED."""
    problem = make_problem("offloading/deadlines")
    seen = set()
    for seed in range(12):
        instance = problem.instance(seed)
        result = solve(instance, "cpsat", budget=Budget(evaluations=5))
        value, bound = result.verification.F[0, 0], result.run.outcome.dual_bound
        claimed = result.termination is Termination.OPTIMAL
        assert claimed == (value - bound <= 1e-4 * value)
        seen.add(result.termination)
    assert seen == {Termination.OPTIMAL, Termination.CONVERGED}


def test_infeasible_instances_end_as_infeasible_without_a_point():
    """Both exact solvers prove it; nothing that looks like a result comes back."""
    instance = make_problem("resource_allocation/min_rates", {"rate_min_bps": 5e7}).instance(0)
    for name in ("cpsat", "highs"):
        result = solve(instance, name, budget=Budget(evaluations=5))
        assert result.termination is Termination.INFEASIBLE
        assert result.point_status is PointStatus.NONE
        assert result.run.outcome.dual_bound is None
    quota = make_problem("resource_allocation/quota", {"quota": 1}).instance(0)
    assert solve(quota, "hungarian", budget=Budget(evaluations=5)).termination is Termination.INFEASIBLE


def test_limits_are_reported_as_limits():
    """A tiny work limit and a node limit give LIMIT, with a valid bound or none, never OPTIMAL."""
    instance = make_problem("user_association/sum_rate", {"n_users": 40, "n_small": 5}).instance(0)
    for solver, limit in ((CpSat(deterministic_time=1e-3), Limit.ITERATIONS), (Highs(node_limit=0), Limit.NODES)):
        result = solve(instance, solver, budget=Budget(evaluations=5))
        assert result.termination is Termination.LIMIT
        assert result.run.outcome.limit is limit
    for solver in (CpSat(deterministic_time=1e3), Highs()):
        timed = solve(instance, solver, budget=Budget(evaluations=5, seconds=0.02))
        assert timed.termination is Termination.LIMIT
        assert timed.run.outcome.limit is Limit.TIME


def knapsack(maximize):
    rng = np.random.default_rng(0)
    A, c = rng.integers(1, 100, (15, 40)).astype(float), rng.integers(1, 100, 40) + rng.random(40)
    n = 40
    return c, HighsModel(
        c if maximize else -c,
        sp.csr_matrix(A),
        np.full(15, -np.inf),
        0.4 * A.sum(axis=1),
        np.zeros(n),
        np.ones(n),
        np.ones(n, dtype=bool),
        maximize,
        lambda z: z,
        lambda v: v,
    )


@pytest.mark.parametrize("maximize", [True, False])
def test_highs_bounds_come_in_the_models_own_sense(maximize):
    """A maximization's bound lies above its value, a minimization's below, also when nodes run out."""
    for node_limit in (None, 1):
        c, form = knapsack(maximize)
        answer = solve_highs(form, node_limit=node_limit)
        value = form.cost @ np.rint(answer.x)
        assert (answer.dual_bound - value) * (1 if maximize else -1) >= -1e-6
        if node_limit is None:
            assert answer.dual_bound == pytest.approx(value, rel=1e-9)
    assert c.size == 40


@dataclass(frozen=True, slots=True)
class Boaster(Solver):
    """A back end that claims optimality for a point whose bound is off by a share."""

    info: ClassVar[SolverInfo] = SolverInfo(name="boaster", version="1", summary="Claims more than it has.")
    share: float = 0.0

    def _solve(self, task: Task) -> Outcome:
        x = next(iter(task.instance.null_policies().values()))[0]
        value = float(task.instance.evaluate_twin(x).F[0, 0])
        return evaluated_outcome(task, ModelAnswer(Termination.OPTIMAL, x, value * (1.0 + self.share)), tolerance=0.0)


def tiny_rates(factor=1e-9):
    """Max-min association with peak rates of a few millibits per second."""
    arrays = dict(make_problem("user_association/max_min", {"n_users": 6}).instance(0).arrays())
    arrays["peak_rate_bps"] = arrays["peak_rate_bps"] * factor
    own = {"goal": "max_min", "instance_data": {name: values.tolist() for name, values in arrays.items()}}
    return make_problem("user_association", own).instance(0)


@pytest.mark.parametrize(("share", "termination"), [(0.0, Termination.OPTIMAL), (0.01, Termination.CONVERGED)])
def test_a_claim_of_optimality_is_checked_in_the_instances_own_units(share, termination):
    """A gap of 1 % is a gap, also where the whole objective is below 1e-6."""
    assert solve(tiny_rates(), Boaster(share=share)).termination is termination


def test_the_mixture_drops_a_bound_that_a_small_value_refutes():
    """A point 1 % beyond a bound refutes it, whatever the unit; its gap is 1 % as well."""
    instance = tiny_rates()
    value = float(instance.evaluate_twin(next(iter(instance.null_policies().values()))).F[0, 0])
    standing = Standing(instance, Quality(None, value, PointStatus.FEASIBLE))
    assert standing.refutes(0.99 * value)
    assert not standing.refutes(value)
    standing.bound = 1.01 * value
    assert standing.gap(value) == pytest.approx(0.01 / 1.01)


@pytest.mark.parametrize("unit", [1e-12, 1.0, 1e12])
def test_highs_sees_no_units(unit):
    """min p with p >= unit and p <= 1000 unit: HiGHS's absolute tolerances must not swallow a small p or refuse a large one."""
    form = HighsModel(
        np.array([2.0 * unit]),
        sp.csr_matrix([[3.0 / unit]]),
        np.array([3.0]),
        np.array([np.inf]),
        np.zeros(1),
        np.array([1000.0 * unit]),
        np.zeros(1, dtype=bool),
        False,
        lambda z: z,
        float,
    )
    answer = solve_highs(form)
    assert answer.termination is Termination.OPTIMAL
    assert answer.x[0] == pytest.approx(unit, rel=1e-6)
    assert answer.dual_bound == pytest.approx(2.0 * unit**2, rel=1e-6)


def test_whole_steps_are_on_the_safe_side_of_what_was_rounded():
    """0.3 / 0.1 is 2.9999999999999996 in a double and 3 in truth: up gives at least 3, down at most 3."""
    values = np.array([0.3 / 0.1, 0.0, 7.0])
    assert (steps(values, 1.0, up=True) >= [3.0, 0.0, 7.0]).all()
    assert (steps(values, 1.0, up=False) <= [3.0, 0.0, 7.0]).all()
    assert (steps(values, 1e6, up=True) - steps(values, 1e6, up=False) <= 2.0).all()


def test_an_assignment_of_nan_is_no_proof_of_infeasibility():
    values = np.array([[1.0, np.nan], [1.0, 2.0]])
    with pytest.raises(SolverError, match="not numbers"):
        solve_assignment(AssignmentModel(values, np.zeros((2, 2)), lambda groups: groups.astype(float), float))


@pytest.mark.parametrize("first", ["ortools", "highspy", "cvxpy"])
def test_cpsat_and_highs_live_in_one_process(first):
    """highspy 1.15 and ortools 9.15 cannot be imported together (or-tools issue 5246); the pinned versions can."""
    script = f"""
import {first}
from optisolve import solve
from optisolve.core import Budget
from optisolve.registry import make_problem
case = make_problem("resource_allocation/quota", {{"n_users": 3, "n_tones": 6, "quota": 2}}).instance(0)
names = ["cpsat", "highs"] if {first!r} == "ortools" else ["highs", "cpsat"]
values = [float(solve(case, name, budget=Budget(evaluations=2)).verification.F[0, 0]) for name in names]
assert abs(values[0] - values[1]) < 1e-9, values
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr


def test_importing_the_modules_loads_nothing_heavy():
    """Problems and solvers import numba, ortools, highspy, scipy's optimizers and torch only when they need them."""
    modules = [f"optisolve.problems.{name}" for name in ("offloading", "user_association", "resource_allocation")]
    modules += [f"optisolve.solvers.{name}" for name in ("cpsat", "highs", "hungarian")]
    script = (
        f"import sys, {', '.join(modules)}\n"
        "names = ('numba', 'cvxpy', 'ortools', 'pymoo', 'torch', 'highspy', 'scipy.optimize')\n"
        "heavy = [name for name in names if name in sys.modules]\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


def test_whole_numbers_beside_reals_lose_no_optimum():
    """min -x + 10 y with x <= 6 y: y = 1 costs more than x = 5 earns; presolve of HiGHS 1.14.0 says 5 instead of 0."""
    rng = np.random.default_rng(0)
    for case in range(60):
        price, reach = (10.0, 6.0) if case == 0 else rng.uniform(1.0, 20.0, 2)
        form = HighsModel(
            cost=np.array([-1.0, price]),
            matrix=sp.csr_matrix([[1.0, -reach]]),
            row_lower=np.array([-np.inf]),
            row_upper=np.zeros(1),
            col_lower=np.zeros(2),
            col_upper=np.array([5.0, 1.0]),
            integer=np.array([False, True]),
            maximize=False,
            decode=lambda z: z,
            value_of=float,
        )
        answer = solve_highs(form)
        assert answer.dual_bound == pytest.approx(min(0.0, price - min(5.0, reach)), abs=1e-9)
