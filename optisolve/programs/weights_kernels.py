"""Hot loops of the skeleton for routing weights: routing in detail, and moves with what they do to first order."""

from __future__ import annotations

import numpy as np

from optisolve.numerics.compiled import njit

__all__ = ["MOVES_PER_LINK", "N_TOLD", "moves", "routed"]

_NEXT = 3
"""Moves of one link in each direction, those next to its weight."""
MOVES_PER_LINK = 2 * _NEXT
N_TOLD = 9
"""Features of a move that follow from where the search stands."""

_kernel = njit(cache=True, nogil=True, error_model="numpy")


@_kernel
def routed(tail, head, out_at, out_link, capacity, demand, weight, use, busy, distance, flow, onto, passing, full, narrow):  # type: ignore[no-untyped-def]
    """Where traffic goes under some weights, by target.

    Args:
        tail: int64 [E].
        head: int64 [E].
        out_at: int64 [N + 1], where a node's outgoing links begin in `out_link`.
        out_link: int64 [E].
        capacity: float64 [E].
        demand: float64 [N, N], from row to column.
        weight: float64 [E], whole, from 1.
        use: float64 [E], utilizations.
        busy: int, the busiest link.
        distance: float64 [N, N], written: to target t from node n at [t, n].
        flow: float64 [N, N], written: through node n towards target t at [t, n].
        onto: float64 [N, E], written: load of a link towards target t, in the unit of the demands.
        passing: float64 [N, N], written: share of what goes from n to t that passes the busiest link.
        full: float64 [N, N], written: utilization of the fullest link between n and t.
        narrow: float64 [N, N], written: capacity of the smallest link between n and t.
    """
    n_nodes = demand.shape[0]
    order, done = np.empty(n_nodes, np.int64), np.empty(n_nodes, np.bool_)
    for t in range(n_nodes):
        reached = _distances(tail, head, weight, t, distance[t], order, done)
        for n in range(n_nodes):
            flow[t, n] = demand[n, t]
        onto[t, :] = 0.0
        for k in range(reached):  # near ones first
            n = order[k]
            ways, share, most, least = 0, 0.0, 0.0, np.inf
            for i in range(out_at[n], out_at[n + 1]):
                e = out_link[i]
                if n != t and distance[t, n] == weight[e] + distance[t, head[e]]:
                    ways += 1
                    share += 1.0 if e == busy else passing[t, head[e]]
                    most = max(most, use[e], full[t, head[e]])
                    least = min(least, capacity[e], narrow[t, head[e]])
            passing[t, n], full[t, n], narrow[t, n] = share / max(ways, 1), most, least
        for k in range(reached - 1, 0, -1):  # far ones first; the target keeps what it gets
            n, ways = order[k], 0
            for i in range(out_at[n], out_at[n + 1]):
                e = out_link[i]
                ways += distance[t, n] == weight[e] + distance[t, head[e]]
            for i in range(out_at[n], out_at[n + 1]):
                e = out_link[i]
                if distance[t, n] == weight[e] + distance[t, head[e]]:
                    onto[t, e] = flow[t, n] / ways
                    flow[t, head[e]] += onto[t, e]


@_kernel
def _distances(tail, head, weight, t, distance, order, done):  # type: ignore[no-untyped-def]
    """Distances to node t and the nodes in their order, near ones first; returns how many reach it."""
    n_nodes = distance.size
    distance[:] = np.inf
    done[:] = False
    distance[t] = 0.0
    # Bellman and Ford: networks are small and shortest paths have few links
    changed = True
    while changed:
        changed = False
        for e in range(tail.size):
            reach = weight[e] + distance[head[e]]
            if reach < distance[tail[e]]:
                distance[tail[e]], changed = reach, True
    reached = 0
    for _ in range(n_nodes):
        nearest = -1
        for n in range(n_nodes):
            if not done[n] and distance[n] < np.inf and (nearest < 0 or distance[n] < distance[nearest]):
                nearest = n
        if nearest < 0:
            break
        done[nearest] = True
        order[reached] = nearest
        reached += 1
    return reached


@_kernel
def _others(link, t, head, out_at, out_link, node, capacity, weight, use, busy, distance, passing, full, narrow):  # type: ignore[no-untyped-def]
    """The shortest ways from a node to a target that do not begin with a link.

    Returns:
        Their length, how many there are, the share that passes the busiest link, the fullest link's utilization, the least
        capacity on them.
    """
    least, ways, share, most, slim = np.inf, 0, 0.0, 0.0, np.inf
    for i in range(out_at[node], out_at[node + 1]):
        e = out_link[i]
        if e == link:
            continue
        reach = weight[e] + distance[t, head[e]]
        if reach < least:
            least, ways, share, most, slim = reach, 0, 0.0, 0.0, np.inf
        if reach == least and reach < np.inf:
            ways += 1
            share += 1.0 if e == busy else passing[t, head[e]]
            most = max(most, use[e], full[t, head[e]])
            slim = min(slim, capacity[e], narrow[t, head[e]])
    return least, ways, share / max(ways, 1), most, slim


@_kernel
def _next_values(ties, n, now, top, values):  # type: ignore[no-untyped-def]
    """Weights next to the one in use under which a link carries something else: each tie, and one weight beyond it.

    Args:
        ties: float64 [n], ascending, all different.
        n: Their number.
        now: The weight in use.
        top: Largest weight.
        values: float64 [2 _NEXT], written.

    Returns:
        Number of values.
    """
    found = 0
    for k in range(n):
        for value in (ties[k], ties[k] + 1.0):
            fresh = value == ties[k] or k + 1 == n or ties[k + 1] > value
            if fresh and now < value <= top and found < _NEXT:
                values[found] = value
                found += 1
    most = found + _NEXT
    for k in range(n - 1, -1, -1):
        for value in (ties[k], ties[k] - 1.0):
            fresh = value == ties[k] or k == 0 or ties[k - 1] < value
            if fresh and now > value >= 1.0 and found < most:
                values[found] = value
                found += 1
    return found


@_kernel
def moves(  # type: ignore[no-untyped-def]
    tail,
    head,
    out_at,
    out_link,
    capacity,
    weight,
    use,
    busy,
    top,
    distance,
    flow,
    onto,
    passing,
    full,
    narrow,
    link,
    value,
    told,
):
    """All moves from where the search stands; `weights.Weights` says what is told of them.

    Args:
        tail: As for `routed`, and so are those that are not listed here.
        top: Largest weight.
        link: int64 [M], written.
        value: float64 [M], written: new weights.
        told: float64 [9, M], written: features that follow from where the search stands.

    Returns:
        Number of moves.
    """
    n_nodes, found = flow.shape[0], 0
    least, share, most, slim = np.empty(n_nodes), np.empty(n_nodes), np.empty(n_nodes), np.empty(n_nodes)
    ways, ties, values = np.empty(n_nodes, np.int64), np.empty(n_nodes), np.empty(2 * _NEXT)
    mean_weight, largest, widest = weight.mean(), use[busy], capacity.max()
    for e in range(tail.size):
        u, v, n_ties = tail[e], head[e], 0
        for t in range(n_nodes):
            least[t] = np.inf
            if t == u or flow[t, u] <= 0.0 or distance[t, v] == np.inf:
                continue
            least[t], ways[t], share[t], most[t], slim[t] = _others(
                e, t, head, out_at, out_link, u, capacity, weight, use, busy, distance, passing, full, narrow
            )
            least[t] -= distance[t, v]  # the weight at which the link ties
            if least[t] < np.inf:
                ties[n_ties] = least[t]
                n_ties += 1
        kept = 0
        ordered = np.sort(ties[:n_ties])
        for k in range(n_ties):
            if kept == 0 or ordered[k] > ordered[kept - 1]:
                ordered[kept] = ordered[k]
                kept += 1
        for m in range(_next_values(ordered, kept, weight[e], top, values)):
            shift, moved, relief, fullest, then = 0.0, 0.0, 0.0, 0.0, 0.0
            for t in range(n_nodes):
                if least[t] == np.inf:
                    continue
                after = flow[t, u] * (1.0 if values[m] < least[t] else 1.0 / (ways[t] + 1) if values[m] == least[t] else 0.0)
                change = after - onto[t, e]
                if change == 0.0:
                    continue
                own = 1.0 if e == busy else passing[t, v]
                shift += change
                moved += abs(change)
                relief += change * (share[t] - own)
                fullest = max(fullest, max(use[e], full[t, v]) if change > 0.0 else most[t])
                if change > 0.0:
                    then = max(then, full[t, v] + change / narrow[t, v])
                else:
                    then = max(then, most[t] - change / (ways[t] * slim[t]))
            link[found], value[found] = e, values[m]
            told[0, found] = use[e] / largest
            told[1, found] = capacity[e] / widest
            told[2, found] = weight[e] / mean_weight
            told[3, found] = (values[m] - weight[e]) / mean_weight
            told[4, found] = shift / (capacity[e] * largest)
            told[5, found] = moved / (capacity[busy] * largest)
            told[6, found] = relief / (capacity[busy] * largest)
            told[7, found] = fullest / largest
            told[8, found] = max(then, use[e] + shift / capacity[e]) / largest
            found += 1
    return found
