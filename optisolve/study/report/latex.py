"""Tables for papers: booktabs by pandas, names escaped, best in bold, captions that make each table readable alone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from optisolve.study.report.tables import Table

__all__ = ["escape_latex", "render_latex"]

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "†": r"$^\dagger$",
    "≤": r"$\le$",
    "≥": r"$\ge$",
    "∞": r"$\infty$",
    "−": r"$-$",
    "–": "--",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "…": r"\dots{}",
    "\n": " ",
    **{character: rf"\{character}" for character in "{}&%$#_"},
}
_POWER = re.compile(r"(?<![\w.])(-?\d+(?:\.\d+)?)e(-?\d+)(?![\w.])")
_HEAD = "% Made by optisolve report. Needs \\usepackage{booktabs} and UTF-8 input.\n"


def escape_latex(text: str) -> str:
    """Text that LaTeX prints as it is; 8.8e-8 becomes a power of ten.

    Args:
        text: Any names or numbers.
    """
    plain, *rest = _POWER.split(text)
    powers = (rf"${rest[i]}\times10^{{{rest[i + 1]}}}${_escaped(rest[i + 2])}" for i in range(0, len(rest), 3))
    return _escaped(plain) + "".join(powers)


def render_latex(table: Table) -> str:
    """One ``table`` environment.

    Args:
        table: From `optisolve.study.report.tables`.
    """
    texts = table.texts.map(escape_latex).rename(columns=escape_latex)
    bold = np.array([["textbf:--rwrap;" if best else "" for _, _, best in row] for row in table.rows], dtype=object)
    styler = texts.style.hide(axis="index")
    if bold.size:
        styler = styler.apply(lambda _: bold, axis=None)
    letters = "".join("l" if heading in table.words else "r" for heading in table.texts)
    return _HEAD + styler.to_latex(
        column_format=f"@{{}}{letters}@{{}}",
        hrules=True,
        position_float="centering",
        caption=escape_latex(table.caption),
        label=f"tab:{re.sub(r'[^A-Za-z0-9]+', '-', table.name)}",
    )


def _escaped(text: str) -> str:
    return "".join(_SPECIAL.get(character, character) for character in text)
