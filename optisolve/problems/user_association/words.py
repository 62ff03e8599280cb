"""What people and language models are told about a `user_association` instance."""

from __future__ import annotations

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.problem import Description
from optisolve.problems.user_association.model import Goal

__all__ = ["describe"]

_ENTRIES = 200
"""Rates that are listed; of more, only the best stations of every user are."""
_BEST = 3

_HINTS = {
    Goal.PROPORTIONAL_FAIR: (
        "A logarithm counts relative changes: doubling a slow user's rate is worth as much as doubling a fast one's.",
    ),
    Goal.MAX_MIN: ("Only the slowest user counts: relieve its station, or move it to a better one.",),
    Goal.SUM_RATE: (
        "A station's users together get the mean of their peak rates, so slow users are best gathered at few stations and "
        "every other station is best kept for its fastest user.",
    ),
}


def describe(rate_mbps: FloatArray, goal: Goal) -> Description:
    """The network in words.

    Args:
        rate_mbps: float64 [I, J], peak rates; 0 = not reachable.
        goal: What is maximized.
    """
    n_users, n_stations = rate_mbps.shape
    return Description(
        f"Each of {n_users} users is served by one of {n_stations} base stations (0 to {n_stations - 1}). A user's rate "
        "is its peak rate at that station divided by the number of users there, so everybody's choice matters to all.",
        ("A user can only be served by a station that it reaches (peak rate above 0).",),
        _facts(rate_mbps),
        (
            "Serving everybody from the strongest station overloads it; a weaker, emptier one often gives more.",
            "Moving a user lowers the load of all others at the old station and raises it at the new one.",
            *_HINTS[goal],
        ),
    )


def _facts(rate_mbps: FloatArray) -> tuple[str, ...]:
    n_users, n_stations = rate_mbps.shape
    if rate_mbps.size <= _ENTRIES:
        return tuple(f"user{i}: peak rates [Mbit/s] {', '.join(f'{r:.3g}' for r in rate_mbps[i])}" for i in range(n_users))
    best = np.argsort(-rate_mbps, axis=1, kind="stable")[:, :_BEST]  # [I, 3]
    loads = np.bincount(best[:, 0], minlength=n_stations)
    crowded = np.argsort(-loads, kind="stable")[:_BEST]
    told = "; ".join(
        f"user{i}: " + ", ".join(f"{j} ({rate_mbps[i, j]:.0f})" for j in row if rate_mbps[i, j] > 0.0)
        for i, row in enumerate(best.tolist())
    )
    return (
        f"Best stations of every user, peak rate in Mbit/s in brackets: {told}.",
        "Stations that are the best of most users: " + ", ".join(f"{j} (of {loads[j]})" for j in crowded) + ".",
    )
