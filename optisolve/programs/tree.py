"""Programs as trees, and their text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from optisolve.core.errors import OptisolveError

__all__ = ["Node", "ProgramError", "Tree", "call", "constant", "hole", "text_of"]


class ProgramError(OptisolveError):
    """A program cannot be read or does not fit its skeleton.

    Args:
        what: What is wrong and what was expected.
        text: The program.
        position: Where in the text, from 0; None where it is about the whole.
    """

    def __init__(self, what: str, text: str = "", position: int | None = None) -> None:
        self.what, self.position = what, position
        super().__init__(what if position is None else f"character {position + 1}{_near(text, position)}: {what}")


def _near(text: str, position: int) -> str:
    """The text at a position, short enough for one line."""
    found = " ".join(text[position : position + 25].split())
    return f" ('{found}{'...' if len(text) > position + 25 else ''}')" if found else " (the end)"


@dataclass(frozen=True, slots=True)
class Node:
    """One operator, feature, register or number.

    Args:
        name: Of an operator, a feature or a register; ``"#"`` for a number, ``"?"`` for a constant that is still open.
        arguments: Of an operator.
        value: Of a number.
        position: Where it stands in the text it was read from; says nothing about equality.
    """

    name: str
    arguments: tuple[Node, ...] = ()
    value: float = 0.0
    position: int = field(default=0, compare=False)

    @property
    def is_number(self) -> bool:
        """A number that is written."""
        return self.name == "#"

    @property
    def is_hole(self) -> bool:
        """A constant that is to be fitted."""
        return self.name == "?"

    def walk(self) -> Iterator[Node]:
        """This node and all below, in the order of the text."""
        yield self
        for argument in self.arguments:
            yield from argument.walk()

    @property
    def size(self) -> int:
        """Number of nodes."""
        return 1 + sum(argument.size for argument in self.arguments)

    @property
    def depth(self) -> int:
        """Longest way down, 1 for a leaf."""
        return 1 + max((argument.depth for argument in self.arguments), default=0)


def constant(value: float, position: int = 0) -> Node:
    """A number."""
    return Node("#", (), float(value) + 0.0, position)  # + 0.0: no negative zero


def hole(position: int = 0) -> Node:
    """A constant that is to be fitted."""
    return Node("?", (), 0.0, position)


def call(name: str, *arguments: Node, position: int = 0) -> Node:
    """An operator with its arguments."""
    return Node(name, arguments, 0.0, position)


@dataclass(frozen=True, slots=True)
class Tree:
    """A whole program: registers that are set one after the other, then the value.

    Args:
        value: What the program says.
        sets: Registers with their new values, in order.
    """

    value: Node
    sets: tuple[tuple[str, Node], ...] = ()

    @property
    def parts(self) -> tuple[Node, ...]:
        """All expressions in the order in which they are run."""
        return (*(node for _, node in self.sets), self.value)

    def walk(self) -> Iterator[Node]:
        """All nodes in the order of the text."""
        for part in self.parts:
            yield from part.walk()

    @property
    def size(self) -> int:
        """Number of nodes."""
        return sum(part.size for part in self.parts)

    @property
    def depth(self) -> int:
        """Deepest nesting."""
        return max(part.depth for part in self.parts)

    @property
    def holes(self) -> int:
        """Number of constants that are still open."""
        return sum(node.is_hole for node in self.walk())


def text_of(program: Tree | Node) -> str:
    """A program as it is written; numbers with as few digits as give the same number back."""
    if isinstance(program, Tree):
        if not program.sets:
            return text_of(program.value)
        sets = " ".join(f"(set {name} {text_of(node)})" for name, node in program.sets)
        return f"(do {sets} {text_of(program.value)})"
    if program.is_number:
        whole = program.value.is_integer() and abs(program.value) < 1e15
        return str(int(program.value)) if whole else repr(program.value)
    if not program.arguments:
        return program.name
    name = "-" if program.name == "negative" else program.name
    return f"({name} {' '.join(map(text_of, program.arguments))})"
