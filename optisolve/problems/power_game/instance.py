"""One power game."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from optisolve.core.arrays import FloatArray, frozen
from optisolve.core.problem import Description, Evaluation, Instance, Objective, Origin, Sense
from optisolve.core.space import Space, Variable
from optisolve.goals.goal_instance import GoalInstance, goal_origin
from optisolve.goals.metric import Bound
from optisolve.numerics.interference import least_powers, lift_to_floors
from optisolve.problems.power_game import model
from optisolve.problems.power_game.goals import PowerGameGoals
from optisolve.problems.power_game.model import Cell

if TYPE_CHECKING:
    import torch
    from matplotlib.axes import Axes

    from optisolve.goals.goal import Goal

__all__ = ["PowerGameInstance"]


class PowerGameInstance(PowerGameGoals):
    """Powers of K agents with a common receiver.

    Solvers may ask for the attributes below; the first group is the same as on an interference channel.

    Attributes:
        goal: ``"min_power"``.
        gain: float64 [K, K], linear, every row the gains to the common receiver.
        noise_w: float64 [K], W.
        p_max_w: float64 [K], W.
        sinr_floor: float64 [K], linear.
        initial_power_w: float64 [K], powers before the game, W.
        power_saving_w: Intended fall of the total power, W; 0 for none.
        cell: The numbers as they are published: gains, initial powers, thresholds, bandwidth, noise, intent.
    """

    goal = "min_power"
    picture = "powers"

    def __init__(self, origin: Origin, cell: Cell) -> None:
        self.cell = cell
        n_agents = cell.link_gain.size
        self.gain = frozen(np.tile(cell.link_gain, (n_agents, 1)))
        self.noise_w, self.p_max_w = frozen(np.full(n_agents, cell.noise_w)), cell.p_max_w
        self.bandwidth_hz = cell.bandwidth_hz
        self.initial_power_w, self.power_saving_w = cell.initial_power_w, cell.power_saving_w
        self.sinr_floor = frozen(np.expm1(cell.rate_threshold_bit_s / cell.bandwidth_hz * np.log(2.0)))
        self._least = least_powers(self.gain, self.noise_w, self.sinr_floor, self.p_max_w)
        names = [f"agent{k}.min_rate" for k in np.flatnonzero(cell.rate_threshold_bit_s > 0.0)]
        if cell.power_saving_w > 0.0:
            names.append("intent.power_saving")
        meaning = "power radiated by all agents together"
        alone, full = float((self.sinr_floor * cell.noise_w / cell.link_gain).sum()), float(cell.p_max_w.sum())
        scale = min(alone, full) or 1e-6 * full  # what the thresholds need without interference
        super().__init__(
            origin=origin,
            space=Space.of(Variable(f"agent{k}.power_w", 0.0, float(p), "W") for k, p in enumerate(cell.p_max_w)),
            objectives=(Objective("total_power", Sense.MINIMIZE, "W", meaning, scale),),
            constraint_names=tuple(names),
        )

    def arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        """The arrays of an instance file."""
        cell = self.cell
        vectors = ("link_gain", "initial_power_w", "rate_threshold_bit_s", "p_max_w")
        scalars = ("bandwidth_hz", "noise_w", "power_saving_w")
        return {n: getattr(cell, n) for n in vectors} | {n: frozen(getattr(cell, n)) for n in scalars}

    def features(self) -> Mapping[str, npt.NDArray[Any]]:
        """Everything without units: gain at the cap over noise [K], load [K], initial power over the cap [K]."""
        cell = self.cell
        return {
            "snr": cell.link_gain * cell.p_max_w / cell.noise_w,
            "load": model.loads(cell.rate_threshold_bit_s, cell.bandwidth_hz),
            "initial_share": cell.initial_power_w / cell.p_max_w,
        }

    def describe(self) -> Description:
        """The instance in words."""
        cell = self.cell
        rates_now = model.rates(cell.initial_power_w[None, :], cell)[0] / 1e3
        facts = [f"Bandwidth {cell.bandwidth_hz / 1e3:g} kHz, noise {cell.noise_w:g} W at the common receiver."]
        for k in range(cell.link_gain.size):
            facts.append(
                f"agent {k}: gain {cell.link_gain[k]:.4g}, initial power {cell.initial_power_w[k]:g} W (rate "
                f"{rates_now[k]:.3g} kbit/s), needs {cell.rate_threshold_bit_s[k] / 1e3:g} kbit/s, cap {cell.p_max_w[k]:g} W"
            )
        rules = ["Every agent reaches its rate threshold.", "No power is above its cap."]
        if cell.power_saving_w > 0.0:
            target = cell.initial_power_w.sum() - cell.power_saving_w
            rules.append(f"Intent: total power falls by {cell.power_saving_w:g} W, to at most {target:g} W.")
        return Description(
            f"Choose the powers of {cell.link_gain.size} agents that transmit to one receiver, so that total power is as small "
            "as possible. Every agent's rate B log2(1 + SINR) must reach its threshold, and each hears all others as noise.",
            constraints=tuple(rules),
            facts=tuple(facts),
            hints=(
                "An agent above its threshold can lower its power; that helps all others, who can then lower theirs.",
                "At the optimum every rate equals its threshold.",
                "Lowering all powers by one factor leaves the ratios among agents as they are; only the noise sets the end.",
                "Agents with high thresholds need a large received power (gain times power); their gain decides what it costs.",
            ),
        )

    def null_policies(self) -> Mapping[str, FloatArray]:
        """The initial powers, the two naive ways to cut the intended amount, and full power.

        ``cut_in_proportion`` lowers all powers by the same share, ``cut_equally`` by the same amount; ``repaired_cut`` is
        the first one after `project`.
        """
        cell = self.cell
        start = np.minimum(cell.initial_power_w, cell.p_max_w)
        share = min(1.0, cell.power_saving_w / float(cell.initial_power_w.sum()))
        policies = {
            "initial_powers": start[None, :],
            "cut_in_proportion": ((1.0 - share) * start)[None, :],
            "cut_equally": np.maximum(start - cell.power_saving_w / start.size, 0.0)[None, :],
            "full_power": cell.p_max_w[None, :].copy(),
        }
        if self._least.powers_w is not None and not self._least.reason:
            policies["repaired_cut"] = self.project(policies["cut_in_proportion"])
        return policies

    def _native_goal(self, goal: Goal, bounds: tuple[Bound, ...]) -> Instance:
        cell, rest = self._native_cell(bounds, keep=goal.keep)
        aim = goal.objective
        own = aim is None or (aim.sense == "min" and [t.metric for t in aim.terms] == ["total_power"])
        if own and not rest:
            return PowerGameInstance(goal_origin(self, goal), cell)
        return GoalInstance(PowerGameInstance(self.origin, cell), goal, rest)

    def jacobian(self, X: FloatArray) -> FloatArray:
        """Slopes of the total power, float64 [n, 1, K]: ones."""
        return np.ones((X.shape[0], 1, X.shape[1]))

    def objective_torch(self, x: torch.Tensor) -> torch.Tensor:
        """Total power of a batch as a differentiable function: tensor [n, K], W, to tensor [n, 1], W."""
        return x.sum(dim=1, keepdim=True)

    def draw(self, axes: Axes, x: FloatArray) -> bool:
        """Bars: initial and chosen power, and the rate over its threshold."""
        from optisolve.plotting.maps import draw_bars

        cell = self.cell
        needed = cell.rate_threshold_bit_s
        told = [
            f"{rate / least:.2f} x" if least > 0.0 else "free"
            for rate, least in zip(model.rates(x[None, :], cell)[0], needed, strict=True)
        ]
        bars = {"initial power": cell.initial_power_w, "power; number: rate over its threshold": x}
        draw_bars(axes, bars, x="Agent", y="Power in W", words=told, given="initial power")
        return True

    def _evaluate(self, X: FloatArray) -> Evaluation:
        from optisolve.problems.power_game.kernels import evaluate

        cell = self.cell
        F, G = np.empty((X.shape[0], 1)), np.empty((X.shape[0], len(self.constraint_names)))
        before = float(cell.initial_power_w.sum())
        numbers = (cell.bandwidth_hz, cell.noise_w, before, cell.power_saving_w)
        evaluate(X, cell.link_gain, cell.rate_threshold_bit_s, *numbers, F, G)
        return Evaluation(F, G, np.empty((X.shape[0], 0)))

    def _evaluate_twin(self, X: FloatArray) -> Evaluation:
        F = model.total_power(X)[:, None]
        return Evaluation(F, model.constraints(X, self.cell), np.empty((X.shape[0], 0)))

    def _project(self, X: FloatArray) -> FloatArray:
        least = self._least
        if least.reason or least.powers_w is None:
            return X
        P = lift_to_floors(X, self.gain, self.noise_w, self.sinr_floor, self.p_max_w, least.powers_w)
        if self.cell.power_saving_w <= 0.0:
            return P
        # Drawn towards the least powers until the intent holds; thresholds keep holding, since they are linear in the powers.
        target = float(self.cell.initial_power_w.sum()) - self.cell.power_saving_w
        spare = P - least.powers_w
        room, wanted = spare.sum(axis=1), target - float(least.powers_w.sum())
        share = np.where(room > wanted, max(wanted, 0.0) / np.where(room > 0.0, room, 1.0), 1.0)
        return np.where(share[:, None] < 1.0, least.powers_w + share[:, None] * spare, P)
