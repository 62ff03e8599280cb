"""A language model reads a request: it only chooses among what the text and the instance offer, and never writes a number.

The answer's form holds one entry per number of the text. Metrics are limited to those whose dimension fits the number's unit,
users to those that the text names. Whatever comes back is validated, and then grounded in the words by
`optisolve.intents.ground`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optisolve.core.errors import OptionError
from optisolve.core.goal import Clause, Goal, GoalObjective, Term, bounds_of
from optisolve.core.metric import Metric
from optisolve.core.seeds import derive
from optisolve.core.units import UnitError, to_si
from optisolve.intents.quantities import Quantity, Users
from optisolve.intents.rules import scan
from optisolve.llm.prompts import Prompt, load_prompt
from optisolve.llm.session import LlmSession
from optisolve.llm.types import LlmRequest, Message

__all__ = ["ModelReading", "read_by_model"]

_BOUNDS = ("at_least", "at_most", "saving")
_MAX_NUMBERS = 12
_OPS = {"at_least": ">=", "at_most": "<=", "saving": ">="}


@dataclass(frozen=True, slots=True)
class ModelReading:
    """What a language model understood.

    Attributes:
        goal: The goal; None when no answer could be used.
        problem: Why not; "" when there is a goal.
        attempts: Questions sent.
        valid: The first answer fitted the form.
        raw: The last answer.
        prompt: Name, version and hash of the prompt.
    """

    goal: Goal | None
    problem: str
    attempts: int
    valid: bool
    raw: str
    prompt: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Form:
    """What may be answered: per number the fitting metrics, and for all of them bounds, users and aims."""

    numbers: tuple[Quantity, ...]
    metrics: tuple[tuple[str, ...], ...]
    users: tuple[str, ...]
    aims: tuple[str, ...]


def read_by_model(
    text: str, metrics: Sequence[Metric], session: LlmSession, *, seed: int = 0, reasks: int = 1, tag: str = "ask"
) -> ModelReading:
    """Ask a language model what a request means.

    Args:
        text: The request.
        metrics: Metrics of the instance.
        session: An open session.
        seed: Sampling seed of the first question.
        reasks: Further questions after an answer that does not fit the form.
        tag: Place of the question in the session's transcript.

    Raises:
        IntentError: The text cannot be a request.
    """
    quantities, users, _ = scan(text, metrics)
    style = session.preferred_style
    prompt = load_prompt(f"ask_{style}")
    if len(quantities) > _MAX_NUMBERS:
        told = f"{len(quantities)} numbers; at most {_MAX_NUMBERS} are read at once"
        return ModelReading(None, told, 0, False, "", prompt.describe())
    form = _form(quantities, users, metrics)
    if any(not names for names in form.metrics):
        lost = next(q.text for q, names in zip(form.numbers, form.metrics, strict=True) if not names)
        return ModelReading(None, f"no quantity of this problem fits '{lost}'", 0, False, "", prompt.describe())
    raw, problem, valid = "", "", False
    for attempt in range(reasks + 1):
        reply = session.ask([_request(text, metrics, form, prompt, style, seed, attempt, tag)])[0]
        raw = reply.texts[0] if reply.texts else ""
        if reply.failure:
            problem = f"the model did not answer ({reply.failure}: {reply.detail})"
            if reply.failure == "budget":
                break
            continue
        goal, problem = _parsed(raw, form, metrics)
        if goal is not None:
            return ModelReading(goal, "", attempt + 1, attempt == 0, raw, prompt.describe())
    return ModelReading(None, problem, attempt + 1, valid, raw, prompt.describe())


def _form(quantities: Sequence[Quantity], users: Sequence[Users], metrics: Sequence[Metric]) -> _Form:
    per_number = tuple(tuple(m.name for m in metrics if _fits(q, m)) for q in quantities)
    mentioned = list(dict.fromkeys("+".join(map(str, u.numbers)) for u in users))
    aims = ["own"]
    for metric in metrics:
        if metric.users:
            aims += [f"maxmin {metric.name}"] if metric.larger_is_better else []
        else:
            aims.append(f"{'max' if metric.larger_is_better else 'min'} {metric.name}")
    return _Form(tuple(quantities), per_number, ("none", "all", *mentioned), tuple(aims))


def _fits(quantity: Quantity, metric: Metric) -> bool:
    if quantity.problem:
        return False
    if quantity.unit in ("%", "percent", "dB") and metric.now is not None:
        return True
    try:
        to_si(quantity.value, quantity.unit, metric.unit)
    except UnitError:
        return False
    return True


def _request(
    text: str, metrics: Sequence[Metric], form: _Form, prompt: Prompt, style: str, seed: int, attempt: int, tag: str
) -> LlmRequest:
    shared: dict[str, Any] = {
        "tag": tag,
        "attempt": attempt,
        "max_tokens": 40 + 48 * max(1, len(form.numbers)),
        "seed": int(derive(seed, purpose="ask", attempt=attempt).generate_state(1)[0]) % 2**31,
        "grammar": _grammar(form),
    }
    flat = " ".join(text.split())
    if style == "continuation":
        body = prompt.render(request=flat, examples=_EXAMPLES)
        return LlmRequest(prompt=body, **shared)
    told = [{"name": m.name, "meaning": m.meaning, "users": m.users} for m in metrics]
    numbers = [{"key": f"number_{i + 1}", "text": q.text} for i, q in enumerate(form.numbers)]
    body = prompt.render(metrics=told, form=_example_form(form), request=flat, numbers=numbers)
    return LlmRequest(messages=(Message("user", body),), schema=_schema(form), **shared)


_EXAMPLES: tuple[dict[str, str], ...] = (
    {
        "request": "keep the total power below 12 W and give user 3 at least 4 kbps",
        "answer": '{"12 W":{"about":"total_power","bound":"at_most","users":"none"},'
        '"4 kbps":{"about":"rate","bound":"at_least","users":"3"},"aim":"own"}',
    },
    {
        "request": "cut the energy by 7 % while every user has 2 Mbps or more",
        "answer": '{"7 %":{"about":"total_power","bound":"saving","users":"none"},'
        '"2 Mbps":{"about":"rate","bound":"at_least","users":"all"},"aim":"own"}',
    },
    {
        "request": "minimize the power with 900 kbps for users 1 and 4",
        "answer": '{"900 kbps":{"about":"rate","bound":"at_least","users":"1+4"},"aim":"min total_power"}',
    },
    {
        "request": "maximize the rate of the worst user, spending no more than 20 dBm",
        "answer": '{"20 dBm":{"about":"total_power","bound":"at_most","users":"none"},"aim":"maxmin rate"}',
    },
)


def _example_form(form: _Form) -> str:
    entry = {"about": "...", "bound": "|".join(_BOUNDS), "users": "|".join(form.users)}
    body: dict[str, Any] = {f"number_{i + 1}": entry for i in range(len(form.numbers))}
    return json.dumps({**body, "aim": "|".join(form.aims)})


def _schema(form: _Form) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for i, names in enumerate(form.metrics):
        fields = {"about": {"enum": list(names)}, "bound": {"enum": list(_BOUNDS)}, "users": {"enum": list(form.users)}}
        properties[f"number_{i + 1}"] = {
            "type": "object",
            "properties": fields,
            "required": list(fields),
            "additionalProperties": False,
        }
    properties["aim"] = {"enum": list(form.aims)}
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _grammar(form: _Form) -> str:
    """GBNF of the same answer in continuation style, keyed by the number as it is written, without free blanks."""

    def literal(text: str) -> str:
        return json.dumps(text, ensure_ascii=True)

    def choice(values: Sequence[str]) -> str:
        return "( " + " | ".join(literal(json.dumps(v)) for v in values) + " )"

    parts = []
    for quantity, names in zip(form.numbers, form.metrics, strict=True):
        key = literal(f'{json.dumps(quantity.text)}:{{"about":')
        bound, user = literal(',"bound":'), literal(',"users":')
        parts.append(f"{key} {choice(names)} {bound} {choice(_BOUNDS)} {user} {choice(form.users)} {literal('},')}")
    aim = literal('"aim":')
    return f'root ::= " "? "{{" {" ".join(parts)} {aim} {choice(form.aims)} "}}"\n'


def _parsed(raw: str, form: _Form, metrics: Sequence[Metric]) -> tuple[Goal | None, str]:
    """The goal of an answer, or what is wrong with it."""
    start = raw.find("{")
    try:
        answer, _ = json.JSONDecoder().raw_decode(raw[:20_000], start) if start >= 0 else (None, 0)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        return None, "the answer is no JSON object"
    by_name = {m.name: m for m in metrics}
    clauses = []
    for i, (quantity, names) in enumerate(zip(form.numbers, form.metrics, strict=True)):
        entry = answer.get(f"number_{i + 1}", answer.get(quantity.text))
        if not isinstance(entry, dict):
            return None, f"the answer leaves out '{quantity.text}'"
        about, bound, users = entry.get("about"), entry.get("bound"), entry.get("users")
        if about not in names or bound not in _BOUNDS or users not in form.users:
            return None, f"the answer for '{quantity.text}' is not one of the choices"
        metric = by_name[str(about)]
        if not metric.users and users != "none":
            users = "none"  # a quantity without users has none, whatever was chosen
        if metric.users and users == "none":
            return None, f"'{quantity.text}': {metric.name} needs users"
        numbers = () if users in ("none", "all") else tuple(int(n) for n in str(users).split("+"))
        clauses.append(
            Clause(
                metric=metric.name,
                op=_OPS[str(bound)],  # type: ignore[arg-type]
                value=quantity.value,
                unit=quantity.unit,
                users=numbers,
                change="saving" if bound == "saving" else "none",
                source_span=quantity.span,
            )
        )
    if answer.get("aim") not in form.aims:
        return None, "the aim is not one of the choices"
    goal = Goal(objective=_aim(str(answer["aim"])), constraints=tuple(clauses))
    try:
        bounds_of(goal, metrics)
    except OptionError as error:
        return None, "; ".join(f"{p.given!r}: {p.expected}" for p in error.problems)
    return goal, ""


def _aim(text: str) -> GoalObjective | None:
    if text == "own":
        return None
    sense, _, metric = text.partition(" ")
    return GoalObjective(sense=sense, terms=(Term(metric=metric),))  # type: ignore[arg-type]
