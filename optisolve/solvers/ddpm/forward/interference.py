"""Forward pass of `optisolve.solvers.ddpm.networks.InterferenceDenoiser`."""

from __future__ import annotations

import math

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.bridge import Cases
from optisolve.solvers.ddpm.forward.base import TIME_WIDTH, Encoded, Forward, Parts, sigmoid, time_features

__all__ = ["InterferenceForward"]

_LINK_FEATURES = 5
_PHYSICS = 4


class InterferenceForward(Forward):
    """Message passing over the links of an interference channel; samples come after links, as in the network."""

    def _build(self, parts: Parts) -> None:
        width, hidden = parts.size("width", 16), parts.size("hidden", 32)
        messages = parts.size("messages", 4)
        self.embed = parts.linear("embed", _LINK_FEATURES, width)
        self.null_token = parts.array("null_token", width)
        self.time = parts.linear("time", TIME_WIDTH, width)
        self.enter = parts.linear("enter", 1, width, bias=False)
        self.blocks = [_LinkLayer(parts, f"blocks.{i}", width, hidden, messages) for i in range(parts.size("layers", 4))]
        self.first = parts.linear("first", width, 1)
        self.velocity = parts.linear("velocity", width, 1) if self.prediction == "velocity" else None

    def encode(self, condition: Cases) -> Encoded:
        """Link features, and the matrices along which messages travel."""
        gain, weight = condition["gain"], condition["weight"]
        own = np.diagonal(gain, axis1=1, axis2=2)  # [B, K]
        n_links = own.shape[1]
        cross = gain * (1.0 - np.eye(n_links))  # [B, K, K]
        heard, harm = cross.sum(axis=2), cross.sum(axis=1)
        size = np.full_like(own, math.log(n_links) / 3.0)
        features = np.stack([np.log1p(own), np.log1p(heard), np.log1p(harm), weight, size], axis=2)
        hurt = cross / (1.0 + own[:, :, None] + cross)  # [B, K, K], how much of i's signal j drowns
        return {
            "state": self.embed(features),
            "own": own[:, :, None],
            "cross": cross,
            "weight": weight[:, :, None],
            "hurt": hurt,
        }

    def denoise(self, noisy: FloatArray, level: float, encoded: Encoded, *, null: bool) -> FloatArray:
        """See `Forward.denoise`; C = 1."""
        known = np.broadcast_to(self.null_token, encoded["state"].shape) if null else encoded["state"]
        channel = encoded
        if null:  # without the condition there is no channel either
            channel = {**encoded, **{name: np.zeros_like(encoded[name]) for name in ("own", "cross", "hurt")}}
        told = known + self.time(time_features(level))  # [B, K, width]
        state = told[:, :, None] + self.enter(noisy.transpose(0, 2, 1, 3))  # [B, K, S, width]
        power = sigmoid(self.first(state))[..., 0]  # [B, K, S]
        for layer in self.blocks:
            state, power = layer(state, power, channel)
        out = 2.0 * power[..., None] - 1.0 if self.velocity is None else self.velocity(state)
        return out.transpose(0, 2, 1, 3)


class _LinkLayer:
    """One round: powers to physics, messages, new state, new powers."""

    def __init__(self, parts: Parts, name: str, width: int, hidden: int, messages: int) -> None:
        self.say = parts.linear(f"{name}.say", width, messages)
        self.from_state = parts.linear(f"{name}.from_state", width, hidden)
        self.from_told = parts.linear(f"{name}.from_told", 2 * messages, hidden, bias=False)
        self.from_physics = parts.linear(f"{name}.from_physics", _PHYSICS, hidden, bias=False)
        self.out = parts.linear(f"{name}.out", hidden, width)
        self.head = parts.linear(f"{name}.head", width, 1)

    def __call__(self, state: FloatArray, power: FloatArray, channel: Encoded) -> tuple[FloatArray, FloatArray]:
        b, k, s = power.shape
        own, weight = channel["own"], channel["weight"]  # [B, K, 1]
        heard = 1.0 + channel["cross"] @ power  # [B, K, S]
        signal = own * power
        total = heard + signal
        price = weight * signal / (heard * total)
        harm = channel["cross"].transpose(0, 2, 1) @ price  # rate lost by others per unit of this link's power, nat
        gain = weight * own / total  # own rate won per unit of power, nat
        positive = np.log1p(np.stack([signal / heard, own / heard, harm, gain], axis=3))
        said = (self.say(state) * power[..., None]).reshape(b, k, -1)  # [B, K, S m]
        told = [(mixed @ said).reshape(b, k, s, -1) for mixed in (channel["hurt"], channel["hurt"].transpose(0, 2, 1))]
        hidden = self.from_state(state)
        hidden += self.from_told(np.concatenate(told, axis=3))
        hidden += self.from_physics(positive)
        state = state + self.out(np.maximum(hidden, 0.0, out=hidden))
        return state, sigmoid(self.head(state))[..., 0]
