"""Out of distribution: other noise, sizes, budgets and channel laws than in training; a table in docs/appendix/diffusion.md.

    python benchmarks/quality/ddpm_shift.py [--instances 300] [--steps 2]

Percent of the reference by sums over instances: WMMSE from full power for power control, the optimum for parallel channels.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import numpy as np

import optisolve
from optisolve.core.arrays import FloatArray
from optisolve.core.bridge import stack
from optisolve.core.problem import Problem
from optisolve.numerics.switches import rates
from optisolve.numerics.wmmse import wmmse
from optisolve.solvers.ddpm.bridges import bridge_of
from optisolve.solvers.ddpm.noise import case_keys
from optisolve.solvers.ddpm.pipeline import draw, finish
from optisolve.solvers.ddpm.sampler import Sampling
from optisolve.solvers.ddpm.weights import load_weights

COUNTS = (1, 8)


def shifts() -> Iterator[tuple[str, Problem]]:
    """Label and problem of every shift; training had 8 to 20 links at 0 to 10 dB, and budgets of 4 to 40 W."""
    for snr_db in (-5.0, 0.0, 5.0, 10.0, 15.0):
        noise = 10.0 ** (-snr_db / 10.0)
        yield f"power control, 20 links, {snr_db:g} dB", load("power_control", n_links=20, noise_w=noise)
    for n_links in (5, 10, 30, 50):
        yield f"power control, {n_links} links, 0 dB", load("power_control", n_links=n_links)
    yield "power control, 20 links, 0 dB, caps of 4 W", load("power_control", n_links=20, p_max_w=4.0)
    yield "power control, 20 links, 0 dB, cross gains halved", load("power_control", n_links=20, cross_gain=0.5)
    yield "power control, 50 D2D links in 1 km^2", load("power_control/d2d50")
    for budget_w in (2.0, 20.0, 80.0):
        yield f"parallel channels, 80, {budget_w:g} W", load("parallel_channels/msr80", p_total_w=budget_w)
    yield "parallel channels, 200, 20 W", load("parallel_channels/msr80", n_channels=[200])


def load(name: str, **changes: Any) -> Problem:
    return optisolve.load_problem(name, **changes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instances", type=int, default=300)
    parser.add_argument("--steps", type=int, default=2)
    options = parser.parse_args()
    print("| shift | " + " | ".join(f"{who}, best of {k}" for who in ("ddpm", "null") for k in COUNTS), end=" | ")
    print("ddpm, 8, polished | null, 8, polished |\n|---|" + "---|" * (2 * len(COUNTS) + 2))
    for label, problem in shifts():
        bridge, instances = bridge_of(problem.instance(0)), [problem.instance(seed) for seed in range(options.instances)]
        cases = stack([bridge.read(instance) for instance in instances])
        reference = best_known(problem.name, cases)
        keys, raw, polished = case_keys(0, np.arange(len(instances))), [], []
        for model in (load_weights("auto", problem.name).forward(), None):
            y = draw(bridge, cases, keys, max(COUNTS), network=model, how=Sampling(steps=options.steps))
            stages = finish(bridge, cases, y, polish=bridge.polishes[0], steps=5)
            score = bridge.score(cases, stages.projected)
            raw += [told(score[:, :k].max(axis=1), reference) for k in COUNTS]
            done = stages.polished
            polished.append("–" if done is None else told(bridge.score(cases, done).max(axis=1), reference))
        print(f"| {label} | " + " | ".join([*raw, *polished]) + " |")


def best_known(family: str, cases: dict[str, FloatArray]) -> FloatArray:
    if family == "parallel_channels":
        return bridge_of(optisolve.load_problem(family).instance(0)).label(cases, np.random.default_rng(0), 1)[1][:, 0]
    gain, weight = cases["gain"], cases["weight"]
    return rates(gain, weight, wmmse(gain, weight, np.ones((len(gain), 1, weight.shape[1])))[0])[:, 0]


def told(values: FloatArray, reference: FloatArray) -> str:
    return f"{100.0 * values.sum() / reference.sum():.2f}"


if __name__ == "__main__":
    main()
