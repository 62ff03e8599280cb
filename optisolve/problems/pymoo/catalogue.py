"""The catalogue of functions by name."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt

from optisolve.problems.pymoo.designs import DESIGNS
from optisolve.problems.pymoo.functions import Function

__all__ = ["FUNCTIONS"]


def _zdt() -> list[Function]:
    plain = [Function(f"zdt{i}", "zdt", fold=True) for i in (1, 2, 3)]
    return [*plain, Function("zdt4", "zdt", lower=-5.0, upper=5.0), *(Function(f"zdt{i}", "zdt", fold=True) for i in (5, 6))]


def _dtlz() -> list[Function]:
    return [Function(f"dtlz{i}", "dtlz", many=True, fold=i in (6, 7)) for i in range(1, 8)]


def _mw() -> list[Function]:
    n_constraints = (1, 1, 2, 1, 3, 1, 2, 1, 1, 3, 4, 2, 2, 1)
    upper = {6: 1.1, 11: sqrt(2.0), 13: 1.5, 14: 1.5}
    return [
        Function(f"mw{i}", "mw", n, many=i in (4, 8, 14), upper=upper.get(i, 1.0), position_upper=upper.get(i, 1.0))
        for i, n in enumerate(n_constraints, start=1)
    ]


FUNCTIONS: Mapping[str, Function] = {function.name: function for function in (*_zdt(), *_dtlz(), *_mw(), *DESIGNS)}
"""All functions by name."""
