"""Shortest paths with equal splitting, in numba: what is known of a network, and routing over it from nothing.

`model` is the same as readable numpy. What flows into a node is summed over its links in their order, what loads a link over
the targets in theirs, so that a value depends on the weights alone, whether `kernels` has reached it by changes or anew.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from optisolve.numerics.compiled import njit

__all__ = [
    "FAILED",
    "FAR",
    "Graph",
    "State",
    "inflow",
    "outgoing",
    "pop",
    "push",
    "route_all",
    "share_of",
    "state_of",
    "total_load",
]

FAILED = 1 << 40
"""Weight of a link that is out of service: longer than any path."""
FAR = FAILED - 1
"""Distance of a node that does not reach the target; no sum of a weight and a distance equals it, and none over a link that is
out of service is below it, so that no comparison asks whether a link is in service."""


class Graph(NamedTuple):
    """What does not change: links by their ends, by node, and demands by destination.

    Attributes:
        tail: int64 [E].
        head: int64 [E].
        out_at: int64 [N + 1], where a node's outgoing links begin in `out_link`.
        out_link: int64 [E].
        in_at: int64 [N + 1].
        in_link: int64 [E], in ascending order for every node.
        target: int64 [T], nodes that receive anything.
        demand: float64 [T, N], from every node to a target.
        capacity: float64 [E].
    """

    tail: npt.NDArray[np.int64]
    head: npt.NDArray[np.int64]
    out_at: npt.NDArray[np.int64]
    out_link: npt.NDArray[np.int64]
    in_at: npt.NDArray[np.int64]
    in_link: npt.NDArray[np.int64]
    target: npt.NDArray[np.int64]
    demand: npt.NDArray[np.float64]
    capacity: npt.NDArray[np.float64]


class State(NamedTuple):
    """Routing under one set of weights, and room to change it.

    Attributes:
        weight: int64 [E].
        distance: int64 [T, N], to every target.
        flow: float64 [T, N], through a node towards a target.
        onto: float64 [T, E], load of a link by target.
        load: float64 [E].
        heap_key: int64 [E + N + 1].
        heap_node: int64 [E + N + 1].
        pending: int64 [N], shortest outgoing links that are left, while distances grow.
        mark: int64 [N], stamps of nodes.
        seen: int64 [N], stamps of nodes.
        moved: int64 [N], nodes whose distance changed.
        dirty: int64 [E], links whose load changed.
        dirty_mark: int64 [E], stamps of links.
        stamp: int64 [2], the last stamps given.
    """

    weight: npt.NDArray[np.int64]
    distance: npt.NDArray[np.int64]
    flow: npt.NDArray[np.float64]
    onto: npt.NDArray[np.float64]
    load: npt.NDArray[np.float64]
    heap_key: npt.NDArray[np.int64]
    heap_node: npt.NDArray[np.int64]
    pending: npt.NDArray[np.int64]
    mark: npt.NDArray[np.int64]
    seen: npt.NDArray[np.int64]
    moved: npt.NDArray[np.int64]
    dirty: npt.NDArray[np.int64]
    dirty_mark: npt.NDArray[np.int64]
    stamp: npt.NDArray[np.int64]


def state_of(graph: Graph) -> State:
    """Room for the routing on a graph; nothing in it is set."""
    n_links, n_targets, n_nodes = graph.tail.size, graph.target.size, graph.out_at.size - 1
    whole = np.int64
    return State(
        np.zeros(n_links, whole),
        np.zeros((n_targets, n_nodes), whole),
        np.zeros((n_targets, n_nodes)),
        np.zeros((n_targets, n_links)),
        np.zeros(n_links),
        np.zeros(n_links + n_nodes + 1, whole),
        np.zeros(n_links + n_nodes + 1, whole),
        np.zeros(n_nodes, whole),
        np.zeros(n_nodes, whole),
        np.zeros(n_nodes, whole),
        np.zeros(n_nodes, whole),
        np.zeros(n_links, whole),
        np.zeros(n_links, whole),
        np.zeros(2, whole),
    )


@njit(cache=True)
def push(key, node, size, new_key, new_node):  # type: ignore[no-untyped-def]
    """Put an entry into a heap with the smallest key on top; returns its new size."""
    i = size
    while i > 0:
        above = (i - 1) >> 1
        if key[above] <= new_key:
            break
        key[i] = key[above]
        node[i] = node[above]
        i = above
    key[i] = new_key
    node[i] = new_node
    return size + 1


@njit(cache=True)
def pop(key, node, size):  # type: ignore[no-untyped-def]
    """Take the top off a heap, whose entry the caller has read; returns its new size."""
    size -= 1
    last_key, last_node = key[size], node[size]
    i = 0
    while True:
        below = 2 * i + 1
        if below >= size:
            break
        if below + 1 < size and key[below + 1] < key[below]:
            below += 1
        if key[below] >= last_key:
            break
        key[i] = key[below]
        node[i] = node[below]
        i = below
    key[i] = last_key
    node[i] = last_node
    return size


@njit(cache=True)
def _route(g, s, t):  # type: ignore[no-untyped-def]
    """Shortest distances to target number t and the flows towards it, all anew."""
    distance, flow = s.distance[t], s.flow[t]
    n_nodes = distance.size
    for x in range(n_nodes):
        distance[x] = FAR
    key, node = s.heap_key, s.heap_node
    settled = s.moved
    n_settled = 0
    s.stamp[0] += 1
    stamp = s.stamp[0]
    distance[g.target[t]] = 0
    size = push(key, node, 0, 0, g.target[t])
    while size > 0:
        z = node[0]
        size = pop(key, node, size)
        if s.mark[z] == stamp:
            continue
        s.mark[z] = stamp
        settled[n_settled] = z
        n_settled += 1
        for k in range(g.in_at[z], g.in_at[z + 1]):
            e = g.in_link[k]
            through = distance[z] + s.weight[e]
            x = g.tail[e]
            if through < distance[x]:
                distance[x] = through
                size = push(key, node, size, through, x)
    for e in range(g.tail.size):
        s.onto[t, e] = 0.0
    for x in range(n_nodes):
        flow[x] = 0.0
    for k in range(n_settled - 1, -1, -1):  # far nodes first: all that flows into a node is known
        z = settled[k]
        flow[z] = inflow(g, s, t, z)
        share = share_of(g, s, t, z)
        for i in range(g.out_at[z], g.out_at[z + 1]):
            e = g.out_link[i]
            if distance[z] == s.weight[e] + distance[g.head[e]]:
                s.onto[t, e] = share


@njit(cache=True)
def inflow(g, s, t, z):  # type: ignore[no-untyped-def]
    """What passes node z towards target t: its own demand and what shortest links bring."""
    total = g.demand[t, z]
    for k in range(g.in_at[z], g.in_at[z + 1]):
        e = g.in_link[k]
        if s.distance[t, g.tail[e]] == s.weight[e] + s.distance[t, z]:
            total += s.onto[t, e]
    return total


@njit(cache=True)
def outgoing(g, s, t, x):  # type: ignore[no-untyped-def]
    """How many shortest links towards target t leave node x."""
    count = 0
    for k in range(g.out_at[x], g.out_at[x + 1]):
        e = g.out_link[k]
        if s.distance[t, x] == s.weight[e] + s.distance[t, g.head[e]]:
            count += 1
    return count


@njit(cache=True)
def share_of(g, s, t, z):  # type: ignore[no-untyped-def]
    """What every shortest link out of node z carries towards target t."""
    count = outgoing(g, s, t, z)
    return s.flow[t, z] / count if count > 0 else 0.0


@njit(cache=True)
def total_load(s, e):  # type: ignore[no-untyped-def]
    """Load of a link over all targets, always in the same order: four sums side by side, which do not wait for each other."""
    n_targets = s.onto.shape[0]
    whole = n_targets - n_targets % 4
    first, second, third, fourth = 0.0, 0.0, 0.0, 0.0
    for t in range(0, whole, 4):
        first += s.onto[t, e]
        second += s.onto[t + 1, e]
        third += s.onto[t + 2, e]
        fourth += s.onto[t + 3, e]
    for t in range(whole, n_targets):
        first += s.onto[t, e]
    return (first + second) + (third + fourth)


@njit(cache=True)
def route_all(g, s):  # type: ignore[no-untyped-def]
    """Distances, flows and loads, all anew under the weights of the state."""
    for t in range(g.target.size):
        _route(g, s, t)
    for e in range(g.tail.size):
        s.load[e] = total_load(s, e)
