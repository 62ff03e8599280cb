"""The family `beamforming`: scenario numbers, drawing of channels, reference."""

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
from optisolve.problems.beamforming.instance import BeamformingInstance
from optisolve.problems.beamforming.model import Constants, Goal
from optisolve.problems.instance_file import ArrayProblem, ArraySpec

__all__ = ["Beamforming"]

# Wide physical ranges, so that no intermediate result leaves the range of a double.
Power = Annotated[float, Interval(ge=1e-40, le=1e40)]
Positive = Annotated[float, Interval(ge=1e-30, le=1e30)]
SNR_RANGE = (1e-100, 1e100)


@dataclass(frozen=True, kw_only=True)
class Beamforming(ArrayProblem):
    """Precoders of a multi-antenna base station for single-antenna users.

    Args:
        goal: ``min_power``, ``max_min`` or ``weighted_sum_rate``.
        n_antennas: Antennas M.
        n_users: Users K.
        p_total_w: Cap on the total transmit power P, W.
        noise_w: Noise power sigma^2 at every user, W.
        sinr_target_db: SINR target gamma of every drawn user, dB; ``max_min`` balances SINRs in ratio of the targets.
        gain_spread_db: Mean channel gains are uniform in dB over an interval of this width around 0 dB.
        weight_low: Rate weights are uniform in [weight_low, weight_high].
        weight_high: See `weight_low`.
    """

    name: ClassVar[str] = "beamforming"
    version: ClassVar[str] = "2"
    summary: ClassVar[str] = "MISO downlink precoders: least power for SINR targets, balanced SINR, weighted sum rate."
    evidence: ClassVar[str] = "proven optimal (least power, balanced SINR); dual bound (sum rate)"
    ARRAYS: ClassVar[tuple[ArraySpec, ...]] = (
        ArraySpec("h_re", ("K", "M"), "", meaning="real part of the channel of each user, amplitude"),
        ArraySpec("h_im", ("K", "M"), "", meaning="imaginary part of the channel of each user, amplitude"),
        ArraySpec("weight", ("K",), "", lower=0.0, strict=True, meaning="rate weight of each user", default=1.0),
        ArraySpec("sinr_target", ("K",), "", lower=0.0, strict=True, meaning="SINR target of each user, linear"),
    )

    goal: Goal
    n_antennas: Annotated[int, Ge(1)]
    n_users: Annotated[int, Ge(1)]
    p_total_w: Power
    noise_w: Power
    sinr_target_db: Annotated[float, Interval(ge=-300, le=300)]
    gain_spread_db: Annotated[float, Interval(ge=0, le=300)] = 0.0
    weight_low: Positive = 1.0
    weight_high: Positive = 1.0

    def reference(self, instance: Instance, effort: Effort = Effort.NORMAL) -> Reference | None:
        """Uplink-downlink duality with its own dual bound (with THOROUGH checked against the SOCP), or WMMSE with a bound."""
        from optisolve.problems.beamforming.reference import reference

        assert isinstance(instance, BeamformingInstance)
        return reference(instance, effort)

    def _check(self) -> Iterable[FieldProblem]:
        if self.weight_low > self.weight_high:
            yield FieldProblem("weight_low", self.weight_low, f"at most weight_high = {self.weight_high:g}")

    def _draw(self, rng: np.random.Generator) -> Mapping[str, npt.ArrayLike]:
        K, M = self.n_users, self.n_antennas
        mean_db = self.gain_spread_db * (rng.random((K, 1)) - 0.5)  # [K, 1]
        fading = np.sqrt(0.5 * 10.0 ** (mean_db / 10.0)) * rng.standard_normal((2, K, M))  # Rayleigh
        weight = rng.uniform(self.weight_low, self.weight_high, K)
        target = np.full(K, self._sinr_target())
        return {"h_re": fading[0], "h_im": fading[1], "weight": weight, "sinr_target": target}

    def _default(self, spec: ArraySpec) -> float | None:
        return self._sinr_target() if spec.name == "sinr_target" else super()._default(spec)

    def _sinr_target(self) -> float:
        """SINR target of the settings, linear."""
        return float(10.0 ** (self.sinr_target_db / 10.0))

    def _build(self, origin: Origin, arrays: Mapping[str, FloatArray]) -> Instance:
        h = arrays["h_re"] + 1j * arrays["h_im"]
        h.setflags(write=False)
        snr = self.p_total_w / self.noise_w * (np.abs(h) ** 2).sum(axis=1)  # [K]
        low, high = SNR_RANGE
        if not ((snr >= low) & (snr <= high)).all():
            k = int(np.argmax(~((snr >= low) & (snr <= high))))
            raise ProblemError(
                f"h_re, h_im: user {k} has a signal-to-noise ratio of {snr[k]:.3g} at full power; expected {low:g} to {high:g} "
                "(a user without any channel cannot be served: leave it out)."
            )
        constants = Constants(self.goal, h, arrays["weight"], arrays["sinr_target"], self.noise_w, self.p_total_w)
        return BeamformingInstance(origin, constants, arrays)
