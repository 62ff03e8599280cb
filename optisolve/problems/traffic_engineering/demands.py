"""What a network file often does not say: demands, capacities, and the weights in use."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from optisolve.core.arrays import FloatArray, IntArray, frozen
from optisolve.core.errors import ProblemError
from optisolve.problems.traffic_engineering.model import link_loads
from optisolve.problems.traffic_engineering.network import LARGEST_WEIGHT, Network

__all__ = ["failures_of", "gravity", "inverse_capacity", "spread", "with_capacities"]


def gravity(n_nodes: int, rng: np.random.Generator) -> FloatArray:
    """Demands between all pairs in proportion to what either node sends and receives, float64 [N, N], 1 in total.

    Source: Roughan 2005, doi 10.1145/1096536.1096551: independent exponential masses fit measured matrices well.
    """
    sends, receives = rng.exponential(size=n_nodes), rng.exponential(size=n_nodes)
    demand = np.outer(sends, receives)
    np.fill_diagonal(demand, 0.0)
    return np.asarray(demand / demand.sum())


def spread(demand: FloatArray, sigma: float, rng: np.random.Generator) -> FloatArray:
    """Every demand times a log-normal factor of mean 1, float64 [N, N]."""
    return np.asarray(demand * np.exp(sigma * rng.standard_normal(demand.shape) - 0.5 * sigma**2))


def with_capacities(network: Network, rule: str, busiest: float) -> Network:
    """A network whose file says no capacities, dimensioned for its own demands under equal weights.

    Args:
        network: With demands.
        rule: ``"uniform"``: all links alike. ``"two_tier"``: links that would carry more than the median if all pairs of nodes
            exchanged the same get four times the capacity of the others.
        busiest: Utilization of the busiest link under equal weights.
    """
    ones = np.ones(network.tail.size)
    size = ones
    if rule == "two_tier":
        n = len(network.nodes)
        usage = link_loads(network.with_demand(np.ones((n, n)) - np.eye(n)), ones)
        both = np.bincount(network.cable, usage)[network.cable]  # both directions of a line are alike
        size = np.where(both > np.median(both) * (1.0 + 1e-9), 4.0, 1.0)
    capacity = size * float((link_loads(network, ones) / size).max()) / busiest
    return replace(network, capacity=frozen(capacity))


def inverse_capacity(network: Network) -> FloatArray:
    """Weights in inverse proportion to the capacity, the largest capacity at 1: what vendors set, float64 [E].

    Source: Cisco's default for OSPF, with the fastest link as its reference bandwidth.
    """
    return np.asarray(np.clip(np.rint(network.capacity.max() / network.capacity), 1.0, float(LARGEST_WEIGHT)))


def failures_of(network: Network) -> tuple[IntArray, tuple[int, ...]]:
    """Single lines that may fail, int64 [L, 2] (-1 for no second direction), and the lines without which a demand has no path.

    Raises:
        ProblemError: A line has more than two directed links, or no line may fail.
    """
    found, lost = [], []
    for cable in np.unique(network.cable).tolist():
        links = np.flatnonzero(network.cable == cable).tolist()
        if len(links) > 2:
            raise ProblemError(f"network '{network.name}': line {cable} has {len(links)} directed links; expected one or two.")
        if network.unreachable(links) is None:
            found.append([*links, -1][:2])
        else:
            lost.append(cable)
    if not found:
        raise ProblemError(
            f"network '{network.name}' has no line that may fail: each one cuts off a demand. Set failures=none."
        )
    return np.array(found, dtype=np.int64), tuple(lost)
