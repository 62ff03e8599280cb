"""The family `nsp_utility`: scenario numbers, drawing of gains, reference."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Gt, Lt

from optisolve.core.arrays import FloatArray
from optisolve.core.errors import FieldProblem
from optisolve.core.problem import Instance, Origin
from optisolve.core.reference import Effort, Reference
from optisolve.problems.instance_file import ArrayProblem, ArraySpec
from optisolve.problems.nsp_utility.instance import NspUtilityInstance
from optisolve.problems.nsp_utility.model import Constants, Goal

__all__ = ["NspUtility"]


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
    version: ClassVar[str] = "1"
    summary: ClassVar[str] = (
        "Power over antenna branches for a service intent: rate, availability, bit errors, throughput, energy."
    )
    evidence: ClassVar[str] = "proven optimal (CVXPY point, own dual bound)"
    ARRAYS: ClassVar[tuple[ArraySpec, ...]] = (
        ArraySpec("gain", ("M",), "", lower=0.0, strict=True, meaning="power gain of each branch, linear"),
    )

    goal: Goal
    gain_groups: tuple[tuple[int, float, float], ...]
    bandwidth_hz: Annotated[float, Gt(0)]
    noise_w: Annotated[float, Gt(0)]
    p_total_w: Annotated[float, Gt(0)]
    p_circuit_w: Annotated[float, Ge(0)]
    snr_threshold_db: float
    payment_base: float
    payment: Annotated[float, Gt(0)]
    price_per_w: Annotated[float, Ge(0)]
    outage_max: Annotated[float, Gt(0), Lt(1)] | None = None
    bep_max: Annotated[float, Gt(0), Lt(0.5)] | None = None
    rate_min_mbps: Annotated[float, Gt(0)] | None = None

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
            if count < 1 or not 0.0 <= low < high or not math.isfinite(high):
                yield FieldProblem(f"gain_groups[{i}]", [count, low, high], "[count >= 1, 0 <= low < high]")

    def _draw(self, rng: np.random.Generator) -> Mapping[str, npt.ArrayLike]:
        # high - u (high - low) with u in [0, 1) never is `low`, so a group may start at 0
        groups = [high - rng.random(count) * (high - low) for count, low, high in self.gain_groups]
        return {"gain": np.concatenate(groups)}

    def _build(self, origin: Origin, arrays: Mapping[str, FloatArray]) -> Instance:
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
