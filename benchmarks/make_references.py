"""Make the published reference fronts of uav_isac, and compare them with short runs.

    python benchmarks/make_references.py uav_isac --instances 0-9 [--effort normal]
    python benchmarks/make_references.py uav_isac --instances 0-9 --compare

A front is the non-dominated union of local search from random starts, long runs of three evolutionary algorithms, CP-SAT
placements on a grid, and local search from all of these, thinned to 200 points by hypervolume contribution. Seeds are
fixed and no limit is a clock, so the same versions make the same front again. Nothing is proven about it: it is the best known.
"""

from __future__ import annotations

import argparse
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
from grid_placements import grid_seeds

import optisolve
from optisolve.core.arrays import FloatArray
from optisolve.numerics.indicators import hypervolume, igd_plus
from optisolve.problems.front_file import cached_front, write_front
from optisolve.problems.uav_isac.instance import UavIsacInstance
from optisolve.problems.uav_isac.reference.search import SearchWork, local_front, unit_losses

FOLDER = Path(__file__).parent / "references"
N_POINTS = 200
EFFORTS = {  # (first search, evaluations per evolutionary run, CP-SAT limit per placement, last search)
    "quick": (SearchWork(12, 3), 5_000, 0.5, SearchWork(12, 3, 50)),
    "normal": (SearchWork(40, 20), 100_000, 2.0, SearchWork(40, 30, 200)),
    "thorough": (SearchWork(60, 60), 400_000, 8.0, SearchWork(60, 100, 400)),
}
PACKAGES = ("numpy", "scipy", "numba", "ortools", "pymoo")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenario", help="e.g. uav_isac, uav_isac/dense")
    parser.add_argument("--instances", default="0", help="seeds: 3, 0-9 or 0,4,7")
    parser.add_argument("--effort", choices=tuple(EFFORTS), default="normal")
    parser.add_argument("--compare", action="store_true", help="make nothing; compare what is published with short runs")
    parser.add_argument("--evaluations", type=int, default=5_000, help="of the short runs")
    options = parser.parse_args()
    problem = optisolve.load_problem(options.scenario)
    instances = [problem.instance(seed) for seed in seeds(options.instances)]
    if options.compare:
        compare(instances, options.evaluations)
        return
    for instance in instances:
        make(instance, options.effort)


def make(instance: UavIsacInstance, effort: str) -> None:
    first, evaluations, limit, last = EFFORTS[effort]
    stages, start = [], time.perf_counter()

    def told(stage: str, X: FloatArray) -> FloatArray:
        F = instance.evaluate_twin(X).F
        stages.append({"stage": stage, "hypervolume": round(hypervolume(F, instance.hypervolume_box), 6), "points": len(X)})
        print(f"{instance!r} {time.perf_counter() - start:6.1f} s  {stages[-1]}", flush=True)
        return X

    found = [told("local search from random starts", local_front(instance, first).X)]
    for solver in ("moead_de", "moead", "nsga2"):
        result = optisolve.solve(instance, solver, budget=optisolve.Budget(evaluations=evaluations), seed=0)
        found.append(told(f"{solver}, {evaluations} evaluations", result.X))
    found.append(told(f"CP-SAT grid placements, deterministic limit {limit:g}", grid_seeds(instance, deterministic_time=limit)))
    union = local_front(instance, last, seed=1, warm=np.vstack(found))
    told("local search from all of them", union.X)
    X = union.X[thinned(unit_losses(instance, union.F))]
    told("thinned", X)
    path = write_front(
        instance,
        X,
        {"script": "benchmarks/make_references.py", "effort": effort, "stages": stages},
        FOLDER,
        versions={"optisolve": optisolve.__version__, **{name: version(name) for name in PACKAGES}},
        date=datetime.now(UTC).date().isoformat(),
    )
    print(f"wrote {path.relative_to(FOLDER.parent.parent)}", flush=True)


def thinned(losses: FloatArray) -> list[int]:
    """Drop the point with the smallest hypervolume contribution until few enough are left; the extremes stay.

    Args:
        losses: float64 [n, 2], non-dominated, by ascending first loss.
    """
    keep = list(range(len(losses)))
    while len(keep) > N_POINTS:
        x, y = losses[keep].T
        contribution = (x[2:] - x[1:-1]) * (y[:-2] - y[1:-1])
        del keep[1 + int(contribution.argmin())]
    return keep


def compare(instances: list[UavIsacInstance], evaluations: int) -> None:
    solvers = ("moead_de", "nsga2")
    print("| instance | reference |" + "".join(f" {s} | IGD+ of {s} |" for s in solvers) + " best null policy |")
    print("|---" * (2 * len(solvers) + 3) + "|")
    rows = []
    for instance in instances:
        published = cached_front(instance)
        assert published is not None, f"no published front for {instance!r}"
        box, F = instance.hypervolume_box, published[1]
        row = [hypervolume(F, box)]
        for solver in solvers:
            result = optisolve.solve(instance, solver, budget=optisolve.Budget(evaluations=evaluations), seed=0)
            row += [hypervolume(result.F, box), igd_plus(result.F, F, box)]
        row.append(max(hypervolume(instance.evaluate_twin(X).F, box) for X in instance.null_policies().values()))
        rows.append(row)
        print(f"| {instance.origin.scenario} {instance.origin.seed} |" + "".join(f" {v:.4f} |" for v in row), flush=True)
    print("| mean |" + "".join(f" {v:.4f} |" for v in np.mean(rows, axis=0)))


def seeds(text: str) -> list[int]:
    parts = [part.split("-") for part in text.split(",")]
    return [seed for part in parts for seed in range(int(part[0]), int(part[-1]) + 1)]


if __name__ == "__main__":
    main()
