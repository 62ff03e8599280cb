"""Train the network of `power_net`, without labels: it ascends the sum rate of the powers that it names.

    pip install 'optisolve[diffusion]'
    python benchmarks/training/power_net.py [--steps 60000] [--seconds 2400] [--seed 0] [--out solvers/power_net/weights]

Channels are drawn afresh in every step by the family's own generators: 8 to 200 links, Gaussian and dropped in squares, -5 to
15 dB, with and without weights. The loss is minus the logarithm of the (weighted) sum rate, so that a percent counts alike for
all sizes: of the soft best of a few answers that noise tells apart, of the plain one, and a little of every layer's powers.
Every two thousand steps the averaged weights are tried on channels that training does not see, and the best ones are kept. The
rate of learning ends with the steps or the seconds, whichever comes first.
"""

from __future__ import annotations

import argparse
import copy
import csv
import dataclasses
import hashlib
import json
import math
import os
import time
from pathlib import Path

os.environ.update(dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"))

import numpy as np

try:
    import torch
    from safetensors.torch import load_file, save_file
except ImportError:
    raise SystemExit("error: Not installed: torch. Install with: pip install 'optisolve[diffusion]'") from None

import optisolve
from optisolve.core.arrays import FloatArray
from optisolve.core.seeds import generator
from optisolve.numerics.switches import rates
from optisolve.numerics.wmmse import normalized_gain, wmmse
from optisolve.problems.power_control import PowerControl
from optisolve.problems.power_control.geometry import gaussian_gain, geometric_gain
from optisolve.solvers.ddpm.weights import WEIGHTS_FILE
from optisolve.solvers.power_net.network import PowerNetwork, weighted_rates
from optisolve.solvers.power_net.shape import Shape

VARY = {
    "n_links": {"low": 8, "high": 200},
    "noise_w": {"low": 10.0**-1.5, "high": 10.0**0.5},
    "cross_gain": {"low": 0.1, "high": 1.0},
    "channel": {"values": ["gaussian", "geometric"]},
    "weight_low": {"low": 0.0, "high": 1.0},
    "goal": {"values": ["sum_rate", "weighted_sum_rate"]},
}
"""What is drawn, as the cards of `ddpm` say it."""
SIDE_M = (200.0, 1500.0)
"""Square of dropped pairs, all else as in the scenario d2d50."""
ENTRIES, MOST = 50_000, 96
"""Gains of a batch, and instances at most."""
CANDIDATES = 4
WARM_UP, RATE, DECAY = 500, 2e-3, 0.999
TEMPERATURE = 0.01
"""Of the soft best, in natural logarithms of the rate: a percent."""
CHECK = 2_000
SIZES, LEVELS, HELD_OUT = (10, 20, 50, 100, 200), (0, 10), 24


class Draw:
    """Batches of channels.

    Args:
        rng: Where they come from.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.dropped: PowerControl = optisolve.load_problem("power_control/d2d50")

    def batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Gains [B, K, K] at full power over noise, and weights [B, K]."""
        rng = self.rng
        n_links = round(math.exp(rng.uniform(math.log(8), math.log(200))))
        count = int(np.clip(ENTRIES // n_links**2, 2, MOST))
        kind = rng.random()
        if kind < 0.25:
            gain = np.stack([self._dropped(n_links) for _ in range(count)])
        else:
            cross = 10.0 ** rng.uniform(-1.0, 0.0) if kind < 0.4 else 1.0
            level = 10.0 ** (rng.uniform(-0.5, 1.5, count))
            gain = np.stack([gaussian_gain(rng, n_links, cross) for _ in range(count)]) * level[:, None, None]
        weight = np.ones((count, n_links))
        if rng.random() < 0.35:
            weight = rng.uniform(rng.choice([0.0, 0.5]), 1.0, weight.shape)
            weight /= weight.max(axis=1, keepdims=True)
        return torch.as_tensor(gain, dtype=torch.float32), torch.as_tensor(weight, dtype=torch.float32)

    def _dropped(self, n_links: int) -> FloatArray:
        side = math.exp(self.rng.uniform(math.log(SIDE_M[0]), math.log(SIDE_M[1])))
        geometry, gap = dataclasses.replace(self.dropped, area_side_m=side, n_links=n_links)._geometry()
        gain = geometric_gain(self.rng, n_links, geometry)
        gain[np.diag_indices(n_links)] /= gap
        full = np.full(n_links, self.dropped.p_max_w)
        return normalized_gain(gain, np.full(n_links, self.dropped._noise_w()), full)


def loss_of(network: PowerNetwork, gain: torch.Tensor, weight: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """Minus the logarithm of the rate: the best of all candidates, the plain one, all of them in all layers."""
    best_alone = (weight * torch.log1p(torch.diagonal(gain, dim1=1, dim2=2))).max(dim=1).values[:, None]
    values = [torch.log(weighted_rates(gain, weight, power) / best_alone + 1e-3) for power in network(gain, weight, noise)]
    last = values[-1]
    best = TEMPERATURE * torch.logsumexp(last / TEMPERATURE, dim=1).mean()
    early = torch.stack([value.mean() for value in values[:-1]]).mean()
    return -(best + 0.4 * last[:, 0].mean() + 0.1 * last.mean() + 0.2 * early)


class Check:
    """Channels that training does not see, with what WMMSE from full power makes of them."""

    def __init__(self, seed: int) -> None:
        rng = generator(seed, solver="power_net", purpose="held out")
        self.cases: dict[str, tuple[FloatArray, FloatArray, FloatArray]] = {}
        for level in LEVELS:
            for n_links in SIZES:
                gain = np.stack([gaussian_gain(rng, n_links, 1.0) for _ in range(HELD_OUT)]) * 10.0 ** (level / 10.0)
                ones = np.ones((HELD_OUT, n_links))
                powers, _ = wmmse(gain, ones, ones[:, None])
                noise = rng.standard_normal((HELD_OUT, n_links, CANDIDATES))
                noise[..., 0] = 0.0
                self.cases[f"K={n_links},{level}dB"] = gain, rates(gain, ones, powers)[:, 0], noise

    @torch.no_grad()
    def __call__(self, network: PowerNetwork) -> tuple[float, dict[str, float]]:
        """Mean percent of WMMSE of the best candidate and the plain one, and both by cell."""
        told: dict[str, float] = {}
        for name, (gain, base, noise) in self.cases.items():
            weight = np.ones(base.shape + gain.shape[1:2])
            power = network(*(torch.as_tensor(a, dtype=torch.float32) for a in (gain, weight, noise)))[-1]
            found = rates(gain, weight, power.double().numpy().transpose(0, 2, 1))
            told[f"{name},plain"] = float(100.0 * np.mean(found[:, 0] / base))
            told[f"{name},best"] = float(100.0 * np.mean(found.max(axis=1) / base))
        return float(np.mean(list(told.values()))), told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=60_000)
    parser.add_argument("--seconds", type=float, default=2_400.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=Path, help="folder of weights to go on from")
    parser.add_argument("--rate", type=float, default=RATE, help="largest rate of learning")
    parser.add_argument("--out", type=Path, default=Path("solvers/power_net/weights"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(given.seed)
    shape = Shape()
    network = PowerNetwork(shape)
    if given.start is not None:
        network.load_state_dict(load_file(given.start / WEIGHTS_FILE))
    average = copy.deepcopy(network)
    draw, check = Draw(generator(given.seed, solver="power_net", purpose="training")), Check(given.seed)
    optimizer = torch.optim.AdamW(network.parameters(), lr=given.rate, weight_decay=1e-4)
    start, best, history = time.monotonic(), 0.0, []
    step, skipped, progress = 0, 0, 0.0
    while progress < 1.0:
        gain, weight = draw.batch()
        noise = torch.randn(*weight.shape, CANDIDATES)
        noise[..., 0] = 0.0
        loss = loss_of(network, gain, weight, noise)
        optimizer.zero_grad()
        loss.backward()
        length = torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        step += 1
        progress = max(step / given.steps, (time.monotonic() - start) / given.seconds)
        if torch.isfinite(length):
            for group in optimizer.param_groups:
                group["lr"] = given.rate * min(1.0, step / WARM_UP) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))
            optimizer.step()
        else:
            skipped += 1
        with torch.no_grad():
            for kept, now in zip(average.parameters(), network.parameters(), strict=True):
                kept.lerp_(now, 1.0 - min(DECAY, (1.0 + step) / (10.0 + step)))
        if step % CHECK == 0 or progress >= 1.0:
            score, told = check(average)
            history.append({"step": step, "percent": round(score, 3), **{name: round(v, 2) for name, v in told.items()}})
            print(
                step,
                f"{time.monotonic() - start:.0f} s",
                f"{score:.3f}",
                *(f"{n}:{v:.1f}" for n, v in told.items()),
                flush=True,
            )
            if score > best:
                best = score
                save(average, shape, given, step, skipped, time.monotonic() - start, score)
    with (given.out / "learning_curve.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(history[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(history)


def save(
    network: PowerNetwork, shape: Shape, given: argparse.Namespace, step: int, skipped: int, seconds: float, score: float
) -> None:
    """Weights, the network's arguments and the card."""
    given.out.mkdir(parents=True, exist_ok=True)
    save_file({name: values.contiguous() for name, values in network.state_dict().items()}, given.out / WEIGHTS_FILE)
    config = {"_class_name": "PowerNetwork", **dataclasses.asdict(shape)}
    (given.out / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    card = {
        "family": "power_control",
        "problem": "power_control",
        "recipe": {"problem": "power_control", "vary": VARY, "side_m": SIDE_M, "candidates": CANDIDATES, "rate": given.rate},
        "seed": given.seed,
        "steps": step,
        "skipped_steps": skipped,
        "percent_of_wmmse": round(score, 3),
        "parameters": sum(values.numel() for values in network.parameters()),
        "seconds": round(seconds, 1),
    }
    card["sha256"] = hashlib.sha256((given.out / WEIGHTS_FILE).read_bytes()).hexdigest()
    (given.out / "card.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
