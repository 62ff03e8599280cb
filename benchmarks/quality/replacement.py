"""Global replacement against replacement in the parents' pool, for every classical operator of the engine.

    python benchmarks/quality/replacement.py [--evaluations 5000] [--instances 5] [--seeds 8]

Every pair shares instance and solver seed. The difference is global less mates, with its standard error over the pairs.
"""

from __future__ import annotations

import argparse

import numpy as np

import optisolve
from optisolve.core.problem import Problem
from optisolve.testing.toys import ShiftedZdt1

SOLVERS = ("moead", "moead_de", "moead_lo")


def problems() -> dict[str, Problem]:
    scenarios = ("uav_isac", "uav_isac/dense", "uav_isac/urban")
    toys: dict[str, Problem] = {f"shifted ZDT1, {d} variables": ShiftedZdt1(n_variables=d) for d in (10, 30)}
    return {name: optisolve.load_problem(name) for name in scenarios} | toys


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--evaluations", type=int, default=5000)
    parser.add_argument("--instances", type=int, default=5, help="instances 100, 101, ...")
    parser.add_argument("--seeds", type=int, default=8)
    options = parser.parse_args()
    budget = optisolve.Budget(evaluations=options.evaluations)
    print(f"hypervolume after {options.evaluations} evaluations, {options.instances} instances x {options.seeds} seeds\n")
    print("| problem | solver | mates | global | difference | standard error |\n|---|---|---|---|---|---|")
    for label, problem in problems().items():
        for solver in SOLVERS:
            values = {
                replacement: np.array(
                    [
                        optisolve.solve(
                            problem.instance(100 + i), solver, budget=budget, seed=seed, replacement=replacement
                        ).hypervolume
                        for i in range(options.instances)
                        for seed in range(options.seeds)
                    ]
                )
                for replacement in ("mates", "global")
            }
            gap = values["global"] - values["mates"]
            means = f"{values['mates'].mean():.4f} | {values['global'].mean():.4f}"
            print(
                f"| {label} | {solver} | {means} | {gap.mean():+.4f} | {gap.std(ddof=1) / np.sqrt(gap.size):.4f} |", flush=True
            )


if __name__ == "__main__":
    main()
