"""The published configuration of DiffSG (arXiv 2408.06701) on its 80-channel set, rebuilt to show the difference.

    python benchmarks/quality/ddpm_legacy.py [--train 7000] [--test 1000] [--epochs 200]

Twenty diffusion steps with a cosine schedule (beta at most 0.84), noise prediction by an hour-glass MLP, null condition =
zeros, guidance weight 500, a sampler that normalizes whole batches in its first steps and adds noise of the variance's size,
and a softmax decoder between the smallest and largest value of the whole test set. Labels are exact water-filling here, scaled
to [0, 1] by their largest value. Printed are the published sampler and decoder, the same weights with the DDPM posterior and
with a decoder per instance, the decoder's ceiling (the optimum itself pushed through it), and our sampler beside them.
"""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

import optisolve
from optisolve.core.arrays import FloatArray
from optisolve.solvers.ddpm.bridges import make_bridge
from optisolve.solvers.ddpm.bridges.base import stack
from optisolve.solvers.ddpm.bridges.parallel_channels import project_to_simplex
from optisolve.solvers.ddpm.noise import case_keys
from optisolve.solvers.ddpm.pipeline import draw, finish
from optisolve.solvers.ddpm.sampler import Sampling
from optisolve.solvers.ddpm.weights import load_weights

STEPS, GUIDANCE, DROP = 20, 500.0, 0.1
FIRST_TRAINING_SEED = 3_000_000_000


class Block(nn.Module):
    """Residual MLP block; time and condition are added behind its two layers."""

    def __init__(self, width: int, n_time: int, n_condition: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.LayerNorm(width), nn.SiLU(), nn.Linear(width, width))
        self.second = nn.Sequential(nn.LayerNorm(width), nn.SiLU(), nn.Linear(width, width))
        self.time, self.condition = nn.Linear(n_time, width), nn.Linear(n_condition, width)

    def forward(self, h: Tensor, time: Tensor, condition: Tensor) -> Tensor:
        inner = self.first(h) + self.time(nn.functional.silu(time))
        inner = self.second(inner) + self.condition(nn.functional.silu(condition))
        return h + inner


class HourGlass(nn.Module):
    """128 - 64 - 32 - 16 - 8 and back with skips, two blocks per width."""

    def __init__(self, n: int, widths: tuple[int, ...] = (128, 64, 32, 16, 8), n_time: int = 32) -> None:
        super().__init__()
        self.n_time, self.enter = n_time, nn.Linear(n, widths[0])
        pairs = list(itertools.pairwise(widths))
        self.down = nn.ModuleList(nn.Linear(a, b) for a, b in pairs)
        self.up = nn.ModuleList(nn.Linear(b, a) for a, b in reversed(pairs))
        self.blocks = nn.ModuleList(
            nn.ModuleList(Block(width, n_time, n) for _ in range(2)) for width in (*widths[1:], *reversed(widths[:-1]))
        )
        self.leave = nn.Linear(widths[0], n)
        for values in self.parameters():
            nn.init.normal_(values, 0.0, 0.01)
        for module in self.modules():
            if isinstance(module, nn.LayerNorm):
                nn.init.ones_(module.weight)

    def forward(self, y: Tensor, t: Tensor, condition: Tensor) -> Tensor:
        frequency = torch.exp(-math.log(1e4) * torch.arange(self.n_time // 2) / (self.n_time // 2))
        angle = (t.float() / STEPS)[:, None] * frequency
        time = torch.cat([angle.sin(), angle.cos()], dim=1)
        h, skips, blocks = self.enter(y), [], iter(self.blocks)
        for layer in self.down:
            skips.append(h)
            h = layer(h)
            for block in next(blocks):
                h = block(h, time, condition)
        for layer in self.up:
            h = layer(h) + skips.pop()
            for block in next(blocks):
                h = block(h, time, condition)
        return self.leave(h)


def schedule() -> tuple[Tensor, Tensor, Tensor]:
    """Betas, alphas and their products, each [20]."""
    grid = torch.arange(STEPS + 1) / STEPS
    products = torch.cos((grid + 0.008) / 1.008 * math.pi / 2.0) ** 2
    beta = (1.0 - products[1:] / products[:-1]).clamp(max=0.84)
    return beta, 1.0 - beta, torch.cumprod(1.0 - beta, dim=0)


def train(gain: Tensor, target: Tensor, epochs: int, generator: torch.Generator) -> HourGlass:
    torch.manual_seed(0)
    network, (_, _, product) = HourGlass(gain.shape[1]), schedule()
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    decay = torch.optim.lr_scheduler.MultiStepLR(optimizer, [epochs // 2, 3 * epochs // 4], gamma=0.1)
    for _ in range(epochs):
        for rows in torch.randperm(len(gain), generator=generator).split(512):
            t = torch.randint(STEPS, (len(rows),), generator=generator)
            noise = torch.randn((len(rows), gain.shape[1]), generator=generator)
            keep = (torch.rand(len(rows), 1, generator=generator) > DROP).float()
            noisy = product[t].sqrt()[:, None] * target[rows] + (1.0 - product[t]).sqrt()[:, None] * noise
            loss = (network(noisy, t, gain[rows] * keep) - noise).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        decay.step()
    return network.eval()


def published(network: HourGlass, gain: Tensor, guidance: float, generator: torch.Generator, *, posterior: bool) -> Tensor:
    """The sampler as published, or with the posterior variance of DDPM and without the batch normalization."""
    beta, alpha, product = schedule()
    y = torch.randn(gain.shape, generator=generator)
    with torch.inference_mode():
        for t in range(STEPS - 1, -1, -1):
            time = torch.full((len(gain),), t)
            null, known = network(y, time, torch.zeros_like(gain)), network(y, time, gain)
            noise = (1.0 + guidance) * known - guidance * null
            y = (y - beta[t] / (1.0 - product[t]).sqrt() * noise) / alpha[t].sqrt()
            before = product[t - 1] if t else torch.tensor(1.0)
            ratio = (1.0 - before) / (1.0 - product[t])
            if t > (0 if posterior else 1):
                scale = (beta[t] * ratio).sqrt() if posterior else ratio
                y = y + scale * torch.randn(y.shape, generator=generator)
            if not posterior and t > STEPS - 5:
                y = (y - y.mean()) / y.std()
    return y


def softmax_of_range(y: FloatArray, low: FloatArray | float, high: FloatArray | float) -> FloatArray:
    """Powers over the uniform split, by the published decoder."""
    z = np.exp((y - low) / (high - low))
    return y.shape[1] * z / z.sum(axis=1, keepdims=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=int, default=7000)
    parser.add_argument("--test", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=200)
    options = parser.parse_args()
    problem, bridge = optisolve.load_problem("parallel_channels/msr80"), make_bridge("parallel_channels")
    made = [
        stack([bridge.read(problem.instance(first + i)) for i in range(count)])
        for first, count in ((FIRST_TRAINING_SEED, options.train), (0, options.test))
    ]
    labels = [bridge.decode(cases, bridge.label(cases, np.random.default_rng(0), 1)[0])[:, 0] for cases in made]  # [B, M]
    gains = [
        torch.as_tensor(cases["snr"] * 4.0, dtype=torch.float32) for cases in made
    ]  # snr at the uniform split of 20 / 80 W
    largest = labels[0].max()
    network = train(
        gains[0], torch.as_tensor(labels[0] / largest, dtype=torch.float32), options.epochs, torch.Generator().manual_seed(1)
    )
    cases, optimum = made[1], bridge.score(made[1], labels[1][:, None])[:, 0]

    def share(u: FloatArray) -> str:
        return f"{bridge.score(cases, u[:, None]).sum() / optimum.sum():.4f}"

    def run(guidance: float, *, posterior: bool) -> FloatArray:
        y = published(network, gains[1], guidance, torch.Generator().manual_seed(2), posterior=posterior)
        return y.double().numpy()

    legacy = run(GUIDANCE, posterior=False)
    rows: list[tuple[str, Callable[[], FloatArray]]] = [
        ("uniform split", lambda: np.ones_like(legacy)),
        ("published sampler and decoder, w = 500", lambda: softmax_of_range(legacy, legacy.min(), legacy.max())),
        ("the optimum through the published decoder", lambda: softmax_of_range(labels[1], labels[1].min(), labels[1].max())),
        ("DDPM posterior, w = 0, published decoder", lambda: _global(run(0.0, posterior=True))),
        ("DDPM posterior, w = 0, simplex projection", lambda: project_to_simplex(run(0.0, posterior=True) * largest)),
        ("ddpm, one sample", lambda: _ours(cases, options.test)),
    ]
    print(f"80 channels, W = 20, {options.test} held-out instances: sum rate over water-filling\n\n| | share |\n|---|---|")
    for label, answer in rows:
        print(f"| {label} | {share(answer())} |")
    mates = softmax_of_range(legacy[:10], legacy[:10].min(), legacy[:10].max())
    shift = np.abs(mates - softmax_of_range(legacy, legacy.min(), legacy.max())[:10]).max()
    print(f"\nlargest change of a power when 10 instances are decoded without the others: {shift:.3f} of the uniform split")


def _global(y: FloatArray) -> FloatArray:
    return softmax_of_range(y, y.min(), y.max())


def _ours(cases: dict[str, FloatArray], count: int) -> FloatArray:
    bridge, network = make_bridge("parallel_channels"), load_weights("auto", "parallel_channels").network
    y = draw(bridge, cases, case_keys(0, np.arange(count)), 1, network=network, how=Sampling(steps=2))
    return finish(bridge, cases, y, polish="none", steps=0).projected[:, 0]


if __name__ == "__main__":
    main()
