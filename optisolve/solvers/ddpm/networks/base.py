"""What all denoisers share: the calling convention, the noise level as features, the null token."""

from __future__ import annotations

import math

import numpy as np
import torch
from diffusers import ConfigMixin, ModelMixin
from torch import Tensor, nn

from optisolve.core.arrays import FloatArray
from optisolve.core.bridge import Cases, to_tensors
from optisolve.core.errors import SolverError
from optisolve.solvers.ddpm.forward import Estimator

__all__ = ["TIME_WIDTH", "Condition", "Denoiser", "blend", "parameter_count", "pick_device", "time_features"]

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

    def at(self, condition: Cases) -> Estimator:
        """The estimator of some cases, arrays in and out, as `optisolve.solvers.ddpm.forward.Forward.at`."""
        device = str(next(self.parameters()).device)
        with torch.inference_mode():
            encoded = self.encode(to_tensors(condition, device))

        def clean(noisy: FloatArray, level: float, *, null: bool = False) -> FloatArray:
            with torch.inference_mode():
                given = torch.as_tensor(noisy.astype(np.float32), device=device)
                time = torch.full((1,), level, device=device)
                mask = torch.ones(len(given), dtype=torch.bool, device=device) if null else None
                found: FloatArray = self.clean(given, time, encoded, mask).cpu().numpy().astype(np.float64)
            return found

        return clean


def pick_device(device: str) -> str:
    """The device behind ``auto``, ``cpu`` or ``cuda``.

    Raises:
        SolverError: CUDA was asked for and is not there.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise SolverError("device=cuda: torch finds no CUDA device here; use device=cpu or device=auto.")
    return device


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


def parameter_count(network: nn.Module) -> int:
    """Number of weights."""
    return sum(int(values.numel()) for values in network.parameters())
