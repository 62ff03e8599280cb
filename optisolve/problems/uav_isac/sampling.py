"""UAVs that communicate and localize: sampled are positions and powers, for one preference between the objectives each.

A batch of samples with evenly spread preferences is a whole front. Preference w minimizes the weighted Chebyshev distance
``max(w a, (1 - w) b)`` from the ideal corner, where a and b are utility and error bound over the scenario's scoring box.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.bridge import Bridge, Cases, Polished, distinct, to_tensors
from optisolve.core.problem import Instance
from optisolve.problems.uav_isac.model import Constants

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["UavIsacBridge"]

_LOWEST, _HIGHEST = 0.2, 0.8
"""Range of the preference for the utility; beyond it the compromise leaves the scoring box of the scenarios."""
_SUM = 0.05
"""Share of the plain sum in the scalar value, so that ties are broken towards the front."""
_OWN = 0.05
"""Weight of the samples' own values beside the hypervolume of the front that they make."""
_CONSTANTS = (
    "area_m",
    "altitude_m",
    "noise_over_gain",
    "bandwidth_hz",
    "rate_ref_bps",
    "ranging_per_w",
    "prior_per_m2",
    "d_min_m",
    "p_min_w",
    "p_max_w",
    "p_total_w",
)


@runtime_checkable
class UavIsacCase(Protocol):
    """What the bridge reads of an instance."""

    constants: Constants
    users_m: FloatArray


class UavIsacBridge(Bridge):
    """M variables (UAVs) of three channels: x and y over the side, power over its range."""

    family: ClassVar[str] = "uav_isac"
    polishes: ClassVar[tuple[str, ...]] = ("none", "gradient")
    preferences: ClassVar[int] = 1

    def gap(self, instance: Instance) -> str | None:
        """Needs the line-of-sight channel and at least two UAVs."""
        constants = _case(instance).constants
        if constants.channel is not None:
            return "treats the line-of-sight channel only"
        return "treats two or more UAVs" if constants.n_uavs < 2 else None

    def read(self, instance: Instance) -> dict[str, FloatArray]:
        """``users`` [K, 2] over the side, ``constants`` [11], ``box`` [4] (worst and ideal utility and error), ``uavs`` [M]."""
        case, box = _case(instance), instance.hypervolume_box
        assert box is not None  # two objectives
        return {
            "users": case.users_m / case.constants.area_m,
            "constants": np.array([float(getattr(case.constants, name)) for name in _CONSTANTS]),
            "box": np.array([box.reference[0], box.ideal[0], box.reference[1], box.ideal[1]]),
            "uavs": np.zeros(case.constants.n_uavs),
            "preference": np.array(0.5),
        }

    def vary(self, case: dict[str, FloatArray], rng: np.random.Generator) -> dict[str, FloatArray]:
        """A random preference."""
        return {**case, "preference": np.array(rng.uniform(_LOWEST, _HIGHEST))}

    def spread(self, case: Mapping[str, FloatArray], count: int) -> dict[str, FloatArray]:
        """Preferences evenly over their range."""
        cases = super().spread(case, count)
        return {**cases, "preference": np.linspace(_LOWEST, _HIGHEST, count) if count > 1 else np.full(1, 0.5)}

    def condition(self, cases: Cases) -> dict[str, FloatArray]:
        """Users as context; preference and scales of the scenario on every UAV's token."""
        n_uavs, c = cases["uavs"].shape[1], dict(zip(_CONSTANTS, cases["constants"].T, strict=True))
        scales = [
            2.0 * cases["preference"] - 1.0,
            c["altitude_m"] / c["area_m"],
            c["d_min_m"] / c["area_m"],
            c["p_total_w"] / c["p_max_w"] / n_uavs,
            np.log10(c["p_max_w"] / (c["noise_over_gain"] * c["altitude_m"] ** 2)) / 4.0,
        ]
        tokens = np.repeat(np.stack(scales, axis=1)[:, None], n_uavs, axis=1)
        known = {name: cases[name] for name in ("users", "constants", "box", "preference")}
        return {"tokens": tokens, "context": 2.0 * cases["users"] - 1.0, **known}

    def shape(self, cases: Cases) -> tuple[int, int]:
        """M variables of three channels."""
        return cases["uavs"].shape[1], 3

    def raw(self, cases: Cases, y: FloatArray) -> FloatArray:
        """Positions over the side and powers in W, no cap on their sum, float64 [B, S, 3M]."""
        low, high = (cases["constants"][:, _CONSTANTS.index(name), None, None] for name in ("p_min_w", "p_max_w"))
        share = 0.5 * (np.clip(y, -1.0, 1.0) + 1.0)
        points = np.concatenate([share[..., :2], (low + share[..., 2] * (high - low))[..., None]], axis=3)
        return points.reshape(*y.shape[:2], -1)

    def decode(self, cases: Cases, y: FloatArray) -> FloatArray:
        """Powers above the cap are scaled down; the instance's repair of separations follows in `points`."""
        points = self.raw(cases, y)
        total = points[..., 2::3].sum(axis=2, keepdims=True)
        cap = cases["constants"][:, _CONSTANTS.index("p_total_w"), None, None]
        low = cases["constants"][:, _CONSTANTS.index("p_min_w"), None, None]
        points[..., 2::3] = np.maximum(points[..., 2::3] * np.minimum(1.0, cap / total), low)
        return points

    def score(self, cases: Cases, points: FloatArray) -> FloatArray:
        """One minus the weighted Chebyshev distance, as `value`."""
        import torch

        with torch.inference_mode():
            condition = to_tensors(self.condition(cases), "cpu")
            uavs = torch.as_tensor(points.astype(np.float32)).view(*points.shape[:2], -1, 3)
            value: FloatArray = _scalar(condition, uavs).numpy().astype(np.float64)
        return value

    def polish(self, cases: Cases, points: FloatArray, *, method: str, steps: int) -> Polished:
        """``gradient``: steps of Adam on the scalar value through torch."""
        if method != "gradient":
            return super().polish(cases, points, method=method, steps=steps)
        low, high = (cases["constants"][:, _CONSTANTS.index(name), None, None] for name in ("p_min_w", "p_max_w"))
        uavs = points.reshape(*points.shape[:2], -1, 3)
        power = (uavs[..., 2] - low) / np.maximum(high - low, 1e-300)
        y = 2.0 * np.concatenate([uavs[..., :2], power[..., None]], axis=3) - 1.0
        climbed = self._climb(cases, y, steps)
        return Polished(self.decode(cases, climbed), np.full(points.shape[:2], steps, dtype=np.int64))

    def null(self, cases: Cases, uniform: FloatArray) -> FloatArray:
        """Uniform positions and powers."""
        return 2.0 * uniform - 1.0

    def points(self, instance: Instance, points: FloatArray) -> FloatArray:
        """Rows (x m, y m, p W) per UAV, repaired by the instance: separations and total power."""
        case = _case(instance)
        uavs = points.reshape(len(points), -1, 3).copy()
        uavs[..., :2] *= float(case.constants.area_m)
        return instance.project(uavs.reshape(len(points), -1))

    def project(self, condition: Cases, y: FloatArray) -> FloatArray:
        """Scale powers down to the cap on their sum."""
        y = np.clip(y, -1.0, 1.0)
        low, high, cap = (
            condition["constants"][:, _CONSTANTS.index(n), None, None] for n in ("p_min_w", "p_max_w", "p_total_w")
        )
        power = low + 0.5 * (y[..., 2] + 1.0) * (high - low)  # [B, S, M]
        factor = np.minimum(cap / power.sum(axis=2, keepdims=True), 1.0)
        y[..., 2] = np.clip(2.0 * (power * factor - low) / np.maximum(high - low, 1e-300) - 1.0, -1.0, 1.0)
        return y

    def project_torch(self, condition: Mapping[str, Tensor], y: Tensor) -> Tensor:
        """Scale powers down to the cap on their sum, differentiable."""
        import torch

        y = y.clamp(-1.0, 1.0)
        c = {name: condition["constants"][:, i, None, None] for i, name in enumerate(_CONSTANTS)}
        width = c["p_max_w"] - c["p_min_w"]
        power = c["p_min_w"] + 0.5 * (y[..., 2] + 1.0) * width  # [B, S, M]
        factor = (c["p_total_w"] / power.sum(dim=2, keepdim=True)).clamp(max=1.0)
        scaled = (2.0 * (power * factor - c["p_min_w"]) / width - 1.0).clamp(-1.0, 1.0)
        return torch.cat([y[..., :2], scaled[..., None]], dim=3)

    def value(self, condition: Mapping[str, Tensor], y: Tensor) -> Tensor:
        """One minus the weighted Chebyshev distance from the ideal corner, less what separations lack."""
        return _scalar(condition, self._uavs(condition, y))

    def front_value(self, condition: Mapping[str, Tensor], y: Tensor) -> Tensor:
        """Hypervolume over that of the scoring box, and a little of every sample's own value, so that none is left behind."""
        import torch

        b, s = y.shape[:2]
        a, e, lacking = (v.view(b, s) for v in _losses(condition, self._uavs(condition, y.flatten(0, 1)[:, None])))
        a, order = (a + lacking).clamp(max=1.0).sort(dim=1)
        e = (e + lacking).clamp(max=1.0).gather(1, order)
        edge = torch.cat([a[:, 1:], torch.ones_like(a[:, :1])], dim=1)
        volume = ((edge - a) * (1.0 - e.cummin(dim=1).values)).sum(dim=1)
        return volume + _OWN * self.value(condition, y.flatten(0, 1)[:, None]).view(b, s).mean(dim=1)

    def label(self, cases: Cases, rng: np.random.Generator, count: int) -> tuple[FloatArray, FloatArray]:
        """The best of random designs, improved by gradient steps."""
        n_cases, (n, c) = len(cases["uavs"]), self.shape(cases)
        random = self.null(cases, rng.random((n_cases, 64, n, c)))
        first = self.score(cases, self.decode(cases, random))
        best = np.argsort(-first, axis=1)[:, : 4 * count]
        start = np.take_along_axis(random, best[..., None, None], axis=1)
        y = self._climb(cases, start, 80)
        return distinct(y, self.score(cases, self.decode(cases, y)), count, digits=1)

    def _uavs(self, condition: Mapping[str, Tensor], y: Tensor) -> Tensor:
        """Designs [B, S, M, 3], positions over the side and powers in W, from samples."""
        import torch

        c = {name: condition["constants"][:, i, None, None] for i, name in enumerate(_CONSTANTS)}
        share = 0.5 * (y + 1.0)
        power = c["p_min_w"] + share[..., 2] * (c["p_max_w"] - c["p_min_w"])
        return torch.cat([share[..., :2], power[..., None]], dim=3)

    def _climb(self, cases: Cases, y: FloatArray, steps: int) -> FloatArray:
        """Adam on `value`, projected after every step; the best point on the way."""
        import torch

        with torch.inference_mode(False), torch.enable_grad():
            condition = to_tensors(self.condition(cases), "cpu")
            at = torch.as_tensor(y.astype(np.float32)).clone().requires_grad_(True)
            optimizer = torch.optim.Adam([at], lr=0.03)
            best, best_value = at.detach().clone(), self.value(condition, self.project_torch(condition, at)).detach()
            for _ in range(steps):
                optimizer.zero_grad()
                (-self.value(condition, self.project_torch(condition, at)).sum()).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                with torch.no_grad():
                    at.copy_(self.project_torch(condition, at))
                    value = self.value(condition, at)
                    better = value > best_value
                    best = torch.where(better[..., None, None], at, best)
                    best_value = torch.where(better, value, best_value)
        return best.numpy().astype(np.float64)


def _scalar(condition: Mapping[str, Tensor], uavs: Tensor) -> Tensor:
    """One minus the Chebyshev distance of designs [B, S, M, 3], positions over the side and powers in W; [B, S]."""
    import torch

    a, b, lacking = _losses(condition, uavs)
    weight = condition["preference"][:, None]
    first, second = weight * a, (1.0 - weight) * b
    return 1.0 - torch.maximum(first, second) - _SUM * (first + second) - lacking


def _losses(condition: Mapping[str, Tensor], uavs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Utility and error bound over the scoring box, 0 at its ideal corner and 1 at its worst, and what separations lack."""
    utility, error, lacking = _objectives(condition, uavs)
    box = condition["box"]
    a = (box[:, 1, None] - utility) / (box[:, 1] - box[:, 0])[:, None]
    b = (error - box[:, 3, None]) / (box[:, 2] - box[:, 3])[:, None]
    return a, b, lacking


def _objectives(condition: Mapping[str, Tensor], uavs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Utility in nat, mean error bound in m, and the missing separation over the smallest one; the model's equations.

    The association is fixed where gradients are taken; the determinant is the Cauchy-Binet sum of non-negative terms.
    """
    import torch

    c = {name: condition["constants"][:, i, None, None, None] for i, name in enumerate(_CONSTANTS)}
    place, power = uavs[..., :2], uavs[..., 2]  # [B, S, M, 2], [B, S, M]
    offset = (place[:, :, :, None] - condition["users"][:, None, None]) * c["area_m"][..., None]  # [B, S, M, K, 2], m
    ground = offset.square().sum(dim=4)
    path = 1.0 / (ground + c["altitude_m"].square())  # [B, S, M, K]
    received = power[..., None] * path
    serving = received.argmax(dim=2, keepdim=True)  # [B, S, 1, K]
    signal = received.gather(2, serving)[:, :, 0]
    sinr = signal / (received.sum(dim=2) - signal + c["noise_over_gain"][..., 0])
    chosen = torch.zeros_like(received).scatter(2, serving, 1.0)
    load = (chosen.sum(dim=3, keepdim=True) * chosen).sum(dim=2)  # [B, S, K]
    rate = (c["bandwidth_hz"] / c["rate_ref_bps"])[..., 0] / load * torch.log2(1.0 + sinr)
    utility = rate.clamp(min=1e-12).log().sum(dim=2)
    weight = path.square() * (c["ranging_per_w"] * received + 8.0)
    trace, eps = (weight * ground).sum(dim=2), c["prior_per_m2"][..., 0]
    determinant = eps * eps + eps * trace
    n_uavs = uavs.shape[2]
    lacking = torch.zeros_like(utility)
    for m in range(n_uavs):
        for n in range(m):
            cross = offset[:, :, m, :, 0] * offset[:, :, n, :, 1] - offset[:, :, n, :, 0] * offset[:, :, m, :, 1]
            determinant = determinant + weight[:, :, m] * weight[:, :, n] * cross.square()
            apart = ((place[:, :, m] - place[:, :, n]).square().sum(dim=2) + 1e-12).sqrt() * c["area_m"][..., 0, 0]
            lacking = lacking + torch.relu(1.0 - apart / c["d_min_m"][..., 0, 0])
    error = ((2.0 * eps + trace) / determinant).sqrt().mean(dim=2)
    return utility, error, lacking


def _case(instance: Instance) -> UavIsacCase:
    assert isinstance(instance, UavIsacCase)
    return instance
