"""What the diffusion sampler must know about relays: one point in the square is sampled, given the users."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from optisolve.core.bridge import Bridge, distinct

if TYPE_CHECKING:
    from torch import Tensor


class RelayBridge(Bridge):
    """One variable with two channels, the place over the side; y = 2 x / side - 1."""

    family: ClassVar[str] = "relay"

    def gap(self, instance):
        """Every relay can be sampled."""
        return

    def read(self, instance):
        """Users [K, 2] and height, over the side."""
        return {"users": instance.users_m / instance.area_m, "height": np.array(instance.height_m / instance.area_m)}

    def condition(self, cases):
        """The relay's own token, its height, beside the users."""
        return {"tokens": cases["height"][:, None, None], "context": 2.0 * cases["users"] - 1.0, "users": cases["users"]}

    def shape(self, cases):
        """One variable of two channels."""
        return 1, 2

    def decode(self, cases, y):
        """Places over the side, float64 [B, S, 2]."""
        return 0.5 * (np.clip(y[:, :, 0], -1.0, 1.0) + 1.0)

    def score(self, cases, points):
        """Minus the distance of the farthest user, float64 [B, S]."""
        return -np.sqrt(((points[:, :, None] - cases["users"][:, None]) ** 2).sum(axis=3)).max(axis=2)

    def null(self, cases, uniform):
        """Anywhere in the square."""
        return 2.0 * uniform - 1.0

    def points(self, instance, points):
        """Places in m."""
        return instance.space.clip(points * instance.area_m)

    def value(self, condition: dict[str, Tensor], y: Tensor) -> Tensor:
        """One minus the distance of the farthest user, differentiable."""
        place = 0.5 * (y[:, :, 0] + 1.0)  # [B, S, 2]
        square = ((place[:, :, None] - condition["users"][:, None]) ** 2).sum(dim=3)
        return 1.0 - (square + 1e-12).sqrt().max(dim=2).values

    def label(self, cases, rng, count):
        """The center of the smallest circle around all users, by steps towards the farthest (Badoiu and Clarkson 2003)."""
        rows, place = np.arange(len(cases["users"])), cases["users"].mean(axis=1)  # [B, 2]
        for step in range(400):
            farthest = ((cases["users"] - place[:, None]) ** 2).sum(axis=2).argmax(axis=1)
            place = place + (cases["users"][rows, farthest] - place) / (step + 2.0)
        y = (2.0 * place - 1.0)[:, None, None]  # [B, 1, 1, 2]
        return distinct(y, self.score(cases, place[:, None]), count, digits=3)
