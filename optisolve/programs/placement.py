"""Skeleton for stations above an area: where the next one goes, for a few preferences between rate and ranging."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from optisolve.core.arrays import FloatArray, IntArray
from optisolve.core.capabilities import PlacedStations, capability_gap
from optisolve.core.problem import Instance
from optisolve.programs.language import Feature, Kind
from optisolve.programs.program import Machine, Program
from optisolve.programs.skeleton import Answering, rules

__all__ = ["Placement"]

_S, _V = Kind.SCALAR, Kind.VECTOR

_PREFERENCES = 11
_LATTICE = 8
"""Sites in a row of the lattice."""
_RING = 12
"""Sites on the ring around the users' centroid."""
_FAR = 1.5
"""Distance to a station that is not there, sides of the square: beyond its diagonal."""


class Placement(Answering):
    """Stations are placed one after the other, each at the best-scored site that is free, for 11 preferences from 0 to 1.

    Items are sites: the users, the means of as many clusters of users as there are stations, a ring around the users' centroid
    at the height of the stations over the square root of 2, and a lattice. Powers are equal; the family's own repair follows.
    Lengths are in sides of the square, so that a rule carries over to other areas.
    """

    name: ClassVar = "placement"
    summary: ClassVar = "uav_isac: at which site the next station goes"
    features: ClassVar = (
        Feature("saved", _V, "sides", "fall of the users' mean distance to their nearest station; 1.5 where there is none yet"),
        Feature("gap", _V, "sides", "distance to the nearest station that is placed; 1.5 where there is none yet"),
        Feature("near", _V, "sides", "distance to the nearest user"),
        Feature("mean_distance", _V, "sides", "mean distance to the users"),
        Feature("centroid", _V, "sides", "distance to the users' centroid"),
        Feature("ring", _V, "sides", "distance to the ring around the centroid"),
        Feature("border", _V, "sides", "distance to the border"),
        Feature("cluster", _V, "1", "share of the users in the cluster whose mean this is; 0 elsewhere"),
        Feature("user", _V, "1", "1 where a user stands, else 0"),
        Feature("trade", _S, "1", "preference: 0 for rate alone, 1 for ranging alone"),
        Feature("placed", _S, "1", "share of the stations that are placed"),
        Feature("n_stations", _S, "1", "number of stations"),
        Feature("height", _S, "sides", "height of the stations"),
    )
    hand: ClassVar = rules(
        blend=(
            "(- (where (< gap trade) -1 cluster) centroid)",
            "large clusters near the centroid, none nearer to another station than the preference says; ours",
        ),
        clusters=("cluster", "the means of clusters of users, largest first; k-means from a farthest-point start"),
        nearest=("saved", "where the users' mean distance falls most; greedy k-median"),
        circle=("(- gap (* 10 ring))", "spread on the ring that is best for ranging the centroid"),
        farthest=("(* user gap)", "the user farthest from all stations; Gonzalez 1985"),
    )

    @classmethod
    def gap(cls, instance: Instance) -> str | None:
        """Needs stations that are placed over an area."""
        return capability_gap(instance, PlacedStations)

    @classmethod
    def n_items(cls, instance: Instance) -> int:
        """Number of sites."""
        assert isinstance(instance, PlacedStations)
        return len(instance.users_m) + instance.n_stations + _RING + _LATTICE**2

    @classmethod
    def answer(cls, program: Program, instance: Instance, rounds: int) -> FloatArray:
        """The answer for the preference in the middle, float64 [d]."""
        return _Sites(program, instance, rounds).point(0.5)

    @classmethod
    def answers(cls, program: Program, instance: Instance, rounds: int) -> FloatArray:
        """Answers for preferences from 0 to 1, float64 [n, d]; equal ones once."""
        sites = _Sites(program, instance, rounds)
        points = [sites.point(float(trade)) for trade in np.linspace(0.0, 1.0, _PREFERENCES)]
        return np.array(list({point.tobytes(): point for point in points}.values()))


class _Sites:
    """Sites of an instance, and what a program says about them.

    Args:
        program: The rule.
        instance: What is placed where.
        rounds: Rounds of the clustering at most.
    """

    def __init__(self, program: Program, instance: Instance, rounds: int) -> None:
        assert isinstance(instance, PlacedStations)
        self._instance, self._users = instance, np.array(instance.users_m) / instance.side_m  # [K, 2]
        n_users, m = len(self._users), instance.n_stations
        means, sizes = _clusters(self._users, m, rounds)
        center, radius = self._users.mean(axis=0), instance.height_m / instance.side_m / np.sqrt(2.0)
        angles = 2.0 * np.pi * np.arange(_RING) / _RING
        circle = np.clip(center + radius * np.column_stack([np.cos(angles), np.sin(angles)]), 0.0, 1.0)
        ticks = (np.arange(_LATTICE) + 0.5) / _LATTICE
        lattice = np.array([(x, y) for y in ticks for x in ticks])
        self._sites = np.concatenate([self._users, means, circle, lattice])  # [n, 2]
        self._apart = _distances(self._sites, self._users)  # [n, K]
        from_center = np.sqrt(((self._sites - center) ** 2).sum(axis=1))
        n = len(self._sites)
        self._values: dict[str, FloatArray | float] = {
            "near": self._apart.min(axis=1),
            "mean_distance": self._apart.mean(axis=1),
            "centroid": from_center,
            "ring": np.abs(from_center - radius),
            "border": np.minimum(self._sites, 1.0 - self._sites).min(axis=1),
            "user": (np.arange(n) < n_users).astype(np.float64),
            "n_stations": float(m),
            "height": instance.height_m / instance.side_m,
        }
        cluster = np.zeros(n)
        cluster[n_users : n_users + m] = sizes / n_users
        self._values["cluster"] = cluster
        self._machine = Machine(program, n)

    def point(self, trade: float) -> FloatArray:
        """The answer for a preference, float64 [d]."""
        instance = self._instance
        assert isinstance(instance, PlacedStations)
        n, m = len(self._sites), instance.n_stations
        taken = list[int]()
        nearest, gap = np.full(len(self._users), _FAR), np.full(n, _FAR)
        self._machine.reset()
        for k in range(m):
            saved = np.maximum(nearest - self._apart, 0.0).mean(axis=1)
            values = {**self._values, "saved": saved, "gap": gap, "trade": trade, "placed": k / m}
            score = np.array(self._machine.run(values))
            score[taken] = -np.inf
            at = int(score.argmax())
            taken.append(at)
            nearest = np.minimum(nearest, self._apart[at])
            gap = np.minimum(gap, np.sqrt(((self._sites - self._sites[at]) ** 2).sum(axis=1)))
        return instance.placed(self._sites[taken] * instance.side_m)


def _clusters(users: FloatArray, m: int, rounds: int) -> tuple[FloatArray, IntArray]:
    """Means and sizes of m clusters: Lloyd's algorithm from a farthest-point start, so no chance is involved."""
    means = users.mean(axis=0, keepdims=True)
    for _ in range(m - 1):
        means = np.concatenate([means, users[_distances(users, means).min(axis=1).argmax()][None]])
    for _ in range(rounds):
        nearest = _distances(users, means).argmin(axis=1)
        moved = np.array([users[nearest == k].mean(axis=0) if (nearest == k).any() else means[k] for k in range(m)])
        if np.array_equal(moved, means):
            break
        means = moved
    return means, np.bincount(_distances(users, means).argmin(axis=1), minlength=m)


def _distances(points: FloatArray, others: FloatArray) -> FloatArray:
    """float64 [n, m]."""
    apart: FloatArray = np.sqrt(((points[:, None, :] - others[None, :, :]) ** 2).sum(axis=2))
    return apart
