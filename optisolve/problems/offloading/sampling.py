"""Offloading to one server: sampled are the decisions, the processor shares are completed in closed form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Protocol, cast, runtime_checkable

import numpy as np
import numpy.typing as npt

from optisolve.core.arrays import FloatArray
from optisolve.core.bridge import Bridge, Cases, Polished, distinct
from optisolve.core.problem import Instance
from optisolve.problems.offloading.model import Costs

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["OffloadingBridge", "cost_of"]


@runtime_checkable
class OffloadingCase(Protocol):
    """What the bridge reads of an instance."""

    costs: Costs
    n_servers: int
    hard_deadlines: bool

    def complete(self, servers: npt.ArrayLike) -> FloatArray:
        """The point with given servers [N] and the best shares for them."""
        ...


class OffloadingBridge(Bridge):
    """One decision per user, y > 0 means offloaded.

    For a set of offloaded users the best shares are in proportion to b, so that the cost is
    sum of L over the local ones, sum of A over the others, and the square of their sum of b.
    """

    family: ClassVar[str] = "offloading"
    polishes: ClassVar[tuple[str, ...]] = ("switch", "none")

    def gap(self, instance: Instance) -> str | None:
        """Needs one server and no hard deadlines."""
        case = _case(instance)
        if case.n_servers != 1:
            return "treats offloading to one server"
        return "treats offloading without hard deadlines" if case.hard_deadlines else None

    def read(self, instance: Instance) -> dict[str, FloatArray]:
        """``local`` L, ``remote`` A and ``root`` b, each [N], over the mean of L (of its square root)."""
        costs = _case(instance).costs
        unit = float(costs.local.mean())
        return {"local": costs.local / unit, "remote": costs.transmit[:, 0] / unit, "root": costs.root[:, 0] / unit**0.5}

    def condition(self, cases: Cases) -> dict[str, FloatArray]:
        """Per user: L, A, b, saving per b, and the number of users."""
        local, remote, root = (cases[name] for name in ("local", "remote", "root"))
        saving = np.clip((local - remote) / np.maximum(root, 1e-9) / np.sqrt(local.shape[1]), -4.0, 4.0)
        size = np.full_like(local, np.log(local.shape[1]) / 3.0)
        near = np.log1p(remote)
        return {"tokens": np.stack([local, near, root, saving, size], axis=2), **{k: cases[k] for k in cases}}

    def shape(self, cases: Cases) -> tuple[int, int]:
        """N variables of one channel."""
        return cases["local"].shape[1], 1

    def decode(self, cases: Cases, y: FloatArray) -> FloatArray:
        """Decisions, 1 for offloaded."""
        return (y[..., 0] > 0.0).astype(np.float64)

    def score(self, cases: Cases, points: FloatArray) -> FloatArray:
        """Minus the cost under the best shares, in units of the mean local cost."""
        local, remote, root = (cases[name][:, None] for name in ("local", "remote", "root"))
        linear = np.where(points > 0.5, remote, local).sum(axis=2)
        return cast(FloatArray, -(linear + (points * root).sum(axis=2) ** 2))

    def polish(self, cases: Cases, points: FloatArray, *, method: str, steps: int) -> Polished:
        """``switch``: the best change of one decision, until none helps."""
        if method != "switch":
            return super().polish(cases, points, method=method, steps=steps)
        local, remote, root = (cases[name][:, None] for name in ("local", "remote", "root"))
        points, probes = points.copy(), np.zeros(points.shape[:2], dtype=np.int64)
        moving = np.ones(points.shape[:2], dtype=bool)
        for _ in range(steps):
            load = (points * root).sum(axis=2, keepdims=True)
            sign = 1.0 - 2.0 * points  # +1 joins, -1 leaves
            change = sign * (remote - local) + (load + sign * root) ** 2 - load**2  # [B, S, N]
            probes += moving * points.shape[2]
            best = change.argmin(axis=2)[..., None]
            moving &= np.take_along_axis(change, best, axis=2)[..., 0] < -1e-12 * local.sum(axis=2)
            if not moving.any():
                break
            flipped = 1.0 - np.take_along_axis(points, best, axis=2)
            kept = np.take_along_axis(points, best, axis=2)
            np.put_along_axis(points, best, np.where(moving[..., None], flipped, kept), axis=2)
        return Polished(points, probes)

    def null(self, cases: Cases, uniform: FloatArray) -> FloatArray:
        """A coin per user."""
        return np.where(uniform < 0.5, 1.0, -1.0)

    def points(self, instance: Instance, points: FloatArray) -> FloatArray:
        """Servers and shares, completed by the instance."""
        complete = _case(instance).complete
        return np.stack([complete(row) for row in points])

    def value(self, condition: Mapping[str, Tensor], y: Tensor) -> Tensor:
        """Minus the mean cost when every decision is a coin with this bias, over the cost of all local.

        It is linear in every single bias, so that its optima are whole decisions.
        """
        local, remote, root = (condition[name][:, None] for name in ("local", "remote", "root"))
        bias = 0.5 * (y[..., 0] + 1.0)
        load = (bias * root).sum(dim=2)
        cost = (local + bias * (remote - local)).sum(dim=2) + load**2 + (bias * (1.0 - bias) * root**2).sum(dim=2)
        return -cost / local.sum(dim=2)

    def label(self, cases: Cases, rng: np.random.Generator, count: int) -> tuple[FloatArray, FloatArray]:
        """The best prefix in order of saving per b, and random decisions, all improved by switches."""
        local, remote, root = (cases[name] for name in ("local", "remote", "root"))
        order = np.argsort((remote - local) / np.where(root > 0.0, root, np.inf), axis=1)
        rank = np.argsort(order, axis=1)
        prefixes = (rank[:, None] < np.arange(local.shape[1] + 1)[None, :, None]).astype(np.float64)  # [B, N + 1, N]
        random = self.decode(cases, self.null(cases, rng.random((len(local), 15, local.shape[1], 1))))
        starts = np.concatenate([prefixes, random], axis=1)
        points = self.polish(cases, starts, method="switch", steps=4 * local.shape[1]).points
        return distinct(2.0 * points[..., None] - 1.0, self.score(cases, points), count, digits=0)


def cost_of(costs: Costs, x: Tensor) -> Tensor:
    """Cost of points [n, 2N], differentiable; [n, 1].

    Servers may be fractions for one server: cost is linear in the choice then; with several servers they are rounded and only
    the shares carry a gradient.
    """
    import torch

    n, n_servers = costs.transmit.shape
    local, transmit, execute = (
        torch.tensor(v, dtype=x.dtype, device=x.device) for v in (costs.local, costs.transmit, costs.root**2)
    )
    choice, share = x[:, :n], x[:, n:]
    if n_servers == 1:
        remote = transmit[:, 0] + execute[:, 0] / share
        return ((1.0 - choice) * local + choice * remote).sum(dim=1, keepdim=True)
    server = (choice.round().long() - 1).clamp(min=0)  # [n, N]
    users = torch.arange(n, device=x.device)
    remote = transmit[users, server] + execute[users, server] / share
    return torch.where(choice.round() > 0, remote, local).sum(dim=1, keepdim=True)


def _case(instance: Instance) -> OffloadingCase:
    assert isinstance(instance, OffloadingCase)
    return instance
