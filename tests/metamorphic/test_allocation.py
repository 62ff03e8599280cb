"""What must not change, or only one way, in association, OFDMA, offloading and parallel channels."""

from __future__ import annotations

import numpy as np
import pytest

from optisolve.core import Effort, Instance, Problem
from optisolve.registry import make_problem

USERS = {
    "user_association": ("peak_rate_bps", "received_dbm"),
    "user_association/max_min": ("peak_rate_bps", "received_dbm"),
    "user_association/sum_rate": ("peak_rate_bps", "received_dbm"),
    "resource_allocation": ("gain", "weight", "rate_min_bps", "quota"),
    "resource_allocation/min_rates": ("gain", "weight", "rate_min_bps", "quota"),
    "resource_allocation/quota": ("gain", "weight", "rate_min_bps", "quota"),
    "offloading/n10": ("task_bits", "cycles", "local_hz", "time_weight", "rate_bps", "deadline_s"),
    "offloading/deadlines": ("task_bits", "cycles", "local_hz", "time_weight", "rate_bps", "deadline_s"),
    "parallel_channels": ("gain", "noise_w", "weight"),
}
"""Arrays with one row per user (or channel), by scenario."""


def with_arrays(scenario: str, instance: Instance, **changes: np.ndarray) -> tuple[Problem, Instance]:
    data = {name: np.asarray(values).tolist() for name, values in {**instance.arrays(), **changes}.items()}
    problem = make_problem(scenario, {"instance_data": data})
    return problem, problem.instance(0)


def optimum(problem: Problem, instance: Instance) -> tuple[float, float]:
    reference = problem.reference(instance, Effort.QUICK)
    assert reference is not None
    assert reference.evidence.value == "proven_optimal", reference
    assert reference.value is not None
    return reference.value, reference.tie


@pytest.mark.parametrize("scenario", USERS)
def test_the_order_of_users_does_not_matter(scenario: str) -> None:
    problem = make_problem(scenario)
    for seed in (0, 1):
        instance = problem.instance(seed)
        arrays = instance.arrays()
        order = np.random.default_rng(seed).permutation(len(arrays[USERS[scenario][0]]))
        other = with_arrays(scenario, instance, **{name: arrays[name][order] for name in USERS[scenario]})
        value, tie = optimum(problem, instance)
        assert optimum(*other)[0] == pytest.approx(value, abs=2.0 * tie)


@pytest.mark.parametrize(
    "scenario", ["user_association/max_min", "offloading/n10", "offloading/deadlines", "parallel_channels"]
)
def test_one_user_less_leaves_no_less_for_the_others(scenario: str) -> None:
    """The worst rate does not fall, the total cost does not rise; a channel less cannot raise the sum rate."""
    problem = make_problem(scenario)
    instance = problem.instance(2)
    arrays = instance.arrays()
    kept = np.arange(1, len(arrays[USERS[scenario][0]]))
    other = with_arrays(scenario, instance, **{name: arrays[name][kept] for name in USERS[scenario]})
    (value, tie), (fewer, _) = optimum(problem, instance), optimum(*other)
    sign = -1.0 if scenario.startswith(("offloading", "parallel")) else 1.0
    assert sign * (fewer - value) >= -2.0 * tie


@pytest.mark.parametrize(
    ("scenario", "array", "sign"),
    [
        ("parallel_channels", "p_total_w", 1.0),
        ("resource_allocation/sum_rate", "power_total_w", 1.0),
        ("resource_allocation/quota", "power_total_w", 1.0),
        ("resource_allocation/min_rates", "power_total_w", 1.0),
        ("user_association/sum_rate", "peak_rate_bps", 1.0),
        ("offloading/n10", "server_hz", -1.0),
        ("offloading/deadlines", "deadline_s", -1.0),
    ],
)
def test_more_of_a_resource_is_never_worse(scenario: str, array: str, sign: float) -> None:
    problem = make_problem(scenario)
    instance = problem.instance(3)
    before, tie = optimum(problem, instance)
    for factor in (1.01, 2.0):
        after, _ = optimum(*with_arrays(scenario, instance, **{array: factor * instance.arrays()[array]}))
        assert sign * (after - before) >= -2.0 * tie
        before = after
