"""Traffic engineering: changes against anew, bounds by two programs, small optima by enumeration, files of every format."""

from __future__ import annotations

import itertools
import json
import math
from typing import ClassVar

import numpy as np
import pytest

from optisolve.core import Effort, Evidence
from optisolve.core.errors import MissingDependency, OptionError, OptisolveError, ProblemError, UnknownNameError
from optisolve.modelling.cpsat import solve_cpsat
from optisolve.modelling.highs import solve_highs
from optisolve.modelling.network_flow import Traffic, best_prices, price_bound
from optisolve.problems.traffic_engineering import model
from optisolve.problems.traffic_engineering.node_link import read_node_link
from optisolve.problems.traffic_engineering.readers import from_networkx, named_network, read_network, shipped_networks
from optisolve.registry import load_problem


def drawn(rng, n_nodes=7, n_more=8, *, parallel=True):
    """Node-link data of a random directed network: a ring, more links, some of them parallel, and demands of some pairs."""
    ring = [(i, (i + 1) % n_nodes) for i in range(n_nodes)]
    more = [tuple(int(v) for v in rng.choice(n_nodes, 2, replace=False)) for _ in range(n_more)]
    links = ring + (more + more[:2] if parallel else sorted(set(more) - set(ring)))
    demands = {}
    for u, v in itertools.permutations(range(n_nodes), 2):
        if rng.random() < 0.5:
            demands.setdefault(str(u), {})[str(v)] = float(rng.exponential())
    return {
        "directed": True,
        "graph": {"name": "drawn", "demands": demands},
        "nodes": [{"id": i, "name": f"n{i}"} for i in range(n_nodes)],
        "edges": [{"source": u, "target": v, "capacity": float(rng.uniform(1.0, 5.0))} for u, v in links],
    }


def own(data, **settings):
    return load_problem("traffic_engineering", network_data=data, capacities="given", **settings)


# -- routing -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("failures", ["none", "single"])
def test_a_change_gives_the_same_bits_as_everything_anew(failures):
    """Walks over weights, ties and parallel links included: rows in a batch, alone, and backwards, and the twin to 1e-12."""
    rng = np.random.default_rng(1)
    for case in range(6):
        problem = own(drawn(rng), failures=failures, weight_max=8 if case % 2 else 65_535)
        instance = problem.instance(0)
        walk = np.repeat(instance.space.sample(rng, 1), 60, axis=0)
        for row in range(1, len(walk)):
            walk[row] = walk[row - 1]
            walk[row, rng.integers(walk.shape[1])] = rng.integers(1, 9)
        together = instance.evaluate(walk).F
        alone = np.concatenate([problem.instance(0).evaluate(x).F for x in walk])
        assert np.array_equal(together, alone)
        assert np.array_equal(together[::-1], instance.evaluate(walk[::-1]).F)
        assert np.allclose(together[::6], instance.evaluate_twin(walk[::6]).F, rtol=1e-12, atol=0.0)
        assert np.array_equal((instance.link_loads(walk) / instance.link_capacity).max(axis=1), together[:, 0])


def test_traffic_splits_in_equal_parts_at_every_hop():
    """By hand: two ways of the same length carry a half each, and the second splits again behind the next node."""
    data = {
        "directed": True,
        "graph": {"demands": {"a": {"d": 4.0}}},
        "nodes": [{"id": c} for c in "abcd"],
        "edges": [
            {"source": u, "target": v, "capacity": 1.0, "weight": w}
            for u, v, w in [("a", "b", 1), ("a", "c", 1), ("b", "d", 1), ("c", "d", 1), ("c", "d", 1)]
        ],
    }
    network = read_node_link(data, "by hand", "directed")
    assert model.link_loads(network, network.weight).tolist() == [2.0, 2.0, 2.0, 1.0, 1.0]
    instance = own(data).instance(0)
    assert instance.evaluate(network.weight).F[0, 0] == 2.0
    assert instance.space.names[-2:] == ("c_d.weight", "c_d_2.weight")


def test_loads_are_those_that_topohub_computed():
    """Its own program routed a unit between all pairs by hops with equal splits and tells loads in percent of the largest."""
    topohub = pytest.importorskip("topohub", reason="needs the extra [topologies]")
    for key in ("sndlib/polska", "sndlib/geant", "topozoo/Abilene"):
        network = named_network(f"topohub/{key}")
        n = len(network.nodes)
        loads = model.link_loads(network.with_demand(np.ones((n, n)) - np.eye(n)), np.ones(network.tail.size))
        told = [100.0 * load / loads.max() for load in loads]
        for e, edge in enumerate(topohub.get(key)["edges"]):  # each line is two links, forth and back
            assert told[2 * e] == pytest.approx(edge["ecmp_fwd"]["uni"], abs=0.006)
            assert told[2 * e + 1] == pytest.approx(edge["ecmp_bwd"]["uni"], abs=0.006)


def test_shipped_networks_are_those_of_topohub():
    topohub = pytest.importorskip("topohub", reason="needs the extra [topologies]")
    for name in shipped_networks():
        group, _, size = name.partition("_")
        key = f"gabriel/{size}/0" if group == "gabriel" else f"sndlib/{name.replace('_', '-')}"
        mine, theirs = named_network(name), topohub.get(key)
        assert mine.nodes == tuple(node["name"] for node in theirs["nodes"])
        assert mine.tail[::2].tolist() == [edge["source"] for edge in theirs["edges"]]


def test_units_decide_nothing():
    rng = np.random.default_rng(2)
    data = drawn(rng)
    problem = own(data)
    X = problem.instance(0).space.sample(rng, 5)
    F, bound = problem.instance(0).evaluate(X).F, problem.reference(problem.instance(0)).dual_bound
    for c in (1e-9, 1e9):
        for edge in data["edges"]:
            edge["capacity"] *= c
        data["graph"]["demands"] = {u: {v: d * c for v, d in row.items()} for u, row in data["graph"]["demands"].items()}
        other = own(data)
        assert np.allclose(other.instance(0).evaluate(X).F, F, rtol=1e-9)
        assert other.reference(other.instance(0)).dual_bound == pytest.approx(bound, rel=1e-6)


# -- what is proven ------------------------------------------------------------------------------------------------------


def glop(traffic):
    """The multi-commodity flow by another program and another formulation, commodities by source."""
    from ortools.linear_solver import pywraplp

    solver = pywraplp.Solver.CreateSolver("GLOP")
    n, links = len(traffic.demand), range(traffic.tail.size)
    top = solver.NumVar(0.0, solver.infinity(), "U")
    flow = [[solver.NumVar(0.0, solver.infinity(), f"f{s}.{e}") for e in links] for s in range(n)]
    for s in range(n):
        for v in range(n):
            if v != s:
                inward = solver.Sum([flow[s][e] for e in links if traffic.head[e] == v])
                outward = solver.Sum([flow[s][e] for e in links if traffic.tail[e] == v])
                solver.Add(inward - outward == float(traffic.demand[s, v]))
    for e in links:
        solver.Add(solver.Sum([flow[s][e] for s in range(n)]) <= float(traffic.capacity[e]) * top)
    solver.Minimize(top)
    assert solver.Solve() == pywraplp.Solver.OPTIMAL
    return solver.Objective().Value()


def test_the_flow_bound_is_that_of_a_second_program():
    """Twenty random networks: prices by HiGHS, the bound from them by shortest paths, against GLOP on other variables."""
    rng = np.random.default_rng(3)
    for _ in range(20):
        network = read_node_link(drawn(rng, 6, 8), "drawn", "directed")
        traffic = Traffic(network.tail, network.head, network.capacity, network.demand)
        bound, other = price_bound(traffic, best_prices(traffic)), glop(traffic)
        assert bound == pytest.approx(other, rel=1e-6)
        assert bound <= other * (1.0 + 1e-9)


@pytest.mark.slow
def test_bounds_of_shipped_networks_are_the_optima_of_another_program():
    for name in shipped_networks():
        network = (
            load_problem("traffic_engineering", network=name, capacities="two_tier", demands=_demands(name)).instance(1).network
        )
        if len(network.nodes) > 40:
            continue
        traffic = Traffic(network.tail, network.head, network.capacity, network.demand)
        assert price_bound(traffic, best_prices(traffic)) == pytest.approx(glop(traffic), rel=1e-6)


def _demands(name):
    return "given" if named_network(name).demand.any() else "gravity"


def test_any_prices_prove_a_bound_and_climbing_comes_near_the_best(monkeypatch):
    """Where the program is too large prices are improved step by step: below the optimum, and within some percent of it."""
    rng = np.random.default_rng(4)
    network = read_node_link(drawn(rng, 8, 12), "drawn", "directed")
    traffic = Traffic(network.tail, network.head, network.capacity, network.demand)
    best = price_bound(traffic, best_prices(traffic))
    for _ in range(20):
        assert price_bound(traffic, rng.exponential(size=network.tail.size)) <= best * (1.0 + 1e-9)
    monkeypatch.setattr("optisolve.modelling.network_flow._LARGEST_PROGRAM", 0)
    climbed = price_bound(traffic, best_prices(traffic))
    assert 0.9 * best <= climbed <= best * (1.0 + 1e-9)


def test_no_weights_beat_the_bound_on_a_network_small_enough_to_try_all():
    rng = np.random.default_rng(5)
    problem = own(drawn(rng, 4, 3, parallel=False), weight_max=3)
    instance = problem.instance(0)
    X = np.array(list(itertools.product([1.0, 2.0, 3.0], repeat=instance.space.dim)))
    reference = problem.reference(instance)
    assert reference.dual_bound <= instance.evaluate(X).F.min() * (1.0 + 1e-9)


@pytest.mark.parametrize("failures", ["none", "single"])
def test_the_bound_with_failures_is_no_smaller_and_holds(failures):
    problem = load_problem("traffic_engineering/robust", failures=failures)
    instance = problem.instance(1)
    plain = load_problem("traffic_engineering/robust", failures="none")
    bound = problem.reference(instance, Effort.QUICK).dual_bound
    assert bound >= plain.reference(plain.instance(1), Effort.QUICK).dual_bound
    X = np.concatenate([*instance.null_policies().values(), instance.space.sample(np.random.default_rng(0), 50)])
    assert (instance.evaluate(X).F[:, 0] >= bound).all()


def test_segments_by_two_integer_programs_are_the_best_of_all():
    """Every choice of a stop for four demands in networks of five nodes."""
    rng = np.random.default_rng(6)
    for _ in range(3):
        problem = own(drawn(rng, 5, 5), form="segments", n_decided=4)
        instance = problem.instance(0)
        X = np.array(list(itertools.product(range(5), repeat=instance.space.dim)), dtype=float)
        best = instance.evaluate(instance.project(X)).F.min()
        reference = problem.reference(instance)
        assert reference.evidence is Evidence.PROVEN_OPTIMAL
        assert reference.value == pytest.approx(best, rel=1e-9)
        for answer in (solve_cpsat(instance.model("cpsat"), deterministic_time=5.0), solve_highs(instance.model("highs"))):
            assert instance.evaluate(answer.x).F[0, 0] == pytest.approx(best, rel=1e-6)
            assert answer.dual_bound <= best * (1.0 + 1e-6)


def test_splits_over_all_paths_reach_the_flow_bound():
    """With every path to choose from, the program over paths and the one over flows have one optimum."""
    rng = np.random.default_rng(7)
    problem = own(drawn(rng, 5, 3, parallel=False), form="split", n_paths=20, n_decided=1000)
    instance = problem.instance(0)
    reference = problem.reference(instance)
    traffic = Traffic(instance.link_tail, instance.link_head, instance.link_capacity, instance.demand_matrix())
    assert reference.evidence is Evidence.PROVEN_OPTIMAL
    assert reference.value == pytest.approx(price_bound(traffic, best_prices(traffic)), rel=1e-6)


def test_lines_that_cut_off_a_demand_are_said_and_not_counted():
    """A ring of three with a leaf: its line may not fail, the others may."""
    edges = [(0, 1), (1, 2), (2, 0), (2, 3)]
    data = {
        "directed": False,
        "graph": {"name": "leaf", "demands": {"0": {"3": 1.0}, "3": {"0": 1.0}}},
        "nodes": [{"id": i} for i in range(4)],
        "edges": [{"source": u, "target": v, "capacity": 2.0} for u, v in edges],
    }
    instance = own(data, failures="single").instance(0)
    assert instance.failures.tolist() == [[0, 1], [2, 3], [4, 5]]
    assert "1 lines are left out" in instance.describe().summary
    with pytest.raises(ProblemError, match="no line that may fail"):
        own({**data, "edges": [data["edges"][i] for i in (0, 1, 3)]}, failures="single").instance(0)


# -- files ---------------------------------------------------------------------------------------------------------------

NATIVE = """?SNDlib native format; type: network; version: 1.0
# network tiny
META (
 granularity = one
)
NODES (
 A ( 10.0 50.0 )
 B ( 11.0 50.0 )
 C ( 10.5 51.0 )
)
LINKS (
 L1 ( A B ) 40.0 0.0 0.0 0.0 ( 10.0 1.0 20.0 2.0 )
 L2 ( B C ) 0.0 0.0 0.0 0.0 ( 25.0 1.0 20.0 2.0 )
 L3 ( A C ) 0.0 0.0 0.0 0.0 ( 20.0 1.0 )
)
DEMANDS (
 D1 ( A B ) 1 5.0 UNLIMITED
 D2 ( A C ) 1 7.0 UNLIMITED
)
"""
XML = """<?xml version="1.0" encoding="UTF-8"?>
<network xmlns="http://sndlib.zib.de/network" version="1.0">
 <networkStructure>
  <nodes coordinatesType="geographical">
   <node id="A"><coordinates><x>10.0</x><y>50.0</y></coordinates></node>
   <node id="B"><coordinates><x>11.0</x><y>50.0</y></coordinates></node>
   <node id="C"><coordinates><x>10.5</x><y>51.0</y></coordinates></node>
  </nodes>
  <links>
   <link id="L1"><source>A</source><target>B</target><preInstalledModule><capacity>40.0</capacity></preInstalledModule></link>
   <link id="L2"><source>B</source><target>C</target><additionalModules><addModule><capacity>25.0</capacity></addModule>
    <addModule><capacity>20.0</capacity></addModule></additionalModules></link>
   <link id="L3"><source>A</source><target>C</target><additionalModules><addModule><capacity>20.0</capacity></addModule>
    </additionalModules></link>
  </links>
 </networkStructure>
 <demands>
  <demand id="D1"><source>A</source><target>B</target><demandValue>5.0</demandValue></demand>
  <demand id="D2"><source>A</source><target>C</target><demandValue>7.0</demandValue></demand>
 </demands>
</network>
"""
GRAPHML = """<?xml version="1.0" encoding="utf-8"?>
<graphml xmlns="http://graphml.graphdrawing.org/xmlns">
 <key attr.name="label" attr.type="string" for="node" id="d1" />
 <key attr.name="Longitude" attr.type="double" for="node" id="d2" />
 <key attr.name="Latitude" attr.type="double" for="node" id="d3" />
 <key attr.name="LinkSpeedRaw" attr.type="double" for="edge" id="d4" />
 <graph edgedefault="undirected">
  <node id="0"><data key="d1">A</data><data key="d2">10.0</data><data key="d3">50.0</data></node>
  <node id="1"><data key="d1">B</data><data key="d2">11.0</data><data key="d3">50.0</data></node>
  <edge source="0" target="1"><data key="d4">1e9</data></edge>
  <edge source="0" target="1"><data key="d4">2e9</data></edge>
 </graph>
</graphml>
"""
GRAPH = """NODES 3
label x y
0_A 10.0 50.0
1_B 11.0 50.0
2_C 10.5 51.0

EDGES 4
label src dest weight bw delay
e0 0 1 10 1000 500
e1 1 0 10 1000 500
e2 1 2 5 2000 700
e3 2 1 5 2000 700
"""
DEMANDS = """DEMANDS 2
label src dest bw
d0 0 2 300
d1 2 0 100
"""


def written(folder, name, text):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_sndlib_is_read_alike_in_both_clothes(tmp_path):
    native, xml = (read_network(written(tmp_path, name, text)) for name, text in (("a.txt", NATIVE), ("b.xml", XML)))
    for network in (native, xml):
        assert network.nodes == ("A", "B", "C")
        assert network.capacity.tolist() == [40.0, 40.0, 20.0, 20.0, 20.0, 20.0]
        assert network.cable.tolist() == [0, 0, 1, 1, 2, 2]
        assert network.demand.tolist() == [[0.0, 5.0, 7.0], [5.0, 0.0, 0.0], [7.0, 0.0, 0.0]]
        assert "bidirected" in network.convention
        assert "both directions" in network.convention
    km = 6371.0 * 2.0 * math.asin(math.cos(math.radians(50.0)) * math.sin(math.radians(0.5)))
    assert native.delay_ms[0] == pytest.approx(km * 0.005)
    one_way = read_network(written(tmp_path, "a.txt", NATIVE.replace("( A C ) 1 7.0", "( B A ) 1 7.0")), "bidirected")
    assert one_way.demand.tolist() == [[0.0, 5.0, 0.0], [7.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    assert "as listed" in one_way.convention


def test_repetita_is_read_with_its_weights_and_delays(tmp_path):
    files = {"network_file": written(tmp_path, "t.graph", GRAPH), "demands_file": written(tmp_path, "t.demands", DEMANDS)}
    instance = load_problem("traffic_engineering", capacities="given", **files).instance(0)
    assert instance.weight_today.tolist() == [10.0, 10.0, 5.0, 5.0]
    assert instance.network.delay_ms.tolist() == [0.5, 0.5, 0.7, 0.7]
    assert instance.network.cable.tolist() == [0, 0, 1, 1]
    assert instance.evaluate(instance.weight_today).F[0, 0] == pytest.approx(0.3)
    assert {name: told["name"] for name, told in instance.origin.files.items()} == {
        "network_file": "t.graph",
        "demands_file": "t.demands",
    }


def test_parallel_links_of_graphml_stay_links_of_their_own(tmp_path):
    network = read_network(written(tmp_path, "z.graphml", GRAPHML))
    assert network.capacity.tolist() == [1e9, 1e9, 2e9, 2e9]
    assert network.cable.tolist() == [0, 0, 1, 1]
    assert network.link_names == ("A_B", "B_A", "A_B_2", "B_A_2")


class Graph:
    """What is read of a networkx graph."""

    graph: ClassVar = {"name": "triangle", "demands": {"a": {"b": 2.0}}}

    def is_directed(self):
        return False

    def nodes(self, data):
        return [("a", {}), ("b", {}), (3, {"name": "c"})]

    def edges(self, data):
        return [("a", "b", {"capacity": 4}), ("b", 3, {"capacity": 4}), ("a", 3, {"capacity": 1})]


def test_networkx_graphs_are_read(tmp_path):
    network = from_networkx(Graph())
    assert network.nodes == ("a", "b", "c")
    assert network.demand[0, 1] == 2.0
    document = json.loads(json.dumps(network.document()))
    again = read_node_link(document, "again", "directed")
    for name in ("tail", "head", "cable", "capacity", "demand"):
        assert np.array_equal(getattr(network, name), getattr(again, name))
    path = written(tmp_path, "g.json", json.dumps(document))
    assert read_network(path).nodes == network.nodes


def test_a_record_can_be_made_again_without_the_file(tmp_path):
    path = tmp_path / "net.txt"
    path.write_text(NATIVE, encoding="utf-8")
    problem = load_problem("traffic_engineering", network_file=str(path), capacities="given")
    instance = problem.instance(2)
    path.unlink()
    params = json.loads(json.dumps(dict(instance.origin.params), allow_nan=False))
    rebuilt = type(problem).from_mapping({**params, "scenario": instance.origin.scenario}).instance(2)
    assert rebuilt.sha256 == instance.sha256
    assert rebuilt.evaluate(rebuilt.weight_today).F.tolist() == instance.evaluate(instance.weight_today).F.tolist()


BAD = {
    "unknown node": (NATIVE.replace("L2 ( B C )", "L2 ( B X )"), "line 13: node 'X' is not among the 3 nodes"),
    "self loop": (NATIVE.replace("L2 ( B C )", "L2 ( B B )"), "line 13: a link from node 'B' to itself"),
    "negative demand": (NATIVE.replace("1 5.0 UNL", "1 -5.0 UNL"), "line 17: demand: got '-5.0'"),
    "demand to itself": (NATIVE.replace("D1 ( A B )", "D1 ( A A )"), "line 17: a demand from node 'A' to itself"),
    "not a number": (NATIVE.replace("40.0 0.0", "forty 0.0"), "line 12: pre-installed capacity: got 'forty'"),
    "link twice": (NATIVE.replace("L2 (", "L1 ("), "line 13: link 'L1' is there twice, first at line 12"),
    "node twice": (NATIVE.replace(" B ( 11", " A ( 11"), "line 8: node 'A' is there twice"),
    "no path": (NATIVE.replace(" L2 ( B C )", "# ( B C )").replace(" L3 ( A C )", "# ( A C )"), "no path for the demand"),
    "cut short": (NATIVE[:-2], "the file ends inside section DEMANDS"),
    "short line": (NATIVE.replace(" L3 ( A C ) 0.0", " L3 ( A C )  ").replace("( 20.0 1.0 )", ""), "line 14: got"),
    "zero capacity": (GRAPH.replace("5 2000 700", "5 0 700"), "line 11: bw: got '0', expected a finite number above 0"),
    "weight out of range": (GRAPH.replace("0 1 10 1000", "0 1 70000 1000"), "line 9: weight 70000"),
    "too few rows": (GRAPH.replace("EDGES 4", "EDGES 5"), "the table EDGES is to have 5 rows"),
    "too many rows": (GRAPH.replace("EDGES 4", "EDGES 3"), "after the last table"),
    "another convention": (GRAPH.replace("NODES 3", "nodes 3"), "expected SNDlib"),
    "entities": (
        GRAPHML.replace("<graphml", "<!DOCTYPE x [<!ENTITY a 'b'>]>\n<graphml"),
        "line 2: it declares a document type",
    ),
    "broken XML": (XML.replace("</links>", ""), "no well-formed XML"),
    "another XML": ('<?xml version="1.0"?>\n<html></html>', "the first element is <html>"),
    "bad JSON": ('{"nodes": [', "is no JSON"),
    "zero capacity in XML": (GRAPHML.replace("1e9", "0"), "line 10: capacity: got '0'"),
    "empty": ("", "is empty"),
    "binary": ("\x80\x04K\x01.", "expected SNDlib"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_file_is_one_error_with_its_line(what, tmp_path):
    text, told = BAD[what]
    path = written(tmp_path, "bad.txt", text)
    with pytest.raises(OptisolveError) as error:
        load_problem("traffic_engineering", network_file=path, capacities="given").instance(0)
    assert told in str(error.value), str(error.value)
    assert "bad.txt" in str(error.value)


def test_all_faults_of_a_file_are_told_at_once_and_counted(tmp_path):
    lines = "".join(f" X{i} ( A NOWHERE ) 1.0 0.0 0.0 0.0 ( )\n" for i in range(3000))
    path = written(tmp_path, "many.txt", NATIVE.replace("LINKS (\n", f"LINKS (\n{lines}"))
    with pytest.raises(ProblemError) as error:
        read_network(path)
    assert "has 3000 bad value(s)" in str(error.value)
    assert "and 2990 more" in str(error.value)


def test_a_file_that_is_far_too_long_ends_at_its_limit(tmp_path):
    """Nodes beyond the limit stop the reading; nothing is kept of what follows."""
    path = tmp_path / "long.graph"
    with path.open("w") as stream:
        stream.write("NODES 100000\nlabel x y\n")
        stream.writelines(f"n{i} 0 0\n" for i in range(100_000))
    with pytest.raises(ProblemError, match="line 5003: more than 5000 nodes"):
        read_network(str(path))


def test_demands_in_a_file_of_another_network_are_refused(tmp_path):
    network = written(tmp_path, "t.graph", GRAPH)
    demands = written(tmp_path, "t.demands", DEMANDS.replace("d1 2 0", "d1 7 0"))
    with pytest.raises(ProblemError, match="line 4: node '7' is not among the 3 nodes"):
        load_problem("traffic_engineering", capacities="given", network_file=network, demands_file=demands).instance(0)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"network": "gabriel_25", "demands": "given"}, "set demands=gravity"),
        ({"capacities": "given"}, "set capacities=uniform"),
        ({"form": "split", "failures": "single"}, "failures"),
        ({"form": "segments", "second": "changes"}, "second"),
        ({"weight_max": 70_000}, "weight_max"),
        ({"network": "gabriel_25", "form": "segments", "n_decided": 100_000, "demands": "gravity", "network_data": None}, ""),
    ],
)
def test_settings_that_do_not_fit_are_named(settings, told):
    if not told:
        assert load_problem("traffic_engineering", **settings).instance(0).space.dim == 600
        return
    with pytest.raises((ProblemError, OptionError), match=told):
        load_problem("traffic_engineering", **settings).instance(0)


def test_unknown_networks_are_named_with_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'polska'"):
        load_problem("traffic_engineering", network="polsca").instance(0)


def test_topohub_is_asked_for_by_its_extra(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "topohub", None)
    with pytest.raises(MissingDependency, match=r"optisolve\[topologies\]"):
        load_problem("traffic_engineering", network="topohub/sndlib/polska").instance(0)


def test_seed_0_has_the_demands_of_the_file_and_others_spread_them():
    problem = load_problem("traffic_engineering/polska")
    network = named_network("polska")
    given, other = problem.instance(0).demand_matrix(), problem.instance(1).demand_matrix()
    assert np.array_equal(given, network.demand)
    assert np.array_equal(other > 0.0, network.demand > 0.0)
    assert 0.3 < np.log(other[other > 0.0] / given[given > 0.0]).std() < 0.7
    assert np.array_equal(problem.instance(0).link_capacity, problem.instance(1).link_capacity)


def test_a_solution_is_drawn_with_the_utilization_of_its_links():
    from optisolve.plotting.style import new_figure

    for scenario in ("traffic_engineering/polska", "traffic_engineering/segments"):
        instance = load_problem(scenario).instance(0)
        figure, axes = new_figure()
        (x,) = next(iter(instance.null_policies().values()))
        assert instance.draw(axes, x)
        (links, *_) = axes.collections
        assert sorted(links.get_array()) == pytest.approx(sorted(instance.link_use(x)))
        assert "busiest link" in axes.get_xlabel()
        assert links.get_array().max() == pytest.approx(instance.evaluate(x).F[0, 0])
        assert figure.axes[1].get_ylabel() == "Load over capacity"
