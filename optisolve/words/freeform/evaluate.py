"""The value of a tree by plain arithmetic: the reading of a model that its answer is verified with."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from optisolve.core.arrays import FloatArray
from optisolve.core.errors import FieldProblem, OptionError
from optisolve.words.freeform.schema import Checked
from optisolve.words.freeform.tree import Binary, Call, Negative, Node, Number, Power, Variable

__all__ = ["PLAIN", "constant", "number", "require_defined"]

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


def number(node: Node, x: FloatArray) -> float:
    """The value of a tree at a point, float64 [size]; NaN where it is not defined."""
    try:
        value = _value(node, x)
    except (ArithmeticError, ValueError):
        return math.nan
    return math.nan if value is None else value


def constant(node: Node) -> float | None:
    """The value of a tree that holds no variable; None when it holds one.

    Raises:
        ArithmeticError: A part without variables has no finite value, or something is divided by zero.
    """
    try:
        return _value(node, None)
    except ValueError as error:  # a logarithm or a root of what has none
        raise ArithmeticError(str(error)) from None


def require_defined(checked: Checked) -> None:
    """Refuse a model with a constant part that is no finite number, such as ``1/0``, ``log(0)`` or ``(-1)^0.5``.

    Raises:
        OptionError: Names the objective or the constraint.
    """
    seen = [("objective.expression", checked.objective)]
    for row in checked.rows:
        seen += [(f"{row.field}.relation", side) for side in (row.relation.left, row.relation.right)]
    for name, node in seen:
        try:
            constant(node)
        except ArithmeticError:
            expected = "finite numbers: no division by zero, no root or logarithm of what has none, nothing beyond 1e308"
            raise OptionError("model", [FieldProblem(name, "a part that has no value", expected)]) from None


def _value(node: Node, x: FloatArray | None) -> float | None:
    """The value at `x`; without `x` None for whatever depends on a variable."""
    if isinstance(node, Number):
        return node.value
    if isinstance(node, Variable):
        return None if x is None else float(x[node.position])
    if isinstance(node, Negative):
        value = _value(node.body, x)
        return None if value is None else -value
    if isinstance(node, Power):
        base = _value(node.base, x)
        return None if base is None else _finite(math.pow(base, node.exponent))
    if isinstance(node, Binary):
        return _arithmetic(node, _value(node.left, x), _value(node.right, x))
    assert isinstance(node, Call), "names and sums over sets are resolved"
    values = [_value(argument, x) for argument in node.arguments]
    known = [value for value in values if value is not None]
    return _finite(PLAIN[node.function](*known)) if len(known) == len(values) else None


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
