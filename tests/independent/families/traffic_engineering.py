"""Traffic engineering again, from `problems/traffic_engineering/README.md` alone."""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tests.independent.protocol import Scaling

NETWORKS = ("abilene", "polska", "nobel_us")

_KEPT: dict[bytes, Any] = {}


def evaluate(
    params: Mapping[str, Any], arrays: Mapping[str, np.ndarray], x: Sequence[float]
) -> tuple[list[float], list[float], list[float]]:
    """The busiest link; with a second objective also the mean delay or the number of changed weights."""
    net = _Net(arrays)
    if params["form"] == "segments":
        return [_segments(net, arrays, [int(v) for v in x])], [], []
    if params["form"] == "split":
        return [_split(net, arrays, x, params["n_paths"])], [], []
    weight = [int(v) for v in x]
    load = net.loads(weight, net.demand)
    busiest = max(a / c for a, c in zip(load, net.capacity, strict=True))
    F = [busiest]
    if params["second"] == "mean_delay":
        sent = math.fsum(d for row in net.demand for d in row)
        F.append(math.fsum(a * d for a, d in zip(load, arrays["delay_ms"].tolist(), strict=True)) / sent)
    if params["second"] == "changes":
        F.append(float(sum(w != t for w, t in zip(weight, arrays["weight_today"].tolist(), strict=True))))
    for pair in arrays["failures"].tolist():
        shut = {int(e) for e in pair if e >= 0}
        load = net.loads(weight, net.demand, shut)
        F[0] = max(F[0], *(a / c for a, c in zip(load, net.capacity, strict=True)))
    return F, [], []


class _Net:
    """Lists instead of arrays, and equal splitting by going through nodes from far to near."""

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.tail, self.head = arrays["tail"].tolist(), arrays["head"].tolist()
        self.capacity, self.demand = arrays["capacity"].tolist(), arrays["demand"].tolist()
        self.n = len(self.demand)

    def to(self, target: int, weight: Sequence[int], shut: set[int]) -> list[float]:
        """Distances to a target."""
        into: list[list[int]] = [[] for _ in range(self.n)]
        for e, v in enumerate(self.head):
            if e not in shut:
                into[v].append(e)
        far = [math.inf] * self.n
        far[target] = 0
        heap = [(0, target)]
        while heap:
            d, v = heapq.heappop(heap)
            if d > far[v]:
                continue
            for e in into[v]:
                if d + weight[e] < far[self.tail[e]]:
                    far[self.tail[e]] = d + weight[e]
                    heapq.heappush(heap, (d + weight[e], self.tail[e]))
        return far

    def towards(self, target: int, sent: Sequence[float], weight: Sequence[int], shut: set[int]) -> list[float]:
        """Loads of the links by what all nodes send to one target."""
        far = self.to(target, weight, shut)
        out: list[list[int]] = [[] for _ in range(self.n)]
        for e, (u, v) in enumerate(zip(self.tail, self.head, strict=True)):
            if e not in shut and far[u] == weight[e] + far[v] and far[u] < math.inf:
                out[u].append(e)
        has, load = list(sent), [0.0] * len(self.tail)
        for u in sorted((u for u in range(self.n) if far[u] < math.inf), key=lambda u: -far[u]):
            for e in out[u]:
                load[e] = has[u] / len(out[u])
                has[self.head[e]] += load[e]
        return load

    def loads(self, weight: Sequence[int], demand: Sequence[Sequence[float]], shut: set[int] | None = None) -> list[float]:
        total = [0.0] * len(self.tail)
        for t in range(self.n):
            sent = [row[t] for row in demand]
            if any(sent):
                total = [a + b for a, b in zip(total, self.towards(t, sent, weight, shut or set()), strict=True)]
        return total


def _rest(net: _Net, arrays: Mapping[str, np.ndarray]) -> list[float]:
    """Loads by the demands that have no choice."""
    left = [list(row) for row in net.demand]
    for s, t in arrays["pairs"].tolist():
        left[s][t] = 0.0
    return net.loads([int(w) for w in arrays["weight_today"]], left)


def _segments(net: _Net, arrays: Mapping[str, np.ndarray], x: Sequence[int]) -> float:
    weight = [int(w) for w in arrays["weight_today"]]
    load = np.array(_kept(arrays, "rest", lambda: _rest(net, arrays)))

    def unit(s: int, t: int) -> np.ndarray:
        sent = [float(i == s) for i in range(net.n)]
        return _kept(
            arrays, f"{s} {t}", lambda: np.array(net.towards(t, sent, weight, set())) if s != t else np.zeros(len(load))
        )

    for via, (s, t) in zip(x, arrays["pairs"].tolist(), strict=True):
        load = load + net.demand[s][t] * (unit(s, via) + unit(via, t))
    return float((load / net.capacity).max())


def _split(net: _Net, arrays: Mapping[str, np.ndarray], x: Sequence[float], most: int) -> float:
    weight = [int(w) for w in arrays["weight_today"]]
    load, shares = list(_kept(arrays, "rest", lambda: _rest(net, arrays))), list(x)
    for s, t in arrays["pairs"].tolist():
        paths = _kept(arrays, f"paths {s} {t}", lambda s=s, t=t: sorted(_simple(net, weight, s, t, {s}, []))[:most])
        own, shares = shares[: len(paths)], shares[len(paths) :]
        total = math.fsum(own)
        for share, (_, path) in zip(own, paths, strict=True):
            for e in path:
                load[e] += net.demand[s][t] * (share / total if total > 0.0 else 1.0 / len(paths))
    assert not shares
    return max(a / c for a, c in zip(load, net.capacity, strict=True))


def _simple(net: _Net, weight: Sequence[int], u: int, t: int, seen: set[int], path: list[int]) -> list[tuple[int, list[int]]]:
    """All paths without loops, with their lengths."""
    if u == t:
        return [(sum(weight[e] for e in path), path)]
    found = []
    for e, (a, b) in enumerate(zip(net.tail, net.head, strict=True)):
        if a == u and b not in seen:
            found += _simple(net, weight, b, t, seen | {b}, [*path, e])
    return found


def _kept(arrays: Mapping[str, np.ndarray], name: str, make: Any) -> Any:
    """What does not depend on the point is worked out once."""
    key = b"".join((arrays["demand"].tobytes(), arrays["capacity"].tobytes(), arrays["weight_today"].tobytes(), name.encode()))
    if key not in _KEPT:
        _KEPT[key] = make()
    return _KEPT[key]


def fuzz(rng: np.random.Generator) -> tuple[str, dict[str, Any]]:
    """Small networks in every form, with and without failures, demands of many spreads."""
    form = ("weights", "weights", "segments", "split")[int(rng.integers(4))]
    plain = form != "weights"
    return "traffic_engineering", {
        "network": NETWORKS[int(rng.integers(len(NETWORKS)))] if form != "split" else "abilene",
        "form": form,
        "demands": ("given", "gravity")[int(rng.integers(2))],
        "demand_spread": rng.uniform(0.0, 2.0),
        "capacities": ("uniform", "two_tier")[int(rng.integers(2))],
        "busiest": 10.0 ** rng.uniform(-1.5, 0.8),
        "failures": "none" if plain or rng.random() < 0.7 else "single",
        "second": "none" if plain else ("none", "mean_delay", "changes")[int(rng.integers(3))],
        "weight_max": int(10.0 ** rng.uniform(0.5, 4.8)),
        "n_decided": int(rng.integers(1, 40)),
        "n_paths": int(rng.integers(1, 5)),
    }


def attack(instance: Any, reference: Any, rng: np.random.Generator) -> np.ndarray:
    """Points near the reference's: one decision of each another one."""
    start = instance.space.sample(rng, 1) if reference.X is None else reference.X[:1]
    X = np.repeat(start, 64, axis=0)
    other = instance.space.sample(rng, len(X))
    for row, chosen in enumerate(rng.integers(0, X.shape[1], len(X))):
        X[row, chosen] = other[row, chosen]
    return X


SCALINGS: Mapping[str, Scaling] = {}
