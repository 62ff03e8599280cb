"""The words of the language: kinds of values, operators, features, limits.

A program is one s-expression over the features of a skeleton, numbers and operators:

    (/ g (* (+ 1 heard) (+ 1 caused)))

Values are scalars, vectors (one number per item) and matrices (one number per pair of items). A scalar goes with anything; a
vector goes with a matrix only after ``rows`` or ``columns`` has said along which index. Every operator is total: on finite
numbers it gives a finite number, so no program can make a NaN.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum

__all__ = [
    "LARGEST",
    "LARGEST_CONSTANT",
    "MAX_CHARACTERS",
    "MAX_DEPTH",
    "MAX_HOLES",
    "MAX_NODES",
    "OPERATORS",
    "REGISTERS",
    "SMALLEST_DIVISOR",
    "Feature",
    "Kind",
    "Operator",
    "Shape",
]

MAX_CHARACTERS = 20_000
"""Longest text that is read."""
MAX_NODES = 200
"""Most operators, features and numbers of one program."""
MAX_DEPTH = 24
"""Deepest nesting; also the most values that wait on the interpreter's stack."""
MAX_HOLES = 8
"""Most constants that are left open as ``?``."""
REGISTERS = ("r1", "r2", "r3")
"""Values that a program carries from one step of its skeleton to the next; all begin with 0."""

LARGEST = 1e100
"""Values saturate here: products and sums of what is within stay finite."""
LARGEST_CONSTANT = 1e12
"""Largest magnitude of a number that may be written."""
SMALLEST_DIVISOR = 1e-12
"""A divisor nearer to 0 is taken as this, with its sign."""


class Kind(IntEnum):
    """What a value is made of."""

    SCALAR = 0
    VECTOR = 1
    MATRIX = 2

    @property
    def word(self) -> str:
        """For messages."""
        return self.name.lower()


class Shape(StrEnum):
    """How the kind of an operator's value follows from those of its arguments."""

    EACH = "element by element"
    REDUCE = "a vector to a scalar, a matrix to a vector (over its second index)"
    ORDER = "a vector to a vector"
    DOT = "two vectors to a scalar, a matrix and a vector to a vector"
    TAKE = "elements of a vector at places: a scalar or a vector of places"
    SPREAD = "a vector to a matrix"
    FLIP = "a matrix to a matrix"


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator.

    Args:
        name: As it is written.
        arity: Number of arguments; ``+``, ``*``, ``min`` and ``max`` may be written with more.
        shape: Kinds of arguments and value.
        code: What the interpreter knows it by.
        meaning: In words, for people and language models.
        commutes: The order of two arguments does not matter.
    """

    name: str
    arity: int
    shape: Shape
    code: int
    meaning: str
    commutes: bool = False


_EACH, _REDUCE, _ORDER = Shape.EACH, Shape.REDUCE, Shape.ORDER

OPERATORS: dict[str, Operator] = {
    operator.name: operator
    for operator in (
        Operator("+", 2, _EACH, 10, "sum", commutes=True),
        Operator("-", 2, _EACH, 11, "difference; with one argument the negative"),
        Operator("*", 2, _EACH, 12, "product", commutes=True),
        Operator("/", 2, _EACH, 13, f"quotient; a divisor within {SMALLEST_DIVISOR:g} of 0 is taken as that, with its sign"),
        Operator("min", 2, _EACH, 14, "the smaller one", commutes=True),
        Operator("max", 2, _EACH, 15, "the larger one", commutes=True),
        Operator("<", 2, _EACH, 16, "1 where the first is smaller, else 0"),
        Operator("<=", 2, _EACH, 17, "1 where the first is not larger, else 0"),
        Operator("negative", 1, _EACH, 20, "the negative"),
        Operator("abs", 1, _EACH, 21, "magnitude"),
        Operator("sign", 1, _EACH, 22, "-1, 0 or 1"),
        Operator("sqrt", 1, _EACH, 23, "square root of the magnitude"),
        Operator("log1p", 1, _EACH, 24, "natural logarithm of 1 + the magnitude"),
        Operator("expneg", 1, _EACH, 25, "exp(-x)"),
        Operator("where", 3, _EACH, 30, "the second where the first is above 0, else the third"),
        Operator("clip", 3, _EACH, 31, "the first, not below the second, not above the third"),
        Operator("interpolate", 3, _EACH, 32, "from the first to the second by the share in the third"),
        Operator("sum", 1, _REDUCE, 40, "sum over items"),
        Operator("mean", 1, _REDUCE, 41, "mean over items"),
        Operator("largest", 1, _REDUCE, 42, "largest of all items"),
        Operator("smallest", 1, _REDUCE, 43, "smallest of all items"),
        Operator("rank", 1, _ORDER, 50, "place in ascending order, from 0 for the smallest to 1 for the largest"),
        Operator("argsort", 1, _ORDER, 51, "numbers of the items in ascending order"),
        Operator("dot", 2, Shape.DOT, 60, "sum of products: of two vectors, or of each row of a matrix with a vector"),
        Operator("take", 2, Shape.TAKE, 61, "elements of the first at the places in the second, from 0"),
        Operator("rows", 1, Shape.SPREAD, 70, "matrix whose element (i, j) is element i"),
        Operator("columns", 1, Shape.SPREAD, 71, "matrix whose element (i, j) is element j"),
        Operator("transpose", 1, Shape.FLIP, 72, "rows become columns"),
    )
}
"""All operators by name; ``>`` and ``>=`` are read as ``<`` and ``<=`` with exchanged arguments."""


@dataclass(frozen=True, slots=True)
class Feature:
    """What a skeleton tells a program.

    Args:
        name: As it is written in a program.
        kind: Scalar, vector or matrix.
        unit: Its unit; ``"1"`` for none.
        meaning: In words, for people and language models.
    """

    name: str
    kind: Kind
    unit: str
    meaning: str
