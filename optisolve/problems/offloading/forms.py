"""The offloading instance as an integer model for CP-SAT."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from optisolve.core.arrays import FloatArray
from optisolve.core.problem import FEASIBILITY_TOLERANCE
from optisolve.modelling.cpsat import CpSatModel, steps
from optisolve.problems.offloading.model import Costs

__all__ = ["VERIFIED", "cpsat_form"]

VERIFIED = FEASIBILITY_TOLERANCE + 1e-12
"""Violation that verification may accept, with the rounding of its sums."""

_ROOT_STEPS = 2.0**31
"""Integer range of sum b: its square must stay well inside 64 bits."""
_LINEAR_STEPS = 2.0**61
"""Integer range of the sum of all other costs."""
_COST_STEPS = 4e14
"""Steps of a cost that no point can be below, as long as the ranges allow."""
_MOST_STEPS = 0.99 * 2.0**63
"""What CP-SAT allows the ranges of all variables to add up to."""
_FLOOR_SCALE = 10**6


def cpsat_form(c: Costs, known: float, complete: Callable[[npt.ArrayLike], FloatArray], *, hard_deadlines: bool) -> CpSatModel:
    """min sum of whole costs + sum_s q_s^2, q_s the rounded sum of b on server s.

    Every number is rounded down and every constraint relaxed by what verification allows, so the integer optimum is never
    above the cost of a verified point. The floors that deadlines put under the shares enter as a knapsack; their effect on
    the cost is left out, which only lowers it. A choice that costs one user alone more than a trivial policy costs all is no
    choice: it would use up the digits of the others.

    Args:
        c: Costs with every constraint relaxed by `VERIFIED`.
        known: Cost of the best trivial policy that is feasible, inf when none is.
        complete: The point of servers [N], with the best shares for them.
        hard_deadlines: Deadlines are constraints.
    """
    from ortools.sat.python import cp_model

    n, n_servers = c.transmit.shape
    alone = np.column_stack([c.local, c.transmit + c.root**2])
    possible = np.column_stack([c.local_allowed, c.share_floor <= 1.0]) & (alone <= known * (1.0 + 1e-9))  # [N, S + 1]
    reach = float(np.where(possible[:, 1:], c.root, 0.0).max(axis=1).sum())
    linear_reach = float(np.where(possible, np.column_stack([c.local, c.transmit]), 0.0).max(axis=1).sum())
    least = float(alone.min(axis=1).sum())
    scale = min(
        (_COST_STEPS / least) ** 0.5 if least > 0.0 else np.inf,
        _ROOT_STEPS / reach if reach > 0.0 else np.inf,
        (_LINEAR_STEPS / linear_reach) ** 0.5 if linear_reach > 0.0 else np.inf,
    )
    scale = scale if np.isfinite(scale) else 1.0
    domains = scale**2 * (float((np.where(possible[:, 1:], c.root, 0.0).sum(axis=0) ** 2).sum()) + linear_reach)
    if domains > _MOST_STEPS:  # many servers: each square has a range of its own
        scale *= (0.5 * _MOST_STEPS / domains) ** 0.5
    model = cp_model.CpModel()
    x = [[model.new_bool_var(f"user{i}.{s}") for s in range(n_servers + 1)] for i in range(n)]
    linear = steps(np.where(possible, np.column_stack([c.local, c.transmit]), 0.0), scale**2, up=False)  # [N, S + 1]
    root = steps(np.where(possible[:, 1:], c.root, 0.0), scale, up=False)  # [N, S]
    for i in range(n):
        model.add_exactly_one(x[i])
        for k in np.flatnonzero(~possible[i]):
            model.add(x[i][int(k)] == 0)
    squares = []
    for s in range(n_servers):
        top = int(root[:, s].sum())
        load, square = model.new_int_var(0, top, f"load{s}"), model.new_int_var(0, top * top, f"square{s}")
        model.add(load == sum(int(root[i, s]) * x[i][s + 1] for i in range(n)))
        model.add_multiplication_equality(square, [load, load])
        squares.append(square)
        if hard_deadlines:
            floors = steps(np.minimum(c.share_floor[:, s], 1.0), _FLOOR_SCALE, up=False)
            model.add(sum(int(floors[i]) * x[i][s + 1] for i in range(n)) <= _FLOOR_SCALE)
    model.minimize(sum(int(linear[i, k]) * x[i][k] for i in range(n) for k in range(n_servers + 1)) + sum(squares))

    def decode(values: FloatArray) -> FloatArray:
        return complete(np.argmax(values.reshape(n, n_servers + 1), axis=1))

    error = n / scale**2 + 2.0 * reach * n / scale
    return CpSatModel(
        model,
        [v for row in x for v in row],
        decode,
        lambda value: value / scale**2,
        error,
        f"costs rounded down to 1/{scale**2:.3g}, roots to 1/{scale:.3g}: the bound is at most {error:.1e} too low",
        feasible_set_is_exact=not hard_deadlines,
    )
