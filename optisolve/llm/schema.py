"""The form of an answer: JSON schema with named keys for hosted models, compact GBNF for llama.cpp.

The grammars allow no free blanks: small models fall into runs of white space otherwise. Numbers are integers because
servers do not enforce the bounds of real numbers.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

__all__ = ["continuation_grammar", "design_keys", "integer_rule", "point_schema", "schema_grammar", "task_keys"]


def design_keys(count: int) -> list[str]:
    """Names of the points in an answer; named because several back ends do not enforce array lengths."""
    return [f"design_{i + 1}" for i in range(count)]


def task_keys(count: int) -> list[str]:
    """Names of the tasks in an answer to several of them."""
    return [f"task_{i + 1}" for i in range(count)]


def point_schema(names: Sequence[str], levels: Sequence[int], count: int, n_tasks: int | None = None) -> dict[str, Any]:
    """JSON schema of `count` points, every variable required, nothing else allowed.

    Args:
        names: Variable names.
        levels: Largest integer of each variable.
        count: Number of points.
        n_tasks: The answer holds so many tasks by name, each with `count` points; None means one task without a name.
    """
    numbers = {
        name: {"type": "integer", "minimum": 0, "maximum": int(level)} for name, level in zip(names, levels, strict=True)
    }
    points = _object({key: _object(numbers) for key in design_keys(count)})
    return points if n_tasks is None else _object(dict.fromkeys(task_keys(n_tasks), points))


def schema_grammar(names: Sequence[str], levels: Sequence[int], count: int, n_tasks: int | None = None) -> str:
    """GBNF of the same answer as `point_schema`, without blanks."""
    numbers = ' "," '.join(
        f"{_literal(json.dumps(name) + ':')} {_rule(level)}" for name, level in zip(names, levels, strict=True)
    )
    root = "points" if n_tasks is None else f'"{{" {_members(task_keys(n_tasks), "points")} "}}"'
    lines = [
        f"root ::= {root}",
        f'points ::= "{{" {_members(design_keys(count), "point")} "}}"',
        f'point ::= "{{" {numbers} "}}"',
        *_number_rules(levels),
    ]
    return "\n".join(lines) + "\n"


def continuation_grammar(levels: Sequence[int], targets: Sequence[int]) -> str:
    """GBNF of a table's continuation: the first row's numbers, then further rows behind their given values.

    Args:
        levels: Largest integer of each variable.
        targets: Value of each row; the first already stands in the prompt.
    """
    rows = " ".join(f"{_literal(chr(10) + str(target) + ': ')} row" for target in targets[1:])
    row = ' "," '.join(_rule(level) for level in levels)
    lines = [f'root ::= " " row {rows} "\\n"', f"row ::= {row}", *_number_rules(levels)]
    return "\n".join(lines) + "\n"


def integer_rule(level: int, *, padded: bool = False) -> str:
    """GBNF alternatives that match exactly the integers from 0 to `level`.

    Args:
        level: Largest integer.
        padded: With leading zeros, all as long as `level`; without them otherwise.
    """
    if not padded:
        return " | ".join(_up_to(level))
    digits = str(level)
    below = [
        (f'"{digits[:i]}" ' if i else "") + _digits(0, int(digit) - 1) + _free(len(digits) - i - 1)
        for i, digit in enumerate(digits)
        if int(digit) > 0
    ]
    return " | ".join([*below, f'"{digits}"'])


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _literal(text: str) -> str:
    """A GBNF string literal; its escapes are those of JSON for what occurs here."""
    return json.dumps(text, ensure_ascii=True)


def _members(keys: Sequence[str], rule: str) -> str:
    """Members of an object in GBNF, all by the same rule."""
    return ' "," '.join(f"{_literal(json.dumps(key) + ':')} {rule}" for key in keys)


def _rule(level: int) -> str:
    return f"n{int(level)}"


def _number_rules(levels: Sequence[int]) -> list[str]:
    return [f"{_rule(level)} ::= {' | '.join(_up_to(level))}" for level in sorted({int(v) for v in levels})]


def _up_to(level: int) -> list[str]:
    """GBNF alternatives that match exactly the integers 0..level without leading zeros."""
    digits = str(level)
    alternatives = ['"0"'] + [_digits(1, 9) + _free(k) for k in range(len(digits) - 1)]
    for i, digit in enumerate(digits):
        lowest = 1 if i == 0 else 0
        if int(digit) - 1 >= lowest:
            prefix = f'"{digits[:i]}" ' if i else ""
            alternatives.append(prefix + _digits(lowest, int(digit) - 1) + _free(len(digits) - i - 1))
    if level > 0:
        alternatives.append(f'"{digits}"')
    return alternatives


def _digits(low: int, high: int) -> str:
    return f"[{low}-{high}]" if low < high else f'"{low}"'


def _free(count: int) -> str:
    return " [0-9]" * count
