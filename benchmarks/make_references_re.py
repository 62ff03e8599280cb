"""Make the published reference fronts of the RE problems.

    python benchmarks/make_references_re.py [re22 re23 ...]

A front is the non-dominated union of long runs of four evolutionary algorithms, thinned to 200 points (300 with three
objectives) that are spread over the scoring box and over the ranks of the objectives, whose values reach over many
decades. Seeds are fixed and no limit is a clock, so the same versions make the same front again. Nothing is proven about
it: it is the best known. RE21 and RE36 have exact fronts.
"""

from __future__ import annotations

import argparse
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
from scipy.stats import rankdata

import optisolve
from optisolve.core.arrays import FloatArray, IntArray
from optisolve.core.problem import HypervolumeBox
from optisolve.numerics.indicators import hypervolume, normalize
from optisolve.problems.front_file import write_front
from optisolve.problems.pymoo.instance import PymooInstance
from optisolve.run.archive import nondominated
from optisolve.run.execution import execute

FOLDER = Path(__file__).parent / "references"
NAMES = ("re22", "re23", "re24", "re25", "re31", "re32", "re33", "re34", "re35", "re37")
N_POINTS = {2: 200, 3: 300}
RUNS = (  # solver, evaluations, options
    ("moead_de", 200_000, {"pop_size": 300}),
    ("moead", 200_000, {"pop_size": 300}),
    ("nsga2", 60_000, {"pop_size": 300}),
    ("nsga3", 60_000, {"pop_size": 300}),
)
PACKAGES = ("numpy", "numba", "pymoo")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=NAMES)
    for name in parser.parse_args().names:
        make(name)


def make(name: str) -> None:
    instance = optisolve.load_problem(f"pymoo/{name}").instance(0)
    assert isinstance(instance, PymooInstance)
    stages, start = [], time.perf_counter()
    X = np.empty((0, instance.space.dim))
    for solver, evaluations, options in RUNS:
        method = optisolve.load_solver(solver, **options)
        run = execute(instance, method, budget=optisolve.Budget(evaluations=evaluations), seed=0)  # scores would take longer
        X = np.concatenate([X, run.outcome.X])
        F = instance.evaluate_twin(X).F
        kept = nondominated(F)
        X, F = X[kept], F[kept]
        value = round(hypervolume(F, instance.hypervolume_box), 6)
        stages.append({"stage": f"{solver}, {evaluations} evaluations", "hypervolume": value, "points": len(X)})
        print(f"{name} {time.perf_counter() - start:6.1f} s  {stages[-1]}", flush=True)
    X = X[spread(F, instance.hypervolume_box)]
    value = round(hypervolume(instance.evaluate_twin(X).F, instance.hypervolume_box), 6)
    stages.append({"stage": "thinned", "hypervolume": value, "points": len(X)})
    path = write_front(
        instance,
        X,
        {"script": "benchmarks/make_references_re.py", "stages": stages},
        FOLDER,
        versions={"optisolve": optisolve.__version__, **{package: version(package) for package in PACKAGES}},
        date=datetime.now(UTC).date().isoformat(),
    )
    print(f"wrote {path.relative_to(FOLDER.parent.parent)}: {stages[-1]}", flush=True)


def spread(F: FloatArray, box: HypervolumeBox) -> IntArray:
    """Rows that are spread over box and ranks: the extremes, then always the farthest one.

    Args:
        F: float64 [n, m], non-dominated.
        box: The scenario's box.
    """
    n_points = N_POINTS[F.shape[1]]
    if len(F) <= n_points:
        return np.argsort(F[:, 0], kind="stable")
    rank = np.column_stack([rankdata(column, method="dense") / len(F) for column in F.T])
    place = np.hstack([rank, np.clip(normalize(F, box), 0.0, 1.0)])
    chosen = list(dict.fromkeys([int(i) for i in (*F.argmin(axis=0), *F.argmax(axis=0))]))
    distance = np.min([((place - place[i]) ** 2).sum(axis=1) for i in chosen], axis=0)
    while len(chosen) < n_points:
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, ((place - place[chosen[-1]]) ** 2).sum(axis=1))
    kept = np.array(chosen)
    return kept[np.argsort(F[kept, 0], kind="stable")]


if __name__ == "__main__":
    main()
