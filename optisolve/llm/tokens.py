"""How many tokens a text has, about: an estimate that needs no tokenizer."""

from __future__ import annotations

import math
import re

__all__ = ["estimate_tokens"]

_PIECE = re.compile(r"(?P<word>[^\W\d_]+)|(?P<digit>\d)|(?P<line>\s*\n\s*)|(?P<blank>[^\S\n]+)|(?P<mark>[^\w\s]+)|(?P<other>_)")
_WEIGHT = {"word": 1.2, "digit": 1.0, "line": 0.6, "mark": 0.95, "other": 0.65}
_LETTERS_PER_TOKEN = 7
"""Longer words take more than one token."""
_OUTSIDE_ASCII = 6
"""A letter outside ASCII counts like this many within."""


def estimate_tokens(text: str) -> int:
    """Number of tokens of a text, estimated from its words, digits and punctuation.

    Fitted to the tokenizer of SmolLM2 (49,152 entries, a token per digit) on the prompts and answers of all scenarios:
    within 6 % on whole prompts and pages of English, 10 % on compact JSON answers, 12 % on single sentences.
    Vocabularies that join three digits need up to half as many for tables of numbers, so for those it is a cautious
    figure. Other scripts than Latin are only roughly right. An estimate, never a bound: what a budget reserves is the
    worst case.

    Args:
        text: Any text.

    Returns:
        At least 1 for a text that is not empty.
    """
    estimate = math.ceil(sum(_tokens(piece, text) for piece in _PIECE.finditer(text)) - 1e-9)
    return max(estimate, 1) if text else 0


def _tokens(piece: re.Match[str], text: str) -> float:
    kind = piece.lastgroup or "other"
    if kind == "blank":  # one blank is part of the word behind it, not of a digit
        before_digit = text[piece.end() : piece.end() + 1].isdigit()
        return 0.8 if before_digit or len(piece.group()) > 1 else 0.0
    size = sum(1 if char.isascii() else _OUTSIDE_ASCII for char in piece.group())
    return max(_WEIGHT[kind], size / _LETTERS_PER_TOKEN) if kind in ("word", "mark") else _WEIGHT[kind]
