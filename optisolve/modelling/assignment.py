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
from optisolve.core.memory import require_room
from optisolve.core.status import Termination
from optisolve.modelling.answer import ModelAnswer

__all__ = ["AssignmentModel", "group_prices", "price_bound", "solve_assignment"]


_DENSE_BYTES = 2.0**28
"""Size of a matrix of all rows and slots up to which it is made whole."""


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

    n_rows, n_groups = form.values.shape
    slots = form.slot_costs[:, : min(form.slot_costs.shape[1], n_rows)]  # no group can hold more than all rows
    if np.isnan(form.values).any() or (form.values == np.inf).any():
        raise SolverError("an assignment model has values that are not numbers below infinity; this is an error of its family.")
    version = scipy.__version__
    if slots.size < n_rows:
        detail = f"{n_rows} rows, only {slots.size} slots"
        return ModelAnswer(Termination.INFEASIBLE, None, None, backend="hungarian", version=version, detail=detail)
    try:
        groups = _assigned(form.values, slots)
    except ValueError:  # scipy's word for: every complete assignment uses a forbidden pair
        detail = "every complete assignment uses a forbidden pair"
        return ModelAnswer(Termination.INFEASIBLE, None, None, backend="hungarian", version=version, detail=detail)
    bound = price_bound(form.values, slots, group_prices(form.values, slots, groups))
    return ModelAnswer(
        Termination.OPTIMAL,
        form.decode(groups),
        form.value_of(bound),
        backend="hungarian",
        version=version,
        detail=f"linear assignment of {n_rows} rows to {n_groups} groups, certified by group prices",
        report={"rows": n_rows, "slots": int(slots.size)},
    )


def _assigned(values: FloatArray, slot_costs: FloatArray) -> IntArray:
    """The group of every row in an optimal assignment, int64 [rows].

    A group needs only as many slots as rows go to it: where all slots of all groups would fill much memory, each begins with
    some, and gets more while it is full. Costs do not decrease along the slots, so a group that is not full needs no more.

    Raises:
        ValueError: Every complete assignment uses a forbidden pair.
        NoRoom: Not even that fits.
    """
    n_rows, n_slots = values.shape[0], slot_costs.shape[1]
    if 8 * n_rows * slot_costs.size <= _DENSE_BYTES:
        opened = np.full(slot_costs.shape[0], n_slots)
    else:
        opened = np.minimum(2 * _one_by_one(values, slot_costs) + 2, n_slots)
    while True:
        group = np.repeat(np.arange(opened.size), opened)  # [columns]
        slot = np.arange(group.size) - np.repeat(np.cumsum(opened) - opened, opened)
        columns = _columns(values, slot_costs, group, slot)
        if columns is not None:
            groups = group[columns].astype(np.int64)
            full = (np.bincount(groups, minlength=opened.size) == opened) & (opened < n_slots)
            if not full.any():
                return groups
        else:  # too few slots at the only groups that some rows may go to
            full = opened < n_slots
            if not full.any():
                raise ValueError("no complete assignment")
        opened = np.where(full, np.minimum(2 * opened, n_slots), opened)


def _columns(values: FloatArray, slot_costs: FloatArray, group: IntArray, slot: IntArray) -> IntArray | None:
    """The column of every row, int64 [rows], among slots of groups, int64 [columns]; None when they cannot all have one."""
    from scipy.optimize import linear_sum_assignment

    what = f"The assignment of {values.shape[0]:,} rows (users) to {values.shape[1]:,} groups (stations)"
    require_room(24.0 * values.shape[0] * group.size, what, "Half as many rows need a quarter of it; so take fewer users.")
    try:
        found: IntArray = linear_sum_assignment(values[:, group] - slot_costs[group, slot], maximize=True)[1]
    except ValueError:
        return None
    return found if found.size == values.shape[0] else None


def _one_by_one(values: FloatArray, slot_costs: FloatArray) -> IntArray:
    """How many rows each group gets when every row in turn goes where that is best, int64 [groups]."""
    count = np.zeros(slot_costs.shape[0], dtype=np.int64)
    next_cost = slot_costs[:, 0].copy()
    for row in values:
        g = int(np.argmax(row - next_cost))
        count[g] += 1
        next_cost[g] = slot_costs[g, count[g]] if count[g] < slot_costs.shape[1] else np.inf
    return count


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
