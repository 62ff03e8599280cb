"""What the order of links, their number and their caps may do to an interference channel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from optisolve.core import Effort, Evidence, Instance
from optisolve.core.reference import Reference
from optisolve.registry import make_problem

GOALS = ("sum_rate", "weighted_sum_rate", "min_power", "max_min", "energy_efficiency")


def drawn(goal: str, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    gain = rng.exponential(size=(4, 4)) * np.where(np.eye(4), 1.0, 0.2)
    floors = np.full(4, 0.1) if goal == "min_power" else np.zeros(4)
    return {
        "gain": gain,
        "noise_w": rng.uniform(0.05, 0.2, 4),
        "p_max_w": rng.uniform(1.0, 2.0, 4),
        "weight": rng.uniform(0.5, 2.0, 4),
        "min_rate_bit_s_hz": floors,
    }


def stated(goal: str, arrays: dict[str, np.ndarray]) -> tuple[Instance, Reference]:
    data = {name: values.tolist() for name, values in arrays.items()}
    values: dict[str, Any] = {"goal": goal, "instance_data": data, "n_links": len(arrays["noise_w"])}
    problem = make_problem("power_control", values)
    instance = problem.instance(0)
    reference = problem.reference(instance, Effort.QUICK)
    assert reference is not None
    assert reference.evidence is Evidence.PROVEN_OPTIMAL
    return instance, reference


def chosen(arrays: dict[str, np.ndarray], order: np.ndarray) -> dict[str, np.ndarray]:
    return {name: values[np.ix_(order, order)] if name == "gain" else values[order] for name, values in arrays.items()}


def brackets(one: Reference, two: Reference) -> bool:
    """Whether two proofs of one optimum can both be true."""
    values = [r.value for r in (one, two)] + [r.dual_bound for r in (one, two)]
    assert all(v is not None for v in values)
    sizes = np.array(values, dtype=np.float64)
    return bool(np.ptp(sizes) <= 2.0 * (one.tie + two.tie) + 1e-9 * np.abs(sizes).max())


@pytest.mark.parametrize("goal", GOALS)
def test_the_order_of_the_links_changes_nothing(goal: str) -> None:
    for seed in range(3):
        arrays, order = drawn(goal, seed), np.random.default_rng(seed).permutation(4)
        (plain, one), (other, two) = stated(goal, arrays), stated(goal, chosen(arrays, order))
        X = plain.space.sample(np.random.default_rng(1), 20)
        np.testing.assert_allclose(other.evaluate_twin(X[:, order]).F, plain.evaluate_twin(X).F, rtol=1e-12)
        assert brackets(one, two)


@pytest.mark.parametrize("goal", GOALS)
def test_a_link_less_makes_room(goal: str) -> None:
    """The others need no more power, and the worst of them is no worse off; a sum of rates loses a term at most."""
    for seed in range(3):
        arrays = drawn(goal, seed)
        (_, all_of_them), (_, without) = stated(goal, arrays), stated(goal, chosen(arrays, np.arange(3)))
        assert all_of_them.value is not None
        assert without.value is not None
        room = 1e-9 * abs(all_of_them.value) + all_of_them.tie + without.tie
        if goal == "min_power":
            assert without.value <= all_of_them.value + room
        elif goal == "max_min":
            assert without.value >= all_of_them.value - room
        else:
            assert without.value <= all_of_them.value + room


@pytest.mark.parametrize("goal", GOALS)
def test_larger_caps_never_hurt(goal: str) -> None:
    for seed in range(3):
        arrays = drawn(goal, seed)
        (_, small), (_, large) = stated(goal, arrays), stated(goal, {**arrays, "p_max_w": 1.5 * arrays["p_max_w"]})
        assert small.value is not None
        assert large.value is not None
        room = 1e-9 * abs(small.value) + small.tie + large.tie
        assert (large.value <= small.value + room) if goal == "min_power" else (large.value >= small.value - room)
