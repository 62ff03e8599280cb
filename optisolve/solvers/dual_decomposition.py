"""Dual decomposition: prices of what is shared let tones or tasks choose on their own; what a bound leaves open is tried."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge

from optisolve.core.arrays import IntArray
from optisolve.core.capabilities import FlooredServers, SharedTones, capability_gap
from optisolve.core.problem import Instance
from optisolve.core.solver import Feature, Outcome, Solver, SolverInfo, Task
from optisolve.core.status import Limit, Termination
from optisolve.modelling.answer import ModelAnswer
from optisolve.numerics import server_sharing, tone_sharing
from optisolve.solvers.model_outcome import evaluated_outcome

__all__ = ["DualDecomposition"]

_DEARER = 200
"""How much more a combination of owners of tones costs than one of tasks."""


@dataclass(frozen=True, slots=True)
class DualDecomposition(Solver):
    """Lagrangian relaxation of a shared budget, elimination by its bound, enumeration of the few choices that remain.

    Tones: a price per watt, water-filling for the owners. Tasks: the loads of the servers are the prices. One evaluation for
    tones, two for tasks. Where too many combinations remain the best point of the relaxation is the answer, with its bound.

    Args:
        max_combinations: Combinations of tasks that are tried at most; of tones, each of which is water-filled anew, one in 200
            of that.
    """

    info: ClassVar[SolverInfo] = SolverInfo(
        name="dual_decomposition",
        version="1",
        summary="Tones or tasks that share power or servers: Lagrangian dual, elimination, enumeration of the rest.",
        supports=frozenset(Feature) - {Feature.MULTI_OBJECTIVE, Feature.EQUALITY},
        welcomes=(SharedTones, FlooredServers),
        citation="Yu and Lui 2006, doi 10.1109/TCOMM.2006.877962; Fisher 1981, doi 10.1287/mnsc.27.1.1 (Lagrangian relaxation)",
    )
    max_combinations: Annotated[int, Ge(1)] = 4_000_000

    def skip(self, instance: Instance) -> str | None:
        """Needs tones with continuous powers and no minimum rates, or tasks on shared servers."""
        reason = Solver.skip(self, instance)
        if reason is not None or isinstance(instance, FlooredServers):
            return reason or capability_gap(instance, FlooredServers)
        if not isinstance(instance, SharedTones):
            return f"{capability_gap(instance, SharedTones)}; {capability_gap(instance, FlooredServers)}"
        if instance.goal not in ("sum_rate", "weighted_sum_rate"):
            return f"needs an instance with the goal sum_rate or weighted_sum_rate, this one has {instance.goal}"
        if instance.power_levels:
            return f"needs continuous powers, this instance has {instance.power_levels} levels"
        return capability_gap(instance, SharedTones)

    def _solve(self, task: Task) -> Outcome:
        return self._servers(task) if isinstance(task.instance, FlooredServers) else self._tones(task)

    def _tones(self, task: Task) -> Outcome:
        cell = task.instance
        assert isinstance(cell, SharedTones)
        shared = tone_sharing.Tones(cell.snr_per_w, cell.tone_mbps, cell.weight, cell.power_total_w, cell.tone_power_max_w)
        found = tone_sharing.share_tones(
            shared,
            combinations=max(1, self.max_combinations // _DEARER),
            gap_scale=task.instance.objectives[0].gap_scale,
            out_of_time=lambda: task.meter.out_of_time,
        )
        proven = found.gap_free or found.tried
        answer = ModelAnswer(
            Termination.OPTIMAL if proven else Termination.LIMIT,
            cell.point(found.owner, found.power_w),
            found.bound,
            None if proven else Limit.TIME if task.meter.out_of_time else Limit.NODES,
            detail=_left(found.combinations),
            report={"combinations": found.combinations},
        )
        return evaluated_outcome(task, answer, tolerance=0.0)

    def _servers(self, task: Task) -> Outcome:
        shared = task.instance
        assert isinstance(shared, FlooredServers)
        tasks = server_sharing.Tasks(
            shared.local_cost, shared.transmit_cost, shared.root_cost, shared.share_floor, shared.local_allowed
        )
        reason = server_sharing.impossible(tasks)
        if reason is not None:
            return evaluated_outcome(task, ModelAnswer(Termination.INFEASIBLE, None, None, detail=reason), tolerance=0.0)
        relaxation = server_sharing.lagrangian_bound(tasks)
        known = self._first(task, shared, server_sharing.good_choice(tasks, relaxation[1]))
        found = server_sharing.try_all(tasks, known, self.max_combinations, relaxation)
        report, detail = {"combinations": found.combinations}, _left(found.combinations)
        if found.choice is None:
            return replace(task.outcome(Termination.LIMIT, Limit.NODES, detail=detail, report=report), dual_bound=found.bound)
        if not np.isfinite(found.bound):
            answer = ModelAnswer(Termination.INFEASIBLE, None, None, detail=f"none of them keeps all deadlines; {detail}")
            return evaluated_outcome(task, answer, tolerance=0.0)
        x = shared.complete(found.choice)
        if not task.meter.remaining_evaluations:  # the first point took the only one; verification does not need another
            return Outcome(x[None], Termination.LIMIT, Limit.EVALUATIONS, detail, found.bound, report)
        return evaluated_outcome(
            task, ModelAnswer(Termination.OPTIMAL, x, found.bound, detail=detail, report=report), tolerance=0.0
        )

    def _first(self, task: Task, shared: FlooredServers, choice: IntArray) -> float:
        """The cost of a good choice, inf where it misses a deadline."""
        x = shared.complete(choice)[None]
        evaluation = task.evaluate(task.instance.project(x) if shared.hard_deadlines else x, source="relaxation")
        return float(evaluation.F[0, 0]) if evaluation.violation[0] <= 0.0 else np.inf


def _left(combinations: float) -> str:
    return f"{combinations:.3g} combinations were left by the dual"
