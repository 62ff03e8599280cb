"""Texts of others: what they may do to a terminal, and what of a key may stand in them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

__all__ = [
    "SHORTEST_KEY",
    "Redactor",
    "encodable",
    "is_safe_name",
    "override_text",
    "plain_slug",
    "printable",
    "printable_lines",
    "require_encodable",
    "secrets_here",
    "slug",
    "unit_slug",
]

SHORTEST_KEY = 8
"""Characters from which a key is masked; a shorter one is no secret but a placeholder, and would be found in any text."""

_UNMISTAKABLE = 16
"""Characters from which a key is masked inside words, too: no text holds it by chance."""
_DIGIT = r"(?=[A-Za-z0-9_*.~+/=\-]*[0-9*])"
"""Ahead of what looks like a key: words have no digits ("radio bearer configuration")."""
_KEY_LIKE = re.compile(rf"(?:\bsk-{_DIGIT}[A-Za-z0-9_*.\-]{{6,}}|(?i:bearer)\s+{_DIGIT}[A-Za-z0-9_.~+/=\-]{{8,}})")
_MASK = "[redacted]"
_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,199}")
_BARE = re.compile(r"[A-Za-z_./][\w./-]*")
_KEYWORDS = {"null", "true", "false", "nan", "inf"}
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def printable(text: object) -> str:
    """A stranger's text for a terminal or a comment: one line, control characters and lone surrogates escaped."""
    told = str(text)
    return told if told.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in told)


def printable_lines(text: object) -> str:
    """The same for a text of several lines, whose line breaks stay."""
    return "\n".join(map(printable, str(text).split("\n")))


def encodable(text: str) -> str:
    """The text with U+FFFD for lone surrogates, which JSON may hold and no file can."""
    return _SURROGATE.sub("\ufffd", text)


def require_encodable(value: Any) -> None:
    """Refuse data of a file that no other file could hold.

    Args:
        value: What was read as JSON or YAML.

    Raises:
        ValueError: A string in it has a lone surrogate.
    """
    try:
        json.dumps(value, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError:
        raise ValueError("a text in it has a lone surrogate, such as \\ud800") from None


def is_safe_name(text: object) -> bool:
    """True for a word that may become a file name anywhere: no separators, no leading dot, at most 200 characters."""
    return isinstance(text, str) and _SAFE_NAME.fullmatch(text) is not None and ".." not in text


def slug(text: str) -> str:
    """Text as a file name or as the id of an element."""
    return re.sub(r"[^\w.-]+", "-", text).strip("-.") or "x"


def plain_slug(text: str) -> str:
    """What two labels must not share: they would be one page, one file where case does not count, one name to a reader."""
    return re.sub(r"[-_.]+", "-", slug(text).casefold()).strip("-")


def unit_slug(text: str) -> str:
    """Text as it stands in the id of a suite's unit: letter by letter, so that labels keep their length."""
    return re.sub(r"[^\w.+-]", "-", text)


def secrets_here(names: Iterable[str] = ()) -> tuple[str, ...]:
    """Values of this process's environment that must be neither written nor printed.

    Args:
        names: Variables that hold one beside those whose name ends in ``_API_KEY``.
    """
    wanted = {*names, *(name for name in os.environ if name.upper().endswith("_API_KEY"))}
    return tuple(value for name in sorted(wanted) if (value := os.environ.get(name, "").strip()))


class Redactor:
    """Replaces known keys, and whatever looks like one, in text and in the values of nested JSON.

    A key is masked where it stands as a whole, a long one inside words as well; names of fields are never touched.

    Args:
        secrets: The keys to hide; those shorter than `SHORTEST_KEY` are ignored.
    """

    def __init__(self, secrets: Sequence[str] = ()) -> None:
        found = {form for secret in secrets if len(secret) >= SHORTEST_KEY for form in _written(secret)}
        whole = sorted(found, key=len, reverse=True)
        parts = [re.escape(s) if len(s) >= _UNMISTAKABLE else rf"(?<!\w){re.escape(s)}(?!\w)" for s in whole]
        self._known = re.compile("|".join(parts)) if parts else None

    def text(self, text: str) -> str:
        """The text without keys."""
        if self._known is not None:
            text = self._known.sub(_MASK, text)
        return _KEY_LIKE.sub(_MASK, text)

    def finds(self, value: Any) -> bool:
        """True when a string of the JSON value holds a key."""
        if isinstance(value, str):
            return self.text(value) != value
        if isinstance(value, dict):
            return any(map(self.finds, value.values()))
        return isinstance(value, list | tuple) and any(map(self.finds, value))

    def value(self, value: Any) -> Any:
        """The JSON value without keys in any of its strings; the names of its fields stay."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {name: self.value(item) for name, item in value.items()}
        if isinstance(value, list | tuple):
            return list(value) if _NUMBERS.issuperset(map(type, value)) else [self.value(item) for item in value]
        return value


_NUMBERS = frozenset((float, int, bool, type(None)))
"""Types of which no key can be."""


def _written(secret: str) -> set[str]:
    """A key as it stands in text, in JSON and in an address."""
    return {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], quote(secret, safe="")}


def override_text(value: object) -> str:
    """A value in the grammar of hydra's overrides.

    Args:
        value: Plain JSON types.
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (list, tuple)):
        return f"[{','.join(override_text(item) for item in value)}]"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{override_text(item)}" for key, item in value.items()) + "}"
    text = str(value)
    if _BARE.fullmatch(text) and text.lower() not in _KEYWORDS:
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
