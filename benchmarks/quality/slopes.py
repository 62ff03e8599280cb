"""What slopes are worth: `front_descent` beside `moead_de` on `uav_isac`, from the same points of the trained sampler.

    python benchmarks/quality/slopes.py [--evaluations 5000] [--first 20] [--instances 12] [--points 100]

Mean hypervolume after so many evaluations, starting points and looks at slopes included, and who is ahead how often.
"""

from __future__ import annotations

import argparse

import numpy as np

import optisolve
from optisolve.numerics.indicators import hypervolume_trace

SOLVERS = ("front_descent", "moead_de")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--evaluations", type=int, default=5000)
    parser.add_argument("--first", type=int, default=20, help="first instance")
    parser.add_argument("--instances", type=int, default=12)
    parser.add_argument("--points", type=int, default=100, help="starting points")
    given = parser.parse_args()
    steps = (1, 2, 5, 10, 20, 50)
    at = np.array([n for n in (given.points * step for step in steps) if n <= given.evaluations])
    rows = np.array([[_trace(name, seed, given.points, at) for name in SOLVERS] for seed in _seeds(given)])
    print("| evaluations | " + " | ".join(SOLVERS) + f" | {SOLVERS[0]} ahead |\n|---|---|---|---|")
    for n, values in zip(at, rows.transpose(2, 1, 0), strict=True):
        ahead = int((values[0] > values[1]).sum())
        print(f"| {n:,} | " + " | ".join(f"{value.mean():.4f}" for value in values) + f" | {ahead} of {len(rows)} |")


def _seeds(given: argparse.Namespace) -> range:
    return range(given.first, given.first + given.instances)


def _trace(solver: str, seed: int, points: int, at: np.ndarray) -> np.ndarray:
    """Hypervolume at evaluation counts of one run on one instance."""
    instance = optisolve.load_problem("uav_isac").instance(seed)
    budget = optisolve.Budget(evaluations=int(at[-1]))
    run = optisolve.solve(instance, solver, budget=budget, seed=seed, init=["ddpm"], pop_size=points, reference=None).run
    history, box = run.evaluator.history, instance.hypervolume_box
    assert box is not None
    return hypervolume_trace(history.F_min, history.violation, instance.signs, box, at)


if __name__ == "__main__":
    main()
