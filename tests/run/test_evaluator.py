"""The evaluator counts exactly, archives the non-dominated feasible points and keeps the order of events."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optisolve.core import Budget, BudgetMeter, Termination
from optisolve.core.errors import BudgetExhausted, ProblemError
from optisolve.run.archive import Archive, nondominated
from optisolve.run.evaluator import Evaluator
from optisolve.testing.toys import ShiftedZdt1, SumCapSphere


def brute_force_front(F: np.ndarray) -> set[int]:
    dominated = [
        any((F[j] <= F[i]).all() and ((F[j] < F[i]).any() or j < i) for j in range(len(F)) if j != i) for i in range(len(F))
    ]
    return {i for i, d in enumerate(dominated) if not d}


@given(st.integers(0, 10_000), st.integers(1, 40), st.integers(1, 4))
def test_nondominated_agrees_with_the_definition(seed, n, m):
    F = np.random.default_rng(seed).integers(0, 5, (n, m)).astype(float)
    assert set(nondominated(F).tolist()) == brute_force_front(F)


@given(st.integers(0, 10_000), st.integers(1, 7))
def test_archive_does_not_depend_on_how_points_are_batched(seed, block):
    F = np.random.default_rng(seed).random((60, 2))
    X, violation = np.arange(60.0)[:, None], np.zeros(60)
    whole, pieces = Archive(2, 1), Archive(2, 1, block=block)
    whole.add(X, F, violation)
    for i in range(0, 60, block):
        part = slice(i, i + block)
        pieces.add(X[part], F[part], violation[part])
    assert np.array_equal(whole.X, pieces.X)


def test_infeasible_points_never_enter_but_the_least_violating_one_is_returned():
    instance = SumCapSphere().instance(1)
    evaluator = Evaluator(instance, BudgetMeter(Budget(evaluations=10)))
    evaluator(np.array([[5.0, 5, 5, 5], [4.0, 4, 4, 4]]))
    outcome = evaluator.outcome(Termination.CONVERGED)
    assert np.array_equal(outcome.X, [[4.0, 4, 4, 4]])
    evaluator(np.array([[1.0, 1, 1, 1]]))
    assert np.array_equal(evaluator.outcome(Termination.CONVERGED).X, [[1.0, 1, 1, 1]])


def test_a_batch_over_budget_is_not_evaluated_at_all():
    instance = ShiftedZdt1().instance(1)
    evaluator = Evaluator(instance, BudgetMeter(Budget(evaluations=5)))
    X = instance.space.sample(np.random.default_rng(0), 6)
    with pytest.raises(BudgetExhausted):
        evaluator(X)
    assert len(evaluator.history) == 0
    evaluator(X[:5])
    assert evaluator.meter.evaluations == 5


def test_a_bad_point_costs_nothing():
    instance = ShiftedZdt1().instance(1)
    evaluator = Evaluator(instance, BudgetMeter(Budget(evaluations=5)))
    with pytest.raises(ProblemError):
        evaluator(np.full((1, 5), 2.0))
    assert evaluator.meter.evaluations == 0


def test_history_keeps_order_and_sources():
    instance = ShiftedZdt1().instance(1)
    evaluator = Evaluator(instance, BudgetMeter(Budget(evaluations=3000)))
    X = instance.space.sample(np.random.default_rng(0), 2400)
    evaluator(X[:1500], source="sbx")
    evaluator(X[1500:1503], source=["llm", "sbx", "repaired"])
    evaluator(X[1503:], source="de")
    history = evaluator.history
    assert history.sources == ["sbx", "llm", "repaired", "de"]
    assert history.source[1498:1505].tolist() == [0, 0, 1, 0, 2, 3, 3]
    assert np.array_equal(history.F_min, instance.evaluate(X).F)
    assert (np.diff(history.seconds_at(np.array([1, 1500, 1501, 2400]))) >= 0).all()
