"""The language as a grammar in GBNF, made from its operators and a skeleton's features."""

from __future__ import annotations

import json
from collections.abc import Sequence

from optisolve.programs.language import OPERATORS, Feature, Kind, Shape

__all__ = ["program_rules"]

_NUMBER = '"-"? [0-9]{1,3} ( "." [0-9]{1,2} )?'


def program_rules(features: Sequence[Feature], depth: int) -> dict[str, str]:
    """GBNF rules by name; the rule ``program`` is one expression.

    Names, arity, brackets and depth are right by construction, and matrices stand only where one is asked for. Scalars and
    vectors are one: told apart, a decoder would have to follow every reading of an unfinished expression at once, which takes
    minutes. So a sum over a scalar can be written, and the check of kinds refuses it. Operators of any number of arguments are
    written with two.

    Args:
        features: What a program may read.
        depth: Deepest nesting.
    """
    named = {kind: [json.dumps(feature.name) for feature in features if feature.kind is kind] for kind in Kind}
    rules = {
        "program": f"x{depth}",
        "number": _NUMBER,
        "x1": " | ".join([*named[Kind.VECTOR], *named[Kind.SCALAR], "number", '"?"']),
        "matrix": " | ".join([*named[Kind.MATRIX], '"(" spread " " x1 ")"']),
        **{name: " | ".join(map(json.dumps, _names(shape, arity))) for name, shape, arity in _GROUPS},
    }
    for level in range(2, depth + 1):
        x = f"x{level - 1}"
        wide = f"( {x} | m{level - 1} )"
        forms = [
            f'one " " {x}',
            f'two " " {x} " " {x}',
            f'three " " {x} " " {x} " " {x}',
            f'reduce " " {wide}',
            f'"dot " {wide} " " {x}',
            f'"take " {x} " " {x}',
        ]
        rules[f"x{level}"] = f'x1 | "(" ( {" | ".join(forms)} ) ")"'
        if level > 2:  # matrices that are written inside a sum or a product
            below = f"x{level - 2}"
            rules[f"m{level - 1}"] = (
                f'matrix | "(" ( spread " " {below} | two " " matrix " " matrix | "transpose " matrix ) ")"'
            )
    rules["m1"] = " | ".join(named[Kind.MATRIX] or ["matrix"])
    return rules


_GROUPS = (
    ("one", (Shape.EACH, Shape.ORDER), 1),
    ("two", (Shape.EACH,), 2),
    ("three", (Shape.EACH,), 3),
    ("reduce", (Shape.REDUCE,), 1),
    ("spread", (Shape.SPREAD,), 1),
)
"""Operators that are written alike: rule, shapes, number of arguments."""


def _names(shapes: Sequence[Shape], arity: int) -> list[str]:
    """As they are written; the negative is a minus with one argument."""
    found = [operator.name for operator in OPERATORS.values() if operator.shape in shapes and operator.arity == arity]
    return ["-" if name == "negative" else name for name in found]
