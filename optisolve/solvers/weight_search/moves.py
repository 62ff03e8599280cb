"""One changed weight that is likely to relieve a busy link, and how routings are told apart without evaluating them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from optisolve.core.arrays import FloatArray, IntArray
from optisolve.modelling.network_flow import Traffic, distances

__all__ = ["Moves", "Place", "drawn"]

_POWER = 24
"""Sharpness with which busy links are drawn: near the busiest, but the second has a chance."""
_BUSY, _IDLE = 0.6, 0.95
"""Shares of the moves that are no detours: busy links up, then idle ones down; the rest are any."""
_HOPE = 0.02
"""Part of the utilization that is forgiven, so that a way beside the busiest link is not ruled out."""
_NEXT = 6
"""Weights at which paths change that a move chooses from, those next to the one in use."""


@dataclass(frozen=True, eq=False, slots=True)
class Place:
    """Where a search stands in a block.

    Attributes:
        weight: float64 [B], whole.
        use: float64 [B], utilizations.
        reach: float64 [N, N], shortest distances under these weights.
    """

    weight: FloatArray
    use: FloatArray
    reach: FloatArray


@dataclass(slots=True)
class Moves:
    """Moves in one block.

    Args:
        traffic: Its links and demands.
        top: Largest weight.
        detours: Share of the moves that lead a demand around a busy link.
        by_weights: Routings are the same only where all weights are, since failures are looked at that nothing here knows.
        rng: For the draws.
    """

    traffic: Traffic
    top: float
    detours: float
    by_weights: bool
    rng: np.random.Generator
    received: IntArray = field(init=False)
    out: list[list[int]] = field(init=False)

    def __post_init__(self) -> None:
        self.received = np.flatnonzero(self.traffic.demand.any(axis=0))
        self.out = [np.flatnonzero(self.traffic.tail == node).tolist() for node in range(len(self.traffic.demand))]

    def reach(self, weight: FloatArray) -> FloatArray:
        """Shortest distances, float64 [N, N]."""
        return distances(self.traffic, weight, np.arange(len(self.traffic.demand)))

    def reach_beside(self, at: Place, link: int, weight: FloatArray) -> FloatArray:
        """Shortest distances with one other weight; cheap where it has become smaller."""
        if weight[link] > at.weight[link]:
            return self.reach(weight)
        tail, head = self.traffic.tail[link], self.traffic.head[link]
        return np.asarray(np.minimum(at.reach, at.reach[:, tail, None] + weight[link] + at.reach[head]))

    def signature(self, weight: FloatArray, reach: FloatArray) -> bytes:
        """What tells a routing from others: which links are on shortest paths to whom; equal ones load links equally."""
        if self.by_weights:
            return weight.tobytes()
        t = self.traffic
        there = reach[:, self.received]
        return np.packbits(there[t.tail] == weight[:, None] + there[t.head]).tobytes()

    def draw(self, at: Place) -> tuple[int, float]:
        """A link and its new weight: a way around a busy one made shorter, a busy one longer, an idle one shorter, or any."""
        share = at.use / at.use.max()
        if self.rng.random() < self.detours and (found := self._detour(at, share)) is not None:
            return found
        chance = self.rng.random()
        if chance < _BUSY:
            link, up = drawn(self.rng, share**_POWER), True
        elif chance < _IDLE and (share < 1.0).any():
            link, up = drawn(self.rng, 1.0 - share), False
        else:
            link, up = int(self.rng.integers(share.size)), bool(self.rng.random() < 0.5)
        now, turns = at.weight[link], self._turns(at, link)
        values = np.unique(np.concatenate([turns, turns + (1.0 if up else -1.0)]))
        values = values[(values > now if up else values < now) & (values >= 1.0) & (values <= self.top)]
        if not values.size:
            step = float(self.rng.integers(1, 1 + max(1, int(now) // 2)))
            return link, float(np.clip(now + step if up else now - step, 1.0, self.top))
        near = values[:_NEXT] if up else values[::-1][:_NEXT]
        return link, float(self.rng.choice(near))

    def _detour(self, at: Place, share: FloatArray) -> tuple[int, float] | None:
        """A link that leads a demand around a busy one, and its weight at a tie or just below; None when no weight does.

        The demand is drawn by its volume among those that may use the busy link, then its path to that link, and of all links
        that leave this path those are likely whose way on to the target has room.
        """
        busy, demand, reach = drawn(self.rng, share**_POWER), self.traffic.demand, at.reach
        tail, head = int(self.traffic.tail[busy]), int(self.traffic.head[busy])
        uses = reach[:, tail, None] + at.weight[busy] + reach[head] == reach
        pair = drawn(self.rng, np.where(uses, demand, 0.0).ravel())
        node, target = divmod(pair, len(demand))
        if not uses[node, target] or demand[node, target] <= 0.0:
            return None
        moves: list[tuple[int, float, float]] = []
        while True:
            ahead = busy if node == tail else self._next(at, node, tail)
            for link in self.out[node]:
                tie = float(reach[node, target] - reach[self.traffic.head[link], target])
                values = [w for w in (tie, tie - 1.0) if link != ahead and 1.0 <= w < at.weight[link]]
                room = 1.0 + _HOPE - self._fullest(at, link, target, busy, share) if values else 0.0
                if room > 0.0:
                    moves += [(link, w, room) for w in values]
            if node == tail:
                break
            node = int(self.traffic.head[ahead])
        if not moves:
            return None
        link, weight, _ = moves[drawn(self.rng, np.array([room for _, _, room in moves]))]
        return link, weight

    def _next(self, at: Place, node: int, target: int) -> int:
        """A shortest link from a node towards another one, drawn where there are several."""
        shortest = self._onward(at, node, target)
        return shortest[int(self.rng.integers(len(shortest)))]

    def _onward(self, at: Place, node: int, target: int) -> list[int]:
        reach, head = at.reach, self.traffic.head
        return [e for e in self.out[node] if at.weight[e] + reach[head[e], target] == reach[node, target]]

    def _fullest(self, at: Place, link: int, target: int, busy: int, share: FloatArray) -> float:
        """The fullest of a link and a shortest path from its end to a target; infinite where the busy link is on it."""
        most, node = float(share[link]), int(self.traffic.head[link])
        while node != target:
            onward = self._onward(at, node, target)
            if not onward or busy in onward:
                return np.inf
            most = max(most, float(share[onward[0]]))
            node = int(self.traffic.head[onward[0]])
        return most

    def _turns(self, at: Place, link: int) -> FloatArray:
        """Weights of a link at which it ties with the best other way out of its tail, for some target."""
        tail, head = int(self.traffic.tail[link]), int(self.traffic.head[link])
        others = [e for e in self.out[tail] if e != link]
        if not others:
            return np.empty(0)
        targets = self.received[self.received != tail]
        ways = at.weight[others, None] + at.reach[self.traffic.head[others]][:, targets]  # [others, T]
        tie = ways.min(axis=0) - at.reach[head, targets]
        return np.unique(tie[np.isfinite(tie)])


def drawn(rng: np.random.Generator, chance: FloatArray) -> int:
    """An index, drawn in proportion."""
    total = np.cumsum(chance)
    return int(np.searchsorted(total, rng.random() * total[-1], side="right").clip(0, chance.size - 1))
