"""The family `cell_free`: scenario numbers, drawing of gains, reference."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Interval

from optisolve.core.arrays import FloatArray
from optisolve.core.errors import FieldProblem, ProblemError
from optisolve.core.problem import Instance, Origin
from optisolve.core.reference import Effort, Reference
from optisolve.problems.cell_free.instance import CellFreeInstance
from optisolve.problems.instance_file import ArrayProblem, ArraySpec

__all__ = ["CellFree"]

# Wide physical ranges, so that no intermediate result leaves the range of a double.
Length = Annotated[float, Interval(ge=1e-3, le=1e7)]
Power = Annotated[float, Interval(ge=1e-30, le=1e30)]
SNR_RANGE = (1e-100, 1e100)


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
    version: ClassVar[str] = "2"
    summary: ClassVar[str] = "Power coefficients of cell-free massive MIMO for the largest worst rate."
    evidence: ClassVar[str] = "proven optimal (SOCP points, own dual bound)"
    ARRAYS: ClassVar[tuple[ArraySpec, ...]] = (
        ArraySpec(
            "beta", ("M", "K"), "", lower=0.0, strict=True, meaning="large-scale power gain, access point to user, linear"
        ),
    )

    n_access_points: Annotated[int, Ge(1)]
    n_users: Annotated[int, Ge(1)]
    area_m: Length
    distance_min_m: Length
    loss_1km_db: Annotated[float, Interval(ge=-300, le=300)]
    loss_slope_db: Annotated[float, Interval(gt=0, le=200)]
    shadowing_db: Annotated[float, Interval(ge=0, le=100)]
    p_access_point_w: Power
    p_pilot_w: Power
    pilot_symbols: Annotated[int, Interval(ge=1, le=1_000_000)]
    bandwidth_hz: Annotated[float, Interval(ge=1e-15, le=1e24)]
    noise_dbm_hz: Annotated[float, Interval(ge=-450, le=450)]

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
        beta = arrays["beta"]
        if beta.shape[1] > self.pilot_symbols:  # the users of an instance file are counted only here
            raise ProblemError(
                f"beta: {beta.shape[1]} users, but pilot_symbols = {self.pilot_symbols}; orthogonal pilots need a symbol for "
                "every user."
            )
        noise_w = 1e-3 * 10.0 ** (self.noise_dbm_hz / 10.0) * self.bandwidth_hz
        pilot_snr = self.pilot_symbols * self.p_pilot_w / noise_w
        snr = self.p_access_point_w / noise_w
        low, high = SNR_RANGE
        for name, value in (("p_access_point_w", snr), ("p_pilot_w", pilot_snr)):
            least, most = float(beta.min()) * value, float(beta.max()) * value
            if not (low <= least and most <= high):
                raise ProblemError(
                    f"{name}: signal-to-noise ratios from {least:.3g} to {most:.3g} between access points and users; expected "
                    f"{low:g} to {high:g} (see area_m, the path loss and noise_dbm_hz)."
                )
        return CellFreeInstance(origin, beta, snr, pilot_snr)

    def _check(self) -> Iterable[FieldProblem]:
        if self.instance_file is None and self.instance_data is None and self.pilot_symbols < self.n_users:
            yield FieldProblem(
                "pilot_symbols",
                self.pilot_symbols,
                f"at least n_users = {self.n_users}: orthogonal pilots need a symbol per user",
            )
