r"""The family `market_game`: who gets how much of a shared good, with equilibrium and optimum.

Kelly's mechanism: bids w share a capacity C; the objective is the total worth, which the bids themselves do not reduce since
they are paid from one to another.

.. math:: x_i = C w_i / \sum_j w_j, \qquad \max_w \sum_i a_i \ln(1 + x_i / b_i)

Cournot's market: quantities q lower the common price; the objective is the total profit, which a cartel would maximize.

.. math:: \max_q \sum_i (A - B \sum_j q_j - c_i) q_i

Sources: Kelly 1997; Johari and Tsitsiklis 2004; Cournot 1838.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Le

from optisolve.core.arrays import FloatArray, frozen
from optisolve.core.errors import FieldProblem, ProblemError
from optisolve.core.problem import Description, Evaluation, Instance, Objective, Origin, Problem, Sense
from optisolve.core.reference import Effort, Reference
from optisolve.core.seeds import generator
from optisolve.core.space import Space, Variable
from optisolve.modelling.answer import certify
from optisolve.numerics.market_games import CournotGame, KellyGame, cournot_optimum, kelly_optimum

__all__ = ["MarketGame", "MarketGameInstance"]

_Amount = Annotated[float, Ge(1e-60), Le(1e60)]
"""Products of four of them are finite in float64."""

_SPREAD = 1e12
"""Largest ratio of two numbers whose difference decides."""


class MarketGameInstance(Instance):
    """Bids or quantities of K agents.

    Attributes:
        game: The game; the solvers `game` and `game_control` play it.
    """

    def __init__(self, origin: Origin, game: KellyGame | CournotGame) -> None:
        self.game = game
        kelly = isinstance(game, KellyGame)
        name, meaning = ("worth", "worth of all shares together") if kelly else ("profit", "profit of all sellers together")
        what = "bid" if kelly else "quantity"
        super().__init__(
            origin=origin,
            space=Space.of(
                Variable(f"agent{i}.{what}", float(low), float(high), game.action_unit)
                for i, (low, high) in enumerate(zip(game.lower, game.upper, strict=True))
            ),
            objectives=(Objective(name, Sense.MAXIMIZE, "money units", meaning, 1e-3 * _alone(game)),),
        )

    def arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        """The numbers of the game."""
        game = self.game
        if isinstance(game, KellyGame):
            return {"capacity": frozen(game.capacity), "worth": frozen(game.worth), "knee": frozen(game.knee)}
        return {"intercept": frozen(game.intercept), "slope": frozen(game.slope), "cost": frozen(game.cost)}

    def describe(self) -> Description:
        """The game in words."""
        game = self.game
        if isinstance(game, KellyGame):
            summary = (
                f"{game.n_agents} users bid for a capacity of {game.capacity:g} Mbit/s and share it in proportion to the bids. "
                "Choose the bids so that the shares are worth as much as possible in total."
            )
            hint = "Only the ratios of the bids matter; at the optimum one more Mbit/s is worth the same to all who get any."
        else:
            summary = (
                f"{game.n_agents} sellers choose quantities on one market; its price is {game.intercept:g} less {game.slope:g} "
                "per unit sold. Choose the quantities so that the total profit is as large as possible."
            )
            hint = "Cheap sellers first, and less in total than sellers who compete would sell."
        return Description(summary, facts=tuple(f"agent {i}: {game.facts(i)[0]}" for i in range(game.n_agents)), hints=(hint,))

    def null_policies(self) -> Mapping[str, FloatArray]:
        """Everybody alike (half of the range), and the Nash equilibrium of selfish agents."""
        game = self.game
        nash = game.nash()[0] if isinstance(game, KellyGame) else game.nash()
        alike = 0.5 * (game.lower + game.upper) if isinstance(game, KellyGame) else _equal_quantities(game)
        return {"alike": alike[None, :], "nash": np.clip(nash, game.lower, game.upper)[None, :]}

    def _evaluate(self, X: FloatArray) -> Evaluation:
        game = self.game
        if isinstance(game, KellyGame):
            F = _worth(X, game.capacity, game.worth, game.knee)
        else:
            F = _profit(X, game.intercept, game.slope, game.cost)
        return Evaluation(F, np.empty((X.shape[0], 0)), np.empty((X.shape[0], 0)))


@dataclass(frozen=True)
class MarketGame(Problem):
    """Kelly's mechanism or Cournot's market.

    Args:
        mechanism: ``"kelly"`` or ``"cournot"``.
        n_agents: Users or sellers.
        capacity: Capacity to share, Mbit/s; kelly only.
        worth_low: Smallest worth factor a, money units; kelly only.
        worth_high: Largest.
        knee: b, Mbit/s, at which a share is worth ln 2 of the factor; kelly only.
        bid_min: Smallest bid, money units; kelly only.
        bid_max: Largest bid.
        intercept: Price at quantity 0; cournot only.
        slope: Fall of the price per unit; cournot only.
        cost_low: Smallest cost of a unit; cournot only.
        cost_high: Largest.
        quantity_max: Most that one seller can sell; cournot only.
    """

    name: ClassVar[str] = "market_game"
    version: ClassVar[str] = "3"
    summary: ClassVar[str] = "Agents share a good by bids (Kelly) or sell on one market (Cournot)."
    evidence: ClassVar[str] = "proven optimal; Kelly where the smallest bid binds: a bound"
    portable: ClassVar[bool] = True

    mechanism: Literal["kelly", "cournot"]
    n_agents: Annotated[int, Ge(2), Le(100_000)]
    capacity: _Amount
    worth_low: _Amount
    worth_high: _Amount
    knee: _Amount
    bid_min: _Amount
    bid_max: _Amount
    intercept: _Amount
    slope: _Amount
    cost_low: Annotated[float, Ge(0), Le(1e60)]
    cost_high: Annotated[float, Ge(0), Le(1e60)]
    quantity_max: _Amount

    def instance(self, seed: int = 0) -> Instance:
        """Draw worths or costs."""
        rng = generator(seed, problem=self.name, mechanism=self.mechanism, purpose="instance")
        if self.mechanism == "kelly":
            worth = frozen(rng.uniform(self.worth_low, self.worth_high, self.n_agents))
            knee = frozen(np.full(self.n_agents, self.knee))
            return MarketGameInstance(self.origin(seed), KellyGame(self.capacity, worth, knee, self.bid_min, self.bid_max))
        cost = frozen(rng.uniform(self.cost_low, self.cost_high, self.n_agents))
        most = frozen(np.full(self.n_agents, self.quantity_max))
        return MarketGameInstance(self.origin(seed), CournotGame(self.intercept, self.slope, cost, most))

    def reference(self, instance: Instance, effort: Effort = Effort.NORMAL) -> Reference | None:
        """The social optimum (Kelly) or the cartel (Cournot), with a bound from its multiplier."""
        if not isinstance(instance, MarketGameInstance):
            raise ProblemError(f"market_game: got an instance of {type(instance).__name__}; draw it with instance(seed).")
        game = instance.game
        if isinstance(game, KellyGame):
            point, bound, told = kelly_optimum(game)
            return certify(
                instance, point, dual_bound=bound, tolerance=1e-6 * bound, slack=0.0, solver="water_filling", detail=told
            )
        point, bound, told = cournot_optimum(game)
        return certify(instance, point, dual_bound=bound, tolerance=1e-9 * bound, slack=0.0, solver="closed_form", detail=told)

    def _check(self) -> Iterable[FieldProblem]:
        pairs = [("worth_low", "worth_high"), ("cost_low", "cost_high")]
        for low, high in pairs:
            if getattr(self, low) > getattr(self, high):
                yield FieldProblem(high, getattr(self, high), f"at least {low} = {getattr(self, low):g}")
        if self.bid_min >= self.bid_max:
            yield FieldProblem("bid_max", self.bid_max, f"more than bid_min = {self.bid_min:g}")
        for name, other in (("bid_max", "bid_min"), ("worth_high", "worth_low")):
            if getattr(self, name) > _SPREAD * getattr(self, other):
                yield FieldProblem(name, getattr(self, name), f"at most {_SPREAD:g} times {other}")
        if not 1.0 / _SPREAD <= self.capacity / self.knee <= _SPREAD:
            expected = f"within a factor {_SPREAD:g} of capacity = {self.capacity:g}"
            yield FieldProblem("knee", self.knee, expected)


def _alone(game: KellyGame | CournotGame) -> float:
    """What the best agent would reach with everything to itself, money units, > 0."""
    if isinstance(game, KellyGame):
        return float((game.worth * np.log1p(game.capacity / game.knee)).max())
    margin = game.intercept - game.cost
    sold = np.minimum(np.maximum(margin, 0.0) / (2.0 * game.slope), game.upper)
    profit = float(((margin - game.slope * sold) * sold).max())
    return profit or game.intercept * min(game.intercept / game.slope, float(game.upper.sum()))


def _equal_quantities(game: CournotGame) -> FloatArray:
    """Every seller the same share of what the cheapest one alone would sell; nothing when no price covers a cost."""
    total = max(0.0, game.intercept - float(game.cost.min())) / (2.0 * game.slope)
    return np.asarray(np.minimum(np.full(game.n_agents, total / game.n_agents), game.upper))


def _worth(W: FloatArray, capacity: float, a: FloatArray, b: FloatArray) -> FloatArray:
    """Total worth of the shares, float64 [n, 1], at bids W float64 [n, K]."""
    share = capacity * W / W.sum(axis=1, keepdims=True)
    return np.asarray((a * np.log1p(share / b)).sum(axis=1, keepdims=True))


def _profit(Q: FloatArray, intercept: float, slope: float, cost: FloatArray) -> FloatArray:
    """Total profit, float64 [n, 1], at quantities Q float64 [n, K]."""
    total = Q.sum(axis=1, keepdims=True)
    return np.asarray(((intercept - slope * total - cost) * Q).sum(axis=1, keepdims=True))
