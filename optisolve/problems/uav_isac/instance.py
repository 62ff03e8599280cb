"""One case of `uav_isac`: users are placed, equations are bound."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from optisolve.core import Description, Evaluation, Instance, Origin, Space, Variable
from optisolve.core.arrays import FloatArray
from optisolve.problems.uav_isac import model, policies
from optisolve.problems.uav_isac.packing import lattice
from optisolve.problems.uav_isac.words import describe

if TYPE_CHECKING:
    from optisolve.problems.uav_isac.problem import UavIsac

__all__ = ["UavIsacInstance"]

_SAFE_EXPONENT = 280.0  # products of rates stay inside 10^-280 ... 10^280


class UavIsacInstance(Instance):
    """One case of `uav_isac`.

    Attributes:
        problem: The scenario.
        users_m: float64 [K, 2], read-only, m.
    """

    def __init__(self, problem: UavIsac, *, origin: Origin, users_m: FloatArray) -> None:
        n_uavs = problem.n_uavs
        super().__init__(
            origin=origin,
            space=Space.of(_variables(problem)),
            objectives=problem.objectives,
            constraint_names=(
                *(f"separation[{i},{j}]" for i in range(n_uavs) for j in range(i + 1, n_uavs)),
                "total_power",
            ),
            hypervolume_box=problem.box,
        )
        self.problem = problem
        self.users_m = users_m
        self._constants = problem.constants
        self._packed = pack(problem, len(users_m))

    def links(self, x: npt.ArrayLike) -> model.Links:
        """Association, SINR, rate and error bound of every user at one point.

        Args:
            x: [3M], inside the bounds.
        """
        point = self.space.require(x, what="x")
        return model.links(point[0], self.users_m, self._constants, self.problem.rate_ref_bps)

    def describe(self) -> Description:
        """The case in words."""
        return describe(self.problem, self.users_m)

    def arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        """Users, and the numbers of the scenario that enter the equations."""
        return {"users_m": self.users_m, "constants": self._packed}

    def features(self) -> Mapping[str, npt.NDArray[Any]]:
        """Users in units of the area [K, 2], and the caps relative to it."""
        p = self.problem
        scales = [p.n_uavs, p.altitude_m / p.area_m, p.d_min_m / p.area_m, p.p_min_w / p.p_max_w, p.p_total_w / p.p_max_w]
        return {"users": self.users_m / p.area_m, "scenario": np.array(scales, dtype=np.float64)}

    def null_policies(self) -> Mapping[str, FloatArray]:
        """Three placements with equal powers; see the model card."""
        drafts = policies.drafts(self.problem, self.users_m)
        return {name: self.project(x) for name, x in drafts.items()}

    def _evaluate(self, X: FloatArray) -> Evaluation:
        from optisolve.problems.uav_isac.threads import evaluate

        F = np.empty((X.shape[0], 2))
        G = np.empty((X.shape[0], len(self.constraint_names)))
        evaluate(X, self.users_m, self._packed, F, G)
        return Evaluation(F, G, np.empty((X.shape[0], 0)))

    def _evaluate_twin(self, X: FloatArray) -> Evaluation:
        F, G = model.evaluate(X, self.users_m, self._constants)
        return Evaluation(F, G, np.empty((X.shape[0], 0)))

    def _project(self, X: FloatArray) -> FloatArray:
        from optisolve.problems.uav_isac.repair import project_rows

        p = self.problem
        points, _ = lattice(p.n_uavs, p.area_m)
        project_rows(X, points, p.area_m, p.d_min_m, p.p_min_w, p.p_max_w, p.p_total_w)
        return X


def pack(problem: UavIsac, n_users: int) -> FloatArray:
    """The numbers the kernel needs in one array, since every argument of a compiled call costs time.

    Args:
        problem: The scenario.
        n_users: Number of users K.

    Returns:
        float64 [12 + K + 1], read-only: H^2, noise / alpha0, kappa, epsilon, d_min, P_tot, the constant part of the
        utility, users per logarithm, the four channel parameters (zeros for line of sight), then L ln L for
        L = 0 ... K, the price of sharing a UAV's band.
    """
    c = problem.constants
    ch = c.channel
    loads = np.arange(n_users + 1, dtype=np.float64)
    offset = n_users * math.log(c.rate_scale / math.log(2.0))
    head = [c.altitude_m**2, c.noise_over_gain, c.ranging_per_w, c.prior_per_m2, c.d_min_m, c.p_total_w, offset]
    channel = [ch.a_deg, ch.b_per_deg, ch.eta_los_db, ch.eta_nlos_db] if ch else [0.0] * 4
    price = loads * np.log(np.maximum(loads, 1.0))
    packed = np.concatenate([head, [_users_per_log(problem)], channel, price])
    packed.setflags(write=False)
    return packed


def _users_per_log(problem: UavIsac) -> float:
    """How many factors ln(1 + SINR) may be multiplied before a logarithm without leaving the range of a double."""
    c = problem.constants
    ch = c.channel
    gains = [1.0, 1.0] if ch is None else [10.0 ** (-eta / 10.0) for eta in (ch.eta_los_db, ch.eta_nlos_db)]
    near = max(gains) / c.altitude_m**2
    far = min(gains) / (2.0 * problem.area_m**2 + c.altitude_m**2)
    largest = math.log1p(problem.p_max_w * near / c.noise_over_gain)
    crowd = (problem.n_uavs - 1) * problem.p_max_w * near
    smallest = math.log1p(problem.p_min_w * far / (crowd + c.noise_over_gain))
    digits = max(abs(math.log10(value)) if value > 0 else _SAFE_EXPONENT for value in (smallest, largest))
    return float(max(1, int(_SAFE_EXPONENT / max(digits, 1e-3))))


def _variables(problem: UavIsac) -> list[Variable]:
    variables = []
    for m in range(problem.n_uavs):
        variables.append(Variable(f"uav{m}.x_m", 0.0, problem.area_m, "m"))
        variables.append(Variable(f"uav{m}.y_m", 0.0, problem.area_m, "m"))
        variables.append(Variable(f"uav{m}.p_w", problem.p_min_w, problem.p_max_w, "W"))
    return variables
