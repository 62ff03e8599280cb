"""How a new program is made from others: exchange of subtrees, mutation, hoist, other numbers.

Sources: Koza 1992 (tree crossover, subtree mutation); Montana 1995 (typed trees); Kinnear 1994 (hoist mutation).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from optisolve.programs.check import kind_of
from optisolve.programs.grow import grow
from optisolve.programs.language import LARGEST_CONSTANT, Kind
from optisolve.programs.tree import Node

__all__ = ["Breeder", "short_number"]


class Breeder:
    """Makes programs from programs.

    Args:
        rng: Source of all choices.
        kinds: Kinds of the features by name.
    """

    def __init__(self, rng: np.random.Generator, kinds: Mapping[str, Kind]) -> None:
        self._rng, self._kinds = rng, kinds

    def _nodes_of(self, node: Node, kind: Kind) -> list[Node]:
        return [part for part in node.walk() if kind_of(part, self._kinds) is kind]

    def _any(self, nodes: Sequence[Node]) -> Node:
        return nodes[int(self._rng.integers(len(nodes)))]

    def crossed(self, parent: Node, other: Node) -> Node:
        """The parent with one subtree replaced by one of the other's, of the same kind."""
        parts = list(parent.walk())
        at = int(self._rng.integers(len(parts)))
        donors = self._nodes_of(other, kind_of(parts[at], self._kinds))
        return _replaced(parent, at, self._any(donors)) if donors else parent

    def mutated(self, parent: Node) -> Node:
        """The parent with one subtree grown anew."""
        parts = list(parent.walk())
        at = int(self._rng.integers(len(parts)))
        return _replaced(
            parent, at, grow(self._rng, self._kinds, kind_of(parts[at], self._kinds), int(self._rng.integers(1, 4)))
        )

    def hoisted(self, parent: Node) -> Node:
        """One of the parent's own subtrees."""
        return self._any(self._nodes_of(parent, Kind.VECTOR) or [parent])

    def jittered(self, parent: Node) -> Node:
        """The parent with other numbers, by a factor and a little more."""

        def moved(node: Node) -> Node:
            if node.is_number:
                factor, more = 1.0 + 0.3 * self._rng.standard_normal(), 0.1 * self._rng.standard_normal()
                return short_number(node.value * factor + more)
            return Node(node.name, tuple(moved(argument) for argument in node.arguments))

        return moved(parent)


def short_number(value: float) -> Node:
    """A number with few digits, so that what is found can be read."""
    bounded = min(max(value, -LARGEST_CONSTANT), LARGEST_CONSTANT)
    return Node("#", (), float(f"{bounded:.4g}") + 0.0)


def _replaced(node: Node, at: int, by: Node) -> Node:
    """A tree whose node number `at`, in the order of the text, is another one."""
    if at == 0:
        return by
    at -= 1
    arguments = list[Node]()
    for argument in node.arguments:
        size = argument.size
        arguments.append(_replaced(argument, at, by) if 0 <= at < size else argument)
        at -= size
    return Node(node.name, tuple(arguments), node.value)
