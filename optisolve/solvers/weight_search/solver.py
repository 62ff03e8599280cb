"""Routing weights by local search: block by block, busy links relieved at the weights where paths change."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Interval

from optisolve.core.arrays import FloatArray
from optisolve.core.budget import BudgetMeter
from optisolve.core.capabilities import RoutingWeights
from optisolve.core.clock import limited
from optisolve.core.errors import BudgetExhausted
from optisolve.core.problem import Instance
from optisolve.core.solver import Feature, Outcome, Solver, SolverInfo, Task, require_stopping_rule
from optisolve.core.status import Termination
from optisolve.modelling.network_blocks import Block, blocks
from optisolve.modelling.network_flow import Traffic, best_prices, marginal_costs, price_bound
from optisolve.solvers.weight_search.moves import Moves, Place

__all__ = ["WeightSearch"]

_POWER = 24
"""Norm of the utilizations that is searched: near the largest, but two busy links count more than one."""
_MET = 1e-6
"""Relative distance to what is proven up to which a point is optimal."""
_GAIN = 1e-9
"""Relative progress that counts."""
_ROOM = 8.0
"""What the weights of a start are multiplied by, so that there are weights between them and below the smallest."""
_LEAST = 10.0
"""Weight of the link with the least marginal cost, in the start that is made of them."""
_TRIES = 30
"""Moves drawn in search of a routing that was not looked at, before the search goes elsewhere."""
_DRY = 200
"""How often that may fail in all before a block counts as searched through."""


@dataclass(frozen=True, slots=True)
class WeightSearch(Solver):
    """Change one weight at a time, accept what is no worse than some steps ago, start again from the best when nothing helps.

    The network falls into blocks whose weights do not decide anything in each other; the one with the busiest link is searched.
    A move leads a demand around a busy link, by a smaller weight of a link beside its path, or raises a busy link's weight, or
    lowers an idle one's. New weights are those at which some demand's paths change: just beside a tie, or at it, where a demand
    is split. A routing with the same shortest paths as one before is not looked at again; paths tell that, not loads. Looks at
    loads are charged as evaluations.

    Args:
        prices: Begin also with weights made of what a flow of least cost says that links cost, and stop at the bound of the
            optimal flow; both take a linear program.
        detours: Share of the moves that lead a demand around a busy link.
        memory: A move is accepted when it is no worse than this many steps ago (late acceptance).
        patience: Steps without progress before the search goes back to the best point, with some weights changed at random.
        kick: How many.
    """

    info: ClassVar[SolverInfo] = SolverInfo(
        name="weight_search",
        version="1",
        summary="Local search over link weights from a linear program's costs, at the weights where paths change.",
        supports=frozenset({Feature.SINGLE_OBJECTIVE, Feature.INTEGER}),
        requires=(RoutingWeights,),
        citation="Fortz and Thorup 2000, doi 10.1109/INFCOM.2000.832225; late acceptance: Burke and Bykov 2017, "
        "doi 10.1016/j.ejor.2016.07.012; duals as weights: Wang, Wang and Zhang 2001, doi 10.1109/INFCOM.2001.916782",
    )

    prices: bool = True
    detours: Annotated[float, Interval(ge=0.0, le=1.0)] = 0.4
    memory: Annotated[int, Ge(1)] = 10
    patience: Annotated[int, Ge(1)] = 50
    kick: Annotated[int, Ge(1)] = 2

    def takes_start(self, instance: Instance) -> bool:
        """The search goes on from the best of the weights that are given."""
        return True

    def _solve(self, task: Task) -> Outcome:
        require_stopping_rule(task)
        routing = task.instance
        assert isinstance(routing, RoutingWeights)
        traffic = Traffic(routing.link_tail, routing.link_head, routing.link_capacity, routing.demand_matrix())
        with _some_time(task.meter):
            bound = price_bound(traffic, best_prices(traffic)) if self.prices else 0.0
        search = _Search(task, routing, traffic, blocks(traffic), bound, self)
        with _some_time(task.meter):
            starts = self._starts(task, routing, search)
        try:
            outcome = search.run(starts)
        except BudgetExhausted as stop:
            outcome = task.outcome(Termination.LIMIT, stop.limit)
        report = {"steps": search.steps, "kicks": search.kicks, "blocks": len(search.parts)}
        return replace(outcome, report=report, dual_bound=search.bound or None)

    def _starts(self, task: Task, routing: RoutingWeights, search: _Search) -> FloatArray:
        """The user's points, trivial answers and marginal costs as weights, float64 [n, E]."""
        space = task.instance.space
        rows = [space.clip(task.start)] if task.warm_start is not None else []
        trivial = np.stack([np.ones(space.dim), routing.weight_today, routing.link_capacity.max() / routing.link_capacity])
        rows.append(space.clip(np.unique(np.rint(trivial), axis=0)))
        if self.prices:
            weight = np.full(space.dim, _LEAST)
            for part in search.parts:
                costs = marginal_costs(part.block.traffic, search.bound)
                if costs is not None:
                    weight[part.block.links] = np.rint(_LEAST * costs)
            rows.append(space.clip(weight[None, :]))
        return np.concatenate(rows)


def _some_time(meter: BudgetMeter) -> AbstractContextManager[None]:
    """A third of the time that is left, for linear programs: without one nothing would be evaluated where they are large."""
    seconds = meter.budget.seconds
    return nullcontext() if seconds is None else limited(max(0.0, seconds - meter.elapsed_s) / 3.0)


@dataclass(slots=True)
class _Part:
    """The search in one block.

    Attributes:
        block: Links and demands.
        moves: Its moves.
        known: Utilizations of the routings that were looked at, by signature.
        recent: Costs of the last steps.
        steps: Steps so far.
        since: Steps without a point below `low`.
        low: Least cost since the search was last sent elsewhere.
        dry: How often no new routing was found.
        at: Where the search stands.
        best: The best place so far.
    """

    block: Block
    moves: Moves
    known: dict[bytes, FloatArray] = field(default_factory=dict)
    recent: list[float] = field(default_factory=list)
    steps: int = 0
    since: int = 0
    low: float = np.inf
    dry: int = 0
    at: Place = field(init=False)
    best: Place = field(init=False)


@dataclass(slots=True)
class _Search:
    """One run.

    Attributes:
        task: The run's task.
        routing: Its instance.
        traffic: Links and demands.
        bound: What no routing can beat; 0 when it is not known.
        options: The solver.
        parts: Blocks in which there is something to decide.
        weight: float64 [E], the best of each block put together.
    """

    task: Task
    routing: RoutingWeights
    traffic: Traffic
    found: tuple[Block, ...]
    bound: float
    options: WeightSearch
    kicks: int = 0
    parts: list[_Part] = field(init=False)
    rng: np.random.Generator = field(init=False)
    top: float = field(init=False)
    weight: FloatArray = field(init=False)

    def __post_init__(self) -> None:
        self.rng, self.top = self.task.rng(purpose="moves"), float(self.task.instance.space.upper.min())
        by_weights = bool(self.routing.failures.size)
        self.parts = [
            _Part(block, Moves(block.traffic, self.top, self.options.detours, by_weights, self.rng)) for block in self.found
        ]

    @property
    def steps(self) -> int:
        """Steps in all blocks."""
        return sum(part.steps for part in self.parts)

    def run(self, starts: FloatArray) -> Outcome:
        """Search until the budget is spent, what is proven is met or nothing new is found."""
        rest = self._begin(starts)
        self.bound = max(self.bound, rest * (1.0 - 1e-12))  # single lines carry the same whatever the weights
        while self.parts:
            part = max(self.parts, key=lambda part: float(part.best.use.max()))
            if part.best.use.max() <= self.bound * (1.0 + _MET):
                break
            if part.dry >= _DRY:
                return self.task.outcome(Termination.CONVERGED)
            self._step(part)
        return self.task.outcome(Termination.OPTIMAL)

    def _begin(self, starts: FloatArray) -> float:
        """Put every block at its best start; returns the largest utilization of the links in no block."""
        used = self._look(starts)
        self.weight = starts[int(np.argmin(_costs(used)))].copy()
        decided = np.zeros(self.traffic.tail.size, dtype=bool)
        chosen = set()
        for part in self.parts:
            links, traffic = part.block.links, part.block.traffic
            decided[links] = True
            if not traffic.demand.any():
                continue
            first = int(np.argmin(_costs(used[:, links])))
            chosen.add(first)
            row = starts[first, links]
            row = row * max(1.0, min(_ROOM, np.floor(self.top / row.max())))  # a common factor routes alike
            part.at = part.best = Place(row, used[first, links], part.moves.reach(row))
            part.low = _cost(part.at.use)
            part.recent = [part.low] * self.options.memory
            for other in range(len(used)):
                self._learn(part, starts[other, links], used[other, links])
            self.weight[links] = row
        self.parts = [part for part in self.parts if part.block.traffic.demand.any()]
        if len(chosen) > 1:
            self._look(self.weight[None, :])  # a point of its own, for the record
        return float(used[0, ~decided].max(initial=0.0))

    def _learn(self, part: _Part, weight: FloatArray, use: FloatArray) -> None:
        part.known[part.moves.signature(weight, part.moves.reach(weight))] = use

    def _step(self, part: _Part) -> None:
        """One new routing of a block is looked at, and accepted or not."""
        place = self._beside(part)
        part.steps += 1
        if place is None:
            part.dry += 1
            self._kick(part)
            return
        here, cost = _cost(part.at.use), _cost(place.use)
        slot = part.steps % len(part.recent)
        if cost <= max(part.recent[slot], here):
            part.at, here = place, cost
        part.recent[slot] = here
        self._keep(part)
        if part.since >= self.options.patience:
            self._kick(part)

    def _beside(self, part: _Part) -> Place | None:
        """A place one move away whose routing is new, and looked at; None when none is drawn."""
        for _ in range(_TRIES):
            link, value = part.moves.draw(part.at)
            weight = part.at.weight.copy()
            weight[link] = value
            reach = part.moves.reach_beside(part.at, link, weight)
            signature = part.moves.signature(weight, reach)
            if signature not in part.known:
                return self._place(part, weight, reach, signature)
        return None

    def _place(self, part: _Part, weight: FloatArray, reach: FloatArray, signature: bytes) -> Place:
        use = part.known.get(signature)
        if use is None:
            whole = self.weight.copy()
            whole[part.block.links] = weight
            use = part.known[signature] = self._look(whole[None, :])[0, part.block.links]
        return Place(weight, use, reach)

    def _keep(self, part: _Part) -> None:
        """Remember the place where the search stands, when it is the best so far."""
        part.since += 1
        cost = _cost(part.at.use)
        if cost < part.low * (1.0 - _GAIN):
            part.low, part.since = cost, 0
        if cost < _cost(part.best.use) * (1.0 - _GAIN):
            part.best = part.at
            self.weight[part.block.links] = part.best.weight

    def _kick(self, part: _Part) -> None:
        """Go to the best place with some weights changed at random."""
        self.kicks += 1
        weight = part.best.weight.copy()
        links = self.rng.choice(weight.size, size=min(self.options.kick, weight.size), replace=False)
        weight[links] = np.minimum(self.rng.integers(1, int(weight.max()) + 2, links.size), self.top)
        reach = part.moves.reach(weight)
        part.at = self._place(part, weight, reach, part.moves.signature(weight, reach))
        part.low = np.inf
        self._keep(part)
        part.recent = [part.low] * len(part.recent)

    def _look(self, weights: FloatArray) -> FloatArray:
        """Utilizations of the links, float64 [n, E], as far as evaluations are left."""
        left = self.task.meter.remaining_evaluations
        return self.routing.link_loads(weights[: max(1, min(len(weights), left))]) / self.traffic.capacity


def _cost(use: FloatArray) -> float:
    return float(_costs(use[None, :])[0])


def _costs(use: FloatArray) -> FloatArray:
    """The norm of the utilizations that is searched, float64 [n]."""
    largest = np.maximum(use.max(axis=1), 1e-300)
    costs: FloatArray = largest * ((use / largest[:, None]) ** _POWER).sum(axis=1) ** (1.0 / _POWER)
    return costs
