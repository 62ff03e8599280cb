"""A small expression grammar with its own parser: a text becomes a tree of known nodes, or an error with its place.

.. code-block:: text

    relation = expr ("<=" | ">=" | "==") expr
    expr     = term (("+" | "-") term)*
    term     = unary (("*" | "/") unary)*
    unary    = "-" unary | power
    power    = atom ("^" number)?
    atom     = number | name | name "[" index ("," index)* "]" | function "(" expr ")"
             | "sum" "(" name "in" set ("," name "in" set)* "," expr ")" | "(" expr ")"
    index    = name | whole number, counted from 1

There are no strings, no attributes, no calls beyond the functions listed, and nothing is handed to Python's own evaluation.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from optisolve.core.errors import OptisolveError

__all__ = [
    "FUNCTIONS",
    "MAX_EXPONENT",
    "MAX_LENGTH",
    "MAX_NUMBER",
    "Binary",
    "Call",
    "ExpressionError",
    "Negative",
    "Node",
    "Number",
    "Power",
    "Ref",
    "Relation",
    "Sum",
    "numbers_in",
    "parse_expression",
    "parse_relation",
]

FUNCTIONS = ("log", "log2", "sqrt", "exp", "abs", "square", "inv")
MAX_LENGTH, MAX_DEPTH = 2000, 40
MAX_NUMBER, MAX_EXPONENT = 1e12, 20.0


class ExpressionError(OptisolveError):
    """A text is no expression of the grammar; the message names the place."""


@dataclass(frozen=True, slots=True)
class Number:
    """A constant."""

    value: float


@dataclass(frozen=True, slots=True)
class Ref:
    """A parameter, variable or running index, with indices that are names or whole numbers from 1."""

    name: str
    indices: tuple[str | int, ...] = ()


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


@dataclass(frozen=True, slots=True)
class Power:
    """A node to a constant power."""

    base: Node
    exponent: float


@dataclass(frozen=True, slots=True)
class Call:
    """One of `FUNCTIONS`."""

    function: str
    body: Node


@dataclass(frozen=True, slots=True)
class Sum:
    """A sum over indices that run through sets."""

    indices: tuple[tuple[str, str], ...]
    body: Node


Node = Number | Ref | Negative | Binary | Power | Call | Sum


@dataclass(frozen=True, slots=True)
class Relation:
    """A comparison of two nodes."""

    op: str
    left: Node
    right: Node


_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?(?:[eE][-+]?\d{1,3})?)|(?P<name>[A-Za-z_]\w{0,63})|(?P<mark><=|>=|==|[-+*/^()\[\],]))",
    re.ASCII,  # digits and letters of other scripts look like something that they are not
)


def parse_expression(text: str) -> Node:
    """The tree of an expression.

    Raises:
        ExpressionError: The text is not of the grammar, too long or too deep.
    """
    parser = _Parser(text)
    node = parser.expr(0)
    parser.end()
    return node


def parse_relation(text: str) -> Relation:
    """The tree of a comparison; errors as for `parse_expression`."""
    parser = _Parser(text)
    left = parser.expr(0)
    op = parser.take("<=", ">=", "==")
    right = parser.expr(0)
    parser.end()
    return Relation(op, left, right)


def numbers_in(node: Node) -> list[float]:
    """Every constant of a tree, exponents included."""
    if isinstance(node, Number):
        return [node.value]
    if isinstance(node, Negative | Call | Sum):
        return numbers_in(node.body)
    if isinstance(node, Binary):
        return numbers_in(node.left) + numbers_in(node.right)
    if isinstance(node, Power):
        return [*numbers_in(node.base), node.exponent]
    return []


class _Parser:
    """Recursive descent over the tokens of one text."""

    def __init__(self, text: str) -> None:
        if len(text) > MAX_LENGTH:
            raise ExpressionError(f"an expression has {len(text)} characters; at most {MAX_LENGTH} are read.")
        self.text, self.tokens, self.at = text, self._scan(text), 0

    @staticmethod
    def _scan(text: str) -> list[tuple[str, str, int]]:
        tokens, position = [], 0
        while text[position:].strip():
            match = _TOKEN.match(text, position)
            if match is None:
                raise ExpressionError(f"'{text[:80]}': character {position + 1} is not part of the grammar.")
            kind = str(match.lastgroup)
            tokens.append((kind, match[kind], match.start(kind)))
            position = match.end()
        return tokens

    def expr(self, depth: int) -> Node:
        node = self.term(depth + 1)
        while self.peek("+", "-"):
            op = self.take("+", "-")
            node = Binary(op, node, self.term(depth + 1))
        return node

    def term(self, depth: int) -> Node:
        node = self.unary(depth + 1)
        while self.peek("*", "/"):
            op = self.take("*", "/")
            node = Binary(op, node, self.unary(depth + 1))
        return node

    def unary(self, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise ExpressionError(f"'{self.text[:80]}': nested deeper than {MAX_DEPTH // 4} brackets.")
        if self.peek("-"):
            self.take("-")
            return Negative(self.unary(depth + 1))
        base = self.atom(depth + 1)
        if not self.peek("^"):
            return base
        self.take("^")
        sign = -1.0 if self.peek("-") and self.take("-") else 1.0
        exponent = self.number("a constant exponent")
        if exponent > MAX_EXPONENT:
            raise ExpressionError(f"'{self.text[:80]}': an exponent is at most {MAX_EXPONENT:g}, not {exponent:g}.")
        return Power(base, sign * exponent)

    def atom(self, depth: int) -> Node:
        if self.peek("("):
            self.take("(")
            node = self.expr(depth + 1)
            self.take(")")
            return node
        kind = self.tokens[self.at][0] if self.at < len(self.tokens) else ""
        if kind == "number":
            return Number(self.number("a number"))
        name = self.kind("name", "a number, a name or a bracket")
        if name == "sum":
            return self.sum(depth)
        if self.peek("("):
            if name not in FUNCTIONS:
                raise ExpressionError(f"'{name}' is no function here; there are {', '.join(FUNCTIONS)} and sum.")
            self.take("(")
            body = self.expr(depth + 1)
            self.take(")")
            return Call(name, body)
        return Ref(name, self.indices() if self.peek("[") else ())

    def sum(self, depth: int) -> Node:
        self.take("(")
        running: list[tuple[str, str]] = []
        while True:
            mark = self.at
            name = self.tokens[mark][1] if mark < len(self.tokens) else ""
            following = self.tokens[mark + 1][1] if mark + 1 < len(self.tokens) else ""
            if following != "in":
                break
            self.at += 2
            running.append((name, self.kind("name", "a set")))
            self.take(",")
        if not running:
            raise ExpressionError(f"'{self.text[:80]}': a sum needs an index, e.g. sum(i in users, p[i]).")
        body = self.expr(depth + 1)
        self.take(")")
        return Sum(tuple(running), body)

    def indices(self) -> tuple[str | int, ...]:
        self.take("[")
        found: list[str | int] = []
        while True:
            kind = self.tokens[self.at][0] if self.at < len(self.tokens) else ""
            if kind == "number":
                value = self.number("an index")
                if value != int(value) or value < 1:
                    raise ExpressionError(f"'{self.text[:80]}': an index is a name or a whole number from 1, not {value:g}.")
                found.append(int(value))
            else:
                found.append(self.kind("name", "an index"))
            if not self.peek(","):
                break
            self.take(",")
        self.take("]")
        return tuple(found)

    def number(self, expected: str) -> float:
        written = self.kind("number", expected)
        value = float(written)
        if value > MAX_NUMBER:
            raise ExpressionError(f"'{self.text[:80]}': numbers are at most {MAX_NUMBER:g}, not {written[:40]}.")
        return value

    def peek(self, *marks: str) -> bool:
        return self.at < len(self.tokens) and self.tokens[self.at][0] == "mark" and self.tokens[self.at][1] in marks

    def take(self, *marks: str) -> str:
        if not self.peek(*marks):
            self.fail(" or ".join(f"'{m}'" for m in marks))
        self.at += 1
        return self.tokens[self.at - 1][1]

    def kind(self, kind: str, expected: str) -> str:
        if self.at >= len(self.tokens) or self.tokens[self.at][0] != kind:
            self.fail(expected)
        self.at += 1
        return self.tokens[self.at - 1][1]

    def end(self) -> None:
        if self.at < len(self.tokens):
            self.fail("the end")

    def fail(self, expected: str) -> None:
        where = f"character {self.tokens[self.at][2] + 1}" if self.at < len(self.tokens) else "the end"
        raise ExpressionError(f"'{self.text[:80]}': at {where} {expected} was expected.")
