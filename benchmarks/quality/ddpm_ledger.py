"""Amortization ledger of the diffusion sampler on power control: time per instance in batches, beside batched WMMSE.

    python benchmarks/quality/ddpm_ledger.py [--batch 500] [--repeats 15] [--samples 1 2 4 8] [--device cpu]

Both sides run on the same machine with one thread (on the CPU), on the same batch, with warm caches; the smallest process time
of the repeats counts. What training and labels cost is read from the weights' card, and the last column says after how many
instances that is paid back against 9 starts of WMMSE (500 steps at most, 1e-6 bit/s/Hz).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import optisolve
from optisolve.core.bridge import stack
from optisolve.numerics.switches import rates
from optisolve.numerics.wmmse import wmmse
from optisolve.solvers.ddpm.bridges import bridge_of
from optisolve.solvers.ddpm.noise import case_keys
from optisolve.solvers.ddpm.pipeline import draw, finish
from optisolve.solvers.ddpm.sampler import Network, Sampling
from optisolve.solvers.ddpm.weights import load_weights


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--samples", type=int, nargs="+", default=(1, 2, 4, 8))
    parser.add_argument("--cases", nargs="+", default=("k10_0db", "k10_10db", "k20_0db", "k30_0db"))
    parser.add_argument("--torch", action="store_true", help="the network in torch, float32, instead of numpy")
    parser.add_argument("--device", default="cpu", help="of torch: auto, cpu or cuda")
    options = parser.parse_args()
    if options.torch:
        import torch

        torch.set_num_threads(1)
    weights = load_weights("auto", "power_control")
    network = weights.denoiser(options.device) if options.torch else weights.forward()
    spent = sum(float(weights.card.get("seconds", {}).get(name, 0.0)) for name in ("labels", "training"))
    print(f"batch of {options.batch}, one thread, {options.device}; labels and training took {spent:.0f} s\n")
    print("| case | method | % of WMMSE from full power | us per instance | share of 9 starts | pays back after |")
    print("|---|---|---|---|---|---|")
    for name in options.cases:
        one_case(name, options, network, spent)


def one_case(name: str, options: argparse.Namespace, network: Network, spent: float) -> None:
    bridge = bridge_of(optisolve.load_problem("power_control").instance(0))
    problem = optisolve.load_problem("power_control" if name == "k10_0db" else f"power_control/gaussian_{name}")
    cases = stack([bridge.read(problem.instance(seed)) for seed in range(options.batch)])
    gain, weight = cases["gain"], cases["weight"]
    starts = np.random.default_rng(0).random((options.batch, 9, weight.shape[1]))
    starts[:, 0] = 1.0
    full = rates(gain, weight, wmmse(gain, weight, starts[:, :1])[0])[:, 0].sum()

    def restarts(steps: int, tolerance: float) -> float:
        powers, _ = wmmse(gain, weight, starts, max_iterations=steps, tolerance=tolerance)
        return float(rates(gain, weight, powers).max(axis=1).sum())

    nine_s, nine = clock(lambda: restarts(500, 1e-6), options.repeats)
    coarse_s, coarse = clock(lambda: restarts(100, 1e-3), options.repeats)
    row(name, "WMMSE, 9 starts, 1e-6", nine / full, nine_s, nine_s, options.batch, None)
    row(name, "WMMSE, 9 starts, 1e-3 and 100 steps", coarse / full, coarse_s, nine_s, options.batch, None)
    keys = case_keys(0, np.arange(options.batch))
    how = Sampling(steps=1)
    mixed = [("ddpm", network, count, n_random) for count, n_random in ((2, 1), (3, 2), (4, 2), (4, 3))]
    plain = [(label, model, count, 0) for label, model in (("ddpm", network), ("null", None)) for count in options.samples]
    for label, model, count, n_random in sorted(plain + mixed, key=lambda run: (run[0], run[3] > 0, run[2])):

        def pipeline(model: Any = model, count: int = count, n_random: int = n_random) -> float:
            y = draw(bridge, cases, keys, count, network=model, how=how, n_random=n_random)
            points = finish(bridge, cases, y, polish="switch", steps=5).polished
            assert points is not None
            return float(bridge.score(cases, points).max(axis=1).sum())

        taken, value = clock(pipeline, options.repeats)
        paid = spent if label == "ddpm" else 0.0
        told = f"best of {count}" + (f", {n_random} of them uninformed" if n_random else "")
        row(name, f"{label}, {told}, 5 switches", value / full, taken, nine_s, options.batch, paid)


def row(name: str, method: str, quality: float, taken: float, nine: float, batch: int, spent: float | None) -> None:
    saved = (nine - taken) / batch
    pays = "–" if spent is None else "never" if saved <= 0.0 else f"{spent / saved:,.0f}"
    print(f"| {name} | {method} | {100.0 * quality:.2f} | {1e6 * taken / batch:.1f} | {taken / nine:.2f} | {pays} |")


def clock(work: Callable[[], float], repeats: int) -> tuple[float, float]:
    """Smallest process time of some repeats, s, and the value."""
    value = work()
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return min(taken), value


if __name__ == "__main__":
    main()
