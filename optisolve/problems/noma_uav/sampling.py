"""NOMA from a UAV: sampled is the position, the power split is completed exactly."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Protocol, cast, runtime_checkable

import numpy as np

from optisolve.core.arrays import FloatArray, IntArray
from optisolve.core.bridge import Bridge, Cases, Polished, distinct
from optisolve.core.problem import Instance
from optisolve.problems.noma_uav.model import Constants

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["NomaUavBridge", "sum_rate"]

_INFEASIBLE = -1.0
"""Score of a position where no split meets the minimum rates."""
_GRID = 20
_FIRST_STEP = 0.05
_PATTERN = np.array([[1, 0], [-1, 0], [0, 1], [0, -1], [1, 1], [1, -1], [-1, 1], [-1, -1]], dtype=np.float64)


@runtime_checkable
class NomaUavCase(Protocol):
    """What the bridge reads of an instance."""

    constants: Constants
    area_m: float
    users_m: FloatArray
    min_rate: FloatArray


class NomaUavBridge(Bridge):
    """The position as two channels of one variable, over the area's side."""

    family: ClassVar[str] = "noma_uav"
    polishes: ClassVar[tuple[str, ...]] = ("pattern", "none")

    def gap(self, instance: Instance) -> str | None:
        """Needs minimum rates without the NOMA order as a constraint."""
        if _case(instance).constants.power_order:
            return "treats noma_uav without the power order as a constraint"
        return None

    def read(self, instance: Instance) -> dict[str, FloatArray]:
        """``users`` [K, 2] over the side, ``min_rate`` [K], ``height`` over the side, ``noise``: see `noise_over_power`."""
        case = _case(instance)
        c, area = case.constants, float(case.area_m)
        return {
            "users": case.users_m / area,
            "min_rate": np.asarray(case.min_rate, dtype=np.float64),
            "height": np.array(c.altitude_m / area),
            "noise": np.array(c.noise_over_gain_1m_w * area**2 / c.p_total_w),
        }

    def condition(self, cases: Cases) -> dict[str, FloatArray]:
        """Users with their minimum rates; height and noise as one token."""
        n_users = cases["users"].shape[1]
        overhead = np.log(cases["noise"] * cases["height"] ** 2) / 10.0
        own = np.stack([cases["height"], overhead, np.full_like(overhead, n_users / 4.0)], axis=1)[:, None]
        context = np.concatenate([2.0 * cases["users"] - 1.0, cases["min_rate"][..., None]], axis=2)
        return {"tokens": own, "context": context, **{k: cases[k] for k in cases}}

    def shape(self, cases: Cases) -> tuple[int, int]:
        """One variable of two channels."""
        return 1, 2

    def decode(self, cases: Cases, y: FloatArray) -> FloatArray:
        """Position over the side [2] and powers over the total [K]."""
        place = np.clip(0.5 * (y[:, :, 0] + 1.0), 0.0, 1.0)
        power, _ = split(cases, place)
        return np.concatenate([place, power], axis=2)

    def score(self, cases: Cases, points: FloatArray) -> FloatArray:
        """Sum rate under the exact split, bit/s/Hz; -1 where the minimum rates cannot be met."""
        return split(cases, points[..., :2])[1]

    def polish(self, cases: Cases, points: FloatArray, *, method: str, steps: int) -> Polished:
        """``pattern``: the best of eight neighbors, at half the distance when none is better."""
        if method != "pattern":
            return super().polish(cases, points, method=method, steps=steps)
        place, power, probes = _pattern(cases, points[..., :2], steps)
        return Polished(np.concatenate([place, power], axis=2), probes)

    def null(self, cases: Cases, uniform: FloatArray) -> FloatArray:
        """Uniform in the users' bounding box."""
        low, high = cases["users"].min(axis=1)[:, None, None], cases["users"].max(axis=1)[:, None, None]
        return cast(FloatArray, 2.0 * (low + uniform * (high - low)) - 1.0)

    def points(self, instance: Instance, points: FloatArray) -> FloatArray:
        """Position in m and powers in W; the instance's own repair removes the last rounding error."""
        case = _case(instance)
        scale = np.concatenate([np.full(2, float(case.area_m)), np.full(points.shape[1] - 2, case.constants.p_total_w)])
        return instance.project(points * scale)

    def value(self, condition: Mapping[str, Tensor], y: Tensor) -> Tensor:
        """Sum rate under the exact split over that of all power overhead, less what the minimum rates lack."""
        import torch

        place = 0.5 * (y[:, :, 0] + 1.0)  # [B, S, 2]
        users, floor = condition["users"][:, None], condition["min_rate"]
        square = ((users - place[:, :, None]) ** 2).sum(dim=3) + condition["height"].square()[:, None, None]
        noise, order = (condition["noise"][:, None, None] * square).sort(dim=2)  # [B, S, K]
        shrink = torch.exp2(-floor[:, None].expand_as(noise).gather(2, order))
        above, power = torch.ones_like(noise[..., 0]), torch.zeros_like(noise)
        lacking = torch.zeros_like(above)
        for k in range(noise.shape[2] - 1, -1, -1):
            n = noise[..., k]
            below = torch.zeros_like(above) if k == 0 else torch.minimum(above, (above + n) * shrink[..., k] - n)
            if k == 0:
                lacking = lacking + torch.relu(n - (above + n) * shrink[..., 0]) / n
            lacking = lacking + torch.relu(-below)
            below = below.clamp(min=0.0)
            chosen = torch.nn.functional.one_hot(torch.tensor(k, device=noise.device), noise.shape[2])
            power = power + (above - below)[..., None] * chosen
            above = below
        overhead = torch.log2(1.0 + 1.0 / (condition["noise"] * condition["height"].square()))
        return sum_rate(power, noise) / overhead[:, None] - lacking

    def label(self, cases: Cases, rng: np.random.Generator, count: int) -> tuple[FloatArray, FloatArray]:
        """The best points of a grid, refined."""
        n_cases = len(cases["users"])
        axis = (np.arange(_GRID) + 0.5) / _GRID
        grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=2).reshape(-1, 2)
        place = np.broadcast_to(grid, (n_cases, len(grid), 2))
        score = split(cases, place)[1]
        best = np.argsort(-score, axis=1)[:, : 4 * count]
        start = np.take_along_axis(place, best[..., None], axis=1)
        refined, _, _ = _pattern(cases, start, 25)
        value = split(cases, refined)[1]
        return distinct((2.0 * refined - 1.0)[:, :, None], value, count, digits=1)


def noise_over_power(cases: Cases, place: FloatArray) -> FloatArray:
    """Noise over channel gain over the total power of every user, float64 [B, S, K]."""
    square = ((cases["users"][:, None] - place[:, :, None]) ** 2).sum(axis=3) + cases["height"][:, None, None] ** 2
    return cast(FloatArray, cases["noise"][:, None, None] * square)


def split(cases: Cases, place: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Exact power split at given positions.

    The weak users get just their minimum rates, the strongest one the rest: with cumulated powers S_1 <= ... <= S_K = 1 from
    strong to weak, S_{k-1} = min(S_k, S_k 2^{-r_k} - n_k (1 - 2^{-r_k})).

    Args:
        cases: B cases.
        place: float64 [B, S, 2], over the side.

    Returns:
        Powers over the total, float64 [B, S, K], in the users' own order, and the sum rate float64 [B, S] (-1 where no split
        meets the minimum rates).
    """
    noise = noise_over_power(cases, place)
    order = np.argsort(noise, axis=2, kind="stable")
    n = np.take_along_axis(noise, order, axis=2)
    asked = np.take_along_axis(np.broadcast_to(cases["min_rate"][:, None], n.shape), order, axis=2)
    shrink, needed = np.exp2(-asked), -np.expm1(-asked * math.log(2.0)) * n
    power, total = np.zeros_like(n), np.zeros(n.shape[:2])
    above, fits = np.ones(n.shape[:2]), np.ones(n.shape[:2], dtype=bool)
    for k in range(n.shape[2] - 1, -1, -1):
        kept = above * shrink[..., k]
        fits &= kept >= needed[..., k] * (1.0 - 1e-12)
        below = np.zeros_like(above) if k == 0 else np.maximum(np.minimum(above, kept - needed[..., k]), 0.0)
        power[..., k] = above - below
        total += np.log1p(power[..., k] / (below + n[..., k])) / math.log(2.0)
        above = below
    out = np.empty_like(power)
    np.put_along_axis(out, order, power, axis=2)
    return out, np.where(fits, total, _INFEASIBLE)


def _pattern(cases: Cases, place: FloatArray, steps: int) -> tuple[FloatArray, FloatArray, IntArray]:
    """Pattern search from every position: places, powers, and the number of positions looked at."""
    place = place.copy()
    power, value = split(cases, place)
    length = np.full(value.shape, _FIRST_STEP)
    for _ in range(steps):
        around = np.clip(place[:, :, None] + length[..., None, None] * _PATTERN, 0.0, 1.0)  # [B, S, 8, 2]
        b, s = value.shape
        tried = split(cases, around.reshape(b, s * len(_PATTERN), 2))[1].reshape(b, s, len(_PATTERN))
        best = tried.argmax(axis=2)
        found = np.take_along_axis(tried, best[..., None], axis=2)[..., 0]
        better = found > value
        chosen = np.take_along_axis(around, best[..., None, None], axis=2)[:, :, 0]
        place, value = np.where(better[..., None], chosen, place), np.where(better, found, value)
        length = np.where(better, length, 0.5 * length)
    power = split(cases, place)[0]
    return place, power, np.full(value.shape, steps * len(_PATTERN), dtype=np.int64)


def sum_rate(power: Tensor, noise: Tensor) -> Tensor:
    """Sum rate of users from strong to weak, differentiable, bit/s/Hz; the one torch text of this family's equations.

    Args:
        power: [..., K].
        noise: [..., K], noise over channel gain in the unit of power, ascending.
    """
    import torch

    stronger = torch.nn.functional.pad(torch.cumsum(power[..., :-1], dim=-1), (1, 0))
    rate: Tensor = torch.log1p(power / (stronger + noise)).sum(dim=-1) / math.log(2.0)
    return rate


def _case(instance: Instance) -> NomaUavCase:
    assert isinstance(instance, NomaUavCase)
    return instance
