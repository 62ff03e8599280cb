"""Several goals at once: a front by local search over options and powers, and what no plan can exceed in each goal."""

from __future__ import annotations

import math
from itertools import product

import numpy as np

from optisolve.core.arrays import FloatArray, IntArray
from optisolve.core.clock import so_far, time_is_up
from optisolve.core.evaluation import FEASIBILITY_TOLERANCE
from optisolve.numerics.indicators import front_rows
from optisolve.problems.radio_planning import model
from optisolve.problems.radio_planning.from_table import TableInstance

__all__ = ["ideal_bound", "local_front"]

_POWERS = 7
"""Powers that are tried between the smallest and the largest."""
_SMALL = 1e-3
"""Weight of the sum of all losses beside the largest weighted one."""


def ideal_bound(instance: TableInstance) -> tuple[float, ...]:
    """A bound on every goal alone, in its own sense and unit, also for powers above the cap by its tolerance.

    Interference only takes away: nobody is covered whom no option serves alone at full power. At least K - floor(0.05 K) users
    have the edge rate, and one transmitter serves n of them, an M-th or more. They share its band, so that the edge rate is at
    most B / n times the spectral efficiency of the n-th best user alone at full power.
    """
    plan, n_users = instance.plan, instance.users.size
    loudest = instance.linear[instance.level[instance.site_options].max(axis=0).astype(np.int16) + 128]  # [K]
    beyond_db = 1.1 * model.EIRP_UNIT_DB * FEASIBILITY_TOLERANCE if "power" in plan.decide else 0.0
    snr = float(model.watts(np.array(instance.full_power_dbm + beyond_db))) * loudest / plan.noise_w  # [K]
    efficiency = np.sort(np.log2(1.0 + snr))[::-1]
    n = math.ceil((n_users - int(model.EDGE_SHARE * n_users)) / plan.n_transmitters)
    bounds = {
        "coverage": 100.0 * float((snr >= plan.sinr_target).sum()) / n_users,
        "edge_rate": plan.bandwidth_hz / n * float(efficiency[n - 1]) / 1e6 * (1.0 + 1e-9),
        "power": plan.n_transmitters * float(model.watts(np.array(plan.power_dbm[0]))) * (1.0 - 1e-9),
    }
    return tuple(bounds[goal] for goal in plan.goals)


def local_front(instance: TableInstance, *, divisions: int, sweeps: int) -> FloatArray:
    """Non-dominated plans, float64 [n, d]: for many weights, one transmitter after the other takes the best of all its changes.

    A change is another site with the direction with which that alone serves most cells, another direction, or another power.

    Args:
        instance: Several goals.
        divisions: Of the simplex of weights.
        sweeps: Over the transmitters, per weight.
    """
    plan = instance.plan
    best = np.array(ideal_bound(instance)) * instance.signs
    worst = (
        np.array([{"coverage": 0.0, "edge_rate": 0.0, "power": _full_watts(instance)}[g] for g in plan.goals]) * instance.signs
    )
    starts = np.concatenate(list(instance.null_policies().values()))
    kept, losses = _front(instance, starts, (best, worst), np.empty((0, starts.shape[1])))
    for weights in _weights(len(plan.goals), divisions):
        so_far(kept)
        x = kept[int(np.argmin(_scalar(losses, weights)))]
        for _, m in product(range(sweeps), range(plan.n_transmitters)):
            if time_is_up():
                return kept
            tried = _changes(instance, x, m)
            kept, losses = _front(instance, tried, (best, worst), kept)
            x = kept[int(np.argmin(_scalar(losses, weights)))]
    return kept


def _full_watts(instance: TableInstance) -> float:
    return instance.plan.n_transmitters * float(model.watts(np.array(instance.full_power_dbm)))


def _weights(n_goals: int, divisions: int) -> list[FloatArray]:
    """Weights on a lattice, each with the sum 1."""
    steps = product(range(divisions + 1), repeat=n_goals)
    return [np.array(step) / divisions for step in steps if sum(step) == divisions]


def _scalar(losses: FloatArray, weights: FloatArray) -> FloatArray:
    """Augmented Chebyshev distance, float64 [n]."""
    return np.asarray((losses * weights).max(axis=1) + _SMALL * losses.sum(axis=1))


def _front(
    instance: TableInstance, X: FloatArray, scale: tuple[FloatArray, FloatArray], kept: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Non-dominated feasible plans among new and kept ones, and their losses, 0 at the bounds."""
    points = np.concatenate([kept, X])
    evaluation = instance.evaluate(points)
    points, F = points[evaluation.feasible], evaluation.F[evaluation.feasible]
    best, worst = scale
    losses = (F * instance.signs - best) / np.where(worst > best, worst - best, 1.0)
    rows = front_rows(losses)
    return points[rows], losses[rows]


def _changes(instance: TableInstance, x: FloatArray, m: int) -> FloatArray:
    """All changes of one transmitter, float64 [n, d]."""
    options = instance.options(x[None, :])[0]
    _, n_tilts, n_azimuths, _ = instance.table.level.shape
    site = int(instance.site_of(options[m : m + 1])[0])
    of_site = instance.site_options[instance.site_of(instance.site_options) == site]
    tilt, azimuth = instance.best_alone.T
    elsewhere = (np.arange(len(tilt)) * n_tilts + tilt) * n_azimuths + azimuth
    changed: IntArray = np.concatenate([elsewhere, of_site])
    moved = np.tile(options, (changed.size, 1))
    moved[:, m] = changed
    X = instance.points_of(moved)
    if "power" not in instance.plan.decide:
        return X
    power = instance.columns(x[None, :], "power_dbm")
    instance.columns(X, "power_dbm")[:] = power
    louder = np.tile(x, (_POWERS, 1))
    instance.columns(louder, "power_dbm")[:, m] = np.linspace(instance.plan.power_dbm[0], instance.full_power_dbm, _POWERS)
    return np.concatenate([X, louder])
