"""A program that fits a skeleton: read, checked, in its canonical form, ready to run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.documents import JsonObject
from optisolve.programs.canonical import canonical, hash_of
from optisolve.programs.check import kinds_of, register_kinds, value_kind
from optisolve.programs.codes import Codes, codes_of
from optisolve.programs.formula import formula
from optisolve.programs.language import Feature, Kind
from optisolve.programs.parse import parse
from optisolve.programs.tree import Node, ProgramError, Tree, constant, text_of

__all__ = ["Machine", "Program", "pack"]


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """A checked program in canonical form.

    Attributes:
        tree: Canonical form.
        features: Features of the skeleton it is for.
        codes: What the interpreter runs.
        text: Canonical text; reading it gives the same program.
        sha256: Hash of that text.
        registers: Kinds of the registers that it sets, by name.
    """

    tree: Tree
    features: tuple[Feature, ...]
    codes: Codes
    text: str
    sha256: str
    registers: Mapping[str, Kind]

    @classmethod
    def read(cls, text: str, features: Sequence[Feature]) -> Program:
        """Parse, check and canonicalize a program.

        Args:
            text: The program as it was written.
            features: All features that it may read.

        Raises:
            ProgramError: What is wrong, and where.
        """
        return cls.of(parse(text), features, text)

    @classmethod
    def of(cls, tree: Tree, features: Sequence[Feature], text: str = "") -> Program:
        """The program of a tree; see `read`."""
        features = tuple(features)
        kinds = kinds_of(features)
        registers = register_kinds(tree, kinds, text)
        value_kind(tree, {**kinds, **registers}, text)
        simple = canonical(tree, {**kinds, **registers})
        codes = codes_of(simple, features, {**kinds, **registers})
        return cls(simple, features, codes, text_of(simple), hash_of(simple), registers)

    @property
    def holes(self) -> int:
        """Constants that are still open."""
        return self.tree.holes

    @property
    def formula(self) -> str:
        """In the notation of formulas, for people."""
        return formula(self.tree)

    def filled(self, values: Sequence[float]) -> Program:
        """The program with its open constants set, in the order of its text.

        Args:
            values: As many finite numbers as there are open constants.

        Raises:
            ProgramError: Another number of values.
        """
        if len(values) != self.holes:
            raise ProgramError(f"the program has {self.holes} open constants, {len(values)} values were given")
        rest = list(values)

        def fill(node: Node) -> Node:
            if node.is_hole:
                return constant(rest.pop(0))
            return Node(node.name, tuple(fill(argument) for argument in node.arguments), node.value)

        sets = tuple((name, fill(node)) for name, node in self.tree.sets)
        return Program.of(Tree(fill(self.tree.value), sets), self.features)

    def require_complete(self) -> None:
        """Refuse a program whose constants have not been fitted.

        Raises:
            ProgramError: The first open one.
        """
        if self.holes:
            at = self.text.index("?")
            raise ProgramError("a constant is left open as ?; write a number, or let a search fit it", self.text, at)

    def report(self) -> JsonObject:
        """What a record says of the program."""
        return {"program": self.text, "program_sha256": self.sha256, "nodes": self.codes.nodes}


class Machine:
    """Room for a program that runs on K items: its stack and registers.

    Args:
        program: The program.
        n_items: Number of items K.
    """

    def __init__(self, program: Program, n_items: int) -> None:
        self.codes, self.n_items = program.codes, n_items
        slot = self.codes.slot(n_items)
        self.stack: FloatArray = np.zeros((self.codes.depth, slot))
        self.registers: FloatArray = np.zeros((3, slot))
        self._features = program.features

    def reset(self) -> None:
        """Registers begin with 0."""
        self.registers[:] = 0.0

    def run(self, values: Mapping[str, object]) -> FloatArray:
        """What the program says; registers keep what it set.

        Args:
            values: Features by name: numbers, float64 [K], float64 [K, K]; those that the program does not read may be absent.

        Returns:
            float64 [K].
        """
        from optisolve.programs.interpreter import execute

        packed = pack(self._features, values, self.n_items)
        execute(self.codes.instructions, self.codes.numbers, *packed, self.registers, self.stack, self.n_items)
        return self.stack[0, : self.n_items].copy()


def pack(features: Sequence[Feature], values: Mapping[str, object], n_items: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Features by name as the interpreter takes them: scalars [s], vectors [v, K], matrices [m, K, K]."""
    shapes: tuple[tuple[int, ...], ...] = ((), (n_items,), (n_items, n_items))
    packed = []
    for kind, shape in enumerate(shapes):
        rows = [
            np.broadcast_to(np.asarray(values.get(f.name, 0.0), dtype=np.float64), shape) for f in features if f.kind == kind
        ]
        packed.append(np.ascontiguousarray(np.array(rows).reshape(len(rows), *shape)))
    return packed[0], packed[1], packed[2]
