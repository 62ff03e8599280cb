"""A language model's own words on their way into a later prompt: cleaned, capped, and only ever quoted."""

from __future__ import annotations

import re
import unicodedata

from optisolve.llm.forms import MAX_TEXT
from optisolve.llm.tokens import estimate_tokens

__all__ = ["clean_note"]

_MARKUP = re.compile(r"\{[{%#]|[}%#]\}|<[/|!]?[A-Za-z_|][^<>\n]{0,60}>|\[/?[A-Z_]{2,20}\]|```\w*")
"""Template syntax, tags, control tokens of chat templates, fences of code."""


def clean_note(text: str, max_tokens: int) -> str:
    """One line of plain text without anything that a template, a chat format or a quotation would read as its own.

    Control and format characters go, so do tags, control tokens of chat templates, braces, backquotes and code fences;
    double quotes become single ones, since the note is quoted.

    Args:
        text: Whatever the model said.
        max_tokens: Largest length by `estimate_tokens`; the note is cut behind its last whole word that fits.

    Returns:
        The note; "" when nothing is left.
    """
    plain = "".join(" " if unicodedata.category(char)[0] in "CZ" else char for char in text[:MAX_TEXT])
    for _ in range(3):  # what is left may form a new tag
        plain = _MARKUP.sub(" ", plain)
    plain = re.sub(r"[{}<>|`\\#]", " ", plain)
    plain = re.sub(r"[\"\u00ab\u00bb\u201c-\u201f]", "'", plain)
    return _cut(plain.split(), max_tokens)


def _cut(words: list[str], max_tokens: int) -> str:
    """As many words as fit, found by bisection."""
    low, high = 0, min(len(words), max_tokens)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if estimate_tokens(" ".join(words[:middle])) <= max_tokens else (low, middle - 1)
    return " ".join(words[:low])
