"""One concrete user-association case."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from optisolve.core.arrays import FloatArray
from optisolve.core.problem import Description, Evaluation, Instance, Objective, Origin, Sense
from optisolve.core.space import Kind, Space, Variable
from optisolve.numerics.station_flow import min_rate_bound
from optisolve.problems.user_association import model
from optisolve.problems.user_association.model import BITS_PER_MBIT, Goal, out_of_reach_mbps

__all__ = ["UserAssociationInstance"]

_NEGLIGIBLE = 1e-3
"""Share of a simple bound on the rate below which differences count little: smallest scale of gaps."""
_TOLD = {
    Goal.PROPORTIONAL_FAIR: ("log_rate", "sum over users of the natural logarithm of the rate in Mbit/s"),
    Goal.MAX_MIN: ("min_rate", "rate of the worst-served user"),
    Goal.SUM_RATE: ("sum_rate", "sum of the rates of all users"),
}
_GOAL_CODE = {goal: code for code, goal in enumerate(Goal)}


class UserAssociationInstance(Instance):
    """Peak rates of I users at J stations; the decision is one station per user, ``user0.station ...`` in 0..J-1.

    Args:
        origin: How to make this instance again.
        arrays: Checked arrays, see `UserAssociation.ARRAYS`.
        goal: What is maximized.

    Attributes:
        rate_mbps: float64 [I, J], Mbit/s; 0 = not reachable.
        goal: What is maximized.
    """

    def __init__(self, origin: Origin, arrays: Mapping[str, FloatArray], *, goal: Goal) -> None:
        self._arrays = dict(arrays)
        self.goal = goal
        self.rate_mbps: FloatArray = arrays["peak_rate_bps"] / BITS_PER_MBIT
        self._log_rate = np.log(np.where(self.rate_mbps > 0.0, self.rate_mbps, out_of_reach_mbps(self.rate_mbps)))
        n_users, n_stations = self.rate_mbps.shape
        kind = Kind.BINARY if n_stations == 2 else Kind.INTEGER
        super().__init__(
            origin=origin,
            space=Space.of(Variable(f"user{i}.station", 0.0, n_stations - 1.0, kind=kind) for i in range(n_users)),
            objectives=(self._objective(),),
            constraint_names=("coverage",),
        )

    def _objective(self) -> Objective:
        """What is maximized; the scale of its gaps follows from the rates, so that their unit does not matter."""
        name, meaning = _TOLD[self.goal]
        if self.goal is Goal.PROPORTIONAL_FAIR:
            n_users = float(self.rate_mbps.shape[0])
            return Objective(name, Sense.MAXIMIZE, "nat", meaning, scale=n_users, interval=True)
        served = self.rate_mbps[(self.rate_mbps > 0.0).any(axis=1)]
        if not served.size:
            reach = 1.0  # no point has a rate
        elif self.goal is Goal.MAX_MIN:
            reach = min_rate_bound(served)
        else:
            reach = float(served.max(axis=0).sum())
        return Objective(name, Sense.MAXIMIZE, "Mbit/s", meaning, scale=_NEGLIGIBLE * reach)

    def arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        """The arrays of `UserAssociation.ARRAYS`."""
        return self._arrays

    def features(self) -> Mapping[str, npt.NDArray[Any]]:
        """``log_rate`` float64 [I, J], ln of the peak rate in Mbit/s; out of reach, that of the smallest rate there is."""
        return {"log_rate": self._log_rate}

    def describe(self) -> Description:
        """The instance in words."""
        return _in_words(self.rate_mbps, self.goal)

    def null_policies(self) -> Mapping[str, FloatArray]:
        """``max_sinr`` (highest peak rate), ``max_power`` (strongest signal), ``biased`` (with range expansion)."""
        received = np.where(self.rate_mbps > 0.0, self._arrays["received_dbm"], -np.inf)
        return {
            "max_sinr": np.argmax(self.rate_mbps, axis=1).astype(np.float64)[None, :],
            "max_power": np.argmax(received, axis=1).astype(np.float64)[None, :],
            "biased": np.argmax(received + self._arrays["bias_db"], axis=1).astype(np.float64)[None, :],
        }

    def model(self, dialect: str) -> Any:
        """``"assignment"`` for proportional fairness; ``"cpsat"`` and ``"highs"`` for every goal."""
        from optisolve.problems.user_association.forms import Association, assignment_form, cpsat_form, highs_form

        builders: dict[str, Callable[[Association], Any]] = {"cpsat": cpsat_form, "highs": highs_form}
        if self.goal is Goal.PROPORTIONAL_FAIR:
            builders["assignment"] = assignment_form
        return builders[dialect](self) if dialect in builders else None

    def offers(self, dialect: str) -> bool:
        """As `model`, without building one."""
        return dialect in ("cpsat", "highs") or (dialect == "assignment" and self.goal is Goal.PROPORTIONAL_FAIR)

    # -- evaluation ----------------------------------------------------------------------------------------------

    def _evaluate(self, X: FloatArray) -> Evaluation:
        from optisolve.problems.user_association.kernels import evaluate

        F, G = np.empty((X.shape[0], 1)), np.empty((X.shape[0], 1))
        evaluate(X, self.rate_mbps, self._log_rate, _GOAL_CODE[self.goal], F, G)
        return Evaluation(F, G, np.empty((X.shape[0], 0)))

    def _evaluate_twin(self, X: FloatArray) -> Evaluation:
        value, uncovered = model.evaluate(self.rate_mbps, X.astype(np.int64), self.goal)
        return Evaluation(value[:, None], uncovered[:, None], np.empty((X.shape[0], 0)))

    def _project(self, X: FloatArray) -> FloatArray:
        """Send users out of reach to their best station; exact whenever everybody reaches one."""
        users = np.arange(self.rate_mbps.shape[0])
        lost = self.rate_mbps[users, X.astype(np.int64)] <= 0.0  # [n, I]
        best = np.argmax(self.rate_mbps, axis=1).astype(np.float64)
        return np.where(lost, best, X)


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


def _in_words(rate_mbps: FloatArray, goal: Goal) -> Description:
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
