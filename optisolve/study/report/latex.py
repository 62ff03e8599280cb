"""Tables for papers: booktabs, names escaped, best in bold, captions that make each table readable alone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optisolve.study.report.tables import Cell, Table

__all__ = ["escape_latex", "render_latex"]

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
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
}
_POWER = re.compile(r"(?<![\w.])(-?\d+(?:\.\d+)?)e(-?\d+)(?![\w.])")
_HEAD = """% Made by optisolve report. Needs \\usepackage{booktabs} and UTF-8 input.
"""


def escape_latex(text: str) -> str:
    """Text that LaTeX prints as it is; 8.8e-8 becomes a power of ten.

    Args:
        text: Any names or numbers.
    """
    pieces, last = [], 0
    for found in _POWER.finditer(text):
        pieces += [_escaped(text[last : found.start()]), rf"${found.group(1)}\times10^{{{found.group(2)}}}$"]
        last = found.end()
    return "".join([*pieces, _escaped(text[last:])])


def render_latex(table: Table) -> str:
    """One ``table`` environment.

    Args:
        table: From `optisolve.study.report.tables`.
    """
    letters = "".join("r" if column.numeric else "l" for column in table.columns)
    heading = " & ".join(escape_latex(column.heading) for column in table.columns)
    rows = [" & ".join(_cell(cell) for cell in row) + r" \\" for row in table.rows]
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape_latex(table.caption)}}}",
        rf"\label{{tab:{re.sub(r'[^A-Za-z0-9]+', '-', table.name)}}}",
        rf"\begin{{tabular}}{{@{{}}{letters}@{{}}}}",
        r"\toprule",
        rf"{heading} \\",
        r"\midrule",
        *rows,
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return _HEAD + "\n".join(lines) + "\n"


def _cell(cell: Cell) -> str:
    text = escape_latex(cell.text)
    return (rf"\textbf{{{text}}}" if cell.best else text) + (r"$^\dagger$" if cell.worse else "")


def _escaped(text: str) -> str:
    return "".join(_SPECIAL.get(character, character) for character in text)
