"""The deterministic reading of a request: no language model, no guess.

Every number, user, comparison and aim has a place in the text. What is missing or said twice becomes a question; words that are
not known make the reading unconfirmed. The same reading grounds what a language model understood.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from optisolve.core.errors import OptionError
from optisolve.goals.goal import Clause, Goal, GoalObjective, Term, bounds_of
from optisolve.goals.metric import Metric
from optisolve.goals.units import UnitError, find_unit, to_si
from optisolve.words.ask.lexicon import Mention, find_phrases, phrases, vocabulary
from optisolve.words.ask.quantities import Quantity, Users, find_quantities, find_users, require_text

__all__ = ["Reading", "deadline_of", "lowered", "read_by_rules", "scan"]

_KINDS = (
    "at_least",
    "at_most",
    "meets",
    "saving",
    "saving_by",
    "saving_to",
    "gain",
    "minimize",
    "maximize",
    "worst",
    "everybody",
    "others",
    "split",
    "wish",
    "deadline",
)
_MEANINGFUL = ("metric", "saving", "gain", "at_least", "at_most", "minimize", "maximize", "worst")
"""Kinds of phrases that ask for something; a segment of them without a number is incomplete."""
_TURNING = re.compile(r"[<>=≠≈~¬±×÷^*+|&≮≯]")
"""Signs that can turn a meaning; where no phrase or number accounts for them they are as unknown as a word."""
_CUT = re.compile(r"[;!?\n]|[,.:](?!\d)")


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
    return quantities, users, find_phrases(lowered(text), table, taken)


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
    questions = [q.problem for q in quantities if q.problem]
    aims: list[GoalObjective] = []
    clauses: list[tuple[Clause, bool]] = []  # with "the others"
    timed = [q for q in quantities if deadline_of(q, mentions) is not None]
    deadlines = [deadline_of(q, mentions) for q in timed]
    if len(timed) > 1 or any(not 0.0 < float(d or 0.0) <= 1e7 for d in deadlines):
        questions.append("How long may solving take? Give one time above 0.")
    for segment in _segments(text, [q for q in quantities if q not in timed], users, mentions):
        if segment.kinds("deadline") and not timed:
            questions.append("How long may solving take? Give a time, e.g. 'answer within 5 s'.")
        if segment.kinds("wish") and not segment.quantities:
            phrase = segment.kinds("wish")[0].phrase
            questions.append(f"What is '{phrase}' said of? Put it beside one requirement, without a comma between them.")
        aim = _objective(segment, metrics, questions)
        if aim is not None:
            aims.append(aim)
        if len(segment.quantities) > 1:
            both = " and ".join(f"'{q.text}'" for q in segment.quantities)
            questions.append(f"Two numbers stand in one phrase: {both}. Write one requirement after the other.")
        elif segment.quantities:
            clause = _clause(segment, segment.quantities[0], metrics, questions)
            if clause is not None:
                clauses.append((clause, bool(segment.kinds("others"))))
        elif aim is None and (
            segment.users or segment.kinds("metric", "saving", "gain", "at_least", "at_most", "minimize", "maximize", "worst")
        ):
            questions.append(
                f"What should hold for '{text[slice(*segment.span)].strip()}'? There is neither a number nor an aim."
            )
    if len({a.model_dump_json() for a in aims}) > 1:
        questions.append("There are several aims; which one is optimized, and which limits hold for the others?")
    found = [_others(c, other, [c for c, _ in clauses], metrics, questions) for c, other in clauses]
    objective = aims[0] if aims else None
    if objective is None and not found and not questions:
        questions.append("There is neither an aim nor a requirement in the request.")
    deadline = deadlines[0] if len(deadlines) == 1 and not questions else None
    goal = Goal(objective=objective, constraints=tuple(found), deadline_s=deadline)
    if not questions:
        try:
            bounds_of(goal, metrics)
        except OptionError as error:
            questions += [f"{p.given!r}: {p.expected}" for p in error.problems]
    unknown = _unknown(text, quantities, users, mentions)
    goal = goal.model_copy(update={"ambiguities": tuple(questions)})
    return Reading(goal, tuple(dict.fromkeys(questions)), unknown, tuple(quantities))


def _segments(text: str, quantities: list[Quantity], users: list[Users], mentions: list[Mention]) -> list[_Segment]:
    taken = [*(u.span for u in users), *(q.span for q in quantities), *(m.span for m in mentions if m.kind != "split")]
    cuts = [m.span for m in mentions if m.kind == "split" and m.phrase != "with"]
    cuts += [m.span() for m in _CUT.finditer(text) if not any(a <= m.start() < b for a, b in taken)]
    for joint in (m.span for m in mentions if m.kind == "split" and m.phrase == "with"):
        start = max((b for _, b in cuts if b <= joint[0]), default=0)
        aims = [m.span for m in mentions if m.kind in ("minimize", "maximize", "worst")]
        if any(
            start <= a < joint[0] for a, _ in [*aims, *(q.span for q in quantities)]
        ):  # else "user 2 with 5 W" is one phrase
            cuts.append(joint)
    cuts.sort()
    edges = [0, *(b for _, b in cuts)], [*(a for a, _ in cuts), len(text)]
    segments = [_Segment(span) for span in zip(*edges, strict=True)]
    for item_list, name in ((mentions, "mentions"), (quantities, "quantities"), (users, "users")):
        for item in item_list:
            if name == "mentions" and item.kind == "split":  # type: ignore[union-attr]
                continue
            home = next(s for s in reversed(segments) if s.span[0] <= item.span[0])
            getattr(home, name).append(item)
    return [s for s in segments if s.mentions or s.quantities or s.users]


def _objective(segment: _Segment, metrics: Sequence[Metric], questions: list[str]) -> GoalObjective | None:
    """The aim that a segment states; its mentions are taken out of the segment."""
    verbs, worst = segment.kinds("minimize", "maximize"), segment.kinds("worst")
    if not verbs and not worst:
        return None
    place = verbs[0].span if verbs else worst[0].span
    limit = segment.quantities[0].span[0] if segment.quantities and segment.quantities[0].span[0] > place[0] else 10**9
    named = [m for m in segment.kinds("metric") if m.span[0] < limit] or segment.kinds("metric")
    after = [m for m in named if m.span[0] > place[0]] or named
    if not after:
        questions.append("What is to be optimized? The aim names no quantity of this problem.")
        return None
    mention = after[0]
    owners = _owners(mention.phrase, metrics)
    sense = "max" if worst and not verbs else {"minimize": "min", "maximize": "max"}[verbs[0].kind] if verbs else "max"
    own = segment.users if not segment.quantities else []
    used = [*verbs, *worst, mention]
    segment.mentions = [m for m in segment.mentions if m not in used]
    per_user = [m for m in owners if m.users]
    if worst:
        if sense != "max" or not per_user:
            questions.append(f"The worst user's {mention.phrase} can only be maximized, and only where every user has one.")
            return None
        return GoalObjective(sense="maxmin", terms=(Term(metric=per_user[0].name),))
    if own:
        if not per_user:
            questions.append(f"'{mention.phrase}' has no value of a single user here.")
            return None
        numbers = tuple(n for u in own for n in u.numbers if n >= 1)
        return GoalObjective(sense=sense, terms=(Term(metric=per_user[0].name, users=numbers),))  # type: ignore[arg-type]
    whole = [m for m in owners if not m.users]
    if not whole:
        questions.append(f"Whose {mention.phrase}: the sum over all users, or the worst user's?")
        return None
    return GoalObjective(sense=sense, terms=(Term(metric=whole[0].name),))  # type: ignore[arg-type]


def _clause(segment: _Segment, quantity: Quantity, metrics: Sequence[Metric], questions: list[str]) -> Clause | None:
    """The requirement that a segment states."""
    if quantity.problem:
        return None
    numbers = tuple(dict.fromkeys(n for u in segment.users for n in u.numbers))
    if any(n < 1 for n in numbers):
        questions.append("Users are counted from 1; who is user 0?")
        return None
    everybody = bool(segment.kinds("everybody"))
    if (bool(numbers) + everybody + bool(segment.kinds("others"))) > 1:
        questions.append(f"'{quantity.text}': for some users or for all of them?")
        return None
    about_users = bool(numbers) or everybody or bool(segment.kinds("others"))
    change = _change(segment, quantity)
    metric = _metric(segment, quantity, metrics, about_users, change, questions)
    if metric is None:
        return None
    if about_users and not metric.users and not everybody:
        questions.append(f"'{quantity.text}': {metric.name} is one number here and belongs to no single user.")
        return None
    if metric.users and not about_users:
        questions.append(f"'{quantity.text}': for which user, or for every user?")
        return None
    op = _operator(segment, quantity, metric, change, questions)
    if op is None:
        return None
    users = numbers if metric.users else ()
    return Clause(
        metric=metric.name,
        op=op,  # type: ignore[arg-type]
        value=quantity.value,
        unit=quantity.unit,
        users=users,
        change=change,  # type: ignore[arg-type]
        hard=not segment.kinds("wish"),
        source_span=quantity.span,
    )


def _change(segment: _Segment, quantity: Quantity) -> str:
    if segment.kinds("saving"):
        before = [m for m in segment.kinds("saving_to") if m.span[1] <= quantity.span[0]]
        ops = segment.kinds("at_most", "at_least")
        to = before and all(not (before[-1].span[1] <= m.span[0]) or m.kind == "at_most" for m in ops)
        close = before and len(_between(segment, before[-1].span[1], quantity.span[0])) == 0
        return "none" if to and close else "saving"
    return "gain" if segment.kinds("gain") else "none"


def _between(segment: _Segment, start: int, end: int) -> list[Mention]:
    return [m for m in segment.mentions if start <= m.span[0] < end and m.kind not in ("at_most", "saving_to")]


def _metric(
    segment: _Segment, quantity: Quantity, metrics: Sequence[Metric], about_users: bool, change: str, questions: list[str]
) -> Metric | None:
    named = [owner for m in segment.kinds("metric") for owner in _owners(m.phrase, metrics)]
    fitting = [m for m in named if _fits(quantity, m, change)]
    if not named:
        fitting = [m for m in metrics if quantity.unit not in ("", "%", "dB") and _fits(quantity, m, change)]
        if fitting and not _usual(segment, fitting[0], change):
            fitting = []  # "at least 1 W" without a word for what it is about
    preferred = [m for m in fitting if bool(m.users) == about_users] or fitting
    names = list(dict.fromkeys(m.name for m in preferred))
    if len(names) == 1:
        return preferred[0]
    if names:
        questions.append(f"'{quantity.text}': is it about {' or '.join(names)}?")
    elif named:
        try:
            to_si(quantity.value, quantity.unit, named[0].unit)
            questions.append(f"'{quantity.text}': does it fit {named[0].name}?")
        except UnitError as error:
            questions.append(str(error))
    else:
        questions.append(f"What is '{quantity.text}' about? This problem knows {', '.join(m.name for m in metrics)}.")
    return None


def _usual(segment: _Segment, metric: Metric, change: str) -> bool:
    """A requirement in the direction in which people require something of a metric."""
    against = "at_most" if metric.larger_is_better else "at_least"
    return change != "none" or not segment.kinds(against)


def _fits(quantity: Quantity, metric: Metric, change: str) -> bool:
    if change != "none" and quantity.unit in ("%", "percent", "dB", "decibel", "decibels", "per cent"):
        return True
    try:
        to_si(quantity.value, quantity.unit, metric.unit)
    except UnitError:
        return False
    return True


def _operator(segment: _Segment, quantity: Quantity, metric: Metric, change: str, questions: list[str]) -> str | None:
    kinds = {m.kind for m in segment.kinds("at_least", "at_most")}
    if len(kinds) == 2:
        questions.append(f"'{quantity.text}': at least or at most?")
        return None
    if kinds:
        return ">=" if kinds == {"at_least"} else "<="
    if change in ("saving", "gain"):
        return ">="
    if segment.kinds("saving"):  # "reduce the power to 10 W"
        return "<="
    if segment.kinds("meets") and metric.larger_is_better:
        return ">="
    questions.append(f"'{quantity.text}': at least or at most?")
    return None


def _others(
    clause: Clause, other: bool, all_clauses: Sequence[Clause], metrics: Sequence[Metric], questions: list[str]
) -> Clause:
    """Users of "the others": all that no other clause about the same metric names."""
    if not other:
        return clause
    named = {u for c in all_clauses if c is not clause and c.metric == clause.metric for u in c.users}
    count = next(m.users for m in metrics if m.name == clause.metric)
    rest = tuple(u for u in range(1, count + 1) if u not in named)
    if not named or not rest:
        questions.append("Who are the others? Name the users.")
        return clause
    return clause.model_copy(update={"users": rest})


def _owners(phrase: str, metrics: Sequence[Metric]) -> list[Metric]:
    """Metrics that people call so."""
    return [m for m in metrics if phrase in m.words or phrase.removesuffix("s") in m.words]


def _unknown(text: str, quantities: list[Quantity], users: list[Users], mentions: list[Mention]) -> tuple[str, ...]:
    taken = [*(q.span for q in quantities), *(u.span for u in users), *(m.span for m in mentions)]
    told = []
    for match in re.finditer(r"[^\W_]+(?:['’][^\W\d_]+)?", lowered(text)):
        if any(a <= match.start() < b for a, b in taken):
            continue
        word = re.sub(r"['’]s$", "", match.group())
        if word not in vocabulary():
            told.append(match.group())
    told += [m.group() for m in _TURNING.finditer(text) if not any(a <= m.start() < b for a, b in taken)]
    return tuple(dict.fromkeys(told))
