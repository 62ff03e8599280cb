"""Water-filling: the exact solver for parallel channels under one power budget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from optisolve.core.problem import Instance
from optisolve.core.solver import Feature, Outcome, Solver, SolverInfo, Task
from optisolve.core.status import Termination
from optisolve.modelling.answer import ModelAnswer
from optisolve.numerics.water_filling import dual_value, water_fill
from optisolve.solvers.model_outcome import evaluated_outcome

__all__ = ["WaterFilling"]


@dataclass(frozen=True, slots=True)
class WaterFilling(Solver):
    """Sort the channels, find the water level, done; one evaluation.

    It asks the instance for ``goal``, ``gain`` [M], ``noise_w`` [M], ``weight`` [M] and ``p_total_w``.
    """

    info: ClassVar = SolverInfo(
        name="water_filling",
        version="2",
        summary="Exact power allocation over parallel channels by sorting.",
        supports=frozenset({Feature.SINGLE_OBJECTIVE, Feature.REAL, Feature.INEQUALITY}),
        citation="Cover and Thomas, Elements of Information Theory",
    )

    def skip(self, instance: Instance) -> str | None:
        """Needs a (weighted) sum rate over channels that do not disturb each other, and one budget."""
        reason = Solver.skip(self, instance)
        if reason is not None:
            return reason
        if getattr(instance, "goal", None) not in ("sum_rate", "weighted_sum_rate"):
            return "needs an instance with the goal sum_rate or weighted_sum_rate"
        for name in ("gain", "noise_w", "weight"):
            if np.shape(getattr(instance, name, 0.0)) != (instance.space.dim,):
                return f"needs the attribute '{name}' with one number per channel on the instance"
        if not isinstance(getattr(instance, "p_total_w", None), float) or len(instance.constraint_names) != 1:
            return "needs exactly one constraint, a power budget 'p_total_w'"
        return None

    def _solve(self, task: Task) -> Outcome:
        case = task.instance
        gain, noise_w, weight = (np.asarray(getattr(case, name)) for name in ("gain", "noise_w", "weight"))
        p_total_w = float(case.p_total_w)  # type: ignore[attr-defined]  # `skip` made sure
        powers, level = water_fill(gain / noise_w, weight, p_total_w)
        answer = ModelAnswer(
            Termination.OPTIMAL,
            case.project(powers)[0],
            dual_value(gain / noise_w, weight, p_total_w, level),
            report={"channels_on": int((powers > 0.0).sum())},
        )
        return evaluated_outcome(task, answer, tolerance=0.0, source="water_filling")
