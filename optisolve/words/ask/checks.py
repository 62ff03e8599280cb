"""Every clause of a goal at an answer, by the numpy equations of the family; what became of wishes."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from optisolve.core.problem import FEASIBILITY_TOLERANCE
from optisolve.goals.goal import Clause, Goal, bounds_of
from optisolve.goals.goal_instance import MeasuredInstance, bound_scales, bound_text, shortfall
from optisolve.goals.metric import effective
from optisolve.goals.wishes import one_by_one
from optisolve.words.ask.words import clause_text, kept_bounds

__all__ = ["ClauseCheck", "check_clauses", "check_wishes", "wishes_told"]


@dataclass(frozen=True, slots=True)
class ClauseCheck:
    """One requirement, evaluated at the answer by the family's numpy equations.

    Attributes:
        text: The requirement in words.
        value: What the answer reaches, SI.
        limit: What is required, SI.
        unit: SI unit.
        margin: Relative distance on the good side; negative when it is violated.
        source: ``request``, ``scenario``, or ``wish`` for one that was given up.
    """

    text: str
    value: float
    limit: float
    unit: str
    margin: float
    source: str

    @property
    def soft(self) -> bool:
        """A wish that is not enforced."""
        return self.source == "wish"

    @property
    def holds(self) -> bool:
        """Within the feasibility tolerance."""
        return self.margin >= -FEASIBILITY_TOLERANCE


def check_clauses(base: MeasuredInstance, goal: Goal, x: Any) -> tuple[ClauseCheck, ...]:
    """Every hard requirement of a goal, and those kept from the scenario, at a point, by the base's numpy equations.

    Args:
        base: The instance without the goal.
        goal: The goal.
        x: float64 [d].
    """
    metrics = base.metrics()
    asked, kept = bounds_of(goal, metrics), kept_bounds(goal, base)
    bounds = (*asked, *kept)
    if not bounds:
        return ()
    values = base.metric_values(np.atleast_2d(np.asarray(x, dtype=np.float64)))
    short = shortfall(values, bounds, bound_scales(base, bounds))[0]
    checks = []
    for i, bound in enumerate(bounds):
        value = values[bound.metric][0] if bound.user is None else values[bound.metric][0, bound.user]
        unit = next(m.unit for m in metrics if m.name == bound.metric)
        source = "request" if i < len(asked) else "scenario"
        checks.append(ClauseCheck(bound_text(bound, metrics), float(value), bound.value, unit, -float(short[i]), source))
    return tuple(checks)


def check_wishes(base: MeasuredInstance, goal: Goal, x: Any) -> tuple[ClauseCheck, ...]:
    """The wishes of a settled goal that are not enforced, at a point; arguments as for `check_clauses`."""
    soft = tuple(c.model_copy(update={"hard": True}) for c in goal.constraints if not c.hard)
    if not soft:
        return ()
    checks = check_clauses(base, Goal(constraints=soft, keep=False), x)
    return tuple(dataclasses.replace(check, source="wish") for check in checks)


def wishes_told(settled: Goal, goal: Goal, base: MeasuredInstance) -> tuple[str, ...]:
    """What became of the wishes, one line each."""
    if all(c.hard for c in goal.constraints):
        return ()
    metrics = base.metrics()
    before = one_by_one(goal, metrics)
    wished = [now for was, now in zip(before, settled.constraints, strict=True) if not was.hard]
    return tuple(f"{_fate(clause, settled, base)}: {clause_text(clause, metrics)}." for clause in wished)


def _fate(wish: Clause, settled: Goal, base: MeasuredInstance) -> str:
    """What became of one wish, and why."""
    if wish.hard:
        return "Wish enforced"
    demanded = (*(c for c in settled.constraints if c.hard), wish.model_copy(update={"hard": True}))
    bounds = bounds_of(settled.model_copy(update={"constraints": demanded}), base.metrics())
    verdict = base.satisfiable(effective(base.own_bounds(), bounds, keep=settled.keep))
    if verdict.answer is False:
        return f"Wish not enforced, since beside the rest it cannot be met ({verdict.proof})"
    return "Wish that holds anyway" if verdict.answer else "Wish not enforced, since it is not proven that it can be met"
