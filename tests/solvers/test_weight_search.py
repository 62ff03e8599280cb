"""Weight search: conformance, its bound, and that it goes beyond what is set today."""

from __future__ import annotations

import numpy as np
import pytest

import optisolve
from optisolve.core import Budget, Termination
from optisolve.modelling.network_blocks import blocks
from optisolve.modelling.network_flow import Traffic, best_prices, marginal_costs, price_bound
from optisolve.problems.traffic_engineering import model
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


# -- blocks and costs ----------------------------------------------------------------------------------------------------


def traffic_of(instance):
    return Traffic(instance.link_tail, instance.link_head, instance.link_capacity, instance.demand_matrix())


def joined(rng):
    """Two random networks that share one node, and a node that hangs on a single line."""
    edges, demands = [], {}
    for first in (0, 4):
        nodes = range(first, first + 5)
        pairs = [(u, v) for u in nodes for v in nodes if u != v and (abs(u - v) in (1, 4) or rng.random() < 0.3)]
        edges += [{"source": u, "target": v, "capacity": float(rng.uniform(1.0, 5.0))} for u, v in pairs]
    edges += [{"source": u, "target": v, "capacity": 3.0} for u, v in ((2, 9), (9, 2))]
    for u in range(10):
        demands[str(u)] = {str(v): float(rng.exponential()) for v in range(10) if v != u and rng.random() < 0.7}
    data = {"directed": True, "graph": {"demands": demands}, "nodes": [{"id": i} for i in range(10)], "edges": edges}
    return load_problem("traffic_engineering", network_data=data, capacities="given").instance(0)


def test_blocks_carry_on_their_own_what_they_carry_in_the_network():
    """Loads by the readable equations; and the network's bound is the largest of the blocks' and of single lines."""
    rng = np.random.default_rng(3)
    for _ in range(5):
        instance = joined(rng)
        traffic = traffic_of(instance)
        parts = blocks(traffic)
        assert [len(part.traffic.demand) for part in parts] == [5, 5]
        weight = rng.integers(1, 5, instance.space.dim).astype(float)
        whole = instance.link_use(weight)
        alone = np.ones(instance.space.dim, dtype=bool)
        bounds = []
        for part in parts:
            own = load_problem("traffic_engineering", network_data=data_of(part.traffic), capacities="given").instance(0)
            assert np.allclose(own.link_use(weight[part.links]), whole[part.links], rtol=1e-12)
            alone[part.links] = False
            bounds.append(price_bound(part.traffic, best_prices(part.traffic)))
        assert alone.sum() == 2
        assert max(*bounds, whole[alone].max()) == pytest.approx(price_bound(traffic, best_prices(traffic)), rel=1e-9)


def data_of(traffic):
    n = len(traffic.demand)
    links = zip(traffic.tail.tolist(), traffic.head.tolist(), traffic.capacity.tolist(), strict=True)
    return {
        "directed": True,
        "graph": {"demands": {str(u): {str(v): traffic.demand[u, v] for v in range(n) if v != u} for u in range(n)}},
        "nodes": [{"id": i} for i in range(n)],
        "edges": [{"source": u, "target": v, "capacity": c} for u, v, c in links],
    }


def test_marginal_costs_are_those_of_two_ways_by_hand():
    """A way of one link and one of two, of capacity 1, share 1.2: both are filled to the least possible 0.6, where costs have a
    kink, so that one link costs what two do."""
    demand = np.zeros((3, 3))
    demand[0, 2] = 1.2
    traffic = Traffic(np.array([0, 0, 1]), np.array([2, 1, 2]), np.ones(3), demand)
    assert price_bound(traffic, best_prices(traffic)) == pytest.approx(0.6)
    costs = marginal_costs(traffic, 0.6)
    assert costs == pytest.approx([2.0, 1.0, 1.0])


def test_the_search_finds_what_enumeration_finds():
    """All weights 1 to 3 of networks with eight links."""
    rng = np.random.default_rng(5)
    for _ in range(2):
        links = [(0, 1), (1, 2), (2, 3), (3, 0), (0, 2), (2, 0), (1, 3), (3, 1)]
        demands = {str(u): {str(v): float(rng.exponential()) for v in range(4) if v != u} for u in range(4)}
        data = {
            "directed": True,
            "graph": {"demands": demands},
            "nodes": [{"id": i} for i in range(4)],
            "edges": [{"source": u, "target": v, "capacity": float(rng.uniform(1.0, 3.0))} for u, v in links],
        }
        instance = load_problem("traffic_engineering", network_data=data, capacities="given", weight_max=3).instance(0)
        every = np.stack(np.meshgrid(*[np.arange(1.0, 4.0)] * 8), axis=-1).reshape(-1, 8)
        best = float(instance.evaluate(every).F.min())
        result = optisolve.solve(instance, "weight_search", budget=Budget(evaluations=150), seed=1)
        assert value_of(result) == pytest.approx(best, rel=1e-9)


def test_no_routing_is_looked_at_twice(monkeypatch):
    """Links on shortest paths, by the readable equations, tell all points apart that were paid for after the starts."""
    instance = load_problem("traffic_engineering/polska").instance(1)
    looked, loads = [], type(instance).link_loads

    def spied(self, X):
        used = loads(self, X)
        looked.extend(X)
        return used

    monkeypatch.setattr(type(instance), "link_loads", spied)
    result = optisolve.solve(instance, "weight_search", budget=Budget(evaluations=150), seed=1)
    assert result.record.used.evaluations == len(looked) == 150
    n, routings = instance.network, set()
    for weight in looked[4:]:
        reach = model.distances(n, weight)
        routings.add((reach[n.tail] == weight[:, None] + reach[n.head]).tobytes())
    assert len(routings) == 146
