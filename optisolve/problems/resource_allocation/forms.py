"""OFDMA with power levels or quotas as CP-SAT, HiGHS and assignment models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import numpy.typing as npt

from optisolve.core.arrays import FloatArray, IntArray
from optisolve.core.problem import FEASIBILITY_TOLERANCE
from optisolve.modelling.assignment import AssignmentModel
from optisolve.modelling.cpsat import CpSatModel, steps
from optisolve.modelling.highs import HighsModel
from optisolve.problems.resource_allocation.model import Cell

__all__ = ["assignment_form", "cpsat_level_form", "cpsat_quota_form", "highs_level_form", "highs_quota_form"]

_STEPS = 1e7
"""Steps of the largest rate of a pair; fewer where 64 bits would not hold the sum."""
_INTEGER_RANGE = 2.0**60


class Tones(Protocol):
    """What the models are made of.

    Attributes:
        cell: Data of the equations.
        n_tones: M.
        power_levels: Levels of a tone's power, 0 for continuous powers.
    """

    cell: Cell
    n_tones: int
    power_levels: int

    def point(self, owner: npt.ArrayLike, power: npt.ArrayLike | None = ...) -> FloatArray:
        """The point of owners [M] and powers or levels [M]."""
        ...


def _quota_rates(instance: Tones) -> tuple[FloatArray, float]:
    """Weighted rate of every pair at equal power, float64 [M, K], relative to the largest; and the largest, Mbit/s."""
    c = instance.cell
    nats: FloatArray = c.weight * np.log1p(c.snr_per_w.T * (c.power_total_w / instance.n_tones))
    largest = float(nats.max())
    return nats / largest, largest * c.tone_mbps / np.log(2.0)


def _level_rates(instance: Tones) -> tuple[FloatArray, float]:
    """Rate of every option, float64 [K, M, L], option l has l + 1 levels, relative to the largest; and that, Mbit/s."""
    c = instance.cell
    power = c.level_w * np.arange(1, instance.power_levels + 1)  # [L], W
    nats: FloatArray = np.log1p(c.snr_per_w[:, :, None] * power)
    largest = float(nats.max())
    return nats / largest, largest * c.tone_mbps / np.log(2.0)


def _own_rates(instance: Tones, rates: FloatArray, largest: float, slack: float) -> tuple[FloatArray, FloatArray]:
    """Rates and minimum rates in units of each user's own best option: a weak user's have as many digits as a strong one's.

    Args:
        instance: An instance with power levels.
        rates: `_level_rates`, float64 [K, M, L].
        largest: What they are relative to, Mbit/s.
        slack: Share of a minimum rate that may be missing.

    Returns:
        float64 [K, M, L] and float64 [K]; twice of all that there is stands for any minimum above it.
    """
    own = rates.max(axis=(1, 2))  # [K]
    asked = instance.cell.rate_min_mbps / largest / own * (1.0 - slack)
    return rates / own[:, None, None], np.minimum(asked, 2.0 * rates.shape[1])


def _decode_levels(instance: Tones) -> Callable[[FloatArray], FloatArray]:
    k, m, n_levels = instance.cell.weight.size, instance.n_tones, instance.power_levels

    def decode(values: FloatArray) -> FloatArray:
        chosen = np.rint(values[: k * m * n_levels]).reshape(k, m, n_levels).transpose(1, 0, 2).reshape(m, -1)  # [M, K * L]
        on = chosen.any(axis=1)
        option = np.argmax(chosen, axis=1)
        owner = np.where(on, option // n_levels, np.argmax(instance.cell.snr_per_w, axis=0))
        return instance.point(owner, np.where(on, option % n_levels + 1, 0))

    return decode


def assignment_form(instance: Tones) -> AssignmentModel:
    """Tones to users; a user's slots are free up to the quota."""
    n_users = instance.cell.weight.size
    slots = np.where(np.arange(instance.n_tones) < instance.cell.quota[:, None], 0.0, np.inf)  # [K, M]
    assert slots.shape == (n_users, instance.n_tones)

    def decode(groups: IntArray) -> FloatArray:
        return instance.point(groups)

    rates, largest = _quota_rates(instance)
    return AssignmentModel(rates, slots, decode, lambda bound: bound * largest)


def cpsat_quota_form(instance: Tones) -> CpSatModel:
    """Binary x_mk, one owner per tone, at most the quota per user; rates rounded up."""
    from ortools.sat.python import cp_model

    relative, largest = _quota_rates(instance)
    n_tones, n_users = relative.shape
    scale = min(_STEPS, _INTEGER_RANGE / n_tones)
    rates = steps(relative, scale, up=True)
    model = cp_model.CpModel()
    x = [[model.new_bool_var(f"x{m}.{k}") for k in range(n_users)] for m in range(n_tones)]
    for m in range(n_tones):
        model.add_exactly_one(x[m])
    for k in range(n_users):
        model.add(sum(x[m][k] for m in range(n_tones)) <= int(instance.cell.quota[k]))
    model.maximize(sum(int(rates[m, k]) * x[m][k] for m in range(n_tones) for k in range(n_users)))
    error = n_tones * largest / scale

    def decode(values: FloatArray) -> FloatArray:
        return instance.point(np.argmax(values.reshape(n_tones, n_users), axis=1))

    rounding = f"rates rounded up to {1.0 / scale:.0e} of the largest: the bound is at most {error:.1e} Mbit/s too high"
    return CpSatModel(model, [v for row in x for v in row], decode, lambda v: v * largest / scale, error, rounding)


def highs_quota_form(instance: Tones) -> HighsModel:
    """A transportation polytope: its vertices are whole, so the linear program is exact."""
    import scipy.sparse as sp

    rates, largest = _quota_rates(instance)
    n_tones, n_users = rates.shape
    one_owner = sp.kron(sp.eye(n_tones), np.ones((1, n_users)))
    per_user = sp.kron(np.ones((1, n_tones)), sp.eye(n_users))
    size = rates.size

    def decode(z: FloatArray) -> FloatArray:
        return instance.point(np.argmax(z.reshape(n_tones, n_users), axis=1))

    return HighsModel(
        cost=rates.ravel(),
        matrix=sp.csr_matrix(sp.vstack([one_owner, per_user])),
        row_lower=np.concatenate([np.ones(n_tones), np.zeros(n_users)]),
        row_upper=np.concatenate([np.ones(n_tones), instance.cell.quota]),
        col_lower=np.zeros(size),
        col_upper=np.ones(size),
        integer=np.zeros(size, dtype=bool),
        maximize=True,
        decode=decode,
        value_of=lambda bound: bound * largest,
    )


def cpsat_level_form(instance: Tones, *, tight: bool = False) -> CpSatModel:
    """Binary y_kml, at most one option per tone, levels within the budget, rates at least their minimum.

    Args:
        instance: An instance with power levels.
        tight: Round the rates in the constraints down and the minima up, so that every point is feasible but the bound
            is lost; by default the other way round and with what verification allows, so that the bound holds for all
            verified points but a point may miss a rate by a hair.
    """
    from ortools.sat.python import cp_model

    c = instance.cell
    rates, largest = _level_rates(instance)
    n_users, n_tones, n_levels = rates.shape
    worth = c.weight[:, None, None] * rates  # [K, M, L]
    best = float(worth.max())
    scale = min(_STEPS, _INTEGER_RANGE / n_tones)
    model = cp_model.CpModel()
    y = [[[model.new_bool_var(f"y{k}.{m}.{n}") for n in range(n_levels)] for m in range(n_tones)] for k in range(n_users)]
    value = steps(worth / best, scale, up=True)
    own_rates, asked = _own_rates(instance, rates, largest, 0.0 if tight else FEASIBILITY_TOLERANCE)
    counted, minimum = steps(own_rates, scale, up=not tight), steps(asked, scale, up=tight)
    options = [(k, m, n) for k in range(n_users) for m in range(n_tones) for n in range(n_levels)]
    budget = c.level_budget if tight else c.verified_level_budget
    for m in range(n_tones):
        model.add_at_most_one(y[k][m][n] for k in range(n_users) for n in range(n_levels))
    model.add(sum((n + 1) * y[k][m][n] for k, m, n in options) <= budget)
    for k in np.flatnonzero(minimum > 0.0):
        model.add(sum(int(counted[k, m, n]) * y[k][m][n] for j, m, n in options if j == k) >= int(minimum[k]))
    model.maximize(sum(int(value[k, m, n]) * y[k][m][n] for k, m, n in options))
    error = n_tones * best * largest / scale
    return CpSatModel(
        model,
        [y[k][m][n] for k, m, n in options],
        _decode_levels(instance),
        lambda v: v * best * largest / scale,
        error,
        f"rates rounded to {1.0 / scale:.0e} of the largest: the bound is at most {error:.1e} Mbit/s too high",
        feasible_set_is_exact=tight,
    )


def highs_level_form(instance: Tones) -> HighsModel:
    """The same options with unrounded rates."""
    import scipy.sparse as sp

    c = instance.cell
    rates, largest = _level_rates(instance)
    n_users, n_tones = rates.shape[:2]
    k, m, n = (axis.ravel() for axis in np.indices(rates.shape))
    size, column = rates.size, np.arange(rates.size)
    asked = np.flatnonzero(c.rate_min_mbps > 0.0)
    per_tone = sp.csr_matrix((np.ones(size), (m, column)), shape=(n_tones, size))
    levels = sp.csr_matrix((n + 1.0)[None, :])
    own_rates, minimum = _own_rates(instance, rates, largest, FEASIBILITY_TOLERANCE)
    per_user = sp.csr_matrix((own_rates.ravel(), (k, column)), shape=(n_users, size))[asked]
    return HighsModel(
        cost=(c.weight[:, None, None] * rates).ravel(),
        matrix=sp.csr_matrix(sp.vstack([per_tone, levels, per_user])),
        row_lower=np.concatenate([np.full(n_tones + 1, -np.inf), minimum[asked]]),
        row_upper=np.concatenate([np.ones(n_tones), [float(c.verified_level_budget)], np.full(asked.size, np.inf)]),
        col_lower=np.zeros(size),
        col_upper=np.ones(size),
        integer=np.ones(size, dtype=bool),
        maximize=True,
        decode=_decode_levels(instance),
        value_of=lambda bound: bound * largest,
    )
