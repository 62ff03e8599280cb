"""Forward pass of `optisolve.solvers.ddpm.networks.FilmDenoiser`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.bridge import Cases
from optisolve.solvers.ddpm.forward.base import TIME_WIDTH, Encoded, Forward, Linear, Norm, Parts, silu, time_features

__all__ = ["FilmForward"]


class FilmForward(Forward):
    """Residual MLP; condition and noise level scale and shift every layer."""

    def _build(self, parts: Parts) -> None:
        features, width = parts.size("features", 4), parts.size("width", 64)
        flat = parts.size("variables", 4) * parts.size("channels", 1)
        self.embed = parts.two_layers("embed", features, width, width)
        self.null_token = parts.array("null_token", width)
        self.time, self.enter = parts.linear("time", TIME_WIDTH, width), parts.linear("enter", flat, width)
        self.blocks = [_film_layer(parts, f"blocks.{i}", width) for i in range(parts.size("layers", 3))]
        self.norm, self.leave = parts.norm("leave.0", width), parts.linear("leave.1", width, flat)

    def encode(self, condition: Cases) -> Encoded:
        """The embedded condition, [B, width]."""
        return {"vector": self.embed(condition["vector"])}

    def denoise(self, noisy: FloatArray, level: float, encoded: Encoded, *, null: bool) -> FloatArray:
        """See `Forward.denoise`."""
        b, s = noisy.shape[:2]
        told = np.broadcast_to(self.null_token, encoded["vector"].shape) if null else encoded["vector"]
        known = silu(told[:, None] + self.time(time_features(level)))  # [B, 1, width]
        state = self.enter(noisy.reshape(b, s, -1))
        for block in self.blocks:
            state = block(state, known)
        out = self.leave(self.norm(state)).reshape(noisy.shape)
        return np.tanh(out) if self.prediction == "sample" else out


def _film_layer(parts: Parts, name: str, width: int) -> Callable[[FloatArray, FloatArray], FloatArray]:
    norm: Norm = parts.norm(f"{name}.norm", width)
    film: Linear = parts.linear(f"{name}.film", width, 2 * width)
    feed = parts.two_layers(f"{name}.feed", width, 2 * width, width)

    def layer(state: FloatArray, known: FloatArray) -> FloatArray:
        scale, shift = np.split(film(known), 2, axis=2)
        return state + feed(norm(state) * (1.0 + scale) + shift)

    return layer
