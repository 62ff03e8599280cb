"""Segments and splits as CP-SAT and HiGHS models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from optisolve.core.arrays import BoolArray, FloatArray
from optisolve.modelling.cpsat import CpSatModel, steps
from optisolve.modelling.highs import HighsModel

__all__ = ["cpsat_segments", "highs_segments", "highs_split"]

_STEPS = 1e7
"""Steps of a utilization of 1, relative to the largest that one demand alone can cause."""


class Routes(Protocol):
    """What the models are made of.

    Attributes:
        route: float64 [D, R, E], utilization that a demand adds to every link by each of its routes.
        base: float64 [E], utilization by what cannot be steered.
        usable: bool [D, R].
    """

    route: FloatArray
    base: FloatArray
    usable: BoolArray


def highs_segments(instance: Routes) -> HighsModel:
    """One binary per demand and stop."""

    def decode(z: FloatArray) -> FloatArray:
        chosen = np.zeros(instance.usable.shape)
        chosen[instance.usable] = z[:-1]
        stops: FloatArray = np.argmax(chosen, axis=1).astype(np.float64)
        return stops

    return _highs(instance, True, decode)


def highs_split(instance: Routes) -> HighsModel:
    """Real shares: a linear program."""
    return _highs(instance, False, lambda z: np.clip(z[:-1], 0.0, 1.0))


def _highs(instance: Routes, whole: bool, decode: Callable[[FloatArray], FloatArray]) -> HighsModel:
    """Minimize U: every demand's shares add up to 1, no link is used more than U."""
    import scipy.sparse as sp

    demand, _ = np.nonzero(instance.usable)
    columns = instance.route[instance.usable]  # [x, E]
    n_x, n_links = columns.shape
    one_each = sp.csr_array((np.ones(n_x), (demand, np.arange(n_x))), shape=(len(instance.usable), n_x))
    used = sp.csr_array(columns.T)
    top = sp.csr_array(np.full((n_links, 1), -1.0))
    matrix = sp.csr_matrix(sp.block_array([[one_each, None], [used, top]], format="csr"))
    ones = np.ones(len(instance.usable))
    cost = np.zeros(n_x + 1)
    cost[-1] = 1.0
    integer = np.zeros(n_x + 1, dtype=bool)
    integer[:-1] = whole
    upper = np.ones(n_x + 1)
    upper[-1] = float((instance.base + instance.route.max(axis=1).sum(axis=0)).max())
    return HighsModel(
        cost,
        matrix,
        np.concatenate([ones, np.full(n_links, -np.inf)]),
        np.concatenate([ones, -instance.base]),
        np.zeros(n_x + 1),
        upper,
        integer,
        False,
        decode,
        lambda value: value,
    )


def cpsat_segments(instance: Routes) -> CpSatModel:
    """The same with utilizations rounded down to whole steps, so that the bound holds."""
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    n_demands, n_stops = instance.usable.shape
    x = [[model.new_bool_var(f"x{d}.{m}") for m in range(n_stops)] for d in range(n_demands)]
    largest = float(instance.base.max() + instance.route.max())
    scale = _STEPS / largest
    added = steps(instance.route, scale, up=False)  # [D, R, E]
    base = steps(instance.base, scale, up=False)
    most = int((base + added.max(axis=1).sum(axis=0)).max())
    busiest = model.new_int_var(0, most, "busiest")
    for d in range(n_demands):
        model.add_exactly_one(x[d])
        for m in np.flatnonzero(~instance.usable[d]):
            model.add(x[d][int(m)] == 0)
    for e in range(base.size):
        terms = [int(added[d, m, e]) * x[d][m] for d in range(n_demands) for m in range(n_stops) if added[d, m, e]]
        model.add(sum(terms) + int(base[e]) <= busiest)
    model.minimize(busiest)

    def decode(values: FloatArray) -> FloatArray:
        stops: FloatArray = np.argmax(values.reshape(n_demands, n_stops), axis=1).astype(np.float64)
        return stops

    error = (n_demands + 1) / scale
    rounding = f"utilizations rounded down to {1.0 / scale:.0e}: the bound is at most {error:.1e} too low"
    return CpSatModel(model, [v for row in x for v in row], decode, lambda v: v / scale, error, rounding)
