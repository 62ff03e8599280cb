"""What training lowers: imitation of near-optima, or, without labels, the decoded objective of the sampler's own answers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor

from optisolve.core.arrays import FloatArray
from optisolve.core.bridge import Bridge, Cases, to_tensors
from optisolve.solvers.ddpm.factory import Shard
from optisolve.solvers.ddpm.networks import Condition, Denoiser
from optisolve.solvers.ddpm.recipe import Recipe
from optisolve.solvers.ddpm.schedules import Chain, Schedule

__all__ = ["Losses", "cases_in", "spread"]

_LABELS = ("label_y", "label_score")


@dataclass(frozen=True, slots=True)
class Losses:
    """The loss of a step.

    Args:
        recipe: What is learned and how.
        network: The denoiser.
        bridge: Its family.
        device: Where the networks are.
        teacher: Whose samples are imitated in place of labels, where the recipe says so.
    """

    recipe: Recipe
    network: Denoiser
    bridge: Bridge
    device: str
    teacher: Denoiser | None = None

    def at(self, step: int, batch: Shard, rng: np.random.Generator, noise: torch.Generator) -> Tensor:
        """The loss of one batch.

        Args:
            step: Number of the step, which decides the phase.
            batch: Cases with their labels.
            rng: Picks labels and the noise of own samples.
            noise: Of the torch side.
        """
        steps, cases = self.recipe.steps, cases_in(batch)
        condition = to_tensors(self.bridge.condition(cases), self.device)
        length = steps.chain_steps[step % len(steps.chain_steps)]

        def imitation() -> Tensor:
            if self.recipe.distil is None:
                return self.imitation(batch, condition, rng, noise)
            return self.distillation(cases, condition, length, noise)

        if step < steps.imitation:
            return imitation()
        loss = (self.front if steps.front else self.soft_maximum)(cases, condition, length, noise)
        return loss + steps.keep_imitating * imitation() if steps.keep_imitating > 0.0 else loss

    def imitation(self, batch: Shard, condition: Condition, rng: np.random.Generator, noise: torch.Generator) -> Tensor:
        """Denoise a label that was picked with weight exp(-relative gap / temperature)."""
        score, n = batch["label_score"], len(batch["label_score"])
        gap = (score.max(axis=1, keepdims=True) - score) / np.maximum(np.abs(score.max(axis=1, keepdims=True)), 1e-9)
        weight = np.exp(-gap / self.recipe.labels.temperature)
        picked = (rng.random((n, 1)) > np.cumsum(weight, axis=1) / weight.sum(axis=1, keepdims=True)).sum(axis=1)
        label = batch["label_y"][np.arange(n), np.minimum(picked, score.shape[1] - 1)]
        clean = torch.as_tensor(label.astype(np.float32), device=self.device)[:, None]  # [B, 1, N, C]
        level = torch.rand(n, generator=noise).to(self.device)
        added = torch.randn(clean.shape, generator=noise).to(self.device)
        angle = (0.5 * math.pi * level)[:, None, None, None]
        noisy = torch.cos(angle) * clean + torch.sin(angle) * added
        null = torch.rand(n, generator=noise).to(self.device) < self.recipe.steps.drop_condition
        predicted = self.network(noisy, level, condition, null)
        target = clean
        if self.network.config["prediction"] == "velocity":
            target = torch.cos(angle) * added - torch.sin(angle) * clean
        return cast(Tensor, (predicted - target).square().mean())

    def distillation(self, cases: Cases, condition: Condition, length: int, noise: torch.Generator) -> Tensor:
        """Squared distance from the samples that the teacher's chain makes of the same noise, in y.

        Without fresh noise on the way a chain is a function of its first noise, which a student can learn directly (Luhman and
        Luhman 2021, arXiv 2101.02388); what Salimans and Ho (2022, arXiv 2202.00512) do by halves is done in one go here.
        """
        assert self.recipe.distil is not None
        assert self.teacher is not None
        noisy = self._noise(cases, condition, self.recipe.steps.samples, noise)
        with torch.no_grad():
            target = self._walk(self.teacher, condition, noisy, self.recipe.distil.steps, project=True)  # as the solver samples
        return (self._walk(self.network, condition, noisy, length) - target).square().mean()

    def soft_maximum(self, cases: Cases, condition: Condition, length: int, noise: torch.Generator) -> Tensor:
        """Minus a soft maximum over the samples of the decoded objective, through the whole reverse chain."""
        steps = self.recipe.steps
        y = self._walk(self.network, condition, self._noise(cases, condition, steps.samples, noise), length)
        with torch.autocast(self.device, enabled=False):
            value = self.bridge.value(condition, y)  # [B, S]
        soft = torch.logsumexp(steps.sharpness * value, dim=1) - math.log(steps.samples)
        return -(soft / steps.sharpness).mean()

    def front(self, cases: Cases, condition: Condition, length: int, noise: torch.Generator) -> Tensor:
        """Minus the hypervolume of one sample for each of a spread of preferences, through the whole reverse chain."""
        count, n_cases = self.recipe.steps.front, next(iter(condition.values())).shape[0]
        condition = to_tensors(self.bridge.condition(spread(self.bridge, cases, count)), self.device)
        y = self._walk(self.network, condition, self._noise(cases, condition, 1, noise), length)
        with torch.autocast(self.device, enabled=False):
            return -self.bridge.front_value(condition, y.view(n_cases, count, *y.shape[2:])).mean()

    def _noise(self, cases: Cases, condition: Condition, count: int, noise: torch.Generator) -> Tensor:
        """Where the chains of so many samples per case begin, [B, S, N, C]."""
        n_cases = next(iter(condition.values())).shape[0]
        return torch.randn((n_cases, count, *self.bridge.shape(cases)), generator=noise).to(self.device)

    def _walk(self, network: Denoiser, condition: Condition, noisy: Tensor, length: int, *, project: bool = False) -> Tensor:
        """Projected samples [B, S, N, C] at the end of a reverse chain that gradients can pass.

        Args:
            network: Whose chain.
            condition: Of B cases.
            noisy: Where it begins, [B, S, N, C].
            length: Network calls.
            project: Project in every step, not only at the end.
        """
        encoded = network.encode(condition)
        chain: Chain[Tensor] = Chain(Schedule.DDIM, length)
        for index in range(length):
            level, _ = chain.level(index)
            clean = network.clean(noisy, torch.full((1,), level, device=self.device), encoded)
            if index + 1 < length:
                noisy = chain.step(self.bridge.project_torch(condition, clean) if project else clean, index, noisy)
        with torch.autocast(self.device, enabled=False):
            return self.bridge.project_torch(condition, clean.float())


def cases_in(shard: Shard) -> dict[str, FloatArray]:
    """The cases of a shard, without their labels."""
    return {name: np.asarray(values) for name, values in shard.items() if name not in _LABELS}


def spread(bridge: Bridge, cases: Cases, count: int) -> dict[str, FloatArray]:
    """Every case as `count` cases that differ in their preference alone."""
    each = [bridge.spread({name: v[i] for name, v in cases.items()}, count) for i in range(len(next(iter(cases.values()))))]
    return {name: np.concatenate([case[name] for case in each]) for name in each[0]}
