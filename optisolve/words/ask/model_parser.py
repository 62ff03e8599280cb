"""A language model reads a request: it only chooses among what the text and the instance offer, and never writes a number.

The answer's form holds one entry per number of the text. Metrics are limited to those whose dimension fits the number's unit,
users to those that the text names. Whatever comes back is validated, and then grounded in the words by
`optisolve.words.ask.ground`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from optisolve.core.documents import JsonObject
from optisolve.core.errors import OptionError
from optisolve.core.seeds import derive
from optisolve.goals.goal import Clause, Goal, GoalObjective, Term, bounds_of
from optisolve.goals.metric import Metric
from optisolve.goals.units import UnitError, to_si
from optisolve.llm.dialogue import Dialogue, DialogueReport, Turn, Verdict, worded
from optisolve.llm.forms import Choice, Fault, Object, OneOf, grammar_of, read_form, schema_of
from optisolve.llm.prompts import Prompt, load_prompt
from optisolve.llm.session import LlmSession
from optisolve.llm.types import LlmRequest
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
        valid: The first answer fitted the form.
        raw: The last answer.
        dialogue: What was asked and what came of it.
    """

    goal: Goal | None
    problem: str
    valid: bool
    raw: str
    dialogue: DialogueReport


@dataclass(frozen=True, slots=True)
class _Choices:
    """What may be answered.

    Attributes:
        numbers: Numbers of the text.
        choices: Per number the metrics that fit it, each with the bounds and users that fit the metric.
        aims: What may be optimized.
    """

    numbers: tuple[Quantity, ...]
    choices: tuple[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]], ...]
    aims: tuple[str, ...]

    def keys(self, style: str) -> list[str]:
        """Name of every number in the answer: its words where a text is continued, else its place."""
        return [q.text if style == "continuation" else f"number_{i + 1}" for i, q in enumerate(self.numbers)]

    def form(self, style: str) -> Object:
        """The form of the answer; the aim stands first where a text is continued."""
        aim = {"aim": Choice(self.aims)}
        entries = {
            key: OneOf(
                tuple(
                    Object({"about": Choice((name,)), "bound": Choice(bounds), "users": Choice(users)})
                    for name, (bounds, users) in choices.items()
                )
            )
            for key, choices in zip(self.keys(style), self.choices, strict=True)
        }
        return Object({**aim, **entries} if style == "continuation" else {**entries, **aim})


def read_by_model(
    text: str,
    metrics: Sequence[Metric],
    session: LlmSession,
    *,
    seed: int = 0,
    reasks: int = 1,
    tag: str = "ask",
    shown: str | None = None,
) -> ModelReading:
    """Ask a language model what a request means.

    Args:
        text: The request.
        metrics: Metrics of the instance.
        session: An open session.
        seed: Sampling seed of the first question.
        reasks: Further questions after an answer that does not fit the form.
        tag: Place of the question in the session's transcript.
        shown: What the model is shown in place of the request, whose form it fills in: a placebo. None shows the request.

    Raises:
        IntentError: The text cannot be a request.
    """
    quantities, users, mentions = scan(text, metrics)
    quantities = [q for q in quantities if deadline_of(q, mentions) is None]  # says nothing about the network
    style, dialogue = session.preferred_style, Dialogue(session, max_reasks=reasks)
    prompt = load_prompt(f"ask_{style}")

    def reading(goal: Goal | None, problem: str, turn: Turn[_Choices, Goal] | None = None) -> ModelReading:
        asked, raw = (0, "") if turn is None else (turn.asked, turn.text)
        report = dialogue.report(style=style, prompts=prompt.describe())
        return ModelReading(goal, problem, goal is not None and asked == 1, raw, report)

    if len(quantities) > _MAX_NUMBERS:
        return reading(None, f"{len(quantities)} numbers; at most {_MAX_NUMBERS} are read at once")
    everybody = any(m.kind in ("everybody", "others") for m in mentions)
    choices = _choices(quantities, users, metrics, everybody=everybody)
    if not all(choices.choices):
        lost = next(q.text for q, names in zip(choices.numbers, choices.choices, strict=True) if not names)
        return reading(None, f"no quantity of this problem fits '{lost}'")
    turn = dialogue.ask_one(
        choices,
        lambda _, attempt: _request(text if shown is None else shown, metrics, choices, prompt, style, seed, attempt, tag),
        lambda _, raw: _judge(raw, choices, style, metrics),
    )
    problem = f"the model did not answer ({turn.why})" if turn.unheard else turn.why
    return reading(turn.answer, problem, turn)


def _choices(quantities: Sequence[Quantity], users: Sequence[Users], metrics: Sequence[Metric], *, everybody: bool) -> _Choices:
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
    return _Choices(tuple(quantities), tuple(choices), tuple(aims))


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
    text: str, metrics: Sequence[Metric], choices: _Choices, prompt: Prompt, style: str, seed: int, attempt: int, tag: str
) -> LlmRequest:
    form, variables = choices.form(style), {"request": " ".join(text.split())}
    if style == "continuation":
        body = prompt.render(**variables, examples=_examples(metrics))
    else:
        told = [{"name": m.name, "meaning": m.meaning, "users": m.users} for m in metrics]
        numbers = [{"key": key, "text": q.text} for key, q in zip(choices.keys(style), choices.numbers, strict=True)]
        body = prompt.render(**variables, metrics=told, form=_example_form(choices), numbers=numbers)
    return worded(
        body,
        style,
        tag=tag,
        attempt=attempt,
        seed=int(derive(seed, purpose="ask", attempt=attempt).generate_state(1)[0]) % 2**31,
        max_tokens=40 + 48 * max(1, len(choices.numbers)),
        schema=schema_of(form),
        grammar=grammar_of(form, blank=True),
    )


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


def _example_form(choices: _Choices) -> str:
    body: dict[str, object] = {}
    for key, kinds in zip(choices.keys("schema"), choices.choices, strict=True):
        bounds = dict.fromkeys(b for options, _ in kinds.values() for b in options)
        users = dict.fromkeys(u for _, options in kinds.values() for u in options)
        body[key] = {"about": "|".join(kinds), "bound": "|".join(bounds), "users": "|".join(users)}
    return json.dumps({**body, "aim": "|".join(choices.aims)})


def _judge(raw: str, choices: _Choices, style: str, metrics: Sequence[Metric]) -> Verdict[Goal]:
    value, fault = read_form(choices.form(style), raw)
    if fault is not None:
        return Verdict.rejected(fault)
    entries = zip(choices.keys(style), choices.numbers, strict=True)
    clauses = tuple(_clause(quantity, entry) for key, quantity in entries if isinstance(entry := value[key], Mapping))
    goal = Goal(objective=_aim(str(value["aim"])), constraints=clauses)
    try:
        bounds_of(goal, metrics)
    except OptionError as error:
        return Verdict.rejected(Fault("bounds", "; ".join(f"{p.given!r}: {p.expected}" for p in error.problems)))
    return Verdict(goal)


def _clause(quantity: Quantity, entry: JsonObject) -> Clause:
    bound, users = str(entry["bound"]), str(entry["users"])
    return Clause(
        metric=str(entry["about"]),
        op=_OPS[bound],  # type: ignore[arg-type]
        value=quantity.value,
        unit=quantity.unit,
        users=() if users in ("none", "all") else tuple(int(n) for n in users.split("+")),
        change="saving" if bound == "saving" else "none",
        source_span=quantity.span,
    )


def _aim(text: str) -> GoalObjective | None:
    if text == "own":
        return None
    sense, _, metric = text.partition(" ")
    return GoalObjective(sense=sense, terms=(Term(metric=metric),))  # type: ignore[arg-type]
