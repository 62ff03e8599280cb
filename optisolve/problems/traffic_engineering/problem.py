"""The traffic-engineering family: a network by name or from a file, what is decided, and how demands vary."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from annotated_types import Interval

from optisolve.core.arrays import frozen
from optisolve.core.documents import Json, file_source
from optisolve.core.errors import FieldProblem, ProblemError
from optisolve.core.motion import DailyDemands, Motion
from optisolve.core.problem import Instance, Moved, Origin, Problem
from optisolve.core.reference import Effort, Reference
from optisolve.core.seeds import generator
from optisolve.problems.traffic_engineering.demands import failures_of, gravity, inverse_capacity, spread, with_capacities
from optisolve.problems.traffic_engineering.instance import Second, WeightsInstance, WiredInstance
from optisolve.problems.traffic_engineering.model import link_loads
from optisolve.problems.traffic_engineering.network import LARGEST_WEIGHT, Links, Network
from optisolve.problems.traffic_engineering.node_link import read_node_link
from optisolve.problems.traffic_engineering.readers import named_network, read_demands, read_network
from optisolve.problems.traffic_engineering.routes import SegmentsInstance, SplitInstance

__all__ = ["TrafficEngineering"]

_MOST_ROUTES = 20_000_000
"""Numbers in a table of what goes over each link by target, or by demand and route."""


@dataclass(frozen=True)
class TrafficEngineering(Problem):
    """Keep the busiest link of a wired network as idle as possible.

    Source: Fortz and Thorup 2000, doi 10.1109/INFCOM.2000.832225 (weights); Bhatia et al. 2015,
    doi 10.1109/INFOCOM.2015.7218434 (segments); card: problems/traffic_engineering/README.md.

    Args:
        network: A network that comes with optisolve, or ``topohub/GROUP/NAME`` (extra ``topologies``).
        form: What is decided: ``weights`` of links, ``segments`` (one stop per demand) or ``split`` over paths.
        demands: ``given`` by the network, each times a log-normal factor by the seed, where seed 0 leaves them as they are; or
            drawn by ``gravity``.
        demand_spread: Standard deviation of the logarithm of that factor.
        capacities: ``given`` by the network; where it has none, ``uniform`` or ``two_tier``, see `demands.with_capacities`.
        busiest: Utilization of the busiest link under equal weights, which sets what a file leaves open: the level of
            capacities, or with given capacities that of gravity demands.
        failures: ``none``, or ``single``: counted is the worst of all failures of one line.
        second: Second objective, with weights only: ``none``, ``mean_delay`` or ``changes``.
        weight_max: Largest weight.
        n_decided: How many of the largest demands are steered by segments and splits.
        n_paths: Paths per demand with ``split``.
        links: How the links of a file without directions are meant: ``bidirected``, each direction has the capacity, or
            ``directed``, as listed.
        network_file: SNDlib (native, XML), REPETITA ``.graph``, GraphML or node-link JSON, in place of `network`.
        demands_file: REPETITA ``.demands``, in place of the network's own.
        network_data: The network as node-link data, in place of a file; the origin of an instance carries its own, so that a
            record can be verified when the file is gone.
    """

    name: ClassVar[str] = "traffic_engineering"
    version: ClassVar[str] = "1"
    summary: ClassVar[str] = "Link weights, segments or splits that keep the busiest link of a wired network unloaded."
    evidence: ClassVar[str] = "dual bound (multi-commodity flow); proven optimal for splits and small segment routing"

    network: str = "nobel_germany"
    form: Literal["weights", "segments", "split"] = "weights"
    demands: Literal["given", "gravity"] = "given"
    demand_spread: Annotated[float, Interval(ge=0.0, le=3.0)] = 0.5
    capacities: Literal["given", "uniform", "two_tier"] = "given"
    busiest: Annotated[float, Interval(ge=0.01, le=10.0)] = 0.9
    failures: Literal["none", "single"] = "none"
    second: Second = "none"
    weight_max: Annotated[int, Interval(ge=2, le=LARGEST_WEIGHT)] = LARGEST_WEIGHT
    n_decided: Annotated[int, Interval(ge=1, le=100_000)] = 200
    n_paths: Annotated[int, Interval(ge=1, le=20)] = 4
    links: Links = "bidirected"
    network_file: str | None = field(default=None, kw_only=True)
    demands_file: str | None = field(default=None, kw_only=True)
    network_data: dict[str, Any] | None = field(default=None, kw_only=True)

    def instance(self, seed: int = 0) -> WiredInstance:
        """The network under the demands of a seed.

        Raises:
            ProblemError: A file is missing or has faults, or something that is needed is in no file.
        """
        network, origin = self._network(), self._origin(seed)
        network = self._drawn(network, seed)
        if self.form != "weights":
            return self._routes(origin, network)
        size = network.tail.size * int(network.demand.any(axis=0).sum())
        if size > _MOST_ROUTES:
            told = f"{network.tail.size} links times the nodes that receive anything are {size} numbers"
            raise ProblemError(f"{self._title()}: {told}; expected at most {_MOST_ROUTES}.")
        failures, lost = (np.empty((0, 2), dtype=np.int64), ()) if self.failures == "none" else failures_of(network)
        if self.second == "mean_delay" and np.isnan(network.delay_ms).any():
            raise self._lacking("second=mean_delay", "delays of its links, or coordinates in degrees")
        return WeightsInstance(
            origin, network, failures=failures, lost=len(lost), second=self.second, weight_max=self.weight_max
        )

    def reference(self, instance: Instance, effort: Effort = Effort.NORMAL) -> Reference | None:
        """A bound that no routing can beat, by linear programming; the optimum for splits and small segment routing.

        Args:
            instance: An instance of this family.
            effort: Failures that are looked at one by one, and work of the integer program.
        """
        from optisolve.problems.traffic_engineering.reference import LIMITS, require_own, solve_reference

        return solve_reference(require_own(instance), LIMITS[effort])

    def motions(self) -> tuple[type[Motion], ...]:
        """Demands rise and fall by the day, lines fail and return."""
        return (DailyDemands,)

    def moves(self, motion: Motion, seed: int) -> Iterator[Moved]:
        """The network of a seed through the day; capacities and weights in use stay, as do those of all lines that are up."""
        from optisolve.problems.traffic_engineering.days import days

        assert isinstance(motion, DailyDemands)
        rng = generator(seed, problem=self.name, purpose="motion", motion=motion.kind)
        for day in days(motion, self.instance(seed).network, rng):
            moved = dataclasses.replace(
                self,
                network_data=dict(day.network.document()),
                network_file=None,
                demands_file=None,
                demands="given",
                capacities="given",
                demand_spread=0.0,
            )
            yield Moved(moved, day.state, day.events)

    def origin(self, seed: int) -> Origin:
        """The origin with the network, where it came from a file or from topohub."""
        return self._origin(seed)

    def _check(self) -> Iterable[FieldProblem]:
        yield from super()._check()
        if self.form != "weights" and self.failures != "none":
            yield FieldProblem("failures", self.failures, f"none, since form is '{self.form}'")
        if self.form != "weights" and self.second != "none":
            yield FieldProblem("second", self.second, f"none, since form is '{self.form}'")
        if self.demands_file is not None and self.demands == "gravity":
            yield FieldProblem("demands_file", self.demands_file, "none, since demands is 'gravity'")

    # -- where it comes from -------------------------------------------------------------------------------------

    def _origin(self, seed: int) -> Origin:
        origin = super().origin(seed)
        files = dict(origin.files)
        if self.network_data is not None:
            return origin
        carried: dict[str, Json] = {}
        for setting in ("network_file", "demands_file"):
            path = getattr(self, setting)
            if path is not None:
                files[setting] = file_source(Path(path).expanduser())
                carried = {"network_file": None, "demands_file": None}
        if carried or self.network.startswith("topohub/"):
            carried["network_data"] = self._network().document()
        return dataclasses.replace(origin, params={**origin.params, **carried}, files=files)

    def _network(self) -> Network:
        if self.network_data is not None:
            return read_node_link(self.network_data, "network_data", self.links)
        return _read(
            self.network, self.network_file, self.demands_file, self.links, _times(self.network_file, self.demands_file)
        )

    def _drawn(self, network: Network, seed: int) -> Network:
        """Demands of the seed, and what a file leaves open: capacities, levels, weights in use."""
        rng = generator(seed, problem=self.name, purpose="demands")
        if self.demands == "gravity":
            network = network.with_demand(gravity(len(network.nodes), rng), "Demands are drawn by a gravity model.")
        elif not network.demand.any():
            raise self._lacking("demands=given", "demands; set demands=gravity or give a demands_file")
        if self.capacities != "given":
            network = with_capacities(network, self.capacities, self.busiest)
        elif np.isnan(network.capacity).any():
            raise self._lacking("capacities=given", "a capacity for every link; set capacities=uniform or two_tier")
        elif self.demands == "gravity":
            today = link_loads(network, np.ones(network.tail.size)) / network.capacity
            network = network.with_demand(network.demand * (self.busiest / today.max()))
        if self.demands == "given" and seed != 0 and self.demand_spread > 0.0:
            network = network.with_demand(spread(network.demand, self.demand_spread, rng), f"Demands are those of seed {seed}.")
        unset = np.isnan(network.weight)
        return replace(network, weight=frozen(np.where(unset, inverse_capacity(network), network.weight)))

    def _lacking(self, setting: str, what: str) -> ProblemError:
        where = self.network_file or self.network
        return ProblemError(f"{self._title()}: {setting} needs a network with {what}; '{where}' has none.")

    def _routes(self, origin: Origin, network: Network) -> WiredInstance:
        n_demands = min(self.n_decided, int((network.demand > 0.0).sum()))
        routes = len(network.nodes) if self.form == "segments" else self.n_paths
        size = n_demands * routes * network.tail.size
        if size > _MOST_ROUTES:
            fits = max(1, _MOST_ROUTES // (routes * network.tail.size))
            raise ProblemError(
                f"{self._title()}: n_decided = {n_demands} asks for {size} numbers; set n_decided to at most {fits}."
            )
        if self.form == "segments":
            return SegmentsInstance(origin, network, n_decided=self.n_decided)
        return SplitInstance(origin, network, n_decided=self.n_decided, n_paths=self.n_paths)


def _times(*paths: str | None) -> tuple[tuple[int, int], ...]:
    """Times and sizes of files, so that one that was written again is read again."""
    found = []
    for path in paths:
        if path is not None and Path(path).expanduser().is_file():
            stat = Path(path).expanduser().stat()
            found.append((stat.st_mtime_ns, stat.st_size))
    return tuple(found)


@lru_cache(maxsize=16)
def _read(name: str, file: str | None, demands: str | None, links: Links, _stamp: object) -> Network:
    network = named_network(name) if file is None else read_network(file, links)
    if demands is None:
        return network
    return network.with_demand(read_demands(demands, network), f"Demands: {Path(demands).name}.")
