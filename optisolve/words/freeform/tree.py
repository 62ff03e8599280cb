"""The nodes of an expression: plain data, which the evaluator, the linear form and cvxpy each read in their own way.

A parsed tree has names (`Ref`) and sums over sets (`Fold`). The tree of a checked model has neither: its data are numbers, its
variables places of the flat vector, and its sums are written out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product

__all__ = [
    "Binary",
    "Call",
    "Condition",
    "Fold",
    "Index",
    "Negative",
    "Node",
    "Number",
    "Power",
    "Ref",
    "Relation",
    "Variable",
    "children",
    "mapped",
    "numbers_in",
    "places",
]


@dataclass(frozen=True, slots=True)
class Number:
    """A constant."""

    value: float


@dataclass(frozen=True, slots=True)
class Index:
    """A place in a set.

    Attributes:
        name: A running index or the name of an element; "" for a place that is given by its number.
        shift: What is added to the running index; the number, counted from 1, when there is no name.
    """

    name: str
    shift: int = 0

    def __str__(self) -> str:
        return f"{self.name}{self.shift:+d}" if self.name and self.shift else self.name or str(self.shift)


@dataclass(frozen=True, slots=True)
class Ref:
    """A parameter, variable or running index; `place` is its first character in the text, from 1."""

    name: str
    indices: tuple[Index, ...] = ()
    place: int = field(default=1, compare=False)


@dataclass(frozen=True, slots=True)
class Variable:
    """A place of the flat vector, from 0."""

    position: int


@dataclass(frozen=True, slots=True)
class Negative:
    """The negative of a node."""

    body: Node


@dataclass(frozen=True, slots=True)
class Binary:
    """``+ - * /`` of two nodes."""

    op: str
    left: Node
    right: Node
    place: int = field(default=1, compare=False)


@dataclass(frozen=True, slots=True)
class Power:
    """A node to a constant power."""

    base: Node
    exponent: float


@dataclass(frozen=True, slots=True)
class Call:
    """A function of one or several nodes; ``sum`` only where it is written out."""

    function: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Condition:
    """A comparison of two places, which decides whether a term or a row is there."""

    op: str
    left: Index
    right: Index

    def holds(self, at: Mapping[str, int]) -> bool:
        """Whether it is true for values of the running indices, from 0."""
        left, right = (i.shift - 1 if not i.name else at[i.name] + i.shift for i in (self.left, self.right))
        told = {"!=": left != right, "==": left == right, "<": left < right, "<=": left <= right, ">": left > right}
        return told.get(self.op, left >= right)


@dataclass(frozen=True, slots=True)
class Fold:
    """``sum``, ``max``, ``min`` or ``norm`` over indices that run through sets.

    Attributes:
        function: Which one.
        indices: Running indices and their sets.
        where: What must hold of the indices; a term for which it does not is left out.
        body: The term.
        ranges: Values of each index for which the term exists, from 0; filled in when the names are resolved.
        place: First character in the text, from 1.
    """

    function: str
    indices: tuple[tuple[str, str], ...]
    where: tuple[Condition, ...]
    body: Node
    ranges: tuple[range, ...] = ()
    place: int = field(default=1, compare=False)


Node = Number | Ref | Variable | Negative | Binary | Power | Call | Fold


@dataclass(frozen=True, slots=True)
class Relation:
    """A comparison of two nodes; `op` is ``<=``, ``>=`` or ``==``, `written` what stood in the text."""

    op: str
    left: Node
    right: Node
    written: str = field(default="", compare=False)


def places(
    names: tuple[str, ...], ranges: tuple[range, ...], where: tuple[Condition, ...], at: Mapping[str, int]
) -> Iterator[dict[str, int]]:
    """Values of all running indices, from 0, for which the conditions hold.

    Args:
        names: Indices of the sum or of the constraint.
        ranges: Their values.
        where: Conditions.
        at: Values of the indices outside.
    """
    for values in product(*ranges):
        inner = {**at, **dict(zip(names, values, strict=True))}
        if all(condition.holds(inner) for condition in where):
            yield inner


def children(node: Node) -> tuple[Node, ...]:
    """The nodes directly below a node."""
    if isinstance(node, Negative | Fold):
        return (node.body,)
    if isinstance(node, Binary):
        return (node.left, node.right)
    if isinstance(node, Power):
        return (node.base,)
    return node.arguments if isinstance(node, Call) else ()


def mapped(node: Node, change: Callable[[Node], Node]) -> Node:
    """The same node over changed nodes; one without nodes below it as it is. Names and sums over sets are the caller's."""
    if isinstance(node, Negative):
        return Negative(change(node.body))
    if isinstance(node, Binary):
        return Binary(node.op, change(node.left), change(node.right), node.place)
    if isinstance(node, Power):
        return Power(change(node.base), node.exponent)
    return Call(node.function, tuple(map(change, node.arguments))) if isinstance(node, Call) else node


def numbers_in(node: Node) -> list[float]:
    """Every constant of a tree, exponents included, indices not."""
    own = [node.value] if isinstance(node, Number) else []
    own += [v for child in children(node) for v in numbers_in(child)]
    return [*own, node.exponent] if isinstance(node, Power) else own
