"""Processor time that `parego` takes to propose a point, by the number of points it knows; its peers beside it.

    python benchmarks/speed/parego.py                # parego
    python benchmarks/speed/parego.py --peers        # and those of the extra bo, which take minutes

ZDT1 with 12 variables and two objectives: the function itself costs nothing. A run is given n random points to begin with and
then proposes n / 10 more, which is how often lengths are fitted anew; so every figure holds one whole fit from nothing. Peers
propose 3.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

import optisolve
from optisolve import Budget
from optisolve.registry import SOLVERS, make_solver

PEERS = ("botorch", "optuna_gp")
SIZES = (50, 100, 200, 400)


def per_point(solver: str, n: int, proposed: int) -> float:
    """Seconds of processor time per proposed point when n points are known."""
    instance = optisolve.load_problem("pymoo/zdt1_shifted", n_variables=12).instance(0)
    X = instance.space.sample(np.random.default_rng(n), n)
    options = {"n_initial": n} if solver == "parego" else {}
    spent = []
    for evaluations in (n, n + proposed):
        begun = time.process_time()
        optisolve.solve(
            instance, solver, budget=Budget(evaluations=evaluations), seed=1, warm_start=X, reference=None, **options
        )
        spent.append(time.process_time() - begun)
    return (spent[1] - spent[0]) / proposed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", action="store_true", help="also time the solvers of the extra bo that are installed")
    peers = PEERS if parser.parse_args().peers else ()
    instance = optisolve.load_problem("pymoo/zdt1_shifted", n_variables=12).instance(0)
    solvers = ["parego", *(name for name in peers if name in SOLVERS.targets() and make_solver(name).skip(instance) is None)]
    per_point("parego", 20, 2)  # imports
    print(f"{'points known':>14}" + "".join(f"{name:>14}" for name in solvers))
    for n in SIZES:
        times = [per_point(name, n, n // 10 if name == "parego" else 3) for name in solvers]
        print(f"{n:>14}" + "".join(f"{1e3 * seconds:>11.0f} ms" for seconds in times), flush=True)


if __name__ == "__main__":
    main()
