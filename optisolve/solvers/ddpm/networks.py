"""Denoisers: small networks that guess the clean solution from a noisy one, as `diffusers` models.

All of them take a noisy batch ``[B, S, N, C]``: B instances, S samples each, N variables of C channels, and predict what the
scheduler asks for (the clean solution or the velocity) in the same shape. What depends on the instance alone is encoded once
for its S samples. No normalization runs across the batch, so an answer never depends on its batch mates.

The class paths are part of the file format of saved weights.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn
from torch.nn import functional

__all__ = [
    "NETWORKS",
    "Condition",
    "Denoiser",
    "FilmDenoiser",
    "InterferenceDenoiser",
    "PlacementDenoiser",
    "SetDenoiser",
    "parameter_count",
]

Condition = dict[str, Tensor]
"""What a network is told about its instances, by name; every tensor is [B, ...]."""

_TIME_FREQUENCIES = 4


class Denoiser(ModelMixin, ConfigMixin):  # type: ignore[misc]  # diffusers has no types
    """Base of all denoisers: time embedding, learnt null token, the calling convention."""

    def encode(self, condition: Condition) -> Condition:
        """What the network needs of the instances, computed once and used in every step."""
        raise NotImplementedError

    def denoise(self, noisy: Tensor, time: Tensor, encoded: Condition, null: Tensor | None = None) -> Tensor:
        """Predict from a noisy batch.

        Args:
            noisy: float [B, S, N, C].
            time: float [B] or [1], noise level from 0 (clean) to 1 (pure noise).
            encoded: From `encode`.
            null: bool [B] or None; true where the network must do without the condition (classifier-free guidance).

        Returns:
            float [B, S, N, C].
        """
        raise NotImplementedError

    def clean(self, noisy: Tensor, time: Tensor, encoded: Condition, null: Tensor | None = None) -> Tensor:
        """The clean solution, whatever the network predicts; arguments as `denoise`."""
        predicted = self.denoise(noisy, time, encoded, null)
        if self.config["prediction"] == "sample":
            return predicted
        angle = (0.5 * math.pi * time)[:, None, None, None]
        return torch.cos(angle) * noisy - torch.sin(angle) * predicted

    def forward(self, noisy: Tensor, time: Tensor, condition: Condition, null: Tensor | None = None) -> Tensor:
        """`encode` and `denoise` in one call."""
        return self.denoise(noisy, time, self.encode(condition), null)


def time_features(time: Tensor) -> Tensor:
    """Noise level as [B, 1, 1, 2F + 1]: itself and a few sines and cosines."""
    steps = torch.arange(1, _TIME_FREQUENCIES + 1, device=time.device, dtype=time.dtype) * math.pi
    angle = time[:, None] * steps
    return torch.cat([time[:, None], torch.sin(angle), torch.cos(angle)], dim=1)[:, None, None, :]


TIME_WIDTH = 2 * _TIME_FREQUENCIES + 1


def blend(features: Tensor, token: Tensor, null: Tensor | None) -> Tensor:
    """Replace the features of instances marked as null by a learnt token."""
    if null is None:
        return features
    mask = null.view(-1, *([1] * (features.dim() - 1)))
    return torch.where(mask, token, features)


class InterferenceDenoiser(Denoiser):
    """Message passing over the links of an interference channel, permutation-equivariant, for any number of links.

    Every layer holds a tentative power per link, computes what that power means on the channel (interference heard, rate,
    harm done to others, all exact sums over the links, hence of the right size for any K), and corrects its state.

    Condition: ``gain`` [B, K, K], receiver i from transmitter j at full power over noise; ``weight`` [B, K].

    Args:
        width: Length of a link's state.
        hidden: Width of the layers' hidden activations.
        messages: Channels that links send each other.
        layers: Number of layers.
        prediction: ``"sample"`` (x0) or ``"velocity"``.
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self, width: int = 16, hidden: int = 32, messages: int = 4, layers: int = 4, prediction: str = "sample"
    ) -> None:
        super().__init__()
        self.embed = nn.Linear(_LINK_FEATURES, width)
        self.null_token = nn.Parameter(torch.zeros(width))
        self.time = nn.Linear(TIME_WIDTH, width)
        self.enter = nn.Linear(1, width, bias=False)
        self.blocks = nn.ModuleList(_LinkLayer(width, hidden, messages) for _ in range(layers))
        self.first = nn.Linear(width, 1)
        self.velocity = nn.Linear(width, 1) if prediction == "velocity" else None

    def encode(self, condition: Condition) -> Condition:
        """Link features, and the matrices along which messages travel."""
        gain, weight = condition["gain"], condition["weight"]
        own = torch.diagonal(gain, dim1=1, dim2=2)  # [B, K]
        cross = gain - torch.diag_embed(own)  # [B, K, K]
        n_links = own.shape[1]
        heard, harm = cross.sum(dim=2), cross.sum(dim=1)
        size = torch.full_like(own, math.log(n_links) / 3.0)
        features = torch.stack([torch.log1p(own), torch.log1p(heard), torch.log1p(harm), weight, size], dim=2)
        hurt = cross / (1.0 + own[:, :, None] + cross)  # [B, K, K], how much of i's signal j drowns
        return {
            "state": self.embed(features),
            "own": own[:, None],
            "cross": cross,
            "cross_t": cross.transpose(1, 2),
            "weight": weight[:, None],
            "both": torch.cat([hurt, hurt.transpose(1, 2)], dim=1),  # [B, 2K, K]
        }

    def denoise(self, noisy: Tensor, time: Tensor, encoded: Condition, null: Tensor | None = None) -> Tensor:
        """See `Denoiser.denoise`; C = 1."""
        time = time.expand(noisy.shape[0])
        level = self.time(time_features(time))  # [B, 1, 1, width]
        state = (blend(encoded["state"], self.null_token, null)[:, None] + level) + self.enter(noisy)
        channel = encoded
        if null is not None:  # without the condition there is no channel either
            keep = (~null).to(noisy.dtype)[:, None, None]
            channel = {**encoded, **{name: encoded[name] * keep for name in ("own", "cross", "cross_t", "both")}}
        power = torch.sigmoid(self.first(state))[..., 0]  # [B, S, K]
        for layer in self.blocks:
            state, power = layer(state, power, channel)
        if self.config["prediction"] == "sample":
            return (2.0 * power - 1.0)[..., None]
        assert self.velocity is not None
        return cast(Tensor, self.velocity(state))


_LINK_FEATURES = 5
_PHYSICS = 4


class _LinkLayer(nn.Module):
    """One round: powers to physics, messages, new state, new powers.

    The hidden layer's inputs keep a linear map each, since joining them would cost more than the maps themselves.
    """

    def __init__(self, width: int, hidden: int, messages: int) -> None:
        super().__init__()
        self.say = nn.Linear(width, messages)
        self.from_state = nn.Linear(width, hidden)
        self.from_told = nn.Linear(2 * messages, hidden, bias=False)
        self.from_physics = nn.Linear(_PHYSICS, hidden, bias=False)
        self.out = nn.Linear(hidden, width)
        self.head = nn.Linear(width, 1)

    def forward(self, state: Tensor, power: Tensor, channel: Condition) -> tuple[Tensor, Tensor]:
        b, s, k = power.shape
        own, cross, weight = channel["own"], channel["cross"], channel["weight"]
        heard = 1.0 + torch.matmul(power, channel["cross_t"])  # [B, S, K]
        signal = own * power
        total = heard + signal
        price = weight * signal / (heard * total)
        harm = torch.matmul(price, cross)  # rate lost by others per unit of this link's power, nat
        gain = weight * own / total  # own rate won per unit of power, nat
        positive = torch.stack([signal / heard, own / heard, harm, gain], dim=3).log1p()
        said = self.say(state) * power[..., None]  # [B, S, K, m]
        m = said.shape[3]
        flat = said.permute(0, 2, 1, 3).reshape(b, k, s * m)
        told = torch.matmul(channel["both"], flat).view(b, 2, k, s, m).permute(0, 3, 2, 1, 4).reshape(b, s, k, 2 * m)
        mixed = self.from_state(state) + self.from_told(told) + self.from_physics(positive)
        state = state + self.out(functional.relu(mixed))
        return state, torch.sigmoid(self.head(state))[..., 0]


class SetDenoiser(Denoiser):
    """Transformer over the variables of a problem, permutation-equivariant, for any number of variables.

    Tokens attend to each other and, where there is a second set (users beside UAVs), to its tokens; a summary (mean) of the
    variables tells every token what the others hold together.

    Condition: ``tokens`` [B, N, F], and when `context_features` > 0 ``context`` [B, K, G].

    Args:
        token_features: F.
        context_features: G, 0 without a second set.
        channels: C.
        width: Length of a token.
        layers: Number of layers.
        heads: Attention heads.
        prediction: ``"sample"`` (x0) or ``"velocity"``.
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        token_features: int = 4,
        context_features: int = 0,
        channels: int = 1,
        width: int = 32,
        layers: int = 3,
        heads: int = 4,
        prediction: str = "sample",
    ) -> None:
        super().__init__()
        self.embed = nn.Sequential(nn.Linear(token_features, width), nn.SiLU(), nn.Linear(width, width))
        if context_features:
            self.embed_context = nn.Sequential(nn.Linear(context_features, width), nn.SiLU(), nn.Linear(width, width))
        self.null_token = nn.Parameter(torch.zeros(width))
        self.null_context = nn.Parameter(torch.zeros(width))
        self.enter = nn.Linear(channels + TIME_WIDTH, width)
        self.blocks = nn.ModuleList(_SetLayer(width, heads, cross=context_features > 0) for _ in range(layers))
        self.leave = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, channels))

    def encode(self, condition: Condition) -> Condition:
        """Embedded tokens of both sets."""
        encoded = {"tokens": self.embed(condition["tokens"])}
        if self.config["context_features"]:
            encoded["context"] = self.embed_context(condition["context"])
        return encoded

    def denoise(self, noisy: Tensor, time: Tensor, encoded: Condition, null: Tensor | None = None) -> Tensor:
        """See `Denoiser.denoise`."""
        b, s, n, _ = noisy.shape
        level = time_features(time.expand(b)).expand(b, s, n, -1)
        state = blend(encoded["tokens"], self.null_token, null)[:, None] + self.enter(torch.cat([noisy, level], dim=3))
        state = state.reshape(b * s, n, -1)
        context = None
        if "context" in encoded:
            context = blend(encoded["context"], self.null_context, null).repeat_interleave(s, dim=0)
        for block in self.blocks:
            state = block(state, context)
        out: Tensor = self.leave(state).view(b, s, n, -1)
        return torch.tanh(out) if self.config["prediction"] == "sample" else out


class _SetLayer(nn.Module):
    """Attention within the set, attention to the second set, mean of the set, feed-forward."""

    def __init__(self, width: int, heads: int, *, cross: bool) -> None:
        super().__init__()
        self.norm_self, self.norm_out = nn.LayerNorm(width), nn.LayerNorm(width)
        self.within = _Attention(width, heads)
        self.norm_cross = nn.LayerNorm(width) if cross else None
        self.across = _Attention(width, heads) if cross else None
        self.feed = nn.Sequential(nn.Linear(2 * width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))

    def forward(self, state: Tensor, context: Tensor | None) -> Tensor:
        normed = self.norm_self(state)
        state = state + self.within(normed, normed)
        if self.across is not None and self.norm_cross is not None and context is not None:
            state = state + self.across(self.norm_cross(state), context)
        normed = self.norm_out(state)
        together = normed.mean(dim=1, keepdim=True).expand_as(normed)
        return cast(Tensor, state + self.feed(torch.cat([normed, together], dim=2)))


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.pair, self.out = nn.Linear(width, width), nn.Linear(width, 2 * width), nn.Linear(width, width)

    def forward(self, state: Tensor, others: Tensor) -> Tensor:
        b, n, width = state.shape

        def split(values: Tensor) -> Tensor:
            return values.view(b, -1, self.heads, width // self.heads).transpose(1, 2)

        key, value = self.pair(others).chunk(2, dim=2)
        mixed = functional.scaled_dot_product_attention(split(self.query(state)), split(key), split(value))
        return cast(Tensor, self.out(mixed.transpose(1, 2).reshape(b, n, width)))


class PlacementDenoiser(Denoiser):
    """Places movable points (UAVs) among fixed ones (users); equivariant in the first, invariant in the second.

    Every layer holds tentative places, lets the movable points compete for the fixed ones (a softmax over the movable points,
    at several lengths, as soft k-means does), tells each where its share and its rivals lie, and moves it.

    Condition: ``tokens`` [B, N, F]; ``context`` [B, K, 2], places of the fixed points in [-1, 1].

    Args:
        token_features: F.
        channels: C; the first two are the place.
        width: Length of a point's state.
        hidden: Width of the layers' hidden activations.
        layers: Number of layers.
        heads: Lengths at which points compete.
        prediction: ``"sample"``; the network names places, nothing else.
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        token_features: int = 5,
        channels: int = 3,
        width: int = 48,
        hidden: int = 96,
        layers: int = 6,
        heads: int = 4,
        prediction: str = "sample",
    ) -> None:
        super().__init__()
        self.embed = nn.Sequential(nn.Linear(token_features, width), nn.SiLU(), nn.Linear(width, width))
        self.null_token = nn.Parameter(torch.zeros(width))
        self.enter = nn.Linear(channels + TIME_WIDTH, width)
        self.blocks = nn.ModuleList(_PlacementLayer(channels, width, hidden, heads) for _ in range(layers))

    def encode(self, condition: Condition) -> Condition:
        """Embedded tokens, and the fixed points."""
        return {"tokens": self.embed(condition["tokens"]), "fixed": condition["context"]}

    def denoise(self, noisy: Tensor, time: Tensor, encoded: Condition, null: Tensor | None = None) -> Tensor:
        """See `Denoiser.denoise`."""
        b, s, n, _ = noisy.shape
        level = time_features(time.expand(b)).expand(b, s, n, -1)
        state = blend(encoded["tokens"], self.null_token, null)[:, None] + self.enter(torch.cat([noisy, level], dim=3))
        fixed = encoded["fixed"] if null is None else encoded["fixed"] * (~null).to(noisy.dtype)[:, None, None]
        free = noisy  # places before the squashing
        for block in self.blocks:
            state, free = block(state, free, fixed[:, None, None])
        return torch.tanh(free)


class _PlacementLayer(nn.Module):
    def __init__(self, channels: int, width: int, hidden: int, heads: int) -> None:
        super().__init__()
        self.sharpness = nn.Parameter(torch.linspace(0.0, 4.0, heads))
        self.lean = nn.Linear(width, heads)
        self.mix = nn.Sequential(nn.Linear(width + channels + 8 * heads, hidden), nn.SiLU(), nn.Linear(hidden, width))
        self.move = nn.Linear(width, channels)

    def forward(self, state: Tensor, free: Tensor, fixed: Tensor) -> tuple[Tensor, Tensor]:
        place = torch.tanh(free)
        at = place[..., :2]  # [B, S, N, 2]
        offset = fixed - at[:, :, :, None]  # [B, S, N, K, 2]
        reach = self.sharpness.exp()
        logit = -offset.square().sum(dim=4)[..., None] * reach  # [B, S, N, K, H]
        share = torch.softmax(logit + self.lean(state)[:, :, :, None], dim=2)  # movable points compete
        load = share.sum(dim=3)  # [B, S, N, H]
        own = torch.einsum("bsnkh,bsnkc->bsnhc", share, offset) / (load[..., None] + 1e-3)
        near = torch.einsum("bsnkh,bsnkc->bsnhc", torch.softmax(logit, dim=3), offset)
        apart = at[:, :, None] - at[:, :, :, None]  # [B, S, N, N, 2]
        push = torch.exp(-apart.square().sum(dim=4)[..., None] * reach)  # [B, S, N, N, H]
        rivals = torch.einsum("bsnmh,bsnmc->bsnhc", push, apart)
        told = [state, place, own.flatten(3), near.flatten(3), rivals.flatten(3), load / fixed.shape[3], push.mean(dim=3)]
        state = state + self.mix(torch.cat(told, dim=3))
        return state, free + self.move(state)


class FilmDenoiser(Denoiser):
    """Residual MLP for problems of one fixed size; condition and noise level scale and shift every layer (FiLM).

    Condition: ``vector`` [B, F].

    Args:
        features: F.
        variables: N.
        channels: C.
        width: Width of the layers.
        layers: Number of residual layers.
        prediction: ``"sample"`` (x0) or ``"velocity"``.
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        features: int = 4,
        variables: int = 4,
        channels: int = 1,
        width: int = 64,
        layers: int = 3,
        prediction: str = "sample",
    ) -> None:
        super().__init__()
        self.embed = nn.Sequential(nn.Linear(features, width), nn.SiLU(), nn.Linear(width, width))
        self.null_token = nn.Parameter(torch.zeros(width))
        self.time = nn.Linear(TIME_WIDTH, width)
        self.enter = nn.Linear(variables * channels, width)
        self.blocks = nn.ModuleList(_FilmLayer(width) for _ in range(layers))
        self.leave = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, variables * channels))

    def encode(self, condition: Condition) -> Condition:
        """The embedded condition."""
        return {"vector": self.embed(condition["vector"])}

    def denoise(self, noisy: Tensor, time: Tensor, encoded: Condition, null: Tensor | None = None) -> Tensor:
        """See `Denoiser.denoise`."""
        b, s, n, c = noisy.shape
        level = self.time(time_features(time.expand(b))[:, :, 0])  # [B, 1, width]
        known = functional.silu(blend(encoded["vector"], self.null_token, null)[:, None] + level)
        state = self.enter(noisy.reshape(b, s, n * c))
        for block in self.blocks:
            state = block(state, known)
        out: Tensor = self.leave(state).view(b, s, n, c)
        return torch.tanh(out) if self.config["prediction"] == "sample" else out


class _FilmLayer(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.film = nn.LayerNorm(width), nn.Linear(width, 2 * width)
        self.feed = nn.Sequential(nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))

    def forward(self, state: Tensor, known: Tensor) -> Tensor:
        scale, shift = self.film(known).chunk(2, dim=2)
        return cast(Tensor, state + self.feed(self.norm(state) * (1.0 + scale) + shift))


NETWORKS = ("InterferenceDenoiser", "SetDenoiser", "FilmDenoiser", "PlacementDenoiser")
"""Classes that saved weights may name."""


def parameter_count(network: nn.Module) -> int:
    """Number of weights."""
    return sum(int(values.numel()) for values in network.parameters())
