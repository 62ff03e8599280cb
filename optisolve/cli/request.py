"""A request in words between settings, as ``ask`` and ``formulate`` take it on the command line."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

from optisolve.cli.commands import parse_overrides
from optisolve.core.errors import FieldProblem, OptionError

__all__ = ["split_request"]

_SETTING = re.compile(r"[A-Za-z_][A-Za-z_.0-9]*=\S*")


def split_request(
    words: Sequence[str], names: Collection[str], groups: Collection[str], *, command: str
) -> tuple[str, dict[str, Any]]:
    """Tell words from settings.

    Args:
        words: What stands on the command line, in any order.
        names: Settings of the command.
        groups: Groups with settings of their own, as in ``llm.model=NAME``.
        command: Name of the command, for errors.

    Returns:
        The words, joined by spaces, and the settings by name; those of groups under ``parts``, by group and name.

    Raises:
        OptionError: A word looks like a setting and is none: it would become part of the request, and nobody would notice.
    """
    text: list[str] = []
    pairs: list[str] = []
    for word in words:
        key, dot, _ = word.partition("=")[0].partition(".")
        (pairs if "=" in word and key in (groups if dot else names) else text).append(word)
    if wrong := [word for word in text if _SETTING.fullmatch(word)]:
        known = ", ".join((*(f"{name}=" for name in sorted(names)), *(f"{group}.KEY=" for group in sorted(groups))))
        expected = f"one of {known}; or quote the whole request"
        raise OptionError(command, [FieldProblem(word.partition("=")[0], word, expected) for word in wrong])
    plain: dict[str, Any] = {}
    parts: dict[str, dict[str, Any]] = {}
    for name, value in parse_overrides(pairs).items():
        group, dot, rest = name.partition(".")
        if dot:
            parts.setdefault(group, {})[rest] = value
        else:
            plain[name] = value
    return " ".join(text), {**plain, "parts": parts}
