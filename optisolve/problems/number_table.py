"""Columns of numbers in a text file: the separator is found, a header may stand in front, and nothing is guessed."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from optisolve.core.errors import ProblemError

__all__ = ["NumberTable", "TextTable", "decimal_comma", "listed", "parse_table", "parse_text"]

_MAX_LISTED = 10
_SEPARATORS = {";": "semicolons", "\t": "tabs", ",": "commas", " ": "spaces"}
_DIGITS = r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_NUMBER = re.compile(rf"[+-]?(?:{_DIGITS}|nan|inf)", re.IGNORECASE)
_COMPLEX = re.compile(rf"\(?[+-]?{_DIGITS}\s*[+-]\s*{_DIGITS}[ij]\)?")
_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]*,[0-9]+(?:[eE][+-]?[0-9]+)?")


@dataclass(frozen=True, slots=True)
class TextTable:
    """Cells of a text file.

    Attributes:
        header: The first line where none of its cells is a number, else None.
        rows: Number of the line and stripped cells of every row below it.
        separator: What stands between cells; a space stands for any white space.
    """

    header: tuple[str, ...] | None
    rows: tuple[tuple[int, tuple[str, ...]], ...]
    separator: str


@dataclass(frozen=True, slots=True)
class NumberTable:
    """Numbers of a text file.

    Attributes:
        header: Names of the columns, None without.
        values: float64 or complex128 [rows, columns].
    """

    header: tuple[str, ...] | None
    values: npt.NDArray[np.float64 | np.complex128]


def parse_text(data: bytes, title: str) -> TextTable:
    """Cells of a CSV text in UTF-8; separated by semicolons, tabs, commas or spaces, whichever of them comes first.

    Blank lines and lines that begin with ``#`` are skipped.

    Args:
        data: Content of the file.
        title: What the file is, for messages.

    Raises:
        ProblemError: It is no such text, or empty.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ProblemError(f"{title} is not a CSV text in UTF-8 ({error}).") from None
    lines = [(n, line) for n, line in enumerate(text.splitlines(), 1) if line.strip() and not line.lstrip().startswith("#")]
    if not lines:
        raise ProblemError(f"{title} is empty; expected rows of numbers.")
    separator = next((s for s in _SEPARATORS if any(s in line for _, line in lines)), ",")
    try:
        rows = [(number, _cells(line, separator)) for number, line in lines]
    except csv.Error as error:
        raise ProblemError(f"{title} is not a CSV text in UTF-8 ({error}).") from None
    first = rows[0][1]
    header = None if any(_numeric(cell) for cell in first) else first  # with one number it is a row, perhaps a bad one
    return TextTable(header, tuple(rows if header is None else rows[1:]), separator)


def parse_table(data: bytes, title: str) -> NumberTable:
    """Numbers of a CSV text, see `parse_text`; complex ones as ``1+2j`` or ``1+2i``.

    Args:
        data: Content of the file.
        title: What the file is, for messages.

    Raises:
        ProblemError: Cells that are no numbers, and rows of unequal length: all are listed, up to ten.
    """
    table = parse_text(data, title)
    if not table.rows:
        raise ProblemError(f"{title} has a header but no rows of numbers.")
    faults = list(_faults(table))
    if faults:
        raise ProblemError(f"{title} has {len(faults)} bad value(s):\n{listed(faults)}")
    return NumberTable(table.header, np.array([[_value(cell) for cell in cells] for _, cells in table.rows]))


def listed(faults: list[str]) -> str:
    """Faults on lines of their own, up to ten."""
    shown = "\n".join(f"  - {fault}" for fault in faults[:_MAX_LISTED])
    return shown + (f"\n  - and {len(faults) - _MAX_LISTED} more" if len(faults) > _MAX_LISTED else "")


def decimal_comma(cell: str) -> str:
    """Advice for a cell that has one, else nothing."""
    return " (a decimal comma? write a point)" if _DECIMAL_COMMA.fullmatch(cell) else ""


def _cells(line: str, separator: str) -> tuple[str, ...]:
    if separator == " ":
        return tuple(line.split())
    (cells,) = csv.reader([line], delimiter=separator)
    return tuple(cell.strip() for cell in cells)


def _numeric(cell: str) -> bool:
    return any(form.fullmatch(cell) for form in (_NUMBER, _COMPLEX, _DECIMAL_COMMA))


def _value(cell: str) -> complex | float:
    return float(cell) if _NUMBER.fullmatch(cell) else complex(re.sub(r"[\s()]", "", cell).replace("i", "j"))


def _faults(table: TextTable) -> Iterator[str]:
    """What is wrong with the cells, row by row."""
    width = len(table.header or table.rows[0][1])
    if (table.header or table.rows[0][1])[0] == "":
        yield "the first column has no name, as pandas writes an index; write it with index=False"
        return
    for line, cells in table.rows:
        if len(cells) != width:
            yield f"line {line}: got {len(cells)} value(s), expected {width}{_why(table, cells, width)}"
            continue
        for column, cell in enumerate(cells, 1):
            if not (_NUMBER.fullmatch(cell) or _COMPLEX.fullmatch(cell)):
                name = f"column {column}" if table.header is None else table.header[column - 1]
                yield f"line {line}, {name}: got {cell!r}, expected a number{decimal_comma(cell)}"


def _why(table: TextTable, cells: tuple[str, ...], width: int) -> str:
    if table.separator == "," and len(cells) == 2 * width:
        return " (decimal commas? write points)"
    whole = table.separator.join(cells) if len(cells) == 1 else ",".join(table.header or ()) if width == 1 else ""
    other = next((told for sign, told in _SEPARATORS.items() if sign in whole and sign != table.separator), None)
    return f" (separated by {other} in one line and by {_SEPARATORS[table.separator]} in others: use one)" if other else ""
