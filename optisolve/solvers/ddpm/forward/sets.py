"""Forward pass of `optisolve.solvers.ddpm.networks.SetDenoiser`."""

from __future__ import annotations

import math

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.bridge import Cases
from optisolve.core.errors import SolverError
from optisolve.solvers.ddpm.forward.base import TIME_WIDTH, Encoded, Forward, Parts, softmax, time_features

__all__ = ["SetForward"]


class SetForward(Forward):
    """Transformer over the variables of a problem, with or without a second set beside them."""

    def _build(self, parts: Parts) -> None:
        channels, width, heads = parts.size("channels", 1), parts.size("width", 32), parts.size("heads", 4)
        context = parts.size("context_features", 0)
        if heads == 0 or width % heads:
            raise SolverError(f"ddpm: {parts.source}: config.json: heads is {heads}; expected a divisor of width = {width}.")
        self.embed = parts.two_layers("embed", parts.size("token_features", 4), width, width)
        self.embed_context = parts.two_layers("embed_context", context, width, width) if context else None
        self.null_token, self.null_context = parts.array("null_token", width), parts.array("null_context", width)
        self.enter = parts.linear("enter", channels + TIME_WIDTH, width)
        layers = range(parts.size("layers", 3))
        self.blocks = [_SetLayer(parts, f"blocks.{i}", width, heads, cross=context > 0) for i in layers]
        self.norm, self.leave = parts.norm("leave.0", width), parts.linear("leave.1", width, channels)

    def encode(self, condition: Cases) -> Encoded:
        """Embedded tokens of both sets."""
        encoded = {"tokens": self.embed(condition["tokens"])}
        if self.embed_context is not None:
            encoded["context"] = self.embed_context(condition["context"])
        return encoded

    def denoise(self, noisy: FloatArray, level: float, encoded: Encoded, *, null: bool) -> FloatArray:
        """See `Forward.denoise`."""
        told = np.broadcast_to(time_features(level), (*noisy.shape[:3], TIME_WIDTH))
        state = self.enter(np.concatenate([noisy, told], axis=3))  # [B, S, N, width]
        state += self.null_token if null else encoded["tokens"][:, None]
        context = None
        if "context" in encoded:
            seen = encoded["context"]
            context = (np.broadcast_to(self.null_context, seen.shape) if null else seen)[:, None]  # [B, 1, K, width]
        for block in self.blocks:
            state = block(state, context)
        out = self.leave(self.norm(state))
        return np.tanh(out) if self.prediction == "sample" else out


class _SetLayer:
    """Attention within the set, attention to the second set, mean of the set, feed-forward."""

    def __init__(self, parts: Parts, name: str, width: int, heads: int, *, cross: bool) -> None:
        self.norm_self, self.norm_out = parts.norm(f"{name}.norm_self", width), parts.norm(f"{name}.norm_out", width)
        self.within = _Attention(parts, f"{name}.within", width, heads)
        self.across = None
        if cross:
            self.across = parts.norm(f"{name}.norm_cross", width), _Attention(parts, f"{name}.across", width, heads)
        self.feed = parts.two_layers(f"{name}.feed", 2 * width, 2 * width, width)

    def __call__(self, state: FloatArray, context: FloatArray | None) -> FloatArray:
        normed = self.norm_self(state)
        state = state + self.within(normed, normed)
        if self.across is not None and context is not None:
            norm, attention = self.across
            state = state + attention(norm(state), context)
        normed = self.norm_out(state)
        together = np.broadcast_to(normed.mean(axis=2, keepdims=True), normed.shape)
        return state + self.feed(np.concatenate([normed, together], axis=3))


class _Attention:
    """Scaled dot products with several heads."""

    def __init__(self, parts: Parts, name: str, width: int, heads: int) -> None:
        self.heads = heads
        self.query, self.pair = parts.linear(f"{name}.query", width, width), parts.linear(f"{name}.pair", width, 2 * width)
        self.out = parts.linear(f"{name}.out", width, width)

    def __call__(self, state: FloatArray, others: FloatArray) -> FloatArray:
        """State [B, S, N, width] looks at others [B, S or 1, K, width]."""
        width = state.shape[3]
        pair = self.pair(others)
        query, key, value = (self._split(v) for v in (self.query(state), pair[..., :width], pair[..., width:]))
        score = query @ key.swapaxes(3, 4)  # [B, S, heads, N, K]
        mixed = softmax(score / math.sqrt(width // self.heads), axis=4) @ value
        return self.out(mixed.swapaxes(2, 3).reshape(state.shape))

    def _split(self, values: FloatArray) -> FloatArray:
        """[B, S, heads, n, width / heads] from [B, S, n, width]."""
        return values.reshape(*values.shape[:3], self.heads, -1).swapaxes(2, 3)
