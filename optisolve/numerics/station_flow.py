"""Largest smallest rate where every station has one rate: a threshold search with maximum flows; a bound without search."""

from __future__ import annotations

import numpy as np

from optisolve.core.arrays import FloatArray

__all__ = ["max_min_flow", "min_rate_bound", "station_rates"]


def min_rate_bound(rate_mbps: FloatArray) -> float:
    """A bound on the smallest rate without search, Mbit/s: sum_i R_i / c_i,max <= number of stations in use <= J.

    Args:
        rate_mbps: float64 [I, J]; everybody reaches a station.
    """
    n_users, n_stations = rate_mbps.shape
    best = rate_mbps.max(axis=1)
    rounding = 1.0 + (n_users + 4) * np.finfo(np.float64).eps
    return float(best.min() * n_stations / (best.min() / best).sum() * rounding)


def station_rates(rate_mbps: FloatArray) -> FloatArray | None:
    """The common rate of every station's reachable users, float64 [J], or None when rates differ inside a station."""
    reach = rate_mbps > 0.0
    top = rate_mbps.max(axis=0)
    same = np.where(reach, rate_mbps == top, True).all()
    return top if same else None


def max_min_flow(rate_mbps: FloatArray) -> tuple[FloatArray, float]:
    """Exact max-min rate when every station has one rate: capacity floor(c_j / t), bisection over the possible t.

    The optimum is c_j / n for some station j and load n, so the search runs over these values only.

    Args:
        rate_mbps: float64 [I, J], 0 or the station's rate; everybody reaches a station.

    Returns:
        Stations float64 [I] and a bound, Mbit/s: the optimum, as far as a matching, which shares no code with the flow,
        confirms that the next larger rate is out of reach; else `min_rate_bound`.
    """
    n_users = rate_mbps.shape[0]
    top = rate_mbps.max(axis=0)  # [J]
    loads = np.arange(1, n_users + 1)
    capacities = top[:, None] / loads  # [J, I]
    thresholds = np.unique(capacities[capacities > 0.0])
    low, high = 0, thresholds.size  # thresholds[0] is feasible: no station ever needs more than all users
    best = _flow(rate_mbps, _capacity(capacities, thresholds[0]))
    assert best is not None
    while high - low > 1:
        middle = (low + high) // 2
        found = _flow(rate_mbps, _capacity(capacities, thresholds[middle]))
        if found is None:
            high = middle
        else:
            low, best = middle, found
    if high < thresholds.size and _matched(rate_mbps, _capacity(capacities, thresholds[high])) == n_users:
        return best, min_rate_bound(rate_mbps)
    return best, float(thresholds[low])


def _matched(rate_mbps: FloatArray, capacity: FloatArray) -> int:
    """Users that find a place when every station has as many places as its capacity, by a maximum matching."""
    import scipy.sparse as sp
    from scipy.sparse.csgraph import maximum_bipartite_matching

    places = np.repeat(rate_mbps > 0.0, np.minimum(capacity, rate_mbps.shape[0]).astype(np.int64), axis=1)  # [I, places]
    return int((maximum_bipartite_matching(sp.csr_array(places), perm_type="column") >= 0).sum())


def _capacity(capacities: FloatArray, threshold: float) -> FloatArray:
    """Users that each station may hold at a threshold, [J]; counted, so that no division is rounded."""
    return np.asarray((capacities >= threshold).sum(axis=1))


def _flow(rate_mbps: FloatArray, capacity: FloatArray) -> FloatArray | None:
    """An assignment within the capacities, float64 [I], or None when no complete one exists."""
    import scipy.sparse as sp
    from scipy.sparse.csgraph import maximum_flow

    n_users, n_stations = rate_mbps.shape
    source, sink = n_users + n_stations, n_users + n_stations + 1
    graph = sp.lil_matrix((sink + 1, sink + 1), dtype=np.int32)
    graph[source, :n_users] = 1
    graph[:n_users, n_users:source] = (rate_mbps > 0.0).astype(np.int32)
    graph[n_users:source, sink] = capacity.astype(np.int32)[:, None]
    result = maximum_flow(sp.csr_array(graph), source, sink)
    if result.flow_value < n_users:
        return None
    used = result.flow.toarray()[:n_users, n_users:source]
    station: FloatArray = np.argmax(used, axis=1).astype(np.float64)
    return station
