"""The OFDMA family: scenario numbers, random instances, references."""

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
from optisolve.problems.instance_file import ArrayProblem, ArraySpec
from optisolve.problems.resource_allocation.instance import ResourceAllocationInstance
from optisolve.problems.resource_allocation.model import Goal

__all__ = ["ResourceAllocation"]

_Length = Annotated[float, Interval(ge=1e-3, le=1e8)]
_Decibel = Annotated[float, Interval(ge=-400.0, le=400.0)]
_GAIN, _POWER, _WEIGHT, _BAND = 1e100, 1e40, 1e20, 1e30
"""These and their inverses bound gains and noise, powers, weights, bandwidths and rates: all their products fit a double."""


@dataclass(frozen=True)
class ResourceAllocation(ArrayProblem):
    """Downlink OFDMA: subcarriers and powers of one cell.

    Source: Yu and Lui 2006, doi 10.1109/TCOMM.2006.877962; Liu and Dai, arXiv 1212.5024 (complexity).

    Args:
        goal: ``sum_rate``, ``weighted_sum_rate``, ``min_rates`` or ``equal_power``.
        n_users: Number of users K.
        n_tones: Number of tones M.
        tone_hz: Bandwidth of a tone, Hz.
        power_total_w: Total transmit power, W.
        tone_power_max_w: Largest power of one tone, W.
        power_levels: Power levels of a tone besides off; 0 for continuous powers. Needed for ``min_rates``.
        weight_min: Weights are drawn uniformly from here ...
        weight_max: ... to here; used by ``weighted_sum_rate``.
        rate_min_bps: Minimum rate of every user, bit/s; used by ``min_rates``.
        quota: Largest number of tones of a user; used by ``equal_power``.
        cell_radius_m: Users are uniform in a disk of this radius, m.
        distance_min_m: No user is closer than this, m.
        shadowing_db: Standard deviation of log-normal shadowing per user, dB.
        noise_dbm_per_hz: Noise density, dBm/Hz.
        noise_figure_db: Noise figure of the receivers, dB.
    """

    name: ClassVar[str] = "resource_allocation"
    version: ClassVar[str] = "2"
    summary: ClassVar[str] = "Which user gets which OFDMA subcarrier and how much power, with or without rate guarantees."
    evidence: ClassVar[str] = "proven optimal (water-filling, Hungarian, CP-SAT with levels); dual bound for weighted rates"
    portable: ClassVar[bool] = True

    ARRAYS: ClassVar[tuple[ArraySpec, ...]] = (
        ArraySpec(
            "gain",
            ("K", "M"),
            "",
            1 / _GAIN,
            upper=_GAIN,
            meaning="channel power gain of each user on each tone",
            power_gain=True,
        ),
        ArraySpec("noise_w", (), "W", 1 / _GAIN, upper=_GAIN, meaning="noise power in one tone"),
        ArraySpec("tone_hz", (), "Hz", 1 / _BAND, upper=_BAND, meaning="bandwidth of a tone"),
        ArraySpec("power_total_w", (), "W", 1 / _POWER, upper=_POWER, meaning="total transmit power"),
        ArraySpec("tone_power_max_w", (), "W", 1 / _POWER, upper=_POWER, meaning="largest power of one tone"),
        ArraySpec(
            "weight",
            ("K",),
            "",
            1 / _WEIGHT,
            upper=_WEIGHT,
            meaning="weight of each user, used by weighted_sum_rate",
            default=1.0,
        ),
        ArraySpec("rate_min_bps", ("K",), "bit/s", 0.0, upper=_BAND, meaning="minimum rate of each user, used by min_rates"),
        ArraySpec("quota", ("K",), "tones", 0.0, integer=True, meaning="most tones of each user, used by equal_power"),
    )

    goal: Goal
    n_users: Annotated[int, Ge(1)]
    n_tones: Annotated[int, Ge(1)]
    tone_hz: Annotated[float, Interval(ge=1 / _BAND, le=_BAND)]
    power_total_w: Annotated[float, Interval(ge=1 / _POWER, le=_POWER)]
    tone_power_max_w: Annotated[float, Interval(ge=1 / _POWER, le=_POWER)]
    power_levels: Annotated[int, Ge(0)]
    weight_min: Annotated[float, Interval(ge=1 / _WEIGHT, le=_WEIGHT)]
    weight_max: Annotated[float, Interval(ge=1 / _WEIGHT, le=_WEIGHT)]
    rate_min_bps: Annotated[float, Interval(ge=0.0, le=_BAND)]
    quota: Annotated[int, Ge(0)]
    cell_radius_m: _Length
    distance_min_m: _Length
    shadowing_db: Annotated[float, Interval(ge=0.0, le=30.0)]
    noise_dbm_per_hz: _Decibel
    noise_figure_db: _Decibel

    def reference(self, instance: Instance, effort: Effort = Effort.NORMAL) -> Reference | None:
        """The proven optimum where the goal allows one, else the best point and a dual bound; see `reference`."""
        from optisolve.problems.resource_allocation.reference import LIMITS, solve_reference

        if not isinstance(instance, ResourceAllocationInstance):
            raise ProblemError(f"resource_allocation: got a {type(instance).__name__}; expected an instance of this family.")
        return solve_reference(instance, LIMITS[effort])

    def _check(self) -> Iterable[FieldProblem]:
        yield from super()._check()
        if self.goal is Goal.MIN_RATES and self.power_levels == 0:
            yield FieldProblem("power_levels", 0, "at least 1, since goal is 'min_rates' (its reference needs levels)")
        if self.goal is Goal.EQUAL_POWER and self.power_levels:
            yield FieldProblem("power_levels", self.power_levels, "0, since goal is 'equal_power'")
        if self.weight_max < self.weight_min:
            yield FieldProblem("weight_max", self.weight_max, f"at least weight_min = {self.weight_min:g}")

    def _draw(self, rng: np.random.Generator) -> Mapping[str, npt.ArrayLike]:
        k, m = self.n_users, self.n_tones
        low, high = self.distance_min_m**2, self.cell_radius_m**2
        distance_m = np.sqrt(low + (high - low) * rng.random(k))  # uniform in the ring's area
        loss_db = 128.1 + 37.6 * np.log10(distance_m / 1000.0) + rng.normal(0.0, self.shadowing_db, k)  # [K]
        return {
            "gain": 10.0 ** (-loss_db[:, None] / 10.0) * rng.exponential(1.0, (k, m)),  # Rayleigh, independent tones
            "noise_w": np.array(self._noise_w()),
            "tone_hz": np.array(self.tone_hz),
            "power_total_w": np.array(self.power_total_w),
            "tone_power_max_w": np.array(self.tone_power_max_w),
            "weight": rng.uniform(self.weight_min, self.weight_max, k),
            "rate_min_bps": np.full(k, self.rate_min_bps),
            "quota": np.full(k, float(self.quota)),
        }

    def _default(self, spec: ArraySpec) -> float | None:
        return self._noise_w() if spec.name == "noise_w" else super()._default(spec)

    def _noise_w(self) -> float:
        """Noise power in one tone, W."""
        noise_dbm = self.noise_dbm_per_hz + self.noise_figure_db + 10.0 * np.log10(self.tone_hz)
        return float(10.0 ** (noise_dbm / 10.0) / 1000.0)

    def _build(self, origin: Origin, arrays: Mapping[str, FloatArray]) -> Instance:
        return ResourceAllocationInstance(origin, arrays, goal=self.goal, power_levels=self.power_levels)
