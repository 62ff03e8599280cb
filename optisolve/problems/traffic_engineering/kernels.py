"""Objectives of routing weights, in numba: all is redone, or only what a few changed weights touch.

Both give the same bits, see `routing`; `model` is the same as readable numpy.
"""

from __future__ import annotations

import numpy as np

from optisolve.numerics.compiled import njit
from optisolve.problems.traffic_engineering.routing import (
    FAILED,
    FAR,
    inflow,
    outgoing,
    pop,
    push,
    route_all,
    share_of,
    total_load,
)

__all__ = ["evaluate", "loads"]

_MOST_CHANGES = 4
"""Weights that may differ from those before for routing to be redone by changes; beyond that all is computed anew."""


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
        s.load[s.dirty[k]] = total_load(s, s.dirty[k])


@njit(cache=True)
def _grow(g, s, t, link):  # type: ignore[no-untyped-def]
    """New distances after a weight on shortest paths has grown; returns how many nodes moved, which stand in `moved`."""
    if outgoing(g, s, t, g.tail[link]) > 0:
        return 0  # there is another shortest link
    n_moved = _cut_off(g, s, t, g.tail[link])
    _reach_again(g, s, t, n_moved)
    return n_moved


@njit(cache=True)
def _cut_off(g, s, t, u):  # type: ignore[no-untyped-def]
    """Collect in `moved` node u and the nodes all of whose shortest paths lead to it; returns how many."""
    distance, moved, pending = s.distance[t], s.moved, s.pending
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
                pending[x] = outgoing(g, s, t, x)
            pending[x] -= 1
            if pending[x] == 0:
                s.mark[x] = inside
                moved[n_moved] = x
                n_moved += 1
    return n_moved


@njit(cache=True)
def _reach_again(g, s, t, n_moved):  # type: ignore[no-untyped-def]
    """Distances of the nodes in `moved`, all of which have grown, from the nodes around them."""
    distance, moved, pending, key, node = s.distance[t], s.moved, s.pending, s.heap_key, s.heap_node
    inside = s.mark[moved[0]]
    for k in range(n_moved):
        x = moved[k]
        best = FAR
        for i in range(g.out_at[x], g.out_at[x + 1]):
            e = g.out_link[i]
            z = g.head[e]
            if s.mark[z] != inside:
                best = min(best, s.weight[e] + distance[z])
        pending[x] = best  # not yet a distance: who comes next must not take it for one
    size = 0
    for k in range(n_moved):
        x = moved[k]
        distance[x] = pending[x]
        if distance[x] < FAR:
            size = push(key, node, size, distance[x], x)
    while size > 0:
        reach, z = key[0], node[0]
        size = pop(key, node, size)
        if reach > distance[z]:
            continue
        for k in range(g.in_at[z], g.in_at[z + 1]):
            e = g.in_link[k]
            x = g.tail[e]
            if s.mark[x] == inside and reach + s.weight[e] < distance[x]:
                distance[x] = reach + s.weight[e]
                size = push(key, node, size, distance[x], x)


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
    size = push(key, node, 0, reach, u)
    while size > 0:
        reach, z = key[0], node[0]
        size = pop(key, node, size)
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
                size = push(key, node, size, distance[x], x)
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
            if s.onto[t, e] > 0.0 or distance[z] == s.weight[e] + distance[x]:
                size = _wait(s, size, -distance[z], z, waiting)
        for i in range(g.out_at[x], g.out_at[x + 1]):  # to whom x no longer sends
            e = g.out_link[i]
            z = g.head[e]
            if s.onto[t, e] > 0.0 and distance[x] != s.weight[e] + distance[z]:
                size = _wait(s, size, -distance[z], z, waiting)
    while size > 0:
        z = node[0]
        size = pop(key, node, size)
        s.seen[z] = done
        flow[z] = inflow(g, s, t, z)
        share = share_of(g, s, t, z)
        for i in range(g.out_at[z], g.out_at[z + 1]):
            e = g.out_link[i]
            h = g.head[e]
            shortest = distance[z] == s.weight[e] + distance[h]
            carried = share if shortest else 0.0
            if carried != s.onto[t, e]:
                s.onto[t, e] = carried
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
    return push(s.heap_key, s.heap_node, size, key, x)


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
    route_all(g, s)


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
