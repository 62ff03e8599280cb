"""Goals on routing weights: what every link is used, the delay, and what no routing can keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.goals.metric import Bound, Feasibility, Metric
from optisolve.modelling.network_flow import Traffic, best_prices, price_bound
from optisolve.problems.traffic_engineering import model
from optisolve.problems.traffic_engineering.network import Network

__all__ = ["feasibility", "metric_values", "metrics"]

_USE = ("utilization", "link utilization", "load", "link load", "usage", "busiest link")
_FAILURES = (
    "when any one link fails", "when any link fails", "when one link fails", "when a link fails", "if any one link fails",
    "if any link fails", "if one link fails", "if a link fails", "when any one line fails", "if any one line fails",
    "after any single failure", "under any single failure", "in any single failure",
)  # fmt: skip
_DELAY = ("delay", "mean delay", "average delay", "latency", "mean latency", "average latency")


def metrics(network: Network, *, failures: bool) -> tuple[Metric, ...]:
    """Utilization of every link, in the worst failure where these are looked at, and the mean delay where it is known."""
    meaning = "load over capacity of a link" + (" in the worst failure of one line" if failures else "")
    told = [Metric("utilization", "", meaning, False, network.tail.size, _USE + (_FAILURES if failures else ()))]
    if np.isfinite(network.delay_ms).all():
        told.append(Metric("mean_delay", "s", "propagation delay per unit of traffic", False, 0, _DELAY))
    return tuple(told)


def metric_values(X: FloatArray, network: Network, failures: Sequence[Sequence[int]]) -> Mapping[str, FloatArray]:
    """By name, from weights float64 [n, E]."""
    told = {"utilization": np.stack([model.utilization(network, x, failures) for x in X])}
    if np.isfinite(network.delay_ms).all():
        carried = np.stack([model.link_loads(network, x) for x in X])
        told["mean_delay"] = carried @ network.delay_ms / network.demand.sum() / 1000.0
    return told


def feasibility(network: Network, bounds: Sequence[Bound]) -> Feasibility:
    """No for limits on all links that even free splits without failures cannot keep; else undecided."""
    limit = np.full(network.tail.size, np.inf)
    for bound in bounds:
        if bound.metric == "utilization" and bound.upper and bound.user is not None:
            limit[bound.user] = min(limit[bound.user], bound.value)
    if not np.isfinite(limit).all():
        return Feasibility(None, "decided are limits on all links only")
    if limit.min() <= 0.0:
        return Feasibility(None, "a link that carries nothing is not decided in advance")
    traffic = Traffic(network.tail, network.head, network.capacity * limit, network.demand)
    least = price_bound(traffic, best_prices(traffic))
    if least > 1.0 + 1e-6:
        return Feasibility(False, f"even traffic that is split at will uses some link {least:.6g} times as much as is asked")
    return Feasibility(None, "traffic that is split at will could keep the limits; whether weights can is not decided")
