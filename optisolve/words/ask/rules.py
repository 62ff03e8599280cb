"""The deterministic reading of a request: no language model, no guess.

Every number, user, comparison and aim has a place in the text. What is missing or said twice becomes a question; words that are
not known make the reading unconfirmed. The same reading grounds what a language model understood.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Literal

from optisolve.core.errors import OptionError
from optisolve.goals.goal import Clause, Goal, GoalObjective, Term, bounds_of
from optisolve.goals.metric import Metric
from optisolve.goals.units import UnitError, find_unit, to_si
from optisolve.words.ask.lexicon import Mention, find_phrases, phrases, vocabulary
from optisolve.words.ask.quantities import Quantity, Users, find_quantities, find_users, require_text

__all__ = ["Reading", "deadline_of", "lowered", "read_by_rules", "scan"]

_KINDS = (
    *("at_least", "at_most", "meets", "saving", "saving_by", "saving_to", "gain", "minimize", "maximize", "worst"),
    *("everybody", "others", "split", "wish", "deadline"),
)
_SENSES: Mapping[str, Literal["min", "max"]] = {"minimize": "min", "maximize": "max"}
_MEANINGFUL = ("metric", "saving", "gain", "at_least", "at_most", "minimize", "maximize", "worst")
"""Kinds of phrases that ask for something; a segment of them without a number is incomplete."""
_TURNING = re.compile(r"[<>=≠≈~¬±×÷^*+|&≮≯]")
"""Signs that can turn a meaning; where no phrase or number accounts for them they are as unknown as a word."""
_CUT = re.compile(r"[;!?\n]|[,.:](?!\d)")
_WORD, _OWNED = re.compile(r"[^\W_]+(?:['’][^\W\d_]+)?"), re.compile(r"['’]s$")


@dataclass(frozen=True, slots=True)
class Reading:
    """What the words say.

    Attributes:
        goal: The goal as far as it was read; its `ambiguities` repeat the questions.
        questions: What must be answered before anything is solved.
        unknown: Words without a known meaning, which somebody must confirm to be harmless.
        quantities: Numbers of the text.
    """

    goal: Goal
    questions: tuple[str, ...]
    unknown: tuple[str, ...]
    quantities: tuple[Quantity, ...]

    @property
    def complete(self) -> bool:
        """Nothing is open and every word is accounted for."""
        return not self.questions and not self.unknown


@dataclass(slots=True)
class _Segment:
    """A stretch of the text between separators."""

    span: tuple[int, int]
    mentions: list[Mention] = field(default_factory=list)
    quantities: list[Quantity] = field(default_factory=list)
    users: list[Users] = field(default_factory=list)

    def kinds(self, *kinds: str) -> list[Mention]:
        return [m for m in self.mentions if m.kind in kinds]


def lowered(text: str) -> str:
    """Lower case with every character in its place."""
    return "".join(c.lower() if len(c.lower()) == 1 else c for c in text)


def scan(text: str, metrics: Sequence[Metric]) -> tuple[list[Quantity], list[Users], list[Mention]]:
    """Numbers, users and known phrases of a text, each with its place."""
    require_text(text)
    users = find_users(text, phrases("user"))
    quantities = find_quantities(text, users)
    taken = [*(u.span for u in users), *(q.span for q in quantities)]
    words = {w for metric in metrics for word in metric.words for w in (word, f"{word}s")}
    table: dict[str, Iterable[str]] = {kind: phrases(kind) for kind in _KINDS}
    table["metric"] = words
    return quantities, users, _timed(find_phrases(lowered(text), table, taken), quantities, metrics)


def _timed(mentions: list[Mention], quantities: Sequence[Quantity], metrics: Sequence[Metric]) -> list[Mention]:
    """The same; "within" in front of a time is a deadline where no metric is a time that it could limit."""
    if any(metric.unit == "s" for metric in metrics):
        return mentions
    times = [q.span[0] for q in quantities if not q.problem and q.unit and find_unit(q.unit).dimension == "time"]
    return [
        replace(m, kind="deadline") if m.phrase == "within" and any(0 <= start - m.span[1] <= 2 for start in times) else m
        for m in mentions
    ]


def deadline_of(quantity: Quantity, mentions: Sequence[Mention]) -> float | None:
    """Seconds, where a time stands directly behind a phrase such as "answer within"; else None."""
    if quantity.problem or not quantity.unit or find_unit(quantity.unit).dimension != "time":
        return None
    start = quantity.span[0]
    near = any(m.kind == "deadline" and 0 <= start - m.span[1] <= 2 for m in mentions)
    return to_si(quantity.value, quantity.unit, "s") if near else None


def read_by_rules(text: str, metrics: Sequence[Metric]) -> Reading:
    """Read a request without a language model.

    Args:
        text: The request.
        metrics: Metrics of the instance that it is about.

    Raises:
        IntentError: The text cannot be a request.
    """
    quantities, users, mentions = scan(text, metrics)
    timed = {q: seconds for q in quantities if (seconds := deadline_of(q, mentions)) is not None}
    questions = [q.problem for q in quantities if q.problem]
    if len(timed) > 1 or any(not 0.0 < seconds <= 1e7 for seconds in timed.values()):
        questions.append("How long may solving take? Give one time above 0.")
    aims: list[GoalObjective] = []
    clauses: list[tuple[Clause, bool]] = []  # and whether it is about "the others"
    for segment in _segments(text, [q for q in quantities if q not in timed], users, mentions):
        if segment.kinds("deadline") and not timed:
            questions.append("How long may solving take? Give a time, e.g. 'answer within 5 s'.")
        if segment.kinds("wish") and not segment.quantities:
            phrase = segment.kinds("wish")[0].phrase
            questions.append(f"What is '{phrase}' said of? Put it beside one requirement, without a comma between them.")
        own: list[GoalObjective] = []
        with _asking(questions):
            own += _aims(segment, metrics)
        with _asking(questions):
            clauses += _requirements(segment, metrics, text, beside_an_aim=bool(own))
        aims += own
    if any(aim != aims[0] for aim in aims):
        questions.append("There are several aims; which one is optimized, and which limits hold for the others?")
    all_clauses = [clause for clause, _ in clauses]
    found = list(all_clauses)
    for k, (clause, others) in enumerate(clauses):
        with _asking(questions):
            found[k] = _others(clause, all_clauses, metrics) if others else clause
    if not aims and not found and not questions:
        questions.append("There is neither an aim nor a requirement in the request.")
    deadline = next(iter(timed.values())) if timed and not questions else None
    goal = Goal(objective=aims[0] if aims else None, constraints=tuple(found), deadline_s=deadline)
    if not questions:
        try:
            bounds_of(goal, metrics)
        except OptionError as error:
            questions += [f"{p.given!r}: {p.expected}" for p in error.problems]
    goal = goal.model_copy(update={"ambiguities": tuple(questions)})
    unknown = _unknown(text, quantities, users, mentions)
    return Reading(goal, tuple(dict.fromkeys(questions)), unknown, tuple(quantities))


class _Open(Exception):
    """Something is open in the words; its text is the question."""


@contextmanager
def _asking(questions: list[str]) -> Iterator[None]:
    """What is open in a step is asked, and the reading goes on without it."""
    try:
        yield
    except _Open as question:
        questions.append(str(question))


# -- where what stands ----------------------------------------------------------------------------------------------------


def _segments(text: str, quantities: list[Quantity], users: list[Users], mentions: list[Mention]) -> list[_Segment]:
    """The stretches of a text that hold anything, each with its own."""
    words, splits = [m for m in mentions if m.kind != "split"], [m for m in mentions if m.kind == "split"]
    taken = [item.span for items in (users, quantities, words) for item in items]
    cuts = [m.span for m in splits if m.phrase != "with"]
    cuts += [m.span() for m in _CUT.finditer(text) if not _inside(m.start(), taken)]
    whole = [m.span[0] for m in mentions if m.kind in ("minimize", "maximize", "worst")] + [q.span[0] for q in quantities]
    for joint in (m.span for m in splits if m.phrase == "with"):
        start = max((b for _, b in cuts if b <= joint[0]), default=0)
        if any(start <= a < joint[0] for a in whole):  # else "user 2 with 5 W" is one phrase
            cuts.append(joint)
    cuts.sort()
    edges = [0, *(b for _, b in cuts)], [*(a for a, _ in cuts), len(text)]
    segments = [_Segment(span) for span in zip(*edges, strict=True)]

    def home(item: Quantity | Users | Mention) -> _Segment:
        return next(s for s in reversed(segments) if s.span[0] <= item.span[0])

    for mention in words:
        home(mention).mentions.append(mention)
    for quantity in quantities:
        home(quantity).quantities.append(quantity)
    for user in users:
        home(user).users.append(user)
    return [s for s in segments if s.mentions or s.quantities or s.users]


def _inside(place: int, spans: Iterable[tuple[int, int]]) -> bool:
    return any(a <= place < b for a, b in spans)


def _owners(phrase: str, metrics: Sequence[Metric]) -> list[Metric]:
    """Metrics that people call so."""
    return [m for m in metrics if phrase in m.words or phrase.removesuffix("s") in m.words]


def _unknown(text: str, quantities: list[Quantity], users: list[Users], mentions: list[Mention]) -> tuple[str, ...]:
    """Words without a meaning and signs that could turn one, in their order."""
    taken = [*(q.span for q in quantities), *(u.span for u in users), *(m.span for m in mentions)]
    words = [m.group() for m in _WORD.finditer(lowered(text)) if not _inside(m.start(), taken)]
    signs = [m.group() for m in _TURNING.finditer(text) if not _inside(m.start(), taken)]
    return tuple(dict.fromkeys([*(w for w in words if _OWNED.sub("", w) not in vocabulary()), *signs]))


# -- aims -----------------------------------------------------------------------------------------------------------------


def _aims(segment: _Segment, metrics: Sequence[Metric]) -> list[GoalObjective]:
    """The aim that a segment states, if any; its mentions are taken out of the segment."""
    verbs, worst = segment.kinds("minimize", "maximize"), segment.kinds("worst")
    if not verbs and not worst:
        return []
    sense = _SENSES[verbs[0].kind] if verbs else "max"
    mention = _aimed_at(segment, (verbs or worst)[0].span[0])
    own = [] if segment.quantities else segment.users
    segment.mentions = [m for m in segment.mentions if m not in (*verbs, *worst, mention)]
    owners, phrase = _owners(mention.phrase, metrics), mention.phrase
    per_user, whole = [m for m in owners if m.users], [m for m in owners if not m.users]
    if worst:
        fitting = per_user if sense == "max" else []
        question = f"The worst user's {phrase} can only be maximized, and only where every user has one."
    elif own:
        fitting, question = per_user, f"'{phrase}' has no value of a single user here."
    else:
        fitting, question = whole, f"Whose {phrase}: the sum over all users, or the worst user's?"
    if not fitting:
        raise _Open(question)
    numbers = () if worst else tuple(n for u in own for n in u.numbers if n >= 1)
    return [GoalObjective(sense="maxmin" if worst else sense, terms=(Term(metric=fitting[0].name, users=numbers),))]


def _aimed_at(segment: _Segment, place: int) -> Mention:
    """The metric behind the verb at a place, before a number that follows; else any of the segment."""
    first = segment.quantities[0].span[0] if segment.quantities else 0
    every = segment.kinds("metric")
    named = [m for m in every if first <= place or m.span[0] < first] or every
    after = [m for m in named if m.span[0] > place] or named
    if not after:
        raise _Open("What is to be optimized? The aim names no quantity of this problem.")
    return after[0]


# -- requirements ---------------------------------------------------------------------------------------------------------


def _requirements(segment: _Segment, metrics: Sequence[Metric], text: str, *, beside_an_aim: bool) -> list[tuple[Clause, bool]]:
    """The requirement that a segment states, if any, and whether it is about "the others"."""
    if len(segment.quantities) > 1:
        both = " and ".join(f"'{q.text}'" for q in segment.quantities)
        raise _Open(f"Two numbers stand in one phrase: {both}. Write one requirement after the other.")
    if not beside_an_aim and not segment.quantities and (segment.users or segment.kinds(*_MEANINGFUL)):
        raise _Open(f"What should hold for '{text[slice(*segment.span)].strip()}'? There is neither a number nor an aim.")
    usable = [q for q in segment.quantities if not q.problem]
    return [(_clause(segment, q, metrics), bool(segment.kinds("others"))) for q in usable]


def _clause(segment: _Segment, quantity: Quantity, metrics: Sequence[Metric]) -> Clause:
    """The requirement that a segment with one number states."""
    numbers = tuple(dict.fromkeys(n for u in segment.users for n in u.numbers))
    if any(n < 1 for n in numbers):
        raise _Open("Users are counted from 1; who is user 0?")
    everybody, others = bool(segment.kinds("everybody")), bool(segment.kinds("others"))
    if bool(numbers) + everybody + others > 1:
        raise _Open(f"'{quantity.text}': for some users or for all of them?")
    about_users, change = bool(numbers) or everybody or others, _change(segment, quantity)
    metric = _metric(segment, quantity, metrics, about_users, change)
    if about_users and not metric.users and not everybody:
        raise _Open(f"'{quantity.text}': {metric.name} is one number here and belongs to no single user.")
    if metric.users and not about_users:
        raise _Open(f"'{quantity.text}': for which user, or for every user?")
    return Clause(
        metric=metric.name,
        op=_operator(segment, quantity, metric, change),
        value=quantity.value,
        unit=quantity.unit,
        users=numbers if metric.users else (),
        change=change,
        hard=not segment.kinds("wish"),
        source_span=quantity.span,
    )


def _change(segment: _Segment, quantity: Quantity) -> Literal["none", "saving", "gain"]:
    """Whether a number is a change; "reduce it to 10 W" is a value, if nothing but "at most" stands between."""
    if not segment.kinds("saving"):
        return "gain" if segment.kinds("gain") else "none"
    ends = [m.span[1] for m in segment.kinds("saving_to") if m.span[1] <= quantity.span[0]]
    behind = [m for m in segment.mentions if ends and m.span[0] >= ends[-1]]
    between = [m for m in behind if m.span[0] < quantity.span[0] and m.kind not in ("at_most", "saving_to")]
    return "none" if ends and not between and not any(m.kind == "at_least" for m in behind) else "saving"


def _metric(segment: _Segment, quantity: Quantity, metrics: Sequence[Metric], about_users: bool, change: str) -> Metric:
    """The one metric that a number can be about, by what is named beside it and by its unit."""
    named = [owner for m in segment.kinds("metric") for owner in _owners(m.phrase, metrics)]
    fitting = [m for m in named or metrics if _fits(quantity, m, change)]
    if not named and fitting:  # "at least 1 W" without a word for what it is about
        against = "at_most" if fitting[0].larger_is_better else "at_least"
        if quantity.unit in ("", "%", "dB") or (change == "none" and segment.kinds(against)):
            fitting = []
    preferred = [m for m in fitting if bool(m.users) == about_users] or fitting
    names = list(dict.fromkeys(m.name for m in preferred))
    if len(names) == 1:
        return preferred[0]
    if names:
        raise _Open(f"'{quantity.text}': is it about {' or '.join(names)}?")
    if not named:
        raise _Open(f"What is '{quantity.text}' about? This problem knows {', '.join(m.name for m in metrics)}.")
    try:
        to_si(quantity.value, quantity.unit, named[0].unit)
    except UnitError as error:
        raise _Open(str(error)) from None
    raise _Open(f"'{quantity.text}': does it fit {named[0].name}?")


def _fits(quantity: Quantity, metric: Metric, change: str) -> bool:
    if change != "none" and quantity.unit in ("%", "percent", "dB", "decibel", "decibels", "per cent"):
        return True
    try:
        to_si(quantity.value, quantity.unit, metric.unit)
    except UnitError:
        return False
    return True


def _operator(segment: _Segment, quantity: Quantity, metric: Metric, change: str) -> Literal["<=", ">="]:
    least, most = bool(segment.kinds("at_least")), bool(segment.kinds("at_most"))
    if least != most:
        return ">=" if least else "<="
    if not least:
        if change != "none":
            return ">="
        if segment.kinds("saving"):  # "reduce the power to 10 W"
            return "<="
        if segment.kinds("meets") and metric.larger_is_better:
            return ">="
    raise _Open(f"'{quantity.text}': at least or at most?")


def _others(clause: Clause, clauses: Sequence[Clause], metrics: Sequence[Metric]) -> Clause:
    """A clause about "the others": all users that no other clause about the same metric names."""
    named = {u for c in clauses if c is not clause and c.metric == clause.metric for u in c.users}
    count = next(m.users for m in metrics if m.name == clause.metric)
    rest = tuple(u for u in range(1, count + 1) if u not in named)
    if not named or not rest:
        raise _Open("Who are the others? Name the users.")
    return clause.model_copy(update={"users": rest})
