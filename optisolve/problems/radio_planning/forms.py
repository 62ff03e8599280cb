"""Selecting sites so that most users are served, as integer models: maximum coverage with distances.

With a carrier of its own no transmitter disturbs another, so that whether an option (a site with a tilt and an azimuth)
serves a user does not depend on the rest:

    max  sum_k y_k    s.t.  y_k <= sum of x_o over the options o that serve k,   sum_o x_o = M,
                            sum of x_o over the options of one site <= 1,   at most one of two sites that are too near.

Users whom the same options serve are one row with a weight; of options of one site that serve the same users one is kept. All
numbers are whole: nothing is rounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from optisolve.core.arrays import BoolArray, FloatArray, IntArray
from optisolve.modelling.cpsat import CpSatModel
from optisolve.modelling.highs import HighsModel
from optisolve.problems.radio_planning.from_table import TableInstance

__all__ = ["cpsat_form", "highs_form", "is_selection"]


def is_selection(instance: TableInstance) -> bool:
    """Whether coverage is the one goal and powers are given, so that a plan is a choice among options."""
    return instance.plan.goals == ("coverage",) and "power" not in instance.plan.decide


@dataclass(frozen=True, eq=False, slots=True)
class _Cover:
    """Options and whom they serve.

    Attributes:
        option: int64 [O].
        site: int64 [O].
        serves: bool [O, R], every row of users served by at least one option.
        weight: int64 [R], users of a row.
    """

    option: IntArray
    site: IntArray
    serves: BoolArray
    weight: IntArray


def _cover(instance: TableInstance) -> _Cover:
    options = instance.site_options
    site, serves = instance.site_of(options), instance.serves[options]
    _, first = np.unique(np.column_stack([site, np.packbits(serves, axis=1)]), axis=0, return_index=True)
    kept = np.sort(first)
    rows, weight = np.unique(serves[kept].T, axis=0, return_counts=True)
    reached = rows.any(axis=1)
    return _Cover(options[kept], site[kept], rows[reached].T, weight[reached])


def _conflicts(instance: TableInstance, cover: _Cover) -> Iterator[IntArray]:
    """Options of which at most one may be chosen: those of one site, and those of two sites that are too near."""
    of_site = [np.flatnonzero(cover.site == s) for s in range(len(instance.near))]
    yield from (options for options in of_site if options.size > 1)
    for i, j in np.argwhere(np.triu(instance.near, 1)):
        yield np.concatenate([of_site[i], of_site[j]])


def _decoder(instance: TableInstance, cover: _Cover) -> Callable[[FloatArray], FloatArray]:
    def decode(values: FloatArray) -> FloatArray:
        chosen = np.sort(np.argsort(-values[: cover.option.size], kind="stable")[: instance.plan.n_transmitters])
        return instance.points_of(cover.option[chosen][None, :])[0]

    return decode


def cpsat_form(instance: TableInstance) -> CpSatModel:
    """Binaries for options and rows of users."""
    from ortools.sat.python import cp_model

    cover = _cover(instance)
    model = cp_model.CpModel()
    x = [model.new_bool_var(f"option{o}") for o in cover.option]
    y = [model.new_bool_var(f"users{r}") for r in range(cover.weight.size)]
    model.add(sum(x) == instance.plan.n_transmitters)
    for options in _conflicts(instance, cover):
        model.add_at_most_one(x[o] for o in options)
    for row, served in zip(cover.serves.T, y, strict=True):
        model.add_bool_or(*(x[o] for o in np.flatnonzero(row)), served.Not())
    model.maximize(sum(int(w) * served for w, served in zip(cover.weight, y, strict=True)))
    percent = 100.0 / instance.users.size
    return CpSatModel(model, x, _decoder(instance, cover), lambda v: v * percent, 0.0, "whole numbers only, nothing is rounded")


def highs_form(instance: TableInstance) -> HighsModel:
    """The same as a mixed-integer program; a row of users is served by as much as its options are chosen, at most once."""
    import scipy.sparse as sp

    cover = _cover(instance)
    n_options, n_rows = cover.serves.shape
    conflicts = list(_conflicts(instance, cover))
    at_most_one = sp.lil_array((len(conflicts), n_options))
    for r, options in enumerate(conflicts):
        at_most_one[r, options] = 1.0
    reach = sp.csr_array(cover.serves.T.astype(np.float64))  # [R, O]
    matrix = sp.block_array(
        [
            [sp.csr_array(np.ones((1, n_options))), sp.csr_array((1, n_rows))],
            [sp.csr_array(at_most_one), sp.csr_array((len(conflicts), n_rows))],
            [-reach, sp.eye_array(n_rows)],
        ]
    )
    m, percent = float(instance.plan.n_transmitters), 100.0 / instance.users.size
    return HighsModel(
        cost=np.concatenate([np.zeros(n_options), cover.weight.astype(np.float64)]),
        matrix=sp.csr_matrix(matrix),
        row_lower=np.concatenate([[m], np.full(len(conflicts) + n_rows, -np.inf)]),
        row_upper=np.concatenate([[m], np.ones(len(conflicts)), np.zeros(n_rows)]),
        col_lower=np.zeros(n_options + n_rows),
        col_upper=np.ones(n_options + n_rows),
        integer=np.ones(n_options + n_rows, dtype=bool),
        maximize=True,
        decode=_decoder(instance, cover),
        value_of=lambda v: v * percent,
    )
