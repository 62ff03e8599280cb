"""Equations of routing by weights in numpy, written to be read.

Every node sends what it has for a target in equal parts over all its links that lie on shortest paths to it (ECMP, RFC 2992).
With the shares of a target's routing as a matrix P, what passes the nodes solves f = d + P' f.

Source: Fortz and Thorup 2000, doi 10.1109/INFCOM.2000.832225; worst single failure: Fortz and Thorup 2003.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from optisolve.core.arrays import BoolArray, FloatArray, IntArray
from optisolve.problems.traffic_engineering.network import Network

__all__ = ["as_links", "distances", "link_loads", "shortest_links", "unit_loads", "utilization"]


def distances(network: Network, weight: FloatArray) -> FloatArray:
    """Shortest distances, float64 [N, N], from row to column; inf where there is no path.

    Args:
        network: The network.
        weight: float64 [E]; inf takes a link out of service.
    """
    import scipy.sparse as sp
    from scipy.sparse.csgraph import dijkstra

    n = len(network.nodes)
    least = np.full((n, n), np.inf)
    np.minimum.at(least, (network.tail, network.head), weight)  # of parallel links the shortest
    u, v = np.nonzero(np.isfinite(least))
    return np.asarray(dijkstra(sp.csr_array((least[u, v], (u, v)), shape=(n, n))))


def shortest_links(network: Network, weight: FloatArray) -> BoolArray:
    """Which links lie on shortest paths to which target, bool [N, E]."""
    to = distances(network, weight).T  # [target, node]
    on_path: BoolArray = np.isfinite(to[:, network.tail]) & (to[:, network.tail] == weight + to[:, network.head])
    return on_path


def _shares(network: Network, weight: FloatArray) -> FloatArray:
    """Part of what a node has for a target that a link out of it carries, float64 [N, E]."""
    used = shortest_links(network, weight)
    n = len(network.nodes)
    count = np.zeros((n, n))  # [target, node]
    np.add.at(count.T, network.tail, used.T)
    return used / np.maximum(count, 1.0)[:, network.tail]


def _passing(network: Network, share: FloatArray, supply: FloatArray) -> FloatArray:
    """What passes every node on its way to every target, float64 [N, N, S] for supplies of that shape."""
    n = len(network.nodes)
    P = np.zeros((n, n, n))  # [target, from, to]
    np.add.at(P.transpose(1, 2, 0), (network.tail, network.head), share.T)
    return np.asarray(np.linalg.solve(np.eye(n) - P.transpose(0, 2, 1), supply), dtype=np.float64)


def link_loads(network: Network, weight: FloatArray) -> FloatArray:
    """Load of every link, float64 [E], in the unit of the demands.

    Args:
        network: The network.
        weight: float64 [E]; inf takes a link out of service.
    """
    share = _shares(network, weight)  # [target, link]
    through = _passing(network, share, network.demand.T[:, :, None])[:, :, 0]  # [target, node]
    return np.asarray((share * through[:, network.tail]).sum(axis=0))


def unit_loads(network: Network, weight: FloatArray) -> FloatArray:
    """Load of every link per unit of a demand, float64 [N, N, E], from the first node to the second."""
    n = len(network.nodes)
    share = _shares(network, weight)
    through = _passing(network, share, np.broadcast_to(np.eye(n), (n, n, n)))  # [target, node, source]
    carried = share[:, None, :] * through.transpose(0, 2, 1)[:, :, network.tail]  # [target, source, link]
    reached = np.isfinite(distances(network, weight))
    return np.asarray(carried.transpose(1, 0, 2) * reached[:, :, None])


def utilization(network: Network, weight: FloatArray, failures: Sequence[Sequence[int]] = ()) -> FloatArray:
    """Utilization of every link in the worst of all failures, float64 [E]; a failed link carries nothing.

    Args:
        network: The network.
        weight: float64 [E].
        failures: Links that fail together, one set after the other; no failure always counts.
    """
    worst = link_loads(network, weight) / network.capacity
    for links in failures:
        left = weight.copy()
        left[list(links)] = np.inf
        worst = np.maximum(worst, link_loads(network, left) / network.capacity)
    return worst


def as_links(failures: IntArray) -> list[list[int]]:
    """Failures of the kernel's form, int64 [L, 2], as lists without its -1."""
    return [[int(link) for link in row if link >= 0] for row in failures]
