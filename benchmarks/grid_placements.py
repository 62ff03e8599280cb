"""Seeds for the reference front: placement on a grid as an integer program (OR-Tools CP-SAT).

Choose M grid points with power levels so that a mix of two linear surrogates is largest: the mean logarithm of the path
gain to the serving UAV with a capacity on each UAV (a p-median), and the least information gathered about a user (a
max-min). Interference and directions are left out, so its optimum is a start and proves nothing about the problem itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.problems.uav_isac.instance import UavIsacInstance

__all__ = ["grid_seeds"]

_MIXES = (0.0, 0.25, 0.5, 0.75, 1.0)
_LEVELS = (0.4, 1.0, 1.6)  # of the equal share of the power
_UNIT = 1000  # integers per unit of a surrogate
_POWER_UNIT = 1_000_000  # integers for the whole power


def grid_seeds(instance: UavIsacInstance, *, n_side: int = 8, deterministic_time: float = 2.0) -> FloatArray:
    """One placement for each of five mixes of the surrogates.

    Args:
        instance: What to solve.
        n_side: Grid points per side of the area; the users' own positions are candidates too.
        deterministic_time: Limit of CP-SAT for each mix, in its own units.

    Returns:
        float64 [n, 3M], repaired; n is at most 5, fewer when the limit came before a first placement.
    """
    from optisolve.modelling.cpsat import solve_cpsat

    form = _Placement(instance, n_side)
    hint = form.hint()
    answers = [solve_cpsat(form.model(mix), deterministic_time=deterministic_time, hint=hint).x for mix in _MIXES]
    found = [x for x in answers if x is not None]
    return instance.project(np.array(found)) if found else np.empty((0, instance.space.dim))


class _Placement:
    """Candidates, power levels and surrogates of one instance."""

    def __init__(self, instance: UavIsacInstance, n_side: int) -> None:
        c, users = instance.constants, instance.users_m
        ticks = (np.arange(n_side) + 0.5) / n_side * c.area_m
        lattice = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
        self.instance = instance
        self.points = np.vstack([lattice, users])  # [J, 2]
        share = min(c.p_total_w / c.n_uavs, c.p_max_w)
        self.powers = np.clip(share * np.array(_LEVELS), c.p_min_w, c.p_max_w)  # [L]
        ground2 = ((users[:, None] - self.points) ** 2).sum(axis=2)  # [K, J]
        d2 = ground2 + c.altitude_m**2
        fade = np.log(c.altitude_m**2 / d2)
        self.hearing = np.rint(_UNIT * fade / -fade.min()).astype(int)  # [K, J] in -1000 ... 0
        power_part = c.ranging_per_w * self.powers * (ground2 / d2**3)[:, :, None]
        information = power_part + 8.0 * (ground2 / d2**2)[:, :, None]  # [K, J, L], trace of the Fisher information
        self.information = np.rint(_UNIT * information / information.max()).astype(int)

    def model(self, mix: float) -> Any:
        """The integer program for one mix: 0 hears best, 1 locates best."""
        from ortools.sat.python import cp_model

        from optisolve.modelling.cpsat import CpSatModel

        model = cp_model.CpModel()
        placed = self._place(model)
        goal: list[Any] = []
        if mix < 1.0:
            goal += self._hearing_goal(model, placed, round(100 * (1.0 - mix)))
        if mix > 0.0:
            goal.append(round(100 * mix) * len(self.information) * self._least_information(model, placed))
        model.maximize(sum(goal))
        flat = [y for levels in placed for y in levels]
        return CpSatModel(model, flat, self._decode, float, float("inf"), "surrogates rounded to integers; a heuristic start")

    def _place(self, model: Any) -> list[list[Any]]:
        """M candidates with a level each, far enough apart, within the total power; binary variables [J][L]."""
        c = self.instance.constants
        placed = [[model.new_bool_var(f"y{j}_{level}") for level in range(len(_LEVELS))] for j in range(len(self.points))]
        model.add(sum(y for levels in placed for y in levels) == c.n_uavs)
        share = [int(p / c.p_total_w * _POWER_UNIT) for p in self.powers]
        model.add(sum(share[level] * y for levels in placed for level, y in enumerate(levels)) <= _POWER_UNIT)
        for levels in placed:
            model.add_at_most_one(levels)
        gap = np.linalg.norm(self.points[:, None] - self.points, axis=2)
        for i, j in zip(*np.nonzero(np.triu(gap < c.d_min_m, 1)), strict=True):
            model.add_at_most_one([*placed[i], *placed[j]])
        return placed

    def _hearing_goal(self, model: Any, placed: list[list[Any]], weight: int) -> list[Any]:
        """Every user is served by one placed UAV; no UAV serves more than one and a half times the mean."""
        n_users, n_points = self.hearing.shape
        capacity = -(-3 * n_users // (2 * self.instance.constants.n_uavs))
        served = [[model.new_bool_var(f"x{k}_{j}") for j in range(n_points)] for k in range(n_users)]
        for row in served:
            model.add_exactly_one(row)
        for j in range(n_points):
            model.add(sum(row[j] for row in served) <= capacity * sum(placed[j]))
            for row in served:
                model.add(row[j] <= sum(placed[j]))
        return [weight * int(self.hearing[k, j]) * served[k][j] for k in range(n_users) for j in range(n_points)]

    def _least_information(self, model: Any, placed: list[list[Any]]) -> Any:
        flat = [y for levels in placed for y in levels]
        least = model.new_int_var(0, self.instance.constants.n_uavs * _UNIT, "least_information")
        for gathered in self.information:  # [J, L]
            model.add(least <= sum(int(q) * y for q, y in zip(gathered.ravel(), flat, strict=True) if q))
        return least

    def hint(self) -> FloatArray:
        """The candidates nearest to the users' k-means centers, at the middle level; float64 [J L]."""
        positions = self.instance.null_policies()["users_kmeans"].reshape(-1, 3)[:, :2]
        chosen = np.zeros((len(self.points), len(_LEVELS)))
        chosen[np.linalg.norm(self.points[:, None] - positions, axis=2).argmin(axis=0), 1] = 1.0
        return chosen.ravel()

    def _decode(self, values: FloatArray) -> FloatArray:
        j, level = np.nonzero(values.reshape(len(self.points), -1) > 0.5)
        return np.column_stack([self.points[j], self.powers[level]]).ravel()
