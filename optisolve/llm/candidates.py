"""Answers that are points of a grid: the grid, the forms of an answer, and the way from raw text to candidates, each judged."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from optisolve.core.arrays import FloatArray, IntArray
from optisolve.core.documents import Json
from optisolve.core.space import Space
from optisolve.llm.forms import MAX_TEXT, Fate, Integer, Object, json_values, line_grammar, literal

__all__ = [
    "Candidate",
    "Grid",
    "Row",
    "design_keys",
    "judge",
    "parse_points",
    "parse_rows",
    "parse_tasks",
    "points_form",
    "table_grammar",
    "task_keys",
]


class Grid:
    """Maps a decision space to integers from 0 to `levels`, linearly per variable.

    Args:
        space: The decision space.
        resolution: Largest integer; integer variables with fewer values get one integer per value.

    Attributes:
        levels: int64 [d], largest integer of each variable; 0 for a variable that cannot move.
    """

    def __init__(self, space: Space, resolution: int = 1000) -> None:
        self.space = space
        width = space.upper - space.lower
        levels = np.where(space.integer, np.minimum(width, resolution), np.where(width > 0, resolution, 0))
        self.levels: IntArray = levels.astype(np.int64)

    def encode(self, X: FloatArray) -> IntArray:
        """Nearest integers of points float64 [n, d], int64 [n, d]."""
        return np.rint(self.space.normalize(X) * self.levels).astype(np.int64)

    def decode(self, K: FloatArray | IntArray) -> FloatArray:
        """Points of integers [n, d] inside their range, float64 [n, d]; integer variables are rounded."""
        X = self.space.denormalize(np.asarray(K, dtype=np.float64) / np.maximum(self.levels, 1))
        return self.space.clip(X) if self.space.has_integers else X


_MENTIONS = 8
"""Times that a task's name is looked for behind, on average; a hostile answer repeats it without end."""
_NUMBER = re.compile(r"[+-]?(?:nan|inf(?:inity)?|(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)", re.IGNORECASE)

Row = tuple[list[float], str]
"""Numbers of one parsed point, and why it is unusable or ""."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """One candidate of an answer.

    Attributes:
        numbers: float64 [d], integers within the grid; None when rejected.
        fate: What became of it.
        reason: One of ``count``, ``length``, ``not finite``, ``bounds``, ``not an integer``, ``duplicate of a parent``,
            ``duplicate of a sibling``, ``projected``; "" when used as given.
        detail: The reason in words, for the model that is asked again.
    """

    numbers: FloatArray | None
    fate: Fate
    reason: str = ""
    detail: str = ""


def design_keys(count: int) -> list[str]:
    """Names of the points in an answer."""
    return [f"design_{i + 1}" for i in range(count)]


def task_keys(count: int) -> list[str]:
    """Names of the tasks in an answer to several of them."""
    return [f"task_{i + 1}" for i in range(count)]


def points_form(names: Sequence[str], levels: Sequence[int], count: int, n_tasks: int | None = None) -> Object:
    """The form of `count` points.

    Args:
        names: Variable names.
        levels: Largest integer of each variable.
        count: Number of points.
        n_tasks: The answer holds so many tasks by name, each with `count` points; None means one task without a name.
    """
    point = Object({name: Integer(int(level)) for name, level in zip(names, levels, strict=True)}, "point")
    points = Object(dict.fromkeys(design_keys(count), point), "points")
    return points if n_tasks is None else Object(dict.fromkeys(task_keys(n_tasks), points))


def table_grammar(levels: Sequence[int], targets: Sequence[int]) -> str:
    """GBNF of a table's continuation: the first row's numbers, then further rows behind their given values.

    Args:
        levels: Largest integer of each variable.
        targets: Value of each row; the first already stands in the prompt.
    """
    numbers = {f"n{int(level)}": Integer(int(level)) for level in levels}
    rows = " ".join(f"{literal(chr(10) + str(target) + ': ')} row" for target in targets[1:])
    row = ' "," '.join(f"n{int(level)}" for level in levels)
    return line_grammar(f'" " row {rows} "\\n"', row=row, **numbers)


def parse_points(text: str, names: Sequence[str], count: int) -> list[Row]:
    """Points in a JSON answer: prose around it is skipped, of a truncated one the complete points are kept.

    Args:
        text: Raw answer.
        names: Variable names, the keys of a point; arrays of numbers in this order are understood, too.
        count: Points that were asked for; further ones are dropped.
    """
    rows: list[Row] = []
    for value in json_values(text):
        rows.extend(_points(value, names))
        if len(rows) >= count:
            break
    return rows[:count]


def parse_tasks(text: str, names: Sequence[str], keys: Sequence[str], count: int) -> list[list[Row]]:
    """Points of several tasks in one answer: what stands behind a task's name belongs to it.

    The form round the names does not matter, and of a truncated answer the complete points of every task are kept.
    Points in front of the first name belong to nobody.

    Args:
        text: Raw answer.
        names: Variable names, as for `parse_points`.
        keys: Names of the tasks.
        count: Points per task that were asked for; further ones are dropped.

    Returns:
        Points per task in the order of `keys`; empty for a task that the answer leaves out.
    """
    text = text[:MAX_TEXT]
    found: dict[str, list[Row]] = {}
    marks = list(re.finditer(rf"(?<!\w)(?:{'|'.join(map(re.escape, keys))})(?!\w)", text))[: _MENTIONS * len(keys)]
    for mark, following in zip(marks, [*marks[1:], None], strict=False):
        end = following.start() if following else len(text)
        rows = parse_points(text[mark.end() : end], names, count)
        if rows:
            found.setdefault(mark.group(), rows)
    return [found.get(key, []) for key in keys]


def parse_rows(text: str, dim: int, count: int) -> list[Row]:
    """Points in the continuation of a table, one per line; a value and a colon before the numbers are skipped.

    Args:
        text: Raw continuation, beginning behind the first row's value.
        dim: Numbers per row.
        count: Rows that were asked for; further ones are dropped.
    """
    rows: list[Row] = []
    for line in text[:MAX_TEXT].splitlines():
        body = line.rpartition(":")[2]
        numbers = [_number(item) for item in _NUMBER.findall(body)[: dim + 1]]
        if numbers:
            rows.append((numbers, _length_problem(len(numbers), dim)))
        if len(rows) >= count:
            break
    return rows


def judge(
    rows: Sequence[Row], count: int, levels: IntArray, known: IntArray, siblings: Iterable[Candidate] = ()
) -> list[Candidate]:
    """Validate parsed points and give each its fate.

    Args:
        rows: From `parse_points`, `parse_tasks` or `parse_rows`.
        count: Points that were asked for; each missing one is a rejected candidate.
        levels: int64 [d], largest integer of each variable.
        known: int64 [p, d], points that a candidate must differ from: the parents.
        siblings: Candidates of the same answer that were judged before, from which it must differ, too.
    """
    seen = {tuple(row): "duplicate of a parent" for row in known.tolist()}
    for other in siblings:
        if other.numbers is not None:
            seen.setdefault(tuple(int(v) for v in other.numbers), "duplicate of a sibling")
    told = [_judge_one(row, levels, seen) for row in rows]
    missing = Candidate(None, Fate.REJECTED, "count", f"{len(rows)} usable point(s) found, {count} expected")
    return told + [missing] * (count - len(told))


def _judge_one(row: Row, levels: IntArray, seen: dict[tuple[int, ...], str]) -> Candidate:
    numbers, problem = row
    if problem:
        return Candidate(None, Fate.REJECTED, "length", problem)
    values = np.array(numbers)
    if not np.isfinite(values).all():
        return Candidate(None, Fate.REJECTED, "not finite", "a number is NaN or infinite")
    clipped = np.clip(values, 0, levels)
    rounded = np.rint(clipped)
    key = tuple(int(v) for v in rounded)
    if key in seen:
        return Candidate(rounded, Fate.DUPLICATE, seen[key], f"{seen[key]}: {', '.join(map(str, key))}")
    seen[key] = "duplicate of a sibling"
    if not np.array_equal(clipped, values):
        i = int(np.argmax(np.abs(clipped - values)))
        return Candidate(rounded, Fate.CLIPPED, "bounds", f"number {i + 1} is {values[i]:g}, allowed: 0 to {levels[i]}")
    if not np.array_equal(rounded, clipped):
        return Candidate(rounded, Fate.REPAIRED, "not an integer", "a number is not an integer")
    return Candidate(rounded, Fate.OK)


def _points(value: Json, names: Sequence[str]) -> Iterable[Row]:
    """Points anywhere inside a JSON value, in order."""
    if isinstance(value, Mapping):
        if any(name in value for name in names):
            lacking = [name for name in names if name not in value]
            problem = f"missing: {', '.join(lacking[:6])}" if lacking else ""
            return [([_number(value[name]) for name in names if name in value], problem)]
        return [row for item in value.values() for row in _points(item, names)]
    if isinstance(value, list) and value:
        if all(isinstance(item, int | float) or item is None for item in value):
            numbers = [_number(item) for item in value]
            return [(numbers, _length_problem(len(numbers), len(names)))]
        return [row for item in value for row in _points(item, names)]
    return []


def _length_problem(found: int, dim: int) -> str:
    if found == dim:
        return ""
    return f"{'more than ' + str(dim) if found > dim else found} numbers, expected {dim}"


def _number(value: object) -> float:
    """The value as a float; NaN when it is none."""
    if isinstance(value, bool):
        return math.nan
    if isinstance(value, str) and not _NUMBER.fullmatch(value.strip()):
        return math.nan
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return math.nan
