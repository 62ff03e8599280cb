"""What the solvers behind a modelling layer share: asking for a model, and turning an answer into an outcome."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.clock import time_left
from optisolve.core.errors import BudgetExhausted
from optisolve.core.evaluation import Evaluation, unwatched, watched, watching
from optisolve.core.problem import Instance
from optisolve.core.reference import STOPPED
from optisolve.core.solver import Outcome, Task
from optisolve.core.status import Limit, Termination
from optisolve.modelling.answer import ModelAnswer

__all__ = ["answered", "evaluated_outcome", "missing_model"]


def missing_model(instance: Instance, dialect: str, what: str) -> str | None:
    """Why a solver skips an instance that offers no model in its dialect; None when there is one."""
    if instance.offers(dialect):
        return None
    return f"{instance.origin.scenario} offers no {what} (instance.model('{dialect}') is None)"


Looks: TypeAlias = list[tuple[FloatArray, str]]
"""Points that were evaluated, and by whom."""


Work: TypeAlias = Callable[..., ModelAnswer]
"""What a back end does: of an instance, settings, and ``seconds=``, float or None; it can be pickled, as settings can."""


def answered(task: Task, work: Work, *settings: object) -> ModelAnswer:
    """The answer of a back end; under a limit on seconds it works in a process that is killed when the time is up.

    Args:
        task: The run.
        work: What is to be done.
        settings: Its arguments after the instance.
    """
    limit = task.meter.budget.seconds
    if limit is None:
        return work(task.instance, *settings, seconds=None)
    left = max(0.0, limit - task.meter.elapsed_s)
    from optisolve.run.aside import Late, aside

    told = aside(_counted, task.instance, work, settings, seconds=left, grace_s=0.02 * limit + 0.02)
    if isinstance(told, Late):
        why = {"time": Limit.TIME, "memory": Limit.MEMORY}.get(told.kind)
        known = told.so_far if isinstance(told.so_far, ModelAnswer) else ModelAnswer(Termination.LIMIT, None, None)
        detail = f"{STOPPED} ({limit:g} s)" if why is Limit.TIME else told.detail
        return replace(known, termination=Termination.LIMIT if why else Termination.ERROR, limit=why, detail=detail)
    answer, looks = told
    try:
        for X, source in looks:
            (watched(task.instance) or task.evaluate)(X, source=source)
    except BudgetExhausted as stop:
        if stop.limit is not Limit.TIME:
            raise
    return answer


def _counted(instance: Instance, work: Work, settings: tuple[object, ...]) -> tuple[ModelAnswer, Looks]:
    """In the other process: the answer, and what was evaluated on the way, which the run counts."""
    looks: Looks = []

    def count(X: FloatArray, *, source: str = "solver") -> Evaluation:
        looks.append((X, source))
        with unwatched():
            return instance.evaluate(X)

    left = time_left()
    with watching(instance, count):
        return work(instance, *settings, seconds=None if left is None else 0.95 * left), looks


_MEETS = 1e-6
"""Distance of value and bound, relative to the objective's gap scale, up to which a claim of optimality is passed on."""


def evaluated_outcome(task: Task, answer: ModelAnswer, *, tolerance: float, source: str = "") -> Outcome:
    """Evaluate a back end's point through the task and keep its claim of optimality only if value and bound meet.

    Args:
        task: The run.
        answer: The back end's answer.
        tolerance: Rounding error of the model, in the objective's unit; 1e-6 of the objective's gap scale is added.
        source: Label of the point in the trace; "" for the solver's own.

    Returns:
        The outcome. OPTIMAL becomes CONVERGED when the model was a relaxation that the point does not attain.

    Raises:
        BudgetExhausted: Not even one evaluation is left; when only the time is up the point is kept.
    """
    if answer.x is None:
        X = np.empty((0, task.instance.space.dim))
        return Outcome(X, answer.termination, answer.limit, answer.detail, answer.dual_bound, answer.report)
    X = task.instance.space.clip(answer.x[None, :])
    try:
        evaluation = task.evaluate(X, source=source) if source else task.evaluate(X)
    except BudgetExhausted as stop:
        if stop.limit is not Limit.TIME:
            raise
        # the back end used up the time: what it found was paid for, and verification evaluates it anyway
        return Outcome(X, Termination.LIMIT, Limit.TIME, answer.detail, answer.dual_bound, answer.report)
    termination, detail = answer.termination, answer.detail
    if termination is Termination.OPTIMAL and answer.dual_bound is not None:
        value, objective = float(evaluation.F[0, 0]), task.instance.objectives[0]
        gap = objective.shortfall(value, answer.dual_bound)
        if evaluation.violation[0] > 0.0 or not gap <= tolerance + _MEETS * objective.gap_scale(value):
            termination = Termination.CONVERGED
            detail += "; the model is a relaxation that this point does not attain"
    return Outcome(X, termination, answer.limit, detail, answer.dual_bound, answer.report)
