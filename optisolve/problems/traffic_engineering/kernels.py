"""Shortest paths with equal splitting, in numba: in full, and redone only where one weight changes.

`model` is the same as readable numpy. Both ways of getting there give the same bits: what flows into a node is summed over its
links in their order, what loads a link over the destinations in theirs, so that a value depends on the weights alone and not on
those that were evaluated before.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from optisolve.numerics.compiled import njit

__all__ = ["FAILED", "Graph", "State", "evaluate", "loads", "state_of"]

FAILED = 1 << 40
"""Weight of a link that is out of service: longer than any path."""
_FAR = FAILED - 1
"""Distance of a node that does not reach the target; no sum of a weight and a distance equals it, and none over a link that is
out of service is below it, so that no comparison asks whether a link is in service."""
_MOST_CHANGES = 4
"""Weights that may differ from those before for routing to be redone by changes; beyond that all is computed anew."""


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
        onto: float64 [E, T], load of a link by target.
        load: float64 [E].
        heap_key: int64 [E + N + 1].
        heap_node: int64 [E + N + 1].
        count: int64 [N], shortest outgoing links, while distances grow.
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
    count: npt.NDArray[np.int64]
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
        np.zeros((n_links, n_targets)),
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
def _push(key, node, size, new_key, new_node):  # type: ignore[no-untyped-def]
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
def _pop(key, node, size):  # type: ignore[no-untyped-def]
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
        distance[x] = _FAR
    key, node = s.heap_key, s.heap_node
    settled = s.moved
    n_settled = 0
    s.stamp[0] += 1
    stamp = s.stamp[0]
    distance[g.target[t]] = 0
    size = _push(key, node, 0, 0, g.target[t])
    while size > 0:
        z = node[0]
        size = _pop(key, node, size)
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
                size = _push(key, node, size, through, x)
    for e in range(g.tail.size):
        s.onto[e, t] = 0.0
    for x in range(n_nodes):
        flow[x] = 0.0
    for k in range(n_settled - 1, -1, -1):  # far nodes first: all that flows into a node is known
        z = settled[k]
        flow[z] = _inflow(g, s, t, z)
        share = _share(g, s, t, z)
        for i in range(g.out_at[z], g.out_at[z + 1]):
            e = g.out_link[i]
            if distance[z] == s.weight[e] + distance[g.head[e]]:
                s.onto[e, t] = share


@njit(cache=True)
def _inflow(g, s, t, z):  # type: ignore[no-untyped-def]
    """What passes node z towards target t: its own demand and what shortest links bring."""
    total = g.demand[t, z]
    for k in range(g.in_at[z], g.in_at[z + 1]):
        e = g.in_link[k]
        if s.distance[t, g.tail[e]] == s.weight[e] + s.distance[t, z]:
            total += s.onto[e, t]
    return total


@njit(cache=True)
def _outgoing(g, s, t, x):  # type: ignore[no-untyped-def]
    """How many shortest links towards target t leave node x."""
    count = 0
    for k in range(g.out_at[x], g.out_at[x + 1]):
        e = g.out_link[k]
        if s.distance[t, x] == s.weight[e] + s.distance[t, g.head[e]]:
            count += 1
    return count


@njit(cache=True)
def _share(g, s, t, z):  # type: ignore[no-untyped-def]
    """What every shortest link out of node z carries towards target t."""
    count = _outgoing(g, s, t, z)
    return s.flow[t, z] / count if count > 0 else 0.0


@njit(cache=True)
def _total(s, e):  # type: ignore[no-untyped-def]
    """Load of a link over all targets, always in the same order: four sums side by side, which do not wait for each other."""
    n_targets = s.onto.shape[1]
    whole = n_targets - n_targets % 4
    first, second, third, fourth = 0.0, 0.0, 0.0, 0.0
    for t in range(0, whole, 4):
        first += s.onto[e, t]
        second += s.onto[e, t + 1]
        third += s.onto[e, t + 2]
        fourth += s.onto[e, t + 3]
    for t in range(whole, n_targets):
        first += s.onto[e, t]
    return (first + second) + (third + fourth)


@njit(cache=True)
def _route_all(g, s):  # type: ignore[no-untyped-def]
    for t in range(g.target.size):
        _route(g, s, t)
    for e in range(g.tail.size):
        s.load[e] = _total(s, e)


@njit(cache=True)
def _change(g, s, link, weight):  # type: ignore[no-untyped-def]
    """Set one weight and redo what it touches: targets, nodes and links.

    Args:
        g: Graph.
        s: State, routed under its weights; changed.
        link: int, whose weight changes.
        weight: int, the new one; `FAILED` takes the link out of service.
    """
    old = s.weight[link]
    if weight == old:
        return
    u, v = g.tail[link], g.head[link]
    s.weight[link] = weight
    s.stamp[1] += 1
    n_dirty = 0
    for t in range(g.target.size):
        near, far = s.distance[t, v], s.distance[t, u]
        if weight > old:
            if far != old + near:
                continue  # it was on no shortest path
            n_moved = _grow(g, s, t, link)
        else:
            if near + weight > far:
                continue  # it is on no shortest path
            n_moved = _shrink(g, s, t, link)
        n_dirty = _reflow(g, s, t, u, v, n_moved, n_dirty)
    for k in range(n_dirty):
        s.load[s.dirty[k]] = _total(s, s.dirty[k])


@njit(cache=True)
def _grow(g, s, t, link):  # type: ignore[no-untyped-def]
    """New distances after a weight on shortest paths has grown; returns how many nodes moved, which stand in `moved`."""
    if _outgoing(g, s, t, g.tail[link]) > 0:
        return 0  # there is another shortest link
    n_moved = _cut_off(g, s, t, g.tail[link])
    _reach_again(g, s, t, n_moved)
    return n_moved


@njit(cache=True)
def _cut_off(g, s, t, u):  # type: ignore[no-untyped-def]
    """Collect in `moved` node u and the nodes all of whose shortest paths lead to it; returns how many."""
    distance, moved, count = s.distance[t], s.moved, s.count
    s.stamp[0] += 1
    inside = s.stamp[0]
    s.stamp[0] += 1
    counted = s.stamp[0]
    moved[0] = u
    s.mark[u] = inside
    n_moved, done = 1, 0
    while done < n_moved:
        z = moved[done]
        done += 1
        for k in range(g.in_at[z], g.in_at[z + 1]):
            e = g.in_link[k]
            x = g.tail[e]
            if s.mark[x] == inside or distance[x] != s.weight[e] + distance[z]:
                continue
            if s.seen[x] != counted:
                s.seen[x] = counted
                count[x] = _outgoing(g, s, t, x)
            count[x] -= 1
            if count[x] == 0:
                s.mark[x] = inside
                moved[n_moved] = x
                n_moved += 1
    return n_moved


@njit(cache=True)
def _reach_again(g, s, t, n_moved):  # type: ignore[no-untyped-def]
    """Distances of the nodes in `moved`, all of which have grown, from the nodes around them."""
    distance, moved, count, key, node = s.distance[t], s.moved, s.count, s.heap_key, s.heap_node
    inside = s.mark[moved[0]]
    for k in range(n_moved):
        x = moved[k]
        best = _FAR
        for i in range(g.out_at[x], g.out_at[x + 1]):
            e = g.out_link[i]
            z = g.head[e]
            if s.mark[z] != inside:
                best = min(best, s.weight[e] + distance[z])
        count[x] = best  # not yet a distance: who comes next must not take it for one
    size = 0
    for k in range(n_moved):
        x = moved[k]
        distance[x] = count[x]
        if distance[x] < _FAR:
            size = _push(key, node, size, distance[x], x)
    while size > 0:
        reach, z = key[0], node[0]
        size = _pop(key, node, size)
        if reach > distance[z]:
            continue
        for k in range(g.in_at[z], g.in_at[z + 1]):
            e = g.in_link[k]
            x = g.tail[e]
            if s.mark[x] == inside and reach + s.weight[e] < distance[x]:
                distance[x] = reach + s.weight[e]
                size = _push(key, node, size, distance[x], x)


@njit(cache=True)
def _shrink(g, s, t, link):  # type: ignore[no-untyped-def]
    """New distances after a weight has become small enough to matter; returns how many nodes moved."""
    distance, moved = s.distance[t], s.moved
    u = g.tail[link]
    reach = s.weight[link] + distance[g.head[link]]
    if reach == distance[u]:
        return 0  # one more shortest path, as long as the others
    s.stamp[0] += 1
    inside = s.stamp[0]
    key, node = s.heap_key, s.heap_node
    distance[u] = reach
    s.mark[u] = inside
    moved[0] = u
    n_moved = 1
    size = _push(key, node, 0, reach, u)
    while size > 0:
        reach, z = key[0], node[0]
        size = _pop(key, node, size)
        if reach > distance[z]:
            continue
        for k in range(g.in_at[z], g.in_at[z + 1]):
            e = g.in_link[k]
            x = g.tail[e]
            if reach + s.weight[e] < distance[x]:
                distance[x] = reach + s.weight[e]
                if s.mark[x] != inside:
                    s.mark[x] = inside
                    moved[n_moved] = x
                    n_moved += 1
                size = _push(key, node, size, distance[x], x)
    return n_moved


@njit(cache=True)
def _reflow(g, s, t, u, v, n_moved, n_dirty):  # type: ignore[no-untyped-def]
    """Flows towards target t after distances have changed: nodes at a changed link first, then what follows, far ones first."""
    distance, flow, key, node = s.distance[t], s.flow[t], s.heap_key, s.heap_node
    s.stamp[0] += 1
    waiting = s.stamp[0]
    s.stamp[0] += 1
    done = s.stamp[0]
    size = _wait(s, 0, -distance[u], u, waiting)
    size = _wait(s, size, -distance[v], v, waiting)
    for k in range(n_moved):
        x = s.moved[k]
        size = _wait(s, size, -distance[x], x, waiting)
        for i in range(g.in_at[x], g.in_at[x + 1]):  # who sends to x, or begins to
            e = g.in_link[i]
            z = g.tail[e]
            if s.onto[e, t] > 0.0 or distance[z] == s.weight[e] + distance[x]:
                size = _wait(s, size, -distance[z], z, waiting)
        for i in range(g.out_at[x], g.out_at[x + 1]):  # to whom x no longer sends
            e = g.out_link[i]
            z = g.head[e]
            if s.onto[e, t] > 0.0 and distance[x] != s.weight[e] + distance[z]:
                size = _wait(s, size, -distance[z], z, waiting)
    while size > 0:
        z = node[0]
        size = _pop(key, node, size)
        s.seen[z] = done
        flow[z] = _inflow(g, s, t, z)
        share = _share(g, s, t, z)
        for i in range(g.out_at[z], g.out_at[z + 1]):
            e = g.out_link[i]
            h = g.head[e]
            shortest = distance[z] == s.weight[e] + distance[h]
            carried = share if shortest else 0.0
            if carried != s.onto[e, t]:
                s.onto[e, t] = carried
                if s.dirty_mark[e] != s.stamp[1]:
                    s.dirty_mark[e] = s.stamp[1]
                    s.dirty[n_dirty] = e
                    n_dirty += 1
                if shortest and s.seen[h] != done:
                    size = _wait(s, size, -distance[h], h, waiting)
    return n_dirty


@njit(cache=True)
def _wait(s, size, key, x, waiting):  # type: ignore[no-untyped-def]
    """Put a node into the heap once; returns the heap's size."""
    if s.mark[x] == waiting:
        return size
    s.mark[x] = waiting
    return _push(s.heap_key, s.heap_node, size, key, x)


@njit(cache=True)
def _move(g, s, wanted):  # type: ignore[no-untyped-def]
    """Bring a state to other weights, by changes where it is routed already and few differ."""
    n_changes = 0
    for e in range(wanted.size):
        if s.weight[e] != wanted[e]:
            n_changes += 1
    if s.stamp[0] > 0 and n_changes <= _MOST_CHANGES:
        for e in range(wanted.size):
            if s.weight[e] != wanted[e]:
                _change(g, s, e, wanted[e])
        return
    for e in range(wanted.size):
        s.weight[e] = wanted[e]
    _route_all(g, s)


@njit(cache=True)
def loads(X, g, s, failures, worst):  # type: ignore[no-untyped-def]
    """Largest load of every link over the failures that are looked at, and no failure.

    Args:
        X: float64 [n, E], weights.
        g: Graph.
        s: State, new or as an earlier call has left it; overwritten.
        failures: int64 [L, 2], links that fail together, -1 for none; L may be 0.
        worst: float64 [n, E], written.
    """
    wanted = np.empty(X.shape[1], np.int64)
    for row in range(X.shape[0]):
        for e in range(wanted.size):
            wanted[e] = np.int64(X[row, e])
        _move(g, s, wanted)
        for e in range(wanted.size):
            worst[row, e] = s.load[e]
        for f in range(failures.shape[0]):
            _fail(g, s, failures[f], wanted, True)
            for e in range(wanted.size):
                worst[row, e] = max(worst[row, e], s.load[e])
            _fail(g, s, failures[f], wanted, False)


@njit(cache=True)
def _fail(g, s, links, wanted, fails):  # type: ignore[no-untyped-def]
    for k in range(links.size):
        if links[k] >= 0:
            _change(g, s, links[k], FAILED if fails else wanted[links[k]])


@njit(cache=True)
def evaluate(X, g, s, failures, delay_ms, today, second, F):  # type: ignore[no-untyped-def]
    """Objectives of a batch of weights; a row that differs little from what was routed before costs little.

    Args:
        X: float64 [n, E], weights.
        g: Graph.
        s: State, new or as an earlier call has left it; overwritten.
        failures: int64 [L, 2], see `loads`.
        delay_ms: float64 [E], ms.
        today: int64 [E], weights in use.
        second: int, 0 for one objective, 1 mean delay, 2 number of changed weights.
        F: float64 [n, m], written.
    """
    wanted = np.empty(X.shape[1], np.int64)
    offered = g.demand.sum()
    for row in range(X.shape[0]):
        for e in range(wanted.size):
            wanted[e] = np.int64(X[row, e])
        _move(g, s, wanted)
        largest = 0.0
        for e in range(wanted.size):
            largest = max(largest, s.load[e] / g.capacity[e])
        if second == 1:
            carried = 0.0
            for e in range(wanted.size):
                carried += s.load[e] * delay_ms[e]
            F[row, 1] = carried / offered
        elif second == 2:
            changed = 0
            for e in range(wanted.size):
                changed += wanted[e] != today[e]
            F[row, 1] = changed
        for f in range(failures.shape[0]):
            _fail(g, s, failures[f], wanted, True)
            for e in range(wanted.size):
                largest = max(largest, s.load[e] / g.capacity[e])
            _fail(g, s, failures[f], wanted, False)
        F[row, 0] = largest
