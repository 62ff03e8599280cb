"""The trained sampler without torch: first sample of a process, one instance, and what a process imports for it.

    python benchmarks/speed/sampler.py [--rounds 5]

Where torch and diffusers are installed, the same weights in torch stand beside each number, in processes that take turns: the
network loaded by `from_pretrained` and called in single precision on one thread, as versions 1 and 2 of ``ddpm`` did. Times
are of the processor, user and system; on a shared machine wall time says how busy it is. Limits: first sample 0.3 s, one
sample for one instance at least 5 times faster than in torch.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from importlib.util import find_spec

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

import optisolve
from optisolve.core.bridge import stack
from optisolve.solvers.ddpm.bridges import bridge_of
from optisolve.solvers.ddpm.noise import case_keys
from optisolve.solvers.ddpm.pipeline import draw, finish
from optisolve.solvers.ddpm.sampler import Sampling
from optisolve.solvers.ddpm.weights import load_weights

HAS_TORCH = all(find_spec(name) for name in ("torch", "diffusers"))
FIRST = """
import optisolve
from optisolve.solvers.ddpm.start import sampled_points
sampled_points(optisolve.load_problem("uav_isac").instance(20), 1, 0)
"""
FIRST_IN_TORCH = """
import optisolve
from optisolve.solvers.ddpm.weights import Weights
Weights.forward = Weights.denoiser
from optisolve.solvers.ddpm.start import sampled_points
sampled_points(optisolve.load_problem("uav_isac").instance(20), 1, 0)
"""
PROCESSES = {
    "bare interpreter": "pass",
    "import numpy": "import numpy",
    "first sample": FIRST,
    "first sample, torch": FIRST_IN_TORCH,
}
ONE_INSTANCE = (("uav_isac", 1), ("uav_isac", 20), ("uav_isac", 100), ("power_control", 16), ("parallel_channels", 16))
ONE_INSTANCE += (("offloading/n10", 16), ("noma_uav", 16))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--way", choices=("numpy", "torch"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        one_way(options.way)
        return
    processes(options.rounds)
    imports()
    instances(options.rounds)


def processes(rounds: int) -> None:
    """Fresh processes, one after the other in every round."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    codes = {name: code for name, code in PROCESSES.items() if HAS_TORCH or "torch" not in name}
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in codes}
    for turn in range(rounds + 1):  # the first one writes bytecode
        for name, code in codes.items():
            before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True, env=environment)
            wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
            if turn:
                spent[name].append((after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall))
    print("| process | processor, median [s] | wall, median [s] | wall, fastest [s] |\n|---|---|---|---|")
    for name, values in spent.items():
        cpu, walls = zip(*values, strict=True)
        print(f"| {name} | {statistics.median(cpu):.3f} | {statistics.median(walls):.3f} | {min(walls):.3f} |")


def imports() -> None:
    """What the first sample waits for: time of imports by package."""
    told = subprocess.run([sys.executable, "-X", "importtime", "-c", FIRST], check=True, capture_output=True, text=True).stderr
    own: dict[str, int] = defaultdict(int)
    for line in told.splitlines():
        found = re.match(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)", line)
        if found:
            package = found[2].split(".")[0]
            own["standard library" if package in sys.stdlib_module_names else package] += int(found[1])
    largest = sorted(own.items(), key=lambda item: -item[1])[:8]
    print("\nimports of the first sample, ms: " + ", ".join(f"{name} {micro / 1e3:.0f}" for name, micro in largest) + "\n")


def instances(rounds: int) -> None:
    """Weights to points for one instance, in processes of their own that take turns."""
    ways = ("numpy", "torch") if HAS_TORCH else ("numpy",)
    spent: dict[str, list[list[float]]] = {label: [] for label in ways}
    for _ in range(rounds):
        for label in ways:
            ran = subprocess.run([sys.executable, __file__, "--way", label], check=True, capture_output=True, text=True)
            spent[label].append([float(word) for word in ran.stdout.split()])
    ours = [statistics.median(values) for values in zip(*spent["numpy"], strict=True)]
    theirs = [statistics.median(values) for values in zip(*spent.get("torch", []), strict=True)]
    print("| instance | samples | numpy [ms] | torch [ms] | times faster |\n|---|---|---|---|---|")
    for i, (name, count) in enumerate(ONE_INSTANCE):
        beside = f"{theirs[i]:.1f} | {theirs[i] / ours[i]:.1f}" if theirs else "– | –"
        print(f"| {name} | {count} | {ours[i]:.1f} | {beside} |")


def one_way(label: str) -> None:
    """Print the median time for every instance, ms; the first two runs warm up."""
    if label == "torch":
        import torch

        torch.set_num_threads(1)
    for name, count in ONE_INSTANCE:
        run, spent = way(name, count, in_torch=label == "torch"), []
        for seed in range(17):
            start = time.process_time()
            run(seed)
            spent.append(1e3 * (time.process_time() - start))
        print(statistics.median(spent[2:]))


def way(name: str, count: int, *, in_torch: bool) -> Callable[[int], object]:
    """From weights to decoded points of one instance, without polish."""
    instance = optisolve.load_problem(name).instance(20)
    bridge = bridge_of(instance)

    def run(seed: int) -> object:
        case, several = bridge.read(instance), bridge.preferences > 0
        cases = bridge.spread(case, count) if several else stack([case])
        weights = load_weights("auto", bridge.family)
        network = weights.denoiser() if in_torch else weights.forward()
        keys = case_keys(seed, np.arange(count if several else 1))
        y = draw(bridge, cases, keys, 1 if several else count, network=network, how=Sampling(steps=2))
        points = finish(bridge, cases, y, polish="none", steps=0).projected
        return bridge.points(instance, points.reshape(-1, points.shape[2]))

    return run


if __name__ == "__main__":
    main()
