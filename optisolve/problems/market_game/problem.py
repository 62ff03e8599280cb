"""The family `market_game`: who gets how much of a shared good, with equilibrium and optimum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Gt

from optisolve.core.arrays import FloatArray, frozen
from optisolve.core.errors import ProblemError
from optisolve.core.problem import Description, Evaluation, Instance, Objective, Origin, Problem, Sense
from optisolve.core.reference import Effort, Reference
from optisolve.core.seeds import generator
from optisolve.core.space import Space, Variable
from optisolve.modelling.answer import certify
from optisolve.numerics.market_games import CournotGame, KellyGame
from optisolve.problems.market_game import model

__all__ = ["MarketGame", "MarketGameInstance"]


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
            objectives=(Objective(name, Sense.MAXIMIZE, "money units", meaning),),
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
        from optisolve.problems.market_game import kernels

        game, F = self.game, np.empty((X.shape[0], 1))
        if isinstance(game, KellyGame):
            kernels.worth(X, game.capacity, game.worth, game.knee, F)
        else:
            kernels.profit(X, game.intercept, game.slope, game.cost, F)
        return Evaluation(F, np.empty((X.shape[0], 0)), np.empty((X.shape[0], 0)))

    def _evaluate_twin(self, X: FloatArray) -> Evaluation:
        game = self.game
        if isinstance(game, KellyGame):
            F = model.worth(X, game.capacity, game.worth, game.knee)
        else:
            F = model.profit(X, game.intercept, game.slope, game.cost)
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
    version: ClassVar[str] = "1"
    summary: ClassVar[str] = "Agents share a good by bids (Kelly) or sell on one market (Cournot)."
    evidence: ClassVar[str] = "proven optimal"

    mechanism: Literal["kelly", "cournot"]
    n_agents: Annotated[int, Ge(2)]
    capacity: Annotated[float, Gt(0)]
    worth_low: Annotated[float, Gt(0)]
    worth_high: Annotated[float, Gt(0)]
    knee: Annotated[float, Gt(0)]
    bid_min: Annotated[float, Gt(0)]
    bid_max: Annotated[float, Gt(0)]
    intercept: Annotated[float, Gt(0)]
    slope: Annotated[float, Gt(0)]
    cost_low: Annotated[float, Ge(0)]
    cost_high: Annotated[float, Ge(0)]
    quantity_max: Annotated[float, Gt(0)]

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
            shares, price = game.optimum()
            bids = np.clip(shares / shares.max() * game.upper[0], game.lower, game.upper)
            # Lagrangian: no shares are worth more than  price C + sum max_x (U_i(x) - price x).
            best = np.maximum(game.worth / price - game.knee, 0.0)
            bound = price * game.capacity + float((game.worth * np.log1p(best / game.knee) - price * best).sum())
            told = f"water-filling of the shares, price {price:.6g}; bound from the Lagrangian"
            return certify(instance, bids, dual_bound=bound, tolerance=1e-6 * bound, slack=0.0, solver="bisection", detail=told)
        quantities, total = game.cartel()
        # Concave: the tangent at the point bounds every profit.
        slope = game.intercept - 2.0 * game.slope * float(quantities.sum()) - game.cost
        gain = np.where(slope > 0.0, game.upper - quantities, game.lower - quantities)
        bound = total + float((slope * gain).sum())
        told = "sellers by rising cost up to equal marginal revenue; bound from the tangent"
        return certify(
            instance,
            quantities,
            dual_bound=bound,
            tolerance=1e-9 * max(1.0, total),
            slack=0.0,
            solver="closed_form",
            detail=told,
        )


def _equal_quantities(game: CournotGame) -> FloatArray:
    """Every seller the same share of what the cheapest one alone would sell."""
    total = (game.intercept - float(game.cost.min())) / (2.0 * game.slope)
    return np.asarray(np.minimum(np.full(game.n_agents, total / game.n_agents), game.upper))
