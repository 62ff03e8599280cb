"""Every numba kernel computes what its readable numpy twin says, on the same random numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optisolve.solvers.moead import kernels, operator_kernels
from optisolve.solvers.moead.scalarize import MIN_WEIGHT, Points, Yardstick, scalarize
from optisolve.solvers.moead.variation import published_rank_weights
from optisolve.solvers.moead.weights import neighborhoods, weight_vectors
from tests.solvers.moead import twins

RTOL = 1e-12


class State:
    """A random population with everything that a kernel asks for; ties and fixed variables included."""

    def __init__(self, seed: int, n: int, d: int, m: int, size: int, coarse: bool) -> None:
        rng = np.random.default_rng(seed)
        self.n, self.d, self.m, self.size = n, d, m, min(size, n)
        self.lower = rng.normal(size=d)
        self.upper = self.lower + rng.choice([0.0, 1.0, 50.0], size=d, p=[0.1, 0.6, 0.3])
        unit = rng.integers(0, 4, (n, d)) / 3.0 if coarse else rng.random((n, d))
        self.X = np.clip(self.lower + unit * (self.upper - self.lower), self.lower, self.upper)
        self.F = rng.integers(0, 4, (n, m)).astype(float) if coarse else rng.normal(size=(n, m))
        self.violation = np.where(rng.random(n) < 0.3, rng.integers(0, 3, n) / 2.0, 0.0)
        self.weights = np.maximum(weight_vectors(m, n), MIN_WEIGHT)
        self.neighbors = neighborhoods(self.weights, self.size)
        self.targets = np.sort(rng.permutation(n)[: rng.integers(1, n + 1)])
        self.mates = twins.mating_pools(
            self.neighbors, self.targets, 0.7, rng.random(self.targets.size), rng.random((self.targets.size, self.size))
        )
        self.ideal, self.width = self.F.min(axis=0), 0.1 + rng.random(m)
        self.rng = rng

    def yardstick(self, kind: int) -> Yardstick:
        return Yardstick(self.weights, self.ideal, self.width, kind, 5.0)

    def uniform(self, *shape: int) -> Any:
        return self.rng.random(shape)


states = st.builds(
    State,
    seed=st.integers(0, 2**31),
    n=st.integers(2, 12),
    d=st.integers(1, 6),
    m=st.integers(1, 4),
    size=st.integers(2, 8),
    coarse=st.booleans(),
)
both = settings(max_examples=60, deadline=None)


def same(name: str, *arguments: Any) -> None:
    copies = [np.copy(a) if isinstance(a, np.ndarray) else a for a in arguments]
    kernel = getattr(kernels, name, None) or getattr(operator_kernels, name)
    fast, slow = kernel(*arguments), getattr(twins, name)(*copies)
    for left, right in zip(np.atleast_1d(fast), np.atleast_1d(slow), strict=True):
        np.testing.assert_allclose(left, right, rtol=RTOL, atol=RTOL)


@both
@given(states, st.floats(0, 1))
def test_mating_pools(s: State, delta: float) -> None:
    n = s.targets.size
    arguments = (s.neighbors, s.targets, delta, s.uniform(n), s.uniform(n, s.size))
    same("mating_pools", *arguments)
    pools = kernels.mating_pools(*arguments)
    assert all(np.unique(row).size == s.size for row in pools), "a sub-problem appears twice in a pool"


@both
@given(states, st.sampled_from([0, 1]))
def test_mate_values(s: State, kind: int) -> None:
    same("mate_values", s.F, s.targets, s.mates, s.yardstick(kind))


@both
@given(states)
def test_front(s: State) -> None:
    same("front", s.F, s.violation, s.ideal)
    same("front", s.F, s.violation + 1.0, s.ideal)  # nothing is feasible


@both
@given(states, st.booleans(), st.booleans())
def test_running_ideal(s: State, any_feasible: bool, hopeless: bool) -> None:
    violation = s.violation + 1.0 if hopeless else s.violation
    fast, slow = s.F[0].copy(), s.F[0].copy()
    assert kernels.running_ideal(s.F, violation, fast, any_feasible) == twins.running_ideal(s.F, violation, slow, any_feasible)
    np.testing.assert_array_equal(fast, slow)


@both
@given(states, st.floats(0, 1), st.sampled_from([0.0, 2.0, 15.0, 20.0, 20.5]))
def test_sbx(s: State, probability: float, eta: float) -> None:
    n = s.targets.size
    draws = (s.uniform(n, 3), s.uniform(n, s.d), s.uniform(n, s.d))
    same("sbx", s.X, s.mates, s.lower, s.upper, probability, eta, *draws)


@both
@given(states, st.floats(0.01, 2), st.floats(0, 1))
def test_differential(s: State, scale: float, crossover: float) -> None:
    n = s.targets.size
    draws = (s.uniform(n, 2), s.uniform(n, s.d))
    same("differential", s.X, s.targets, s.mates, s.lower, s.upper, scale, crossover, *draws)


@both
@given(states, st.floats(0, 1), st.floats(0, 1), st.integers(1, 10))
def test_linear(s: State, noise: float, mask: float, parents: int) -> None:
    n = s.targets.size
    weights = published_rank_weights(min(parents, s.size))
    values = twins.mate_values(s.F, s.targets, s.mates, s.yardstick(0))
    draws = (s.rng.normal(size=(n, weights.size)), s.uniform(n, s.d))
    bounds = (s.lower, s.upper)
    same("linear", s.X, s.violation, s.targets, s.mates, values, weights, noise, mask, *bounds, *draws)


@both
@given(states, st.floats(0, 1), st.sampled_from([0.0, 5.0, 20.0, 20.5]))
def test_polynomial_mutation(s: State, probability: float, eta: float) -> None:
    same("polynomial_mutation", s.X, s.lower, s.upper, probability, eta, s.uniform(s.n, s.d))


@both
@given(states, st.sampled_from([0, 1]))
def test_best_suited(s: State, kind: int) -> None:
    """Compared by value: equal sub-problems may be told apart by rounding."""
    values = scalarize(s.F[:, None, :], s.weights[None], s.ideal, s.width, kind, 5.0)
    for side in (kernels, twins):
        suited = side.best_suited(s.F, s.yardstick(kind))
        np.testing.assert_allclose(values[np.arange(s.n), suited], values.min(axis=1), rtol=RTOL, atol=RTOL)


@both
@given(states, st.sampled_from([0, 1]), st.integers(1, 8))
def test_commit(s: State, kind: int, max_replaced: int) -> None:
    k = int(s.rng.integers(1, 2 * s.targets.size + 1))
    rows = np.sort(s.rng.integers(0, s.targets.size, k))
    X_new, F_new = s.uniform(k, s.d), s.F[s.rng.integers(0, s.n, k)] - s.rng.integers(-1, 2, (k, s.m)) * 0.5
    violation_new = np.where(s.uniform(k) < 0.3, 0.5, 0.0)
    rest = (Points(X_new, F_new, violation_new), rows, s.mates, s.yardstick(kind), max_replaced)
    U_order = s.uniform(k, s.size)
    fast, slow = (Points(s.X.copy(), s.F.copy(), s.violation.copy()) for _ in range(2))
    replaced = kernels.commit(fast, *rest, U_order)
    np.testing.assert_array_equal(replaced, twins.commit(slow, *rest, U_order))
    assert replaced.max() <= max_replaced
    for left, right in zip(fast, slow, strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize(("new", "old", "wins"), [((0.0, 5.0), (0.5, 1.0), True), ((0.5, 1.0), (0.0, 5.0), False)])
def test_a_feasible_point_beats_an_infeasible_one_whatever_its_value(new: Any, old: Any, wins: bool) -> None:
    """`new` and `old` are (violation, objective) of the offspring and the incumbent."""
    X, F, violation = np.zeros((1, 1)), np.array([[old[1]]]), np.array([old[0]])
    row, one = np.zeros(1, dtype=np.int64), np.ones((1, 1))
    incumbents, offspring = Points(X, F, violation), Points(np.ones((1, 1)), np.array([[new[1]]]), np.array([new[0]]))
    yardstick = Yardstick(one, np.zeros(1), np.ones(1), 0, 5.0)
    replaced = kernels.commit(incumbents, offspring, row, row[None, :], yardstick, 1, np.zeros((1, 1)))
    assert bool(replaced[0]) is wins


def test_mutation_steps_have_the_published_size() -> None:
    """Bounded polynomial mutation of x = 0.5 at u = 0.25, eta = 20 gives 0.46753.

    Independent value: the MATLAB expression of the MOEA/D-LO authors, evaluated by hand.
    """
    one = np.ones(1)
    moved = operator_kernels.polynomial_mutation(np.full((1, 1), 0.5), 0 * one, one, 1.0, 20.0, np.full((1, 1), 0.25))
    assert moved[0, 0] == pytest.approx(0.46753, abs=5e-6)


def test_rank_weights_are_the_published_ones() -> None:
    """Liu et al. 2023: .080 .042 .019 .011 .020 .045 .087 .148 .227 .326 from worst to best, sum 1.006."""
    published = np.array([0.080, 0.042, 0.019, 0.011, 0.020, 0.045, 0.087, 0.148, 0.227, 0.326])
    np.testing.assert_allclose(published_rank_weights(10), published / 1.006, atol=6e-4)
