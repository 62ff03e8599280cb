"""The value of a tree by plain arithmetic: the reading of a model that its answer is verified with."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.errors import FieldProblem, OptionError
from optisolve.words.freeform.schema import Checked
from optisolve.words.freeform.tree import Binary, Fold, Negative, Node, Number, Power, Ref, places

__all__ = ["PLAIN", "constant", "datum", "number", "position", "require_defined"]

PLAIN: Mapping[str, Callable[..., float]] = {
    "log": math.log,
    "log2": math.log2,
    "sqrt": math.sqrt,
    "exp": math.exp,
    "abs": abs,
    "square": lambda v: v * v,
    "inv": lambda v: 1.0 / v,
    "sum": lambda *values: math.fsum(values),
    "max": lambda *values: max(values),
    "min": lambda *values: min(values),
    "norm": math.hypot,
}
"""Functions of the grammar for numbers."""


def number(node: Node, checked: Checked, x: FloatArray, at: Mapping[str, int]) -> float:
    """The value of a tree at a point; NaN where it is not defined.

    Args:
        node: The tree.
        checked: Names and data.
        x: float64 [size], the point.
        at: Values of running indices, from 0.
    """
    try:
        value = _value(node, checked, at, x)
    except (ArithmeticError, ValueError):
        return math.nan
    return math.nan if value is None else value


def constant(node: Node, checked: Checked, at: Mapping[str, int]) -> float | None:
    """The value of a tree that holds no variable; None when it holds one.

    Raises:
        ArithmeticError: A part without variables has no finite value, or something is divided by zero.
    """
    try:
        return _value(node, checked, at, None)
    except ValueError as error:  # a logarithm or a root of what has none
        raise ArithmeticError(str(error)) from None


def require_defined(checked: Checked) -> None:
    """Refuse a model with a constant part that is no finite number, such as ``1/0``, ``log(0)`` or ``(-1)^0.5``.

    Raises:
        OptionError: Names the objective or the constraint.
    """
    seen: list[tuple[str, Node, Mapping[str, int]]] = [("objective.expression", checked.objective, {})]
    for row in checked.rows:
        seen += [(f"{row.field}.relation", side, row.at) for side in (row.relation.left, row.relation.right)]
    for name, node, at in seen:
        try:
            constant(node, checked, at)
        except ArithmeticError:
            expected = "finite numbers: no division by zero, no root or logarithm of what has none, nothing beyond 1e308"
            raise OptionError("model", [FieldProblem(name, "a part that has no value", expected)]) from None


def _value(node: Node, checked: Checked, at: Mapping[str, int], x: FloatArray | None) -> float | None:
    """The value at `x`; without `x` None for whatever depends on a variable."""
    if isinstance(node, Number):
        return node.value
    if isinstance(node, Ref):
        return _leaf(node, checked, at, x)
    if isinstance(node, Negative):
        value = _value(node.body, checked, at, x)
        return None if value is None else -value
    if isinstance(node, Power):
        base = _value(node.base, checked, at, x)
        return None if base is None else _finite(math.pow(base, node.exponent))
    if isinstance(node, Binary):
        return _arithmetic(node, _value(node.left, checked, at, x), _value(node.right, checked, at, x))
    if isinstance(node, Fold):
        names = tuple(name for name, _ in node.indices)
        values = [_value(node.body, checked, inner, x) for inner in places(names, node.ranges, node.where, at)]
    else:
        values = [_value(argument, checked, at, x) for argument in node.arguments]
    known = [value for value in values if value is not None]
    return _finite(PLAIN[node.function](*known)) if len(known) == len(values) else None


def _leaf(ref: Ref, checked: Checked, at: Mapping[str, int], x: FloatArray | None) -> float | None:
    if ref.name in at:
        return float(at[ref.name] + 1)
    place = position(ref, checked, at)
    if place is None:
        return datum(ref, checked, at)
    return None if x is None else float(x[place])


def _arithmetic(node: Binary, left: float | None, right: float | None) -> float | None:
    if node.op == "/" and right == 0.0:
        raise ZeroDivisionError
    if left is None or right is None:
        return None
    if node.op in "+-":
        return _finite(left + right if node.op == "+" else left - right)
    value = left * right if node.op == "*" else left / right
    if value == 0.0 and left != 0.0 and (right != 0.0 or node.op == "/"):
        raise ArithmeticError("a product that is too small for a number")
    return _finite(value)


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ArithmeticError("no finite number")
    return value


def position(ref: Ref, checked: Checked, at: Mapping[str, int]) -> int | None:
    """Place of a variable in the flat vector; None for a parameter."""
    if ref.name not in checked.offsets:
        return None
    index = _index(ref, at)
    return checked.offsets[ref.name] + (int(np.ravel_multi_index(index, checked.shapes[ref.name])) if index else 0)


def datum(ref: Ref, checked: Checked, at: Mapping[str, int]) -> float:
    """The number that a reference to a parameter stands for."""
    return float(checked.data[ref.name][_index(ref, at)])


def _index(ref: Ref, at: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(at[i.name] + i.shift if i.name else i.shift - 1 for i in ref.indices)
