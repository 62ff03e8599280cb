"""A wired network: nodes, directed links, demands; checked, and as plain values that a record can carry."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

import numpy as np

from optisolve.core.arrays import FloatArray, IntArray, frozen
from optisolve.core.documents import Json, JsonObject
from optisolve.core.errors import ProblemError, short

__all__ = ["LARGEST_WEIGHT", "MS_PER_KM", "Builder", "Links", "Network", "pair_names"]

LARGEST_WEIGHT = 65_535
"""Of OSPF's 16-bit link metric, RFC 2328."""
MOST_NODES, MOST_LINKS, MOST_DEMANDS = 5_000, 50_000, 2_000_000
MS_PER_KM = 0.005
"""Light in glass: about 200,000 km/s."""
_EARTH_KM = 6371.0
_TOLD = 10
"""Faults of a file that are told; the rest is counted."""
Links: TypeAlias = Literal["bidirected", "directed"]
"""How a link of a file is meant: a capacity for each of both directions, or one direction only."""


@dataclass(frozen=True, eq=False, slots=True)
class Network:
    """Nodes 0 to N - 1 and directed links 0 to E - 1.

    Attributes:
        name: What it is called.
        nodes: Names, length N.
        tail: int64 [E], where a link begins.
        head: int64 [E], where it ends.
        cable: int64 [E], links with one number fail together: both directions of one line.
        capacity: float64 [E]; NaN where nobody said.
        weight: float64 [E], the routing weights in use; NaN where nobody said.
        delay_ms: float64 [E], propagation delay, ms; NaN where nobody said.
        place: float64 [N, 2], longitude and latitude in degrees, or x and y; NaN where nobody said.
        demand: float64 [N, N], volume from row to column, in the unit of the capacities.
        source: Where the data come from, and their license.
        convention: How links and demands of the file were read.
    """

    name: str
    nodes: tuple[str, ...]
    tail: IntArray
    head: IntArray
    cable: IntArray
    capacity: FloatArray
    weight: FloatArray
    delay_ms: FloatArray
    place: FloatArray
    demand: FloatArray
    source: str = ""
    convention: str = ""

    @property
    def link_names(self) -> tuple[str, ...]:
        """Unique names of the links, see `pair_names`."""
        return pair_names(self.nodes, self.tail, self.head)

    def document(self) -> JsonObject:
        """The network as node-link data, which `networkx.node_link_graph` reads too."""
        edges: list[dict[str, Json]] = []
        for e, (u, v) in enumerate(zip(self.tail.tolist(), self.head.tolist(), strict=True)):
            edge: dict[str, Json] = {"source": u, "target": v, "cable": int(self.cable[e])}
            for key, values in (("capacity", self.capacity), ("weight", self.weight), ("delay_ms", self.delay_ms)):
                if not math.isnan(values[e]):
                    edge[key] = float(values[e])
            edges.append(edge)
        nodes: list[dict[str, Json]] = []
        for i, name in enumerate(self.nodes):
            nodes.append({"id": i, "name": name, **({} if np.isnan(self.place[i]).any() else {"pos": self.place[i].tolist()})})
        demands: dict[str, Json] = {
            str(u): {str(v): float(self.demand[u, v]) for v in np.flatnonzero(self.demand[u])}
            for u in np.flatnonzero(self.demand.any(axis=1))
        }
        graph: dict[str, Json] = {"name": self.name, "source": self.source, "convention": self.convention, "demands": demands}
        return {"directed": True, "multigraph": True, "graph": graph, "nodes": nodes, "edges": edges}

    def with_demand(self, demand: FloatArray, convention: str = "") -> Network:
        """The same network under other demands, float64 [N, N]."""
        told = f"{self.convention} {convention}".strip()
        return replace(self, demand=frozen(demand), convention=told)

    def unreachable(self, without: Sequence[int] = ()) -> tuple[int, int] | None:
        """A pair of nodes with a demand and no path; None when every demand has one.

        Args:
            without: Links that are out of service.
        """
        import scipy.sparse as sp
        from scipy.sparse.csgraph import connected_components, shortest_path

        kept = np.ones(self.tail.size, dtype=bool)
        kept[list(without)] = False
        n = len(self.nodes)
        graph = sp.csr_array((np.ones(kept.sum()), (self.tail[kept], self.head[kept])), shape=(n, n))
        count, part = connected_components(graph, directed=True, connection="strong")
        if count == 1:
            return None
        wanted = np.argwhere((self.demand > 0.0) & (part[:, None] != part[None, :]))
        if not wanted.size:
            return None
        sources, which = np.unique(wanted[:, 0], return_inverse=True)
        hops = shortest_path(graph, unweighted=True, indices=sources)
        lost = np.flatnonzero(np.isinf(hops[which, wanted[:, 1]]))
        return None if not lost.size else (int(wanted[lost[0], 0]), int(wanted[lost[0], 1]))


@dataclass(slots=True)
class Builder:
    """Collects a network from a file, and everything that is wrong with it, with the place in the file.

    Args:
        title: The file, for the error.
        links: How a link without a direction of its own is read.

    Attributes:
        listed_once: The format does not say whether demands have a direction: where no pair of nodes is listed both ways, every
            demand counts in both directions, as SNDlib means its undirected ones and topohub counts them.
    """

    title: str
    links: Links = "bidirected"
    name: str = ""
    source: str = ""
    convention: str = ""
    listed_once: bool = False
    index: dict[str, int] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    places: list[tuple[float, float]] = field(default_factory=list)
    ends: list[tuple[int, int, int]] = field(default_factory=list)
    numbers: list[tuple[float, float, float]] = field(default_factory=list)
    cables: int = 0
    labels: dict[str, str] = field(default_factory=dict)
    demands: dict[tuple[int, int], float] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    n_faults: int = 0

    def fault(self, where: str, text: str) -> None:
        """Remember what is wrong; the first ones are told, all are counted."""
        self.n_faults += 1
        if len(self.faults) < _TOLD:
            self.faults.append(f"{where}: {text}")

    def stop(self, where: str, text: str) -> ProblemError:
        """An error to raise at once: what follows could not be read."""
        self.fault(where, text)
        return self._error()

    def require(self) -> None:
        """Raise what was found, if anything was."""
        if self.n_faults:
            raise self._error()

    def number(self, where: str, what: str, text: object, *, positive: bool = False) -> float:
        """A finite number that is not negative, or above 0; NaN and a fault for anything else."""
        try:
            value = float(text)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            value = math.nan
        if math.isfinite(value) and (value > 0.0 if positive else value >= 0.0) and not isinstance(text, bool):
            return value
        self.fault(where, f"{what}: got {short(text)!r}, expected a finite number {'above 0' if positive else 'of at least 0'}")
        return math.nan

    def node(self, where: str, key: str, name: str = "", place: tuple[float, float] = (math.nan, math.nan)) -> None:
        """One more node.

        Args:
            where: Place in the file.
            key: What links call it.
            name: What people call it.
            place: Longitude and latitude.
        """
        if key in self.index:
            self.fault(where, f"node {key!r} is there twice")
            return
        if len(self.names) >= MOST_NODES:
            raise self.stop(where, f"more than {MOST_NODES} nodes")
        self.index[key] = len(self.names)
        self.names.append(name or key)
        self.places.append(place)

    def link(
        self,
        where: str,
        source: object,
        target: object,
        *,
        capacity: float = math.nan,
        weight: float = math.nan,
        delay_ms: float = math.nan,
        both: bool | None = None,
        cable: int | None = None,
        label: str = "",
    ) -> None:
        """One more link.

        Args:
            where: Place in the file.
            source: Key of the node where it begins.
            target: Key of the node where it ends.
            capacity: NaN when not told.
            weight: Routing weight, NaN when not told.
            delay_ms: ms, NaN when not told.
            both: There is one in the other direction too; None as `links` says.
            cable: Number of the line; None gives every link of the file one of its own.
            label: Its name in the file, for one that must not be there twice.
        """
        if label and label in self.labels:
            self.fault(where, f"link {label!r} is there twice, first at {self.labels[label]}")
            return
        self.labels[label] = where
        found = [self._known(where, end) for end in (source, target)]
        u, v = found
        if u is None or v is None:
            return
        if u == v:
            self.fault(where, f"a link from node {source!r} to itself; expected two different nodes")
            return
        if capacity <= 0.0:
            self.fault(where, f"capacity of {source!r} to {target!r} is {capacity:g}; expected a number above 0")
        if not math.isnan(weight) and not (1.0 <= weight <= LARGEST_WEIGHT and weight == int(weight)):
            self.fault(where, f"weight {weight:g}; expected a whole number from 1 to {LARGEST_WEIGHT}")
        if len(self.ends) + 2 > MOST_LINKS:
            raise self.stop(where, f"more than {MOST_LINKS} links")
        number = self.cables if cable is None else cable
        self.cables = max(self.cables, number) + 1 if cable is None else self.cables
        for a, b in ((u, v), (v, u)) if (self.links == "bidirected" if both is None else both) else ((u, v),):
            self.ends.append((a, b, number))
            self.numbers.append((capacity, weight, delay_ms))

    def demand(self, where: str, source: object, target: object, volume: float) -> None:
        """One more demand; several between the same nodes add up."""
        u, v = self._known(where, source), self._known(where, target)
        if u is None or v is None or math.isnan(volume):
            return
        if u == v and volume > 0.0:
            self.fault(where, f"a demand from node {source!r} to itself; expected two different nodes")
            return
        if len(self.demands) >= MOST_DEMANDS:
            raise self.stop(where, f"more than {MOST_DEMANDS} demands")
        if volume > 0.0:
            self.demands[u, v] = self.demands.get((u, v), 0.0) + volume

    def _known(self, where: str, key: object) -> int | None:
        found = self.index.get(str(key))
        if found is None:
            self.fault(where, f"node {str(key)!r} is not among the {len(self.names)} nodes of the file")
        return found

    def network(self) -> Network:
        """The network.

        Raises:
            ProblemError: What was found wrong on the way, or no link, or a demand without a path.
        """
        if not self.ends and not self.n_faults:
            self.fault("the whole file", f"it has {len(self.names)} nodes and no links")
        self.require()
        convention = self.convention
        if self.listed_once and self.demands:
            once = not any((v, u) in self.demands for u, v in self.demands)
            self.demands |= {(v, u): volume for (u, v), volume in self.demands.items()} if once else {}
            convention += (
                " Demands are listed once and count in both directions." if once else " Demands are directed, as listed."
            )
        ends = np.array(self.ends, dtype=np.int64)
        numbers = np.array(self.numbers, dtype=np.float64)
        n = len(self.names)
        demand = np.zeros((n, n))
        for (u, v), volume in self.demands.items():
            demand[u, v] = volume
        place = np.array(self.places, dtype=np.float64)
        made = Network(
            name=self.name,
            nodes=tuple(self.names),
            tail=_whole(ends[:, 0]),
            head=_whole(ends[:, 1]),
            cable=_cables(ends),
            capacity=frozen(numbers[:, 0]),
            weight=frozen(numbers[:, 1]),
            delay_ms=frozen(np.where(np.isnan(numbers[:, 2]), _delays(place, ends), numbers[:, 2])),
            place=frozen(place),
            demand=frozen(demand),
            source=self.source,
            convention=convention.strip(),
        )
        if lost := made.unreachable():
            u, v = lost
            raise self.stop("the whole file", f"there is no path for the demand from {self.names[u]!r} to {self.names[v]!r}")
        return made

    def _error(self) -> ProblemError:
        told = self.faults[:_TOLD]
        more = [f"and {self.n_faults - len(told)} more"] if self.n_faults > len(told) else []
        lines = "\n".join(f"  - {fault}" for fault in (*told, *more))
        return ProblemError(f"{self.title} has {self.n_faults} bad value(s):\n{lines}")


def _whole(values: IntArray) -> IntArray:
    made = np.array(values, dtype=np.int64)
    made.flags.writeable = False
    return made


def _cables(ends: IntArray) -> IntArray:
    """One number per line: links that the file joined, and the k-th from u to v with the k-th from v to u, where it did not."""
    given = ends[:, 2]
    _, counts = np.unique(given, return_counts=True)
    if (counts > 1).any():
        return _whole(np.unique(given, return_inverse=True)[1])
    seen: dict[tuple[int, int], int] = {}
    numbers: dict[tuple[int, int, int], int] = {}
    cable = []
    for u, v, _ in ends.tolist():
        k = seen[u, v] = seen.get((u, v), -1) + 1
        cable.append(numbers.setdefault((min(u, v), max(u, v), k), len(numbers)))
    return _whole(np.array(cable))


def _delays(place: FloatArray, ends: IntArray) -> FloatArray:
    """Delay along the great circle, float64 [E], ms; NaN without coordinates in degrees."""
    degrees = np.isfinite(place).all() and (np.abs(place) <= (180.0, 90.0)).all()
    if not degrees:
        return np.full(len(ends), math.nan)
    (lon_u, lat_u), (lon_v, lat_v) = np.radians(place[ends[:, 0]]).T, np.radians(place[ends[:, 1]]).T
    h = np.sin((lat_v - lat_u) / 2.0) ** 2 + np.cos(lat_u) * np.cos(lat_v) * np.sin((lon_v - lon_u) / 2.0) ** 2
    return np.asarray(2.0 * _EARTH_KM * np.arcsin(np.sqrt(np.clip(h, 0.0, 1.0))) * MS_PER_KM)


def pair_names(nodes: Sequence[str], first: IntArray, second: IntArray) -> tuple[str, ...]:
    """Unique names of pairs of nodes, ``FIRST_SECOND`` in letters, digits and underscores; a repeated one ends in 2, 3, ..."""
    counts: dict[str, int] = {}
    made: set[str] = set()
    names = []
    for u, v in zip(first.tolist(), second.tolist(), strict=True):
        stem = name = f"{_word(nodes[u])}_{_word(nodes[v])}"
        while name in made:
            counts[stem] = counts.get(stem, 1) + 1
            name = f"{stem}_{counts[stem]}"
        made.add(name)
        names.append(name)
    return tuple(names)


def _word(name: str) -> str:
    """Letters and digits of a name, the rest as single underscores."""
    return "_".join("".join(c if c.isalnum() else " " for c in name).split()) or "node"
