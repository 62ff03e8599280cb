"""Parts of a network that route on their own: its blocks, between which all traffic passes one node.

A shortest path enters and leaves a block (a largest part that no single node cuts in two) at nodes that its ends alone decide.
So weights of one block decide nothing in another, and a block carries what hangs on its nodes as if it were sent by them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optisolve.core.arrays import IntArray
from optisolve.modelling.network_flow import Traffic

__all__ = ["Block", "blocks"]


@dataclass(frozen=True, eq=False, slots=True)
class Block:
    """Links between whose weights there is something to decide.

    Attributes:
        links: int64 [B], of the network.
        traffic: These links in this order, their nodes numbered anew, and the demands of what hangs on each node.
    """

    links: IntArray
    traffic: Traffic


def blocks(traffic: Traffic) -> tuple[Block, ...]:
    """The blocks of a network in which there is more than one way; single lines between two nodes are none.

    Args:
        traffic: Links and demands.
    """
    found = []
    for nodes in _components(traffic.tail, traffic.head, len(traffic.demand)):
        inside = np.isin(traffic.tail, nodes) & np.isin(traffic.head, nodes)
        links = np.flatnonzero(inside)
        ways = np.stack([traffic.tail[links], traffic.head[links]], axis=1)
        if nodes.size == 2 and len(np.unique(ways, axis=0)) == links.size:
            continue
        found.append(Block(links, _inside(traffic, nodes, links)))
    return tuple(found)


def _inside(traffic: Traffic, nodes: IntArray, links: IntArray) -> Traffic:
    """A block's links and demands, its nodes numbered in their order."""
    import scipy.sparse as sp
    from scipy.sparse.csgraph import connected_components

    n = len(traffic.demand)
    outside = np.setdiff1d(np.arange(traffic.tail.size), links)
    rest = sp.csr_array((np.ones(outside.size), (traffic.tail[outside], traffic.head[outside])), shape=(n, n))
    hangs = connected_components(rest, directed=False)[1]  # every part holds one of the nodes, or none
    member = (hangs[:, None] == hangs[nodes]).astype(float)  # [N, nodes]
    demand = member.T @ traffic.demand @ member
    np.fill_diagonal(demand, 0.0)
    tail, head = (np.searchsorted(nodes, end[links]).astype(np.int64) for end in (traffic.tail, traffic.head))
    return Traffic(tail, head, traffic.capacity[links], demand)


def _components(tail: IntArray, head: IntArray, n_nodes: int) -> list[IntArray]:
    """Nodes of every biconnected component, directions left aside, each int64 [K] in ascending order.

    Source: Hopcroft and Tarjan 1973, doi 10.1145/362248.362272.
    """
    near: list[list[int]] = [sorted({*head[tail == v].tolist(), *tail[head == v].tolist()}) for v in range(n_nodes)]
    depth, low = [-1] * n_nodes, [0] * n_nodes
    found: list[IntArray] = []
    for root in range(n_nodes):
        if depth[root] >= 0:
            continue
        depth[root] = low[root] = 0
        visited, path = [root], [(root, -1, iter(near[root]))]
        while path:
            node, parent, left = path[-1]
            for other in left:
                if depth[other] < 0:
                    depth[other] = low[other] = depth[node] + 1
                    visited.append(other)
                    path.append((other, node, iter(near[other])))
                    break
                if other != parent:
                    low[node] = min(low[node], depth[other])
            else:
                path.pop()
                if parent < 0:
                    continue
                low[parent] = min(low[parent], low[node])
                if low[node] >= depth[parent]:  # nothing below reaches above the parent
                    cut = visited.index(node)
                    found.append(np.array(sorted([parent, *visited[cut:]]), dtype=np.int64))
                    del visited[cut:]
    return found
