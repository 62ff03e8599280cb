"""A local search by plain arithmetic: for a convex model, a point that it can improve was not the optimum."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.words.freeform.evaluate import number
from optisolve.words.freeform.schema import Checked
from optisolve.words.freeform.tree import Relation

__all__ = ["MAX_VARIABLES", "searched"]

MAX_VARIABLES = 60
"""Above this the differences take too long, and there is no second search."""
_ROUNDS = 200


def searched(checked: Checked, x: FloatArray, scale: FloatArray, size: float, rows: FloatArray) -> FloatArray:
    """The point that SLSQP reaches from a point, on the tree itself.

    Args:
        checked: A model without whole numbers, of at most `MAX_VARIABLES` variables.
        x: float64 [size], the start.
        scale: float64 [size], usual size of every variable.
        size: Usual size of the objective.
        rows: float64 [rows], usual size of every row.
    """
    from scipy.optimize import minimize

    lower, upper = checked.limits
    sign = -1.0 if checked.model.objective.sense == "max" else 1.0

    def aim(z: FloatArray) -> float:
        value = sign * number(checked.objective, z * scale) / size
        return value if math.isfinite(value) else 1e12

    constraints: list[Any] = [
        {"type": "eq" if row.relation.op == "==" else "ineq", "fun": _room(row.relation, scale, float(size))}
        for row, size in zip(checked.rows, rows, strict=True)
    ]
    bounds = [
        (a if math.isfinite(a) else None, b if math.isfinite(b) else None)
        for a, b in zip(lower / scale, upper / scale, strict=True)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        options: Any = {"maxiter": _ROUNDS, "ftol": 1e-13}
        found = minimize(aim, x / scale, method="SLSQP", bounds=bounds, constraints=constraints, options=options)
    return np.clip(np.asarray(found.x, dtype=np.float64) * scale, lower, upper)


def _room(relation: Relation, scale: FloatArray, size: float) -> Callable[[FloatArray], float]:
    """Room of a constraint, in units of its usual size; negative where it is violated."""

    def room(z: FloatArray) -> float:
        gap = (number(relation.right, z * scale) - number(relation.left, z * scale)) / size
        gap = -gap if relation.op == ">=" else gap
        return gap if math.isfinite(gap) else -1e12

    return room
