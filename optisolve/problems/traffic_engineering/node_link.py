"""Networks as node-link data: what networkx, topohub and our own records write."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from optisolve.core.documents import Json
from optisolve.core.errors import short
from optisolve.problems.traffic_engineering.network import MS_PER_KM, Builder, Links, Network

__all__ = ["read_node_link"]


def read_node_link(data: Mapping[str, Json], title: str, links: Links) -> Network:
    """A network from node-link data, as `networkx.node_link_data`, topohub and `Network.document` make them.

    Args:
        data: ``nodes`` with ``id``, perhaps ``name`` and ``pos``; ``edges`` (or ``links``) with ``source`` and ``target``,
            perhaps ``capacity``, ``weight``, ``delay_ms``, ``dist`` (km) and ``cable``; ``graph`` perhaps with ``demands``.
        title: What it is called in errors.
        links: How an undirected graph's links are meant.

    Raises:
        ProblemError: Everything that is wrong with it.
    """
    build = Builder(title, links)
    nodes, graph = data.get("nodes"), data.get("graph") or {}
    edges = data.get("edges", data.get("links"))
    if not isinstance(nodes, Sequence) or not isinstance(edges, Sequence) or not isinstance(graph, Mapping):
        raise build.stop("the whole file", "expected node-link data with lists 'nodes' and 'edges'")
    build.name = str(graph.get("name", ""))
    build.source = str(graph.get("source", ""))
    directed = bool(data.get("directed", False))
    build.convention = str(graph.get("convention", "")) or (
        "Links have the direction that they are given with." if directed else f"Links are {links}."
    )
    build.listed_once = not directed
    for i, node in enumerate(nodes):
        if not isinstance(node, Mapping) or "id" not in node:
            build.fault(f"nodes[{i}]", f"got {short(node)!r}, expected a node with an 'id'")
            continue
        build.node(f"nodes[{i}]", str(node["id"]), str(node.get("name") or ""), _place(build, f"nodes[{i}]", node.get("pos")))
    for i, edge in enumerate(edges):
        where = f"edges[{i}]"
        if not isinstance(edge, Mapping):
            build.fault(where, f"got {short(edge)!r}, expected a link with 'source' and 'target'")
            continue
        _node_link_edge(build, where, edge, directed)
    demands = graph.get("demands") or {}
    if not isinstance(demands, Mapping):
        raise build.stop("demands", f"got {short(demands)!r}, expected volumes by source and target")
    for u, row in demands.items():
        for v, volume in row.items() if isinstance(row, Mapping) else ():
            where = f"demands[{u}][{v}]"
            build.demand(where, u, v, build.number(where, "volume", volume))
    return build.network()


def _node_link_edge(build: Builder, where: str, edge: Mapping[str, Json], directed: bool) -> None:
    told = {}
    for key in ("capacity", "weight", "delay_ms", "dist"):
        told[key] = math.nan if edge.get(key) is None else build.number(where, key, edge[key], positive=key == "capacity")
    delay = told["dist"] * MS_PER_KM if math.isnan(told["delay_ms"]) else told["delay_ms"]
    cable = edge.get("cable")
    if cable is not None and not (isinstance(cable, int) and cable >= 0):
        build.fault(where, f"cable: got {short(cable)!r}, expected a whole number of at least 0")
        cable = None
    build.link(
        where,
        edge.get("source"),
        edge.get("target"),
        capacity=told["capacity"],
        weight=told["weight"],
        delay_ms=delay,
        both=False if directed else None,
        cable=cable,
    )


def _place(build: Builder, where: str, pos: Json) -> tuple[float, float]:
    if pos is None:
        return math.nan, math.nan
    if (
        isinstance(pos, Sequence)
        and not isinstance(pos, str)
        and len(pos) == 2
        and all(isinstance(c, int | float) for c in pos)
    ):
        return float(pos[0]), float(pos[1])  # type: ignore[arg-type]
    build.fault(where, f"pos: got {short(pos)!r}, expected two numbers, longitude and latitude")
    return math.nan, math.nan
