"""A small expression grammar with its own parser: a text becomes a tree of known nodes, or an error with its place.

.. code-block:: text

    relation  = expr (("<=" | ">=" | "==" | "=" | "<" | ">") expr)+     a chain points one way: 1 <= x <= 2
    expr      = term (("+" | "-") term)*
    term      = unary (("*" | "/") unary)*
    unary     = "-" unary | power
    power     = atom ("^" number)?
    atom      = number | name | name "[" index ("," index)* "]" | function "(" expr ")" | "(" expr ")"
              | ("max" | "min" | "norm") "(" expr ("," expr)* ")"
              | fold "(" running ("if" condition)? "," expr ")" | fold "(" expr "for" running ("if" condition)? ")"
    fold      = "sum" | "max" | "min" | "norm"
    running   = name "in" set ("," name "in" set)*
    condition = index ("!=" | "==" | "=" | "<" | "<=" | ">" | ">=") index ("and" condition)?
    index     = name | name ("+" | "-") whole number | whole number, counted from 1

``=`` is ``==``, and ``<`` and ``>`` between expressions are ``<=`` and ``>=``, as a limit that is never reached has no optimum;
between indices they are strict. There are no strings, no attributes, no calls beyond the functions listed, and nothing is
handed to Python's own evaluation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NoReturn, TypeVar

from optisolve.core.errors import OptisolveError
from optisolve.words.freeform.tree import Binary, Call, Condition, Fold, Index, Negative, Node, Number, Power, Ref, Relation

__all__ = [
    "FOLDS",
    "FUNCTIONS",
    "MAX_EXPONENT",
    "MAX_LENGTH",
    "MAX_NUMBER",
    "RESERVED",
    "ExpressionError",
    "parse_condition",
    "parse_expression",
    "parse_relation",
]

FUNCTIONS = ("log", "log2", "sqrt", "exp", "abs", "square", "inv")
"""Functions of one expression."""
FOLDS = ("sum", "max", "min", "norm")
"""Functions of many."""
RESERVED = {*FUNCTIONS, *FOLDS, "in", "for", "if", "and"}
"""Names that mean something in the grammar."""
MAX_LENGTH, MAX_DEPTH = 2000, 40
MAX_NUMBER, MAX_EXPONENT = 1e12, 20.0
MIN_NUMBER = 1e-100
"""Smaller numbers would vanish in a product without anybody being told."""
_T = TypeVar("_T")
_MEANS = {"<=": "<=", ">=": ">=", "==": "==", "=": "==", "<": "<=", ">": ">="}
_SAY = {"**": "^", "=<": "<=", "=>": ">=", "===": "==", "<>": "two constraints instead"}
_ORDERS = ("!=", *_MEANS)


class ExpressionError(OptisolveError):
    """A text is no expression of the grammar.

    Args:
        told: What was expected.
        place: Character of the text where it was expected, from 1; 0 when it is no matter of a place.
    """

    def __init__(self, told: str, place: int = 0) -> None:
        super().__init__(told)
        self.place = place


_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d{1,3})?)|(?P<name>[A-Za-z_]\w{0,63})"
    r"|(?P<mark><=|>=|==|!=|[-+*/^()\[\],<>=]))",
    re.ASCII,  # digits and letters of other scripts look like something that they are not
)


def parse_expression(text: str) -> Node:
    """The tree of an expression.

    Raises:
        ExpressionError: The text is not of the grammar, too long or too deep.
    """
    return _parsed(text, _Parser.expr)


def parse_relation(text: str) -> tuple[Relation, ...]:
    """The comparisons of a text, several for a chain such as ``1 <= x <= 2``.

    Raises:
        ExpressionError: As for `parse_expression`, or a chain whose comparisons point in different directions.
    """
    sides, written = _parsed(text, _Parser.compared)
    ops = [_MEANS[w] for w in written]
    if {"<=", ">="} <= set(ops):
        raise ExpressionError("a chain of comparisons that points one way, such as 1 <= x <= 2")
    return tuple(Relation(op, a, b, w) for op, a, b, w in zip(ops, sides, sides[1:], written, strict=False))


def parse_condition(text: str) -> tuple[Condition, ...]:
    """The comparisons of indices of a text such as ``i != j and i <= 3``; errors as for `parse_expression`."""
    return _parsed(text, _Parser.conditions)


def _parsed(text: str, read: Callable[[_Parser], _T]) -> _T:
    """What the whole of a text is read as."""
    parser = _Parser(text)
    found = read(parser)
    if parser.next()[0]:
        parser.fail("the end")
    return found


class _Parser:
    """Recursive descent over the tokens of one text."""

    def __init__(self, text: str) -> None:
        if len(text) > MAX_LENGTH:
            raise ExpressionError(f"at most {MAX_LENGTH} characters, not {len(text)}")
        self.text, self.tokens, self.at = text, self._scan(text), 0

    @staticmethod
    def _scan(text: str) -> list[tuple[str, str, int]]:
        tokens, position = [], 0
        while text[position:].strip():
            match = _TOKEN.match(text, position)
            if match is None:
                place = position + 1 + len(text[position:]) - len(text[position:].lstrip())
                raise ExpressionError(f"{text[place - 1]!r} is not part of the grammar", place)
            kind = str(match.lastgroup)
            tokens.append((kind, match[kind], match.start(kind) + 1))
            position = match.end()
        return tokens

    # -- expressions ------------------------------------------------------------------------------------------------------

    def compared(self) -> tuple[list[Node], list[str]]:
        """Sides, and the comparisons between them."""
        sides, written = [self.expr()], list[str]()
        while not written or self.next()[1] in _MEANS:
            written.append(self.take(*_MEANS))
            sides.append(self.expr())
        return sides, written

    def expr(self, depth: int = 0) -> Node:
        return self.chain(("+", "-"), self.term, depth)

    def term(self, depth: int) -> Node:
        return self.chain(("*", "/"), self.unary, depth)

    def chain(self, marks: Sequence[str], part: Callable[[int], Node], depth: int) -> Node:
        node = part(depth + 1)
        while op := self.eat(*marks):
            place = self.place()
            node = Binary(op, node, part(depth + 1), place)
        return node

    def unary(self, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise ExpressionError(f"nested deeper than {MAX_DEPTH // 4} brackets", self.place())
        if self.eat("-"):
            return Negative(self.unary(depth + 1))
        base = self.atom(depth + 1)
        if not self.eat("^"):
            return base
        sign = -1.0 if self.eat("-") else 1.0
        place, exponent = self.place(), self.number("a constant exponent")
        if exponent > MAX_EXPONENT:
            raise ExpressionError(f"an exponent is at most {MAX_EXPONENT:g}, not {exponent:g}", place)
        return Power(base, sign * exponent)

    def atom(self, depth: int) -> Node:
        place = self.place()
        if self.eat("("):
            node = self.expr(depth + 1)
        elif self.next()[0] == "number":
            return Number(self.number("a number"))
        else:
            name = self.kind("name", "a number, a name or a bracket")
            if self.eat("["):
                indices = self.listed(self.index, ",")
                self.take("]")
                return Ref(name, indices, place)
            if not self.eat("("):
                return Ref(name, (), place)
            node = self.call(name, depth, place)
        self.take(")")
        return node

    def call(self, name: str, depth: int, place: int) -> Node:
        """What stands in the brackets of a function."""
        if name not in FUNCTIONS and name not in FOLDS:
            raise ExpressionError(f"'{name}' is no function here; there are {', '.join((*FUNCTIONS, *FOLDS))}", place)
        if name in FUNCTIONS:
            return Call(name, (self.expr(depth + 1),))
        if self.next(1)[1] == "in":
            running, where = self.running()
            self.take(",")
            return Fold(name, running, where, self.expr(depth + 1), place=place)
        arguments = self.listed(lambda: self.expr(depth + 1), ",")
        if len(arguments) == 1 and self.eat("for"):
            running, where = self.running()
            return Fold(name, running, where, arguments[0], place=place)
        if name == "sum" or (name in ("max", "min") and len(arguments) < 2):
            raise ExpressionError(f"{name} needs an index, e.g. {name}(i in users, p[i]) or {name}(p[i] for i in users)", place)
        return Call(name, arguments)

    # -- indices ----------------------------------------------------------------------------------------------------------

    def running(self) -> tuple[tuple[tuple[str, str], ...], tuple[Condition, ...]]:
        """``i in users, j in channels if i != j``; stops before a comma that no further index follows."""
        found: list[tuple[str, str]] = []
        while not found or (self.next()[1] == "," and self.next(2)[1] == "in" and self.eat(",")):
            name = self.kind("name", "an index")
            if not self.eat("in"):
                self.fail("'in' and a set")
            found.append((name, self.kind("name", "a set")))
        return tuple(found), self.conditions() if self.eat("if") else ()

    def conditions(self) -> tuple[Condition, ...]:
        return self.listed(self.condition, "and")

    def condition(self) -> Condition:
        left, op, right = self.index(), self.take(*_ORDERS), self.index()
        return Condition("==" if op == "=" else op, left, right)

    def index(self) -> Index:
        if self.next()[0] == "number":
            return Index("", self.whole(1))
        name, sign = self.kind("name", "an index"), self.eat("+", "-")
        return Index(name, {"+": 1, "-": -1}[sign] * self.whole(0) if sign else 0)

    def whole(self, least: int) -> int:
        place, value = self.place(), self.number("a whole number")
        if value != int(value) or not least <= value <= MAX_LENGTH:
            raise ExpressionError(f"an index is a name or a whole number from 1, not {value:g}", place)
        return int(value)

    # -- tokens -----------------------------------------------------------------------------------------------------------

    def number(self, expected: str) -> float:
        place, written = self.place(), self.kind("number", expected)
        value = float(written)
        if value > MAX_NUMBER:
            raise ExpressionError(f"numbers are at most {MAX_NUMBER:g}, not {written[:40]}; choose larger units", place)
        if value < MIN_NUMBER and re.search("[1-9]", written.lower().partition("e")[0]):
            raise ExpressionError(f"numbers are 0 or at least {MIN_NUMBER:g}, not {written[:40]}; choose smaller units", place)
        return value

    def next(self, ahead: int = 0) -> tuple[str, str]:
        """Kind and text of a token to come; empty behind the end."""
        return self.tokens[self.at + ahead][:2] if self.at + ahead < len(self.tokens) else ("", "")

    def eat(self, *texts: str) -> str:
        """The mark or word that comes next, taken, if it is one of these; else ""."""
        found = self.next()[1]
        self.at += found in texts
        return found if found in texts else ""

    def take(self, *marks: str) -> str:
        return self.eat(*marks) or self.fail(" or ".join(f"'{m}'" for m in marks))

    def listed(self, one: Callable[[], _T], joint: str) -> tuple[_T, ...]:
        """One or several, with a mark or word between them."""
        found = [one()]
        while self.eat(joint):
            found.append(one())
        return tuple(found)

    def kind(self, kind: str, expected: str) -> str:
        if self.next()[0] != kind or (kind == "name" and self.next()[1] in ("in", "for", "if", "and")):
            self.fail(expected)
        self.at += 1
        return self.tokens[self.at - 1][1]

    def place(self) -> int:
        return self.tokens[self.at][2] if self.at < len(self.tokens) else len(self.text) + 1

    def fail(self, expected: str) -> NoReturn:
        found = f"not {self.next()[1]!r}" if self.at < len(self.tokens) else "not the end"
        pair = (self.tokens[self.at - 1][1] if self.at else "") + self.next()[1]
        hint = f"; say {_SAY[pair]}" if pair in _SAY else ""
        raise ExpressionError(f"{expected} was expected, {found}{hint}", self.place())
