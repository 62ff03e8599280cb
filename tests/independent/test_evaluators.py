"""Evaluation, and the twin where there is a kernel, say what the card says, on all scenarios and on parameters nobody tried."""

from __future__ import annotations

import numpy as np
import pytest

from optisolve.core import Instance
from optisolve.core.seeds import generator
from optisolve.registry import PROBLEMS, make_problem
from tests.independent.protocol import FAMILIES, fuzzed, own_evaluation, scenarios
from tests.problems.test_conformance import LARGE
from tests.scenarios import TRACED

RTOL = 1e-9


def points(instance: Instance, rng: np.random.Generator, n: int) -> np.ndarray:
    """Random points, their projections, and the trivial policies."""
    raw = instance.space.sample(rng, n)
    return np.concatenate([raw, instance.project(raw[: n // 2]), *map(np.atleast_2d, instance.null_policies().values())])


def disagreement(name: str, instance: Instance, X: np.ndarray) -> float:
    """Largest difference between the card and all of the family's evaluators, relative to each number's own size."""
    told = own_evaluation(name, instance, X)
    worst = 0.0
    for evaluation in (instance.evaluate(X), *([instance.evaluate_twin(X)] if instance.has_twin else [])):
        for part, (own, given) in enumerate(zip(told, evaluation, strict=True)):
            assert own.shape == given.shape, f"{'FGH'[part]}: {given.shape}, by the card {own.shape}"
            if own.size:
                size = np.maximum(np.abs(own), np.abs(given))
                size = np.maximum(size, _own_size(instance, part, size))
                worst = max(worst, float((np.abs(own - given) / size).max()))
    return worst


def _own_size(instance: Instance, part: int, size: np.ndarray) -> np.ndarray:
    """What a number near zero is measured by: constraints are dimensionless, objectives have their instance's scale."""
    if part:
        return np.ones_like(size)
    scale = np.array([o.scale for o in instance.objectives])
    return np.broadcast_to(1e-3 * scale if len(scale) == 1 else 1e-12 * size.max(axis=0) + 1e-300, size.shape)


def test_every_family_has_an_independent_evaluator() -> None:
    assert set(FAMILIES) == set(PROBLEMS.targets())


def _case(name: str, scenario: str) -> object:
    return pytest.param(name, scenario, marks=[pytest.mark.slow] if scenario in LARGE and name == "traffic_engineering" else [])


@pytest.mark.parametrize(("name", "scenario"), [_case(n, s) for n in FAMILIES for s in scenarios(n) if s not in TRACED])
def test_scenarios_are_evaluated_as_the_card_says(name: str, scenario: str) -> None:
    problem = make_problem(scenario)
    for seed in (0, 1, 2):
        instance = problem.instance(seed)
        X = points(instance, generator(seed, purpose="independent"), 60)
        assert disagreement(name, instance, X) <= RTOL, f"{scenario} seed {seed}"


@pytest.mark.parametrize("name", FAMILIES)
def test_fuzzed_parameters_are_evaluated_as_the_card_says(name: str) -> None:
    for draw in range(6):
        rng = generator(draw, purpose="independent-fuzz", problem=name)
        problem = fuzzed(name, rng)
        instance = problem.instance(draw)
        assert disagreement(name, instance, points(instance, rng, 20)) <= RTOL, f"{problem!r}"
