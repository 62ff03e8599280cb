"""Water-filling: the exact solver for parallel channels under one power budget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from optisolve.core.capabilities import ParallelChannels
from optisolve.core.problem import Instance
from optisolve.core.solver import Feature, Outcome, Solver, SolverInfo, Task
from optisolve.core.status import Termination
from optisolve.modelling.answer import ModelAnswer
from optisolve.numerics.water_filling import dual_value, water_fill
from optisolve.solvers.model_outcome import evaluated_outcome

__all__ = ["WaterFilling"]


@dataclass(frozen=True, slots=True)
class WaterFilling(Solver):
    """Sort the channels, find the water level, done; one evaluation."""

    info: ClassVar = SolverInfo(
        name="water_filling",
        version="2",
        summary="Exact power allocation over parallel channels by sorting.",
        supports=frozenset({Feature.SINGLE_OBJECTIVE, Feature.REAL, Feature.INEQUALITY}),
        requires=(ParallelChannels,),
        citation="Cover and Thomas, Elements of Information Theory",
        portable=True,
    )

    def skip(self, instance: Instance) -> str | None:
        """Needs a (weighted) sum rate over channels that do not disturb each other, and one budget."""
        reason = Solver.skip(self, instance)
        if reason is None and isinstance(instance, ParallelChannels) and instance.goal not in ("sum_rate", "weighted_sum_rate"):
            return f"needs an instance with the goal sum_rate or weighted_sum_rate, this one has {instance.goal}"
        if reason is None and len(instance.constraint_names) != 1:
            return "needs exactly one constraint, the power budget 'p_total_w'"
        return reason

    def _solve(self, task: Task) -> Outcome:
        case = task.instance
        assert isinstance(case, ParallelChannels)
        snr_per_w = case.gain / case.noise_w
        powers, level = water_fill(snr_per_w, case.weight, case.p_total_w)
        answer = ModelAnswer(
            Termination.OPTIMAL,
            case.project(powers)[0],
            dual_value(snr_per_w, case.weight, case.p_total_w, level),
            report={"channels_on": int((powers > 0.0).sum())},
        )
        return evaluated_outcome(task, answer, tolerance=0.0, source="water_filling")
