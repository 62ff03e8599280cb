"""Threshold search with maximum flows: users to stations so that the smallest rate is largest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from optisolve.core.capabilities import SharedStations
from optisolve.core.problem import Instance
from optisolve.core.solver import Feature, Outcome, Solver, SolverInfo, Task
from optisolve.core.status import Termination
from optisolve.modelling.answer import ModelAnswer
from optisolve.numerics.station_flow import max_min_flow, station_rates
from optisolve.solvers.model_outcome import evaluated_outcome

__all__ = ["ThresholdFlow"]


@dataclass(frozen=True, slots=True)
class ThresholdFlow(Solver):
    """All reach a rate when the users flow to stations that hold as many as it allows; bisect over it. One evaluation."""

    info: ClassVar[SolverInfo] = SolverInfo(
        name="threshold_flow",
        version="1",
        summary="Exact max-min association by maximum flows where every station has one rate.",
        supports=frozenset({Feature.SINGLE_OBJECTIVE, Feature.INTEGER, Feature.INEQUALITY}),
        requires=(SharedStations,),
        citation="Edmonds and Fulkerson 1970, doi 10.1016/S0021-9800(70)80083-7 (bottleneck extrema by thresholds)",
    )

    def skip(self, instance: Instance) -> str | None:
        """Needs the goal max_min and one rate per station."""
        reason = Solver.skip(self, instance)
        if reason is not None or not isinstance(instance, SharedStations):
            return reason
        if instance.goal != "max_min":
            return f"needs an instance with the goal max_min, this one has {instance.goal}"
        return None if station_rates(instance.rate_mbps) is not None else "needs one rate per station, the users of one differ"

    def _solve(self, task: Task) -> Outcome:
        stations = task.instance
        assert isinstance(stations, SharedStations)
        alone = np.flatnonzero(~(stations.rate_mbps > 0.0).any(axis=1))
        if alone.size:
            nobody = ModelAnswer(Termination.INFEASIBLE, None, None, detail=f"user{alone[0]} reaches no station")
            return evaluated_outcome(task, nobody, tolerance=0.0)
        x, bound = max_min_flow(stations.rate_mbps)
        return evaluated_outcome(task, ModelAnswer(Termination.OPTIMAL, x, bound), tolerance=0.0)
