"""The network in torch, for training; `optisolve.solvers.power_net.forward` computes the same numbers without it."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from optisolve.solvers.power_net.shape import LINK_FEATURES, PHYSICS, STRETCH, Shape

__all__ = ["PowerNetwork", "weighted_rates"]

_TINY = 1e-12


class PowerNetwork(nn.Module):
    """Message passing over the links of an interference channel, permutation-equivariant, for any number of links.

    Every layer holds a power per link, computes what these powers mean on the channel, and corrects the links' states. All
    that a link tells others is multiplied by its power, and small powers are exactly zero, so that silent links cost nothing.

    Args:
        shape: Widths and number of layers.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.embed = nn.Linear(LINK_FEATURES, shape.width)
        self.noise = nn.Parameter(0.1 * torch.randn(shape.width))
        self.first = nn.Linear(shape.width, 1)
        self.layers = nn.ModuleList(_Layer(shape) for _ in range(shape.layers))

    def forward(self, gain: Tensor, weight: Tensor, noise: Tensor) -> list[Tensor]:
        """Powers after each layer, the answer last.

        Args:
            gain: [B, K, K], receiver i from transmitter j at full power over noise.
            weight: [B, K], largest weight 1.
            noise: [B, K, S], what tells S candidates of an instance apart; 0 for the plain answer.

        Returns:
            As many tensors [B, K, S] as layers, shares of the caps in [0, 1].
        """
        own = torch.diagonal(gain, dim1=1, dim2=2)  # [B, K]
        cross = gain - torch.diag_embed(own)  # [B, K, K]
        hurt = cross / (1.0 + own[:, :, None] + cross)
        alone = weight * torch.log1p(own)
        features = torch.stack(
            [
                torch.log1p(own),
                torch.log1p(cross.sum(dim=2)),
                torch.log1p((weight[:, :, None] * cross).sum(dim=1)),
                weight,
                torch.full_like(own, math.log(own.shape[1]) / 3.0),
                torch.log1p(hurt.sum(dim=2)),
                torch.log1p((weight[:, :, None] * hurt).sum(dim=1)),
                alone / alone.max(dim=1, keepdim=True).values.clamp(min=_TINY),
            ],
            dim=2,
        )
        channel = _Channel(own[:, :, None], cross, hurt, weight[:, :, None])
        state = self.embed(features)[:, :, None] + noise[..., None] * self.noise  # [B, K, S, width]
        power = _on_off(self.first(state)[..., 0])
        found = []
        for layer in self.layers:
            state, power = layer(state, power, channel)
            found.append(power)
        return found


class _Channel:
    def __init__(self, own: Tensor, cross: Tensor, hurt: Tensor, weight: Tensor) -> None:
        self.own, self.cross, self.hurt, self.weight = own, cross, hurt, weight
        self.cross_t, self.hurt_t = cross.transpose(1, 2), hurt.transpose(1, 2)


class _Layer(nn.Module):
    """One round: powers to physics, messages, new state, new powers."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.say = nn.Linear(shape.width, shape.messages)
        self.mix = nn.Linear(shape.width + 2 * shape.messages + PHYSICS, shape.hidden)
        self.out = nn.Linear(shape.hidden, shape.width)
        self.head = nn.Linear(shape.width, 1)

    def forward(self, state: Tensor, power: Tensor, channel: _Channel) -> tuple[Tensor, Tensor]:
        own, weight = channel.own, channel.weight  # [B, K, 1]
        heard = 1.0 + channel.cross @ power  # [B, K, S]
        signal = own * power
        total = heard + signal
        rate = torch.log1p(signal / heard)
        slope = weight * signal / (heard * total)
        harm = channel.cross_t @ slope  # rate lost by others per unit of this link's power, nat
        loss = _lost(channel.cross, weight, rate, heard * total, signal, power)
        free = torch.log1p(own / heard)
        physics = torch.stack(
            [rate, free, torch.log1p(harm), torch.log1p(loss), weight * free - loss, torch.log1p(weight * own / total), power],
            dim=3,
        )
        said = self.say(state) * power[..., None]  # [B, K, S, m]
        flat = said.flatten(2)
        told = [(mixed @ flat).view_as(said) for mixed in (channel.hurt, channel.hurt_t)]
        hidden = torch.relu(self.mix(torch.cat([state, *told, physics], dim=3)))
        state = state + self.out(hidden)
        return state, _on_off(self.head(state)[..., 0])


def _lost(cross: Tensor, weight: Tensor, rate: Tensor, product: Tensor, signal: Tensor, power: Tensor) -> Tensor:
    """What all others would lose to each link at full power, nat, [B, K, S].

    A gain g to a receiver with rate r loses it ``r g / (g + q)``, q = r I (I + S) / S: its slope at 0, and all of r in the end.
    """
    q = torch.where(power > 0.0, rate * product / signal.clamp(min=_TINY), torch.ones_like(rate)).transpose(1, 2)
    share = cross[:, None] / (cross[:, None] + q[..., None])  # [B, S, i, k]
    return ((weight * rate).transpose(1, 2)[:, :, None] @ share)[:, :, 0].transpose(1, 2)


def _on_off(logit: Tensor) -> Tensor:
    """Powers with exact zeros and ones, whose gradient is that of the sigmoid everywhere."""
    soft = torch.sigmoid(logit)
    hard = (soft * (1.0 + 2.0 * STRETCH) - STRETCH).clamp(0.0, 1.0)
    return soft + (hard - soft).detach()


def weighted_rates(gain: Tensor, weight: Tensor, power: Tensor) -> Tensor:
    """Weighted sum rates, nat, [B, S], of powers [B, K, S]."""
    own = torch.diagonal(gain, dim1=1, dim2=2)
    cross = gain - torch.diag_embed(own)
    rate = torch.log1p(own[:, :, None] * power / (1.0 + cross @ power))
    return (weight[:, :, None] * rate).sum(dim=1)
