"""From a tree to integer codes in postfix order, what the interpreter runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from optisolve.core.arrays import FloatArray, IntArray
from optisolve.programs.check import kind_of
from optisolve.programs.language import OPERATORS, REGISTERS, Feature, Kind
from optisolve.programs.tree import Node, Tree

__all__ = ["Codes", "codes_of"]

NUMBER, SCALAR, VECTOR, MATRIX, REGISTER, STORE = 0, 1, 2, 3, 4, 5
"""Codes of what is put on the stack (a number, a feature, a register), and of what goes into a register."""

_LOADS = {Kind.SCALAR: SCALAR, Kind.VECTOR: VECTOR, Kind.MATRIX: MATRIX}


@dataclass(frozen=True, slots=True, eq=False)
class Codes:
    """A program as the interpreter takes it.

    Attributes:
        instructions: int64 [n, 5]: code, kind of the value, then for loads and stores the number of the constant, feature or
            register, for operators the kinds of up to three arguments.
        numbers: float64 [c], the constants in the order of the text.
        depth: Most values on the stack at once.
        widest: Kind of the largest value on the stack or in a register.
        vectors: bool per vector feature, whether it is read.
        scalars: bool per scalar feature, whether it is read.
        matrices: bool per matrix feature, whether it is read.
        nodes: Number of nodes.
    """

    instructions: IntArray
    numbers: FloatArray
    depth: int
    widest: Kind
    scalars: tuple[bool, ...]
    vectors: tuple[bool, ...]
    matrices: tuple[bool, ...]
    nodes: int

    def slot(self, n_items: int) -> int:
        """Numbers that one place on the stack holds."""
        return n_items * n_items if self.widest is Kind.MATRIX else max(n_items, 1)


class _Writer:
    """Instructions of one program, written depth first."""

    def __init__(self, kinds: Mapping[str, Kind], features: Sequence[Feature]) -> None:
        self.kinds = kinds
        self.place: dict[str, int] = {}
        for kind in Kind:
            self.place |= {f.name: n for n, f in enumerate(f for f in features if f.kind is kind)}
        self.rows: list[tuple[int, ...]] = []
        self.numbers: list[float] = []
        self.waiting = self.depth = 0
        self.read: set[str] = set()
        self.widest = Kind.VECTOR

    def write(self, node: Node) -> Kind:
        """Instructions that leave an expression's value on the stack."""
        if node.arguments:
            found = [self.write(argument) for argument in node.arguments]
            kind = kind_of(node, self.kinds)
            arguments = (*map(int, found), 0, 0)[:3]
            self._put(kind, (OPERATORS[node.name].code, int(kind), *arguments), len(found))
            return kind
        kind = kind_of(node, self.kinds)
        if node.is_number or node.is_hole:
            row = (NUMBER, int(kind), len(self.numbers), 0, 0)
            self.numbers.append(node.value)
        elif node.name in REGISTERS:
            row = (REGISTER, int(kind), REGISTERS.index(node.name), 0, 0)
        else:
            self.read.add(node.name)
            row = (_LOADS[kind], int(kind), self.place[node.name], 0, 0)
        self._put(kind, row, 0)
        return kind

    def store(self, name: str) -> None:
        """The instruction that moves a value from the stack into a register."""
        self.rows.append((STORE, int(self.kinds[name]), REGISTERS.index(name), 0, 0))
        self.waiting -= 1

    def _put(self, kind: Kind, row: tuple[int, ...], taken: int) -> None:
        self.rows.append(row)
        self.waiting += 1 - taken
        self.depth = max(self.depth, self.waiting)
        self.widest = max(self.widest, kind)


def codes_of(tree: Tree, features: Sequence[Feature], kinds: Mapping[str, Kind]) -> Codes:
    """Integer codes of a program.

    Args:
        tree: A program that fits; constants that are open count as 0 until `Codes.numbers` is filled.
        features: All features of the skeleton, in its order.
        kinds: Kinds of features and registers by name.
    """
    writer = _Writer(kinds, features)
    for name, node in tree.sets:
        writer.write(node)
        writer.store(name)
    writer.write(tree.value)

    def read(kind: Kind) -> tuple[bool, ...]:
        return tuple(f.name in writer.read for f in features if f.kind is kind)

    return Codes(
        instructions=np.array(writer.rows, dtype=np.int64),
        numbers=np.array(writer.numbers, dtype=np.float64),
        depth=writer.depth,
        widest=writer.widest,
        scalars=read(Kind.SCALAR),
        vectors=read(Kind.VECTOR),
        matrices=read(Kind.MATRIX),
        nodes=tree.size,
    )
