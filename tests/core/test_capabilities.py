"""Capabilities: what an instance offers is checked by shape and by meaning, and what a solver lacks is named."""

from __future__ import annotations

import numpy as np
import pytest

import optisolve
from optisolve.core.capabilities import (
    CAPABILITIES,
    EnergyChannel,
    IntentBranches,
    InterferenceChannel,
    ParallelChannels,
    capability_gap,
    capability_members,
    offers,
)
from optisolve.core.solver import features_of
from optisolve.registry import SOLVERS
from optisolve.testing.capabilities import require_capabilities
from optisolve.testing.toys import toy_instances


def channel():  # type: ignore[no-untyped-def]
    return optisolve.load_problem("power_control").instance(0)


def test_members_come_from_the_protocol_and_its_bases() -> None:
    assert list(capability_members(EnergyChannel)) == [
        *("goal", "gain", "noise_w", "p_max_w", "sinr_floor", "weight"),
        *("circuit_power_w", "power_slope"),
    ]


def test_a_member_with_another_shape_is_no_capability() -> None:
    instance = channel()
    assert InterferenceChannel in offers(instance)
    instance.noise_w = np.ones(3)
    assert InterferenceChannel not in offers(instance)
    reason = capability_gap(instance, InterferenceChannel)
    assert reason is not None
    assert "'noise_w' must be an array with shape [10], found [3]" in reason


def test_a_member_of_a_member_is_looked_at() -> None:
    instance = optisolve.load_problem("nsp_utility").instance(0)
    assert capability_gap(instance, IntentBranches) is None
    instance.constants = object()
    reason = capability_gap(instance, IntentBranches)
    assert reason is not None
    assert "has no goal, noise_w, p_total_w" in reason


@pytest.mark.parametrize(
    ("scenario", "name", "factor", "words"),
    [
        ("power_control", "weight", 2.0, "weighted sum of log2"),
        ("power_control", "p_max_w", 2.0, "caps"),
        ("power_control/energy_efficiency", "circuit_power_w", 2.0, "consumed power"),
        ("parallel_channels", "p_total_w", 2.0, "caps"),
        ("power_game", "noise_w", -1.0, "noise_w > 0"),
    ],
)
def test_the_kit_finds_a_capability_that_contradicts_the_evaluation(
    scenario: str, name: str, factor: float, words: str
) -> None:
    instance = optisolve.load_problem(scenario).instance(1)
    X = instance.space.sample(np.random.default_rng(0), 8)
    require_capabilities(instance, X)
    setattr(instance, name, factor * getattr(instance, name))
    with pytest.raises(AssertionError, match=words):
        require_capabilities(instance, X)


def test_every_solver_names_the_capability_that_a_plain_instance_lacks() -> None:
    sphere, named = next(i for i in toy_instances() if len(i.objectives) == 1), set()
    for name in SOLVERS.targets():
        cls = SOLVERS.get(name)
        for capability in cls.info.requires:
            assert capability in CAPABILITIES
            assert not isinstance(sphere, capability)
        if cls.info.requires and features_of(sphere) <= cls.info.supports and name != "legacy_diffsg":  # knows one scenario
            assert any(capability.__name__ in str(cls().skip(sphere)) for capability in cls.info.requires), name
            named.add(name)
    assert {"water_filling", "branch_and_bound", "drl_fusion", "foschini_miljanic", "ddpm_null"} <= named


def test_a_plain_instance_offers_nothing_and_says_what_is_missing() -> None:
    sphere = toy_instances()[0]
    assert offers(sphere) == ()
    reason = capability_gap(sphere, ParallelChannels)
    assert reason is not None
    assert sphere.origin.problem in reason
    assert "has no goal, gain, noise_w, weight, p_total_w" in reason
