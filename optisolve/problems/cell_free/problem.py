"""The family `cell_free`: scenario numbers, drawing of gains, reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Gt

from optisolve.core.arrays import FloatArray
from optisolve.core.problem import Instance, Origin
from optisolve.core.reference import Effort, Reference
from optisolve.problems.cell_free.instance import CellFreeInstance
from optisolve.problems.instance_file import ArrayProblem, ArraySpec

__all__ = ["CellFree"]


@dataclass(frozen=True, kw_only=True)
class CellFree(ArrayProblem):
    """Downlink power coefficients of a cell-free massive MIMO network; the largest worst rate.

    Args:
        n_access_points: Access points M.
        n_users: Users K.
        area_m: Side of the square in which both are uniform, m.
        distance_min_m: Distances are at least this, m.
        loss_1km_db: Path loss at 1 km, dB.
        loss_slope_db: Path loss per decade of distance, dB.
        shadowing_db: Standard deviation of log-normal shadowing, dB.
        p_access_point_w: Transmit power of an access point, W.
        p_pilot_w: Pilot power of a user, W.
        pilot_symbols: Length tau of the orthogonal pilots, symbols; at least K.
        bandwidth_hz: Bandwidth, Hz.
        noise_dbm_hz: Noise density with the receiver's noise figure, dBm/Hz.
    """

    name: ClassVar[str] = "cell_free"
    version: ClassVar[str] = "1"
    summary: ClassVar[str] = "Power coefficients of cell-free massive MIMO for the largest worst rate."
    evidence: ClassVar[str] = "proven optimal (SOCP points, own dual bound)"
    ARRAYS: ClassVar[tuple[ArraySpec, ...]] = (
        ArraySpec(
            "beta", ("M", "K"), "", lower=0.0, strict=True, meaning="large-scale power gain, access point to user, linear"
        ),
    )

    n_access_points: Annotated[int, Ge(1)]
    n_users: Annotated[int, Ge(1)]
    area_m: Annotated[float, Gt(0)]
    distance_min_m: Annotated[float, Gt(0)]
    loss_1km_db: float
    loss_slope_db: Annotated[float, Gt(0)]
    shadowing_db: Annotated[float, Ge(0)]
    p_access_point_w: Annotated[float, Gt(0)]
    p_pilot_w: Annotated[float, Gt(0)]
    pilot_symbols: Annotated[int, Ge(1)]
    bandwidth_hz: Annotated[float, Gt(0)]
    noise_dbm_hz: float

    def reference(self, instance: Instance, effort: Effort = Effort.NORMAL) -> Reference | None:
        """Generalized Dinkelbach iteration over an SOCP, with a closed-form dual bound."""
        from optisolve.problems.cell_free.reference import reference

        assert isinstance(instance, CellFreeInstance)
        return reference(instance)

    def _draw(self, rng: np.random.Generator) -> Mapping[str, npt.ArrayLike]:
        points = rng.uniform(0.0, self.area_m, (self.n_access_points, 1, 2))
        users = rng.uniform(0.0, self.area_m, (1, self.n_users, 2))
        distance_m = np.maximum(np.linalg.norm(points - users, axis=2), self.distance_min_m)  # [M, K]
        loss_db = self.loss_1km_db + self.loss_slope_db * np.log10(distance_m / 1000.0)
        shadow_db = self.shadowing_db * rng.standard_normal(distance_m.shape)
        return {"beta": 10.0 ** ((shadow_db - loss_db) / 10.0)}

    def _build(self, origin: Origin, arrays: Mapping[str, FloatArray]) -> Instance:
        noise_w = 1e-3 * 10.0 ** (self.noise_dbm_hz / 10.0) * self.bandwidth_hz
        pilot_snr = self.pilot_symbols * self.p_pilot_w / noise_w
        return CellFreeInstance(origin, arrays["beta"], self.p_access_point_w / noise_w, pilot_snr)
