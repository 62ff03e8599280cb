"""How cost grows: log-log slopes of processor time over users, UAVs, links, records, evaluations and population; peak memory.

    python benchmarks/speed/growth.py                       # everything, about three minutes
    python benchmarks/speed/growth.py population records    # some of it

A slope is that of the least-squares line through the logarithms; 1 means that twice as much costs twice as much. Links count
squared, since every link hears every other. Each time is the smallest of several, processor time of one thread.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import optisolve
from optisolve.core import Instance
from optisolve.run.evaluator import credit, trace_rows

STEEPEST = 1.05
"""Largest slope that counts as linear."""


def cpu_s(call: Callable[[], object], repeats: int = 3) -> float:
    """Smallest processor time of a call, s."""
    least = np.inf
    for _ in range(repeats):
        start = time.process_time()
        call()
        least = min(least, time.process_time() - start)
    return float(least)


def slope(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """Slope of the least-squares line through the logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def _evaluation_s(case: Instance, n: int) -> float:
    """Processor time of one point, s."""
    X = case.space.sample(np.random.default_rng(0), n)
    case.evaluate(X)  # compiles
    return cpu_s(lambda: case.evaluate(X), 7) / n


def users() -> dict[str, tuple[list[int], list[float]]]:
    """One evaluation of `uav_isac` over users."""
    sizes = [100, 1_000, 10_000]
    cases = [optisolve.load_problem("uav_isac", n_users=n).instance(0) for n in sizes]
    return {"users, uav_isac, s": (sizes, [_evaluation_s(case, 200_000 // n) for case, n in zip(cases, sizes, strict=True)])}


def uavs() -> dict[str, tuple[list[int], list[float]]]:
    """One evaluation of `uav_isac` with 1,000 users over UAVs."""
    sizes = [4, 8, 16, 32, 64]
    cases = [optisolve.load_problem("uav_isac", n_uavs=n, n_users=1_000, p_total_w=0.1 * n).instance(0) for n in sizes]
    return {"UAVs, uav_isac, s": (sizes, [_evaluation_s(case, 128) for case in cases])}


def links() -> dict[str, tuple[list[int], list[float]]]:
    """One evaluation of `power_control` over squared links."""
    sizes = [50, 100, 200, 400]
    cases = [optisolve.load_problem("power_control", n_links=n).instance(0) for n in sizes]
    times = [_evaluation_s(case, 4_000_000 // n**2) for case, n in zip(cases, sizes, strict=True)]
    return {"links², power_control, s": ([n**2 for n in sizes], times)}


def evaluations() -> dict[str, tuple[list[int], list[float]]]:
    """Loop, bookkeeping and the whole of what follows, `moead_de` on three objectives."""
    case = optisolve.load_problem("pymoo/dtlz2").instance(0)
    sizes = [5_000, 20_000, 80_000]
    optisolve.solve(case, "moead_de", budget=optisolve.Budget(evaluations=10_000))  # compiles
    rows: dict[str, tuple[list[int], list[float]]] = {
        name: (sizes, [])
        for name in (
            "evaluations, loop, s",
            "evaluations, credit and curve, s",
            "evaluations, all after the loop, s",
            "evaluations, run and record, s",
        )
    }
    for n in sizes:
        least = [np.inf] * 4
        for _ in range(3):
            start = time.process_time()
            result = optisolve.solve(case, "moead_de", budget=optisolve.Budget(evaluations=n))
            _ = result.record  # made when it is asked for
            whole, run = time.process_time() - start, result.run
            history = run.evaluator.history
            books = cpu_s(lambda history=history: (credit(case, history), trace_rows(case, history)), 1)  # type: ignore[misc]
            least = [min(pair) for pair in zip(least, (run.cpu_s, books, whole - run.cpu_s, whole), strict=True)]
        for (_, times), seconds in zip(rows.values(), least, strict=True):
            times.append(seconds)
    return rows


def population() -> dict[str, tuple[list[int], list[float]]]:
    """One evaluation of `moead_de` over the population's size, with two objectives and with three."""
    sizes = [100, 1_000, 10_000]
    rows = {}
    for name in ("uav_isac", "pymoo/dtlz2"):
        case, times = optisolve.load_problem(name).instance(0), list[float]()
        for n in (100, *sizes):  # the first one compiles
            budget = optisolve.Budget(evaluations=30_000)
            times.append(optisolve.solve(case, "moead_de", budget=budget, pop_size=n).run.cpu_s / 30_000)
        rows[f"population, {name}, s"] = (sizes, times[1:])
    return rows


def records() -> dict[str, tuple[list[int], list[float]]]:
    """Reading a folder of records."""
    case, sizes = optisolve.load_problem("power_control").instance(0), [30, 300]
    times = []
    for n in sizes:
        with TemporaryDirectory() as folder:
            for seed in range(n):
                budget = optisolve.Budget(evaluations=100)
                optisolve.solve(case, "random_search", budget=budget, seed=seed).save(Path(folder))
            times.append(cpu_s(lambda folder=folder: optisolve.load_records(folder)))  # type: ignore[misc]
    return {"records, load_records, s": (sizes, times)}


def memory() -> dict[str, tuple[list[int], list[float]]]:
    """Peak memory of a process that makes a run, GB: `uav_isac` with `moead_de`, record and curve included."""
    script = "import resource, sys, optisolve; optisolve.solve(optisolve.load_problem('uav_isac'), 'moead_de', budget="
    script += "optisolve.Budget(evaluations=int(sys.argv[1]))); "
    script += "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    sizes = [1_000, 1_000_000]
    kilobytes = [
        int(subprocess.run([sys.executable, "-c", script, str(n)], capture_output=True, check=True).stdout) for n in sizes
    ]
    return {"memory of evaluations, uav_isac, GB": (sizes, [kb / 2**20 for kb in kilobytes])}


AXES = {axis.__name__: axis for axis in (users, uavs, links, evaluations, population, records, memory)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("axes", nargs="*", help=f"which of {', '.join(AXES)}; all by default")
    given = parser.parse_args()
    print("| what | sizes | cost | slope | last / first |\n|---|---|---|---|---|")
    for axis in given.axes or AXES:
        for name, (sizes, times) in AXES[axis]().items():
            told = " ".join(f"{cost:.3g}" for cost in times)
            shown = " ".join(f"{size:,}" for size in sizes)
            print(f"| {name} | {shown} | {told} | {slope(sizes, times):.2f} | {times[-1] / times[0]:.3g} |", flush=True)


if __name__ == "__main__":
    main()
