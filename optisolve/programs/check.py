"""Kinds of values: what goes with what, found before anything runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product

from optisolve.core.errors import nearest
from optisolve.programs.language import OPERATORS, REGISTERS, Feature, Kind, Shape
from optisolve.programs.tree import Node, ProgramError, Tree

__all__ = ["kind_of", "kinds_of", "register_kinds", "value_kind"]

_S, _V, _M = Kind.SCALAR, Kind.VECTOR, Kind.MATRIX


def kinds_of(features: Sequence[Feature]) -> dict[str, Kind]:
    """Kinds of features by name."""
    return {feature.name: feature.kind for feature in features}


def register_kinds(tree: Tree, kinds: Mapping[str, Kind], text: str = "") -> dict[str, Kind]:
    """Kinds of the registers that a program sets: the smallest ones with which it fits.

    Args:
        tree: The program.
        kinds: Kinds of the features by name.
        text: What it was read from, for messages.

    Raises:
        ProgramError: The program fits with none.
    """
    used = sorted({name for name, _ in tree.sets})
    for node in tree.walk():
        if node.name in REGISTERS and node.name not in used:
            raise ProgramError(
                f"register {node.name} is read and never set: (do (set {node.name} ...) ...)", text, node.position
            )
    first: ProgramError | None = None
    for choice in product((_S, _V, _M), repeat=len(used)):
        found = dict(zip(used, choice, strict=True))
        try:
            for name, node in tree.sets:
                kind = kind_of(node, {**kinds, **found}, text)
                if kind is not found[name]:
                    what = f"register {name} would be a {found[name].word} and a {kind.word}"
                    raise ProgramError(what, text, node.position)
            value_kind(tree, {**kinds, **found}, text)
        except ProgramError as error:
            first = first or error
        else:
            return found
    assert first is not None
    raise first


def value_kind(tree: Tree, kinds: Mapping[str, Kind], text: str = "") -> Kind:
    """Kind of what a program says, `kinds` including its registers: a scalar or a vector.

    Raises:
        ProgramError: It is a matrix, or something inside does not fit.
    """
    kind = kind_of(tree.value, kinds, text)
    if kind is _M:
        raise ProgramError("the value is a matrix; expected one number per item: reduce it, e.g. by (sum ...)", text, 0)
    return kind


def kind_of(node: Node, kinds: Mapping[str, Kind], text: str = "") -> Kind:
    """Kind of an expression.

    Args:
        node: The expression.
        kinds: Kinds of features and registers by name.
        text: What it was read from, for messages.

    Raises:
        ProgramError: A name is unknown or kinds do not go together; the text says where.
    """
    if node.is_number or node.is_hole:
        return _S
    if not node.arguments:
        if node.name not in kinds:
            guess = nearest(node.name, kinds)
            hint = f"; did you mean {guess}?" if guess else "."
            names = ", ".join(name for name in kinds if name not in REGISTERS)
            raise ProgramError(f"unknown name '{node.name}'{hint} Features here: {names}", text, node.position)
        return kinds[node.name]
    found = [kind_of(argument, kinds, text) for argument in node.arguments]
    shape = OPERATORS[node.name].shape
    kind = _RULES[shape](found)
    if kind is None:
        given = ", ".join(k.word for k in found)
        raise ProgramError(f"({node.name} ...) got {given}; {_expected(shape, found)}", text, node.position)
    return kind


def _each(found: Sequence[Kind]) -> Kind | None:
    return None if {_V, _M} <= set(found) else max(found)


_FEW: dict[Shape, dict[tuple[Kind, ...], Kind]] = {
    Shape.REDUCE: {(_V,): _S, (_M,): _V},
    Shape.ORDER: {(_V,): _V},
    Shape.DOT: {(_V, _V): _S, (_M, _V): _V},
    Shape.TAKE: {(_V, _S): _S, (_V, _V): _V},
    Shape.SPREAD: {(_V,): _M},
    Shape.FLIP: {(_M,): _M},
}
"""Kinds of arguments to the kind of the value, for operators that take few combinations."""


def _rules() -> Iterator[tuple[Shape, Callable[[Sequence[Kind]], Kind | None]]]:
    yield Shape.EACH, _each
    for shape, few in _FEW.items():
        yield shape, lambda found, few=few: few.get(tuple(found))  # type: ignore[misc]


_RULES = dict(_rules())


def _expected(shape: Shape, found: Sequence[Kind]) -> str:
    if shape is Shape.EACH:
        return "a vector goes with a matrix only as (rows v) or (columns v)"
    what = f"expected {shape.value}"
    return f"{what}; a scalar has no items" if _S in found and shape in (Shape.REDUCE, Shape.ORDER) else what
