"""Gaussian processes: the gradient of the fit, interpolation, honest deviations, degenerate data."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from optisolve.numerics.gaussian_process import GaussianProcess, _loss


def smooth(U):
    return np.sin(5.0 * U[:, 0]) + U[:, 1] ** 2


@pytest.mark.parametrize(("n", "d"), [(8, 2), (40, 6)])
def test_the_gradient_of_the_fit_is_that_of_differences(n, d):
    rng = np.random.default_rng(n)
    U = rng.random((n, d))
    y = smooth(U) + 0.1 * rng.normal(size=n)
    theta = np.append(0.3 * rng.normal(size=d), -5.0)
    gradient = _loss(theta, U, y, np.zeros(d + 1))[1]
    np.testing.assert_allclose(
        gradient, approx_fprime(theta, lambda t: _loss(t, U, y, np.zeros(d + 1))[0], 1e-6), rtol=1e-4, atol=1e-4
    )


def test_it_predicts_a_smooth_function_and_knows_how_well():
    rng = np.random.default_rng(1)
    U, V = rng.random((60, 3)), rng.random((400, 3))
    mean, deviation = GaussianProcess.fit(U, smooth(U)).predict(V)
    error = mean - smooth(V)
    assert np.std(error) < 0.05 * np.std(smooth(V))
    assert 0.2 < np.std(error / deviation) < 3.0


def test_it_passes_through_its_points_and_their_order_is_of_no_concern():
    rng = np.random.default_rng(2)
    U = rng.random((30, 2))
    process = GaussianProcess.fit(U, smooth(U))
    mean, deviation = process.predict(U)
    np.testing.assert_allclose(mean, smooth(U), atol=5e-3)
    far = process.predict(np.array([[0.5, 0.5]]) + 10.0)[1]
    assert deviation.max() < 0.1 * far[0]
    back = GaussianProcess.at(U[::-1].copy(), smooth(U)[::-1].copy(), process.theta)
    np.testing.assert_allclose(back.predict(U)[0], mean, rtol=1e-9, atol=1e-9)


def test_units_of_the_values_change_the_prediction_in_proportion():
    rng = np.random.default_rng(3)
    U, V = rng.random((25, 2)), rng.random((9, 2))
    one, other = GaussianProcess.fit(U, smooth(U)), GaussianProcess.fit(U, 1e6 * smooth(U) - 3.0)
    np.testing.assert_allclose(other.predict(V)[0], 1e6 * one.predict(V)[0] - 3.0, rtol=1e-3)
    np.testing.assert_allclose(other.predict(V)[1], 1e6 * one.predict(V)[1], rtol=1e-2)


def test_gradients_of_predictions_are_those_of_differences():
    rng = np.random.default_rng(5)
    U, V = rng.random((40, 4)), rng.random((3, 4))
    process = GaussianProcess.fit(U, smooth(U))
    mean, deviation, by_mean, by_deviation = process.slopes(V)
    np.testing.assert_allclose([mean, deviation], process.predict(V), rtol=1e-10)
    for which, gradient in enumerate((by_mean, by_deviation)):
        for v, row in zip(V, gradient, strict=True):
            differences = approx_fprime(v, lambda u, k=which: process.predict(u[None])[k][0], 1e-6)
            np.testing.assert_allclose(row, differences, rtol=1e-3, atol=1e-4)


def test_a_pending_point_is_believed_and_no_longer_uncertain():
    rng = np.random.default_rng(4)
    U = rng.random((12, 2))
    process, u = GaussianProcess.fit(U, smooth(U)), np.array([0.9, 0.1])
    before = process.predict(u[None])
    after = process.believing(u).predict(u[None])
    np.testing.assert_allclose(after[0], before[0], rtol=1e-3)
    assert after[1][0] < 0.2 * before[1][0]


@pytest.mark.parametrize("y", [np.zeros(5), np.full(5, 3e9), np.array([1.0, 1.0, 1.0, 1.0, 1.0 + 1e-15])])
def test_constant_values_and_equal_points_are_no_singular_matrix(y):
    U = np.array([[0.2, 0.3], [0.2, 0.3], [0.2, 0.3], [0.7, 0.1], [0.7, 0.1]])
    mean, deviation = GaussianProcess.fit(U, y).predict(np.random.default_rng(0).random((4, 2)))
    np.testing.assert_allclose(mean, y[0], rtol=1e-9, atol=1e-12)
    assert np.isfinite(deviation).all()
    noisy = GaussianProcess.fit(U, np.array([0.0, 1.0, 2.0, 3.0, 4.0]))
    assert np.isfinite(noisy.predict(U)[0]).all()


def test_a_noisy_former_fit_is_left_behind():
    """A fit that takes everything for noise is a local optimum of the posterior; one begins from the prior as well."""
    rng = np.random.default_rng(6)
    U = rng.random((50, 3))
    noisy = np.append(np.full(3, 4.0), np.log(0.3))
    fitted = GaussianProcess.fit(U, smooth(U), noisy)
    assert np.exp(fitted.theta[-1]) < 1e-2
    np.testing.assert_allclose(fitted.theta, GaussianProcess.fit(U, smooth(U)).theta, atol=0.1)
