"""The null policies of an instance as a solver: what the answer is worth without optimizing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar
from weakref import ref

from optisolve.core.arrays import FloatArray
from optisolve.core.problem import Instance
from optisolve.core.solver import Outcome, Solver, SolverInfo, Task, spent_limit
from optisolve.core.status import Termination

__all__ = ["Keep", "Null"]


@dataclass(frozen=True, slots=True)
class Null(Solver):
    """Evaluate the trivial answers that an instance offers (uniform, greedy, centroid ...), nothing else."""

    info: ClassVar[SolverInfo] = SolverInfo(
        name="null",
        version="1",
        summary="The instance's trivial answers (uniform, greedy, centroid ...), evaluated as they are.",
        portable=True,
    )

    def skip(self, instance: Instance) -> str | None:
        """Instances without null policies are skipped."""
        return None if _policies(instance) else f"{instance.origin.problem} offers no null policies"

    def _solve(self, task: Task) -> Outcome:
        return _trivial(task)


@dataclass(frozen=True, slots=True)
class Keep(Solver):
    """Evaluate the points of `warm_start`, repaired, and nothing else; who is given none keeps the trivial answers.

    In an episode this is the control that keeps its first answer for ever.
    """

    info: ClassVar[SolverInfo] = SolverInfo(
        name="keep",
        version="1",
        summary="The points that it is given (warm_start), repaired and evaluated; no search.",
    )

    def skip(self, instance: Instance) -> str | None:
        """Instances without null policies are skipped: there is nothing to keep where no points are given."""
        return None if _policies(instance) else f"{instance.origin.problem} offers no null policies"

    def takes_start(self, instance: Instance) -> bool:
        """The points are all it has."""
        return True

    def _solve(self, task: Task) -> Outcome:
        if task.warm_start is None:
            return _trivial(task)
        points = task.start[: task.meter.remaining_evaluations]
        if len(points):
            task.evaluate(task.instance.project(points), source="warm_start")
        if len(points) < len(task.start):
            return task.outcome(Termination.LIMIT, spent_limit(task))
        return task.outcome(Termination.CONVERGED)


_LAST: list[tuple[ref[Instance], Mapping[str, FloatArray]]] = []
"""Trivial answers that `skip` made, at most those of one instance, until the run right behind it takes them."""


def _policies(instance: Instance) -> Mapping[str, FloatArray]:
    for known, policies in tuple(_LAST):
        if known() is instance:
            return policies
    policies = instance.null_policies()
    _LAST[:] = [(ref(instance), policies)]
    return policies


def _trivial(task: Task) -> Outcome:
    policies = _policies(task.instance)
    _LAST.clear()
    for name, X in policies.items():
        left = task.meter.remaining_evaluations
        if left == 0:
            return task.outcome(Termination.LIMIT, spent_limit(task))
        task.evaluate(task.instance.space.clip(X[:left]), source=f"null:{name}")
    return task.outcome(Termination.CONVERGED, report={"policies": sorted(policies)})
