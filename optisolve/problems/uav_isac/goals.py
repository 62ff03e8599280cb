"""Goals on `uav_isac`: what a goal may speak about."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.goals.goal_instance import MeasuredInstance
from optisolve.goals.metric import Metric
from optisolve.problems.uav_isac import model
from optisolve.problems.uav_isac.model import Constants

__all__ = ["UavIsacGoals"]


class UavIsacGoals(MeasuredInstance):
    """Rates and location errors of users, the family's two objectives, and the power of all UAVs.

    Attributes:
        constants: The scenario in SI units and linear scale.
        users_m: float64 [K, 2], m.
    """

    constants: Constants
    users_m: FloatArray

    def metrics(self) -> tuple[Metric, ...]:
        """``rate`` and ``location_error`` of every user, ``sum_rate``, ``utility``, ``error_bound``, ``total_power``."""
        n_users = len(self.users_m)
        error = ("location error", "localization error", "localisation error", "positioning error", "error", "error bound")
        mean = tuple(f"{kind} {words}" for kind in ("mean", "average") for words in error)
        return (
            Metric("rate", "bit/s", "data rate", True, n_users, ("rate", "data rate", "throughput")),
            Metric("location_error", "m", "smallest possible standard error of the location", False, n_users, error),
            Metric("sum_rate", "bit/s", "sum rate", True, 0, ("sum rate", "total rate", "total throughput", "capacity")),
            Metric(
                "utility", "", "sum of the logarithms of the rates", True, 0, ("utility", "proportional fairness", "fairness")
            ),
            Metric("error_bound", "m", "mean location error", False, 0, (*error, *mean)),
            Metric("total_power", "W", "power of all UAVs", False, 0, ("power", "energy", "total power", "transmit power")),
        )

    def metric_values(self, X: FloatArray) -> Mapping[str, FloatArray]:
        """The metrics at points float64 [n, 3M]."""
        rate, error = model.user_values(X, self.users_m, self.constants)
        return {
            "rate": rate,
            "location_error": error,
            "sum_rate": np.asarray(rate.sum(axis=1)),
            "utility": np.asarray(np.log(rate / self.constants.rate_ref_bps).sum(axis=1)),
            "error_bound": np.asarray(error.mean(axis=1)),
            "total_power": np.asarray(X[:, 2::3].sum(axis=1)),
        }
