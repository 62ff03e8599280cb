"""Combining: averages only where they are safe."""

from __future__ import annotations

import numpy as np
import pytest

import optisolve
from optisolve.core.budget import Budget
from optisolve.solvers.moe.combine import blend_refusal, convex_blend
from optisolve.testing.toys import SumCapSphere


@pytest.fixture(scope="module")
def trap():
    """Two links, all gains 1, noise 0.1, caps 1."""
    data = {
        "gain": [[1.0, 1.0], [1.0, 1.0]],
        "noise_w": [0.1, 0.1],
        "p_max_w": [1.0, 1.0],
        "weight": [1.0, 1.0],
        "min_rate_bit_s_hz": [0.0, 0.0],
    }
    return optisolve.load_problem("power_control", instance_data=data).instance(0)


def test_the_blend_trap_is_refused(trap):
    """Golden values by hand: either link alone gives log2(11), the average of the two answers 2 log2(1 + 0.5 / 0.6)."""
    points = np.eye(2)
    values = trap.evaluate(np.vstack([points, points.mean(axis=0)])).F[:, 0]
    assert values[:2] == pytest.approx(3.4594, abs=1e-4)
    assert values[2] == pytest.approx(1.7489, abs=1e-4)
    blend = convex_blend(trap, points, trap.evaluate)
    assert blend.point is None
    assert "declares no convex set" in blend.reason
    assert blend.evaluations == 0


def test_the_mixture_keeps_the_best_member_in_the_trap(trap):
    result = optisolve.solve(trap, "moe", budget=Budget(evaluations=120), gate="rule", combine="convex_blend")
    assert result.scores["objective"] == pytest.approx(3.4594, abs=1e-4)
    combined = next(e["facts"] for e in result.record.used.report["explanation"] if e["step"] == "combine")
    assert combined["note"].startswith("refused: power_control declares no convex set")


def test_a_false_declaration_is_found_out_by_evaluation(trap):
    """The average falls below the weighted mean of its members, which no concave function does."""

    class Declared(type(trap)):
        convex = True

    lying = trap.with_goal.__self__
    lying = object.__new__(Declared)
    lying.__dict__.update(trap.__dict__)
    blend = convex_blend(lying, np.eye(2), lying.evaluate)
    assert blend.point is None
    assert "contradicted" in blend.reason


def test_a_blend_is_kept_where_it_is_better_than_both_members():
    instance = optisolve.load_problem("parallel_channels").instance(0)
    rng = np.random.default_rng(1)
    points = np.zeros((2, instance.space.dim))
    points[0, :4] = points[1, 4:8] = instance.p_total_w / 4 * rng.uniform(0.9, 1.0)
    blend = convex_blend(instance, points, instance.evaluate)
    assert blend.point is not None
    values = instance.evaluate_twin(np.vstack([blend.point, points])).F[:, 0]
    assert values[0] > values[1:].max()


@pytest.mark.parametrize(
    ("instance", "told"),
    [
        (lambda: optisolve.load_problem("uav_isac").instance(0), "several objectives"),
        (lambda: SumCapSphere(integers=True).instance(0), "integer variables"),
        (lambda: optisolve.load_problem("nsp_utility").instance(0), "no convex set"),  # a product is only log-concave
    ],
)
def test_refusals_say_why(instance, told):
    assert told in blend_refusal(instance())


def test_declared_convexity_holds_on_random_segments():
    """Jensen on random feasible pairs, for every family that declares it."""
    rng = np.random.default_rng(0)
    for name in ("parallel_channels", "nsp_utility/rate", "nsp_utility/bep", "nsp_utility/energy"):
        instance = optisolve.load_problem(name).instance(1)
        assert instance.convex
        X = instance.project(instance.space.sample(rng, 60))
        X = X[instance.evaluate(X).violation <= 0.0]
        A, B = X[: len(X) // 2], X[len(X) // 2 : 2 * (len(X) // 2)]
        t = rng.random((len(A), 1))
        ends = instance.signs[0] * (t[:, 0] * instance.evaluate(A).F[:, 0] + (1 - t[:, 0]) * instance.evaluate(B).F[:, 0])
        middle = instance.evaluate(np.clip(t * A + (1 - t) * B, instance.space.lower, instance.space.upper))
        assert (instance.signs[0] * middle.F[:, 0] <= ends + 1e-9).all()
        assert (middle.violation <= 1e-8).all()
