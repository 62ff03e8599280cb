"""The form of an answer, said once: JSON schema for hosted models, GBNF for llama.cpp, and the reader of what comes back.

Grammars allow no free blanks: small models fall into runs of white space otherwise. Numbers are integers because servers do not
enforce the bounds of real ones. What a reply says is data: it is read within one limit and is never executed.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from optisolve.core.documents import Json, JsonObject

__all__ = [
    "MAX_TEXT",
    "Choice",
    "Fate",
    "Fault",
    "Form",
    "Integer",
    "Object",
    "OneOf",
    "Text",
    "Written",
    "first_object",
    "grammar_of",
    "integer_rule",
    "json_values",
    "line_grammar",
    "literal",
    "read_form",
    "schema_of",
]

MAX_TEXT = 200_000
"""Characters of a reply that are looked at, whoever asked: more than any answer needs, few enough to be read at once."""
_MAX_STARTS = 400
"""Places in a reply where an object or array may begin."""
_SHOWN = 40
"""Characters of a wrong value that an error quotes."""
_NAMED = 6
"""Missing members that an error names."""
_NUMBER_RULE = re.compile(r"n(\d+)")


class Fate(StrEnum):
    """What became of one answer that was asked for."""

    OK = "ok"
    """Used as given."""
    CLIPPED = "clipped"
    """Outside the bounds, moved to the nearest one."""
    REPAIRED = "repaired"
    """Rounded to an integer, projected by the problem, or freed of repetitions."""
    DUPLICATE = "duplicate"
    """Equal to a parent or to another candidate; not used."""
    REJECTED = "rejected"
    """Not usable."""

    @property
    def usable(self) -> bool:
        """True when the answer is used."""
        return self not in (Fate.DUPLICATE, Fate.REJECTED)


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with an answer.

    Attributes:
        reason: ``count`` (nothing of the asked form stands in the reply), ``length`` (something is missing), ``not finite``,
            ``bounds`` (not among what may be answered), or a word of the one who asks.
        detail: The same in words, for the model that is asked again.
    """

    reason: str
    detail: str


# -- forms ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Integer:
    """A whole number from 0 to the highest one."""

    highest: int


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some words."""

    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Text:
    """Free words of at most so many characters; a grammar allows only those of the GBNF class."""

    longest: int
    letters: str = "[a-zA-Z0-9 .,%-]"


@dataclass(frozen=True, slots=True)
class Object:
    """Named members in the order of the answer, all required; named because several back ends do not enforce lengths.

    With a name it is a grammar rule of its own.
    """

    members: Mapping[str, Form]
    name: str = ""


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of some forms."""

    forms: tuple[Form, ...]


@dataclass(frozen=True, slots=True)
class Written:
    """A text in a language of its own, without quotation marks or backslashes.

    Args:
        longest: Most characters; a grammar does not count them.
        start: Rule that the whole text follows.
        rules: GBNF rules by name.
    """

    longest: int
    start: str
    rules: Mapping[str, str]


Form: TypeAlias = "Integer | Choice | Text | Object | OneOf | Written"


def schema_of(form: Form) -> JsonObject:
    """JSON schema: bounds and choices as they are, every member of an object required and no other allowed."""
    match form:
        case Integer(highest):
            return {"type": "integer", "minimum": 0, "maximum": highest}
        case Choice(values):
            return {"type": "string", "enum": list(values)}
        case Text(longest) | Written(longest):
            return {"type": "string", "maxLength": longest}
        case OneOf((only,)):
            return schema_of(only)
        case OneOf(forms):
            return {"anyOf": [schema_of(one) for one in forms]}
        case Object(members):
            properties = {name: schema_of(member) for name, member in members.items()}
            return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def grammar_of(form: Form, *, blank: bool = False) -> str:
    """GBNF of a whole answer.

    Args:
        form: The form.
        blank: A blank may stand in front, as it does where a text is continued.
    """
    rules: dict[str, str] = {"root": ""}
    rules["root"] = ('" "? ' if blank else "") + _gbnf(form, rules)
    return _written(rules)


def line_grammar(root: str, **parts: str | Integer) -> str:
    """GBNF of an answer that is no JSON.

    Args:
        root: What the answer is made of, in GBNF.
        **parts: Rules by name.
    """
    rules = {name: part if isinstance(part, str) else integer_rule(part.highest) for name, part in parts.items()}
    return _written({"root": root, **rules})


def literal(text: str) -> str:
    """A GBNF string literal; its escapes are those of JSON for what occurs here."""
    return json.dumps(text, ensure_ascii=True)


def integer_rule(level: int, *, padded: bool = False) -> str:
    """GBNF alternatives that match exactly the integers from 0 to `level`.

    Args:
        level: Largest integer.
        padded: With leading zeros, all as long as `level`; without them otherwise.
    """
    digits = str(level)
    alternatives = [] if padded else ['"0"'] + [_digits(1, 9) + _free(k) for k in range(len(digits) - 1)]
    for i, digit in enumerate(digits):
        lowest = 1 if i == 0 and not padded else 0
        if int(digit) - 1 >= lowest:
            prefix = f'"{digits[:i]}" ' if i else ""
            alternatives.append(prefix + _digits(lowest, int(digit) - 1) + _free(len(digits) - i - 1))
    if level > 0 or padded:
        alternatives.append(f'"{digits}"')
    return " | ".join(alternatives)


def _gbnf(form: Form, rules: dict[str, str]) -> str:
    """GBNF where a form is used: its rule's name, or the form itself; the rules that it needs are added."""
    match form:
        case Integer(highest):
            return _rule(f"n{highest}", rules, lambda: integer_rule(highest))
        case Choice(values):
            return f"( {' | '.join(literal(json.dumps(value)) for value in values)} )"
        case Text(longest, letters):
            return f'"\\"" {letters}{{0,{longest}}} "\\""'
        case Written(_, start, own):
            rules.update(own)
            return f'"\\"" {start} "\\""'
        case OneOf(forms):
            return f"( {' | '.join(_gbnf(one, rules) for one in forms)} )"
        case Object(members, name):
            return _rule(name, rules, lambda: _members(members, rules))


def _members(members: Mapping[str, Form], rules: dict[str, str]) -> str:
    parts = ' "," '.join(f"{literal(json.dumps(name) + ':')} {_gbnf(member, rules)}" for name, member in members.items())
    return f'"{{" {parts} "}}"'


def _rule(name: str, rules: dict[str, str], body: Callable[[], str]) -> str:
    """The name of a rule, which stands in front of those that it needs; the body where there is no name."""
    if not name:
        return body()
    if name not in rules:
        rules[name] = ""
        rules[name] = body()
    return name


def _written(rules: Mapping[str, str]) -> str:
    """Rules line by line, those of plain numbers last and ascending."""

    def place(name: str) -> int:
        match = _NUMBER_RULE.fullmatch(name)
        return int(match[1]) if match else -1

    return "".join(f"{name} ::= {rules[name]}\n" for name in sorted(rules, key=place))


def _digits(low: int, high: int) -> str:
    return f"[{low}-{high}]" if low < high else f'"{low}"'


def _free(count: int) -> str:
    return " [0-9]" * count


# -- reading -------------------------------------------------------------------------------------------------------------


def read_form(form: Object, text: str) -> tuple[JsonObject, Fault | None]:
    """The first object of a reply that has one of the form's members; members that nobody asked for are ignored.

    Returns:
        The object, empty where there is none, and None or what is wrong with it.
    """
    value, fault = first_object(text, form.members)
    return value, fault or _fault(form, value, "answer")


def json_values(text: str) -> Iterator[Json]:
    """Every JSON object or array in a reply, outermost first.

    Of an outer one that is cut short, or that says a name twice so that one of two meanings would be lost, what it holds
    complete comes by itself.
    """
    text = text[:MAX_TEXT]
    decoder = json.JSONDecoder(object_pairs_hook=_unique)
    position = 0
    for _ in range(_MAX_STARTS):
        match = re.compile(r"[{\[]").search(text, position)
        if match is None:
            return
        try:
            value, position = decoder.raw_decode(text, match.start())
        except (ValueError, RecursionError):
            position = match.start() + 1
            continue
        yield value


def first_object(text: str, names: Collection[str]) -> tuple[JsonObject, Fault | None]:
    """The first object of a reply that has one of the names.

    Returns:
        The object, empty where there is none, and None or what is wrong with it: there is none, or a number is not finite.
    """
    for value in json_values(text):
        if isinstance(value, Mapping) and any(name in value for name in names):
            return value, None if _is_finite(value) else Fault("not finite", "a number is NaN or infinite")
    return {}, Fault("count", "expected one complete JSON object of the asked form, every name once")


def _unique(pairs: Sequence[tuple[str, Json]]) -> dict[str, Json]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("a name stands twice")
    return value


def _is_finite(value: Json) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, Mapping):
        return all(map(_is_finite, value.values()))
    return isinstance(value, str) or not isinstance(value, Sequence) or all(map(_is_finite, value))


def _fault(form: Form, value: Json, place: str) -> Fault | None:
    """What is wrong with a value at a place of the answer; None when it has the form."""
    match form:
        case Integer(highest):
            whole = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= highest
            return None if whole else _odd(value, place, f"a whole number from 0 to {highest}")
        case Choice(values):
            return None if value in values else _odd(value, place, f"one of {', '.join(values)}")
        case Text() | Written():
            return None if isinstance(value, str) else _odd(value, place, "a text")
        case OneOf(forms):
            faults = [fault for one in forms if (fault := _fault(one, value, place))]
            if len(faults) < len(forms):
                return None
            same = all(fault.reason == "length" for fault in faults)
            return faults[0] if same else Fault("bounds", f"'{place}' is not one of the choices")
        case Object(members):
            if not isinstance(value, Mapping):
                return _odd(value, place, "an object")
            lacking = [repr(name) for name in members if name not in value][:_NAMED]
            if lacking:
                return Fault("length", f"the answer leaves out {', '.join(lacking)}")
            return next((fault for name, one in members.items() if (fault := _fault(one, value[name], name))), None)


def _odd(value: Json, place: str, expected: str) -> Fault:
    return Fault("bounds", f"'{place}' is {json.dumps(value)[:_SHOWN]}; expected {expected}")
