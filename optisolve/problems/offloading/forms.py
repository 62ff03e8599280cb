"""The offloading instance as an integer model for CP-SAT."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.modelling.cpsat import CpSatModel

if TYPE_CHECKING:
    from optisolve.problems.offloading.instance import OffloadingInstance

__all__ = ["cpsat_form"]

_ROOT_STEPS = 2.0**31
"""Integer range of sum b: its square must stay well inside 64 bits."""
_LINEAR_STEPS = 2.0**61
"""Integer range of the sum of all other costs."""
_MAX_ROOT_SCALE = 1e7
_FLOOR_SCALE = 10**6


def cpsat_form(instance: OffloadingInstance) -> CpSatModel:
    """min sum of whole costs + sum_s q_s^2, q_s the rounded sum of b on server s.

    Every number is rounded down, so the integer optimum is never above the real one. The floors that deadlines put
    under the shares enter as a knapsack; their effect on the cost is left out, which only lowers it.
    """
    from ortools.sat.python import cp_model

    c = instance.costs
    n, n_servers = c.transmit.shape
    reach = float(c.root.max(axis=1).sum())
    linear_reach = float(np.column_stack([c.local, c.transmit]).max(axis=1).sum())
    scale = min(_MAX_ROOT_SCALE, _ROOT_STEPS / max(reach, 1e-12), (_LINEAR_STEPS / max(linear_reach, 1e-12)) ** 0.5)
    model = cp_model.CpModel()
    x = [[model.new_bool_var(f"user{i}.{s}") for s in range(n_servers + 1)] for i in range(n)]
    linear = np.floor(np.column_stack([c.local, c.transmit]) * scale**2)  # [N, S + 1]
    root = np.floor(c.root * scale)  # [N, S]
    for i in range(n):
        model.add_exactly_one(x[i])
        if not c.local_allowed[i]:
            model.add(x[i][0] == 0)
        for k in np.flatnonzero(c.share_floor[i] > 1.0):
            model.add(x[i][int(k) + 1] == 0)
    squares = []
    for s in range(n_servers):
        top = int(root[:, s].sum())
        load, square = model.new_int_var(0, top, f"load{s}"), model.new_int_var(0, top * top, f"square{s}")
        model.add(load == sum(int(root[i, s]) * x[i][s + 1] for i in range(n)))
        model.add_multiplication_equality(square, [load, load])
        squares.append(square)
        if instance.hard_deadlines:
            floors = np.floor(np.minimum(c.share_floor[:, s], 1.0) * _FLOOR_SCALE)
            model.add(sum(int(floors[i]) * x[i][s + 1] for i in range(n)) <= _FLOOR_SCALE)
    model.minimize(sum(int(linear[i, k]) * x[i][k] for i in range(n) for k in range(n_servers + 1)) + sum(squares))

    def decode(values: FloatArray) -> FloatArray:
        return instance.complete(np.argmax(values.reshape(n, n_servers + 1), axis=1))

    error = n / scale**2 + 2.0 * reach * n / scale
    return CpSatModel(
        model,
        [v for row in x for v in row],
        decode,
        lambda value: value / scale**2,
        error,
        f"costs rounded down to 1/{scale**2:.3g}, roots to 1/{scale:.3g}: the bound is at most {error:.1e} too low",
        feasible_set_is_exact=not instance.hard_deadlines,
    )
