"""Weight search: conformance, its bound, and that it goes beyond what is set today."""

from __future__ import annotations

import numpy as np
import pytest

import optisolve
from optisolve.core import Budget, Termination
from optisolve.registry import load_problem, make_solver
from optisolve.testing import SolverConformance


class TestWeightSearch(SolverConformance):
    evaluations = 60

    def make_solver(self):
        return make_solver("weight_search")

    def make_instances(self):
        return [load_problem("traffic_engineering/polska").instance(1), load_problem("traffic_engineering/robust").instance(1)]


def value_of(result):
    return float(result.F[:, 0].min())


@pytest.mark.parametrize("scenario", ["polska", "nobel_us", "robust"])
def test_it_beats_what_is_set_today_and_its_bound_holds(scenario):
    instance = load_problem(f"traffic_engineering/{scenario}").instance(1)
    today = min(float(instance.evaluate(X).F[:, 0].min()) for X in instance.null_policies().values())
    result = optisolve.solve(instance, "weight_search", budget=Budget(evaluations=400), seed=1)
    assert value_of(result) < 0.97 * today
    assert result.record.used.evaluations <= 400
    plain = load_problem(f"traffic_engineering/{scenario}", failures="none")
    bound = plain.reference(plain.instance(1)).dual_bound
    assert result.run.outcome.dual_bound == pytest.approx(bound, rel=1e-9)
    assert value_of(result) >= bound * (1.0 - 1e-9)


def test_it_stops_where_the_bound_is_met():
    """Two ways of capacities 1 and 1: equal weights split in halves, and nothing can do better."""
    data = {
        "directed": True,
        "graph": {"demands": {"a": {"d": 1.0}}},
        "nodes": [{"id": c} for c in "abcd"],
        "edges": [
            {"source": u, "target": v, "capacity": 1.0, "weight": w}
            for u, v, w in [("a", "b", 9), ("a", "c", 1), ("b", "d", 1), ("c", "d", 1)]
        ],
    }
    instance = load_problem("traffic_engineering", network_data=data, capacities="given").instance(0)
    result = optisolve.solve(instance, "weight_search", budget=Budget(evaluations=2000), seed=1)
    assert result.termination is Termination.OPTIMAL
    assert value_of(result) == pytest.approx(0.5)
    assert result.record.used.evaluations < 2000


def test_weights_that_are_given_are_begun_with():
    instance = load_problem("traffic_engineering/polska").instance(1)
    x = instance.space.sample(np.random.default_rng(0), 1)[0]
    result = optisolve.solve(instance, "weight_search", budget=Budget(evaluations=1), seed=1, warm_start=x)
    assert value_of(result) == pytest.approx(float(instance.evaluate(x).F[0, 0]))


def test_other_families_are_refused_with_what_they_lack():
    reason = make_solver("weight_search").skip(load_problem("power_control").instance(0))
    assert reason is not None
    segments = make_solver("weight_search").skip(load_problem("traffic_engineering/segments").instance(0))
    assert segments is not None
    assert "RoutingWeights" in segments
