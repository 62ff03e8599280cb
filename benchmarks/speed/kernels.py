"""Which compiled kernels earn their keep: every family's kernel against its readable twin, in one run, taken in turns.

    python benchmarks/speed/kernels.py                        # all families, about a minute
    python benchmarks/speed/kernels.py maze uav_isac/dense    # some scenarios

A family has a compiled kernel beside its numpy equations where that is at least twice as fast per point at batch 100.
Medians of interleaved calls, one thread each; the last columns are whole runs of MOEA/D-DE with 5,000 evaluations, by the
kernel and by the twin in its place.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from unittest.mock import patch

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"))

import numpy as np

import optisolve
from optisolve.core import Instance
from optisolve.registry import PROBLEMS

BATCHES = (1, 100, 1024)
LEAST = 2.0
"""Ratio at batch 100 from which a kernel stays."""
SECONDS = 0.4
"""Time spent on each batch size."""


def in_turns(calls: dict[str, Callable[[], object]], seconds: float) -> dict[str, float]:
    """Median seconds of every call, after a warm-up, one call of each per round."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
        call()
    started = time.perf_counter()
    while time.perf_counter() - started < seconds or len(times[next(iter(calls))]) < 5:
        for name, call in calls.items():
            begin = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - begin)
    return {name: statistics.median(values) for name, values in times.items()}


def per_point(instance: Instance, n: int) -> tuple[float, float]:
    """Microseconds per point of kernel and twin at batches of n."""
    X = instance.space.sample(np.random.default_rng(0), n)
    median = in_turns({"kernel": lambda: instance._evaluate(X), "twin": lambda: instance._evaluate_twin(X)}, SECONDS)
    return 1e6 * median["kernel"] / n, 1e6 * median["twin"] / n


def whole_run(instance: Instance) -> tuple[float, float]:
    """Seconds of a run by the kernel and by the twin; the better of two each."""

    def run() -> float:
        begin = time.perf_counter()
        optisolve.solve(instance, "moead_de", budget=optisolve.Budget(evaluations=5000), seed=1)
        return time.perf_counter() - begin

    run()
    seconds: dict[str, list[float]] = {"kernel": [], "twin": []}
    for _ in range(2):
        seconds["kernel"].append(run())
        with patch.object(type(instance), "_evaluate", type(instance)._evaluate_twin):
            seconds["twin"].append(run())
    return min(seconds["kernel"]), min(seconds["twin"])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenarios", nargs="*", help="scenarios to measure; all families when none is named")
    scenarios = parser.parse_args().scenarios
    scenarios = scenarios or [name for name in sorted(PROBLEMS.targets()) if name != "goal"]
    print("microseconds per point, kernel / twin and their ratio" + "; whole run of moead_de, seconds".rjust(68))
    print(f"{'scenario':22}" + "".join(f"{f'batch {n}':>28}" for n in BATCHES) + f"{'kernel / twin':>20}")
    for scenario in scenarios:
        instance = optisolve.load_problem(scenario).instance(0)
        if not instance.has_twin:
            print(f"{scenario:22}  one implementation")
            continue
        line, ratios = f"{scenario:22}", {}
        for n in BATCHES:
            kernel, twin = per_point(instance, n)
            ratios[n] = twin / kernel
            line += f"{kernel:10.2f} / {twin:8.2f} {ratios[n]:5.1f}x"
        fast, plain = whole_run(instance)
        print(f"{line}{fast:11.2f} / {plain:5.2f}{'' if ratios[100] >= LEAST else '   below 2x at batch 100'}", flush=True)


if __name__ == "__main__":
    main()
