"""The words of requests, from ``prompts/ask_words.yaml``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from optisolve.content import load_yaml

__all__ = ["Mention", "find_phrases", "phrases", "vocabulary"]


@dataclass(frozen=True, slots=True)
class Mention:
    """A phrase in a text.

    Attributes:
        kind: What it stands for.
        phrase: The phrase, lower case.
        span: Its place.
    """

    kind: str
    phrase: str
    span: tuple[int, int]


@cache
def _table() -> Mapping[str, tuple[str, ...]]:
    return {kind: tuple(str(p).lower() for p in words if str(p)) for kind, words in load_yaml("prompts", "ask_words").items()}


def phrases(kind: str) -> tuple[str, ...]:
    """The phrases of one kind."""
    return _table()[kind]


@cache
def vocabulary() -> frozenset[str]:
    """Words without an influence on the meaning."""
    return frozenset(_table()["filler"])


@cache
def _pattern(words: tuple[str, ...]) -> re.Pattern[str]:
    ordered = sorted(words, key=lambda p: (-len(p), p))
    bodies = [re.escape(p).replace(r"\ ", r"\s+") for p in ordered]
    return re.compile("|".join(rf"(?<!\w){b}(?!\w)" if b[:1].isalnum() else b for b in bodies))


def find_phrases(text: str, table: Mapping[str, Iterable[str]], taken: Sequence[tuple[int, int]]) -> list[Mention]:
    """Phrases in a lower-case text, longest first, none inside another or inside a taken span; in order of their place.

    Args:
        text: Lower case.
        table: Phrases by kind; a phrase belongs to one kind.
        taken: Spans that are spoken for.
    """
    kind_of = {phrase: kind for kind, words in table.items() for phrase in words}
    found = []
    for match in _pattern(tuple(kind_of)).finditer(text):
        start, end = match.span()
        if not any(a < end and start < b for a, b in taken):
            phrase = re.sub(r"\s+", " ", match.group())
            found.append(Mention(kind_of[phrase], phrase, (start, end)))
    return found
