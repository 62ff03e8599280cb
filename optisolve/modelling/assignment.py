"""Assignment with a convex cost per group size: the model behind proportional fairness and subcarrier quotas.

Every row goes to one group; a group that holds n rows pays the first n of its nondecreasing slot costs. Slots make it
a linear assignment problem (Hungarian method), and group prices make a certificate that does not rely on that method.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from optisolve.core.arrays import FloatArray, IntArray
from optisolve.core.errors import SolverError
from optisolve.core.status import Termination
from optisolve.modelling.answer import ModelAnswer

__all__ = ["AssignmentModel", "group_prices", "price_bound", "solve_assignment"]


@dataclass(frozen=True, eq=False, slots=True)
class AssignmentModel:
    """max sum_i values[i, g(i)] - sum_g sum_{n <= K_g} slot_costs[g, n-1], K_g = rows in group g.

    Args:
        values: float64 [rows, groups]; -inf forbids a pair.
        slot_costs: float64 [groups, slots], nondecreasing along each row; inf ends a group's capacity.
        decode: int64 [rows] (the group of every row) to a point float64 [d] of the instance.
        value_of: Maps a bound on the sum above to a bound on the instance's objective, own sense and unit.
    """

    values: FloatArray
    slot_costs: FloatArray
    decode: Callable[[IntArray], FloatArray]
    value_of: Callable[[float], float]


def solve_assignment(form: AssignmentModel) -> ModelAnswer:
    """Solve by the Hungarian method and certify by prices.

    Returns:
        The answer; OPTIMAL with a bound recomputed from the prices, or INFEASIBLE when the rows do not fit the slots.
    """
    import scipy
    from scipy.optimize import linear_sum_assignment

    n_rows, n_groups = form.values.shape
    slots = form.slot_costs[:, : min(form.slot_costs.shape[1], n_rows)]  # no group can hold more than all rows
    if np.isnan(form.values).any() or (form.values == np.inf).any():
        raise SolverError("an assignment model has values that are not numbers below infinity; this is an error of its family.")
    profit = (form.values[:, :, None] - slots[None, :, :]).reshape(n_rows, -1)  # [rows, groups * slots]
    version = scipy.__version__
    if profit.shape[1] < n_rows:
        detail = f"{n_rows} rows, only {profit.shape[1]} slots"
        return ModelAnswer(Termination.INFEASIBLE, None, None, backend="hungarian", version=version, detail=detail)
    try:
        _, columns = linear_sum_assignment(profit, maximize=True)
    except ValueError:  # scipy's word for: every complete assignment uses a forbidden pair
        detail = "every complete assignment uses a forbidden pair"
        return ModelAnswer(Termination.INFEASIBLE, None, None, backend="hungarian", version=version, detail=detail)
    groups = (columns // slots.shape[1]).astype(np.int64)
    bound = price_bound(form.values, slots, group_prices(form.values, slots, groups))
    return ModelAnswer(
        Termination.OPTIMAL,
        form.decode(groups),
        form.value_of(bound),
        backend="hungarian",
        version=version,
        detail=f"linear assignment of {n_rows} rows to {n_groups} groups, certified by group prices",
        report={"rows": n_rows, "slots": int(profit.shape[1])},
    )


def group_prices(values: FloatArray, slot_costs: FloatArray, groups: IntArray) -> FloatArray:
    """Prices under which a given assignment is every row's and every group's own best choice, if it is optimal.

    The conditions are differences of prices, so the shortest path from a reference node solves them (Bellman-Ford).

    Args:
        values: float64 [rows, groups].
        slot_costs: float64 [groups, slots].
        groups: int64 [rows], the assignment.

    Returns:
        float64 [groups]; some prices in any case, tight ones for an optimal assignment.
    """
    n_groups, n_slots = slot_costs.shape
    count = np.bincount(groups, minlength=n_groups)
    weight = np.full((n_groups + 1, n_groups + 1), np.inf)  # price[g] <= price[h] + weight[h, g]; the last node has price 0
    own = values[np.arange(groups.size), groups]  # [rows]
    for g in map(int, np.flatnonzero(count)):
        mine = groups == g
        with np.errstate(invalid="ignore"):
            weight[:n_groups, g] = np.min(own[mine, None] - values[mine], axis=0)
        weight[g, n_groups] = -slot_costs[g, count[g] - 1]
    for g in range(n_groups):
        weight[g, g] = 0.0
        if count[g] < n_slots:
            weight[n_groups, g] = slot_costs[g, count[g]]
    distance = np.zeros(n_groups + 1)
    for _ in range(n_groups + 1):
        distance = np.minimum(distance, (distance[:, None] + weight).min(axis=0))
    prices: FloatArray = distance[:n_groups] - distance[n_groups]
    return prices


def price_bound(values: FloatArray, slot_costs: FloatArray, prices: FloatArray) -> float:
    """Upper bound on the assignment objective for any finite prices: rows and groups choose independently.

    The rounding of its own sums is part of it.

    Args:
        values: float64 [rows, groups].
        slot_costs: float64 [groups, slots].
        prices: float64 [groups].
    """
    n_slots = slot_costs.shape[1]
    rows = (values - prices).max(axis=1)
    totals = np.concatenate([np.zeros((prices.size, 1)), np.cumsum(slot_costs, axis=1)], axis=1)  # [groups, slots + 1]
    groups = (prices[:, None] * np.arange(n_slots + 1) - totals).max(axis=1)
    terms = rows.size + groups.size
    size = np.abs(rows).sum() + np.abs(groups).sum() + 2.0 * np.abs(prices).max() * (rows.size + groups.size * n_slots)
    return float(rows.sum() + groups.sum() + (terms + n_slots + 4) * np.finfo(np.float64).eps * size)
