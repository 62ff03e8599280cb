"""One form for programs that are the same: what is hashed, compared and run.

Rewritten is only what keeps every value, bit for bit: arguments of commuting operators are sorted, what can be computed from
numbers by exact operations is computed, and neutral elements go. Sums are not re-associated, since that changes digits.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping

from optisolve.programs.check import kind_of
from optisolve.programs.language import LARGEST_CONSTANT, OPERATORS, SMALLEST_DIVISOR, Kind
from optisolve.programs.tree import Node, Tree, call, constant, text_of

__all__ = ["canonical", "hash_of"]


def hash_of(tree: Tree) -> str:
    """SHA-256 of a program's canonical text."""
    return hashlib.sha256(text_of(tree).encode()).hexdigest()


def canonical(tree: Tree, kinds: Mapping[str, Kind]) -> Tree:
    """The canonical form of a program.

    Args:
        tree: A program that fits its skeleton.
        kinds: Kinds of features and registers by name.

    Returns:
        A program with the same values on all features; its canonical form is itself.
    """
    sets = tuple((name, _simplest(node, kinds)) for name, node in tree.sets)
    return Tree(_simplest(tree.value, kinds), sets)


def _simplest(node: Node, kinds: Mapping[str, Kind]) -> Node:
    if not node.arguments:
        return Node(node.name, (), node.value)
    made = call(node.name, *(_simplest(argument, kinds) for argument in node.arguments))
    if OPERATORS[made.name].commutes:
        made = call(made.name, *sorted(made.arguments, key=_order))
    shorter = _folded(made) or _reduced(made)
    if shorter is None or kind_of(shorter, kinds) is not kind_of(made, kinds):
        return made
    return shorter


def _order(node: Node) -> tuple[bool, str]:
    """Numbers last."""
    return node.is_number or node.is_hole, text_of(node)


def _divided(a: float, b: float) -> float:
    near = abs(b) < SMALLEST_DIVISOR
    return a / ((-SMALLEST_DIVISOR if b < 0.0 else SMALLEST_DIVISOR) if near else b)


_EXACT: dict[str, Callable[..., float]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": _divided,
    "min": min,
    "max": max,
    "<": lambda a, b: float(a < b),
    "<=": lambda a, b: float(a <= b),
    "negative": lambda a: -a,
    "abs": abs,
    "sqrt": lambda a: math.sqrt(abs(a)),
    "sign": lambda a: float(a > 0.0) - float(a < 0.0),
    "where": lambda a, b, c: b if a > 0.0 else c,
    "clip": lambda a, b, c: min(max(a, b), c),
}
"""Operations that every machine rounds alike; logarithms and exponentials are left to the interpreter."""


def _folded(node: Node) -> Node | None:
    """The number that an expression of numbers is; None where it is none, or one that may not be written."""
    if node.name not in _EXACT or not all(argument.is_number for argument in node.arguments):
        return None
    value = _EXACT[node.name](*(argument.value for argument in node.arguments))
    return constant(value) if abs(value) <= LARGEST_CONSTANT else None


def _reduced(node: Node) -> Node | None:
    """An argument that is the whole value already; None where there is none."""
    a = node.arguments[0]
    b = node.arguments[1] if len(node.arguments) > 1 else a
    if node.name in ("+", "-") and _is(b, 0.0):
        return a
    if node.name in ("*", "/") and _is(b, 1.0):
        return a
    if node.name in ("min", "max") and a == b and not _open(a):
        return a
    if node.name == "negative" and a.name == "negative":
        return a.arguments[0]
    if node.name in ("abs", "sign") and a.name == node.name:
        return a
    if node.name == "abs" and a.name == "negative":
        return _reduced(call("abs", a.arguments[0])) or call("abs", a.arguments[0])
    if node.name == "where" and b == node.arguments[2] and not _open(b):
        return b
    return None


def _is(node: Node, value: float) -> bool:
    return node.is_number and node.value == value


def _open(node: Node) -> bool:
    """Two constants that are still open look alike and may become different ones."""
    return any(part.is_hole for part in node.walk())
