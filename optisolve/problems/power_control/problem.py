"""Power control as a family: which channel, which goal, which floors."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Gt, Le

from optisolve.core.arrays import FloatArray, frozen
from optisolve.core.errors import FieldProblem, ProblemError
from optisolve.core.motion import Fading, GaussMarkov, Motion, RandomWaypoint, Walking
from optisolve.core.problem import Instance, Moved, Origin
from optisolve.core.reference import Effort, Reference
from optisolve.core.seeds import generator
from optisolve.numerics.interference import LARGEST_SNR, MOST_BITS, sinr
from optisolve.problems.instance_file import ArrayProblem, ArraySpec
from optisolve.problems.power_control.geometry import Geometry, drop_pairs, gaussian_gain, geometric_gain, path_loss_db
from optisolve.problems.power_control.instance import PowerControlInstance
from optisolve.problems.power_control.model import Goal, Links

__all__ = ["Channel", "Geometry", "PowerControl", "gaussian_gain", "geometric_gain", "path_loss_db"]

_SMALLEST_W = 1e-200

_GEOMETRIC = (
    "area_side_m",
    "link_min_m",
    "link_max_m",
    "carrier_hz",
    "bandwidth_hz",
    "noise_dbm_hz",
    "antenna_height_m",
    "antenna_gain_db",
    "snr_gap_db",
    "shadowing_db",
)


class Channel(StrEnum):
    """Law of the random channel."""

    GAUSSIAN = "gaussian"
    GEOMETRIC = "geometric"


@dataclass(frozen=True)
class PowerControl(ArrayProblem):
    """Transmit powers of links that share one band.

    Args:
        goal: What is optimized.
        channel: ``gaussian`` (all pairs |CN(0, 1)|^2) or ``geometric`` (pairs dropped in a square).
        n_links: Number of links K.
        p_max_w: Power cap of every link, W.
        weight_low: Weights are uniform between this and `weight_high`.
        weight_high: See `weight_low`.
        min_rate_share: Minimum rate of each link as a share of its rate when all transmit at full power; such floors can
            always be met. 0 for none.
        min_rate_bit_s_hz: The same minimum rate for all links, bit/s/Hz; may be infeasible. 0 for none.
        circuit_power_w: Power consumed in any case, W; energy efficiency only.
        power_slope: Consumed per radiated power (inverse amplifier efficiency); energy efficiency only.
        noise_w: Noise power, W; Gaussian channel only.
        cross_gain: Factor on all cross gains; Gaussian channel only.
        area_side_m: Side of the square, m; this and all below: geometric channel only.
        link_min_m: Shortest direct link, m.
        link_max_m: Longest direct link, m.
        carrier_hz: Carrier frequency, Hz.
        bandwidth_hz: Bandwidth, Hz; only scales the noise, rates stay per hertz.
        noise_dbm_hz: Noise density, dBm/Hz.
        antenna_height_m: Height of all antennas, m.
        antenna_gain_db: Antenna gain, counted once per link, dB.
        snr_gap_db: Loss of practical coding against capacity, divided out of the direct gains, dB.
        shadowing_db: Standard deviation of log-normal shadowing, dB.
        rayleigh: Add Rayleigh fading.
    """

    name: ClassVar[str] = "power_control"
    version: ClassVar[str] = "2"
    summary: ClassVar[str] = "Powers on an interference channel: sum rate, least power, max-min rate or energy efficiency."
    evidence: ClassVar[str] = "proven optimal (rates: to 0.01 % for about 10 links, a bound beyond)"
    ARRAYS: ClassVar[tuple[ArraySpec, ...]] = (
        ArraySpec(
            "gain",
            ("K", "K"),
            lower=0.0,
            meaning="power gain to receiver i (row) from transmitter j (column), linear",
            power_gain=True,
        ),
        ArraySpec("noise_w", ("K",), "W", lower=0.0, strict=True, meaning="noise power of each receiver"),
        ArraySpec("p_max_w", ("K",), "W", lower=0.0, strict=True, meaning="power cap of each link"),
        ArraySpec(
            "weight",
            ("K",),
            lower=0.0,
            upper=1e30,
            meaning="weight of each link; counts for the weighted sum rate only",
            default=1.0,
        ),
        ArraySpec(
            "min_rate_bit_s_hz", ("K",), "bit/s/Hz", lower=0.0, upper=MOST_BITS, meaning="minimum rate of each link, 0 for none"
        ),
    )

    goal: Goal
    channel: Channel
    n_links: Annotated[int, Ge(1)]
    p_max_w: Annotated[float, Gt(0)]
    weight_low: Annotated[float, Ge(0), Le(1e30)] = field(kw_only=True)
    weight_high: Annotated[float, Ge(0), Le(1e30)] = field(kw_only=True)
    min_rate_share: Annotated[float, Ge(0), Le(1)] = field(kw_only=True)
    min_rate_bit_s_hz: Annotated[float, Ge(0), Le(MOST_BITS)] = field(kw_only=True)
    circuit_power_w: Annotated[float, Ge(1e-200), Le(1e200)] = field(kw_only=True)
    power_slope: Annotated[float, Ge(1), Le(1e12)] = field(kw_only=True)
    noise_w: Annotated[float, Gt(0)] | None = field(default=None, kw_only=True)
    cross_gain: Annotated[float, Ge(0), Le(1e60)] | None = field(default=None, kw_only=True)
    area_side_m: Annotated[float, Gt(0), Le(1e9)] | None = field(default=None, kw_only=True)
    link_min_m: Annotated[float, Gt(0), Le(1e9)] | None = field(default=None, kw_only=True)
    link_max_m: Annotated[float, Gt(0), Le(1e9)] | None = field(default=None, kw_only=True)
    carrier_hz: Annotated[float, Ge(1e3), Le(1e15)] | None = field(default=None, kw_only=True)
    bandwidth_hz: Annotated[float, Ge(1e-3), Le(1e15)] | None = field(default=None, kw_only=True)
    noise_dbm_hz: Annotated[float, Ge(-1000), Le(1000)] | None = field(default=None, kw_only=True)
    antenna_height_m: Annotated[float, Ge(1e-3), Le(1e6)] | None = field(default=None, kw_only=True)
    antenna_gain_db: Annotated[float, Ge(-200), Le(200)] | None = field(default=None, kw_only=True)
    snr_gap_db: Annotated[float, Ge(0), Le(200)] | None = field(default=None, kw_only=True)
    shadowing_db: Annotated[float, Ge(0), Le(50)] | None = field(default=None, kw_only=True)
    rayleigh: bool = field(default=True, kw_only=True)

    def reference(self, instance: Instance, effort: Effort = Effort.NORMAL) -> Reference | None:
        """A certified optimum where one can be had; see `optisolve.problems.power_control.reference`."""
        from optisolve.problems.power_control.reference import reference

        if not isinstance(instance, PowerControlInstance):
            raise ProblemError(f"power_control: got an instance of {type(instance).__name__}; draw it with instance(seed).")
        return reference(instance, effort)

    no_motion: ClassVar[str] = "gains that were given have no law to move by"

    def motions(self) -> tuple[type[Motion], ...]:
        """Dropped pairs walk, all others fade; gains of a file have no law to move by."""
        if self.instance_file is not None or self.instance_data is not None:
            return ()
        return (Fading,) if self.channel is Channel.GAUSSIAN else (GaussMarkov, RandomWaypoint)

    def moves(self, motion: Motion, seed: int) -> Iterator[Moved]:
        """The channel of a seed as it goes on; noise, caps and weights stay, shares of the rate at full power follow it."""
        from optisolve.problems.power_control.motion import faded, walked

        first = {name: np.asarray(values) for name, values in self.instance(seed).arrays().items()}
        rng = generator(seed, problem=self.name, purpose="motion", motion=motion.kind)
        factor = np.ones((self.n_links, self.n_links))
        if isinstance(motion, Walking):
            drawn = generator(seed, problem=self.name, purpose="instance")
            geometry, gap = self._geometry()
            steps = walked(motion, drop_pairs(drawn, self.n_links, geometry), geometry, rng)
            factor[np.diag_indices(self.n_links)] /= gap
        else:
            assert isinstance(motion, Fading)
            assert self.cross_gain is not None  # `_check` made sure
            factor = np.where(np.eye(self.n_links, dtype=bool), 1.0, self.cross_gain)
            raw = np.divide(first["gain"], factor, out=np.zeros_like(factor), where=factor > 0.0)
            steps = faded(motion, raw, rng)
        for number, step in enumerate(steps):
            gain = step.gain * factor if number else first["gain"]  # to the last bit
            if self.goal is not Goal.MAX_MIN:
                first["min_rate_bit_s_hz"] = self._floors(gain, first["noise_w"], first["p_max_w"])
            data = {name: values.tolist() for name, values in {**first, "gain": gain}.items()}
            seen_db = 10.0 * np.log10(np.maximum(gain / gain.max(), 1e-12))
            events = tuple(f"link {k} leaves, a new one appears" for k in step.new.tolist())
            yield Moved(dataclasses.replace(self, instance_data=data), frozen(seen_db.ravel()), events)

    def _check(self) -> Iterable[FieldProblem]:
        needed = ("noise_w", "cross_gain") if self.channel is Channel.GAUSSIAN else _GEOMETRIC
        for name in needed:
            if getattr(self, name) is None:
                yield FieldProblem(name, None, f"a number, since channel is '{self.channel.value}'")
        if self.link_min_m is not None and self.link_max_m is not None and self.link_max_m < self.link_min_m:
            yield FieldProblem("link_max_m", self.link_max_m, f"at least link_min_m = {self.link_min_m:g}")
        if self.weight_high < self.weight_low:
            yield FieldProblem("weight_high", self.weight_high, f"at least weight_low = {self.weight_low:g}")
        if self.min_rate_share > 0.0 and self.min_rate_bit_s_hz > 0.0:
            yield FieldProblem(
                "min_rate_bit_s_hz", self.min_rate_bit_s_hz, "0 when min_rate_share is set, and the other way round"
            )
        floors = self.min_rate_share > 0.0 or self.min_rate_bit_s_hz > 0.0
        if self.goal is Goal.MIN_POWER and not floors and self.instance_data is None and self.instance_file is None:
            yield FieldProblem("min_rate_share", 0.0, "a minimum rate, else the least power is 0")
        if self.goal is Goal.MAX_MIN and floors:
            yield FieldProblem(
                "min_rate_share", self.min_rate_share, "0 with goal 'max_min', which already lifts the worst link"
            )

    def _draw(self, rng: np.random.Generator) -> Mapping[str, npt.ArrayLike]:
        n_links = self.n_links
        if self.channel is Channel.GAUSSIAN:
            assert self.noise_w is not None  # `_check` made sure
            assert self.cross_gain is not None
            gain, noise_w = gaussian_gain(rng, n_links, self.cross_gain), self.noise_w
        else:
            gain, noise_w = self._geometric(rng)
        noise, p_max = np.full(n_links, noise_w), np.full(n_links, self.p_max_w)
        weight = rng.uniform(self.weight_low, self.weight_high, n_links)
        floors = self._floors(gain, noise, p_max)
        return {"gain": gain, "noise_w": noise, "p_max_w": p_max, "weight": weight, "min_rate_bit_s_hz": floors}

    def _floors(self, gain: FloatArray, noise_w: FloatArray, p_max_w: FloatArray) -> FloatArray:
        """Minimum rates of the settings, float64 [K], bit/s/Hz."""
        full_power_rate = np.log1p(sinr(p_max_w[None, :], gain, noise_w)[0]) / np.log(2.0)
        return np.asarray(self.min_rate_share * full_power_rate + self.min_rate_bit_s_hz)

    def _default(self, spec: ArraySpec) -> float | None:
        if spec.name == "noise_w" and self.channel is Channel.GEOMETRIC:
            return self._noise_w()
        if (
            spec.name == "min_rate_bit_s_hz"
            and self.goal is Goal.MIN_POWER
            and self.min_rate_share == self.min_rate_bit_s_hz == 0.0
        ):
            return None  # the least power would be 0
        return super()._default(spec)

    def _fill(self, given: Mapping[str, FloatArray]) -> Mapping[str, npt.ArrayLike]:
        values = {**super()._fill(given)}
        if self.min_rate_share > 0.0 and "min_rate_bit_s_hz" in values:
            known = {name: np.asarray(value, dtype=np.float64) for name, value in {**values, **given}.items()}
            values["min_rate_bit_s_hz"] = self._floors(known["gain"], known["noise_w"], known["p_max_w"])
        return values

    def _noise_w(self) -> float:
        """Noise power of the geometric channel, W."""
        assert self.noise_dbm_hz is not None  # `_check` made sure
        assert self.bandwidth_hz is not None
        return float(10.0 ** (self.noise_dbm_hz / 10.0 - 3.0) * self.bandwidth_hz)

    def _geometric(self, rng: np.random.Generator) -> tuple[FloatArray, float]:
        geometry, gap = self._geometry()
        gain = geometric_gain(rng, self.n_links, geometry)
        gain[np.diag_indices(self.n_links)] /= gap
        return gain, self._noise_w()

    def _geometry(self) -> tuple[Geometry, float]:
        """The square with its pairs, and the factor by which practical coding weakens the direct gains."""
        number = {name: float(getattr(self, name)) for name in _GEOMETRIC if name not in ("noise_dbm_hz", "bandwidth_hz")}
        gap = 10.0 ** (number.pop("snr_gap_db") / 10.0)
        return Geometry(**number, rayleigh=self.rayleigh), gap

    def _build(self, origin: Origin, arrays: Mapping[str, FloatArray]) -> Instance:
        gain = arrays["gain"]
        dead = np.flatnonzero(np.diag(gain) <= 0.0)
        if dead.size:
            raise ProblemError(f"gain[{dead[0]}, {dead[0]}] = {gain[dead[0], dead[0]]}; expected a direct gain > 0.")
        _require_computable(gain, arrays["noise_w"], arrays["p_max_w"])
        floors = arrays["min_rate_bit_s_hz"] if self.goal is not Goal.MAX_MIN else frozen(np.zeros(gain.shape[0]))
        links = Links(
            gain=gain,
            noise_w=arrays["noise_w"],
            p_max_w=arrays["p_max_w"],
            weight=arrays["weight"],
            min_rate_bit_s_hz=floors,
            circuit_power_w=self.circuit_power_w,
            power_slope=self.power_slope,
        )
        return PowerControlInstance(origin, links, self.goal)


def _require_computable(gain: FloatArray, noise_w: FloatArray, p_max_w: FloatArray) -> None:
    """Refuse numbers whose ratios leave what float64 computes without overflow.

    Raises:
        ProblemError: It names the first link.
    """
    for name, values in (("noise_w", noise_w), ("p_max_w", p_max_w)):
        wrong = np.flatnonzero(~((values >= _SMALLEST_W) & (values <= 1.0 / _SMALLEST_W)))
        if wrong.size:
            expected = f"{_SMALLEST_W:g} to {1.0 / _SMALLEST_W:g} W"
            raise ProblemError(f"{name}[{wrong[0]}] = {values[wrong[0]]:g} W; expected {expected}.")
    with np.errstate(over="ignore", under="ignore"):
        snr = gain * p_max_w / noise_w[:, None]
    low = np.where(np.eye(noise_w.size, dtype=bool), 1.0 / LARGEST_SNR, 0.0)
    outside = np.argwhere(~((snr >= low) & (snr <= LARGEST_SNR)))
    if outside.size:
        i, j = (int(v) for v in outside[0])
        raise ProblemError(
            f"gain[{i}, {j}] * p_max_w[{j}] / noise_w[{i}] = {snr[i, j]:g}; expected at most {LARGEST_SNR:g}, and at least "
            f"{1.0 / LARGEST_SNR:g} on the diagonal: change noise_w, p_max_w or the gains."
        )
