"""One case of `nsp_utility`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from optisolve.core.arrays import FloatArray
from optisolve.core.problem import Description, Evaluation, Instance, Objective, Origin, Sense
from optisolve.core.space import Space, Variable
from optisolve.goals.goal_instance import GoalInstance, MeasuredInstance, goal_origin
from optisolve.goals.metric import Bound, Feasibility, Metric
from optisolve.problems.nsp_utility import goals, model
from optisolve.problems.nsp_utility.model import Constants

if TYPE_CHECKING:
    import torch

    from optisolve.goals.goal import Goal
    from optisolve.modelling.cvxpy import CvxpyModel

__all__ = ["NspUtilityInstance"]


class NspUtilityInstance(MeasuredInstance):
    """Parallel branches with known (mean) gains.

    Args:
        origin: How to make it again.
        constants: Goal and constants.
        gain: float64 [M], linear, read-only.
    """

    def __init__(self, origin: Origin, constants: Constants, gain: FloatArray) -> None:
        self.constants, self.gain = constants, gain
        c = constants
        self.convex = c.goal in ("rate", "bep", "energy")  # availability and throughput are only log-concave
        floors = {"outage": c.outage_max, "bit_error": c.bep_max, "min_rate": c.rate_min_mbps}
        if c.goal == "energy":
            needed = c.p_circuit_w > 0.0 or any(value is not None for value in floors.values())
            scale = (1e-6 if needed else 1.0) * c.p_total_w
            objective = Objective("power", Sense.MINIMIZE, "W", "Transmit power of all branches plus circuit power.", scale)
        else:
            meaning = f"What the provider earns: payment for {_QUALITY[c.goal]}, less the price of the transmit power."
            objective = Objective("utility", Sense.MAXIMIZE, "", meaning, 0.1 * c.payment * model.typical_quality(c, gain))
        super().__init__(
            origin=origin,
            space=Space.of(Variable(f"branch{m}.p_w", 0.0, c.p_total_w, "W") for m in range(gain.size)),
            objectives=(objective,),
            constraint_names=("total_power", *(name for name, value in floors.items() if value is not None)),
        )

    def arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        """The branches' gains; everything else is a parameter."""
        return {"gain": self.gain}

    def features(self) -> Mapping[str, npt.NDArray[Any]]:
        """SNR of every branch under uniform power, dB."""
        c = self.constants
        return {"snr_db": 10.0 * np.log10(self.gain * c.p_total_w / (self.gain.size * c.noise_w))}

    def describe(self) -> Description:
        """The instance in words."""
        return _in_words(self.constants, self.gain)

    def null_policies(self) -> Mapping[str, FloatArray]:
        """Uniform power (all of it, and half), everything on the best branch, and power like 1/sqrt(gain)."""
        P, M = self.constants.p_total_w, self.gain.size
        inverse = self.gain**-0.5
        return {
            "uniform": np.full((1, M), P / M),
            "uniform_half": np.full((1, M), 0.5 * P / M),
            "best_branch": P * np.eye(M)[[int(np.argmax(self.gain))]],
            "inverse_root": (P * inverse / inverse.sum())[None],
        }

    def model(self, dialect: str) -> CvxpyModel | None:
        """The DCP model for ``"cvxpy"``; None for other dialects."""
        if dialect != "cvxpy":
            return None
        from optisolve.problems.nsp_utility.convex import NspModel

        return NspModel(self.constants, self.gain)

    def metrics(self) -> tuple[Metric, ...]:
        """``rate``, ``outage``, ``availability``, ``bit_error``, ``throughput``, ``total_power``."""
        return goals.METRICS

    def metric_values(self, X: FloatArray) -> Mapping[str, FloatArray]:
        """The metrics at powers float64 [n, M], W."""
        return goals.metric_values(X, self.constants, self.gain)

    def own_bounds(self) -> tuple[Bound, ...]:
        """The scenario's floors."""
        return goals.own_bounds(self.constants)

    def satisfiable(self, bounds: tuple[Bound, ...]) -> Feasibility:
        """By the least power that meets all floors."""
        return goals.feasibility(self.constants, self.gain, bounds)

    def _native_goal(self, goal: Goal, bounds: tuple[Bound, ...]) -> Instance:
        own = goals.native_goal(goal.objective)
        constants, rest = goals.constants_for(self.constants, own, bounds, keep=goal.keep)
        if not rest and (own is not None or goal.objective is None):
            return NspUtilityInstance(goal_origin(self, goal), constants, self.gain)
        return GoalInstance(NspUtilityInstance(self.origin, constants, self.gain), goal, rest)

    def objective_torch(self, x: torch.Tensor) -> torch.Tensor:
        """The objective, differentiable for positive powers.

        Args:
            x: Tensor [n, M], W.

        Returns:
            Tensor [n, 1], the values of `evaluate_twin`.
        """
        import torch

        c = self.constants
        total = x.sum(dim=1, keepdim=True)
        if c.goal == "energy":
            return total + c.p_circuit_w
        snr = x * torch.as_tensor(self.gain / c.noise_w, dtype=x.dtype, device=x.device)
        rate = 1e-6 * c.bandwidth_hz / math.log(2.0) * torch.log1p(snr).sum(dim=1, keepdim=True)
        if c.goal == "bep":
            quality = 1.0 - (0.5 / ((1.0 + snr) * (1.0 + torch.sqrt(snr / (1.0 + snr))))).mean(dim=1, keepdim=True)
        elif c.goal == "rate":
            quality = rate
        else:
            available = torch.exp(-(c.snr_threshold / snr).sum(dim=1, keepdim=True))
            quality = available if c.goal == "availability" else rate * available
        return c.payment_base + c.payment * quality - c.price_per_w * total

    def _evaluate(self, X: FloatArray) -> Evaluation:
        from optisolve.problems.nsp_utility import kernels

        c = self.constants
        F, G = np.empty((X.shape[0], 1)), np.empty((X.shape[0], len(self.constraint_names)))
        kernels.evaluate(
            kernels.GOALS.index(c.goal),
            self.gain / c.noise_w,
            1e-6 * c.bandwidth_hz / math.log(2.0),
            c.p_total_w,
            c.p_circuit_w,
            c.snr_threshold,
            c.payment_base,
            c.payment,
            c.price_per_w,
            c.outage_max or 0.0,
            c.bep_max or 0.0,
            c.rate_min_mbps or 0.0,
            X,
            F,
            G,
        )
        return Evaluation(F, G, np.empty((X.shape[0], 0)))

    def _evaluate_twin(self, X: FloatArray) -> Evaluation:
        F, G = model.evaluate(self.constants, self.gain, X)
        return Evaluation(F, G, np.empty((X.shape[0], 0)))

    def _project(self, X: FloatArray) -> FloatArray:
        return model.project(self.constants, self.gain, X)


_QUALITY = {
    "rate": "the data rate in Mbit/s",
    "availability": "the probability that no branch is in outage",
    "bep": "the probability that a bit arrives correctly",
    "throughput": "the effective throughput, data rate times availability, in Mbit/s",
}

_LISTED = 40
"""Branches described one by one."""

_RATE = "For rate, strong branches get more power and very weak ones none (water-filling); rate grows like a logarithm."
_AVAILABILITY = (
    "Availability is lost when a single branch is in outage: every branch needs power, weak branches the most (power like "
    "1/sqrt(gain)); a branch without power makes it zero."
)
_BEP = (
    "Every branch counts alike in the mean bit error probability: at good SNR power like 1/sqrt(gain) is best, so weak "
    "branches get more, unless they are hopeless."
)
_HINTS = {
    "rate": (_RATE,),
    "availability": (_AVAILABILITY,),
    "bep": (_BEP,),
    "throughput": (_RATE, _AVAILABILITY, "Throughput is their product, so the two ways to spend power conflict."),
    "energy": ("Lower all powers until the first floor on quality is met exactly; then only moving power can save more.",),
}


def _in_words(c: Constants, gain: FloatArray) -> Description:
    """The branches in words.

    Args:
        c: Goal and constants.
        gain: float64 [M], linear.
    """
    constraints, hints = [f"The powers of all branches add up to at most {c.p_total_w:g} W."], list(_HINTS[c.goal])
    if c.outage_max is not None:
        constraints.append(f"The outage probability is at most {c.outage_max:g}.")
        hints.append(_AVAILABILITY)
    if c.bep_max is not None:
        constraints.append(f"The mean bit error probability is at most {c.bep_max:g}.")
        hints.append(_BEP)
    if c.rate_min_mbps is not None:
        constraints.append(f"The data rate is at least {c.rate_min_mbps:g} Mbit/s.")
        hints.append(_RATE)
    aim = f"Earn as much as possible: {c.payment:g} per unit of {_QUALITY.get(c.goal)}, minus {c.price_per_w:g} per W."
    if c.goal == "energy":
        aim = "Spend as little power as possible."
    elif c.price_per_w > 0.0:
        hints.append("Power costs money: stop adding it to a branch where the next watt earns less than its price.")
    snr = gain / c.noise_w
    facts = [f"branch{m}: SNR {value:.4g} per W" for m, value in enumerate(snr[:_LISTED])]
    if snr.size > _LISTED:
        facts.append(f"Branches {_LISTED} to {snr.size - 1} are not listed; {snr.min():.3g} to {snr.max():.3g} per W.")
    return Description(
        f"Spread transmit power over {gain.size} parallel branches of one link. {aim}",
        constraints=tuple(constraints),
        facts=tuple(facts),
        hints=tuple(dict.fromkeys(hints)),
    )
