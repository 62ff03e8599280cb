"""The same weights under every scheduler: quality of one sample and of the best of eight by the number of network calls.

    python benchmarks/quality/ddpm_schedules.py [--instances 300] [--steps 1 2 4 8 16]

Shipped weights, no polish, held-out instances (seeds 0, 1, ...). Percent of the best label that the multi-start method of the
label factory finds (for power control the best of WMMSE and switches from twenty starts, for channels the optimum, for
offloading the best of switches from many starts); costs are turned around, so that more is better everywhere.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch

import optisolve
from optisolve.core.bridge import stack
from optisolve.solvers.ddpm.bridges import bridge_of
from optisolve.solvers.ddpm.noise import case_keys
from optisolve.solvers.ddpm.pipeline import draw
from optisolve.solvers.ddpm.sampler import Sampling
from optisolve.solvers.ddpm.schedules import Schedule
from optisolve.solvers.ddpm.weights import load_weights

SCENARIOS = ("power_control", "power_control/gaussian_k10_10db", "parallel_channels/msr80", "offloading/n10")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instances", type=int, default=300)
    parser.add_argument("--steps", type=int, nargs="+", default=(1, 2, 4, 8, 16))
    parser.add_argument("--scenarios", nargs="+", default=SCENARIOS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| scenario | scheduler | " + " | ".join(f"{n} calls" if n > 1 else "1 call" for n in options.steps) + " |")
    print("|---|---|" + "---|" * len(options.steps))
    for scenario in options.scenarios:
        problem = optisolve.load_problem(scenario)
        bridge, network = bridge_of(problem.instance(0)), load_weights("auto", problem.name).forward()
        cases = stack([bridge.read(problem.instance(seed)) for seed in range(options.instances)])
        best = bridge.label(cases, np.random.default_rng(0), 1)[1][:, 0]  # [B]
        keys = case_keys(0, np.arange(options.instances))
        for schedule in Schedule:
            cells = []
            for steps in options.steps:
                y = draw(bridge, cases, keys, 8, network=network, how=Sampling(schedule, steps))
                score = bridge.score(cases, bridge.decode(cases, y))
                one, eight = score[:, 0].sum(), score.max(axis=1).sum()
                ratios = [value / best.sum() if best.sum() > 0.0 else best.sum() / value for value in (one, eight)]
                cells.append(" / ".join(f"{100.0 * ratio:.2f}" for ratio in ratios))
            print(f"| {scenario} | {schedule} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
