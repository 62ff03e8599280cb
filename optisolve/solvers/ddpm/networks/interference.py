"""Message passing over the links of an interference channel."""

from __future__ import annotations

import math
from typing import cast

import torch
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn
from torch.nn import functional

from optisolve.solvers.ddpm.networks.base import TIME_WIDTH, Condition, Denoiser, blend, time_features

__all__ = ["InterferenceDenoiser"]


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
            "own": own[:, :, None],
            "cross": cross,
            "cross_t": cross.transpose(1, 2),
            "weight": weight[:, :, None],
            "hurt": hurt,
            "hurt_t": hurt.transpose(1, 2),
        }

    def denoise(self, noisy: Tensor, time: Tensor, encoded: Condition, null: Tensor | None = None) -> Tensor:
        """See `Denoiser.denoise`; C = 1. Inside, samples come after links, so that sums over links are plain products."""
        time = time.expand(noisy.shape[0])
        level = self.time(time_features(time))  # [B, 1, 1, width]
        known = blend(encoded["state"], self.null_token, null)[:, :, None] + level
        state = known + self.enter(noisy.transpose(1, 2))  # [B, K, S, width]
        channel = encoded
        if null is not None:  # without the condition there is no channel either
            keep, links = (~null).to(noisy.dtype)[:, None, None], ("own", "cross", "cross_t", "hurt", "hurt_t")
            channel = {**encoded, **{name: encoded[name] * keep for name in links}}
        power = torch.sigmoid(self.first(state))[..., 0]  # [B, K, S]
        for layer in self.blocks:
            state, power = layer(state, power, channel)
        if self.config["prediction"] == "sample":
            return (2.0 * power - 1.0).transpose(1, 2)[..., None]
        assert self.velocity is not None
        return cast(Tensor, self.velocity(state)).transpose(1, 2)


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
        b, k, s = power.shape
        own, weight = channel["own"], channel["weight"]  # [B, K, 1]
        heard = 1.0 + torch.bmm(channel["cross"], power)  # [B, K, S]
        signal = own * power
        total = heard + signal
        price = weight * signal / (heard * total)
        harm = torch.bmm(channel["cross_t"], price)  # rate lost by others per unit of this link's power, nat
        gain = weight * own / total  # own rate won per unit of power, nat
        positive = torch.stack([signal / heard, own / heard, harm, gain], dim=3).add(1.0).log()
        said = (self.say(state) * power[..., None]).view(b, k, -1)  # [B, K, S m]
        told = [torch.bmm(channel[name], said).view(b, k, s, -1) for name in ("hurt", "hurt_t")]
        state = self._mix(state, torch.cat(told, dim=3), positive)
        return state, torch.sigmoid(self.head(state))[..., 0]

    def _mix(self, state: Tensor, told: Tensor, positive: Tensor) -> Tensor:
        """The new state; outside of training the sums are taken in place, which saves a fifth of the time."""
        if torch.is_grad_enabled() or torch.is_autocast_enabled(state.device.type):  # in place no types are converted
            mixed = self.from_state(state) + self.from_told(told) + self.from_physics(positive)
            return cast(Tensor, state + self.out(functional.relu(mixed)))
        mixed = self.from_state(state).flatten(0, 2)
        for layer, inputs in ((self.from_told, told), (self.from_physics, positive)):
            mixed.addmm_(inputs.flatten(0, 2), layer.weight.t())
        return cast(Tensor, self.out(functional.relu_(mixed)).view_as(state).add_(state))
