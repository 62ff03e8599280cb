"""The form of an answer, said once: JSON schema for hosted models, GBNF for llama.cpp, and the reader of what comes back.

Grammars allow no free blanks: small models fall into runs of white space otherwise. Numbers are integers because servers do not
enforce the bounds of real ones. What a reply says is data: it is read within one limit and is never executed.
"""

from __future__ import annotations

import json
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from optisolve.core.json import Json, JsonObject

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
    "first_object",
    "grammar_of",
    "integer_rule",
    "json_values",
    "line_grammar",
    "literal",
]

MAX_TEXT = 200_000
"""Characters of a reply that are looked at, whoever asked: more than any answer needs, few enough to be read at once."""
_MAX_STARTS = 400
"""Places in a reply where an object or array may begin."""
_SHOWN = 40
"""Characters of a wrong value that an error quotes."""
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
        reason: ``count`` (nothing of the asked form stands in the reply), ``length`` (something is missing), ``not finite``, or
            ``bounds`` (not among what may be answered).
        detail: The same in words, for the model that is asked again.
    """

    reason: str
    detail: str


class Form(ABC):
    """A part of an answer's form; all of it in JSON."""

    @property
    def rule(self) -> str:
        """Name of its grammar rule; without one it is written out where it stands."""
        return ""

    @abstractmethod
    def schema(self) -> JsonObject:
        """JSON schema."""

    @abstractmethod
    def body(self, rules: dict[str, str]) -> str:
        """GBNF of the form itself; the named rules that it needs are added."""

    @abstractmethod
    def fault(self, value: Json, place: str) -> Fault | None:
        """What is wrong with a value at a place of the answer; None when it has the form."""

    def gbnf(self, rules: dict[str, str]) -> str:
        """GBNF where the form is used: its rule's name, or its body."""
        if not self.rule:
            return self.body(rules)
        if self.rule not in rules:
            rules[self.rule] = ""  # a rule stands in front of those that it needs
            rules[self.rule] = self.body(rules)
        return self.rule


@dataclass(frozen=True, slots=True)
class Integer(Form):
    """A whole number from 0 to the highest one."""

    highest: int

    @property
    def rule(self) -> str:
        """Its rule, shared by all numbers with the same bounds."""
        return f"n{self.highest}"

    def schema(self) -> JsonObject:
        """An integer within its bounds."""
        return {"type": "integer", "minimum": 0, "maximum": self.highest}

    def body(self, rules: dict[str, str]) -> str:
        """Alternatives by length and leading digits."""
        return integer_rule(self.highest)

    def fault(self, value: Json, place: str) -> Fault | None:
        """A number that is no whole one within the bounds."""
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= self.highest:
            return None
        return _odd(value, place, f"a whole number from 0 to {self.highest}")


@dataclass(frozen=True, slots=True)
class Choice(Form):
    """One of some words."""

    values: tuple[str, ...]

    def schema(self) -> JsonObject:
        """A string out of a list."""
        return {"type": "string", "enum": list(self.values)}

    def body(self, rules: dict[str, str]) -> str:
        """The words with their quotation marks."""
        return f"( {' | '.join(literal(json.dumps(value)) for value in self.values)} )"

    def fault(self, value: Json, place: str) -> Fault | None:
        """A word that is not on the list."""
        return None if value in self.values else _odd(value, place, f"one of {', '.join(self.values)}")


@dataclass(frozen=True, slots=True)
class Text(Form):
    """Free words.

    Attributes:
        longest: Most characters.
        letters: GBNF class of the characters that a grammar allows.
    """

    longest: int
    letters: str = "[a-zA-Z0-9 .,%-]"

    def schema(self) -> JsonObject:
        """A string of limited length."""
        return {"type": "string", "maxLength": self.longest}

    def body(self, rules: dict[str, str]) -> str:
        """Characters between quotation marks."""
        return f'"\\"" {self.letters}{{0,{self.longest}}} "\\""'

    def fault(self, value: Json, place: str) -> Fault | None:
        """Something that is no text; a long one is for the reader to cut."""
        return None if isinstance(value, str) else _odd(value, place, "a text")


@dataclass(frozen=True, slots=True)
class Object(Form):
    """An object with named members, all of them required; members are named because several back ends do not enforce lengths.

    Attributes:
        members: Form by name, in the order of the answer.
        name: Name of its rule; "" for none.
    """

    members: Mapping[str, Form]
    name: str = ""

    @property
    def rule(self) -> str:
        """Its name."""
        return self.name

    def schema(self) -> JsonObject:
        """Every member required, nothing else allowed."""
        properties = {name: form.schema() for name, form in self.members.items()}
        return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}

    def body(self, rules: dict[str, str]) -> str:
        """Members in order, without blanks."""
        members = ' "," '.join(f"{literal(json.dumps(name) + ':')} {form.gbnf(rules)}" for name, form in self.members.items())
        return f'"{{" {members} "}}"'

    def fault(self, value: Json, place: str = "answer") -> Fault | None:
        """A member that is missing or has another form; members that nobody asked for are ignored."""
        if not isinstance(value, Mapping):
            return _odd(value, place, "an object")
        lacking = [name for name in self.members if name not in value]
        if lacking:
            return Fault("length", f"the answer leaves out {', '.join(repr(name) for name in lacking[:6])}")
        faults = (form.fault(value[name], name) for name, form in self.members.items())
        return next((fault for fault in faults if fault is not None), None)

    def read(self, text: str) -> tuple[JsonObject, Fault | None]:
        """The first object of a reply that has one of the members, and what is wrong with it.

        Returns:
            The object, empty where there is none, and None or its fault.
        """
        value, fault = first_object(text, self.members)
        return value, fault or self.fault(value)


@dataclass(frozen=True, slots=True)
class OneOf(Form):
    """One of some forms."""

    forms: tuple[Form, ...]

    def schema(self) -> JsonObject:
        """Any of the schemas; a single one stands by itself."""
        return self.forms[0].schema() if len(self.forms) == 1 else {"anyOf": [form.schema() for form in self.forms]}

    def body(self, rules: dict[str, str]) -> str:
        """Alternatives."""
        return f"( {' | '.join(form.gbnf(rules) for form in self.forms)} )"

    def fault(self, value: Json, place: str) -> Fault | None:
        """A value of none of the forms; what is missing in all of them is named."""
        faults = [form.fault(value, place) for form in self.forms]
        if None in faults:
            return None
        same = {fault.reason for fault in faults if fault is not None}
        return faults[0] if len(same) == 1 and same != {"bounds"} else Fault("bounds", f"'{place}' is not one of the choices")


# -- grammars ------------------------------------------------------------------------------------------------------------


def grammar_of(form: Form, *, blank: bool = False) -> str:
    """GBNF of a whole answer.

    Args:
        form: The form.
        blank: A blank may stand in front, as it does where a text is continued.
    """
    rules: dict[str, str] = {"root": ""}
    rules["root"] = ('" "? ' if blank else "") + form.gbnf(rules)
    return _written(rules)


def line_grammar(root: str, **parts: str | Form) -> str:
    """GBNF of an answer that is no JSON.

    Args:
        root: What the answer is made of, in GBNF.
        **parts: Rules by name.
    """
    rules = {"root": root}
    for name, part in parts.items():
        rules[name] = part if isinstance(part, str) else part.body(rules)
    return _written(rules)


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


def _odd(value: Json, place: str, expected: str) -> Fault:
    return Fault("bounds", f"'{place}' is {json.dumps(value)[:_SHOWN]}; expected {expected}")
