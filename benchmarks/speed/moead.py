"""Our `moead` against pymoo's MOEA/D and NSGA-II at equal settings: evaluations per second and hypervolume.

    python benchmarks/speed/moead.py                 # ratios and 30 paired seeds, several minutes
    python benchmarks/speed/moead.py --seeds 5       # a quick look
    python benchmarks/speed/moead.py --only compiled # our engines beside pygmo's NSGA-II, written in C++ (needs pygmo)

Equal settings: N = 100 sub-problems with the same weights, T = 20, delta = 0.9, Tchebycheff on raw objectives, SBX
(eta 20, every pair crossed) and polynomial mutation (eta 20, 1/d), the same evaluations, the same numpy or numba model
behind the same checks. pymoo's MOEA/D accepts no constraints, so every algorithm gets the same unconstrained problem
x -> F(project(x)).

``compiled`` runs each on its own ZDT1 and DTLZ2 (30 and 12 variables), populations of 100 (pygmo: 104): processor time of an
evaluation, the smallest of the repeats, with all that a run of ours does until its outcome.

Speed is the median over repeats, run in turn so that a busy machine slows all of them alike. Hypervolume is given twice:
of what each algorithm returns (ours an archive, pymoo's its last population), and of everything each one evaluated.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import moocore
import numpy as np
from pymoo.algorithms.moo.moead import MOEAD
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.problem import Problem as PymooProblem
from pymoo.operators.crossover.sbx import SBX
from pymoo.operators.mutation.pm import PM
from pymoo.optimize import minimize
from scipy.stats import wilcoxon

import optisolve
from optisolve.core import (
    Budget,
    BudgetMeter,
    Evaluation,
    HypervolumeBox,
    Instance,
    Objective,
    Origin,
    Sense,
    Space,
    Task,
    Variable,
)
from optisolve.run.evaluator import Evaluator
from optisolve.solvers.moead import Moead
from optisolve.solvers.moead.weights import weight_vectors

POP_SIZE, N_NEIGHBORS, DELTA, ETA = 100, 20, 0.9, 20.0


class Unconstrained(Instance):
    """A bi-objective problem in a box, given by one function X -> F in minimization form."""

    def __init__(self, name: str, space: Space, box: HypervolumeBox, formula: Callable[[np.ndarray], np.ndarray]) -> None:
        objectives = tuple(Objective(f"f{j}", Sense.MINIMIZE) for j in range(2))
        super().__init__(origin=Origin(name, "1", name, {}, 0), space=space, objectives=objectives, hypervolume_box=box)
        self._formula = formula

    def _evaluate(self, X: np.ndarray) -> Evaluation:
        empty = np.empty((X.shape[0], 0))
        return Evaluation(self._formula(X), empty, empty)

    _evaluate_twin = _evaluate

    def describe(self) -> Any:
        raise NotImplementedError

    def arrays(self) -> dict[str, np.ndarray]:
        return {}


def zdt1() -> Unconstrained:
    def formula(X: np.ndarray) -> np.ndarray:
        g = 1.0 + 9.0 * X[:, 1:].mean(axis=1)
        return np.column_stack([X[:, 0], g * (1.0 - np.sqrt(X[:, 0] / g))])

    space = Space.of([Variable(f"x{i}", 0.0, 1.0) for i in range(30)])
    return Unconstrained("zdt1", space, HypervolumeBox((1.1, 1.1), (0.0, 0.0)), formula)


def uav_isac() -> Unconstrained:
    instance = optisolve.load_problem("uav_isac").instance(seed=7)
    assert instance.hypervolume_box is not None

    def formula(X: np.ndarray) -> np.ndarray:
        return instance.evaluate(instance.project(X)).F * instance.signs

    corner = np.array(instance.hypervolume_box.reference) * instance.signs
    ideal = np.array(instance.hypervolume_box.ideal) * instance.signs
    return Unconstrained("uav_isac", instance.space, HypervolumeBox(tuple(corner), tuple(ideal)), formula)


class Traced(PymooProblem):  # type: ignore[misc]  # pymoo ships no types
    """An instance for pymoo that keeps all objectives it was asked for."""

    def __init__(self, instance: Instance) -> None:
        space = instance.space
        super().__init__(n_var=space.dim, n_obj=2, xl=space.lower.copy(), xu=space.upper.copy())
        self.instance, self.seen = instance, []

    def _evaluate(self, x: np.ndarray, out: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        out["F"] = self.instance.evaluate(self.instance.space.clip(x)).F
        self.seen.append(out["F"])


Answer = tuple[float, np.ndarray, np.ndarray]
"""Seconds, objectives returned, objectives of everything evaluated."""


def ours(instance: Instance, evaluations: int, seed: int, **options: Any) -> Answer:
    solver = Moead(**{"pop_size": POP_SIZE, "n_neighbors": N_NEIGHBORS, "delta": DELTA, "normalize": False, **options})
    start = time.perf_counter()
    meter = BudgetMeter(Budget(evaluations=evaluations))
    evaluator = Evaluator(instance, meter)
    solver._solve(Task(instance=instance, evaluate=evaluator, recorder=evaluator, meter=meter, seed=seed, solver_name="moead"))
    seconds = time.perf_counter() - start
    return seconds, evaluator.archive.F_min, evaluator.history.F_min


def pymoo(algorithm: str, instance: Instance, evaluations: int, seed: int) -> Answer:
    operators = {"crossover": SBX(prob=1.0, eta=ETA), "mutation": PM(prob=1.0, eta=ETA)}
    if algorithm == "moead":
        weights = weight_vectors(2, POP_SIZE)
        method: Any = MOEAD(weights, n_neighbors=N_NEIGHBORS, prob_neighbor_mating=DELTA, **operators)
    else:
        method = NSGA2(pop_size=POP_SIZE, **operators)
    problem = Traced(instance)
    start = time.perf_counter()
    result = minimize(problem, method, ("n_eval", evaluations), seed=seed)
    return time.perf_counter() - start, result.F, np.concatenate(problem.seen)


def hypervolume(F: np.ndarray, instance: Instance) -> float:
    assert instance.hypervolume_box is not None
    return float(moocore.hypervolume(F, ref=np.array(instance.hypervolume_box.reference)))


def speed(instance: Instance, repeats: int, evaluations: int) -> None:
    runs: dict[str, Callable[[int], Answer]] = {
        "optisolve moead": lambda seed: ours(instance, 10 * evaluations, seed),
        "optisolve moead, wave 25": lambda seed: ours(instance, 10 * evaluations, seed, wave_size=25),
        "optisolve moead, wave 100": lambda seed: ours(instance, 10 * evaluations, seed, wave_size=100),
        "pymoo NSGA-II": lambda seed: pymoo("nsga2", instance, evaluations, seed),
        "pymoo MOEA/D": lambda seed: pymoo("moead", instance, evaluations // 5, seed),
    }
    rates: dict[str, list[float]] = {label: [] for label in runs}
    ours(instance, 300, 0)  # compile
    for repeat in range(repeats):
        for label, run in runs.items():
            seconds, _, seen = run(repeat)
            rates[label].append(len(seen) / seconds)
    print(f"\n{instance.origin.problem}: evaluations per second, median of {repeats} interleaved repeats")
    for label, values in rates.items():
        against = {
            other: median(a / b for a, b in zip(values, rates[other], strict=True))
            for other in ("pymoo MOEA/D", "pymoo NSGA-II")
        }
        print(
            f"  {label:26s} {median(values):10.0f}/s   {against['pymoo MOEA/D']:7.1f} x MOEA/D"
            f"   {against['pymoo NSGA-II']:6.2f} x NSGA-II"
        )


def quality(instance: Instance, seeds: int, evaluations: int) -> None:
    runs: dict[str, Callable[[int], Answer]] = {
        "optisolve moead": lambda seed: ours(instance, evaluations, seed),
        "optisolve moead, wave 25": lambda seed: ours(instance, evaluations, seed, wave_size=25),
        "optisolve moead, wave 100": lambda seed: ours(instance, evaluations, seed, wave_size=100),
        "optisolve moead, normalized": lambda seed: ours(instance, evaluations, seed, normalize=True),
        "pymoo NSGA-II": lambda seed: pymoo("nsga2", instance, evaluations, seed),
        "pymoo MOEA/D": lambda seed: pymoo("moead", instance, evaluations, seed),
    }
    scores = {label: np.empty((seeds, 2)) for label in runs}
    for seed in range(seeds):
        for label, run in runs.items():
            _, returned, seen = run(seed)
            scores[label][seed] = hypervolume(returned, instance), hypervolume(seen, instance)
    print(
        f"\n{instance.origin.problem}: hypervolume after {evaluations} evaluations, {seeds} paired seeds, against pymoo MOEA/D"
    )
    print("  (one-sided Wilcoxon: p of 'better', p of 'worse')")
    for column, what in enumerate(("returned", "all evaluated")):
        print(f"  {what}:")
        for label, values in scores.items():
            score, difference = values[:, column], values[:, column] - scores["pymoo MOEA/D"][:, column]
            line = f"    {label:28s} {score.mean():8.4f} +- {score.std(ddof=1):.4f}"
            if difference.any():
                better, worse = (wilcoxon(difference, alternative=side).pvalue for side in ("greater", "less"))
                line += f"   ahead in {int((difference > 0).sum()):2d}, p better {better:.2g}, p worse {worse:.2g}"
            print(line)


def compiled(repeats: int, evaluations: int) -> None:
    import pygmo

    rows: dict[str, dict[str, float]] = {}
    for name, theirs in (("zdt1", pygmo.problem(pygmo.zdt(1, 30))), ("dtlz2", pygmo.problem(pygmo.dtlz(2, 12, 3)))):
        case = optisolve.load_problem(f"pymoo/{name}", **({"n_variables": 12} if name == "dtlz2" else {})).instance(0)

        def run(solver: str, case: Instance = case) -> float:
            return optisolve.solve(case, solver, budget=Budget(evaluations=evaluations), reference=None).run.cpu_s

        def peer(problem: Any = theirs) -> float:
            start = time.process_time()
            pygmo.algorithm(pygmo.nsga2(evaluations // 104 - 1)).evolve(pygmo.population(problem, 104))
            return time.process_time() - start

        calls = {"moead_de": lambda: run("moead_de"), "moead": lambda: run("moead"), "pygmo NSGA-II": peer}
        run("moead_de"), run("moead")  # compile
        told = {label: [call() for call in calls.values()] for label in range(repeats)}
        rows[name] = dict(zip(calls, map(min, zip(*told.values(), strict=True)), strict=True))
    for name, row in rows.items():
        print(f"{name}: " + ", ".join(f"{label} {seconds / evaluations * 1e6:.1f} us" for label, seconds in row.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=30, help="paired seeds of the hypervolume comparison")
    parser.add_argument("--repeats", type=int, default=5, help="repeats of the speed comparison")
    parser.add_argument("--evaluations", type=int, default=5000, help="evaluations per run")
    parser.add_argument("--only", choices=["speed", "quality", "compiled"], help="one of the parts; compiled only here")
    arguments = parser.parse_args()
    if arguments.only == "compiled":
        compiled(arguments.repeats, 4 * arguments.evaluations)
        return
    for instance in (zdt1(), uav_isac()):
        if arguments.only != "quality":
            speed(instance, arguments.repeats, arguments.evaluations)
        if arguments.only != "speed" and arguments.seeds:
            quality(instance, arguments.seeds, 2 * arguments.evaluations if instance.space.dim == 30 else arguments.evaluations)


if __name__ == "__main__":
    main()
