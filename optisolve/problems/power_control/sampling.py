"""Sum-rate power control: sampled are the powers, which at good points are on or off."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.bridge import Bridge, Cases, Polished, Seen, distinct, phrases
from optisolve.core.capabilities import WeightedChannel, capability_gap
from optisolve.core.problem import Instance
from optisolve.numerics.switches import rates, switch_links
from optisolve.numerics.wmmse import normalized_gain, wmmse

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["PowerControlBridge", "link_rates"]

_GOALS = ("sum_rate", "weighted_sum_rate")
_ON_LINKS = 3.5
"""Links that are on at good points of Gaussian channels, whatever K (0.33 of 10, 0.2 of 20, 0.15 of 30)."""
_LIFT = 1e-2
"""Share of the cap from which a silent link starts a polish by WMMSE, which cannot wake links."""


class PowerControlBridge(Bridge):
    """Powers y = 2 p / p_max - 1 of K links; noise and caps enter through the gain at full power over noise."""

    family: ClassVar[str] = "power_control"
    polishes: ClassVar[tuple[str, ...]] = ("switch", "wmmse", "none")

    def gap(self, instance: Instance) -> str | None:
        """Needs a sum rate without minimum rates."""
        reason = capability_gap(instance, WeightedChannel)
        if reason is None and (goal := _channel(instance).goal) not in _GOALS:
            reason = f"needs an instance with the goal {' or '.join(_GOALS)}, this one has {goal}"
        if reason is None and instance.constraint_names:
            reason = "treats sum rates without minimum rates"
        return reason

    def read(self, instance: Instance) -> dict[str, FloatArray]:
        """``gain`` [K, K] at full power over noise, ``weight`` [K] with largest weight 1, ``cap`` [K] in W."""
        channel = _channel(instance)
        gain = normalized_gain(channel.gain, channel.noise_w, channel.p_max_w)
        return {"gain": gain, "weight": channel.weight / max(channel.weight.max(), 1e-300), "cap": channel.p_max_w}

    def unseen(self, instance: Instance, seen: Seen) -> list[str]:
        """Size, noise over the cap at unit gain, kind of channel, and weights by the instance itself."""
        channel, params = _channel(instance), instance.origin.params
        found: dict[str, object] = {"n_links": channel.p_max_w.size, "channel": params.get("channel", "from a file")}
        if found["channel"] == "gaussian":
            cap = float(str(params["p_max_w"]))
            found |= {"noise_w": float(str(params["noise_w"])) / cap, "cross_gain": params["cross_gain"]}
        told = phrases(found, {name: values for name, values in seen.items() if name in found})
        least, share = min(map(float, map(str, seen.get("weight_low", (1.0,))))), channel.weight.min() / channel.weight.max()
        return told if share >= least * (1.0 - 1e-9) else [*told, f"weights down to {share:.2g} of the largest ({least:g})"]

    def condition(self, cases: Cases) -> dict[str, FloatArray]:
        """Gain and weight."""
        return {"gain": cases["gain"], "weight": cases["weight"]}

    def shape(self, cases: Cases) -> tuple[int, int]:
        """K variables of one channel."""
        return cases["weight"].shape[1], 1

    def decode(self, cases: Cases, y: FloatArray) -> FloatArray:
        """Shares of the caps, in [0, 1]."""
        return np.clip(0.5 * (y[..., 0] + 1.0), 0.0, 1.0)

    def score(self, cases: Cases, points: FloatArray) -> FloatArray:
        """The weighted sum rate, bit/s/Hz, up to the scale of the weights."""
        return rates(cases["gain"], cases["weight"], points)

    def polish(self, cases: Cases, points: FloatArray, *, method: str, steps: int) -> Polished:
        """``switch``: best single switches, then as many steps of WMMSE among the links that are on; ``wmmse``: steps of WMMSE
        from the point lifted off zero.
        """
        gain, weight = cases["gain"], cases["weight"]
        if method == "switch":
            on, _, looked = switch_links(gain, weight, points, max_switches=steps)
            return Polished(_settle(gain, weight, on, steps), looked)
        if method == "wmmse":
            ascended, _ = wmmse(gain, weight, np.maximum(points, _LIFT), max_iterations=steps, tolerance=0.0)
            return Polished(ascended, np.zeros(points.shape[:2], dtype=np.int64))
        return super().polish(cases, points, method=method, steps=steps)

    def null(self, cases: Cases, uniform: FloatArray) -> FloatArray:
        """Random on/off links; about as many on as at good points, which is all it knows."""
        n_links = cases["weight"].shape[1]
        return np.where(uniform < min(0.5, _ON_LINKS / n_links), 1.0, -1.0)

    def points(self, instance: Instance, points: FloatArray) -> FloatArray:
        """Powers, W."""
        return instance.space.clip(points * _channel(instance).p_max_w)

    def value(self, condition: Mapping[str, Tensor], y: Tensor) -> Tensor:
        """Weighted sum rate of the relaxed powers over a cheap estimate of its size."""
        import torch

        gain, weight, power = condition["gain"], condition["weight"], 0.5 * (y[..., 0] + 1.0)
        own = torch.diagonal(gain, dim1=1, dim2=2)[:, None]  # [B, 1, K]
        cross_t = (gain - torch.diag_embed(own[:, 0])).transpose(1, 2)
        rate = (link_rates(power, own, cross_t, 1.0) * weight[:, None]).sum(dim=2)
        alone = (weight * torch.log1p(own[:, 0])).max(dim=1).values / math.log(2.0)  # [B], the best link alone
        return rate / alone.clamp(min=1e-6)[:, None]

    def decision(self, instance: Instance, y: Tensor) -> Tensor:
        """Powers [S, K], W."""
        import torch

        cap = torch.as_tensor(_channel(instance).p_max_w.copy(), dtype=y.dtype, device=y.device)
        return 0.5 * (y[..., 0] + 1.0) * cap

    def label(self, cases: Cases, rng: np.random.Generator, count: int) -> tuple[FloatArray, FloatArray]:
        """WMMSE from full power and random starts; the same and random on/off points improved by switches.

        With equal weights the switches find the best points, with unequal ones an optimum may hold partial powers.
        """
        gain, weight = cases["gain"], cases["weight"]
        n_cases, n_links = weight.shape
        starts = np.concatenate([np.ones((n_cases, 1, n_links)), rng.random((n_cases, 7, n_links))], axis=1)
        ascended, _ = wmmse(gain, weight, starts, max_iterations=300, tolerance=1e-5)
        random = 0.5 * (self.null(cases, rng.random((n_cases, 12, n_links))) + 1.0)
        on, _, _ = switch_links(gain, weight, np.concatenate([ascended, random], axis=1), max_switches=50)
        points = np.concatenate([ascended, _settle(gain, weight, on, 100)], axis=1)
        return distinct(2.0 * points[..., None] - 1.0, self.score(cases, points), count, digits=2)


def link_rates(power: Tensor, own: Tensor, cross_t: Tensor, noise: Tensor | float) -> Tensor:
    """Rates of K links, differentiable, bit/s/Hz; the one torch text of this family's equations.

    Args:
        power: [..., n, K].
        own: [..., 1, K] or [K], gain of every link to its own receiver.
        cross_t: [..., K, K], gain from transmitter (row) to receiver (column), 0 on the diagonal.
        noise: [K], in the unit of power times gain.
    """
    import torch

    rate: Tensor = torch.log1p(power * own / (power @ cross_t + noise)) / math.log(2.0)
    return rate


def _channel(instance: Instance) -> WeightedChannel:
    return cast(WeightedChannel, instance)  # `isinstance` takes longer than a sample


def _settle(gain: FloatArray, weight: FloatArray, on: FloatArray, steps: int) -> FloatArray:
    """WMMSE among the links that are on; it never lowers the rate and leaves on/off optima at once."""
    return wmmse(gain, weight, on, max_iterations=steps, tolerance=1e-4)[0]
