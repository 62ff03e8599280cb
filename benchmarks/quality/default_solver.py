"""Which engine should answer when none is named: problems with several objectives, without a language model.

    python benchmarks/quality/default_solver.py [--set shifted|review] [--later 0] [--objectives 2] [--evaluations 5000]
        [--seeds 1] [--solvers nsga2 moead_de moead_de,crossover=1.0] [--out FILE]

``--set shifted`` takes test functions, design problems and drones, instance 1; ``--set review`` the 24 instances on which
engines were compared with peers, at other seeds. Hypervolume in the scenario's box. Prints a row per instance, wins, ties and
losses of every pair, mean ranks, processor time and, from six seeds on, on how many
instances the first solver is better and worse than each
other one (Wilcoxon over seeds, Holm over instances). ``ledma`` runs without a language model.
``pygmo_moead`` and ``pygmo_nsga2`` are pygmo's, where it is installed: points are repaired as ours, violations added to every
objective, and everything that was evaluated counts. With ``--out`` every run is kept, and what is there is not run again.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from scipy.stats import wilcoxon

import optisolve
from optisolve.core.arrays import FloatArray
from optisolve.core.problem import Evaluation, Instance
from optisolve.core.solver import Solver
from optisolve.numerics.indicators import score
from optisolve.registry import list_problems, make_solver

ENGINES = ("nsga2", "nsga3", "moead", "moead_de")
TIE = 1e-4
"""Difference of hypervolumes that says nothing."""
LEVEL = 0.05
PEER = "pygmo_"
PENALTY = 1e3
"""What a peer that knows no constraints pays for a violation of one."""
FEWEST = 6
"""Seeds below which no signed-rank test can reach the level."""
FUNCTIONS = ("zdt1", "zdt2", "zdt3", "zdt4", "zdt6", "mw1", "mw7", "mw14", "dtlz2", "dtlz7")
DESIGNS = ("re21", "re22", "re23", "re24", "re25")
DRONES = {"uav_isac": (5, 6, 7, 8, 9), "uav_isac/dense": (3, 4), "uav_isac/urban": (3, 4)}


def shifted() -> dict[str, Instance]:
    """Instances by scenario: functions whose optimum moves, design problems, and drones with and without a box of their own."""
    names = [
        n for n in list_problems() if n.startswith("uav_isac") or (n.startswith("pymoo/") and ("shifted" in n or "/re" in n))
    ]
    drawn = {name: optisolve.load_problem(name).instance(1) for name in names if name != "uav_isac/single"}
    return drawn | {f"uav_isac, {k} users": optisolve.load_problem("uav_isac", n_users=k).instance(1) for k in (6, 25, 40)}


def review(later: int) -> dict[str, Instance]:
    """The 24 instances: nine of drones, ten functions whose optimum moves, five design problems.

    Args:
        later: Added to the numbers of instances, for others of the same kind; designs have one.
    """
    places = {name: tuple(seed + later for seed in seeds) for name, seeds in DRONES.items()}
    places |= {f"pymoo/{name}_shifted": (1 + later,) for name in FUNCTIONS} | {f"pymoo/{name}": (0,) for name in DESIGNS}
    return {f"{name} {seed}": optisolve.load_problem(name).instance(seed) for name, seeds in places.items() for seed in seeds}


def solver_of(text: str) -> Solver:
    """A preset with options, as in ``moead_de,crossover=1.0``."""
    name, *settings = text.split(",")
    options: dict[str, Any] = {key: yaml.safe_load(value) for key, _, value in (s.partition("=") for s in settings)}
    return make_solver(name, options)


def reached(instance: Instance, solver: Solver | str, evaluations: int, seed: int) -> float:
    """Hypervolume of one run, of a peer where a name is given."""
    if isinstance(solver, str):
        return peer(instance, solver.removeprefix(PEER), evaluations, seed)
    budget = optisolve.Budget(evaluations=evaluations)
    return float(optisolve.solve(instance, solver, budget=budget, seed=seed, llm="none").hypervolume)


def peer(instance: Instance, algorithm: str, evaluations: int, seed: int) -> float:
    """Hypervolume of everything that an algorithm of pygmo evaluates, populations of 100 (three objectives: 105, nsga2 104)."""
    import pygmo

    seen: list[Evaluation] = []

    class Function:
        def fitness(self, x: FloatArray) -> FloatArray:
            seen.append(instance.evaluate(instance.project(x[None, :])))
            return np.asarray(seen[-1].F[0] * instance.signs + PENALTY * seen[-1].violation[0])

        def get_bounds(self) -> tuple[FloatArray, FloatArray]:
            return instance.space.lower, instance.space.upper

        def get_nobj(self) -> int:
            return len(instance.objectives)

    size = 100 if len(instance.objectives) == 2 else 104 if algorithm == "nsga2" else 105
    own = getattr(pygmo, algorithm)(evaluations // size - 1, seed=seed)
    pygmo.algorithm(own).evolve(pygmo.population(pygmo.problem(Function()), size, seed=seed))
    feasible = np.concatenate([one.F[one.violation <= 0.0] for one in seen[:evaluations]])
    return float(score(instance, feasible, None)["hypervolume"] or 0.0)


@dataclass(frozen=True)
class Kept:
    """Runs in a file of JSON lines; None keeps nothing."""

    path: Path | None

    def run(self, name: str, instance: Instance, solver: str, evaluations: int, seed: int) -> tuple[float, float]:
        """Hypervolume and processor time, s, from the file or measured."""
        key = {"instance": name, "solver": solver, "evaluations": evaluations, "seed": seed}
        for row in self.rows():
            if all(row[field] == value for field, value in key.items()):
                return float(row["hypervolume"]), float(row["cpu_s"])
        start = time.process_time()
        value = reached(instance, solver if solver.startswith(PEER) else solver_of(solver), evaluations, seed)
        spent = time.process_time() - start
        if self.path is not None:
            with self.path.open("a") as stream:
                stream.write(json.dumps({**key, "hypervolume": value, "cpu_s": spent}) + "\n")
        return value, spent

    def rows(self) -> list[dict[str, Any]]:
        """All that is there."""
        if self.path is None or not self.path.is_file():
            return []
        return [json.loads(line) for line in self.path.read_text().splitlines()]


def verdicts(values: FloatArray) -> str:
    """How often the first solver is better and worse than each other, float64 [instances, solvers, seeds]."""
    told = []
    for other in range(1, values.shape[1]):
        gaps = values[:, 0] - values[:, other]
        p = np.array([1.0 if np.abs(gap).max() <= TIE else float(wilcoxon(gap).pvalue) for gap in gaps])
        order = np.argsort(p, kind="stable")
        held = np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1)) <= LEVEL
        sign = np.sign(np.median(gaps, axis=1))[order][held]
        told.append(f"{int((sign > 0).sum())} better, {int((sign < 0).sum())} worse, {int(p.size - held.sum())} undecided")
    return "; ".join(told)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", choices=("shifted", "review"), default="shifted")
    parser.add_argument("--objectives", type=int, help="of the shifted set; default 2")
    parser.add_argument("--evaluations", type=int, default=5000)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--later", type=int, default=0, help="other instances of the review's set: its numbers and this")
    parser.add_argument("--solvers", nargs="+", default=ENGINES)
    parser.add_argument("--out", type=Path, help="file of runs, JSON lines; goes on where it was stopped")
    options = parser.parse_args()
    names, kept = tuple(options.solvers), Kept(options.out)
    drawn = review(options.later) if options.set == "review" else shifted()
    wanted = options.objectives or (None if options.set == "review" else 2)
    print(f"| instance | {' | '.join(names)} |\n|---|{'---|' * len(names)}")
    rows, cpu_us = [], []
    for name, instance in drawn.items():
        if wanted is not None and len(instance.objectives) != wanted:
            continue
        told = [
            [kept.run(name, instance, solver, options.evaluations, seed) for seed in range(options.seeds)] for solver in names
        ]
        runs, seconds = np.moveaxis(np.array(told), 2, 0)  # [solvers, seeds] each
        rows.append(runs)
        cpu_us.append(seconds.mean(axis=1) / options.evaluations * 1e6)
        print(f"| {name} | {' | '.join(f'{np.mean(values):.4f}' for values in runs)} |", flush=True)
    values = np.array(rows, dtype=np.float64)  # [instances, solvers, seeds]
    table = values.mean(axis=2)
    for a, b in combinations(range(len(names)), 2):
        gap = table[:, a] - table[:, b]
        wins, losses = int((gap > TIE).sum()), int((gap < -TIE).sum())
        print(f"{names[a]} against {names[b]}: {wins} wins, {len(gap) - wins - losses} ties, {losses} losses")
    ranks = (-table).argsort(axis=1, kind="stable").argsort(axis=1).mean(axis=0) + 1.0
    print("mean ranks: " + ", ".join(f"{name} {rank:.2f}" for name, rank in zip(names, ranks, strict=True)))
    told = (f"{name} {np.median(spent):.0f}" for name, spent in zip(names, np.transpose(cpu_us), strict=True))
    print(f"processor time an evaluation, median over instances, us: {', '.join(told)}")
    if options.seeds >= FEWEST:
        print(f"{names[0]} beside {', '.join(names[1:])}: {verdicts(values)}")


if __name__ == "__main__":
    main()
