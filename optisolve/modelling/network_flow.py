"""The least possible utilization of the busiest link when traffic may be split at will: a linear program and what it proves.

The bound does not rest on the program that found it. Any prices of links, none negative, prove one by themselves: what the
demands cost at least under these prices, every demand on its cheapest path, over what all capacities cost (linear programming
duality; Shahrokhi and Matula 1990, doi 10.1145/77600.77620). It is worked out from the prices by shortest paths alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from optisolve.core.arrays import FloatArray, IntArray
from optisolve.core.clock import time_is_up
from optisolve.modelling.highs import HighsModel, row_prices

if TYPE_CHECKING:
    import scipy.sparse as sp

__all__ = ["Traffic", "best_prices", "distances", "marginal_costs", "node_bound", "price_bound"]

_LARGEST_PROGRAM = 120_000
"""Variables up to which the linear program is solved; beyond that, prices are improved step by step."""
_STEPS = 400
_SLOPES = ((0.0, 1.0), (1.0 / 3.0, 3.0), (2.0 / 3.0, 10.0), (0.9, 70.0), (1.0, 500.0))
"""Utilizations, relative to the least possible of the busiest link, from which a link's cost grows by these slopes."""
_GUARD = 1e-12
"""Relative error of sums and paths, taken off every bound."""


@dataclass(frozen=True, eq=False, slots=True)
class Traffic:
    """Directed links and what is to be carried over them.

    Attributes:
        tail: int64 [E].
        head: int64 [E].
        capacity: float64 [E], above 0.
        demand: float64 [N, N], from row to column, in the unit of the capacities.
    """

    tail: IntArray
    head: IntArray
    capacity: FloatArray
    demand: FloatArray

    def without(self, links: IntArray) -> Traffic:
        """The same without some links."""
        kept = np.setdiff1d(np.arange(self.tail.size), links)
        return Traffic(self.tail[kept], self.head[kept], self.capacity[kept], self.demand)


def price_bound(traffic: Traffic, price: FloatArray) -> float:
    """What prices prove: no routing has a busiest link below this utilization.

    Args:
        traffic: Links and demands.
        price: float64 [E], none negative, not all 0.
    """
    sources = np.flatnonzero(traffic.demand.any(axis=1))
    reach = distances(traffic, price, sources)
    wanted = traffic.demand[sources] > 0.0
    paid = float((traffic.demand[sources][wanted] * reach[wanted]).sum())
    return paid / float(price @ traffic.capacity) * (1.0 - _GUARD)


def node_bound(traffic: Traffic) -> float:
    """What single nodes prove: all that one sends or receives goes over its own links, in proportion at best."""
    n = len(traffic.demand)
    bounds = [0.0]
    for moved, end in ((traffic.demand.sum(axis=1), traffic.tail), (traffic.demand.sum(axis=0), traffic.head)):
        room = np.bincount(end, traffic.capacity, minlength=n)
        bounds.append(float((moved[moved > 0.0] / room[moved > 0.0]).max(initial=0.0)))
    return max(bounds) * (1.0 - _GUARD)


def distances(traffic: Traffic, price: FloatArray, sources: IntArray) -> FloatArray:
    """Costs of cheapest paths, float64 [S, N].

    Args:
        traffic: Links.
        price: float64 [E], none negative; of parallel links the cheapest counts.
        sources: int64 [S], nodes.
    """
    import scipy.sparse as sp
    from scipy.sparse.csgraph import dijkstra

    n = traffic.demand.shape[0]
    order = np.lexsort((price, traffic.head, traffic.tail))
    pairs = traffic.tail[order] * n + traffic.head[order]
    first = order[np.unique(pairs, return_index=True)[1]]  # the cheapest of parallel links
    least = np.maximum(price[first], 1e-300)  # a stored 0 would be no link
    graph = sp.csr_array((least, (traffic.tail[first], traffic.head[first])), shape=(n, n))
    return np.asarray(dijkstra(graph, indices=sources))


def best_prices(traffic: Traffic) -> FloatArray:
    """Prices whose bound is the optimum of the multi-commodity flow, or near it where that program is too large.

    Args:
        traffic: Links and demands, each with a path.

    Returns:
        float64 [E], relative to the dearest.
    """
    targets = np.flatnonzero(traffic.demand.any(axis=0))
    found = None
    if targets.size * traffic.tail.size <= _LARGEST_PROGRAM:
        form = _program(traffic, targets)
        prices = row_prices(form)
        # a row is relative to its capacity, a price is per unit of load
        found = None if prices is None else np.maximum(-prices[-traffic.tail.size :], 0.0) / traffic.capacity
    if found is None or not found.any():
        found = _climbed(traffic)
    return np.asarray(found / found.max())


def marginal_costs(traffic: Traffic, level: float) -> FloatArray | None:
    """What more load on a link costs where all links together cost least, and the fuller a link, the steeper its cost.

    The flow of least cost takes shortest paths by these numbers alone, so that weights in proportion route much of it likewise.

    Source: Fortz and Thorup 2000, doi 10.1109/INFCOM.2000.832225, whose slopes up to 500 stand here at utilizations relative to
    `level`; duals as weights: Wang, Wang and Zhang 2001, doi 10.1109/INFCOM.2001.916782.

    Args:
        traffic: Links and demands, each with a path.
        level: The least possible utilization of the busiest link, above 0.

    Returns:
        float64 [E], above 0, relative to the least; None where the program is too large.
    """
    targets = np.flatnonzero(traffic.demand.any(axis=0))
    if targets.size * traffic.tail.size > _LARGEST_PROGRAM:
        return None
    flows = _flows(traffic, targets)
    prices = row_prices(_costly(flows, flows.unit / level))
    if prices is None:
        return None
    chosen = np.maximum(-prices[flows.supply.size :].reshape(len(_SLOPES), -1), 0.0)
    costs = np.array([slope for _, slope in _SLOPES]) @ chosen / traffic.capacity
    return np.asarray(costs / costs.min()) if (costs > 0.0).all() else None


def _costly(flows: _Flows, unit: float) -> HighsModel:
    """Flows and a cost of each link, no less than any of the lines that bound it from below.

    Args:
        flows: Flows by target.
        unit: Utilization, relative to the level of the costs, per unit of `loads`.
    """
    import scipy.sparse as sp

    n_links, n_flows, n_rows = flows.loads.shape[0], flows.upper.size, flows.supply.size
    costs = sp.csr_array(-sp.eye_array(n_links))
    rows, limits = [sp.hstack([flows.conserved, sp.csr_array((n_rows, n_links))])], [flows.supply]
    before, below = 0.0, 0.0  # slope and, negative, what its line is at 0
    for start, slope in _SLOPES:
        below += (slope - before) * start
        before = slope
        rows.append(sp.hstack([flows.loads * (slope * unit), costs]))
        limits.append(np.full(n_links, below))
    limit = np.concatenate(limits)
    return HighsModel(
        np.concatenate([np.zeros(n_flows), np.ones(n_links)]),
        sp.csr_matrix(sp.vstack(rows)),
        np.concatenate([flows.supply, np.full(limit.size - n_rows, -np.inf)]),
        limit,
        np.zeros(n_flows + n_links),
        np.concatenate([flows.upper, np.full(n_links, np.inf)]),
        np.zeros(n_flows + n_links, dtype=bool),
        False,
        decode=lambda z: z,
        value_of=lambda value: value,
    )


@dataclass(frozen=True, eq=False, slots=True)
class _Flows:
    """Flows by target as linear rows, in numbers near 1: relative to the largest capacity and to what a target receives.

    Attributes:
        conserved: scipy.sparse [R, T E], what leaves a node less what enters it, at every node but the target.
        supply: float64 [R], what is to leave.
        loads: scipy.sparse [E, T E], load relative to capacity, in `unit`.
        upper: float64 [T E]; nothing leaves where it is to go.
        unit: Utilization per unit of `loads`.
    """

    conserved: sp.csr_array
    supply: FloatArray
    loads: sp.csr_array
    upper: FloatArray
    unit: float


def _flows(traffic: Traffic, targets: IntArray) -> _Flows:
    import scipy.sparse as sp

    n, n_links = traffic.demand.shape[0], traffic.tail.size
    link = np.arange(n_links)
    ends = sp.csr_array(
        (np.repeat([1.0, -1.0], n_links), (np.concatenate([traffic.tail, traffic.head]), np.tile(link, 2))), shape=(n, n_links)
    )
    received = traffic.demand[:, targets].sum(axis=0)  # [T]
    blocks = [ends[np.delete(np.arange(n), target)] for target in targets]
    supply = [np.delete(traffic.demand[:, t], t) / r for t, r in zip(targets, received, strict=True)]
    share = received / received.max() * (traffic.capacity.max() / traffic.capacity)[:, None]  # [E, T]
    rows = np.tile(link, targets.size)
    return _Flows(
        sp.block_diag(blocks, format="csr"),
        np.concatenate(supply),
        sp.csr_array((share.T.ravel(), (rows, np.arange(rows.size))), shape=(n_links, rows.size)),
        np.concatenate([np.where(traffic.tail == target, 0.0, np.inf) for target in targets]),
        float(received.max() / traffic.capacity.max()),
    )


def _program(traffic: Traffic, targets: IntArray) -> HighsModel:
    """Flows by target, [T, E], and the utilization: conservation, then one row per link, relative to its capacity."""
    import scipy.sparse as sp

    flows, n_links = _flows(traffic, targets), traffic.tail.size
    top = sp.csr_array(np.full((n_links, 1), -1.0))
    limit = np.concatenate([flows.supply, np.zeros(n_links)])
    return HighsModel(
        np.concatenate([np.zeros(flows.upper.size), [1.0]]),
        sp.csr_matrix(sp.block_array([[flows.conserved, None], [flows.loads, top]], format="csr")),
        np.concatenate([flows.supply, np.full(n_links, -np.inf)]),
        limit,
        np.zeros(flows.upper.size + 1),
        np.concatenate([flows.upper, [np.inf]]),
        np.zeros(flows.upper.size + 1, dtype=bool),
        False,
        decode=lambda z: z,
        value_of=lambda value: value * flows.unit,
    )


def _climbed(traffic: Traffic) -> FloatArray:
    """Prices raised where cheapest paths overload links, step by step (multiplicative weights); the best ones seen."""
    price = 1.0 / traffic.capacity
    best, best_value = price, price_bound(traffic, price)
    for step in range(_STEPS):
        if time_is_up():
            break
        load = _cheapest_load(traffic, price) / traffic.capacity
        price = price * np.exp(0.5 / np.sqrt(1.0 + step) * (load / load.max()))
        price = price / float(price @ traffic.capacity)
        value = price_bound(traffic, price)
        if value > best_value:
            best, best_value = price, value
    return best


def _cheapest_load(traffic: Traffic, price: FloatArray) -> FloatArray:
    """Load of every link when each demand takes one cheapest path, float64 [E]."""
    sources = np.flatnonzero(traffic.demand.any(axis=1))
    reach = distances(traffic, price, sources)
    n, load = traffic.demand.shape[0], np.zeros(traffic.tail.size)
    for row, source in enumerate(sources):
        gap = reach[row, traffic.tail] + price - reach[row, traffic.head]  # 0 on cheapest paths
        into = np.full(n, -1)
        order = np.argsort(-gap, kind="stable")
        into[traffic.head[order]] = order  # the smallest gap is written last
        into[source] = -1
        carried = traffic.demand[source].copy()
        for node in np.argsort(-reach[row], kind="stable"):
            link = into[node]
            if link >= 0 and carried[node] > 0.0 and np.isfinite(reach[row, node]):
                load[link] += carried[node]
                carried[traffic.tail[link]] += carried[node]
    return load
