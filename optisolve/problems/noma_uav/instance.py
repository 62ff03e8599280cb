"""One case of `noma_uav`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from optisolve.core.arrays import FloatArray
from optisolve.core.bridge import Bridge
from optisolve.core.problem import FEASIBILITY_TOLERANCE, Description, Evaluation, Instance, Objective, Origin, Sense
from optisolve.core.space import Space, Variable
from optisolve.problems.noma_uav import model
from optisolve.problems.noma_uav.model import Constants

if TYPE_CHECKING:
    import torch
    from matplotlib.axes import Axes

__all__ = ["NomaUavInstance"]


class NomaUavInstance(Instance):
    """Users on the ground, one UAV above them.

    Args:
        origin: How to make it again.
        constants: Altitude, radio constants, power, order rule.
        area_m: Side of the square area, m.
        users_m: float64 [K, 2], m, read-only.
        min_rate: float64 [K], bit/s/Hz, read-only.
    """

    def __init__(self, origin: Origin, constants: Constants, area_m: float, users_m: FloatArray, min_rate: FloatArray) -> None:
        self.constants, self.area_m, self.users_m, self.min_rate = constants, area_m, users_m, min_rate
        K, P = users_m.shape[0], constants.p_total_w
        overhead = math.log1p(P / (constants.noise_over_gain_1m_w * constants.altitude_m**2)) / math.log(2.0)
        wanting = [k for k in range(K) if min_rate[k] > 0.0]
        order = [f"noma_order{i}" for i in range(K - 1)] if constants.power_order else []
        super().__init__(
            origin=origin,
            space=Space.of(
                [Variable("uav.x_m", 0.0, area_m, "m"), Variable("uav.y_m", 0.0, area_m, "m")]
                + [Variable(f"user{k}.p_w", 0.0, P, "W") for k in range(K)]
            ),
            objectives=(
                Objective(
                    "sum_rate",
                    Sense.MAXIMIZE,
                    "bit/s/Hz",
                    "Sum of the users' rates after successive interference cancellation.",
                    scale=0.01 * overhead,  # rates of the plain-number scenario are near 1e-4
                ),
            ),
            constraint_names=("total_power", *(f"min_rate{k}" for k in wanting), *order),
        )

    def arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        """Users and their minimum rates."""
        return {"users_m": self.users_m, "min_rate_bps_hz": self.min_rate}

    def features(self) -> Mapping[str, npt.NDArray[Any]]:
        """Users in units of the area's side, and minimum rates."""
        return {"users": self.users_m / self.area_m, "min_rate_bps_hz": self.min_rate}

    def describe(self) -> Description:
        """The instance in words."""
        c, K = self.constants, self.users_m.shape[0]
        constraints = [f"The powers add up to at most {c.p_total_w:g} W."]
        if (self.min_rate > 0).any():
            constraints.append("Every user gets at least its minimum rate.")
        if c.power_order:
            constraints.append("A user with a weaker channel gets at least as much power as one with a stronger channel.")
        facts = [
            f"user{k} at ({x:.0f}, {y:.0f}) m, minimum rate {r:g} bit/s/Hz"
            for k, ((x, y), r) in enumerate(zip(self.users_m, self.min_rate, strict=True))
        ]
        return Description(
            f"Place one UAV at {c.altitude_m:g} m over a {self.area_m:g} m square and split {c.p_total_w:g} W among {K} users "
            "that share one channel by NOMA. The sum of rates is to be large.",
            constraints=tuple(constraints),
            facts=tuple(facts),
            hints=(
                "Users are decoded from weak to strong: a user hears only the signals meant for users nearer to the UAV.",
                "Power beyond the minimum rates of the weak users is worth most at the user nearest to the UAV.",
                "The best position lies inside the convex hull of the users. Moving the UAV towards a user raises that user's "
                "gain and lowers the gain of those behind it, and may change the order in which users are decoded.",
                "A user's power disturbs only users with weaker channels: power for the weakest one disturbs nobody, power for "
                "the strongest one disturbs all. Give weak users just what their minimum rates need.",
            ),
        )

    def null_policies(self) -> Mapping[str, FloatArray]:
        """The users' centroid with equal power, and with the exact split where it meets the minimum rates."""
        c, K = self.constants, self.users_m.shape[0]
        centroid = self.users_m.mean(axis=0)
        policies = {"centroid_equal_power": np.concatenate([centroid, np.full(K, c.p_total_w / K)])[None]}
        noise = model.noise_over_gain_w(c, self.users_m, centroid[None])[0]
        power = model.best_split(c, noise, self.min_rate)
        if power is not None:
            policies["centroid_exact_split"] = np.concatenate([centroid, power])[None]
        return policies

    def hovering(self, place_m: FloatArray, /) -> FloatArray | None:
        """A position with its exact split, or with one that misses the minimum rates by a little less than is accepted.

        Args:
            place_m: float64 [2], m.

        Returns:
            float64 [2 + K]; None where no split does.
        """
        noise = model.noise_over_gain_w(self.constants, self.users_m, place_m[None])[0]
        for missed in (0.0, 0.9 * FEASIBILITY_TOLERANCE):
            power = model.best_split(self.constants, noise, self.min_rate * (1.0 - missed))
            if power is not None:
                return np.concatenate([place_m, power])
        return None

    def bridge(self) -> Bridge:
        """What a sampler must know about this family."""
        from optisolve.problems.noma_uav.sampling import NomaUavBridge

        return NomaUavBridge()

    def jacobian(self, X: FloatArray) -> FloatArray:
        """Slopes of the sum rate, float64 [n, 1, 2 + K], bit/s/Hz per m and per W."""
        return model.sum_rate_slopes(self.constants, self.users_m, X)[:, None, :]

    def objective_torch(self, x: torch.Tensor) -> torch.Tensor:
        """The objective, differentiable almost everywhere (not where two users are at one distance).

        Args:
            x: Tensor [n, 2 + K].

        Returns:
            Tensor [n, 1], bit/s/Hz, the values of `evaluate_twin`.
        """
        import torch

        from optisolve.problems.noma_uav.sampling import sum_rate

        users = torch.as_tensor(self.users_m.copy(), dtype=x.dtype, device=x.device)
        c, power = self.constants, x[:, 2:]
        noise = c.noise_over_gain_1m_w * (c.altitude_m**2 + ((users[None] - x[:, None, :2]) ** 2).sum(dim=2))  # [n, K]
        noise, order = torch.sort(noise, dim=1, stable=True)
        return sum_rate(torch.gather(power, 1, order), noise)[:, None]

    def draw(self, axes: Axes, x: FloatArray) -> bool:
        """A map: users with their rates, and the UAV."""
        from optisolve.plotting.maps import draw_map

        noise = model.noise_over_gain_w(self.constants, self.users_m, x[None, :2])
        rate, _ = model.rates(noise, x[None, 2:])
        draw_map(
            axes,
            side_m=self.area_m,
            users_m=self.users_m,
            stations_m=x[None, :2],
            served_by=np.zeros(len(self.users_m), dtype=np.int64),
            labels=[f"{x[2:].sum() * 1e3:.3g} mW"],
            station=f"UAV at {self.constants.altitude_m:g} m altitude, total power",
            user_labels=[f"{own:.3g}" for own in rate[0]],
            user="users, rate in bit/s/Hz",
            widths=0.5 + 4.0 * x[2:] / self.constants.p_total_w,
        )
        return True

    def _evaluate(self, X: FloatArray) -> Evaluation:
        from optisolve.problems.noma_uav import kernels

        F, G = np.empty((X.shape[0], 1)), np.empty((X.shape[0], len(self.constraint_names)))
        kernels.evaluate(*self._kernel_arguments(), X, F, G)
        return Evaluation(F, G, np.empty((X.shape[0], 0)))

    def _evaluate_twin(self, X: FloatArray) -> Evaluation:
        F, G = model.evaluate(self.constants, self.users_m, self.min_rate, X)
        return Evaluation(F, G, np.empty((X.shape[0], 0)))

    def _project(self, X: FloatArray) -> FloatArray:
        from optisolve.problems.noma_uav import kernels

        X = np.ascontiguousarray(X)
        kernels.repair(*self._kernel_arguments(), X)
        return X

    def _kernel_arguments(self) -> tuple[FloatArray, FloatArray, float, float, float, bool]:
        c = self.constants
        return self.users_m, self.min_rate, c.altitude_m, c.noise_over_gain_1m_w, c.p_total_w, c.power_order
