"""The family `nsp_utility`: scenario numbers, drawing of gains, reference."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Le, Lt

from optisolve.core.arrays import FloatArray
from optisolve.core.errors import FieldProblem, ProblemError
from optisolve.core.problem import Instance, Origin
from optisolve.core.reference import Effort, Reference
from optisolve.problems.instance_file import ArrayProblem, ArraySpec
from optisolve.problems.nsp_utility.instance import NspUtilityInstance
from optisolve.problems.nsp_utility.model import Constants, Goal

__all__ = ["NspUtility"]

_Amount = Annotated[float, Ge(1e-60), Le(1e60)]
"""Products of a few of them are finite in float64."""

_LARGEST_SNR = 1e30
"""Largest SNR of a branch that gets all power, and the inverse of the smallest."""


@dataclass(frozen=True, kw_only=True)
class NspUtility(ArrayProblem):
    """Power over parallel branches for one service intent: rate, availability, bit errors, throughput or energy.

    Args:
        goal: What is paid for; ``energy`` minimizes the consumed power instead.
        gain_groups: Branches in groups ``[count, low, high]``; gains of a group are uniform in (low, high], linear.
        bandwidth_hz: Bandwidth B of every branch, Hz.
        noise_w: Noise power sigma^2 of every branch, W.
        p_total_w: Cap on the sum of powers, W.
        p_circuit_w: Circuit power P_c, W; counted by the energy goal.
        snr_threshold_db: SNR below which a branch is in outage, dB.
        payment_base: Utility at quality 0 and power 0, money units.
        payment: Utility per unit of quality (Mbit/s, or per unit of probability), money units.
        price_per_w: Cost of 1 W, money units.
        outage_max: Largest outage probability; None for no such floor.
        bep_max: Largest mean bit error probability; None for no such floor.
        rate_min_mbps: Smallest rate, Mbit/s; None for no such floor.
    """

    name: ClassVar[str] = "nsp_utility"
    version: ClassVar[str] = "2"
    summary: ClassVar[str] = (
        "Power over antenna branches for a service intent: rate, availability, bit errors, throughput, energy."
    )
    evidence: ClassVar[str] = "proven optimal (CVXPY point, own dual bound)"
    ARRAYS: ClassVar[tuple[ArraySpec, ...]] = (
        ArraySpec("gain", ("M",), "", lower=0.0, strict=True, meaning="power gain of each branch, linear", power_gain=True),
    )

    goal: Goal
    gain_groups: tuple[tuple[int, float, float], ...]
    bandwidth_hz: _Amount
    noise_w: _Amount
    p_total_w: _Amount
    p_circuit_w: Annotated[float, Ge(0), Le(1e60)]
    snr_threshold_db: Annotated[float, Ge(-300), Le(300)]
    payment_base: Annotated[float, Ge(-1e60), Le(1e60)]
    payment: _Amount
    price_per_w: Annotated[float, Ge(0), Le(1e60)]
    outage_max: Annotated[float, Ge(1e-15), Lt(1)] | None = None
    bep_max: Annotated[float, Ge(1e-15), Lt(0.5)] | None = None
    rate_min_mbps: _Amount | None = None

    def reference(self, instance: Instance, effort: Effort = Effort.NORMAL) -> Reference | None:
        """CVXPY optimum with a bound by our own dual function; a search over the total power where a product is paid for."""
        from optisolve.problems.nsp_utility.reference import reference

        assert isinstance(instance, NspUtilityInstance)
        return reference(instance)

    def origin(self, seed: int) -> Origin:
        """The origin, with lists instead of tuples, as JSON has them."""
        origin = super().origin(seed)
        params = {**origin.params, "gain_groups": [list(group) for group in self.gain_groups]}
        return Origin(origin.problem, origin.version, origin.scenario, params, origin.seed)

    def _check(self) -> Iterable[FieldProblem]:
        if not self.gain_groups:
            yield FieldProblem("gain_groups", self.gain_groups, "at least one group [count, low, high]")
        for i, (count, low, high) in enumerate(self.gain_groups):
            if not 1 <= count <= 100_000 or not 0.0 <= low < high or not high <= 1e60:
                expected = "[count 1 to 100,000, 0 <= low < high <= 1e60]"
                yield FieldProblem(f"gain_groups[{i}]", [count, low, high], expected)

    def _draw(self, rng: np.random.Generator) -> Mapping[str, npt.ArrayLike]:
        # high - u (high - low) with u in [0, 1) never is `low`, so a group may start at 0
        groups = [high - rng.random(count) * (high - low) for count, low, high in self.gain_groups]
        return {"gain": np.concatenate(groups)}

    def _build(self, origin: Origin, arrays: Mapping[str, FloatArray]) -> Instance:
        with np.errstate(over="ignore", under="ignore"):
            snr = arrays["gain"] * self.p_total_w / self.noise_w
        wrong = np.flatnonzero(~((snr >= 1.0 / _LARGEST_SNR) & (snr <= _LARGEST_SNR)))
        if wrong.size:
            m, expected = int(wrong[0]), f"{1.0 / _LARGEST_SNR:g} to {_LARGEST_SNR:g}: change noise_w, p_total_w or the gains"
            raise ProblemError(f"gain[{m}] * p_total_w / noise_w = {snr[m]:g}; expected {expected}.")
        constants = Constants(
            goal=self.goal,
            bandwidth_hz=self.bandwidth_hz,
            noise_w=self.noise_w,
            p_total_w=self.p_total_w,
            p_circuit_w=self.p_circuit_w,
            snr_threshold=10.0 ** (self.snr_threshold_db / 10.0),
            payment_base=self.payment_base,
            payment=self.payment,
            price_per_w=self.price_per_w,
            outage_max=self.outage_max,
            bep_max=self.bep_max,
            rate_min_mbps=self.rate_min_mbps,
        )
        return NspUtilityInstance(origin, constants, arrays["gain"])
