"""How well requests are understood: the same optimum counts, not the same text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from labelled.requests import Intent, Kind, goal_reference
from optisolve.core.errors import OptisolveError
from optisolve.core.status import Evidence
from optisolve.goals.goal import Goal
from optisolve.goals.goal_instance import MeasuredInstance, measured
from optisolve.registry import make_problem
from optisolve.words.ask.requests import Answer, AskStatus, check_clauses

__all__ = ["Judged", "judge", "same_optimum", "summary_rows"]

_RELATIVE = 1e-4
"""Optima that agree to this share are the same; references of rates are proven to it."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One request and what came of it.

    Attributes:
        intent: The request with its label.
        status: What `ask` said.
        valid: The parser gave a goal of the right form.
        same: The goal has the label's optimum; None where no goal was meant.
        exact: The goal equals the label clause by clause.
        wrong_verified: Presented as verified and not what was meant: must never happen.
        caught: A contradiction that was proven, or something open that was asked about; None where an answer was meant.
    """

    intent: Intent
    status: AskStatus
    valid: bool
    same: bool | None
    exact: bool | None
    wrong_verified: bool
    caught: bool | None


def same_optimum(instance: MeasuredInstance, first: Goal, second: Goal) -> bool:
    """Whether two goals have the same certified optimum on an instance.

    The values agree, and the optimum of either meets every requirement of the other. Two goals that are both proven to be
    impossible are the same; a goal without a certified optimum is the same as none.
    """
    try:
        refs = [goal_reference(instance, goal) for goal in (first, second)]
    except OptisolveError:
        return False
    a, b = refs
    if a is None or b is None:
        return False
    impossible = [r.evidence is Evidence.PROVEN_INFEASIBLE for r in (a, b)]
    if any(impossible):
        return all(impossible)
    if a.value is None or b.value is None or a.X is None or b.X is None:
        return False
    if abs(a.value - b.value) > _RELATIVE * max(abs(a.value), abs(b.value)):
        return False
    pairs = ((first, b.X[0]), (second, a.X[0]))
    return all(check.margin >= -_RELATIVE for goal, x in pairs for check in check_clauses(instance, goal, x))


def judge(intent: Intent, answer: Answer) -> Judged:
    """Compare an answer with the label."""
    from optisolve.words.ask.ground import explicit, same_goal

    instance = measured(make_problem(intent.problem).instance(intent.instance))
    goal = answer.parsed.goal
    same = exact = None
    if intent.goal is not None:
        plain = None if goal is None else goal.model_copy(update={"ambiguities": ()})
        exact = plain is not None and same_goal(explicit(plain, instance), explicit(intent.goal, instance))
        same = plain is not None and (exact or same_optimum(instance, plain, intent.goal))
    presented = answer.status is AskStatus.VERIFIED
    wrong = presented and not (intent.kind.wants_answer and bool(same))
    caught = None
    if intent.kind is Kind.CONTRADICTION:
        caught = answer.status is AskStatus.CONTRADICTORY
    elif not intent.kind.wants_answer:
        caught = not presented
    return Judged(intent, answer.status, goal is not None and not _no_goal(answer), same, exact, wrong, caught)


def summary_rows(judged: Iterable[Judged]) -> list[dict[str, object]]:
    """One row per kind and one for all: shares in percent, counts where the name says so."""
    items = list(judged)
    kinds: list[Kind | None] = [*(k for k in Kind if any(j.intent.kind is k for j in items)), None]
    rows: list[dict[str, object]] = []
    for kind in kinds:
        own = [j for j in items if kind is None or j.intent.kind is kind]
        verified = [j for j in own if j.status is AskStatus.VERIFIED]
        rows.append(
            {
                "kind": "all" if kind is None else kind.value,
                "requests": len(own),
                "valid": _share([j.valid for j in own]),
                "same_optimum": _share([j.same for j in own if j.same is not None]),
                "exact": _share([j.exact for j in own if j.exact is not None]),
                "verified": _share([True] * len(verified) + [False] * (len(own) - len(verified))),
                "caught": _share([j.caught for j in own if j.caught is not None]),
                "wrong_verified": sum(j.wrong_verified for j in own),
            }
        )
    return rows


def _no_goal(answer: Answer) -> bool:
    return answer.parsed.by == "model" and answer.parsed.model is not None and answer.parsed.model.goal is None


def _share(values: Sequence[bool | None]) -> float | None:
    return None if not values else 100.0 * sum(bool(v) for v in values) / len(values)
