"""Selections of radio sites with a certified optimum: how near solvers come with few evaluations, and what the proof costs.

    python benchmarks/quality/radio_planning.py                              # Munich's table, 60 evaluations, about two minutes
    python benchmarks/quality/radio_planning.py radio_planning/urban_selection --evaluations 30 60 120 --instances 10
    python benchmarks/quality/radio_planning.py radio_planning/munich --designs 12    # needs the extra rt, about two minutes

Gap: relative distance of a run's coverage and the proven optimum, mean and largest over the instances. With the ray tracer in
the loop: how far the rays of a run and those of its verification are apart, on the trivial plan and random ones, in shares of
the largest value of all, as the tolerances of the scenario are. Seconds are of the processor, on one thread.
"""

from __future__ import annotations

import argparse
import os
import time

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"))

import numpy as np

import optisolve
from optisolve.content import content_dir
from optisolve.core import Evidence, Problem
from optisolve.problems.radio_planning.live import LiveInstance
from optisolve.registry import make_problem

SOLVERS = ("moe", "parego", "moead_de", "nsga2", "cma_es", "random_search", "null")
REPEATS = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenario", nargs="?", default="radio_planning/munich_table")
    parser.add_argument("--evaluations", type=int, nargs="+", default=[60])
    parser.add_argument("--instances", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--solvers", nargs="+", default=SOLVERS)
    parser.add_argument("--designs", type=int, default=12, help="plans that are traced by both kinds of rays")
    options = parser.parse_args()

    problem = make_problem(options.scenario)
    if isinstance(live := problem.instance(0), LiveInstance):
        compare_rays(live, options.designs)
    else:
        compare_solvers(problem, options)


def compare_rays(instance: LiveInstance, count: int) -> None:
    """Values by a run's rays and by verification's, plan by plan, and the largest difference."""
    X = instance.project(instance.space.sample(np.random.default_rng(1), count - 1))
    power = instance.columns(X, "power_dbm")  # a view; weak transmitters alone would say little about coverage
    power[:] = 0.5 * (power + instance.full_power_dbm)
    X = np.concatenate([instance.null_policies()["spread"], X])
    instance.warm_up()
    print("| plan | " + " | ".join(f"{o.label}, run, verification" for o in instance.objectives) + " | seconds |")
    print("|---|" + "---|" * (len(instance.objectives) + 1))
    both = np.empty((2, count, len(instance.objectives)))
    for i in range(count):
        seconds = [time.process_time()]
        for values, evaluate in zip(both, (instance.evaluate, instance.evaluate_twin), strict=True):
            values[i] = evaluate(X[i]).F[0]
            seconds.append(time.process_time())
        told = " | ".join(f"{a:.4g}, {b:.4g}" for a, b in both[:, i].T)
        print(f"| {i} | {told} | {seconds[1] - seconds[0]:.1f}, {seconds[2] - seconds[1]:.1f} |", flush=True)
    for j, objective in enumerate(instance.objectives):
        run, verification = both[:, :, j]
        apart = np.abs(run - verification) / np.abs(both[:, :, j]).max()
        bias = (run - verification).mean() / np.abs(both[:, :, j]).max()
        allowed = np.broadcast_to(instance.agreement, len(instance.objectives))[j]
        told = f"mean {100 * apart.mean():.2g} %, largest {100 * apart.max():.2g} %, mean of the signed {100 * bias:+.2g} %"
        print(f"{objective.name}: {told}; the scenario allows {100 * allowed:.2g} %")


def compare_solvers(problem: Problem, options: argparse.Namespace) -> None:
    """Gaps to the certified optimum, and what the proof and an evaluation cost."""
    instances = [problem.instance(seed) for seed in range(options.instances)]
    optima = []
    for seed, instance in enumerate(instances):
        begin = time.process_time()
        reference = problem.reference(instance)
        seconds = time.process_time() - begin
        assert reference is not None
        assert reference.evidence is Evidence.PROVEN_OPTIMAL, reference
        assert reference.value is not None
        optima.append(reference.value)
        trivial = max(float(instance.evaluate(x).F[:, 0].max()) for x in instance.null_policies().values())
        proof = f"{reference.solver} {seconds:.2f} s"
        print(f"instance {seed}: optimum {reference.value:.1f} %, {proof}, best trivial {trivial:.1f} %")
    X = instances[0].space.sample(np.random.default_rng(0), 1)
    instances[0].evaluate(X)
    begin = time.process_time()
    for _ in range(REPEATS):
        instances[0].evaluate(X)
    print(f"one evaluation: {1e3 * (time.process_time() - begin) / REPEATS:.2f} ms")
    for path in sorted((content_dir("problems") / "radio_planning").glob("*.npz")):
        print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB")

    print("\n| solver | evaluations | mean gap | largest gap | at the optimum |\n|---|---|---|---|---|")
    for solver in options.solvers:
        for evaluations in options.evaluations:
            gaps = [
                1.0
                - float(optisolve.solve(i, solver, budget=optisolve.Budget(evaluations=evaluations), seed=seed).F[0, 0]) / best
                for i, best in zip(instances, optima, strict=True)
                for seed in range(options.seeds)
            ]
            solved = sum(gap <= 1e-9 for gap in gaps)
            figures = f"{100 * np.mean(gaps):.1f} % | {100 * max(gaps):.1f} % | {solved} of {len(gaps)}"
            print(f"| `{solver}` | {evaluations} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
