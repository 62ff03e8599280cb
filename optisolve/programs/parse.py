"""From text to a tree; every error says where.

Text, depth and number of nodes are limited before anything is built, so a hostile text costs no more than a friendly one.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from optisolve.core.errors import nearest
from optisolve.programs.language import (
    LARGEST_CONSTANT,
    MAX_CHARACTERS,
    MAX_DEPTH,
    MAX_HOLES,
    MAX_NODES,
    OPERATORS,
    REGISTERS,
)
from optisolve.programs.tree import Node, ProgramError, Tree, call, constant, hole

__all__ = ["parse"]

_TOKEN = re.compile(r"\s*(?:([()])|([^\s()]+))")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_MANY = {"+", "*", "min", "max"}
_EXCHANGED = {">": "<", ">=": "<="}
_PYTHON = re.compile(r"\b(?:def|import|lambda|return|for|while|print)\b|np\.|\*\*|==|\w\[|\{")


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    position: int


def parse(text: str) -> Tree:
    """Read a program.

    Args:
        text: An s-expression, or ``(do (set r1 ...) ... VALUE)``.

    Returns:
        The tree; names of features are not looked at, see `optisolve.programs.check`.

    Raises:
        ProgramError: What is wrong, and where.
    """
    if len(text) > MAX_CHARACTERS:
        raise ProgramError(f"the program has {len(text):,} characters; at most {MAX_CHARACTERS:,} are read")
    tokens = _tokens(text)
    if not tokens:
        raise ProgramError("the program is empty; expected an expression such as (/ g (+ 1 heard))")
    reader = _Reader(text, tokens)
    tree = reader.program()
    if reader.at < len(tokens):
        rest = tokens[reader.at]
        _refuse_prose(text)
        what = "one ')' too many" if rest.text == ")" else "the expression is complete before this; write one expression only"
        raise ProgramError(what, text, rest.position)
    if tree.holes > MAX_HOLES:
        raise ProgramError(f"{tree.holes} constants are left open as ?; at most {MAX_HOLES} are fitted")
    return tree


def _refuse_prose(text: str) -> None:
    """Say so where somebody wrote a program of another language, or words."""
    if _PYTHON.search(text):
        raise ProgramError("this looks like Python; a program is an s-expression, operator first: (+ a b), (/ a (+ 1 b))")


def _tokens(text: str) -> list[_Token]:
    """Brackets and words; too deep or too long is refused here."""
    found, depth = list[_Token](), 0
    for match in _TOKEN.finditer(text):
        token = match[1] or match[2]
        position = match.start(1) if match[1] else match.start(2)
        depth += (token == "(") - (token == ")")
        if depth > MAX_DEPTH:
            raise ProgramError(f"nested more than {MAX_DEPTH} deep", text, position)
        found.append(_Token(token, position))
    words = sum(token.text not in ("(", ")") for token in found)
    if words > 2 * MAX_NODES:  # names of registers and `set` count for no node; trees are counted again
        raise ProgramError(f"the program has about {words:,} nodes; at most {MAX_NODES} are allowed")
    return found


class _Reader:
    """Recursive descent over tokens; their depth has been limited before."""

    def __init__(self, text: str, tokens: list[_Token]) -> None:
        self.text, self.tokens, self.at, self.nodes = text, tokens, 0, 0

    def program(self) -> Tree:
        """``(do (set r EXPR) ... EXPR)`` or one expression."""
        head = [token.text for token in self.tokens[:2]]
        if head != ["(", "do"]:
            return Tree(self.expression())
        begin = self.tokens[1]
        self.at = 2
        sets = list[tuple[str, Node]]()
        while [token.text for token in self.tokens[self.at : self.at + 2]] == ["(", "set"]:
            self.at += 2
            name = self._next("the name of a register")
            if name.text not in REGISTERS:
                raise self._wrong(f"'{name.text}' is no register; there are {', '.join(REGISTERS)}", name)
            sets.append((name.text, self.expression()))
            self._close("(set REGISTER EXPRESSION) takes one expression", begin)
        if not sets:
            raise self._wrong("(do ...) sets registers first: (do (set r1 EXPRESSION) EXPRESSION)", begin)
        tree = Tree(self.expression(), tuple(sets))
        self._close("(do ...) ends with one expression, its value", begin)
        return tree

    def expression(self) -> Node:
        """One operator with its arguments, a name or a number."""
        token = self._next("an expression")
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise self._wrong(f"more than {MAX_NODES} nodes", token)
        if token.text == ")":
            raise self._wrong("an expression is missing here", token)
        return self._call(token) if token.text == "(" else self._leaf(token)

    def _leaf(self, token: _Token) -> Node:
        word = token.text
        if word == "?":
            return hole(token.position)
        if _NUMBER.fullmatch(word):
            value = float(word)
            if not math.isfinite(value) or abs(value) > LARGEST_CONSTANT:
                raise self._wrong(
                    f"the number {word} is too large; magnitudes up to {LARGEST_CONSTANT:g} may be written", token
                )
            return constant(value, token.position)
        if word in OPERATORS or word in _EXCHANGED:
            raise self._wrong(f"the operator {word} needs brackets: ({word} ...)", token)
        if not _NAME.fullmatch(word):
            _refuse_prose(self.text)
            raise self._wrong(f"'{word}' is neither a number, a name, nor an operator in brackets", token)
        return Node(word, (), 0.0, token.position)

    def _call(self, opened: _Token) -> Node:
        head = self._next("an operator")
        name = _EXCHANGED.get(head.text, head.text)
        if head.text in ("do", "set"):
            raise self._wrong(f"({head.text} ...) stands at the very beginning only", head)
        if name not in OPERATORS:
            _refuse_prose(self.text)
            guess = nearest(head.text, OPERATORS)
            hint = f"; did you mean {guess}?" if guess else "."
            raise self._wrong(f"'{head.text}' is no operator{hint} Known: {' '.join(OPERATORS)}", head)
        arguments = list[Node]()
        while self.at < len(self.tokens) and self.tokens[self.at].text != ")":
            arguments.append(self.expression())
        self._close("this bracket is never closed", opened)
        return self._applied(head, name, arguments)

    def _applied(self, head: _Token, name: str, arguments: list[Node]) -> Node:
        """An operator with as many arguments as it takes; sums and products of many become pairs."""
        if name == "-" and len(arguments) == 1:
            only = arguments[0]
            return constant(-only.value, head.position) if only.is_number else call("negative", only, position=head.position)
        arity = OPERATORS[name].arity
        if name in _MANY and len(arguments) > arity:
            node = arguments[0]
            self.nodes += len(arguments) - arity
            for argument in arguments[1:]:
                node = call(name, node, argument, position=head.position)
            if node.depth > MAX_DEPTH:
                raise self._wrong(f"nested more than {MAX_DEPTH} deep", head)
            return node
        if len(arguments) != arity:
            raise self._wrong(f"({head.text} ...) takes {_counted(arity)}, found {len(arguments)}", head)
        ordered = arguments[::-1] if head.text in _EXCHANGED else arguments
        return call(name, *ordered, position=head.position)

    def _next(self, expected: str) -> _Token:
        if self.at >= len(self.tokens):
            raise ProgramError(f"the program ends where {expected} was expected", self.text, len(self.text))
        token = self.tokens[self.at]
        self.at += 1
        return token

    def _close(self, what: str, opened: _Token) -> None:
        if self.at >= len(self.tokens):
            raise self._wrong("this bracket is never closed", opened)
        if self.tokens[self.at].text != ")":
            raise self._wrong(what, self.tokens[self.at])
        self.at += 1

    def _wrong(self, what: str, token: _Token) -> ProgramError:
        return ProgramError(what, self.text, token.position)


def _counted(arity: int) -> str:
    return "one argument" if arity == 1 else f"{arity} arguments"
