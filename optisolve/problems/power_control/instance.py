"""One interference channel with its goal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from optisolve.core.arrays import FloatArray, frozen, product
from optisolve.core.bridge import Bridge
from optisolve.core.problem import Description, Evaluation, Instance, Objective, Origin, Sense
from optisolve.core.space import Space, Variable
from optisolve.goals.goal_instance import GoalInstance, goal_origin
from optisolve.goals.metric import Bound
from optisolve.numerics.interference import least_powers, lift_to_floors
from optisolve.problems.power_control import model
from optisolve.problems.power_control.goals import PowerControlGoals
from optisolve.problems.power_control.model import Goal, Links

if TYPE_CHECKING:
    import torch
    from matplotlib.axes import Axes

    from optisolve.goals.goal import Goal as TypedGoal
    from optisolve.modelling.highs import HighsModel

__all__ = ["PowerControlInstance"]


class PowerControlInstance(PowerControlGoals):
    """Powers of K links that disturb each other.

    Solvers may ask for the attributes below.

    Attributes:
        goal: What is optimized, a `Goal`, which is a string such as ``"sum_rate"``.
        gain: float64 [K, K], linear, receiver i from transmitter j.
        noise_w: float64 [K], W.
        p_max_w: float64 [K], W.
        weight: float64 [K], all 1 unless the goal is the weighted sum rate.
        sinr_floor: float64 [K], linear, 0 where there is no minimum rate.
        circuit_power_w: W, used by the energy efficiency only.
        power_slope: Consumed per radiated power, used by the energy efficiency only.
    """

    picture = "powers"

    def __init__(self, origin: Origin, links: Links, goal: Goal) -> None:
        self.links, self.goal = links, goal
        self.gain, self.noise_w, self.p_max_w = links.gain, links.noise_w, links.p_max_w
        n_links = links.noise_w.size
        self.weight = links.weight if goal is Goal.WEIGHTED_SUM_RATE else frozen(np.ones(n_links))
        self.sinr_floor = frozen(np.expm1(links.min_rate_bit_s_hz * np.log(2.0)))
        self._equal = bool((self.weight == 1.0).all())
        self.circuit_power_w, self.power_slope = links.circuit_power_w, links.power_slope
        self._own = frozen(np.diag(links.gain))
        self._cross_t = frozen((links.gain - np.diag(self._own)).T)
        limited = np.flatnonzero(links.min_rate_bit_s_hz > 0.0)
        self._least = least_powers(self.gain, self.noise_w, self.sinr_floor, self.p_max_w) if limited.size else None
        super().__init__(
            origin=origin,
            space=Space.of(Variable(f"link{i}.power_w", 0.0, float(p), "W") for i, p in enumerate(links.p_max_w)),
            objectives=(_objective(goal, links),),
            constraint_names=tuple(f"link{i}.min_rate" for i in limited),
        )

    @property
    def least_verified_w(self) -> FloatArray:
        """Powers that every verified point has at least, float64 [K], W; zeros without minimum rates."""
        return np.zeros(self.p_max_w.size) if self._least is None else self._least.verified_lower_w

    def arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        """The arrays of an instance file."""
        names = ("gain", "noise_w", "p_max_w", "weight", "min_rate_bit_s_hz")
        return {name: getattr(self.links, name) for name in names}

    def features(self) -> Mapping[str, npt.NDArray[Any]]:
        """Everything without units: gain at full power over noise [K, K], weight [K], minimum rate [K]."""
        return {
            "snr": self.gain * self.p_max_w / self.noise_w[:, None],
            "weight": self.weight,
            "min_rate_bit_s_hz": self.links.min_rate_bit_s_hz,
        }

    def describe(self) -> Description:
        """The instance in words."""
        return _in_words(self.links, self.goal)

    def null_policies(self) -> Mapping[str, FloatArray]:
        """Everybody at full power, the same power for all just high enough for the floors, and the best link alone."""
        full = self.p_max_w[None, :]
        policies = {"full_power": full.copy()}
        if self._least is not None:
            signal, noise = self._own * self.p_max_w, self.noise_w
            disturbance = product(full, self._cross_t)[0]
            room = signal - self.sinr_floor * disturbance
            if (room > 0.0).all():
                share = float((self.sinr_floor * noise / room).max()) * (1.0 + 1e-9)
                policies["common_share"] = min(1.0, share) * full
        else:
            alone = np.diag(self.p_max_w)  # [K, K], one point per link
            value = model.objective(alone, self.links, self.goal) * -self.signs[0]
            policies["best_link_alone"] = alone[[int(np.argmax(value))]]
        return policies

    def model(self, dialect: str) -> HighsModel | None:
        """The linear program of the least power for ``"highs"``; None for other goals and dialects."""
        if dialect != "highs" or self.goal is not Goal.MIN_POWER:
            return None
        from optisolve.problems.power_control.convex import least_power_model

        return least_power_model(self.gain, self.noise_w, self.sinr_floor, self.p_max_w)

    def _native_goal(self, goal: TypedGoal, bounds: tuple[Bound, ...]) -> Instance:
        links, rest = self._native_links(bounds, keep=goal.keep)
        own = self._native_aim(goal.objective)
        fits = own is not None and not (own is Goal.MAX_MIN and links.min_rate_bit_s_hz.any())
        if own is not None and fits and not rest:
            return PowerControlInstance(goal_origin(self, goal), links, own)
        return GoalInstance(PowerControlInstance(self.origin, links, self.goal), goal, rest)

    def bridge(self) -> Bridge:
        """What a sampler must know about this family."""
        from optisolve.problems.power_control.sampling import PowerControlBridge

        return PowerControlBridge()

    def jacobian(self, X: FloatArray) -> FloatArray:
        """Slopes of the objective, float64 [n, 1, K], per W."""
        return model.objective_slopes(X, self.links, self.goal)[:, None, :]

    def objective_torch(self, x: torch.Tensor) -> torch.Tensor:
        """The objective of a batch as a differentiable function.

        Args:
            x: Tensor [n, K], W.

        Returns:
            Tensor [n, 1], in the objective's own sense and unit.
        """
        import torch

        from optisolve.problems.power_control.sampling import link_rates

        def constant(values: FloatArray) -> torch.Tensor:
            return torch.as_tensor(values.copy(), dtype=x.dtype, device=x.device)

        power = x.sum(dim=1, keepdim=True)
        if self.goal is Goal.MIN_POWER:
            return power
        rate = link_rates(x, constant(self._own), constant(self._cross_t), constant(self.noise_w))
        if self.goal is Goal.MAX_MIN:
            worst: torch.Tensor = rate.min(dim=1, keepdim=True).values
            return worst
        total: torch.Tensor = (rate * constant(self.weight)).sum(dim=1, keepdim=True)
        if self.goal is Goal.ENERGY_EFFICIENCY:
            total = total / (self.circuit_power_w + self.power_slope * power)
        return total

    def draw(self, axes: Axes, x: FloatArray) -> bool:
        """Bars: power as a share of its cap, and the rate of every link as a share of the largest."""
        from optisolve.plotting.maps import draw_bars

        rate = model.rates(x[None, :], self.links)[0]
        largest = float(rate.max())
        bars = {
            "power, share of its cap": x / self.p_max_w,
            f"rate, share of the largest ({largest:.3g} bit/s/Hz)": rate / (largest or 1.0),
        }
        draw_bars(axes, bars, x="Link", y="Share")
        return True

    def _evaluate(self, X: FloatArray) -> Evaluation:
        from optisolve.problems.power_control.kernels import GOAL_CODES, evaluate

        F, G = np.empty((X.shape[0], 1)), np.empty((X.shape[0], len(self.constraint_names)))
        floors, code = self.links.min_rate_bit_s_hz, GOAL_CODES[self.goal]
        power = (self.circuit_power_w, self.power_slope)
        evaluate(X, self._own, self._cross_t, self.noise_w, self.weight, floors, *power, code, self._equal, F, G)
        return Evaluation(F, G, np.empty((X.shape[0], 0)))

    def _evaluate_twin(self, X: FloatArray) -> Evaluation:
        F = model.objective(X, self.links, self.goal)[:, None]
        return Evaluation(F, model.rate_shortfall(X, self.links), np.empty((X.shape[0], 0)))

    def _project(self, X: FloatArray) -> FloatArray:
        least = self._least
        if least is None or least.reason or least.powers_w is None:
            return X
        return lift_to_floors(X, self.gain, self.noise_w, self.sinr_floor, self.p_max_w, least.powers_w)


def _objective(goal: Goal, links: Links) -> Objective:
    """Name, sense, unit and meaning of a goal; scales are of the size of what the links reach or need when alone."""
    own, full = np.diag(links.gain), links.p_max_w
    if goal is Goal.MIN_POWER:
        needed = float((np.expm1(links.min_rate_bit_s_hz * np.log(2.0)) * links.noise_w / own).sum())
        scale = min(needed, float(full.sum())) or 1e-6 * float(full.sum())
        return Objective("total_power", Sense.MINIMIZE, "W", "power radiated by all links together", scale)
    alone = np.log1p(own * full / links.noise_w) / np.log(2.0)  # [K] bit/s/Hz
    scale = 1e-3 * float(alone.max())
    if goal is Goal.MAX_MIN:
        scale = 1e-3 * float(alone.min())
    elif goal is Goal.WEIGHTED_SUM_RATE:
        scale = 1e-3 * float((links.weight * alone).max()) or scale
    elif goal is Goal.ENERGY_EFFICIENCY:
        scale = 1e-3 * float((alone / (links.circuit_power_w + links.power_slope * full)).max())
    meaning, unit = {
        Goal.SUM_RATE: ("bits per second and hertz delivered by all links together", "bit/s/Hz"),
        Goal.WEIGHTED_SUM_RATE: ("rates of all links added with their weights", "bit/s/Hz"),
        Goal.MAX_MIN: ("rate of the worst link", "bit/s/Hz"),
        Goal.ENERGY_EFFICIENCY: ("sum rate per watt consumed, amplifiers and circuits included", "bit/s/Hz/W"),
    }[goal]
    name = "min_rate" if goal is Goal.MAX_MIN else goal.value
    return Objective(name, Sense.MAXIMIZE, unit, meaning, scale)


_LISTED = 20
"""Links described one by one; more would drown the reader."""

_AIM = {
    Goal.SUM_RATE: "maximize the sum of all rates",
    Goal.WEIGHTED_SUM_RATE: "maximize the weighted sum of all rates",
    Goal.MIN_POWER: "use as little total power as possible while every link reaches its minimum rate",
    Goal.MAX_MIN: "make the rate of the worst link as large as possible",
    Goal.ENERGY_EFFICIENCY: "maximize the sum rate per watt consumed",
}

_HINTS = {
    Goal.SUM_RATE: (
        "Good points are nearly always on/off: few links with strong direct and weak cross gains at full power, the rest off.",
        "Switching a link off helps when the interference it causes costs the others more than its own rate.",
    ),
    Goal.WEIGHTED_SUM_RATE: (
        "Good points are mostly on/off: links of large weight, strong direct and weak cross gains at full power, the rest off.",
        "A link's worth is its weighted rate less what its interference costs the others, in their weights.",
    ),
    Goal.MIN_POWER: ("At the optimum every link meets its minimum rate exactly; one unit too much anywhere costs everybody.",),
    Goal.MAX_MIN: ("At the optimum all rates are equal and at least one link is at its cap.",),
    Goal.ENERGY_EFFICIENCY: (
        "Beyond some power the rate grows more slowly than the consumption; few links far below their cap.",
    ),
}


def _in_words(links: Links, goal: Goal) -> Description:
    """The channel in words.

    Args:
        links: The channel.
        goal: What is optimized.
    """
    n_links = links.noise_w.size
    snr_db = 10.0 * np.log10(np.maximum(links.gain * links.p_max_w / links.noise_w[:, None], 1e-30))  # [K, K]
    facts = [f"{n_links} links; power caps {_span(links.p_max_w)} W."]
    for i in range(min(n_links, _LISTED)):
        others = [j for j in np.argsort(-snr_db[i]) if j != i][:2]
        heard = ", ".join(f"{snr_db[i, j]:.1f} dB from link {j}" for j in others) or "nothing"
        line = f"link {i}: direct {snr_db[i, i]:.1f} dB over noise at full power; hears {heard}"
        if goal is Goal.WEIGHTED_SUM_RATE:
            line += f"; weight {links.weight[i]:.3g}"
        facts.append(line + ".")
    if n_links > _LISTED:
        facts.append(f"Links {_LISTED} to {n_links - 1} are not listed.")
    asked = np.flatnonzero(links.min_rate_bit_s_hz > 0.0)
    constraints = ["Every power lies between 0 W and the link's cap."]
    if asked.size:
        needs = ", ".join(f"{i}: {links.min_rate_bit_s_hz[i]:.3g}" for i in asked[:_LISTED])
        constraints.append(f"Minimum rates in bit/s/Hz by link ({needs}).")
    summary = (
        f"Choose the transmit power of {n_links} radio links that share one frequency band, so as to {_AIM[goal]}. "
        "More power raises a link's own rate log2(1 + SINR) and lowers the rates of all links that hear it."
    )
    return Description(summary, tuple(constraints), tuple(facts), _HINTS.get(goal, _HINTS[Goal.SUM_RATE]))


def _span(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> str:
    low, high = float(values.min()), float(values.max())
    return f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"
