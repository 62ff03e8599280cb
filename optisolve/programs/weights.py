"""Skeleton for routing weights: which weight is changed next in a local search."""

from __future__ import annotations

from collections import Counter
from typing import ClassVar

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.capabilities import RoutingWeights, capability_gap
from optisolve.core.problem import Instance
from optisolve.programs.language import Feature, Kind
from optisolve.programs.program import Machine, Program
from optisolve.programs.skeleton import Answering, rules

__all__ = ["Weights"]

_S, _V = Kind.SCALAR, Kind.VECTOR

_NORM = 24
"""Norm of the utilizations that is searched, as in `weight_search`: near the largest, but two links count more than one."""
_MEMORY, _PATIENCE, _KICK, _ROOM = 10, 50, 2, 8.0
"""As in `weight_search`: steps of late acceptance, looks without progress, weights drawn anew then, factor of a start."""
_GAIN = 1e-9
"""Relative progress that counts."""


class Weights(Answering):
    """Local search: the best-scored change of one link weight is looked at, and kept when it is no worse than ten looks ago.

    Items are changes of one weight that lead other traffic over its link, to first order: the nearest three weights in either
    direction at which the link ties with another way, or just beyond. The search begins with the best of equal weights, inverse
    capacities and the weights in use; after 50 looks without progress it goes back to the best ones with two drawn anew.
    Nothing is looked at twice, and every look at loads is charged as an evaluation. Chance is the same in every answer.
    """

    name: ClassVar = "weights"
    summary: ClassVar = "traffic_engineering: which link gets which weight next"
    looks: ClassVar = True
    features: ClassVar = (
        Feature("use", _V, "1", "utilization of the link over that of the busiest one"),
        Feature("capacity", _V, "1", "capacity of the link over the largest one"),
        Feature("weight", _V, "1", "weight of the link over the mean weight"),
        Feature("step", _V, "1", "change of the weight over the mean weight; above 0 it drives traffic off the link"),
        Feature("shift", _V, "1", "rise of the link's utilization over the largest one, to first order"),
        Feature("moved", _V, "1", "traffic that changes its way over the load of the busiest link, to first order"),
        Feature("relief", _V, "1", "part of the busiest link's load that leaves it, to first order"),
        Feature("full", _V, "1", "utilization of the fullest link on the traffic's new way over the largest one"),
        Feature("after", _V, "1", "the same when the traffic is on it, over the largest one now; an estimate from above"),
        Feature("refused", _V, "1", "n / (n + 1) where this link was refused this weight n times"),
        Feature("tried", _V, "1", "share of the looks so far that changed this link"),
        Feature("noise", _V, "1", "uniform random number in [0, 1), one per change, drawn anew before every look"),
        Feature("done", _S, "1", "share of the looks that are used"),
        Feature("stuck", _S, "1", "looks without progress over those that are borne"),
        Feature("level", _S, "1", "mean utilization over the largest one"),
        Feature("n_links", _S, "1", "number of links"),
    )
    hand: ClassVar = rules(
        detour=(
            "(where relief (* (- noise refused) (- 1.02 after)) (- noise 3))",
            "drawn among those that relieve the busiest link, by the room that is left then; after weight_search",
        ),
        room=("(* relief (- 1.02 full))", "what relieves the busiest link over ways with room now; ours"),
        relief=("relief", "what relieves the busiest link most, wherever it goes"),
        busiest=("(* use (sign step))", "a larger weight of the busiest link; after Fortz and Thorup 2000"),
        blind=("noise", "any change, the control"),
    )

    @classmethod
    def gap(cls, instance: Instance) -> str | None:
        """Needs link weights to choose, and one objective."""
        reason = capability_gap(instance, RoutingWeights)
        if reason is not None:
            return reason
        return f"the skeleton {cls.name} treats one objective" if len(instance.objectives) > 1 else None

    @classmethod
    def n_items(cls, instance: Instance) -> int:
        """Largest number of changes to choose from."""
        from optisolve.programs.weights_kernels import MOVES_PER_LINK

        return MOVES_PER_LINK * instance.space.dim

    @classmethod
    def answer(cls, program: Program, instance: Instance, rounds: int) -> FloatArray:
        """The best weights of as many looks as there are rounds, float64 [E]."""
        walk = _Walk(program, instance, rounds)
        while walk.looked < rounds and walk.step():
            pass
        return walk.best


class _Walk:
    """Where a search stands.

    Args:
        program: What scores changes.
        instance: The network.
        rounds: Looks at loads at most.

    Attributes:
        best: float64 [E], the best weights so far.
        looked: Looks so far.
    """

    def __init__(self, program: Program, instance: Instance, rounds: int) -> None:
        from optisolve.programs.weights_kernels import MOVES_PER_LINK, N_TOLD

        assert isinstance(instance, RoutingWeights)
        self._routing, self._rounds, self._space = instance, rounds, instance.space
        self._capacity, self._demand = np.array(instance.link_capacity), np.array(instance.demand_matrix())
        self._tail, self._head = np.array(instance.link_tail), np.array(instance.link_head)
        n_nodes, n_links = len(self._demand), self._tail.size
        self._out_at = np.searchsorted(np.sort(self._tail), np.arange(n_nodes + 1)).astype(np.int64)
        self._out_link = np.argsort(self._tail, kind="stable").astype(np.int64)
        self._top = float(self._space.upper.min())
        n = MOVES_PER_LINK * n_links
        self._machine, self._rng = Machine(program, n), np.random.default_rng(0)
        self._by_pair = np.empty((5, n_nodes, n_nodes))  # distance, flow, passing, full, narrow
        self._onto = np.empty((n_nodes, n_links))
        self._link, self._value, self._told = np.empty(n, dtype=np.int64), np.empty(n), np.empty((N_TOLD, n))
        self._vectors, self._scalars = np.empty((N_TOLD + 3, n)), np.array([0.0, 0.0, 0.0, float(n_links)])
        self._matrices = np.zeros((0, 1, 1))
        self._tried, self._known, self._since = np.zeros(n_links), set[bytes](), 0
        self._refused = Counter[tuple[int, float]]()
        self.looked = 0
        self._begin()

    def _begin(self) -> None:
        """Stand at the best of the trivial weights."""
        routing, top = self._routing, self._space.upper
        trivial = [np.minimum(routing.weight_today, top), np.ones(top.size)]
        trivial.append(np.minimum(np.rint(self._capacity.max() / self._capacity), top))
        starts = list({row.tobytes(): row for row in trivial}.values())[: max(1, self._rounds)]
        self.best = starts[0]
        if not self._rounds:
            return
        uses = [self._look(row) for row in starts]
        costs = [_cost(use) for use in uses]
        first = int(np.argmin(costs))
        self.best = starts[first]
        # a common factor routes alike, and leaves weights between them and below the smallest
        weight = self.best * max(1.0, min(_ROOM, np.floor(self._top / self.best.max())))
        self._low = self._best_cost = costs[first]
        self._at_best = weight
        self._known.add(weight.tobytes())
        self._stand(weight, uses[first], costs[first])
        self._recent = [self._cost] * _MEMORY

    def step(self) -> bool:
        """Look at one change; False when there is nothing left to look at."""
        found = self._chosen()
        if found is None:
            return self._kick()
        weight, link, move = found
        use = self._look(weight)
        self._tried[link] += 1.0
        cost, slot = _cost(use), self.looked % _MEMORY
        if cost <= max(self._recent[slot], self._cost):
            self._stand(weight, use, cost)
        else:
            self._refused[link, float(weight[link])] += 1
            self._refusals[move] += 1.0
        self._recent[slot] = self._cost
        self._keep()
        return self._kick() if self._since >= _PATIENCE else True

    def _chosen(self) -> tuple[FloatArray, int, int] | None:
        """The weights of the best-scored change that was not looked at, its link and its place; None where there is none."""
        from optisolve.programs.interpreter import execute

        n, vectors, scalars = self._n, self._vectors[:, : self._n], self._scalars
        vectors[:-3] = self._told[:, :n]
        vectors[-3] = self._refusals / (self._refusals + 1.0)
        vectors[-2] = self._tried[self._link[:n]] / max(1, self.looked)
        vectors[-1] = self._rng.random(n)
        scalars[0], scalars[1] = self.looked / self._rounds, self._since / _PATIENCE
        machine = self._machine
        codes, room = machine.codes, (machine.registers, machine.stack)
        execute(codes.instructions, codes.numbers, scalars, np.ascontiguousarray(vectors), self._matrices, *room, n)
        for move in np.argsort(-machine.stack[0, :n], kind="stable"):
            weight, link = self._weight.copy(), int(self._link[move])
            weight[link] = self._value[move]
            if weight.tobytes() not in self._known:
                return weight, link, int(move)
        return None

    def _kick(self) -> bool:
        """Go to the best weights with some of them drawn anew, and look at that; False when nothing new is drawn."""
        for _ in range(_PATIENCE):
            weight = self._at_best.copy()
            links = self._rng.choice(weight.size, size=min(_KICK, weight.size), replace=False)
            weight[links] = np.minimum(self._rng.integers(1, int(weight.max()) + 2, links.size), self._top)
            if weight.tobytes() not in self._known:
                break
        else:
            return False
        if self.looked < self._rounds:
            use = self._look(weight)
            self._stand(weight, use, _cost(use))
            self._low, self._since = np.inf, 0
            self._keep()
            self._recent = [self._cost] * _MEMORY
        return True

    def _keep(self) -> None:
        """Remember where the search stands, when it is the best so far."""
        self._since += 1
        if self._cost < self._low * (1.0 - _GAIN):
            self._low, self._since = self._cost, 0
        if self._cost < self._best_cost * (1.0 - _GAIN):
            self.best, self._at_best, self._best_cost = self._weight, self._weight, self._cost

    def _stand(self, weight: FloatArray, use: FloatArray, cost: float) -> None:
        """Go somewhere: traffic in detail, and the changes from there."""
        from optisolve.programs.weights_kernels import moves, routed

        self._weight, self._cost, busy = weight, cost, int(use.argmax())
        distance, flow, passing, full, narrow = self._by_pair
        graph = (self._tail, self._head, self._out_at, self._out_link)
        detail = (distance, flow, self._onto, passing, full, narrow)
        routed(*graph, self._capacity, self._demand, weight, use, busy, *detail)
        into = (self._link, self._value, self._told)
        self._n = moves(*graph, self._capacity, weight, use, busy, self._top, *detail, *into)
        pairs = zip(self._link[: self._n].tolist(), self._value[: self._n].tolist(), strict=True)
        self._refusals = np.array([self._refused.get(pair, 0) for pair in pairs], dtype=np.float64)
        self._scalars[2] = use.mean() / use.max()

    def _look(self, weight: FloatArray) -> FloatArray:
        """Utilizations of the links, float64 [E]."""
        self.looked += 1
        self._known.add(weight.tobytes())
        use: FloatArray = self._routing.link_loads(weight[None, :])[0] / self._capacity
        return use


def _cost(use: FloatArray) -> float:
    """The norm of the utilizations that is searched."""
    largest = max(float(use.max()), 1e-300)
    return float(largest * ((use / largest) ** _NORM).sum() ** (1.0 / _NORM))
