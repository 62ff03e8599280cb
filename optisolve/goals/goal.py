"""Typed goals: what somebody wants of an instance, as data that is checked before anything is solved.

A goal names metrics that the instance documents (`MeasuredInstance.metrics`). Values keep the unit they were given in;
`bounds_of` brings them to SI and says everything that is wrong at once. Users are counted from 1, as people do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from optisolve.core.documents import Json, JsonObject
from optisolve.core.errors import FieldProblem, OptionError, nearest, short
from optisolve.goals.metric import Bound, Metric
from optisolve.goals.units import UnitError, to_si

__all__ = ["Clause", "Goal", "GoalObjective", "Term", "bounds_of", "check_objective", "goal_from", "require_goal"]

_STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
_Number = Annotated[float, Field(ge=-1e30, le=1e30)]


class Term(BaseModel):
    """One metric of an objective.

    Attributes:
        metric: Name of a metric of the instance.
        weight: Its weight in a sum, at least 0.
        users: Users counted from 1 whose values are added; empty means all.
    """

    model_config = _STRICT
    metric: str
    weight: Annotated[float, Field(ge=0.0, le=1e12)] = 1.0
    users: tuple[Annotated[int, Field(ge=1, le=1_000_000)], ...] = ()


class GoalObjective(BaseModel):
    """What is optimized.

    Attributes:
        sense: ``max``, ``min``, or ``maxmin`` (the worst user's value, as large as possible).
        terms: At least one term; for ``maxmin`` exactly one.
    """

    model_config = _STRICT
    sense: Literal["max", "min", "maxmin"]
    terms: Annotated[tuple[Term, ...], Field(min_length=1, max_length=8)]


class Clause(BaseModel):
    """One requirement.

    Attributes:
        metric: Name of a metric of the instance.
        op: ``<=``, ``>=`` or ``==``.
        value: As it was given.
        unit: As it was given, "" for a plain ratio or probability.
        users: Users counted from 1; empty means all of them.
        change: ``none``: the value itself. ``saving``: the metric falls by at least this from its present value, in its unit or
            in percent. ``gain``: it rises by at least this.
        hard: A requirement; False makes it a wish, see `optisolve.goals.wishes`.
        source_span: Where the number stands in the text, first character and one past the last; None for typed goals.
    """

    model_config = _STRICT
    metric: str
    op: Literal["<=", ">=", "=="]
    value: _Number
    unit: str = ""
    users: tuple[Annotated[int, Field(ge=1, le=1_000_000)], ...] = ()
    change: Literal["none", "saving", "gain"] = "none"
    hard: bool = True
    source_span: tuple[int, int] | None = None


class Goal(BaseModel):
    """A typed goal.

    Attributes:
        objective: What is optimized; None keeps the instance's own objective.
        constraints: Requirements.
        keep: Keep the scenario's own requirements where the goal says nothing about the same metric and user.
        deadline_s: Wall-clock time for solving, s; it lowers the budget of `optisolve ask`. None for none.
        ambiguities: What a parser could not decide; a goal with any of them is not solved.
    """

    model_config = _STRICT
    objective: GoalObjective | None = None
    constraints: Annotated[tuple[Clause, ...], Field(max_length=256)] = ()
    keep: bool = True
    deadline_s: Annotated[float, Field(gt=0.0, le=1e7)] | None = None
    ambiguities: tuple[str, ...] = ()

    def without_spans(self) -> Goal:
        """The same goal without where it was read, for comparison and for records."""
        clauses = tuple(c.model_copy(update={"source_span": None}) for c in self.constraints)
        return self.model_copy(update={"constraints": clauses})

    def plain(self) -> dict[str, Json]:
        """JSON-compatible form without source spans."""
        return self.without_spans().model_dump(mode="json")


def goal_from(values: JsonObject | Goal, *, what: str = "goal") -> Goal:
    """A goal from a mapping; every bad field is listed in one error.

    Raises:
        OptionError: Unknown or bad fields.
    """
    if isinstance(values, Goal):
        return values
    try:
        return Goal.model_validate(dict(values))
    except ValidationError as error:
        problems = [
            FieldProblem(".".join(map(str, item["loc"])) or "(goal)", short(item.get("input")), _expected(item["loc"], item))
            for item in error.errors()
        ]
        if {"goal", "problem"} <= values.keys():  # a scenario, whose goal is one of its parts
            problems = [
                FieldProblem(
                    "(goal)", sorted(values), "the part of this scenario that stands under 'goal:', in a file of its own"
                )
            ]
        raise OptionError(what, problems) from None


def _expected(location: tuple[int | str, ...], item: Mapping[str, object]) -> str:
    """What should have stood in a place, in our words where pydantic speaks of its own."""
    if item["type"] != "extra_forbidden":
        return str(item["msg"]).removeprefix("Input should be ")
    *parents, last = map(str, location)
    parts: dict[str, type[BaseModel]] = {"constraints": Clause, "terms": Term, "objective": GoalObjective}
    part = parts.get(next((name for name in reversed(parents) if not name.isdigit()), ""), Goal)
    guess = nearest(last, part.model_fields)
    return f"one of {', '.join(part.model_fields)}{f'; did you mean {guess!r}?' if guess else ''}"


def bounds_of(goal: Goal, metrics: Sequence[Metric]) -> tuple[Bound, ...]:
    """The goal's hard requirements as scalar bounds in SI.

    Args:
        goal: The goal.
        metrics: The instance's metrics.

    Raises:
        OptionError: Everything that does not fit: unknown metrics, users, units of another dimension, impossible changes.
    """
    by_name = {metric.name: metric for metric in metrics}
    problems: list[FieldProblem] = []
    bounds: list[Bound] = []
    for i, clause in enumerate(goal.constraints):
        where = f"constraints[{i}]"
        metric = by_name.get(clause.metric)
        if metric is None:
            problems.append(FieldProblem(f"{where}.metric", clause.metric, _known(clause.metric, by_name)))
            continue
        wrong = [u for u in clause.users if u > max(metric.users, 0)] if metric.users else list(clause.users)
        if wrong:
            expected = f"users 1 to {metric.users}" if metric.users else f"no users, since {metric.name} is one number"
            problems.append(FieldProblem(f"{where}.users", wrong, expected))
            continue
        try:
            op, value = _si(clause, metric)
        except UnitError as error:
            problems.append(FieldProblem(f"{where}.value", f"{clause.value:g} {clause.unit}".strip(), str(error)))
            continue
        if clause.hard:
            users = [u - 1 for u in clause.users] or (list(range(metric.users)) if metric.users else [None])  # type: ignore[list-item]
            uppers = {"<=": (True,), ">=": (False,), "==": (True, False)}[op]
            bounds += [Bound(metric.name, user, upper, value, i) for user in users for upper in uppers]
    problems += check_objective(goal, metrics)
    if problems:
        raise OptionError("goal", problems)
    return tuple(bounds)


def check_objective(goal: Goal, metrics: Sequence[Metric]) -> list[FieldProblem]:
    """What is wrong with the objective's names and users; empty when nothing is."""
    if goal.objective is None:
        return []
    by_name = {metric.name: metric for metric in metrics}
    problems = []
    if goal.objective.sense == "maxmin" and len(goal.objective.terms) != 1:
        problems.append(FieldProblem("objective.terms", len(goal.objective.terms), "exactly one term with sense 'maxmin'"))
    for i, term in enumerate(goal.objective.terms):
        metric = by_name.get(term.metric)
        if metric is None:
            problems.append(FieldProblem(f"objective.terms[{i}].metric", term.metric, _known(term.metric, by_name)))
        elif any(u > metric.users for u in term.users):
            problems.append(FieldProblem(f"objective.terms[{i}].users", term.users, f"users 1 to {metric.users}"))
        elif goal.objective.sense == "maxmin" and not metric.users:
            problems.append(FieldProblem(f"objective.terms[{i}].metric", term.metric, "a metric with one value per user"))
    return problems


def require_goal(goal: Goal, metrics: Sequence[Metric]) -> tuple[Bound, ...]:
    """`bounds_of` for a goal that must leave nothing open.

    Raises:
        OptionError: The goal does not fit, or holds ambiguities.
    """
    if goal.ambiguities:
        raise OptionError("goal", [FieldProblem("ambiguities", list(goal.ambiguities), "none before a goal is solved")])
    return bounds_of(goal, metrics)


def _si(clause: Clause, metric: Metric) -> tuple[str, float]:
    """Direction and SI value of a clause, changes against the present value resolved."""
    if clause.change == "none":
        if clause.unit in ("%", "percent") and metric.unit != "":
            raise UnitError(f"{clause.value:g} % of what? A {metric.name} needs {metric.unit}, or a change such as 'saving'.")
        return clause.op, to_si(clause.value, clause.unit, metric.unit)
    if metric.now is None:
        raise UnitError(f"'{metric.name}' has no present value that it could change from; give the value itself.")
    if clause.value < 0.0:
        raise UnitError(f"a {clause.change} of {clause.value:g} is negative; turn the change round.")
    share = clause.unit in ("%", "percent")
    if share:
        step = metric.now * to_si(clause.value, "%", "")
    elif clause.unit in ("dBm", "dBW"):
        raise UnitError(f"a change of {clause.value:g} {clause.unit} is a level, not a difference; use {metric.unit}, % or dB.")
    elif clause.unit in ("dB", "decibel", "decibels"):
        factor = to_si(clause.value, "dB", "")
        step = metric.now * (1.0 - 1.0 / factor if clause.change == "saving" else factor - 1.0)
    else:
        step = to_si(clause.value, clause.unit, metric.unit)
    if clause.change == "saving":
        if step > metric.now:
            raise UnitError(f"a saving of {step:.6g} {metric.unit} is more than the present {metric.now:.6g} {metric.unit}.")
        return {">=": "<=", "<=": ">=", "==": "=="}[clause.op], metric.now - step
    return clause.op, metric.now + step


def _known(name: str, by_name: Mapping[str, Metric]) -> str:
    guess = nearest(name, by_name)
    return f"one of {', '.join(by_name)}" + (f"; did you mean '{guess}'?" if guess else "")
