"""Perron vector: powers that balance the SINRs of links with caps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from optisolve.core.capabilities import InterferenceChannel
from optisolve.core.problem import Instance
from optisolve.core.solver import Feature, Outcome, Solver, SolverInfo, Task
from optisolve.core.status import Termination
from optisolve.modelling.answer import ModelAnswer
from optisolve.numerics.interference import balanced_rate_bound, balanced_sinr
from optisolve.solvers.interference import channel_of, interference_gap
from optisolve.solvers.model_outcome import evaluated_outcome

__all__ = ["Perron"]


@dataclass(frozen=True, slots=True)
class Perron(Solver):
    """The largest SINR that all links can have at once, by one eigenproblem per link and cap. One evaluation."""

    info: ClassVar[SolverInfo] = SolverInfo(
        name="perron",
        version="1",
        summary="Exact max-min power control by Perron vectors, with a dual bound.",
        supports=frozenset({Feature.SINGLE_OBJECTIVE, Feature.REAL}),
        requires=(InterferenceChannel,),
        citation="Tan, Chiang and Srikant 2011 (Perron-Frobenius characterization of max-min SINR)",
    )

    def skip(self, instance: Instance) -> str | None:
        """Needs the goal max_min on an interference channel without minimum rates."""
        reason = Solver.skip(self, instance) or interference_gap(instance, ("max_min",))
        if reason is None and np.any(channel_of(instance).sinr_floor > 0.0):
            return "treats no minimum rates beside the largest smallest one"
        return reason

    def _solve(self, task: Task) -> Outcome:
        channel = channel_of(task.instance)
        arrays = (channel.gain, channel.noise_w, channel.p_max_w)
        _, powers = balanced_sinr(*arrays)
        return evaluated_outcome(
            task, ModelAnswer(Termination.OPTIMAL, powers, balanced_rate_bound(powers, *arrays)), tolerance=0.0
        )
