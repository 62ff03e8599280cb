"""A language model reads a request: it only chooses among what the text and the instance offer, and never writes a number.

The answer's form holds one entry per number of the text. Metrics are limited to those whose dimension fits the number's unit,
users to those that the text names. Whatever comes back is validated, and then grounded in the words by
`optisolve.words.ask.ground`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optisolve.core.errors import OptionError
from optisolve.core.seeds import derive
from optisolve.goals.goal import Clause, Goal, GoalObjective, Term, bounds_of
from optisolve.goals.metric import Metric
from optisolve.goals.units import UnitError, to_si
from optisolve.llm.prompts import Prompt, load_prompt
from optisolve.llm.session import LlmSession
from optisolve.llm.types import LlmRequest, Message
from optisolve.words.ask.quantities import Quantity, Users
from optisolve.words.ask.rules import deadline_of, scan

__all__ = ["ModelReading", "read_by_model"]

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
    """What may be answered.

    Attributes:
        numbers: Numbers of the text.
        choices: Per number the metrics that fit it, each with the bounds and users that fit the metric.
        aims: What may be optimized.
    """

    numbers: tuple[Quantity, ...]
    choices: tuple[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]], ...]
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
    quantities, users, mentions = scan(text, metrics)
    quantities = [q for q in quantities if deadline_of(q, mentions) is None]  # says nothing about the network
    style = session.preferred_style
    prompt = load_prompt(f"ask_{style}")
    if len(quantities) > _MAX_NUMBERS:
        told = f"{len(quantities)} numbers; at most {_MAX_NUMBERS} are read at once"
        return ModelReading(None, told, 0, False, "", prompt.describe())
    everybody = any(m.kind in ("everybody", "others") for m in mentions)
    form = _form(quantities, users, metrics, everybody=everybody)
    if not all(form.choices):
        lost = next(q.text for q, names in zip(form.numbers, form.choices, strict=True) if not names)
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


def _form(quantities: Sequence[Quantity], users: Sequence[Users], metrics: Sequence[Metric], *, everybody: bool) -> _Form:
    mentioned = tuple(dict.fromkeys("+".join(map(str, u.numbers)) for u in users))
    named = (*mentioned, "all") if everybody or not mentioned else mentioned
    choices: list[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = []
    for quantity in quantities:
        fitting = {}
        for metric in metrics:
            bounds = _bounds(quantity, metric)
            if bounds:
                fitting[metric.name] = (bounds, named if metric.users else ("none",))
        choices.append(fitting)
    aims = ["own"]
    for metric in metrics:
        if not metric.users:
            aims.append(f"{'max' if metric.larger_is_better else 'min'} {metric.name}")
        elif metric.larger_is_better:
            aims.append(f"maxmin {metric.name}")
    return _Form(tuple(quantities), tuple(choices), tuple(aims))


def _bounds(quantity: Quantity, metric: Metric) -> tuple[str, ...]:
    """What a number may bound of a metric by its unit; nothing when the dimensions differ."""
    if quantity.problem:
        return ()
    share = quantity.unit in ("%", "percent", "dB")
    saving = ("saving",) if metric.now is not None and quantity.unit not in ("dBm", "dBW", "") else ()
    try:
        to_si(quantity.value, quantity.unit, metric.unit)
    except UnitError:
        return saving if share else ()
    return ("at_least", "at_most", *saving)


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
        body = prompt.render(request=flat, examples=_examples(metrics))
        return LlmRequest(prompt=body, **shared)
    told = [{"name": m.name, "meaning": m.meaning, "users": m.users} for m in metrics]
    numbers = [{"key": f"number_{i + 1}", "text": q.text} for i, q in enumerate(form.numbers)]
    body = prompt.render(metrics=told, form=_example_form(form), request=flat, numbers=numbers)
    return LlmRequest(messages=(Message("user", body),), schema=_schema(form), **shared)


def _examples(metrics: Sequence[Metric]) -> list[dict[str, str]]:
    """Worked examples in the names of the instance's own metrics, one per kind of aim and bound."""
    rate = next((m for m in metrics if m.unit in ("bit/s", "bit/s/Hz")), metrics[0])
    unit = {"bit/s": "kbps", "bit/s/Hz": "bit/s/Hz"}.get(rate.unit, rate.unit)
    who, everybody = ("user 3", "every user") if rate.users else ("it", "all of it")
    one, every = ('"3"', '"all"') if rate.users else ('"none"', '"none"')

    def entry(number: str, about: str, bound: str, users: str = '"none"') -> str:
        return f'"{number}":{{"about":"{about}","bound":"{bound}","users":{users}}}'

    def form(aim: str, *entries: str) -> str:
        return "{" + ",".join([f'"aim":"{aim}"', *entries]) + "}"

    told = [
        (
            f"minimize the power with 4 {unit} or more for {who}",
            form("min total_power", entry(f"4 {unit}", rate.name, "at_least", one)),
        ),
        (
            f"keep the total power below 12 W and give {everybody} at least 0.9 {unit}",
            form("own", entry("12 W", "total_power", "at_most"), entry(f"0.9 {unit}", rate.name, "at_least", every)),
        ),
    ]
    if any(m.now is not None for m in metrics):
        told.append(("cut the power by at least 7 %", form("own", entry("7 %", "total_power", "saving"))))
    whole = next((m for m in metrics if not m.users and m.larger_is_better), None)
    if whole is not None:
        aim = f"maximize the {whole.meaning} with no more than 20 dBm"
        told.append((aim, form(f"max {whole.name}", entry("20 dBm", "total_power", "at_most"))))
    ratio = next((m for m in metrics if m.users and not m.unit and m.larger_is_better), None)
    if ratio is not None:
        told.append(
            (f"an {ratio.words[0]} of at least 7 dB for user 2", form("own", entry("7 dB", ratio.name, "at_least", '"2"')))
        )
    told.append((f"{who} needs at least 2.5 {unit}", form("own", entry(f"2.5 {unit}", rate.name, "at_least", one))))
    return [{"request": request, "answer": answer} for request, answer in told]


def _example_form(form: _Form) -> str:
    body: dict[str, Any] = {}
    for i, choices in enumerate(form.choices):
        bounds = dict.fromkeys(b for options, _ in choices.values() for b in options)
        users = dict.fromkeys(u for _, options in choices.values() for u in options)
        body[f"number_{i + 1}"] = {"about": "|".join(choices), "bound": "|".join(bounds), "users": "|".join(users)}
    return json.dumps({**body, "aim": "|".join(form.aims)})


def _schema(form: _Form) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for i, choices in enumerate(form.choices):
        kinds = []
        for name, (bounds, users) in choices.items():
            fields = {"about": {"enum": [name]}, "bound": {"enum": list(bounds)}, "users": {"enum": list(users)}}
            kinds.append({"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False})
        properties[f"number_{i + 1}"] = kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
    properties["aim"] = {"enum": list(form.aims)}
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _grammar(form: _Form) -> str:
    """GBNF of the same answer in continuation style, keyed by the number as it is written, without free blanks."""

    def literal(text: str) -> str:
        return json.dumps(text, ensure_ascii=True)

    def choice(values: Sequence[str]) -> str:
        return "( " + " | ".join(literal(json.dumps(v)) for v in values) + " )"

    about, bound, user, aim, end = (literal(t) for t in ('"about":', ',"bound":', ',"users":', '"aim":', "}"))
    parts = []
    for quantity, choices in zip(form.numbers, form.choices, strict=True):
        kinds = [f"{choice([n])} {bound} {choice(b)} {user} {choice(u)}" for n, (b, u) in choices.items()]
        parts.append(f"{literal(',' + json.dumps(quantity.text) + ':{')} {about} ( {' | '.join(kinds)} ) {end}")
    entries = " ".join([f"{aim} {choice(form.aims)}", *parts])
    return f'root ::= " "? "{{" {entries} "}}"\n'


def _parsed(raw: str, form: _Form, metrics: Sequence[Metric]) -> tuple[Goal | None, str]:
    """The goal of an answer, or what is wrong with it."""
    start = raw.find("{")
    try:
        answer, _ = json.JSONDecoder().raw_decode(raw[:20_000], start) if start >= 0 else (None, 0)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        return None, "the answer is no JSON object"
    clauses = []
    for i, (quantity, choices) in enumerate(zip(form.numbers, form.choices, strict=True)):
        entry = answer.get(f"number_{i + 1}", answer.get(quantity.text))
        if not isinstance(entry, dict):
            return None, f"the answer leaves out '{quantity.text}'"
        about, bound, users = (str(entry.get(key)) for key in ("about", "bound", "users"))
        bounds, known = choices.get(about, ((), ()))
        if bound not in bounds or users not in known:
            return None, f"the answer for '{quantity.text}' is not one of the choices"
        numbers = () if users in ("none", "all") else tuple(int(n) for n in users.split("+"))
        clauses.append(
            Clause(
                metric=about,
                op=_OPS[bound],  # type: ignore[arg-type]
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
