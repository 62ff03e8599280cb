"""ZDT, DTLZ and MW as pymoo has them, and what the fronts of MW need besides: the same functions at a given distance.

The first m - 1 variables are the position on the front (in ZDT the first variable alone, in ZDT5 the first 30 bits); all
others enter a distance g, whose smallest value is that of the front. An MW function is a shape in objective space over
position and distance, and limits on the objectives.

Sources: Zitzler, Deb and Thiele 2000, doi 10.1162/106365600568202 (ZDT); Deb, Thiele, Laumanns and Zitzler 2005,
doi 10.1007/1-84628-137-7_6 (DTLZ); Ma and Wang 2019, doi 10.1109/TEVC.2019.2896967 (MW).
"""

from __future__ import annotations

from copy import copy
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from optisolve.core.arrays import FloatArray

if TYPE_CHECKING:
    from pymoo.core.problem import Problem

__all__ = ["ZDT5_BITS", "ZDT5_GROUP", "mw_at_distance", "mw_best_distances", "mw_distance", "pymoo_problem", "values"]

ZDT5_BITS = 30
"""Bits of the position of ZDT5."""
ZDT5_GROUP = 5
"""Bits of each further group of ZDT5."""

_DISTANCE = {1: (1, 4, 5, 9, 12), 2: (2, 6, 8, 10, 13), 3: (3, 7, 11, 14)}
_DISTANCE_OF = {f"mw{number}": kind for kind, numbers in _DISTANCE.items() for number in numbers}

# There pymoo takes the root of 1.1^2 - (g x / g)^2 and of 2 - (g x / g)^2: at the bound of x rounding makes that negative.
_LAST_POSITION = {"mw6": 1.1 * (1.0 - 4.0 * np.finfo(float).eps), "mw11": np.sqrt(2.0) * (1.0 - 4.0 * np.finfo(float).eps)}


@lru_cache(maxsize=64)
def pymoo_problem(name: str, n_variables: int, n_objectives: int) -> Problem:
    """pymoo's own problem, not to be changed; importing it takes a second, so it is done on the first evaluation.

    Args:
        name: ``"zdt1"`` to ``"zdt6"``, ``"dtlz1"`` to ``"dtlz7"`` or ``"mw1"`` to ``"mw14"``.
        n_variables: d.
        n_objectives: m.
    """
    from pymoo.problems import get_problem

    if name == "zdt5":
        return get_problem(name, m=1 + (n_variables - ZDT5_BITS) // ZDT5_GROUP, n=ZDT5_GROUP)
    if name.startswith("zdt"):
        return get_problem(name, n_var=n_variables)
    return get_problem(name, n_var=n_variables, n_obj=n_objectives)


def values(name: str, X: FloatArray, n_objectives: int) -> tuple[FloatArray, FloatArray]:
    """Objectives float64 [n, m] and constraints float64 [n, k], satisfied when <= 0.

    Args:
        name: Name of the function.
        X: float64 [n, d].
        n_objectives: m.
    """
    return _values(pymoo_problem(name, X.shape[1], n_objectives), name, X)


def _values(problem: Problem, name: str, X: FloatArray) -> tuple[FloatArray, FloatArray]:
    if name in _LAST_POSITION:
        X = np.hstack([np.minimum(X[:, :1], _LAST_POSITION[name]), X[:, 1:]])
    evaluation: dict[str, FloatArray] = {}
    with np.errstate(divide="ignore"):  # angles are taken as atan(f2 / f1)
        problem._evaluate(X, evaluation)  # what a problem implements; `evaluate` around it copies and checks once more
    return evaluation["F"], evaluation.get("G", np.empty((X.shape[0], 0)))


def mw_distance(name: str, X: FloatArray, n_objectives: int) -> FloatArray:
    """Distance g >= 1 of an MW function, float64 [n]; 1 on the front that it would have without constraints."""
    distance: FloatArray = getattr(pymoo_problem(name, X.shape[1], n_objectives), f"g{_DISTANCE_OF[name]}")(X)
    return distance


def mw_at_distance(name: str, position: FloatArray, g: FloatArray, d: int) -> tuple[FloatArray, FloatArray]:
    """As `values` for an MW function, at positions float64 [n, m - 1] and distances g float64 [n]."""
    problem = copy(pymoo_problem(name, d, position.shape[1] + 1))
    setattr(problem, f"g{_DISTANCE_OF[name]}", lambda _: g)  # pymoo reads the other variables for nothing else
    return _values(problem, name, position)


def mw_best_distances(name: str, position: FloatArray, d: int) -> FloatArray:
    """Distance variables with g = 1 for given positions, float64 [n, d - m + 1].

    Args:
        name: Name of the function.
        position: float64 [n, m - 1].
        d: Number of variables.
    """
    n, first = position.shape
    i = np.arange(first, d)
    kind = _DISTANCE_OF[name]
    if kind == 1:
        return np.tile((0.5 + i / (2.0 * d)) ** (1.0 / (d - first - 1)), (n, 1))
    if kind == 2:
        return np.tile(i / d, (n, 1))
    chain = [position[:, -1]]
    for _ in i:  # each variable's best value depends on the one before it
        chain.append(1.0 - (chain[-1] - 0.5) ** 2)
    return np.column_stack(chain[1:])
