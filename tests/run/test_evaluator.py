"""The evaluator counts exactly, archives the non-dominated feasible points and keeps the order of events."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optisolve import load_problem, solve
from optisolve.core import Budget, BudgetMeter, Termination
from optisolve.core.errors import BudgetExhausted, ProblemError
from optisolve.run.archive import Archive, nondominated
from optisolve.run.evaluator import Evaluator
from optisolve.testing.toys import ShiftedZdt1, SumCapSphere
from optisolve.trust.audit import verify
from optisolve.trust.replay import replay


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


@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(1, 30))
def test_an_archive_with_a_capacity_keeps_the_ends_and_points_of_its_front_that_are_far_apart(seed, m, capacity):
    """What is left out is no farther from the kept than any two of them are from each other, but for the ends."""
    rng = np.random.default_rng(seed)
    F = np.abs(rng.normal(size=(80, m)))
    F /= np.linalg.norm(F, axis=1)[:, None] ** rng.uniform(0.9, 1.0)
    whole, part = Archive(m, 1), Archive(m, 1, capacity=capacity)
    for archive in (whole, part):
        archive.add(np.arange(80.0)[:, None], F, np.zeros(80))
    rows = np.searchsorted(whole.X[:, 0], part.X[:, 0])  # where the kept ones stand in the whole front
    np.testing.assert_array_equal(whole.X[rows], part.X)
    assert rows.size == min(capacity, len(whole.X))
    ends = whole.F_min.argmin(axis=0)
    assert capacity < m or set(ends.tolist()) <= set(rows.tolist())
    unit = whole.F_min / np.maximum(np.ptp(whole.F_min, axis=0), 1e-300)
    apart = np.linalg.norm(unit[:, None] - unit[rows], axis=2)  # [whole, kept]
    pairs = apart[rows] + np.where(np.isin(rows, ends)[:, None] & np.isin(rows, ends), np.inf, 0.0)
    pairs[np.arange(rows.size), np.arange(rows.size)] = np.inf
    assert capacity < m or apart.min(axis=1).max() <= pairs.min() + 1e-12


def test_a_run_keeps_as_many_points_as_its_budget_says_and_its_curve_counts_all(tmp_path):
    case = load_problem("uav_isac").instance(0)
    free, few = (solve(case, "moead_de", budget=Budget(evaluations=600, points=points)) for points in (None, 12))
    assert len(few.X) == 12 < len(free.X)
    assert few.record.trace[-1][2] == free.record.trace[-1][2] == pytest.approx(free.hypervolume)
    assert 0.8 * free.hypervolume < few.hypervolume < free.hypervolume
    assert "points" not in free.record.budget.to_json()
    assert few.record.budget.to_json()["points"] == 12
    folder = few.save(tmp_path)
    again, audit = replay(folder), verify(folder)
    assert again.same, again.reason
    assert audit, str(audit)


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
