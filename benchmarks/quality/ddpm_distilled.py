"""What distillation is worth on power control: raw and polished answers of several weights, 10 to 200 links.

    python benchmarks/quality/ddpm_distilled.py [--weights NAME:STEPS ...] [--samples 4] [--instances 100]

Weights are names of shipped ones or folders, each with its network calls; `null` is the control, which knows nothing. The two
controls of docs/diffusion.md, trained as long as the student on the same instances:

    optisolve train solver=ddpm problem=power_control recipe=power_control_wide out=runs/alone steps.chain_steps=[1] \\
        steps.imitation=1000 steps.label_free=3000 steps.sharpness=80 steps.keep_imitating=0 steps.drop_condition=0 \\
        steps.check_samples=8
    ... out=runs/continued start_from=power_control_wide steps.imitation=0 steps.label_free=4000, the rest as above

Cells are means of the best of the samples over WMMSE from full power, in percent: as the network says, and after the solver's
polish. A star: the mean paired difference from the first weights is more than two standard errors.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

os.environ.update(dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"))

import numpy as np

import optisolve
from optisolve.core.arrays import FloatArray
from optisolve.core.bridge import Bridge, Cases, stack
from optisolve.numerics.switches import rates
from optisolve.numerics.wmmse import wmmse
from optisolve.solvers.ddpm.bridges import bridge_of
from optisolve.solvers.ddpm.noise import case_keys
from optisolve.solvers.ddpm.pipeline import draw, finish
from optisolve.solvers.ddpm.sampler import Sampling
from optisolve.solvers.ddpm.weights import load_weights

SIZES, LEVELS = (10, 20, 50, 100, 200), (0, 10)
FIRST = 60_000
"""First instance; no training has seen it."""
POLISH_STEPS = 5
SHIPPED = ("power_control_one_step:1", "power_control_wide:4", "power_control:2", "null:1")


def best_of(bridge: Bridge, cases: Cases, name: str, samples: int) -> tuple[FloatArray, FloatArray]:
    """The best raw and the best polished sample of every case, bit/s/Hz, each float64 [B]."""
    weights, _, steps = name.rpartition(":")
    network = None if weights == "null" else load_weights(weights, bridge.family).forward()
    keys = case_keys(0, np.arange(len(cases["weight"])))
    y = draw(bridge, cases, keys, samples, network=network, how=Sampling(steps=int(steps)))
    done = finish(bridge, cases, y, polish="switch", steps=POLISH_STEPS)
    assert done.polished is not None
    return bridge.score(cases, done.projected).max(axis=1), bridge.score(cases, done.polished).max(axis=1)


def row(n_links: int, level_db: int, given: argparse.Namespace) -> str:
    """A line of the table."""
    problem = optisolve.load_problem("power_control", n_links=n_links, noise_w=10.0 ** (-level_db / 10.0))
    instances = [problem.instance(FIRST + i) for i in range(given.instances)]
    bridge = bridge_of(instances[0])
    cases = stack([bridge.read(instance) for instance in instances])
    gain, weight = cases["gain"], cases["weight"]
    base = rates(gain, weight, wmmse(gain, weight, np.ones((given.instances, 1, n_links)))[0])[:, 0]
    found = [[100.0 * value / base for value in best_of(bridge, cases, name, given.samples)] for name in given.weights]
    cells = [" / ".join(_told(value, first) for value, first in zip(pair, found[0], strict=True)) for pair in found]
    return "| " + " | ".join([f"{level_db} dB, K = {n_links}", *cells]) + " |"


def _told(value: FloatArray, first: FloatArray) -> str:
    apart = value - first
    star = "*" if abs(apart.mean()) > 2.0 * apart.std(ddof=1) / apart.size**0.5 else ""
    return f"{value.mean():.2f}{star}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", nargs="+", default=SHIPPED, help="NAME:STEPS or FOLDER:STEPS, the first is compared with")
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--instances", type=int, default=100)
    given = parser.parse_args()
    print(f"best of {given.samples}, raw / {POLISH_STEPS} switches; {given.instances} instances from {FIRST}\n")
    names = [Path(name).parent.name + ":" + name.rpartition(":")[2] if "/" in name else name for name in given.weights]
    print("| " + " | ".join(["case", *names]) + " |", "|---" * (len(names) + 1) + "|", sep="\n")
    for level_db in LEVELS:
        for n_links in SIZES:
            print(row(n_links, level_db, given), flush=True)


if __name__ == "__main__":
    main()
