"""Parallel channels as a family: groups of channels with uniform gains, one budget."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Interval, MinLen

from optisolve.core.arrays import FloatArray
from optisolve.core.errors import FieldProblem, ProblemError
from optisolve.core.problem import Instance, Origin
from optisolve.core.reference import Effort, Reference
from optisolve.problems.instance_file import ArrayProblem, ArraySpec
from optisolve.problems.parallel_channels.instance import ParallelChannelsInstance

__all__ = ["ParallelChannels"]

_GAIN, _POWER, _WEIGHT = 1e100, 1e40, 1e20
"""These and their inverses bound gains and noise, powers and weights: all their products fit a double."""


@dataclass(frozen=True)
class ParallelChannels(ArrayProblem):
    """Powers of channels that do not disturb each other, under one budget.

    Args:
        n_channels: Channels in each group.
        gain_low: Gains of a group are uniform between this and `gain_high`; one number per group.
        gain_high: See `gain_low`.
        p_total_w: Budget, W.
        noise_w: Noise power of every channel, W.
        weight_low: Weights are uniform between this and `weight_high`.
        weight_high: See `weight_low`.
    """

    name: ClassVar[str] = "parallel_channels"
    version: ClassVar[str] = "3"
    summary: ClassVar[str] = "Sum rate of parallel channels under one power budget: water-filling."
    evidence: ClassVar[str] = "proven optimal"
    portable: ClassVar[bool] = True
    ARRAYS: ClassVar[tuple[ArraySpec, ...]] = (
        ArraySpec("gain", ("M",), "", 1 / _GAIN, upper=_GAIN, meaning="power gain of each channel, linear", power_gain=True),
        ArraySpec("noise_w", ("M",), "W", 1 / _GAIN, upper=_GAIN, meaning="noise power of each channel"),
        ArraySpec("weight", ("M",), "", 1 / _WEIGHT, upper=_WEIGHT, meaning="weight of each channel's rate", default=1.0),
        ArraySpec("p_total_w", (), "W", 1 / _POWER, upper=_POWER, meaning="power budget"),
    )

    n_channels: Annotated[tuple[Annotated[int, Ge(1)], ...], MinLen(1)]
    gain_low: tuple[Annotated[float, Interval(ge=0.0, le=_GAIN)], ...]
    gain_high: tuple[Annotated[float, Interval(ge=1 / _GAIN, le=_GAIN)], ...]
    p_total_w: Annotated[float, Interval(ge=1 / _POWER, le=_POWER)]
    noise_w: Annotated[float, Interval(ge=1 / _GAIN, le=_GAIN)]
    weight_low: Annotated[float, Interval(ge=1 / _WEIGHT, le=_WEIGHT)] = field(kw_only=True)
    weight_high: Annotated[float, Interval(ge=1 / _WEIGHT, le=_WEIGHT)] = field(kw_only=True)

    def reference(self, instance: Instance, effort: Effort = Effort.NORMAL) -> Reference | None:
        """The exact optimum; see `optisolve.problems.parallel_channels.reference`."""
        from optisolve.problems.parallel_channels.reference import reference

        if not isinstance(instance, ParallelChannelsInstance):
            raise ProblemError(f"parallel_channels: got an instance of {type(instance).__name__}; draw it with instance(seed).")
        return reference(instance, effort)

    def _check(self) -> Iterable[FieldProblem]:
        groups = len(self.n_channels)
        for name in ("gain_low", "gain_high"):
            if len(getattr(self, name)) != groups:
                yield FieldProblem(name, getattr(self, name), f"{groups} numbers, one per group of n_channels")
        for low, high in zip(self.gain_low, self.gain_high, strict=False):
            if high < low:
                yield FieldProblem("gain_high", high, f"at least gain_low = {low:g}")
        if self.weight_high < self.weight_low:
            yield FieldProblem("weight_high", self.weight_high, f"at least weight_low = {self.weight_low:g}")

    def _draw(self, rng: np.random.Generator) -> Mapping[str, npt.ArrayLike]:
        groups = zip(self.n_channels, self.gain_low, self.gain_high, strict=True)
        gain = np.concatenate([high - (high - low) * rng.random(count) for count, low, high in groups])  # never 0
        return {
            "gain": gain,
            "noise_w": np.full(gain.size, self.noise_w),
            "weight": rng.uniform(self.weight_low, self.weight_high, gain.size),
            "p_total_w": self.p_total_w,
        }

    def _build(self, origin: Origin, arrays: Mapping[str, FloatArray]) -> Instance:
        return ParallelChannelsInstance(origin, arrays)
