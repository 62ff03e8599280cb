"""Which solver should answer when none is named: engines without a language model on problems with several objectives.

    python benchmarks/quality/default_solver.py [--objectives 2] [--evaluations 5000] [--seeds 1] [--ledma]

Shifted test functions, design problems and drones, instance 1; hypervolume in the scenario's box. Prints wins, ties and losses
of every pair and mean ranks. ``--ledma`` adds `ledma` with the offline stand-in, which is quick and no language model.
"""

from __future__ import annotations

import argparse
from itertools import combinations

import numpy as np

import optisolve
from optisolve.core.problem import Instance
from optisolve.registry import list_problems

ENGINES = ("nsga2", "nsga3", "moead", "moead_de")
TIE = 1e-4
"""Difference of hypervolumes that says nothing."""


def cases(n_objectives: int) -> dict[str, Instance]:
    """Instances by scenario: functions whose optimum moves, design problems, and drones with and without a box of their own."""
    names = [
        n for n in list_problems() if n.startswith("uav_isac") or (n.startswith("pymoo/") and ("shifted" in n or "/re" in n))
    ]
    drawn = {name: optisolve.load_problem(name).instance(1) for name in names if name != "uav_isac/single"}
    drawn |= {f"uav_isac, {k} users": optisolve.load_problem("uav_isac", n_users=k).instance(1) for k in (6, 25, 40)}
    return {name: instance for name, instance in drawn.items() if len(instance.objectives) == n_objectives}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objectives", type=int, default=2)
    parser.add_argument("--evaluations", type=int, default=5000)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--ledma", action="store_true")
    options = parser.parse_args()
    solvers = (*ENGINES, *(("ledma",) if options.ledma else ()))
    budget = optisolve.Budget(evaluations=options.evaluations)
    print(f"| scenario | {' | '.join(solvers)} |\n|---|{'---|' * len(solvers)}")
    rows = []
    for name, instance in cases(options.objectives).items():
        runs = [
            [
                optisolve.solve(instance, s, budget=budget, seed=seed, llm="surrogate").hypervolume
                for seed in range(options.seeds)
            ]
            for s in solvers
        ]
        rows.append([float(np.mean(values)) for values in runs])
        print(f"| {name} | {' | '.join(f'{value:.4f}' for value in rows[-1])} |", flush=True)
    table = np.array(rows)
    for a, b in combinations(range(len(solvers)), 2):
        gap = table[:, a] - table[:, b]
        wins, losses = int((gap > TIE).sum()), int((gap < -TIE).sum())
        print(f"{solvers[a]} against {solvers[b]}: {wins} wins, {len(gap) - wins - losses} ties, {losses} losses")
    ranks = (-table).argsort(axis=1, kind="stable").argsort(axis=1).mean(axis=0) + 1.0
    print("mean ranks: " + ", ".join(f"{solver} {rank:.2f}" for solver, rank in zip(solvers, ranks, strict=True)))


if __name__ == "__main__":
    main()
