"""Is a model's reading what the words say? Differences become questions; agreement is what `verified` needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from optisolve.core.errors import OptionError
from optisolve.goals.goal import Clause, Goal
from optisolve.goals.goal_instance import MeasuredInstance
from optisolve.goals.metric import Metric
from optisolve.words.ask.rules import Reading
from optisolve.words.ask.words import clause_text

__all__ = ["Grounding", "explicit", "ground", "same_goal"]


@dataclass(frozen=True, slots=True)
class Grounding:
    """The comparison of a goal with the words.

    Attributes:
        agreed: Every part of the goal stands in the text, and the text holds nothing else.
        questions: What must be answered; empty when agreed, or when only unknown words are in the way.
        unknown: Words that nobody could account for.
    """

    agreed: bool
    questions: tuple[str, ...]
    unknown: tuple[str, ...]


def ground(goal: Goal, text: str, reading: Reading, instance: MeasuredInstance) -> Grounding:
    """Compare a goal that a model read with the deterministic reading of the same text.

    Args:
        goal: The model's.
        text: The request.
        reading: From `read_by_rules`.
        instance: What the request is about.
    """
    metrics = instance.metrics()
    questions = list(reading.questions)
    for clause in goal.constraints:
        span = clause.source_span
        number = f"{clause.value:g}"
        if span is None or not any(q.span == span and q.value == clause.value for q in reading.quantities):
            questions.append(f"{number} does not stand in the request.")
            continue
        said = next((c for c in reading.goal.constraints if c.source_span == span), None)
        if said is None:
            if not reading.questions:
                questions.append(f"The words give no requirement for '{text[slice(*span)]}'.")
        elif _plain(said) != _plain(clause):
            number = text[slice(*span)]
            two = f'the model reads "{_text(clause, metrics)}", the words say "{_text(said, metrics)}"'
            questions.append(f"'{number}': {two}. Which one is meant?")
    read, said_aim = _aim(explicit(goal, instance)), _aim(explicit(reading.goal, instance))
    if not reading.questions and read != said_aim:
        questions.append(f'The model reads the aim "{read}", the words say "{said_aim}". Which one is meant?')
    unique = tuple(dict.fromkeys(questions))
    return Grounding(not unique and reading.complete, unique, reading.unknown)


def explicit(goal: Goal, instance: MeasuredInstance) -> Goal:
    """The same goal without an objective where it only repeats the instance's own."""
    if goal.objective is None or len(goal.objective.terms) != 1 or len(instance.objectives) != 1:
        return goal
    own, term = instance.objectives[0], goal.objective.terms[0]
    if goal.objective.sense == "maxmin":
        repeats = own.name == f"min_{term.metric}" and own.sense == "maximize"
    else:
        repeats = own.name == term.metric and own.sense == f"{goal.objective.sense}imize"
    return goal.model_copy(update={"objective": None}) if repeats and not term.users else goal


def same_goal(first: Goal, second: Goal) -> bool:
    """Equal up to the order of clauses and of users, and up to where they were read."""
    return _aim(first) == _aim(second) and sorted(map(_key, first.constraints)) == sorted(map(_key, second.constraints))


def _plain(clause: Clause) -> Clause:
    return clause.model_copy(update={"source_span": None, "users": tuple(sorted(clause.users))})


def _key(clause: Clause) -> str:
    return _plain(clause).model_dump_json()


def _aim(goal: Goal) -> str:
    if goal.objective is None:
        return "that of the scenario"
    return f"{goal.objective.sense} " + " + ".join(
        f"{t.weight:g} {t.metric}{sorted(t.users) if t.users else ''}" for t in goal.objective.terms
    )


def _text(clause: Clause, metrics: Sequence[Metric]) -> str:
    try:
        return clause_text(clause, tuple(metrics))
    except OptionError:  # a clause that does not fit has no value in SI
        return f"{clause.metric} {clause.op} {clause.value:g} {clause.unit}"
