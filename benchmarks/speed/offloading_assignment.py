"""Offloading and association: what a certified answer costs.

    python benchmarks/speed/offloading_assignment.py [--repeats 5]

Prints the time of independent exact methods on the same instances, measured in one run on one machine, the first call
(compilation, imports) left out.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable

import numpy as np

from optisolve.core.problem import Instance
from optisolve.modelling.assignment import solve_assignment
from optisolve.modelling.cpsat import solve_cpsat
from optisolve.modelling.highs import solve_highs
from optisolve.numerics.server_sharing_kernels import enumerate_choices
from optisolve.registry import make_problem


def seconds(call: Callable[[], object], repeats: int) -> float:
    """Best of several timings after a warm-up, s."""
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def full_enumeration(instance: Instance) -> object:
    """All choices, nothing struck out beforehand; partial costs prune inside the kernel."""
    c = instance.costs  # type: ignore[attr-defined]
    allowed = np.ones((c.local.size, c.transmit.shape[1] + 1), dtype=bool)
    return enumerate_choices(c.local, c.transmit, c.root, c.share_floor, allowed)


def python_enumeration(instance: Instance) -> float:
    """The same in vectorized numpy, no pruning: the cost of 2^N sets at once."""
    c = instance.costs  # type: ignore[attr-defined]
    X = np.array(list(itertools.product((0.0, 1.0), repeat=c.local.size)))
    return float(((1 - X) @ c.local + X @ c.transmit[:, 0] + (X @ c.root[:, 0]) ** 2).min())


def exact_methods(repeats: int) -> None:
    """Elimination, enumeration and CP-SAT on offloading; assignment, HiGHS and CP-SAT on association."""
    print(f"{'exact method':58} {'time [ms]':>10}")
    for n in (10, 16, 20):
        problem = make_problem("offloading/n20", {"n_users": n, "server_hz": 1e9 * n})
        instance = problem.instance(0)
        rows: list[tuple[str, Callable[[], object]]] = [
            ("elimination + enumeration", lambda p=problem, i=instance: p.reference(i)),
            ("pruned enumeration (numba)", lambda i=instance: full_enumeration(i)),
            ("CP-SAT, one worker", lambda i=instance: solve_cpsat(i.model("cpsat"), deterministic_time=60.0)),
        ]
        if n <= 16:
            rows.append(("enumeration in numpy", lambda i=instance: python_enumeration(i)))
        for label, call in rows:
            print(f"{f'offloading N={n}: {label}':58} {1e3 * seconds(call, repeats):10.2f}")
    association = make_problem("user_association", {"n_users": 100, "n_small": 9}).instance(0)
    for label, call in (
        ("assignment + prices", lambda: solve_assignment(association.model("assignment"))),
        ("HiGHS (linear program)", lambda: solve_highs(association.model("highs"))),
        ("CP-SAT, one worker", lambda: solve_cpsat(association.model("cpsat"), deterministic_time=60.0)),
    ):
        print(f"{f'association I=100, J=10: {label}':58} {1e3 * seconds(call, repeats):10.2f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    exact_methods(parser.parse_args().repeats)


if __name__ == "__main__":
    main()
