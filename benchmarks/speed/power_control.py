"""Power control: branch and bound and WMMSE in numba against plain numpy, in one run, taken in turns.

    python benchmarks/speed/power_control.py               # about a minute
    python benchmarks/speed/power_control.py --repeats 3   # a quick look

Each line is the median time of both sides over the repeats, run in turn so that a busy machine slows both alike, and their
ratio. The numpy side is the one that the tests use: same bound, same order of boxes, same steps.
One thread each. The script fails when results differ or a ratio is below its target.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from optisolve.numerics.mixed_monotonic import RateProgram, maximize_rate
from optisolve.numerics.wmmse import wmmse

sys.path.insert(0, str(Path(__file__).parents[2]))  # the numpy side lives in the tests
from tests.numerics.channels_in_numpy import wmmse_in_numpy
from tests.numerics.mixed_monotonic_in_numpy import search


@dataclass(frozen=True)
class Case:
    """One comparison: two functions that return comparable numbers."""

    name: str
    fast: Callable[[], np.ndarray]
    plain: Callable[[], np.ndarray]
    rtol: float
    target: float | None = None


def branch_and_bound_case(n_instances: int) -> Case:
    """Certified 1 % gap for K = 8 Gaussian links at 10 dB, from no incumbent at all; value, bound and boxes compared."""
    rng = np.random.default_rng(1)
    ones, zeros = np.ones(8), np.zeros(8)
    programs = [RateProgram(rng.exponential(size=(8, 8)), 0.1 * ones, ones, ones, zeros) for _ in range(n_instances)]

    def fast() -> np.ndarray:
        found = [maximize_rate(program, gap=1e-2, max_nodes=200_000) for program in programs]
        assert all(result.closed for result in found)
        return np.array([(result.value, result.dual_bound, result.nodes) for result in found])

    def plain() -> np.ndarray:
        found = [search(program.scaled(), np.zeros(8), gap=1e-2, max_nodes=200_000, rounds=2) for program in programs]
        return np.array([(value / np.log(2.0), bound / np.log(2.0), nodes) for _, value, bound, nodes in found])

    return Case(f"branch and bound, K=8, 10 dB, 1 % gap, {n_instances} instances", fast, plain, 1e-9, 30.0)


def wmmse_case(n_instances: int) -> Case:
    """Batched WMMSE at K = 20, 0 dB, from full power; sum rates compared."""
    rng = np.random.default_rng(2)
    gain = rng.exponential(size=(n_instances, 20, 20))
    weight, start = np.ones((n_instances, 20)), np.ones((n_instances, 1, 20))
    limits = {"max_iterations": 100, "tolerance": 1e-3}

    def rates(P: np.ndarray) -> np.ndarray:
        own = np.einsum("bii->bi", gain)
        heard = 1.0 + np.einsum("bij,bj->bi", gain, P) - own * P
        return np.log2(1.0 + own * P / heard).sum(axis=1)

    def fast() -> np.ndarray:
        return rates(wmmse(gain, weight, start, **limits)[0][:, 0])

    def plain() -> np.ndarray:
        return rates(np.array([wmmse_in_numpy(g, w, s[0], **limits)[0] for g, w, s in zip(gain, weight, start, strict=True)]))

    return Case(f"WMMSE, K=20, {n_instances} instances", fast, plain, 1e-9, 20.0)


def compare(case: Case, repeats: int) -> tuple[float, float, float]:
    """Median seconds of both sides and their largest relative difference; the first round compiles and is not timed."""
    times: dict[str, list[float]] = {"fast": [], "plain": []}
    results = {}
    for round_ in range(repeats + 1):
        for side in ("fast", "plain"):
            start = time.perf_counter()
            results[side] = getattr(case, side)()
            if round_:
                times[side].append(time.perf_counter() - start)
    scale = np.maximum(np.abs(results["plain"]).max(axis=0), 1e-12)
    difference = float((np.abs(results["fast"] - results["plain"]) / scale).max())
    return median(times["fast"]), median(times["plain"]), difference


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    cases = [branch_and_bound_case(4), wmmse_case(1000)]
    failed = False
    print(f"{'case':58} {'numba':>11} {'numpy':>11} {'ratio':>8} {'target':>7} {'difference':>11}")
    for case in cases:
        fast, plain, difference = compare(case, repeats)
        ratio = plain / fast
        missed = difference > case.rtol or (case.target is not None and ratio < case.target)
        failed = failed or missed
        target = "" if case.target is None else f"{case.target:g}x"
        numbers = f"{1e3 * fast:8.3f} ms {1e3 * plain:8.2f} ms {ratio:7.1f}x {target:>7} {difference:11.1e}"
        print(f"{case.name:58} {numbers}{'  MISSED' if missed else ''}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
