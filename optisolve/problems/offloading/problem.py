"""The offloading family: scenario numbers, random instances, references."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Interval, Lt

from optisolve.core.arrays import FloatArray
from optisolve.core.errors import FieldProblem, ProblemError
from optisolve.core.problem import Instance, Origin
from optisolve.core.reference import Effort, Reference
from optisolve.problems.instance_file import ArrayProblem, ArraySpec
from optisolve.problems.offloading.instance import OffloadingInstance

__all__ = ["Offloading"]

_MAX_DRAWS = 1000
_MOST = 1e40
"""Largest of all sizes, speeds, powers and times, and the inverse of the smallest: their products fit a double."""
_Positive = Annotated[float, Interval(ge=1.0 / _MOST, le=_MOST)]
_NonNegative = Annotated[float, Interval(ge=0.0, le=_MOST)]
_RARE = 0.01
"""Share of a normal law inside its limits below which it is inverted instead of drawn again and again."""


@dataclass(frozen=True)
class Offloading(ArrayProblem):
    """Tasks run locally or on an edge server whose processor the offloaded tasks share.

    Source: DiffSG, arXiv 2408.06701 (single server); deadlines and several servers after GDSG, arXiv 2412.08296.

    Args:
        n_users: Number of tasks N, one per user.
        n_servers: Number of servers S.
        channel: ``"total_interference"``, one server, amplitude gains uniform on (0, 1), every user disturbed by the sum
            of all, itself included (the DiffSG law); ``"path_loss"``, own subband per user, distance law in a disk.
        bandwidth_hz: Bandwidth of an upload, Hz.
        noise_w: Noise power in that bandwidth, W.
        tx_power_w: Transmit power during an upload, W.
        idle_power_w: Power of the device while it waits, W.
        task_bits_mean: Mean of the truncated normal law of the task size, bit.
        task_bits_std: Its standard deviation, bit.
        task_bits_min: Its lower end, bit.
        task_bits_max: Its upper end, bit.
        cycles_per_bit: Cycles per bit.
        local_hz_mean: Mean of the truncated normal law of the local processor, Hz.
        local_hz_std: Its standard deviation, Hz.
        local_hz_min: Its lower end, Hz.
        local_hz_max: Its upper end, Hz.
        server_hz: Processor speed of each server, Hz.
        kappa: Switched capacitance, J / (cycle Hz^2).
        deadline_s: Deadline of every task, s.
        hard_deadlines: The deadline is a constraint.
        share_min: Smallest share of a server that an offloaded task may get.
        feature_cap: Instances with a cost term (L, A or b^2) at or above this are drawn again; None keeps all.
        cell_radius_m: Radius of the disk, m; only for ``"path_loss"``.
        shadowing_db: Standard deviation of log-normal shadowing, dB; only for ``"path_loss"``.
    """

    name: ClassVar[str] = "offloading"
    version: ClassVar[str] = "2"
    summary: ClassVar[str] = (
        "Which tasks go to an edge server and which share of its processor each gets, at least time and energy."
    )
    evidence: ClassVar[str] = "proven optimal (elimination and enumeration); else dual bound"
    portable: ClassVar[bool] = True

    ARRAYS: ClassVar[tuple[ArraySpec, ...]] = (
        ArraySpec("task_bits", ("N",), "bit", 0.0, upper=_MOST, meaning="size of each task"),
        ArraySpec("cycles", ("N",), "cycles", 0.0, upper=_MOST, meaning="work of each task"),
        ArraySpec("local_hz", ("N",), "Hz", 1 / _MOST, upper=_MOST, meaning="processor speed of each user"),
        ArraySpec("time_weight", ("N",), "", 0.0, upper=1.0, meaning="weight of time against energy"),
        ArraySpec("rate_bps", ("N", "S"), "bit/s", 1 / _MOST, upper=_MOST, meaning="upload rate of each user to each server"),
        ArraySpec("server_hz", ("S",), "Hz", 1 / _MOST, upper=_MOST, meaning="processor speed of each server"),
        ArraySpec("deadline_s", ("N",), "s", 1 / _MOST, upper=_MOST, meaning="deadline of each task"),
        ArraySpec("kappa", (), "J/(cycle Hz^2)", 0.0, upper=_MOST, meaning="switched capacitance of the users' processors"),
        ArraySpec("tx_power_w", (), "W", 0.0, upper=_MOST, meaning="transmit power during an upload"),
        ArraySpec("idle_power_w", (), "W", 0.0, upper=_MOST, meaning="power while waiting for the server"),
    )

    n_users: Annotated[int, Ge(1)]
    n_servers: Annotated[int, Ge(1)]
    channel: Literal["total_interference", "path_loss"]
    bandwidth_hz: _Positive
    noise_w: _Positive
    tx_power_w: _Positive
    idle_power_w: _NonNegative
    task_bits_mean: _Positive
    task_bits_std: _NonNegative
    task_bits_min: _NonNegative
    task_bits_max: _Positive
    cycles_per_bit: _Positive
    local_hz_mean: _Positive
    local_hz_std: _NonNegative
    local_hz_min: _NonNegative
    local_hz_max: _Positive
    server_hz: _Positive
    kappa: _NonNegative
    deadline_s: _Positive
    hard_deadlines: bool
    share_min: Annotated[float, Ge(1e-12), Lt(1)]
    feature_cap: _Positive | None = None
    cell_radius_m: Annotated[float, Interval(ge=1e-3, le=1e8)] | None = None
    shadowing_db: Annotated[float, Interval(ge=0.0, le=30.0)] | None = None

    def reference(self, instance: Instance, effort: Effort = Effort.NORMAL) -> Reference | None:
        """The proven optimum by elimination and enumeration, else the best point and a dual bound; see `reference`."""
        from optisolve.problems.offloading.reference import LIMITS, solve_reference

        if not isinstance(instance, OffloadingInstance):
            raise ProblemError(f"offloading: got a {type(instance).__name__}; expected an instance of this family.")
        return solve_reference(instance, LIMITS[effort])

    def _check(self) -> Iterable[FieldProblem]:
        yield from super()._check()
        if self.channel == "path_loss":
            for name in ("cell_radius_m", "shadowing_db"):
                if getattr(self, name) is None:
                    yield FieldProblem(name, None, "a number, since channel is 'path_loss'")
        elif self.n_servers != 1:
            yield FieldProblem("n_servers", self.n_servers, "1, since channel is 'total_interference'")
        for name in ("task_bits", "local_hz"):
            low, mean, high = (getattr(self, f"{name}_{end}") for end in ("min", "mean", "max"))
            if not low <= mean <= high:
                yield FieldProblem(f"{name}_mean", mean, f"a value between {name}_min and {name}_max")

    def _draw(self, rng: np.random.Generator) -> Mapping[str, npt.ArrayLike]:
        for _ in range(_MAX_DRAWS):
            arrays = self._draw_once(rng)
            if arrays is not None:
                return arrays
        raise ProblemError(
            f"{self._title()}: {_MAX_DRAWS} draws in a row had a cost term above feature_cap={self.feature_cap}."
        )

    def _draw_once(self, rng: np.random.Generator) -> Mapping[str, npt.ArrayLike] | None:
        n = self.n_users
        bits = _truncated_normal(rng, self.task_bits_mean, self.task_bits_std, self.task_bits_min, self.task_bits_max, n)
        hz = _truncated_normal(rng, self.local_hz_mean, self.local_hz_std, self.local_hz_min, self.local_hz_max, n)
        bits, hz = np.floor(bits), np.maximum(1.0, np.floor(hz))  # the source draws whole bits and hertz
        arrays = {
            "task_bits": bits,
            "cycles": self.cycles_per_bit * bits,
            "local_hz": hz,
            "time_weight": rng.random(n),
            "rate_bps": self._rates(rng),
            "server_hz": np.full(self.n_servers, self.server_hz),
            "deadline_s": np.full(n, self.deadline_s),
            "kappa": np.array(self.kappa),
            "tx_power_w": np.array(self.tx_power_w),
            "idle_power_w": np.array(self.idle_power_w),
        }
        if self.feature_cap is not None:
            from optisolve.problems.offloading.model import costs

            c = costs(arrays, share_min=self.share_min, hard_deadlines=False)
            if max(c.local.max(), c.transmit.max(), (c.root**2).max()) >= self.feature_cap:
                return None
        return arrays

    def _rates(self, rng: np.random.Generator) -> FloatArray:
        """Upload rates, float64 [N, S], bit/s."""
        if self.channel == "total_interference":
            received = self.tx_power_w * rng.random(self.n_users) ** 2  # [N], W
            snr = (received / (self.noise_w + received.sum()))[:, None]  # the source's sum includes the user itself
        else:
            snr = self.tx_power_w * self._gains(rng) / self.noise_w
        rates: FloatArray = self.bandwidth_hz * np.log1p(snr) / np.log(2.0)
        return rates

    def _gains(self, rng: np.random.Generator) -> FloatArray:
        """Power gains by 128.1 + 37.6 log10(d/km) dB, shadowing and Rayleigh fading, float64 [N, S]."""
        assert self.cell_radius_m is not None  # `_check` saw to it
        assert self.shadowing_db is not None
        n, s = self.n_users, self.n_servers
        users = _in_disk(rng, n, self.cell_radius_m)
        servers = _in_disk(rng, s, self.cell_radius_m) if s > 1 else np.zeros((1, 2))
        distance_m = np.linalg.norm(users[:, None, :] - servers[None, :, :], axis=2)  # [N, S]
        loss_db = 128.1 + 37.6 * np.log10(np.maximum(distance_m, 10.0) / 1000.0)  # the law does not hold below 10 m
        loss_db = loss_db + rng.normal(0.0, self.shadowing_db, (n, s))
        gains: FloatArray = 10.0 ** (-loss_db / 10.0) * rng.exponential(1.0, (n, s))
        return gains

    def _build(self, origin: Origin, arrays: Mapping[str, FloatArray]) -> Instance:
        return OffloadingInstance(origin, arrays, share_min=self.share_min, hard_deadlines=self.hard_deadlines)


def _truncated_normal(rng: np.random.Generator, mean: float, std: float, low: float, high: float, size: int) -> FloatArray:
    """Normal values conditioned on [low, high], drawn again or, where few would stay, by inversion; float64 [size]."""
    from scipy.stats import norm, truncnorm

    if std > 0.0 and norm.cdf(high, mean, std) - norm.cdf(low, mean, std) < _RARE:
        return np.clip(truncnorm.ppf(rng.random(size), (low - mean) / std, (high - mean) / std, mean, std), low, high)
    values = rng.normal(mean, std, size)
    while True:
        outside = (values < low) | (values > high)
        if not outside.any():
            return values
        values[outside] = rng.normal(mean, std, int(outside.sum()))


def _in_disk(rng: np.random.Generator, n: int, radius_m: float) -> FloatArray:
    """Uniform points in a disk, float64 [n, 2], m."""
    r = radius_m * np.sqrt(rng.random(n))
    angle = 2.0 * np.pi * rng.random(n)
    return np.stack([r * np.cos(angle), r * np.sin(angle)], axis=1)
