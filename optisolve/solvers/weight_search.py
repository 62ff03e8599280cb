"""Routing weights by local search: busy links relieved at the weights where paths change, from a linear program's prices."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Interval

from optisolve.core.arrays import FloatArray
from optisolve.core.capabilities import RoutingWeights
from optisolve.core.errors import BudgetExhausted
from optisolve.core.problem import Instance
from optisolve.core.solver import Feature, Outcome, Solver, SolverInfo, Task, require_stopping_rule
from optisolve.core.status import Termination
from optisolve.modelling.network_flow import Traffic, best_prices, distances, price_bound

__all__ = ["WeightSearch"]

_POWER = 24
"""Norm of the utilizations that is searched: near the largest, but two busy links count more than one."""
_MET = 1e-6
"""Relative distance to the bound up to which a point is optimal."""
_ROOM = 8.0
"""What the weights of a start are multiplied by, so that there are weights between them and below the smallest."""
_SIZES = (8.0, 24.0, 80.0, 250.0)
"""Largest weights that prices are scaled to."""
_BUSY, _IDLE = 0.6, 0.95
"""Shares of the moves that are no detours: busy links up, then idle ones down; the rest are any."""
_HOPE = 0.02
"""Part of the utilizations that is forgiven, so that a way beside the busiest link is not ruled out."""
_NEXT = 6
"""Weights at which paths change that a move chooses from, those next to the one in use."""


@dataclass(frozen=True, slots=True)
class WeightSearch(Solver):
    """Change one weight at a time, accept what is no worse than some steps ago, start again from the best when nothing helps.

    A move leads a demand around a busy link, by a smaller weight of a link beside its path, or raises a busy link's weight, or
    lowers an idle one's. New weights are those at which some demand's paths change: just beside a tie, or at it, where a demand
    is split. Looks at loads are charged as evaluations.

    Args:
        prices: Begin also with weights made of the optimal prices of the multi-commodity flow, whose bound tells when to stop.
        detours: Share of the moves that lead a demand around a busy link.
        batch: Moves that are evaluated at once; the best is taken.
        memory: A move is accepted when it is no worse than this many steps ago (late acceptance).
        patience: Steps without a better point before the search goes back to the best one, with some weights changed at random.
        kick: How many.
    """

    info: ClassVar[SolverInfo] = SolverInfo(
        name="weight_search",
        version="1",
        summary="Local search over link weights from the prices of a linear program, at the weights where paths change.",
        supports=frozenset({Feature.SINGLE_OBJECTIVE, Feature.INTEGER}),
        requires=(RoutingWeights,),
        citation="Fortz and Thorup 2000, doi 10.1109/INFCOM.2000.832225; late acceptance: Burke and Bykov 2017, "
        "doi 10.1016/j.ejor.2016.07.012; prices as weights: Wang, Wang and Zhang 2001, doi 10.1109/INFCOM.2001.916782",
    )

    prices: bool = True
    detours: Annotated[float, Interval(ge=0.0, le=1.0)] = 0.4
    batch: Annotated[int, Ge(1)] = 1
    memory: Annotated[int, Ge(1)] = 30
    patience: Annotated[int, Ge(1)] = 200
    kick: Annotated[int, Ge(1)] = 3

    def takes_start(self, instance: Instance) -> bool:
        """The search goes on from the best of the weights that are given."""
        return True

    def _solve(self, task: Task) -> Outcome:
        require_stopping_rule(task)
        routing = task.instance
        assert isinstance(routing, RoutingWeights)
        traffic = Traffic(routing.link_tail, routing.link_head, routing.link_capacity, routing.demand_matrix())
        prices = best_prices(traffic) if self.prices else None
        bound = 0.0 if prices is None else price_bound(traffic, prices)
        search = _Search(task, traffic, bound, self)
        try:
            outcome = search.run(self._starts(task, routing, prices))
        except BudgetExhausted as stop:
            outcome = task.outcome(Termination.LIMIT, stop.limit)
        return replace(outcome, report={"steps": search.steps, "kicks": search.kicks}, dual_bound=bound or None)

    def _starts(self, task: Task, routing: RoutingWeights, prices: FloatArray | None) -> FloatArray:
        """The user's points, trivial answers and prices as weights, float64 [n, E]."""
        space = task.instance.space
        rows = [space.clip(task.start)] if task.warm_start is not None else []
        trivial = np.stack([np.ones(space.dim), routing.weight_today, _inverse(routing.link_capacity)])
        rows.append(space.clip(np.unique(trivial, axis=0)))
        if prices is not None:
            rows.append(space.clip(np.stack([1.0 + prices * size for size in _SIZES])))
        return np.concatenate(rows)


def _inverse(capacity: FloatArray) -> FloatArray:
    return np.asarray(capacity.max() / capacity)


@dataclass(slots=True)
class _Search:
    """One run.

    Attributes:
        task: The run's task.
        traffic: Links and demands.
        bound: What no routing can beat; 0 when it is not known.
        options: The solver.
    """

    task: Task
    traffic: Traffic
    bound: float
    options: WeightSearch
    steps: int = 0
    kicks: int = 0
    top: float = 0.0
    rng: np.random.Generator = field(init=False)
    distance: FloatArray | None = None
    weight: FloatArray = field(init=False)
    use: FloatArray = field(init=False)
    out: list[list[int]] = field(init=False)

    def run(self, starts: FloatArray) -> Outcome:
        """Search until the budget is spent or the bound is met."""
        self.out = [np.flatnonzero(self.traffic.tail == node).tolist() for node in range(len(self.traffic.demand))]
        self.rng, self.top = self.task.rng(purpose="moves"), float(self.task.instance.space.upper.min())
        used = self._look(starts)
        first = int(np.argmin(_costs(used)))
        room = max(1.0, min(_ROOM, np.floor(self.top / starts[first].max())))
        self._go(starts[first] * room, used[first])  # a common factor routes alike
        best, best_use = self.weight, self.use
        recent = [float(_costs(self.use[None, :])[0])] * self.options.memory
        since = 0
        while not self._met(best_use):
            moves = self._moves()
            used = self._look(moves)
            costs = _costs(used)
            k = int(np.argmin(costs))
            late = recent[self.steps % len(recent)]
            here = float(_costs(self.use[None, :])[0])
            if costs[k] <= max(late, here):
                self._go(moves[k], used[k])
                here = float(costs[k])
            recent[self.steps % len(recent)] = here
            self.steps += 1
            since += 1
            if here < float(_costs(best_use[None, :])[0]) * (1.0 - 1e-9):
                best, best_use, since = self.weight, self.use, 0
            elif since >= self.options.patience:
                self._go(*self._kicked(best))
                recent = [float(_costs(self.use[None, :])[0])] * len(recent)
                since = 0
        return self.task.outcome(Termination.OPTIMAL)

    def _met(self, use: FloatArray) -> bool:
        return bool(use.max() <= self.bound * (1.0 + _MET))

    def _look(self, weights: FloatArray) -> FloatArray:
        """Utilizations of the links, float64 [n, E], as far as evaluations are left."""
        left = self.task.meter.remaining_evaluations
        assert isinstance(self.task.instance, RoutingWeights)
        return self.task.instance.link_loads(weights[: max(1, min(len(weights), left))]) / self.traffic.capacity

    def _go(self, weight: FloatArray, use: FloatArray) -> None:
        self.weight, self.use, self.distance = weight, use, None

    def _kicked(self, best: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The best weights with some changed at random, and its utilizations."""
        self.kicks += 1
        weight = best.copy()
        links = self.rng.choice(weight.size, size=min(self.options.kick, weight.size), replace=False)
        weight[links] = self.rng.integers(1, int(best.max()) + 2, links.size)
        weight = np.minimum(weight, self.top)
        return weight, self._look(weight[None, :])[0]

    # -- moves -----------------------------------------------------------------------------------------------------

    def _moves(self) -> FloatArray:
        """Weights with one changed, float64 [batch, E]."""
        made = np.repeat(self.weight[None, :], self.options.batch, axis=0)
        for row in made:
            link, value = self._move()
            row[link] = value
        return made

    def _move(self) -> tuple[int, float]:
        """A link and its new weight: a way around a busy one made shorter, a busy one longer, an idle one shorter, or any."""
        share = self.use / self.use.max()
        if self.rng.random() < self.options.detours and (found := self._detour(share)) is not None:
            return found
        draw = self.rng.random()
        if draw < _BUSY:
            link, up = self._drawn(share**_POWER), True
        elif draw < _IDLE:
            link, up = self._drawn(1.0 - share), False
        else:
            link, up = int(self.rng.integers(share.size)), bool(self.rng.random() < 0.5)
        now, turns = self.weight[link], self._turns(link)
        values = np.unique(np.concatenate([turns, turns + (1.0 if up else -1.0)]))
        values = values[(values > now if up else values < now) & (values >= 1.0) & (values <= self.top)]
        if not values.size:
            step = float(self.rng.integers(1, 1 + max(1, int(now) // 2)))
            return link, float(np.clip(now + step if up else now - step, 1.0, self.top))
        near = values[:_NEXT] if up else values[::-1][:_NEXT]
        return link, float(self.rng.choice(near))

    def _detour(self, share: FloatArray) -> tuple[int, float] | None:
        """A link that leads a demand around a busy one, and its weight at a tie or just below; None when no weight does.

        The demand is drawn by its volume among those that may use the busy link, then its path to that link, and of all links
        that leave this path those are likely whose way on to the target has room.
        """
        busy, demand, reach = self._drawn(share**_POWER), self.traffic.demand, self._reach()
        tail, head = int(self.traffic.tail[busy]), int(self.traffic.head[busy])
        uses = reach[:, tail, None] + self.weight[busy] + reach[head] == reach
        pair = self._drawn(np.where(uses, demand, 0.0).ravel())
        node, target = divmod(pair, len(demand))
        if not uses[node, target] or demand[node, target] <= 0.0:
            return None
        moves: list[tuple[int, float, float]] = []
        while True:
            ahead = busy if node == tail else self._next(node, tail)
            for link in self.out[node]:
                tie = float(reach[node, target] - reach[self.traffic.head[link], target])
                room = 0.0 if link == ahead else 1.0 - self._fullest(link, target, busy, share)
                if room > 0.0:
                    moves += [(link, w, room) for w in (tie, tie - 1.0) if 1.0 <= w < self.weight[link]]
            if node == tail:
                break
            node = int(self.traffic.head[ahead])
        if not moves:
            return None
        link, weight, _ = moves[self._drawn(np.array([room for _, _, room in moves]))]
        return link, weight

    def _next(self, node: int, target: int) -> int:
        """A shortest link from a node towards another one, drawn where there are several."""
        reach, head = self._reach(), self.traffic.head
        shortest = [e for e in self.out[node] if self.weight[e] + reach[head[e], target] == reach[node, target]]
        return shortest[int(self.rng.integers(len(shortest)))]

    def _fullest(self, link: int, target: int, busy: int, share: FloatArray) -> float:
        """The largest utilization on a link and a shortest path from its end to a target; 1 where the busy link is on it."""
        reach, head, most = self._reach(), self.traffic.head, float(share[link])
        node = int(head[link])
        while node != target:
            onward = [e for e in self.out[node] if self.weight[e] + reach[head[e], target] == reach[node, target]]
            if not onward or busy in onward:
                return 1.0
            most = max(most, float(share[onward[0]]))
            node = int(head[onward[0]])
        return most * (1.0 - _HOPE)

    def _reach(self) -> FloatArray:
        """Shortest distances under the weights where the search stands, float64 [N, N]."""
        if self.distance is None:
            self.distance = distances(self.traffic, self.weight, np.arange(len(self.traffic.demand)))
        return self.distance

    def _drawn(self, chance: FloatArray) -> int:
        """A link, drawn in proportion."""
        total = np.cumsum(chance)
        return int(np.searchsorted(total, self.rng.random() * total[-1], side="right").clip(0, chance.size - 1))

    def _turns(self, link: int) -> FloatArray:
        """Weights of a link at which it ties with the best other way out of its tail, for some target."""
        reach = self._reach()
        tail, head = int(self.traffic.tail[link]), int(self.traffic.head[link])
        others = np.flatnonzero(self.traffic.tail == tail)
        others = others[others != link]
        if not others.size:
            return np.empty(0)
        ways = self.weight[others, None] + reach[self.traffic.head[others]]  # [others, N]
        tie = ways.min(axis=0) - reach[head]
        received = np.asarray(self.traffic.demand.any(axis=0))
        received[tail] = False
        return np.unique(tie[received & np.isfinite(tie)])


def _costs(use: FloatArray) -> FloatArray:
    """The norm of the utilizations that is searched, float64 [n]."""
    largest = use.max(axis=1)
    costs: FloatArray = largest * ((use / largest[:, None]) ** _POWER).sum(axis=1) ** (1.0 / _POWER)
    return costs
