"""The user-association family: scenario numbers, random instances, references."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Gt, Interval, Le

from optisolve.core.arrays import FloatArray
from optisolve.core.errors import FieldProblem, OptionError, ProblemError
from optisolve.core.problem import Instance, Origin
from optisolve.core.reference import Effort, Reference
from optisolve.problems.instance_file import ArrayProblem, ArraySpec
from optisolve.problems.user_association.instance import UserAssociationInstance
from optisolve.problems.user_association.model import Goal

__all__ = ["UserAssociation"]

_Positive = Annotated[float, Gt(0)]
_Decibel = Annotated[float, Interval(ge=-400.0, le=400.0)]
"""Levels whose powers and ratios a double can hold, with distance law and shadowing on top."""
_RATES_BPS = (1e-250, 1e250)
"""Peak rates above 0 that can be multiplied and divided by loads and by each other."""


@dataclass(frozen=True)
class UserAssociation(ArrayProblem):
    """Users choose base stations that share their airtime equally.

    Source: Ye et al. 2013, doi 10.1109/TWC.2013.040413.120676; proportional fairness as a linear assignment with
    increasing slot costs is this project's derivation, see `model.count_costs`.

    Args:
        goal: ``proportional_fair``, ``max_min`` or ``sum_rate``.
        n_users: Number of users I.
        n_macro: Number of macro stations, on a ring (one alone sits in the center).
        n_small: Number of small stations, uniform in the disk.
        radius_m: Radius of the disk, m, at most 1e8.
        macro_power_dbm: Transmit power of a macro station, dBm.
        small_power_dbm: Transmit power of a small station, dBm.
        bandwidth_hz: Bandwidth of every station, Hz; all use the same band.
        noise_dbm_per_hz: Noise density, dBm/Hz.
        noise_figure_db: Noise figure of the receivers, dB.
        shadowing_db: Standard deviation of log-normal shadowing, dB.
        small_bias_db: Range-expansion bias of small stations in the ``biased`` null policy, dB.
        sinr_min_db: A station below this SINR is out of reach, unless it is the strongest; None for no limit, dB.
        fixed_rate_mbps: Every reachable user gets this peak rate, Mbit/s; None for the Shannon rate.
    """

    name: ClassVar[str] = "user_association"
    version: ClassVar[str] = "2"
    summary: ClassVar[str] = "Which base station serves which user when stations share airtime among their users."
    evidence: ClassVar[str] = "proven optimal (assignment; threshold and flow or CP-SAT; MILP), dual bound when time is up"
    portable: ClassVar[bool] = True

    ARRAYS: ClassVar[tuple[ArraySpec, ...]] = (
        ArraySpec(
            "peak_rate_bps", ("I", "J"), "bit/s", lower=0.0, meaning="rate of a user alone at a station, 0 = out of reach"
        ),
        ArraySpec("received_dbm", ("I", "J"), "dBm", meaning="received power, used by the null policies"),
        ArraySpec("bias_db", ("J",), "dB", meaning="range-expansion bias of each station, used by a null policy", default=0.0),
    )

    goal: Goal
    n_users: Annotated[int, Ge(1)]
    n_macro: Annotated[int, Ge(0)]
    n_small: Annotated[int, Ge(0)]
    radius_m: Annotated[float, Gt(0), Le(1e8)]
    macro_power_dbm: _Decibel
    small_power_dbm: _Decibel
    bandwidth_hz: Annotated[float, Interval(ge=1e-30, le=1e30)]
    noise_dbm_per_hz: _Decibel
    noise_figure_db: _Decibel
    shadowing_db: Annotated[float, Interval(ge=0.0, le=30.0)]
    small_bias_db: _Decibel
    sinr_min_db: _Decibel | None = None
    fixed_rate_mbps: Annotated[float, Interval(ge=1e-100, le=1e100)] | None = None

    def reference(self, instance: Instance, effort: Effort = Effort.NORMAL) -> Reference | None:
        """The proven optimum, or the best point and a dual bound when the limits are reached; see `reference`."""
        from optisolve.problems.user_association.reference import LIMITS, solve_reference

        if not isinstance(instance, UserAssociationInstance):
            raise ProblemError(f"user_association: got a {type(instance).__name__}; expected an instance of this family.")
        return solve_reference(instance, LIMITS[effort])

    def _check(self) -> Iterable[FieldProblem]:
        yield from super()._check()
        if self.n_macro + self.n_small < 1:
            yield FieldProblem("n_macro", self.n_macro, "at least one station, macro or small")

    def _draw(self, rng: np.random.Generator) -> Mapping[str, npt.ArrayLike]:
        stations = self._stations(rng)  # [J, 2], m
        users = _in_disk(rng, self.n_users, self.radius_m)  # [I, 2], m
        distance_m = np.linalg.norm(users[:, None, :] - stations[None, :, :], axis=2)  # [I, J]
        loss_db = 128.1 + 37.6 * np.log10(np.maximum(distance_m, 10.0) / 1000.0)  # the law does not hold below 10 m
        loss_db = loss_db + rng.normal(0.0, self.shadowing_db, loss_db.shape)
        power_dbm = np.repeat([self.macro_power_dbm, self.small_power_dbm], [self.n_macro, self.n_small])  # [J]
        received_dbm = power_dbm - loss_db
        received_mw = 10.0 ** (received_dbm / 10.0)
        noise_mw = 10.0 ** ((self.noise_dbm_per_hz + self.noise_figure_db) / 10.0) * self.bandwidth_hz
        others_mw = np.stack([np.delete(received_mw, j, axis=1).sum(axis=1) for j in range(power_dbm.size)], axis=1)
        sinr = received_mw / (noise_mw + others_mw)  # [I, J]
        return {
            "peak_rate_bps": self._peak_rates(sinr),
            "received_dbm": received_dbm,
            "bias_db": np.repeat([0.0, self.small_bias_db], [self.n_macro, self.n_small]),
        }

    def _stations(self, rng: np.random.Generator) -> FloatArray:
        """Macro stations on a ring of half the radius, small ones at random; float64 [J, 2], m."""
        angle = 2.0 * np.pi * np.arange(self.n_macro) / max(1, self.n_macro)
        ring = 0.5 * self.radius_m if self.n_macro > 1 else 0.0
        macro = ring * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        return np.concatenate([macro, _in_disk(rng, self.n_small, self.radius_m)])

    def _peak_rates(self, sinr: FloatArray) -> FloatArray:
        """Peak rates, float64 [I, J], bit/s; 0 out of reach."""
        if self.fixed_rate_mbps is None:
            rates: FloatArray = self.bandwidth_hz * np.log1p(sinr) / np.log(2.0)  # no digit is lost far below the noise
        else:
            rates = np.full(sinr.shape, self.fixed_rate_mbps * 1e6)
        if self.sinr_min_db is None:
            return rates
        strongest = sinr == sinr.max(axis=1, keepdims=True)
        return np.where(strongest | (sinr >= 10.0 ** (self.sinr_min_db / 10.0)), rates, 0.0)

    def _build(self, origin: Origin, arrays: Mapping[str, FloatArray]) -> Instance:
        rates = arrays["peak_rate_bps"]
        odd = (rates > 0.0) & ((rates < _RATES_BPS[0]) | (rates > _RATES_BPS[1]))
        if odd.any():
            i, j = (int(v) for v in np.argwhere(odd)[0])
            expected = f"0 or a rate between {_RATES_BPS[0]:g} and {_RATES_BPS[1]:g} bit/s"
            raise OptionError(self._title(), [FieldProblem(f"peak_rate_bps[{i}, {j}]", float(rates[i, j]), expected)])
        return UserAssociationInstance(origin, arrays, goal=self.goal)


def _in_disk(rng: np.random.Generator, n: int, radius_m: float) -> FloatArray:
    """Uniform points in a disk, float64 [n, 2], m."""
    r = radius_m * np.sqrt(rng.random(n))
    angle = 2.0 * np.pi * rng.random(n)
    return np.stack([r * np.cos(angle), r * np.sin(angle)], axis=1)
