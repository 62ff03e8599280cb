"""The local model: exact where it must be, better than its neighbors elsewhere, and never a traceback for equal points."""

from __future__ import annotations

import numpy as np
import pytest

from optisolve.numerics.local_rbf import local_guess


def test_known_points_are_met_and_planes_are_exact_everywhere():
    rng = np.random.default_rng(0)
    U, centers = rng.random((80, 4)), rng.random((3, 4))
    plane = U @ [[1.0], [-2.0], [0.5], [3.0]] + 7.0
    bumpy = np.sin(3.0 * U).sum(axis=1, keepdims=True)
    Q = rng.random((3, 5, 4))
    guess = local_guess(U, np.hstack([plane, bumpy]), centers, Q, 40)
    np.testing.assert_allclose(guess[:, :, 0], Q @ [1.0, -2.0, 0.5, 3.0] + 7.0, atol=1e-6)
    near = np.argsort(((centers[:, None] - U) ** 2).sum(axis=2), axis=1)[:, :5]
    np.testing.assert_allclose(local_guess(U, bumpy, centers, U[near], 40)[:, :, 0], bumpy[near, 0], atol=1e-6)


def test_a_curved_function_is_guessed_better_than_by_the_nearest_point():
    rng = np.random.default_rng(1)
    U, Q = rng.random((200, 3)), rng.uniform(0.35, 0.65, (4, 50, 3))
    f = lambda X: ((X - 0.3) ** 2).sum(axis=-1)  # noqa: E731
    guess = local_guess(U, f(U)[:, None], np.full((4, 3), 0.5), Q, 60)[:, :, 0]
    nearest = f(U)[((Q[:, :, None] - U) ** 2).sum(axis=3).argmin(axis=2)]
    assert np.abs(guess - f(Q)).mean() < 0.3 * np.abs(nearest - f(Q)).mean()


@pytest.mark.parametrize("few", [1, 2, 5])
def test_few_or_equal_points_or_variables_that_stand_still_give_finite_guesses(few):
    U = np.tile(np.full((1, 6), 0.5), (few, 1))
    guess = local_guess(U, np.arange(float(few))[:, None], U[:1], np.random.default_rng(2).random((1, 7, 6)), 60)
    assert np.isfinite(guess).all()
    flat = np.random.default_rng(3).random((50, 6)) * [1, 1, 0, 0, 0, 0]
    assert np.isfinite(local_guess(flat, flat[:, :1], flat[:2], flat[None, :9].repeat(2, axis=0), 40)).all()
