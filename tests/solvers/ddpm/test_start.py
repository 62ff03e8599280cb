"""Points for other solvers to start from: feasible, distinct, free of charge, and those of the sampler itself."""

from __future__ import annotations

import numpy as np
import pytest

import optisolve
from optisolve.core.budget import Budget
from optisolve.solvers.ddpm import Ddpm
from optisolve.solvers.ddpm.start import has_sampler, sampled_points

FAMILIES = ("uav_isac", "power_control", "power_control/weighted", "parallel_channels", "offloading/n10", "noma_uav")


@pytest.mark.parametrize("name", FAMILIES)
def test_points_are_inside_the_box_distinct_and_decided_by_the_seed(name: str) -> None:
    instance = optisolve.load_problem(name).instance(20)
    X = sampled_points(instance, 10, 1)
    assert X is not None
    assert 1 <= len(X) <= 10
    instance.space.require(X)
    assert len(np.unique(X, axis=0)) == len(X)
    assert (instance.evaluate(X).violation <= 0.0).all()
    np.testing.assert_array_equal(X, sampled_points(instance, 10, 1))
    if len(X) > 2:  # else all samples lead to the same few points
        assert not np.array_equal(X, sampled_points(instance, 10, 2))


def test_a_front_is_sampled_in_the_order_of_its_preferences() -> None:
    """Samples for the utility first or last: the objectives of the first and of the last third differ in that order."""
    instance = optisolve.load_problem("uav_isac").instance(21)
    X = sampled_points(instance, 30, 0)
    assert X is not None
    F = instance.evaluate(X).F
    assert F[-10:, 0].mean() > F[:10, 0].mean()  # the preference for the utility grows
    assert F[-10:, 1].mean() > F[:10, 1].mean()  # and the error bound pays for it


def test_they_are_the_points_of_the_solver() -> None:
    instance = optisolve.load_problem("uav_isac").instance(22)
    X = sampled_points(instance, 12, 5)
    result = optisolve.solve(instance, Ddpm(), budget=Budget(evaluations=12), seed=5)
    assert X is not None
    assert {row.tobytes() for row in result.run.outcome.X} <= {row.tobytes() for row in X}


@pytest.mark.parametrize("name", ["beamforming", "pymoo", "maze", "power_control/max_min", "offloading/multi_server"])
def test_a_problem_without_a_sampler_has_no_points(name: str) -> None:
    instance = optisolve.load_problem(name).instance(0)
    assert not has_sampler(instance)
    assert sampled_points(instance, 5, 0) is None
