"""The power game as a family over bandwidth and noise."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Gt, Le, MinLen

from optisolve.core.arrays import FloatArray
from optisolve.core.errors import FieldProblem, ProblemError
from optisolve.core.problem import Instance, Origin
from optisolve.core.reference import Effort, Reference
from optisolve.numerics.interference import LARGEST_SNR, MOST_BITS
from optisolve.problems.instance_file import ArrayProblem, ArraySpec
from optisolve.problems.power_game.instance import PowerGameInstance
from optisolve.problems.power_game.model import Cell

__all__ = ["PowerGame"]


@dataclass(frozen=True)
class PowerGame(ArrayProblem):
    """Agents with rate thresholds at one receiver.

    Args:
        link_gain: Power gain of each agent, linear.
        initial_power_w: Powers before the game, W.
        rate_threshold_bit_s: Rate thresholds, bit/s.
        bandwidth_hz: Bandwidth, Hz.
        noise_w: Noise power, W.
        power_saving_w: The intent: total power must fall by this much, W; 0 for none.
        p_max_w: Cap of every agent, W.
        gain_spread_db: Standard deviation of a log-normal factor on every gain, dB; 0 keeps the gains, whatever the seed.
    """

    name: ClassVar[str] = "power_game"
    version: ClassVar[str] = "2"
    summary: ClassVar[str] = "Agents at one receiver save power while everybody keeps a rate threshold."
    evidence: ClassVar[str] = "proven optimal"
    ARRAYS: ClassVar[tuple[ArraySpec, ...]] = (
        ArraySpec(
            "link_gain",
            ("K",),
            lower=0.0,
            strict=True,
            meaning="power gain of each agent to the receiver, linear",
            power_gain=True,
        ),
        ArraySpec("initial_power_w", ("K",), "W", lower=0.0, strict=True, meaning="power of each agent before the game"),
        ArraySpec(
            "rate_threshold_bit_s", ("K",), "bit/s", lower=0.0, meaning="rate threshold of each agent, 0 for none", default=0.0
        ),
        ArraySpec("p_max_w", ("K",), "W", lower=0.0, strict=True, meaning="power cap of each agent"),
        ArraySpec("bandwidth_hz", (), "Hz", lower=0.0, strict=True, meaning="bandwidth"),
        ArraySpec("noise_w", (), "W", lower=0.0, strict=True, meaning="noise power over the bandwidth"),
        ArraySpec("power_saving_w", (), "W", lower=0.0, meaning="intended fall of the total power, 0 for none"),
    )

    link_gain: Annotated[tuple[Annotated[float, Gt(0)], ...], MinLen(1)]
    initial_power_w: tuple[Annotated[float, Gt(0)], ...]
    rate_threshold_bit_s: tuple[Annotated[float, Ge(0)], ...]
    bandwidth_hz: Annotated[float, Gt(0)]
    noise_w: Annotated[float, Gt(0)]
    power_saving_w: Annotated[float, Ge(0)]
    p_max_w: Annotated[float, Gt(0)]
    gain_spread_db: Annotated[float, Ge(0), Le(50)] = field(kw_only=True)

    def reference(self, instance: Instance, effort: Effort = Effort.NORMAL) -> Reference | None:
        """The closed form; see `optisolve.problems.power_game.reference`."""
        from optisolve.problems.power_game.reference import reference

        if not isinstance(instance, PowerGameInstance):
            raise ProblemError(f"power_game: got an instance of {type(instance).__name__}; draw it with instance(seed).")
        return reference(instance)

    def _check(self) -> Iterable[FieldProblem]:
        for name in ("initial_power_w", "rate_threshold_bit_s"):
            if len(getattr(self, name)) != len(self.link_gain):
                yield FieldProblem(name, getattr(self, name), f"{len(self.link_gain)} numbers, one per agent of link_gain")
        if self.power_saving_w >= sum(self.initial_power_w):
            yield FieldProblem("power_saving_w", self.power_saving_w, "less than the total initial power")
        if max(self.rate_threshold_bit_s, default=0.0) > MOST_BITS * self.bandwidth_hz:
            asked = max(self.rate_threshold_bit_s) / MOST_BITS
            yield FieldProblem("bandwidth_hz", self.bandwidth_hz, f"at least {asked:g} Hz for the largest rate threshold")

    def _draw(self, rng: np.random.Generator) -> Mapping[str, npt.ArrayLike]:
        spread = 10.0 ** (self.gain_spread_db / 10.0 * rng.standard_normal(len(self.link_gain)))
        return {
            "link_gain": np.array(self.link_gain) * spread,
            "initial_power_w": self.initial_power_w,
            "rate_threshold_bit_s": self.rate_threshold_bit_s,
            "p_max_w": np.full(len(self.link_gain), self.p_max_w),
            "bandwidth_hz": self.bandwidth_hz,
            "noise_w": self.noise_w,
            "power_saving_w": self.power_saving_w,
        }

    def _build(self, origin: Origin, arrays: Mapping[str, FloatArray]) -> Instance:
        cell = Cell(
            link_gain=arrays["link_gain"],
            initial_power_w=arrays["initial_power_w"],
            rate_threshold_bit_s=arrays["rate_threshold_bit_s"],
            p_max_w=arrays["p_max_w"],
            bandwidth_hz=float(arrays["bandwidth_hz"]),
            noise_w=float(arrays["noise_w"]),
            power_saving_w=float(arrays["power_saving_w"]),
        )
        _require_computable(cell)
        return PowerGameInstance(origin, cell)


def _require_computable(cell: Cell) -> None:
    """Refuse numbers whose ratios leave what float64 computes without overflow.

    Raises:
        ProblemError: It names the first of them.
    """
    powers = {"noise_w": np.atleast_1d(cell.noise_w), "p_max_w": cell.p_max_w, "initial_power_w": cell.initial_power_w}
    for name, values in powers.items():
        if not ((values >= 1e-200) & (values <= 1e200)).all():
            raise ProblemError(f"{name} = {values.tolist()} W; expected 1e-200 to 1e200 W.")
    with np.errstate(over="ignore", under="ignore"):
        snr, asked = cell.link_gain * cell.p_max_w / cell.noise_w, cell.rate_threshold_bit_s / cell.bandwidth_hz
    wrong = np.flatnonzero(~((snr >= 1.0 / LARGEST_SNR) & (snr <= LARGEST_SNR)))
    if wrong.size:
        k, expected = int(wrong[0]), f"{1.0 / LARGEST_SNR:g} to {LARGEST_SNR:g}: change noise_w, p_max_w or link_gain"
        raise ProblemError(f"link_gain[{k}] * p_max_w[{k}] / noise_w = {snr[k]:g}; expected {expected}.")
    if not asked.max() <= MOST_BITS:
        expected = f"a rate_threshold_bit_s of at most {MOST_BITS:g} times bandwidth_hz"
        raise ProblemError(
            f"rate_threshold_bit_s[{int(asked.argmax())}] / bandwidth_hz = {asked.max():g}; expected {expected}."
        )
