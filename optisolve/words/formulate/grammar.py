"""The form that a small model's answer is held to: a declarative model without sets, whose numbers stand in the text."""

from __future__ import annotations

from collections.abc import Iterable

from optisolve.llm.forms import line_grammar

__all__ = ["MAX_ANSWER_TOKENS", "freeform_grammar"]

MAX_ANSWER_TOKENS = 700
_MAX_NAMES, _MAX_ROWS, _MAX_TERMS = 12, 8, 8
"""Variables, constraints and further terms of a sum; without limits a small model repeats itself to its last token."""


def freeform_grammar(numbers: Iterable[float]) -> str:
    """GBNF of an answer to ``prompts/freeform_continuation``.

    Args:
        numbers: The text's numbers; 0 and 1 are always allowed, as "no more than nothing" and "each of them" need them.
    """
    written = dict.fromkeys(f"{v:.12g}" for v in (*numbers, 0.0, 1.0) if v >= 0.0)
    return line_grammar(
        r'''" "? "{\"variables\":{" variables "},\"objective\":" aim ",\"constraints\":[" rows "]}"''',
        variables=f'variable ("," variable){{0,{_MAX_NAMES - 1}}}',
        variable=r'''"\"" name "\":{\"kind\":" kind "}"''',
        kind=r'''"\"real\"" | "\"integer\"" | "\"binary\""''',
        aim=r'''"{\"sense\":" sense ",\"expression\":\"" sum "\"}"''',
        sense=r'''"\"max\"" | "\"min\""''',
        rows=f'row ("," row){{0,{_MAX_ROWS - 1}}}',
        row=r'''"{\"name\":\"" name "\",\"relation\":\"" sum (" <= " | " >= " | " == ") sum "\"}"''',
        sum=f'term ((" + " | " - ") term){{0,{_MAX_TERMS}}}',
        term="""number ("*" name)? | name""",
        name="[a-z] [a-z0-9_]{0,19}",
        number=" | ".join(f'"{text}"' for text in written if "e" not in text),
    )
