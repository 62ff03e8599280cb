"""One concrete user-association case."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from optisolve.core.arrays import FloatArray
from optisolve.core.problem import Description, Evaluation, Instance, Objective, Origin, Sense
from optisolve.core.space import Kind, Space, Variable
from optisolve.problems.user_association import model
from optisolve.problems.user_association.model import BITS_PER_MBIT, RATE_FLOOR_MBPS, Goal
from optisolve.problems.user_association.words import describe

__all__ = ["UserAssociationInstance"]

_OBJECTIVES = {
    Goal.PROPORTIONAL_FAIR: Objective(
        "log_rate", Sense.MAXIMIZE, "nat", meaning="sum over users of the natural logarithm of the rate in Mbit/s"
    ),
    Goal.MAX_MIN: Objective("min_rate", Sense.MAXIMIZE, "Mbit/s", meaning="rate of the worst-served user", scale=1e-3),
    Goal.SUM_RATE: Objective("sum_rate", Sense.MAXIMIZE, "Mbit/s", meaning="sum of the rates of all users", scale=1e-3),
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
        self._log_rate = np.log(np.maximum(self.rate_mbps, RATE_FLOOR_MBPS))
        n_users, n_stations = self.rate_mbps.shape
        kind = Kind.BINARY if n_stations == 2 else Kind.INTEGER
        super().__init__(
            origin=origin,
            space=Space.of(Variable(f"user{i}.station", 0.0, n_stations - 1.0, kind=kind) for i in range(n_users)),
            objectives=(_OBJECTIVES[goal],),
            constraint_names=("coverage",),
        )

    def arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        """The arrays of `UserAssociation.ARRAYS`."""
        return self._arrays

    def features(self) -> Mapping[str, npt.NDArray[Any]]:
        """``log_rate`` float64 [I, J], ln of the peak rate in Mbit/s, floored where out of reach."""
        return {"log_rate": self._log_rate}

    def describe(self) -> Description:
        """The instance in words."""
        return describe(self.rate_mbps, self.goal)

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
        from optisolve.problems.user_association.forms import assignment_form, cpsat_form, highs_form

        builders: dict[str, Callable[[UserAssociationInstance], Any]] = {"cpsat": cpsat_form, "highs": highs_form}
        if self.goal is Goal.PROPORTIONAL_FAIR:
            builders["assignment"] = assignment_form
        return builders[dialect](self) if dialect in builders else None

    # -- evaluation ----------------------------------------------------------------------------------------------

    def _evaluate(self, X: FloatArray) -> Evaluation:
        from optisolve.problems.user_association.kernels import evaluate

        F, G = np.empty((X.shape[0], 1)), np.empty((X.shape[0], 1))
        evaluate(X, self.rate_mbps, self._log_rate, _GOAL_CODE[self.goal], RATE_FLOOR_MBPS, F, G)
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
