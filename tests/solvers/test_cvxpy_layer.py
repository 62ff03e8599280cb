"""The CVXPY layer and solver: statuses and bounds in our words, no trust in values at limits, answers without history."""

from __future__ import annotations

import cvxpy as cp
import numpy as np
import pytest

from optisolve import load_problem, solve
from optisolve.core import Budget, Instance, Limit, PointStatus, Termination
from optisolve.core.errors import ProblemError, SolverError
from optisolve.modelling.answer import ModelAnswer
from optisolve.modelling.cvxpy import Parametrized, cvxpy_answer
from optisolve.solvers.cvxpy_solver import Cvxpy
from optisolve.testing import SolverConformance
from optisolve.testing.toys import SumCapSphere


def knapsack():
    """A Maximize MILP with a constant: optimum 3 + 4 + 1 = 8."""
    x, value = cp.Variable(4, boolean=True, name="x"), cp.Parameter(4, name="value")
    return Parametrized(cp.Problem(cp.Maximize(value @ x + 1.0), [np.array([2.0, 1.0, 3.0, 2.0]) @ x <= 5.0]), backend="HIGHS")


def water():
    """A Maximize conic problem with a constant and a parameter."""
    x, snr = cp.Variable(3, name="x"), cp.Parameter(3, name="snr", nonneg=True)
    cap = cp.sum(x) <= 3.0
    problem = cp.Problem(cp.Maximize(cp.sum(cp.log1p(cp.multiply(snr, x))) + 7.0), [x >= 0.0, cap])
    return Parametrized(problem, duals={"cap": cap})


def test_milp_bound_has_the_sense_and_constant_of_the_problem():
    """cvxpy reports -7 here (minimization form, without the constant); the optimum is 8."""
    solved = knapsack().solve({"value": [3.0, 1.0, 4.0, 2.0]})
    assert solved.termination is Termination.OPTIMAL
    assert solved.value == pytest.approx(8.0)
    assert solved.dual_bound == pytest.approx(8.0)


def test_conic_bound_is_on_the_right_side():
    """The dual objective bounds a maximum from above and is tight."""
    solved = water().solve({"snr": [1.0, 2.0, 3.0]})
    assert solved.value <= solved.dual_bound <= solved.value + 1e-6
    assert solved.duals["cap"].shape == (1,)


def test_user_limit_is_a_limit_and_its_value_is_withheld():
    """cvxpy calls this `user_limit` and counts it as a solution, with an infeasible vector of zeros (cvxpy#3534)."""
    x = cp.Variable(3, boolean=True, name="x")
    infeasible = Parametrized(
        cp.Problem(cp.Minimize(cp.sum(x)), [cp.sum(x) == 1.5 + cp.Parameter(name="zero")]), backend="HIGHS"
    )
    solved = infeasible.solve({"zero": 0.0}, time_limit_s=1e-9)
    assert solved.value is None
    assert solved.termination in (Termination.LIMIT, Termination.INFEASIBLE)
    limited = knapsack().solve({"value": [3.0, 1.0, 4.0, 2.0]}, time_limit_s=1e-9)
    assert (limited.termination, limited.limit, limited.value) == (Termination.LIMIT, Limit.TIME, None)


def test_infeasible_and_unbounded_have_no_values():
    """Claims of a proof come without a point."""
    x, low = cp.Variable(2, name="x"), cp.Parameter(name="low")
    bounded = Parametrized(cp.Problem(cp.Minimize(cp.sum(x)), [x >= low, cp.sum(x) <= 1.0]))
    assert bounded.solve({"low": 0.0}).termination is Termination.OPTIMAL
    infeasible = bounded.solve({"low": 1.0})
    assert (infeasible.termination, infeasible.values, infeasible.dual_bound) == (Termination.INFEASIBLE, {}, None)
    unbounded = Parametrized(cp.Problem(cp.Maximize(cp.sum(x)), [x >= low])).solve({"low": 0.0})
    assert unbounded.termination is Termination.UNBOUNDED


def test_answers_do_not_depend_on_what_was_solved_before():
    """Bit for bit the same after another instance was solved in between."""
    model = water()
    first = model.solve({"snr": [1.0, 2.0, 3.0]}).values["x"]
    model.solve({"snr": [9.0, 0.1, 5.0]})
    assert np.array_equal(first, model.solve({"snr": [1.0, 2.0, 3.0]}).values["x"])


def test_misuse_is_refused_by_name():
    """A model that is not DPP, a missing, a non-finite and a negative parameter."""
    x, a, b = cp.Variable(name="x"), cp.Parameter(name="a"), cp.Parameter(name="b")
    with pytest.raises(SolverError, match="DPP"):
        Parametrized(cp.Problem(cp.Minimize(a * b * x), [x >= 0]))
    for values, word in (({}, "snr"), ({"snr": [1.0, np.nan, 1.0]}, "snr"), ({"snr": [1.0, -1.0, 1.0]}, "snr")):
        with pytest.raises(ProblemError, match=word):
            water().solve(values)


class _Lying(SumCapSphere):
    """A sphere whose model claims more than it has."""

    def instance(self, seed: int = 0) -> Instance:
        made = super().instance(seed)
        made.model = lambda dialect: self  # type: ignore[method-assign]
        return made

    def solve(self, *, time_limit_s: float | None = None) -> ModelAnswer:
        return cvxpy_answer(Termination.OPTIMAL, np.full(4, 4.0), 0.0)  # violates the cap of 8


def test_a_lying_model_is_not_believed():
    """OPTIMAL with an infeasible point: the point is repaired or reported as it is, the claim is dropped."""
    result = solve(_Lying().instance(1), Cvxpy(), budget=Budget(evaluations=10))
    assert result.termination is Termination.CONVERGED
    assert result.point_status is PointStatus.INFEASIBLE
    assert "violates" in result.run.outcome.detail


def test_solver_certifies_and_hands_on_the_bound():
    """On a convex problem: OPTIMAL, feasible, and the outcome carries the bound."""
    instance = load_problem("nsp_utility").instance(1)
    result = solve(instance, "cvxpy", budget=Budget(evaluations=5))
    assert result.termination is Termination.OPTIMAL
    assert result.point_status is PointStatus.FEASIBLE
    assert result.run.outcome.dual_bound == pytest.approx(result.record.scores.objective, rel=1e-6)


def test_infeasible_instances_end_as_infeasible():
    """The claim comes from a dual bound, and no point is returned."""
    result = Cvxpy()._solve(_task(load_problem("beamforming", p_total_w=1.0).instance(1)))
    assert result.termination is Termination.INFEASIBLE
    assert result.X.shape[0] == 0


def test_instances_without_a_model_are_skipped_with_a_reason():
    """The sum rate of beamforming is not convex."""
    assert "no CVXPY model" in Cvxpy().skip(load_problem("beamforming/sum_rate").instance(0))


class TestConformance(SolverConformance):
    """The kit, on convex instances (the toys have no CVXPY model)."""

    evaluations = 20

    def make_solver(self):
        return Cvxpy()

    def make_instances(self):
        names = ("nsp_utility", "nsp_utility/gdmopt10", "beamforming", "beamforming/max_min", "cell_free")
        return [load_problem(name).instance(1) for name in names]


def _task(instance):
    from optisolve.core import BudgetMeter, Task
    from optisolve.run.evaluator import Evaluator

    meter = BudgetMeter(Budget(evaluations=10))
    evaluator = Evaluator(instance, meter)
    return Task(instance=instance, evaluate=evaluator, recorder=evaluator, meter=meter, seed=0, solver_name="cvxpy")
