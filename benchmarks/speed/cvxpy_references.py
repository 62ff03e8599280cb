"""Repeated CVXPY solves: a compiled parametrized model against building the model anew.

    python benchmarks/speed/cvxpy_references.py [--instances 20]

Both ways of solving alternate within one run, so that a busy machine slows both. "rebuilt" builds and compiles the same
model for every instance, as a script with a loop around `cvxpy.Problem` does; both give the same values. The ratio is large
where the model is (second-order cones written user by user) and small where the numerical solver takes most of the time
(beamforming/massive) or the model is so small that cvxpy's bookkeeping per solve, about 2 ms, does (nsp_utility).
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from optisolve import load_problem
from optisolve.problems.beamforming import convex as beamforming
from optisolve.problems.cell_free import convex as cell_free
from optisolve.problems.nsp_utility import convex as nsp_utility

MODELS: dict[str, Any] = {
    "beamforming": beamforming,
    "beamforming/massive": beamforming,
    "cell_free": cell_free,
    "nsp_utility": nsp_utility,
    "nsp_utility/energy_bep": nsp_utility,
    "nsp_utility/gdmopt": nsp_utility,
}


def seconds(call: Callable[[], Any]) -> tuple[float, Any]:
    """Wall time of a call and what it returned."""
    start = time.perf_counter()
    answer = call()
    return time.perf_counter() - start, answer


def one_solve(module: Any, instance: Any) -> Callable[[], float]:
    """A single CVXPY solve of an instance's model, returning its value."""
    model = instance.model("cvxpy")
    if module is beamforming:
        search = beamforming._Search(instance.constants, None)
        return lambda: search.solve(instance.constants.sinr_target)[0].value
    if module is cell_free:
        start = np.sqrt(model.gamma / model.gamma.sum(axis=1, keepdims=True))
        return lambda: model.at_level(model.level(start), start, None)[0].value
    return lambda: nsp_utility.solve_inner(model.inner, 1.0, None)[0].value


def compare(name: str, n_instances: int) -> float:
    """Median ratio of a rebuilt to a compiled solve; prints both times."""
    module, problem = MODELS[name], load_problem(name)
    compiled, build = module.compiled, module.compiled.__wrapped__
    times: dict[str, list[float]] = {"compiled": [], "rebuilt": []}
    one_solve(module, problem.instance(0))()  # compiles
    for seed in range(1, n_instances + 1):
        call, values = one_solve(module, problem.instance(seed)), []
        for way in ("compiled", "rebuilt") if seed % 2 else ("rebuilt", "compiled"):
            module.compiled = compiled if way == "compiled" else build
            spent, value = seconds(call)
            times[way].append(spent)
            values.append(value)
        module.compiled = compiled
        assert values[0] == values[1], f"{name} seed {seed}: {values}"
    ratio = statistics.median(r / c for r, c in zip(times["rebuilt"], times["compiled"], strict=True))
    milliseconds = {way: 1e3 * statistics.median(spent) for way, spent in times.items()}
    compiled_ms, rebuilt_ms = milliseconds["compiled"], milliseconds["rebuilt"]
    print(f"{name:26s} compiled {compiled_ms:8.2f} ms   rebuilt {rebuilt_ms:8.2f} ms   ratio {ratio:6.1f}")
    return ratio


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--instances", type=int, default=20)
    options = parser.parse_args()
    ratios = [compare(name, options.instances) for name in MODELS]
    print(f"ratios {min(ratios):.1f} to {max(ratios):.1f}")


if __name__ == "__main__":
    main()
