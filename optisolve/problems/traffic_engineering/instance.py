"""One concrete traffic-engineering case: what all forms share, and routing by weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from optisolve.core.arrays import FloatArray, IntArray, frozen
from optisolve.core.evaluation import looking, unwatched
from optisolve.core.problem import Description, Evaluation, Instance, Objective, Origin, Sense
from optisolve.core.space import Kind, Space, Variable
from optisolve.goals.goal_instance import MeasuredInstance
from optisolve.goals.metric import Bound, Feasibility, Metric
from optisolve.problems.traffic_engineering import goals, model
from optisolve.problems.traffic_engineering.demands import inverse_capacity
from optisolve.problems.traffic_engineering.network import Network

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from optisolve.problems.traffic_engineering.routing import Graph, State

__all__ = ["Second", "WeightsInstance", "WiredInstance", "utilization_objective"]

Second: TypeAlias = Literal["none", "mean_delay", "changes"]
"""The second objective."""
_SECONDS: dict[Second, int] = {"none": 0, "mean_delay": 1, "changes": 2}
_LISTED_LINKS, _LISTED_DEMANDS, _LISTED_BUSY = 60, 12, 8


def utilization_objective(meaning: str) -> Objective:
    """The first objective of every form."""
    return Objective("max_utilization", Sense.MINIMIZE, "", meaning, scale=1e-6, axis="Utilization of the busiest link")


class WiredInstance(Instance):
    """A network with its demands and the weights in use; subclasses say what is decided.

    Args:
        origin: How to make this instance again.
        network: With capacities, weights and demands.
        space: What is decided.
        objectives: One or two.

    Attributes:
        network: The network.
        link_tail: int64 [E], nodes.
        link_head: int64 [E], nodes.
        link_capacity: float64 [E].
        weight_today: float64 [E], the weights in use.
    """

    def __init__(self, origin: Origin, network: Network, space: Space, objectives: tuple[Objective, ...]) -> None:
        self.network = network
        self.link_tail, self.link_head, self.link_capacity = network.tail, network.head, network.capacity
        self.weight_today = network.weight
        super().__init__(origin=origin, space=space, objectives=objectives)

    def arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        """Links, demands and the weights in use."""
        told: dict[str, npt.NDArray[Any]] = {
            "tail": self.network.tail,
            "head": self.network.head,
            "cable": self.network.cable,
            "capacity": self.network.capacity,
            "demand": self.network.demand,
            "weight_today": self.network.weight,
        }
        if np.isfinite(self.network.delay_ms).all():
            told["delay_ms"] = self.network.delay_ms
        return told

    def features(self) -> Mapping[str, npt.NDArray[Any]]:
        """Capacities and demands, relative to the largest, and links by their ends."""
        n = self.network
        return {
            "capacity": n.capacity / n.capacity.max(),
            "demand": n.demand / n.demand.max(),
            "tail": n.tail,
            "head": n.head,
        }

    def demand_matrix(self) -> FloatArray:
        """Demands from row to column, float64 [N, N], in the unit of the capacities."""
        return self.network.demand

    def link_use(self, x: FloatArray) -> FloatArray:
        """Utilization of every link under one solution, float64 [E], by the readable equations; the worst failure counts."""
        raise NotImplementedError

    def draw(self, axes: Axes, x: FloatArray) -> bool:
        """The network with the utilization of its links."""
        from optisolve.plotting.networks import draw_network

        n = self.network
        draw_network(
            axes, place=n.place, names=n.nodes, tail=n.tail, head=n.head, use=self.link_use(x), sent=n.demand.sum(axis=1)
        )
        return True

    def network_facts(self) -> tuple[str, ...]:
        """The network in words: links, the largest demands, the busiest links under the weights in use."""
        n = self.network
        use = model.link_loads(n, n.weight) / n.capacity
        busy = np.argsort(-use, kind="stable")
        names = n.link_names
        facts = [f"{len(n.nodes)} nodes, {n.tail.size} directed links, {int((n.demand > 0.0).sum())} demands. {n.convention}"]
        if n.tail.size <= _LISTED_LINKS:
            told = [f"{c:.4g}, {w:g}" for c, w in zip(n.capacity, n.weight, strict=True)]
            (most, count), *_ = Counter(told).most_common(1)
            alike = most if count > 1 else None
            listed = [f"{name} ({what})" for name, what in zip(names, told, strict=True) if what != alike]
            listed += [f"{'all others' if listed else 'all'} ({alike})"] if alike else []
            facts.append(f"Links with capacity and weight in use: {', '.join(listed)}.")
        facts.append(
            "Busiest links under the weights in use: "
            + ", ".join(f"{names[e]} {100.0 * use[e]:.0f} %" for e in busy[:_LISTED_BUSY])
            + f"; idlest: {', '.join(f'{names[e]} {100.0 * use[e]:.0f} %' for e in busy[: -_LISTED_BUSY // 2 : -1])}."
        )
        largest = np.argsort(-n.demand, axis=None, kind="stable")[:_LISTED_DEMANDS]
        pairs = [(int(i) // len(n.nodes), int(i) % len(n.nodes)) for i in largest]
        demands = (f"{n.nodes[u]} to {n.nodes[v]} {n.demand[u, v]:.4g}" for u, v in pairs if n.demand[u, v] > 0.0)
        facts.append(f"Largest demands: {', '.join(demands)}.")
        return tuple(facts)


class WeightsInstance(WiredInstance, MeasuredInstance):
    """Routing weights; the decision is one weight per directed link, ``TAIL_HEAD.weight``, whole numbers.

    Args:
        origin: How to make this instance again.
        network: With capacities, weights and demands.
        failures: int64 [L, 2], links that fail together and are looked at, -1 for none; L may be 0.
        lost: How many lines are not looked at because a demand has no path without them.
        second: The second objective.
        weight_max: Largest weight.

    Attributes:
        failures: int64 [L, 2].
    """

    def __init__(
        self, origin: Origin, network: Network, *, failures: IntArray, lost: int, second: Second, weight_max: int
    ) -> None:
        failures.flags.writeable = False  # from the beginning: numba compiles anew for an array that becomes read-only
        self.failures, self._lost, self._second = failures, lost, second
        self._failure_lists = model.as_links(failures)
        kind = Kind.BINARY if weight_max == 2 else Kind.INTEGER
        worst = " in the worst case of one failed line" if failures.size else ""
        objectives = [utilization_objective(f"Load over capacity of the busiest link{worst}.")]
        if second == "mean_delay":
            objectives.append(
                Objective(
                    "mean_delay",
                    Sense.MINIMIZE,
                    "ms",
                    "Propagation delay that a unit of traffic meets on average, without failures.",
                    scale=1e-6,
                    axis="Mean delay",
                )
            )
        elif second == "changes":
            told = "Links whose weight differs from the one in use: each change disturbs the network."
            objectives.append(Objective("changes", Sense.MINIMIZE, "links", told, axis="Changed weights"))
        super().__init__(
            origin,
            network,
            Space.of(Variable(f"{name}.weight", 1.0, float(weight_max), kind=kind) for name in network.link_names),
            tuple(objectives),
        )
        self._graph: Graph | None = None
        self._states: list[State] = []  # room that earlier calls have left, one per thread at work

    def arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        """Links, demands, the weights in use, and failures."""
        return {**super().arrays(), "failures": self.failures}

    def describe(self) -> Description:
        """The instance in words."""
        n = self.network
        failures, lost = len(self.failures), self._lost
        told = f" Counted is the worst of {failures} failures of a single line, and none." if failures else ""
        told += f" {lost} lines are left out: without them a demand has no path." if lost else ""
        return Description(
            f"Every router of the network {n.name} sends traffic along shortest paths by link weights, in equal parts where "
            "several are shortest. Choose one whole weight per directed link so that the busiest link is used as little as "
            f"possible. One weight moves many demands at once, often all or nothing.{told}",
            (f"Weights are whole numbers from 1 to {self.space.upper[0]:g}.",),
            self.network_facts(),
            (
                "A larger weight drives traffic off a link, a smaller one attracts it; only differences between paths count.",
                "Two paths of the same length share a demand equally: making them equal is the only way to split it.",
                "Raise weights at the busiest link, and lower those along idle detours around it.",
                "All weights times the same number route alike.",
            ),
        )

    def null_policies(self) -> Mapping[str, FloatArray]:
        """``unit`` (fewest hops), ``inverse_capacity`` (vendors' default) and ``today``, the weights in use."""
        top = self.space.upper
        return {
            "unit": np.ones((1, self.space.dim)),
            "inverse_capacity": np.minimum(inverse_capacity(self.network), top)[None, :],
            "today": np.minimum(self.network.weight, top)[None, :],
        }

    def metrics(self) -> tuple[Metric, ...]:
        """``utilization`` of every link and ``mean_delay``."""
        return goals.metrics(self.network, failures=bool(self.failures.size))

    def metric_values(self, X: FloatArray) -> Mapping[str, FloatArray]:
        """The metrics at weights float64 [n, E]."""
        return goals.metric_values(X, self.network, self._failure_lists)

    def satisfiable(self, bounds: tuple[Bound, ...]) -> Feasibility:
        """No for limits that even the optimal flow cannot keep."""
        return goals.feasibility(self.network, bounds)

    def link_loads(self, X: FloatArray) -> FloatArray:
        """Load of every link in the worst of the failures that count, float64 [n, E]; charged to a run as evaluations.

        Args:
            X: float64 [n, E], weights.
        """
        from optisolve.problems.traffic_engineering.kernels import loads

        points = self.space.require(X)
        if (counted := looking(self)) is not None:
            counted(points, source="loads")
        with unwatched(), self._routing() as (graph, state):
            worst = np.empty(points.shape)
            loads(np.array(points), graph, state, self.failures, worst)
        return worst

    def link_use(self, x: FloatArray) -> FloatArray:
        """Utilization of every link, the worst failure counts, float64 [E]."""
        return model.utilization(self.network, x, self._failure_lists)

    # -- evaluation ----------------------------------------------------------------------------------------------

    @contextmanager
    def _routing(self) -> Iterator[tuple[Graph, State]]:
        """What the kernel needs: the network, and the routing of an earlier call, from which it goes on.

        Values do not depend on where it goes on from, see `kernels`, so that they are the same in any order and any thread.
        """
        from optisolve.problems.traffic_engineering.routing import Graph, state_of

        if self._graph is None:
            n = self.network
            out_at, out_link = _by_node(n.tail, len(n.nodes))
            in_at, in_link = _by_node(n.head, len(n.nodes))
            target = np.flatnonzero(n.demand.any(axis=0))
            demand = frozen(n.demand[:, target].T)
            self._graph = Graph(n.tail, n.head, out_at, out_link, in_at, in_link, target, demand, n.capacity)
        try:
            state = self._states.pop()
        except IndexError:
            state = state_of(self._graph)
        yield self._graph, state
        self._states.append(state)  # not after an error, which may have left it halfway

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_graph": None, "_states": []}

    def _evaluate(self, X: FloatArray) -> Evaluation:
        from optisolve.problems.traffic_engineering.kernels import evaluate

        F = np.empty((X.shape[0], len(self.objectives)))
        today = self.network.weight.astype(np.int64)
        with self._routing() as (graph, state):
            evaluate(np.array(X), graph, state, self.failures, self.network.delay_ms, today, _SECONDS[self._second], F)
        return Evaluation(F, np.empty((X.shape[0], 0)), np.empty((X.shape[0], 0)))

    def _evaluate_twin(self, X: FloatArray) -> Evaluation:
        n, F = self.network, np.empty((X.shape[0], len(self.objectives)))
        for row, weight in enumerate(X):
            F[row, 0] = model.utilization(n, weight, self._failure_lists).max()
            if self._second == "mean_delay":
                F[row, 1] = model.link_loads(n, weight) @ n.delay_ms / n.demand.sum()
            elif self._second == "changes":
                F[row, 1] = (weight != n.weight).sum()
        return Evaluation(F, np.empty((X.shape[0], 0)), np.empty((X.shape[0], 0)))


def _by_node(end: IntArray, n_nodes: int) -> tuple[IntArray, IntArray]:
    """Links sorted by the node at one end, and where each node's begin, int64 [N + 1]."""
    at = np.concatenate([[0], np.cumsum(np.bincount(end, minlength=n_nodes))])
    return at.astype(np.int64), np.argsort(end, kind="stable").astype(np.int64)
