"""The association instance as assignment, CP-SAT and HiGHS models."""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np

from optisolve.core.arrays import BoolArray, FloatArray, IntArray
from optisolve.modelling.assignment import AssignmentModel
from optisolve.modelling.cpsat import CpSatModel, steps
from optisolve.modelling.highs import HighsModel
from optisolve.numerics.station_flow import min_rate_bound
from optisolve.problems.user_association.model import Goal, count_costs, out_of_reach_mbps

__all__ = ["assignment_form", "cpsat_form", "highs_form"]

_LOG_STEPS = 1e7
"""Steps per nat."""
_TIME_STEPS = 1e9
"""Steps of the time per bit at the largest rate that everybody could have; fewer where 64 bits would not hold them."""
_RATE_STEPS = 1e7
"""Steps of the largest peak rate, times the number of stations; fewer where 64 bits would not hold them."""
_INTEGER_RANGE = 2.0**60


class Association(Protocol):
    """What the models are made of.

    Attributes:
        rate_mbps: float64 [I, J], peak rate of user i at station j, 0 out of reach, Mbit/s.
        goal: What is maximized.
    """

    rate_mbps: FloatArray
    goal: Goal


def assignment_form(instance: Association) -> AssignmentModel:
    """Proportional fairness: ln c_ij less the slots' increasing costs, exact."""
    n_users, n_stations = instance.rate_mbps.shape
    values, own_best = _log_rates(instance)

    def decode(groups: IntArray) -> FloatArray:
        return groups.astype(np.float64)

    return AssignmentModel(values, count_costs(n_stations, n_users), decode, lambda bound: bound + own_best)


def _log_rates(instance: Association) -> tuple[FloatArray, float]:
    """ln(c_ij / the user's best), float64 [I, J], -inf out of reach, and the sum of the bests' logarithms; free of units."""
    best = instance.rate_mbps.max(axis=1, keepdims=True)
    best = np.where(best > 0.0, best, out_of_reach_mbps(instance.rate_mbps))
    with np.errstate(divide="ignore"):
        logs: FloatArray = np.log(instance.rate_mbps / best)
    return logs, math.fsum(np.log(best[:, 0]))


def _useful(instance: Association) -> tuple[BoolArray, float]:
    """Pairs that an optimal smallest rate may use, bool [I, J], and the bound `min_rate_bound`, Mbit/s.

    Everybody at its best station has at least its peak rate over I. A pair whose peak rate is below the smallest of these
    rates gives its user less, so that no optimum needs it.
    """
    rates = instance.rate_mbps
    served = rates[(rates > 0.0).any(axis=1)]
    if not served.size:
        return rates > 0.0, 1.0
    reached = float(served.max(axis=1).min()) / rates.shape[0]
    return (rates > 0.0) & (rates >= reached * (1.0 - 1e-12)), min_rate_bound(served)


def cpsat_form(instance: Association) -> CpSatModel:
    """Binary x_ij and station loads; the goal decides the objective."""
    from ortools.sat.python import cp_model

    n_users, n_stations = instance.rate_mbps.shape
    model = cp_model.CpModel()
    reach = _useful(instance)[0] if instance.goal is Goal.MAX_MIN else instance.rate_mbps > 0.0
    x = [[model.new_bool_var(f"x{i}.{j}") for j in range(n_stations)] for i in range(n_users)]
    load = [model.new_int_var(0, n_users, f"load{j}") for j in range(n_stations)]
    for i in range(n_users):
        model.add_exactly_one(x[i])
        for out in np.flatnonzero(~reach[i]):
            model.add(x[i][int(out)] == 0)
    for j in range(n_stations):
        model.add(load[j] == sum(x[i][j] for i in range(n_users)))
    builder = {
        Goal.PROPORTIONAL_FAIR: _cpsat_log_rate,
        Goal.MAX_MIN: _cpsat_min_rate,
        Goal.SUM_RATE: _cpsat_sum_rate,
    }[instance.goal]
    value_of, error, rounding = builder(instance, model, x, load)

    def decode(values: FloatArray) -> FloatArray:
        station: FloatArray = np.argmax(values.reshape(n_users, n_stations), axis=1).astype(np.float64)
        return station

    return CpSatModel(model, [v for row in x for v in row], decode, value_of, error, rounding)


def _cpsat_log_rate(instance: Association, model: Any, x: Any, load: Any) -> tuple[Any, float, str]:
    n_users, n_stations = instance.rate_mbps.shape
    logs, own_best = _log_rates(instance)
    losses = steps(np.where(np.isfinite(logs), -logs, 0.0), _LOG_STEPS, up=False)  # [I, J]
    costs = steps(count_costs(n_stations, n_users)[0], _LOG_STEPS, up=False)  # [I], equal for all stations
    total = []
    for j in range(n_stations):
        slots = [model.new_bool_var(f"slot{j}.{n}") for n in range(n_users)]
        model.add(load[j] == sum(slots))
        total += [-int(cost) * slot for cost, slot in zip(costs, slots, strict=True)]
    total += [-int(losses[i, j]) * x[i][j] for i in range(n_users) for j in range(n_stations)]
    model.maximize(sum(total))
    error = 2.0 * n_users / _LOG_STEPS
    rounding = f"logarithms rounded to {1.0 / _LOG_STEPS:.0e} nat: the bound is at most {error:.1e} too high"
    return (lambda v: v / _LOG_STEPS + own_best), error, rounding


def _cpsat_min_rate(instance: Association, model: Any, x: Any, load: Any) -> tuple[Any, float, str]:
    """Minimize the largest time per bit, load / c; its inverse is the smallest rate. Times are relative to `top_rate`'s."""
    n_users, n_stations = instance.rate_mbps.shape
    useful, top_rate = _useful(instance)
    scale = min(_TIME_STEPS, _INTEGER_RANGE / (n_users**2 * n_stations))  # a useful pair's time is at most I J
    time = steps(np.where(useful, top_rate / np.where(useful, instance.rate_mbps, 1.0), 0.0), scale, up=False)  # [I, J]
    slowest = model.new_int_var(0, int(time.max()) * n_users, "slowest")
    for i in range(n_users):
        for j in np.flatnonzero(useful[i]):
            model.add(slowest >= int(time[i, j]) * load[int(j)]).only_enforce_if(x[i][int(j)])
    model.minimize(slowest)
    error = top_rate * n_users / (scale - n_users)  # a load of at most I steps is lost, of at least `scale`
    rounding = (
        f"times per bit rounded down to {1.0 / scale:.0e} of the shortest: the bound is at most {error:.1e} Mbit/s too high"
    )
    return (lambda v: top_rate * scale / max(v, scale)), error, rounding  # nobody can have more than `top_rate`


def _cpsat_sum_rate(instance: Association, model: Any, x: Any, load: Any) -> tuple[Any, float, str]:
    """Maximize the stations' mean rates q_j, q_j * max(load_j, 1) <= sum of the peak rates there."""
    n_users, n_stations = instance.rate_mbps.shape
    largest = float(instance.rate_mbps.max()) or 1.0
    scale = min(_RATE_STEPS * n_stations, _INTEGER_RANGE / n_users)
    rates = steps(instance.rate_mbps / largest, scale, up=True)
    means = []
    for j in range(n_stations):
        top = int(rates[:, j].max())
        mean, count = model.new_int_var(0, top, f"mean{j}"), model.new_int_var(1, n_users, f"count{j}")
        product = model.new_int_var(0, top * n_users, f"product{j}")
        model.add(count >= load[j])
        model.add_multiplication_equality(product, [mean, count])
        model.add(product <= sum(int(rates[i, j]) * x[i][j] for i in range(n_users)))
        means.append(mean)
    model.maximize(sum(means))
    error = 2.0 * n_stations * largest / scale
    rounding = f"rates rounded to {1.0 / scale:.0e} of the largest: the bound is at most {error:.1e} Mbit/s too high"
    return (lambda v: (v + n_stations) * largest / scale), error, rounding  # each mean was rounded down by less than a step


def highs_form(instance: Association) -> HighsModel:
    """The same as linear models: an LP for proportional fairness, MILPs for the other goals."""
    builder = {
        Goal.PROPORTIONAL_FAIR: _highs_log_rate,
        Goal.MAX_MIN: _highs_min_rate,
        Goal.SUM_RATE: _highs_sum_rate,
    }
    return builder[instance.goal](instance)


class _Columns:
    """Columns of a linear model: x_ij first, row after row, then what a goal adds."""

    def __init__(self, instance: Association) -> None:
        self.n_users, self.n_stations = (int(size) for size in instance.rate_mbps.shape)
        self.n_x = self.n_users * self.n_stations
        self.reach = instance.rate_mbps.ravel() > 0.0  # [I * J]

    def x(self, i: int, j: int) -> int:
        return i * self.n_stations + j

    def decode(self, z: FloatArray) -> FloatArray:
        station: FloatArray = np.argmax(z[: self.n_x].reshape(self.n_users, self.n_stations), axis=1).astype(np.float64)
        return station

    def one_station_each(self) -> list[tuple[dict[int, float], float, float]]:
        return [({self.x(i, j): 1.0 for j in range(self.n_stations)}, 1.0, 1.0) for i in range(self.n_users)]

    def form(
        self, rows: Any, cost: FloatArray, upper: FloatArray, *, integer_x: bool, maximize: bool, value_of: Any
    ) -> HighsModel:
        """Collect sparse rows (coefficients, lower, upper) into a model; all columns start at 0."""
        import scipy.sparse as sp

        entries = [(r, column, value) for r, (terms, _, _) in enumerate(rows) for column, value in terms.items()]
        index, columns, values = zip(*entries, strict=True)
        matrix = sp.csr_matrix((values, (index, columns)), shape=(len(rows), cost.size))
        upper = upper.copy()
        upper[: self.n_x] = np.where(self.reach, 1.0, 0.0)
        integer = np.zeros(cost.size, dtype=bool)
        integer[: self.n_x] = integer_x
        lower_row, upper_row = (np.array([row[k] for row in rows]) for k in (1, 2))
        return HighsModel(
            cost, matrix, lower_row, upper_row, np.zeros(cost.size), upper, integer, maximize, self.decode, value_of
        )


def _highs_log_rate(instance: Association) -> HighsModel:
    """A transportation polytope: its vertices are whole, so the linear program is exact."""
    c = _Columns(instance)
    rows = c.one_station_each()
    for j in range(c.n_stations):
        terms = {c.x(i, j): 1.0 for i in range(c.n_users)} | {c.n_x + j * c.n_users + n: -1.0 for n in range(c.n_users)}
        rows.append((terms, 0.0, 0.0))
    logs, own_best = _log_rates(instance)
    values = np.where(c.reach, logs.ravel(), 0.0)
    cost = np.concatenate([values, -count_costs(c.n_stations, c.n_users).ravel()])
    return c.form(rows, cost, np.ones(cost.size), integer_x=False, maximize=True, value_of=lambda v: v + own_best)


def _highs_min_rate(instance: Association) -> HighsModel:
    """Minimize T >= load_j / c_ij wherever x_ij = 1 (big M = I / c_ij); times are relative to that at `top_rate`."""
    c = _Columns(instance)
    useful, top_rate = _useful(instance)
    c.reach = useful.ravel()
    rows = c.one_station_each()
    for i in range(c.n_users):
        for j in range(c.n_stations):
            if not c.reach[c.x(i, j)]:
                continue
            time = top_rate / instance.rate_mbps[i, j]
            terms = {c.x(k, j): time for k in range(c.n_users)}
            terms[c.x(i, j)] += c.n_users * time
            terms[c.n_x] = -1.0
            rows.append((terms, -np.inf, c.n_users * time))
    cost = np.zeros(c.n_x + 1)
    cost[-1] = 1.0
    upper = np.full(cost.size, np.inf)
    return c.form(rows, cost, upper, integer_x=True, maximize=False, value_of=lambda v: top_rate / max(v, 1.0))


def _highs_sum_rate(instance: Association) -> HighsModel:
    """z_ij = x_ij / load_j after Charnes and Cooper: u_j = 1 / load_j, sum_i z_ij = 1 for stations in use (a_j = 1)."""
    c = _Columns(instance)
    rows = c.one_station_each()
    z0, u0, a0 = c.n_x, 2 * c.n_x, 2 * c.n_x + c.n_stations
    for j in range(c.n_stations):
        rows.append(({z0 + c.x(i, j): 1.0 for i in range(c.n_users)} | {a0 + j: -1.0}, 0.0, 0.0))
        for i in range(c.n_users):
            x, z = c.x(i, j), z0 + c.x(i, j)
            rows.append(({z: 1.0, x: -1.0}, -np.inf, 0.0))
            rows.append(({z: 1.0, u0 + j: -1.0}, -np.inf, 0.0))
            rows.append(({u0 + j: 1.0, x: 1.0, z: -1.0}, -np.inf, 1.0))
            rows.append(({x: 1.0, a0 + j: -1.0}, -np.inf, 0.0))
    cost = np.zeros(2 * c.n_x + 2 * c.n_stations)
    largest = float(instance.rate_mbps.max()) or 1.0
    cost[z0:u0] = instance.rate_mbps.ravel() / largest
    return c.form(rows, cost, np.ones(cost.size), integer_x=True, maximize=True, value_of=lambda v: v * largest)
