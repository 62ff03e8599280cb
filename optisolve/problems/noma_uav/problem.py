"""The family `noma_uav`: scenario numbers, drawing of users, reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Interval

from optisolve.core.arrays import FloatArray
from optisolve.core.errors import ProblemError
from optisolve.core.problem import Instance, Origin
from optisolve.core.reference import Effort, Reference
from optisolve.problems.instance_file import ArrayProblem, ArraySpec
from optisolve.problems.noma_uav.instance import NomaUavInstance
from optisolve.problems.noma_uav.model import Constants

__all__ = ["NomaUav"]

# Wide physical ranges, so that no intermediate result leaves the range of a double.
Length = Annotated[float, Interval(ge=1e-3, le=1e7)]
Power = Annotated[float, Interval(ge=1e-40, le=1e40)]


@dataclass(frozen=True, kw_only=True)
class NomaUav(ArrayProblem):
    """Hover point of one UAV and its NOMA power split; the largest sum rate under minimum rates.

    Args:
        n_users: Ground users K.
        area_m: Side of the square area, m.
        altitude_m: Flight altitude H, m.
        p_total_w: Transmit power P, W.
        gain_at_1m: Channel power gain rho_0 at 1 m, linear.
        noise_w: Noise power sigma^2, W.
        min_rate_bps_hz: Minimum rate of every drawn user, bit/s/Hz; 0 for none.
        power_order: A weaker user must get at least the power of a stronger one.
        layout: ``uniform`` over the area, or ``quadrants``: each user in another quadrant, whole meters, at most four
            users.
    """

    name: ClassVar[str] = "noma_uav"
    version: ClassVar[str] = "2"
    summary: ClassVar[str] = "Where a UAV hovers and how it splits its power among NOMA users with minimum rates."
    evidence: ClassVar[str] = "proven optimal (branch and bound over the position, exact split)"
    portable: ClassVar[bool] = True
    ARRAYS: ClassVar[tuple[ArraySpec, ...]] = (
        ArraySpec("users_m", ("K", 2), "m", lower=0.0, meaning="positions of the users", columns=("x_m", "y_m")),
        ArraySpec("min_rate_bps_hz", ("K",), "bit/s/Hz", lower=0.0, meaning="minimum rate of each user"),
    )

    n_users: Annotated[int, Ge(1)]
    area_m: Length
    altitude_m: Length
    p_total_w: Power
    gain_at_1m: Annotated[float, Interval(ge=1e-30, le=1e30)]
    noise_w: Power
    min_rate_bps_hz: Annotated[float, Interval(ge=0, le=1e6)]
    power_order: bool = False
    layout: Literal["uniform", "quadrants"] = "uniform"

    def reference(self, instance: Instance, effort: Effort = Effort.NORMAL) -> Reference | None:
        """Branch and bound over the position with the exact split; certified to 1e-3, 1e-4 or 1e-5 relative."""
        from optisolve.problems.noma_uav.reference import reference

        assert isinstance(instance, NomaUavInstance)
        return reference(instance, effort)

    def _draw(self, rng: np.random.Generator) -> Mapping[str, npt.ArrayLike]:
        if self.layout == "uniform":
            users: npt.NDArray[Any] = rng.uniform(0.0, self.area_m, (self.n_users, 2))
        else:
            if self.n_users > 4:
                raise ProblemError(
                    f"{self.scenario or self.name}: layout 'quadrants' has room for 4 users, got {self.n_users}."
                )
            quadrant = rng.permutation(4)[: self.n_users]  # [K]
            corner = np.column_stack([quadrant % 2, quadrant // 2]) * (self.area_m / 2.0)
            users = corner + rng.integers(0, int(self.area_m / 2.0), (self.n_users, 2), endpoint=True).astype(np.float64)
        return {"users_m": users, "min_rate_bps_hz": np.full(self.n_users, self.min_rate_bps_hz)}

    def _build(self, origin: Origin, arrays: Mapping[str, FloatArray]) -> Instance:
        users, min_rate = arrays["users_m"], arrays["min_rate_bps_hz"]
        if (users > self.area_m).any():
            raise ProblemError(f"users_m: largest coordinate {users.max():g} m; expected at most area_m = {self.area_m:g} m.")
        if self.power_order and np.ptp(min_rate) > 0.0:
            raise ProblemError("min_rate_bps_hz: power_order needs one minimum rate for all users; the bound would not hold.")
        constants = Constants(self.altitude_m, self.noise_w / self.gain_at_1m, self.p_total_w, self.power_order)
        return NomaUavInstance(origin, constants, self.area_m, users, min_rate)
