"""What starting points and a population that follows the budget are worth.

python benchmarks/quality/starts.py sources      sources of first points on uav_isac, by evaluations (docs/starting_points.md)
python benchmarks/quality/starts.py population   the default population against one of 100 points, several problems
python benchmarks/quality/starts.py --repetitions 1 ...

Instances and seeds are those that settings were tuned on; what is published as a comparison of solvers uses others.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from contextlib import suppress

import numpy as np
from scipy.stats import wilcoxon

from optisolve.core.budget import Budget, BudgetMeter
from optisolve.core.errors import BudgetExhausted
from optisolve.core.problem import Instance
from optisolve.core.solver import Task
from optisolve.numerics.indicators import hypervolume
from optisolve.registry import load_problem, load_solver
from optisolve.run.evaluator import Evaluator

SOURCES: Mapping[str, Mapping[str, object]] = {
    "uniform, 100 points": {"pop_size": 100},
    "uniform": {},
    "null": {"init": "null"},
    "ddpm": {"init": "ddpm"},
    "auto": {"init": "auto"},
}
BUDGETS = (20, 50, 100, 200, 500, 1000, 5000)
PROBLEMS = (
    *("uav_isac", "power_control", "pymoo/re21", "pymoo/re23", "pymoo/re31", "pymoo/re34", "pymoo/zdt1_shifted"),
    *("pymoo/zdt3_shifted", "pymoo/zdt4_shifted", "pymoo/dtlz2_shifted", "pymoo/dtlz7_shifted", "pymoo/mw3", "pymoo/mw14"),
)


def reached(instance: Instance, solver: str, evaluations: int, seed: int, **options: object) -> float:
    """Hypervolume or best value, larger is better; without a feasible point the negative violation.

    Test functions are scored up to the worst of 2,000 random points, since few evaluations seldom reach their own box.
    """
    meter = BudgetMeter(Budget(evaluations=evaluations))
    evaluator = Evaluator(instance, meter)
    task = Task(instance, evaluator, evaluator, meter, seed, solver)
    with suppress(BudgetExhausted):
        load_solver(solver, **options)._solve(task)
    F = evaluator.archive.F_min
    if not F.shape[0]:
        return -float(evaluator.history.violation.min())
    if instance.hypervolume_box is None:
        return -float(F.min())
    if instance.origin.problem != "pymoo":
        return hypervolume(F * instance.signs, instance.hypervolume_box)
    from moocore import hypervolume as volume

    corner = (instance.evaluate(instance.space.sample(np.random.default_rng(0), 2000)).F * instance.signs).max(axis=0)
    ideal = np.array(instance.hypervolume_box.ideal) * instance.signs
    return float(volume((F - ideal) / (corner - ideal), ref=np.ones(F.shape[1])))


def sources(solver: str, repetitions: int) -> None:
    """Mean hypervolume on ten instances of uav_isac."""
    print(f"{solver} on uav_isac, instances 20-29, {repetitions} seed(s), mean hypervolume")
    print("| first points |", " | ".join(f"{n:,}" for n in BUDGETS), "|")
    cases = [load_problem("uav_isac").instance(seed) for seed in range(20, 30)]
    for name, options in SOURCES.items():
        values = [
            np.mean([reached(case, solver, n, 1 + r, **options) for case in cases for r in range(repetitions)]) for n in BUDGETS
        ]
        print(f"| {name} |", " | ".join(f"{value:.3f}" for value in values), "|", flush=True)


def populations(solver: str, repetitions: int, budgets: tuple[int, ...]) -> None:
    """Wins of the default population over one of 100 points, and Wilcoxon's test over problems, instances and seeds."""
    for n in budgets:
        better = list[float]()
        for name in PROBLEMS:
            for seed in range(repetitions):
                case = load_problem(name).instance(seed + 20 * (name == "uav_isac"))
                pair = [reached(case, solver, n, 1 + seed, pop_size=size) for size in (None, 100)]
                better.append((pair[0] - pair[1]) / max(abs(pair[0]), abs(pair[1]), 1e-12))
        wins, losses = sum(b > 1e-9 for b in better), sum(b < -1e-9 for b in better)
        p = wilcoxon(better).pvalue if wins + losses else 1.0
        print(f"{solver}, {n:,} evaluations: better {wins}, worse {losses} of {len(better)}; p = {p:.2g}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("sources", "population"))
    parser.add_argument("--solver", default="moead_de")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--budgets", type=int, nargs="+", default=(50, 100, 200, 500, 1000, 5000))
    asked = parser.parse_args()
    if asked.what == "sources":
        sources(asked.solver, asked.repetitions)
    else:
        populations(asked.solver, asked.repetitions, tuple(asked.budgets))
