"""Two meanings of one tree: plain numbers, which verification uses, and expressions of a modelling layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import product
from typing import Any

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.errors import FieldProblem, OptionError
from optisolve.modelling.freeform.expressions import Binary, Call, ExpressionError, Negative, Node, Number, Power, Ref, Sum
from optisolve.modelling.freeform.schema import Checked

__all__ = ["affine", "number", "require_defined", "translate"]

_NUMERIC: Mapping[str, Callable[[Any], Any]] = {
    "sum": sum,
    "log": math.log,
    "log2": math.log2,
    "sqrt": math.sqrt,
    "exp": math.exp,
    "abs": abs,
    "square": lambda v: v * v,
    "inv": lambda v: 1.0 / v,
}


def number(node: Node, checked: Checked, x: FloatArray, at: Mapping[str, int]) -> float:
    """The value of a tree at a point, by plain arithmetic; NaN where it is not defined.

    Args:
        node: The tree.
        checked: Names and data.
        x: float64 [size], the point.
        at: Values of running indices, from 0.
    """

    def leaf(ref: Ref, at: Mapping[str, int]) -> float:
        position = _position(ref, checked, at)
        return float(x[position]) if position is not None else _datum(ref, checked, at)

    try:
        return float(translate(node, checked, at, leaf, _NUMERIC))
    except (ValueError, ZeroDivisionError, OverflowError, TypeError):  # TypeError: a root of a negative number is complex
        return math.nan


class _Unknown:
    """A value that depends on the variables: arithmetic with it is unknown, unless the other side is not defined."""

    def _with(self, other: object) -> _Unknown:
        if not isinstance(other, _Unknown) and not (isinstance(other, float | int) and math.isfinite(other)):
            raise ArithmeticError
        return self

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __rtruediv__ = __pow__ = _with

    def __truediv__(self, other: object) -> _Unknown:
        if other == 0.0:
            raise ZeroDivisionError
        return self._with(other)

    def __neg__(self) -> _Unknown:
        return self


def require_defined(checked: Checked) -> None:
    """Refuse a model with a constant part that is no finite number, such as ``1/0``, ``log(0)`` or ``(-1)^0.5``.

    Raises:
        OptionError: Names the objective or the constraint.
    """
    unknown = _Unknown()

    def leaf(ref: Ref, at: Mapping[str, int]) -> Any:
        return unknown if ref.name in checked.offsets else _datum(ref, checked, at)

    def lifted(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return lambda value: value if isinstance(value, _Unknown) else function(value)

    functions = {**{name: lifted(function) for name, function in _NUMERIC.items()}, "sum": sum}
    places: list[tuple[str, Node, Mapping[str, int]]] = [("objective", checked.objective, {})]
    for row in checked.rows:
        places += [(f"constraint {row.name}", side, row.at) for side in (row.relation.left, row.relation.right)]
    for name, node, at in places:
        try:
            unknown._with(translate(node, checked, at, leaf, functions))
        except (ArithmeticError, ValueError, TypeError):
            expected = "finite numbers: no division by zero, no root or logarithm of what has none, nothing beyond 1e308"
            raise OptionError("model", [FieldProblem(name, "a part that has no value", expected)]) from None


def translate(
    node: Node,
    checked: Checked,
    at: Mapping[str, int],
    leaf: Callable[[Ref, Mapping[str, int]], Any],
    functions: Mapping[str, Callable[[Any], Any]],
) -> Any:
    """Fold a tree: leaves by `leaf`, functions and ``sum`` (of a list) by `functions`, arithmetic by Python's operators."""
    if isinstance(node, Number):
        return node.value
    if isinstance(node, Ref):
        return float(at[node.name] + 1) if node.name in at else leaf(node, at)
    if isinstance(node, Negative):
        return -translate(node.body, checked, at, leaf, functions)
    if isinstance(node, Call):
        return functions[node.function](translate(node.body, checked, at, leaf, functions))
    if isinstance(node, Power):
        return translate(node.base, checked, at, leaf, functions) ** node.exponent
    if isinstance(node, Sum):
        names = [name for name, _ in node.indices]
        ranges = [range(checked.model.sets[owner]) for _, owner in node.indices]
        terms = [
            translate(node.body, checked, {**at, **dict(zip(names, values, strict=True))}, leaf, functions)
            for values in product(*ranges)
        ]
        return functions["sum"](terms)
    left = translate(node.left, checked, at, leaf, functions)
    right = translate(node.right, checked, at, leaf, functions)
    return _arithmetic(node, left, right)


def affine(node: Node, checked: Checked, at: Mapping[str, int]) -> tuple[FloatArray, float] | None:
    """Coefficients float64 [size] and constant of a tree that is affine in the variables by its form; None when it is not."""
    if isinstance(node, Sum):
        names = [name for name, _ in node.indices]
        coefficients, constant = np.zeros(checked.size), 0.0
        for values in product(*(range(checked.model.sets[owner]) for _, owner in node.indices)):
            part = affine(node.body, checked, {**at, **dict(zip(names, values, strict=True))})
            if part is None:
                return None
            coefficients, constant = coefficients + part[0], constant + part[1]
        return coefficients, constant
    if isinstance(node, Ref):
        coefficients = np.zeros(checked.size)
        if node.name in at:
            return coefficients, float(at[node.name] + 1)
        position = _position(node, checked, at)
        if position is None:
            return coefficients, _datum(node, checked, at)
        coefficients[position] = 1.0
        return coefficients, 0.0
    if isinstance(node, Binary):
        return _affine_binary(node, checked, at)
    if isinstance(node, Negative):
        part = affine(node.body, checked, at)
        return None if part is None else (-part[0], -part[1])
    if isinstance(node, Number):
        return np.zeros(checked.size), node.value
    inner = affine(node.base if isinstance(node, Power) else node.body, checked, at)
    if inner is None or inner[0].any():
        return None
    value = number(node, checked, np.zeros(checked.size), at)
    return (np.zeros(checked.size), value) if math.isfinite(value) else None


def _affine_binary(node: Binary, checked: Checked, at: Mapping[str, int]) -> tuple[FloatArray, float] | None:
    left, right = affine(node.left, checked, at), affine(node.right, checked, at)
    if left is None or right is None:
        return None
    if node.op == "+":
        return left[0] + right[0], left[1] + right[1]
    if node.op == "-":
        return left[0] - right[0], left[1] - right[1]
    if node.op == "*":
        if not right[0].any():
            return left[0] * right[1], left[1] * right[1]
        return None if left[0].any() else (right[0] * left[1], right[1] * left[1])
    return None if right[0].any() or right[1] == 0.0 else (left[0] / right[1], left[1] / right[1])


def _arithmetic(node: Binary, left: Any, right: Any) -> Any:
    if node.op == "+":
        return left + right
    if node.op == "-":
        return left - right
    if node.op == "*":
        return left * right
    if node.op == "/":
        return left / right
    raise ExpressionError(f"'{node.op}' is no operation of the grammar.")


def _position(ref: Ref, checked: Checked, at: Mapping[str, int]) -> int | None:
    """Place of a variable in the flat vector; None for a parameter."""
    if ref.name not in checked.offsets:
        return None
    index = _index(ref, at)
    return checked.offsets[ref.name] + (int(np.ravel_multi_index(index, checked.shapes[ref.name])) if index else 0)


def _datum(ref: Ref, checked: Checked, at: Mapping[str, int]) -> float:
    return float(checked.data[ref.name][_index(ref, at)])


def _index(ref: Ref, at: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(i - 1 if isinstance(i, int) else at[i] for i in ref.indices)
