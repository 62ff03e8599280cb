"""What a call costs beside its work: `optisolve.solve` and a prepared solver on an instance that WMMSE solves in 10 us.

python benchmarks/speed/floor.py
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import optisolve


def median_ms(calls: dict[str, Callable[[], object]], rounds: int = 100) -> dict[str, float]:
    """Median processor time of each call, ms; they take turns."""
    told: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.process_time()
            call()
            told[name].append(1e3 * (time.process_time() - start))
    return {name: statistics.median(times) for name, times in told.items()}


def main() -> None:
    problem = optisolve.load_problem("power_control")
    case = problem.instance(1)
    for solver in ("null", "wmmse", "ddpm"):
        ready = optisolve.prepare(solver, problem)
        calls: dict[str, Callable[[], object]] = {
            "solve": lambda solver=solver: optisolve.solve(case, solver),  # type: ignore[misc]
            "prepared": lambda ready=ready: ready(case),  # type: ignore[misc]
        }
        median_ms(calls, 10)
        told = median_ms(calls)
        print(f"{solver:6s} solve {told['solve']:.2f} ms, prepared {told['prepared']:.2f} ms")


if __name__ == "__main__":
    main()
