"""Equimarginal principle: a shared good is divided best where one more unit is worth the same to all who get any."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from optisolve.core.agent_game import AgentGame
from optisolve.core.arrays import FloatArray
from optisolve.core.capabilities import AgentsGame
from optisolve.core.problem import Instance
from optisolve.core.solver import Feature, Outcome, Solver, SolverInfo, Task
from optisolve.core.status import Termination
from optisolve.modelling.answer import ModelAnswer
from optisolve.numerics.market_games import (
    CournotGame,
    KellyGame,
    cournot_optimum,
    kelly_optimum,
    kelly_optimum_within_bids,
)
from optisolve.solvers.model_outcome import evaluated_outcome

__all__ = ["Equimarginal"]

_MET = 1e-9
"""Relative distance of value and bound at which the shares that ignore the range of the bids are the optimum."""


@dataclass(frozen=True, slots=True)
class Equimarginal(Solver):
    """Shares of Kelly's mechanism at one price, quantities of Cournot's cartel at one marginal revenue. One evaluation."""

    info: ClassVar[SolverInfo] = SolverInfo(
        name="equimarginal",
        version="1",
        summary="Exact division of a shared good by equal marginal worth (Kelly) or revenue (Cournot).",
        supports=frozenset({Feature.SINGLE_OBJECTIVE, Feature.REAL}),
        requires=(AgentsGame,),
        citation="Kelly 1997, doi 10.1002/ett.4460080106; Cournot 1838",
    )

    def skip(self, instance: Instance) -> str | None:
        """Needs Kelly's mechanism or Cournot's market, with the good of all together as the objective."""
        reason = Solver.skip(self, instance)
        if reason is not None or not isinstance(instance, AgentsGame):
            return reason
        if not isinstance(instance.game, (KellyGame, CournotGame)):
            return f"needs Kelly's mechanism or Cournot's market, this game is a {type(instance.game).__name__}"
        return None

    def _solve(self, task: Task) -> Outcome:
        assert isinstance(task.instance, AgentsGame)
        x, bound, told = _optimum(task.instance.game)
        return evaluated_outcome(task, ModelAnswer(Termination.OPTIMAL, x, bound, detail=told), tolerance=0.0)


def _optimum(game: AgentGame) -> tuple[FloatArray, float, str]:
    """Actions, a bound and words."""
    if isinstance(game, CournotGame):
        return cournot_optimum(game)
    assert isinstance(game, KellyGame)
    found = kelly_optimum(game)
    if _worth(game, found[0]) >= found[1] * (1.0 - _MET):
        return found
    other = kelly_optimum_within_bids(game)  # somebody who should get nothing has to bid all the same
    best = max(found, other, key=lambda each: _worth(game, each[0]))
    return best[0], min(found[1], other[1]), other[2]


def _worth(game: KellyGame, bids: FloatArray) -> float:
    """What the shares are worth to all together."""
    return float((game.worth * np.log1p(game.shares(bids[None, :])[0] / game.knee)).sum())
