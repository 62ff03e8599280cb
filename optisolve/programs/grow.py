"""Random programs: typed trees whose kinds fit by construction."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from optisolve.programs.language import OPERATORS, Kind, Operator, Shape
from optisolve.programs.tree import Node, call, constant, hole

__all__ = ["grow"]

_S, _V, _M = Kind.SCALAR, Kind.VECTOR, Kind.MATRIX

_MADE: dict[Kind, dict[Shape, tuple[tuple[Kind, ...], ...]]] = {
    _S: {Shape.REDUCE: ((_V,),), Shape.DOT: ((_V, _V),), Shape.TAKE: ((_V, _S),)},
    _V: {Shape.REDUCE: ((_M,),), Shape.ORDER: ((_V,),), Shape.DOT: ((_M, _V),), Shape.TAKE: ((_V, _V),)},
    _M: {Shape.SPREAD: ((_V,),), Shape.FLIP: ((_M,),)},
}
"""Kinds of arguments with which an operator that is not element by element makes a kind."""


def grow(
    rng: np.random.Generator,
    kinds: Mapping[str, Kind],
    kind: Kind,
    depth: int,
    *,
    operators: tuple[str, ...] = tuple(OPERATORS),
    open_constants: bool = False,
) -> Node:
    """A random expression of a kind.

    Args:
        rng: Source of all choices.
        kinds: Features and registers that it may read.
        kind: Kind of its value; matrices only where there is a vector or a matrix to make them from.
        depth: Deepest nesting.
        operators: Names of the operators that it may use.
        open_constants: Constants are ``?`` instead of numbers.
    """
    leaves = [name for name, found in kinds.items() if found is kind]
    if depth <= 1 or (rng.random() < _LEAF and (leaves or kind is _S)):
        return _leaf(rng, kinds, kind, leaves, open_constants)
    made = list[tuple[Operator, tuple[Kind, ...]]]()
    has_matrices = _M in kinds.values()
    for name in operators:
        operator = OPERATORS[name]
        if operator.shape is Shape.EACH:
            made += [(operator, _each(rng, kind, operator.arity))] * _EACH_WEIGHT
        for arguments in _MADE[kind].get(operator.shape, ()):
            if kind is _M or _M not in arguments or has_matrices:
                made.append((operator, arguments))
    operator, arguments = made[int(rng.integers(len(made)))]
    return call(
        operator.name,
        *(grow(rng, kinds, k, depth - 1, operators=operators, open_constants=open_constants) for k in arguments),
    )


_LEAF = 0.2
"""Chance to end before the depth is reached."""
_EACH_WEIGHT = 2
"""Operators element by element are drawn so often as those that change the kind."""
_SCALAR_ARGUMENT = 0.25
_NUMBER = 0.5
"""Chance that a scalar leaf is a number."""


def _each(rng: np.random.Generator, kind: Kind, arity: int) -> tuple[Kind, ...]:
    """Kinds of arguments of which the widest is the one that is asked for."""
    found = [_S if kind is not _S and rng.random() < _SCALAR_ARGUMENT else kind for _ in range(arity)]
    found[int(rng.integers(arity))] = kind
    return tuple(found)


def _leaf(rng: np.random.Generator, kinds: Mapping[str, Kind], kind: Kind, leaves: list[str], open_constants: bool) -> Node:
    if kind is _S and (not leaves or rng.random() < _NUMBER):
        return hole() if open_constants else constant(round(float(rng.normal(0.0, 2.0)), 2))
    if leaves:
        return Node(leaves[int(rng.integers(len(leaves)))])
    if kind is _V:  # no vector to read: a scalar has to do, spread over a vector of the kind that is there
        raise ValueError("there is no vector to read")
    vectors = [name for name, found in kinds.items() if found is _V]
    return call("rows", Node(vectors[int(rng.integers(len(vectors)))]))
