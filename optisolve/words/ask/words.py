"""Goals back in words, made from the checked goal alone: what will be solved, not what somebody meant."""

from __future__ import annotations

from optisolve.goals.goal import Clause, Goal, bounds_of
from optisolve.goals.goal_instance import MeasuredInstance, bound_text
from optisolve.goals.metric import Bound, Metric, effective
from optisolve.goals.units import format_si

__all__ = ["back_translation", "clause_text", "kept_bounds"]


def back_translation(goal: Goal, instance: MeasuredInstance) -> tuple[str, ...]:
    """The goal in sentences, one per line.

    Args:
        goal: A goal that fits the instance.
        instance: The instance without the goal.

    Raises:
        OptionError: The goal does not fit.
    """
    metrics = instance.metrics()
    bounds_of(goal, metrics)
    lines = [f"Aim: {_aim(goal, instance)}."]
    for clause in goal.constraints:
        required = "Required" if clause.hard else "Wished for, before the aim and after all requirements"
        lines.append(f"{required}: {clause_text(clause, metrics)}.")
    if goal.deadline_s is not None:
        lines.append(f"Solving may take {goal.deadline_s:g} s.")
    lines += [f"Kept from the scenario: {bound_text(b, metrics)}." for b in kept_bounds(goal, instance)]
    if any(m.users for m in metrics):
        names = instance.space.names
        first, last = names[0].partition(".")[0], names[-1].partition(".")[0]
        count = max(m.users for m in metrics)
        lines.append(f"Users are counted from 1: user 1 is {first}, user {count} is {last}.")
    return tuple(lines)


def kept_bounds(goal: Goal, instance: MeasuredInstance) -> tuple[Bound, ...]:
    """The scenario's own requirements that hold beside the goal."""
    asked = bounds_of(goal, instance.metrics())
    return effective(instance.own_bounds(), asked, keep=goal.keep)[len(asked) :]


def clause_text(clause: Clause, metrics: tuple[Metric, ...]) -> str:
    """A clause with its value in SI and where it comes from."""
    metric = next(m for m in metrics if m.name == clause.metric)
    bound = bounds_of(Goal(constraints=(clause.model_copy(update={"hard": True}),)), metrics)[0]
    who = ""
    if metric.users:
        listed = ", ".join(map(str, clause.users))
        who = f" of user{'s' if len(clause.users) > 1 else ''} {listed}" if clause.users else " of every user"
    side = "exactly" if clause.op == "==" else f"at {'most' if bound.upper else 'least'}"
    text = f"{metric.meaning}{who} {side} {format_si(bound.value, metric.unit)}"
    given = f"{clause.value:g} {clause.unit}".strip()
    if clause.change != "none" and metric.now is not None:
        word = "less" if clause.change == "saving" else "more"
        limit = "at most " if clause.op == "<=" else ""
        return f"{text} ({limit}{given} {word} than the present {format_si(metric.now, metric.unit)})"
    return text if given == format_si(bound.value, metric.unit) else f"{text} (written {given})"


def _aim(goal: Goal, instance: MeasuredInstance) -> str:
    if goal.objective is None:
        objective = instance.objectives[0]
        meaning = (objective.meaning or objective.name).rstrip(".")
        meaning = meaning if meaning[1:2].isupper() else meaning[:1].lower() + meaning[1:]
        return f"{objective.sense} {meaning}, as in the scenario"
    by_name = {m.name: m for m in instance.metrics()}
    parts = []
    for term in goal.objective.terms:
        metric = by_name[term.metric]
        who = f" of user{'s' if len(term.users) > 1 else ''} {', '.join(map(str, term.users))}" if term.users else ""
        summed = " summed over all users" if metric.users and not term.users and goal.objective.sense != "maxmin" else ""
        factor = f"{term.weight:g} x " if term.weight != 1.0 else ""
        parts.append(f"{factor}{metric.meaning}{who}{summed}")
    if goal.objective.sense == "maxmin":
        return f"make the worst user's {parts[0]} as large as possible"
    return f"{'minimize' if goal.objective.sense == 'min' else 'maximize'} {' plus '.join(parts)}"
