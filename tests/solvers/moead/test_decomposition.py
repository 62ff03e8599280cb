"""Weights, neighborhoods and scalarizing functions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optisolve.solvers.moead import kernels, weights
from optisolve.solvers.moead.scalarize import Scalarization, front_nadir, front_width, pbi, scalarize, tchebycheff
from optisolve.solvers.moead.weights import lattice_size, neighborhoods, simplex_lattice, weight_vectors
from optisolve.solvers.space_filling import latin_hypercube
from tests.solvers.toys import Knights


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 6), st.integers(1, 130))
def test_any_number_of_weights_lies_on_the_simplex_without_repeats(m: int, n: int) -> None:
    weights = weight_vectors(m, n)
    assert weights.shape == (n, m)
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-12)
    if m > 1:
        assert np.unique(np.round(weights, 12), axis=0).shape[0] == n


def test_lattice_is_the_one_of_das_and_dennis() -> None:
    """Three objectives, two partitions: the six points of the paper's definition."""
    expected = np.array([[0, 0, 2], [0, 1, 1], [0, 2, 0], [1, 0, 1], [1, 1, 0], [2, 0, 0]]) / 2.0
    np.testing.assert_array_equal(simplex_lattice(3, 2), expected)
    assert lattice_size(3, 12) == 91
    np.testing.assert_array_equal(weight_vectors(3, 91), simplex_lattice(3, 12))
    np.testing.assert_allclose(weight_vectors(2, 100)[:, 0], np.arange(100) / 99.0)


def test_spread_weights_contain_the_vertices_and_keep_apart() -> None:
    """100 weights for three objectives are nearly as far apart as the 105 of the next lattice (0.109 = sqrt(2) / 13)."""
    weights = weight_vectors(3, 100)
    for vertex in np.eye(3):
        assert (np.abs(weights - vertex).max(axis=1) < 1e-12).any()
    gaps = np.sqrt(((weights[:, None] - weights[None]) ** 2).sum(axis=2)) + 9.0 * np.eye(100)
    assert gaps.min() > 0.6 * np.sqrt(2) / 13


@pytest.mark.parametrize("m", [1, 2, 3])
def test_a_neighborhood_starts_with_its_owner_and_repeats_nobody(m: int) -> None:
    near = neighborhoods(weight_vectors(m, 40), 9)
    np.testing.assert_array_equal(near[:, 0], np.arange(40))
    assert all(np.unique(row).size == 9 for row in near)


@pytest.mark.parametrize("m", [2, 3, 5])
def test_many_weights_and_their_neighborhoods_are_those_of_all_distances(m: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Search trees and boxes are shortcuts; a bit that differed would change every run of a large population."""
    rng = np.random.default_rng(m)
    pool = np.concatenate([rng.integers(0, 5, (900, m)) / 4.0, simplex_lattice(m, 4), rng.random((300, m))])  # ties, repeats
    fast = weights.farthest_points(pool, 420), weights.neighborhoods(pool, 23)
    monkeypatch.setattr(weights, "_MANY", 10**9)
    slow = weights.farthest_points(pool, 420), weights.neighborhoods(pool, 23)
    for quick, plain in zip(fast, slow, strict=True):
        np.testing.assert_array_equal(quick, plain)


@pytest.mark.parametrize("m", [1, 2, 3, 4])
def test_the_front_of_a_large_population_is_that_of_all_comparisons(m: int) -> None:
    """Bit for bit, for points on their way to a front and for those on a coarse grid, with infeasible ones between."""
    rng = np.random.default_rng(m)
    for F in (rng.integers(0, 6, (200, m)).astype(float), np.abs(rng.normal(size=(400, m))) ** rng.uniform(0.2, 3.0, (400, 1))):
        violation = np.where(rng.random(len(F)) < 0.2, 1.0, 0.0)
        for broken in (violation, violation + 1.0, 0.0 * violation):
            ideal = F.min(axis=0)
            nadir, width = kernels.front(F, broken, ideal)
            np.testing.assert_array_equal(nadir, front_nadir(F, broken))
            np.testing.assert_array_equal(width, front_width(F, ideal, nadir))


def test_tchebycheff_golden_values() -> None:
    """max(0.25 * 2, 0.75 * 1) = 0.75 and max(0.5 * 3, 0.5 * 1) = 1.5, by hand."""
    f, w = np.array([[2.0, 1.0], [3.0, 1.0]]), np.array([[0.25, 0.75], [0.5, 0.5]])
    np.testing.assert_allclose(tchebycheff(f, w), [0.75, 1.5])


def test_pbi_golden_values() -> None:
    """Along the weight d2 = 0; f = (2, 0), w = (1, 1): d1 = sqrt 2, d2 = sqrt 2; by geometry."""
    w = np.array([0.5, 0.5])
    assert pbi(np.array([3.0, 3.0]), w, 5.0) == pytest.approx(3.0 * np.sqrt(2.0))
    assert pbi(np.array([2.0, 0.0]), w, 5.0) == pytest.approx(np.sqrt(2.0) + 5.0 * np.sqrt(2.0))


def test_normalization_makes_the_unit_of_an_objective_irrelevant() -> None:
    rng = np.random.default_rng(0)
    F, w, ideal, width = rng.random((5, 3)), rng.random(3), -rng.random(3), rng.random(3)
    unit = np.array([1e3, 1.0, 1e-6])
    for kind in Scalarization:
        np.testing.assert_allclose(
            scalarize(F, w, ideal, width, kind, 5.0), scalarize(F * unit, w, ideal * unit, width * unit, kind, 5.0), rtol=1e-9
        )


def test_latin_hypercube_visits_every_slice_once_and_every_integer_equally() -> None:
    space = Knights().instance().space
    X = latin_hypercube(space, np.random.default_rng(0), 24)
    np.testing.assert_array_equal(np.sort((X[:, 3] * 24).astype(int)), np.arange(24))
    for column in range(3):
        values, counts = np.unique(X[:, column], return_counts=True)
        np.testing.assert_array_equal(values, np.arange(-2, 10))
        assert (counts == 2).all()
