"""The diffusion sampler on sum-rate power control, beside WMMSE and its null control: tables of docs/appendix/diffusion.md.

    python benchmarks/quality/ddpm_power_control.py [--instances 1000] [--weights auto] [--steps 1] [--cases k10_0db ...]

Held-out instances are the scenarios' own, seeds 0, 1, ...; training draws from seeds above 1,000,000,000. All ratios are sums
over instances relative to WMMSE from full power (500 steps at most, 1e-6 bit/s/Hz), as in the literature; quantiles are of the
ratios of single instances. The null sampler draws random on/off links and goes through the same polish and selection.
"""

from __future__ import annotations

import argparse

import numpy as np

import optisolve
from optisolve.core.arrays import FloatArray
from optisolve.core.bridge import Cases, stack
from optisolve.numerics.switches import rates
from optisolve.numerics.wmmse import wmmse
from optisolve.solvers.ddpm.bridges import bridge_of
from optisolve.solvers.ddpm.noise import case_keys
from optisolve.solvers.ddpm.pipeline import draw, finish
from optisolve.solvers.ddpm.sampler import Sampling
from optisolve.solvers.ddpm.weights import load_weights

CASES = ("k10_0db", "k10_10db", "k20_0db", "k20_10db", "k30_0db", "k30_10db", "k50_0db")
COUNTS = (1, 2, 4, 8, 16, 32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instances", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="first instance seed")
    parser.add_argument("--weights", default="auto")
    parser.add_argument("--steps", type=int, default=1, help="network calls of the reverse chain")
    parser.add_argument("--schedule", default="ddim")
    parser.add_argument("--cases", nargs="+", default=CASES)
    options = parser.parse_args()
    for name in options.cases:
        table(name, options)


def table(name: str, options: argparse.Namespace) -> None:
    bridge = bridge_of(optisolve.load_problem("power_control").instance(0))
    problem = optisolve.load_problem("power_control" if name == "k10_0db" else f"power_control/gaussian_{name}")
    cases = stack([bridge.read(problem.instance(seed)) for seed in range(options.first, options.first + options.instances)])
    full, restarts = references(cases)
    print(
        f"\n{name}, {options.instances} instances, {options.steps} step(s) of {options.schedule}: % of WMMSE from full power\n"
    )
    line = [f"WMMSE {n} starts {ratio(values, full)}" for n, values in restarts.items()]
    best = on_off_optimum(cases)
    if best is not None:
        line.append(f"on/off optimum {ratio(best, full)}")
    print("; ".join(line) + "\n")
    keys = case_keys(0, np.arange(options.instances))
    network = load_weights(options.weights, "power_control").forward()
    how = Sampling(options.schedule, options.steps)
    print("| sampler | stage | " + " | ".join(f"best of {k}" for k in COUNTS) + " | per instance at 8: worst, 5 %, median |")
    print("|---|---|" + "---|" * (len(COUNTS) + 1))
    drawn = {n: draw(bridge, cases, keys, max(COUNTS), network=m, how=how) for n, m in (("ddpm", network), ("null", None))}
    half = np.stack(list(drawn.values()), axis=2)[:, : max(COUNTS) // 2]  # one of the network, one uninformed, and so on
    drawn["half and half"] = half.reshape(drawn["ddpm"].shape)
    for label, y in drawn.items():
        stages = {"raw": bridge.decode(cases, y)}
        for method in ("wmmse", "switch"):
            stages[f"{method}, 5 steps"] = polished(bridge, cases, y, method)
        for stage, points in stages.items():
            score = bridge.score(cases, points)
            cells = [ratio(score[:, :k].max(axis=1), full) for k in COUNTS]
            each = 100.0 * score[:, :8].max(axis=1) / full
            spread = ", ".join(f"{v:.1f}" for v in (each.min(), np.quantile(each, 0.05), np.median(each)))
            print(f"| {label} | {stage} | " + " | ".join(cells) + f" | {spread} |")


def polished(bridge: object, cases: Cases, y: FloatArray, method: str) -> FloatArray:
    points = finish(bridge, cases, y, polish=method, steps=5).polished  # type: ignore[arg-type]
    assert points is not None
    return points


def references(cases: Cases) -> tuple[FloatArray, dict[int, FloatArray]]:
    """WMMSE from full power [B], and the best of it and random starts by number of starts."""
    gain, weight = cases["gain"], cases["weight"]
    starts = np.random.default_rng(0).random((len(gain), 33, weight.shape[1]))
    starts[:, 0] = 1.0
    powers, _ = wmmse(gain, weight, starts)
    value = rates(gain, weight, powers)
    return value[:, 0], {n: value[:, :n].max(axis=1) for n in (9, 33)}


def on_off_optimum(cases: Cases) -> FloatArray | None:
    """The best of all sets of links, float64 [B]; only for a few links."""
    gain, weight = cases["gain"], cases["weight"]
    n_links = weight.shape[1]
    if n_links > 10:
        return None
    sets = ((np.arange(1, 2**n_links)[:, None] >> np.arange(n_links)) & 1).astype(np.float64)
    return np.array([rates(g[None], w[None], sets[None])[0].max() for g, w in zip(gain, weight, strict=True)])


def ratio(values: FloatArray, full: FloatArray) -> str:
    return f"{100.0 * values.sum() / full.sum():.2f}"


if __name__ == "__main__":
    main()
