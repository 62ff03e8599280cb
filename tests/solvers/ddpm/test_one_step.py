"""The distilled weights for power control: one network call, 8 to 200 links; defaults stay what they were."""

from __future__ import annotations

import json

import numpy as np
import pytest

import optisolve
from optisolve.content import content_dir
from optisolve.solvers.ddpm import Ddpm
from optisolve.solvers.ddpm.weights import load_weights

WEIGHTS = "power_control_one_step"


def rates_at(n_links: int, seeds: int, **options: object) -> np.ndarray:
    """Sum rates of answers, at 0 dB, one instance per seed."""
    problem = optisolve.load_problem("power_control", n_links=n_links)
    return np.array([optisolve.solve(problem.instance(s), "ddpm", **options).F[0, 0] for s in range(seeds)])


@pytest.mark.parametrize("polish", ["auto", "none"])
def test_one_call_is_better_at_200_links_than_default_weights_with_as_many_candidates(polish: str) -> None:
    """On every seed, though the default weights ask their network twice; and the same when asked again."""
    same = {"n_samples": 4, "polish": polish}
    ours = rates_at(200, 4, weights=WEIGHTS, steps=1, **same)
    assert (ours > 1.02 * rates_at(200, 4, **same)).all()
    np.testing.assert_array_equal(ours, rates_at(200, 4, weights=WEIGHTS, steps=1, **same))


def test_defaults_ask_the_weights_that_they_asked_before() -> None:
    result = optisolve.solve(optisolve.load_problem("power_control").instance(0), "ddpm")
    assert result.run.outcome.report["weights"] == "power_control"
    assert result.run.outcome.report["weights_sha256"] == "4c61a53b1f709ef3d1b84a07e5fe05d93f5776499e138bbc182cc5ccc92bcbfd"


def test_the_student_names_its_teacher_and_both_are_shipped() -> None:
    weights = load_weights(WEIGHTS, "power_control")
    teacher = load_weights("power_control_wide", "power_control")
    assert weights.card["teacher"] == {"name": "power_control_wide", "sha256": teacher.sha256}
    for each in (weights, teacher):
        assert each.card["sha256"] == each.sha256
    assert json.loads((content_dir("solvers") / "ddpm" / "weights" / WEIGHTS / "card.json").read_text())["parameters"] == 4928


@pytest.mark.parametrize(
    ("scenario", "params", "told"),
    [
        ("power_control", {"n_links": 8}, ""),
        ("power_control", {"n_links": 150, "noise_w": 0.1}, ""),
        ("power_control/weighted", {}, ""),
        ("power_control", {"n_links": 300}, f"'{WEIGHTS}' have seen: n_links = 300 (8 to 200)"),
        ("power_control", {"noise_w": 0.01}, "noise_w = 0.01 (0.1 to 1)"),
        ("power_control/d2d50", {}, "channel = geometric (gaussian)"),
    ],
)
def test_what_the_distilled_weights_have_not_seen_is_named(scenario: str, params: dict[str, object], told: str) -> None:
    caution = Ddpm(weights=WEIGHTS, steps=1).caution(optisolve.load_problem(scenario, **params).instance(1))
    assert told in caution
    assert bool(told) == bool(caution)
