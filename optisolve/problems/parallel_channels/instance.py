"""One set of parallel channels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from optisolve.core.arrays import FloatArray, frozen
from optisolve.core.bridge import Bridge
from optisolve.core.problem import Description, Evaluation, Instance, Objective, Origin, Sense
from optisolve.core.space import Space, Variable
from optisolve.goals.goal_instance import GoalInstance, MeasuredInstance, goal_origin
from optisolve.goals.metric import Bound, Feasibility, Metric
from optisolve.problems.parallel_channels import goals, model

if TYPE_CHECKING:
    import torch
    from matplotlib.axes import Axes

    from optisolve.goals.goal import Goal
    from optisolve.problems.parallel_channels.convex import LeastBudgetModel, WaterFillingModel

__all__ = ["ParallelChannelsInstance"]

_NEGLIGIBLE = 1e-3
"""Share of the rate of equal powers below which differences count little: smallest scale of gaps."""
_LISTED = 32
"""Channels described one by one; more would drown the reader."""


class ParallelChannelsInstance(MeasuredInstance):
    """Powers of M channels that do not disturb each other, under one budget.

    Solvers may ask for the attributes below.

    Attributes:
        goal: ``"sum_rate"`` or ``"weighted_sum_rate"``.
        gain: float64 [M], linear.
        noise_w: float64 [M], W.
        weight: float64 [M].
        p_total_w: Budget, W.
    """

    convex = True
    picture = "powers"

    def __init__(self, origin: Origin, arrays: Mapping[str, FloatArray]) -> None:
        self.gain, self.noise_w, self.weight = arrays["gain"], arrays["noise_w"], arrays["weight"]
        self.p_total_w = float(arrays["p_total_w"])
        self._given = dict(arrays)
        self._equal = bool((self.weight == 1.0).all())
        self.goal = "sum_rate" if self._equal else "weighted_sum_rate"
        self._snr_per_w = frozen(self.gain / self.noise_w)
        meaning = "bits per second and hertz over all channels" + ("" if self._equal else ", each with its weight")
        super().__init__(
            origin=origin,
            space=Space.of(Variable(f"channel{m}.power_w", 0.0, self.p_total_w, "W") for m in range(self.gain.size)),
            objectives=(
                Objective(
                    self.goal,
                    Sense.MAXIMIZE,
                    "bit/s/Hz",
                    meaning,
                    _NEGLIGIBLE * self._uniform_rate(),
                    axis=self.goal.replace("_", " ").capitalize(),
                ),
            ),
            constraint_names=("power_budget",),
        )

    def _uniform_rate(self) -> float:
        """The weighted rate of equal powers, bit/s/Hz."""
        equal = np.full((1, self.gain.size), self.p_total_w / self.gain.size)
        return float(model.weighted_rate(equal, self.gain, self.noise_w, self.weight)[0])

    def arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        """The arrays of an instance file."""
        return self._given

    def features(self) -> Mapping[str, npt.NDArray[Any]]:
        """Everything without units: gain at the whole budget over noise [M], weight [M]."""
        return {"snr": self._snr_per_w * self.p_total_w, "weight": self.weight}

    def describe(self) -> Description:
        """The instance in words."""
        snr = self._snr_per_w
        facts = [f"{self.gain.size} channels, budget {self.p_total_w:g} W."]
        for m in range(min(self.gain.size, _LISTED)):
            weight = "" if self._equal else f", weight {self.weight[m]:.3g}"
            facts.append(f"channel {m}: signal to noise ratio {snr[m]:.4g} per watt{weight}")
        if self.gain.size > _LISTED:
            facts.append(
                f"Channels {_LISTED} to {self.gain.size - 1} are not listed; ratios {snr.min():.3g} to {snr.max():.3g}."
            )
        return Description(
            f"Split {self.p_total_w:g} W over {self.gain.size} channels that do not disturb each other, so that the sum of "
            "log2(1 + signal to noise ratio) is as large as possible.",
            constraints=(f"No power is negative and together they are at most {self.p_total_w:g} W.",),
            facts=tuple(facts),
            hints=(
                "Using the whole budget is always best.",
                "Better channels get more power; the worst ones may get none.",
                "With equal weights power plus 1 / (signal to noise ratio per watt), the water level, is the same on all "
                "channels that get power; a larger weight raises a channel's level in proportion.",
            ),
        )

    def null_policies(self) -> Mapping[str, FloatArray]:
        """The same power everywhere, power in proportion to the gain, and everything on the best channel."""
        n = self.gain.size
        snr = self._snr_per_w
        best = np.zeros((1, n))
        best[0, int(np.argmax(self.weight * np.log1p(snr * self.p_total_w)))] = self.p_total_w
        return {
            "uniform": np.full((1, n), self.p_total_w / n),
            "proportional_to_gain": self.space.clip((self.p_total_w * (snr / snr.sum()))[None, :]),
            "best_channel_alone": best,
        }

    def model(self, dialect: str) -> WaterFillingModel | None:
        """The concave program for ``"cvxpy"``; None for other dialects."""
        if dialect != "cvxpy":
            return None
        from optisolve.problems.parallel_channels.convex import WaterFillingModel

        return WaterFillingModel(self._snr_per_w, self.weight, self.p_total_w)

    def metrics(self) -> tuple[Metric, ...]:
        """``sum_rate``, ``total_power``, ``power`` of every channel."""
        return goals.metrics(self.gain.size)

    def metric_values(self, X: FloatArray) -> Mapping[str, FloatArray]:
        """The metrics at powers float64 [n, M], W."""
        return goals.metric_values(X, self.gain, self.noise_w)

    def satisfiable(self, bounds: tuple[Bound, ...]) -> Feasibility:
        """By water-filling: the largest sum rate within the power that is allowed."""
        return goals.feasibility(self._snr_per_w, self.p_total_w, bounds)

    def goal_model(self, dialect: str, goal: Goal, bounds: tuple[Bound, ...]) -> LeastBudgetModel | None:
        """The convex program of the least power for a sum rate, for ``"cvxpy"``."""
        if dialect != "cvxpy" or not goals.is_least_budget(goal.objective, bounds):
            return None
        from optisolve.problems.parallel_channels.convex import LeastBudgetModel

        return LeastBudgetModel(self._snr_per_w, self.p_total_w, max(b.value for b in bounds))

    def shadow_prices(self, x: FloatArray) -> Mapping[str, float]:
        """Rate gained by 1 % more budget, bit/s/Hz, from the water level."""
        return goals.budget_price(self._snr_per_w, self.weight, self.p_total_w)

    def _native_goal(self, goal: Goal, bounds: tuple[Bound, ...]) -> Instance:
        arrays, rest = goals.native_arrays(self._given, goal.objective, bounds)
        if arrays is not None and not rest:
            return ParallelChannelsInstance(goal_origin(self, goal), arrays)
        base = ParallelChannelsInstance(self.origin, goals.native_arrays(self._given, None, bounds)[0] or self._given)
        return GoalInstance(base, goal, rest)

    def bridge(self) -> Bridge:
        """What a sampler must know about this family."""
        from optisolve.problems.parallel_channels.sampling import ParallelChannelsBridge

        return ParallelChannelsBridge()

    def jacobian(self, X: FloatArray) -> FloatArray:
        """Slopes of the rate, float64 [n, 1, M], bit/s/Hz per W."""
        return (self.weight * self._snr_per_w / (1.0 + X * self._snr_per_w) / math.log(2.0))[:, None, :]

    def objective_torch(self, x: torch.Tensor) -> torch.Tensor:
        """The objective of a batch as a differentiable function.

        Args:
            x: Tensor [n, M], W.

        Returns:
            Tensor [n, 1], bit/s/Hz.
        """
        import torch

        from optisolve.problems.parallel_channels.sampling import weighted_nats

        snr = torch.as_tensor(self._snr_per_w.copy(), dtype=x.dtype, device=x.device)
        weight = torch.as_tensor(self.weight.copy(), dtype=x.dtype, device=x.device)
        return weighted_nats(x, snr, weight)[:, None] / math.log(2.0)

    def draw(self, axes: Axes, x: FloatArray) -> bool:
        """The water picture: noise over gain as the ground, power on top."""
        from optisolve.plotting.maps import draw_bars

        order = np.argsort(-self._snr_per_w)
        ground = 1.0 / self._snr_per_w[order]
        bars = {"noise / gain": ground, "power": x[order]}
        draw_bars(axes, bars, x="Channel, best first", y="Power in W", stacked=True, given="noise / gain")
        on = ground[x[order] > 0.0]
        if on.size:
            axes.set_ylim(0.0, 1.4 * float((ground + x[order])[x[order] > 0.0].max()))
        return True

    def _evaluate(self, X: FloatArray) -> Evaluation:
        F = model.weighted_rate(X, self.gain, self.noise_w, self.weight)[:, None]
        return Evaluation(F, model.budget_excess(X, self.p_total_w), np.empty((X.shape[0], 0)))

    def _project(self, X: FloatArray) -> FloatArray:
        return model.project_to_budget(X, self.p_total_w)
