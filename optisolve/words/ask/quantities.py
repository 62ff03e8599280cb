"""Numbers with units and users in a text, each with its place; the only source of numbers that a goal may use."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache

from optisolve.core.errors import OptisolveError
from optisolve.goals.units import UnitError, find_unit, unit_spellings

__all__ = ["MAX_TEXT", "IntentError", "Quantity", "Users", "find_quantities", "find_users"]

MAX_TEXT = 4000
"""Characters of a request; longer ones are refused, not cut."""


class IntentError(OptisolveError):
    """A request cannot be read at all; the text says why."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number of the text.

    Attributes:
        text: As written, number and unit.
        value: The number.
        unit: As written; "" without one.
        span: First character and one past the last, in the text.
        problem: Why it cannot be used as it stands; "" when it can.
    """

    text: str
    value: float
    unit: str
    span: tuple[int, int]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Users:
    """A mention of users by number.

    Attributes:
        numbers: Counted from 1.
        span: Its place in the text.
    """

    numbers: tuple[int, ...]
    span: tuple[int, int]


_NUMBER = r"(?P<number>[-+−]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+]?\d{1,3})?)"
_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\ufe58\ufe63\uff0d"
"""Hyphens and dashes that look like a minus; only '-' and U+2212 are one."""
_COMMA = re.compile(r"\d+,\d{1,2}(?!\d)|\d+,\d{4,}")


@cache
def _quantity_pattern() -> re.Pattern[str]:
    units = "|".join(re.escape(unit) for unit in unit_spellings())
    return re.compile(rf"(?<![\w.,]){_NUMBER}(?:\s*(?P<unit>{units})(?![\w/%]))?(?:\s*(?P<word>[A-Za-zµμ/]+))?", re.IGNORECASE)


def find_quantities(text: str, users: list[Users]) -> list[Quantity]:
    """All numbers that are not users, in order.

    Args:
        text: The request.
        users: From `find_users`; their numbers are left out.
    """
    found = []
    for match in _quantity_pattern().finditer(text):
        start = match.start("number")
        if not any(u.span[0] <= start < u.span[1] for u in users):
            found.append(_quantity(text, match, start))
    return found


def _quantity(text: str, match: re.Match[str], start: int) -> Quantity:
    raw, unit = match["number"].replace("−", "-").replace(",", ""), match["unit"] or ""
    end = match.end("unit") if unit else match.end("number")
    value, written = float(raw), text[start:end]
    problem = ""
    if comma := _COMMA.match(text, start):
        end = comma.end()
        problem = f"'{text[start:end]}': is the comma a decimal point? Write a point."
    elif start and text[start - 1] in _DASHES:
        problem = f"'{text[start - 1 : end]}': is the dash a minus? Write '-' or leave it out."
    elif abs(value) > 1e30:
        problem = f"'{written}' is beyond any physical quantity"
    elif unit:
        try:
            find_unit(unit)
        except UnitError as error:
            problem = str(error)
    return Quantity(written, value, unit, (start, end), problem)


def find_users(text: str, nouns: tuple[str, ...]) -> list[Users]:
    """Mentions such as "user 2", "users 1 and 3", "users 1, 2 and 4", "users 1-3".

    Args:
        text: The request.
        nouns: What users are called.
    """
    noun = "|".join(sorted(map(re.escape, nouns), key=len, reverse=True))
    joint = r"\s*(?:,\s*and|,|and|&)\s*"
    units = "|".join(re.escape(unit) for unit in unit_spellings())
    number = rf"#?\d{{1,6}}(?!\d)(?!\.\d)(?!\s*(?:{units})(?![\w/]))"
    pattern = re.compile(
        rf"\b(?:{noun})\s*(?:no\.?\s*)?(?P<list>{number}(?:\s*-\s*{number}|(?:{joint}{number})*))", re.IGNORECASE
    )
    found = []
    for match in pattern.finditer(text):
        listed = match["list"]
        numbers = [int(n) for n in re.findall(r"\d+", listed)]
        if re.search(r"\d\s*-\s*#?\d", listed) and len(numbers) == 2 and numbers[0] <= numbers[1] <= numbers[0] + 1000:
            numbers = list(range(numbers[0], numbers[1] + 1))
        found.append(Users(tuple(dict.fromkeys(numbers)), match.span()))
    return found


def require_text(text: str) -> None:
    """Refuse what is no request.

    Raises:
        IntentError: Empty, too long, or with control characters.
    """
    if not text.strip():
        raise IntentError('The request is empty. Say what you want, e.g. "save at least 5 % power".')
    if len(text) > MAX_TEXT:
        raise IntentError(f"The request has {len(text)} characters; at most {MAX_TEXT} are read.")
    if any(unicodedata.category(char) in ("Cc", "Cf", "Co", "Cs") and char not in "\n\t\r" for char in text):
        raise IntentError("The request has control or invisible characters.")
