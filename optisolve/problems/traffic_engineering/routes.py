"""Forms in which demands are steered one by one: segment routing through one node, and splits over a few paths."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from optisolve.core.arrays import FloatArray, IntArray, frozen
from optisolve.core.problem import Description, Evaluation, Origin
from optisolve.core.space import Kind, Space, Variable
from optisolve.problems.traffic_engineering import model
from optisolve.problems.traffic_engineering.instance import WiredInstance, utilization_objective
from optisolve.problems.traffic_engineering.network import Network, pair_names

__all__ = ["RoutesInstance", "SegmentsInstance", "SplitInstance", "largest_demands"]


def largest_demands(network: Network, most: int) -> IntArray:
    """The largest demands as pairs of nodes, int64 [D, 2], the largest first."""
    volumes = network.demand.ravel()
    order = np.argsort(-volumes, kind="stable")[: min(most, int((volumes > 0.0).sum()))]
    return np.stack(np.divmod(order, len(network.nodes)), axis=1).astype(np.int64)


class RoutesInstance(WiredInstance):
    """Some demands have a choice of routes; the others keep to shortest paths under the weights in use.

    Args:
        origin: How to make this instance again.
        network: With capacities, weights and demands.
        space: What is decided.
        pairs: int64 [D, 2], demands that have a choice.
        route: float64 [D, R, E], utilization that a demand adds to every link by each of its routes.
        usable: bool [D, R], routes that exist.

    Attributes:
        route: float64 [D, R, E].
        base: float64 [E], utilization by the other demands.
        usable: bool [D, R].
    """

    def __init__(
        self, origin: Origin, network: Network, space: Space, pairs: IntArray, route: FloatArray, usable: npt.NDArray[np.bool_]
    ) -> None:
        rest = network.demand.copy()
        rest[pairs[:, 0], pairs[:, 1]] = 0.0
        self.pairs, self.route, self.usable = pairs, frozen(route), usable
        self.base = frozen(model.link_loads(network.with_demand(rest), network.weight) / network.capacity)
        super().__init__(origin, network, space, (utilization_objective("Load over capacity of the busiest link."),))

    def arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        """Links, demands, the weights in use, and which demands have a choice."""
        return {**super().arrays(), "pairs": self.pairs}

    def link_use(self, x: FloatArray) -> FloatArray:
        """Utilization of every link, float64 [E]."""
        return np.asarray(self._use(np.atleast_2d(x))[0])

    def _use(self, X: FloatArray) -> FloatArray:
        """Utilization of every link, float64 [n, E]."""
        raise NotImplementedError

    def _evaluate(self, X: FloatArray) -> Evaluation:
        F = self._use(X).max(axis=1, keepdims=True)
        return Evaluation(F, np.empty((X.shape[0], 0)), np.empty((X.shape[0], 0)))

    def _others(self) -> str:
        left = int((self.network.demand > 0.0).sum()) - len(self.pairs)
        return f" The {left} smaller demands keep to shortest paths." if left else ""


class SegmentsInstance(RoutesInstance):
    """Segment routing with one stop; the decision is a node per demand, ``SOURCE_TARGET.via``.

    A demand goes along shortest paths to its stop and along shortest paths from there, under the weights in use and in equal
    parts where several are shortest; its own source or target as the stop means the direct way.

    Source: Bhatia et al. 2015, doi 10.1109/INFOCOM.2015.7218434 (two segments).
    """

    def __init__(self, origin: Origin, network: Network, *, n_decided: int) -> None:
        pairs = largest_demands(network, n_decided)
        unit = model.unit_loads(network, network.weight) / network.capacity  # [N, N, E]
        s, t = pairs.T
        volume = network.demand[s, t]
        route = volume[:, None, None] * (unit[s] + unit[:, t].transpose(1, 0, 2))  # [D, N, E]
        reach = np.isfinite(model.distances(network, network.weight))
        names = _names(network, pairs)
        top = len(network.nodes) - 1.0
        kind = Kind.BINARY if top == 1.0 else Kind.INTEGER
        space = Space.of(Variable(f"{name}.via", 0.0, top, kind=kind) for name in names)
        super().__init__(origin, network, space, pairs, route, reach[s] & reach[:, t].T)

    def describe(self) -> Description:
        """The instance in words."""
        nodes = ", ".join(f"{i} {name}" for i, name in enumerate(self.network.nodes))
        return Description(
            f"Each of {len(self.pairs)} demands in the network {self.network.name} may be sent through one node: along "
            "shortest paths to it and along shortest paths from there. Choose the nodes so that the busiest link is used as "
            f"little as possible.{self._others()}",
            (),
            (f"Nodes: {nodes}.", *self.network_facts()),
            (
                "The source or the target of a demand as its stop leaves it on the direct way.",
                "Send large demands that cross a busy link through a node whose shortest paths avoid it.",
                "A stop far off the way loads many more links.",
            ),
        )

    def null_policies(self) -> Mapping[str, FloatArray]:
        """``direct``: every demand on shortest paths, which is what happens today."""
        return {"direct": self.pairs[:, 0].astype(np.float64)[None, :]}

    def model(self, dialect: str) -> Any:
        """``"cpsat"`` and ``"highs"``: one binary per demand and stop."""
        from optisolve.problems.traffic_engineering import forms

        builders = {"cpsat": forms.cpsat_segments, "highs": forms.highs_segments}
        return builders[dialect](self) if dialect in builders else None

    def offers(self, dialect: str) -> bool:
        """As `model`, without building one."""
        return dialect in ("cpsat", "highs")

    def _use(self, X: FloatArray) -> FloatArray:
        demand = np.arange(len(self.pairs))
        return np.stack([self.base + self.route[demand, x.astype(np.int64)].sum(axis=0) for x in X])

    def _project(self, X: FloatArray) -> FloatArray:
        """Stops that a demand cannot reach become the direct way."""
        reached = self.usable[np.arange(len(self.pairs)), X.astype(np.int64)]  # [n, D]
        return np.where(reached, X, self.pairs[:, 0].astype(np.float64))


class SplitInstance(RoutesInstance):
    """Splits over a few paths; the decision is a share per demand and path, ``SOURCE_TARGET.pathP``, from 0 to 1.

    A path carries its share over the sum of its demand's shares; all 0 means equal parts. Paths are the shortest ones without
    loops under the weights in use (Yen 1971, doi 10.1287/mnsc.17.11.712).
    """

    convex = False  # only the sums of shares make it so; as a linear program it is, see `forms`

    def __init__(self, origin: Origin, network: Network, *, n_decided: int, n_paths: int) -> None:
        pairs = largest_demands(network, n_decided)
        route = np.zeros((len(pairs), n_paths, network.tail.size))
        usable = np.zeros((len(pairs), n_paths), dtype=bool)
        self.paths = [shortest_simple_paths(network, int(s), int(t), n_paths) for s, t in pairs]
        for d, (found, (s, t)) in enumerate(zip(self.paths, pairs, strict=True)):
            for p, path in enumerate(found):
                route[d, p, path] = network.demand[s, t] / network.capacity[path]
                usable[d, p] = True
        stems = zip(_names(network, pairs), self.paths, strict=True)
        names = [f"{name}.path{p}" for name, found in stems for p in range(len(found))]
        super().__init__(origin, network, Space.of(Variable(name, 0.0, 1.0) for name in names), pairs, route, usable)

    def describe(self) -> Description:
        """The instance in words."""
        return Description(
            f"Each of {len(self.pairs)} demands in the network {self.network.name} is split over a few paths; a path carries "
            "its share over the sum of the demand's shares. Choose the shares so that the busiest link is used as little as "
            f"possible.{self._others()}",
            (),
            self.network_facts(),
            (
                "Path 0 is the shortest; later ones are detours that load more links.",
                "Shift shares off paths over the busiest link; small demands matter little.",
            ),
        )

    def null_policies(self) -> Mapping[str, FloatArray]:
        """``shortest``: path 0 alone; ``equal``: equal parts."""
        first = np.zeros(self.usable.shape)
        first[:, 0] = 1.0
        return {"shortest": first[self.usable][None, :], "equal": np.ones((1, self.space.dim))}

    def model(self, dialect: str) -> Any:
        """``"highs"``: the linear program over all shares."""
        from optisolve.problems.traffic_engineering import forms

        return forms.highs_split(self) if dialect == "highs" else None

    def offers(self, dialect: str) -> bool:
        """As `model`, without building one."""
        return dialect == "highs"

    def shares(self, X: FloatArray) -> FloatArray:
        """Shares that add up to 1 for every demand, float64 [n, D, P]."""
        raw = np.zeros((X.shape[0], *self.usable.shape))
        raw[:, self.usable] = X
        total = raw.sum(axis=2, keepdims=True)
        equal = self.usable / self.usable.sum(axis=1, keepdims=True)
        return np.where(total > 0.0, raw / np.where(total > 0.0, total, 1.0), equal)

    def _use(self, X: FloatArray) -> FloatArray:
        return np.stack([self.base + np.tensordot(share, self.route, axes=2) for share in self.shares(X)])


def _names(network: Network, pairs: IntArray) -> tuple[str, ...]:
    """Unique names of demands, as links have them."""
    return pair_names(network.nodes, pairs[:, 0], pairs[:, 1])


def shortest_simple_paths(network: Network, source: int, target: int, most: int) -> list[list[int]]:
    """Shortest paths without loops under the weights in use, as lists of links, shortest first; ties by links' numbers."""
    first = _shortest(network, source, target, frozenset(), frozenset())
    found: list[tuple[float, list[int]]] = [] if first is None else [first]
    waiting: list[tuple[float, list[int]]] = []
    while found and len(found) < most:
        last = found[-1][1]
        for k in range(len(last)):
            root = last[:k]
            spur = int(network.tail[last[k]])
            shut = frozenset(path[k] for _, path in found if path[:k] == root and len(path) > k)
            rest = _shortest(network, spur, target, shut, frozenset(int(network.tail[e]) for e in root))
            if rest is not None:
                path = [*root, *rest[1]]
                entry = (float(network.weight[path].sum()), path)
                if entry not in waiting:
                    heapq.heappush(waiting, entry)
        if not waiting:
            break
        found.append(heapq.heappop(waiting))
    return [path for _, path in found]


def _shortest(
    network: Network, source: int, target: int, shut: frozenset[int], avoided: frozenset[int]
) -> tuple[float, list[int]] | None:
    """A shortest path without some links out of the source and without some nodes."""
    heap: list[tuple[float, list[int], int]] = [(0.0, [], source)]
    done = set(avoided)
    out = _outgoing(network)
    while heap:
        length, path, node = heapq.heappop(heap)
        if node == target:
            return length, path
        if node in done:
            continue
        done.add(node)
        for e in out[node]:
            if not (node == source and e in shut) and int(network.head[e]) not in done:
                heapq.heappush(heap, (length + float(network.weight[e]), [*path, e], int(network.head[e])))
    return None


def _outgoing(network: Network) -> list[list[int]]:
    out: list[list[int]] = [[] for _ in network.nodes]
    for e, u in enumerate(network.tail.tolist()):
        out[u].append(e)
    return out
