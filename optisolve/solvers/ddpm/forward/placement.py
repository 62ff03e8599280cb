"""Forward pass of `optisolve.solvers.ddpm.networks.PlacementDenoiser`."""

from __future__ import annotations

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.bridge import Cases
from optisolve.core.errors import SolverError
from optisolve.solvers.ddpm.forward.base import TIME_WIDTH, Encoded, Forward, Parts, softmax, time_features

__all__ = ["PlacementForward"]


class PlacementForward(Forward):
    """Movable points among fixed ones."""

    def _build(self, parts: Parts) -> None:
        channels, width, hidden = parts.size("channels", 3), parts.size("width", 48), parts.size("hidden", 96)
        if self.prediction != "sample":
            raise SolverError(f"ddpm: {parts.source}: a {parts.kind} predicts 'sample'; config.json says '{self.prediction}'.")
        self.embed = parts.two_layers("embed", parts.size("token_features", 5), width, width)
        self.null_token = parts.array("null_token", width)
        self.enter = parts.linear("enter", channels + TIME_WIDTH, width)
        heads = parts.size("heads", 4)
        self.blocks = [_Layer(parts, f"blocks.{i}", channels, width, hidden, heads) for i in range(parts.size("layers", 6))]

    def encode(self, condition: Cases) -> Encoded:
        """Embedded tokens, and the fixed points."""
        return {"tokens": self.embed(condition["tokens"]), "fixed": condition["context"]}

    def denoise(self, noisy: FloatArray, level: float, encoded: Encoded, *, null: bool) -> FloatArray:
        """See `Forward.denoise`."""
        told = np.broadcast_to(time_features(level), (*noisy.shape[:3], TIME_WIDTH))
        state = self.enter(np.concatenate([noisy, told], axis=3))
        state += self.null_token if null else encoded["tokens"][:, None]
        fixed = np.zeros_like(encoded["fixed"]) if null else encoded["fixed"]
        free = noisy  # places before the squashing
        for block in self.blocks:
            state, free = block(state, free, fixed)
        return np.tanh(free)


class _Layer:
    """One round; sums of offsets are taken as sums of places less the sum of shares times the own place."""

    def __init__(self, parts: Parts, name: str, channels: int, width: int, hidden: int, heads: int) -> None:
        self.reach = np.exp(parts.array(f"{name}.sharpness", heads))[:, None]  # [H, 1]
        self.lean = parts.linear(f"{name}.lean", width, heads)
        self.mix = parts.two_layers(f"{name}.mix", width + channels + 8 * heads, hidden, width)
        self.move = parts.linear(f"{name}.move", width, channels)

    def __call__(self, state: FloatArray, free: FloatArray, fixed: FloatArray) -> tuple[FloatArray, FloatArray]:
        """State [B, S, N, width] and places [B, S, N, C] among fixed points [B, K, 2]."""
        b, s, n = free.shape[:3]
        place = np.tanh(free)
        at = place[..., :2]  # [B, S, N, 2]
        logit = -_square(fixed[:, None, None], at[:, :, :, None])[:, :, :, None] * self.reach  # [B, S, N, H, K]
        share = softmax(logit + self.lean(state)[..., None], axis=2)  # movable points compete
        load = share.sum(axis=4)  # [B, S, N, H]
        near = softmax(logit, axis=4)
        k, here = fixed.shape[1], at[:, :, :, None]
        own = (share.reshape(b, -1, k) @ fixed).reshape(b, s, n, -1, 2) - load[..., None] * here
        own /= load[..., None] + 1e-3
        closest = (near.reshape(b, -1, k) @ fixed).reshape(b, s, n, -1, 2) - here
        push = np.exp(-_square(at[:, :, None], at[:, :, :, None])[:, :, :, None] * self.reach)  # [B, S, N, H, N]
        rivals = (push.reshape(b, s, -1, n) @ at).reshape(b, s, n, -1, 2) - push.sum(axis=4)[..., None] * here
        told = [state, place, *(v.reshape(b, s, n, -1) for v in (own, closest, rivals)), load / k, push.mean(axis=4)]
        state = state + self.mix(np.concatenate(told, axis=3))
        return state, free + self.move(state)


def _square(to: FloatArray, origin: FloatArray) -> FloatArray:
    """Squared distances of places [..., 2] that broadcast."""
    found: FloatArray = np.square(to[..., 0] - origin[..., 0])
    found += np.square(to[..., 1] - origin[..., 1])
    return found
