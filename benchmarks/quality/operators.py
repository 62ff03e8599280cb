"""A variation operator for the engine by genetic programming: searched for on WFG, measured on problems of other kinds.

    python benchmarks/quality/operators.py search [--programs 200] [--out FOLDER]    # goes on where it was
    python benchmarks/quality/operators.py compare --program "(+ x ...)" [--out FOLDER]    # slow: 600 runs

Programs are scored by the hypervolume that `moead_rule` reaches in 500 evaluations on WFG1 to WFG9 (Huband et al. 2006, two
objectives, 10 variables) over that of DE as a program; the optimum of the distance variables is moved by the seed. None of
`uav_isac`, ZDT, DTLZ and RE has been seen then. The comparison takes 30 pairs of each of these kinds: instances (shifts) and
seeds that nothing has used; Wilcoxon, Holm over all.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from pymoo.problems.many import wfg

import optisolve
from optisolve.core.problem import Instance
from optisolve.programs.search import SearchOptions
from optisolve.programs.variation import Variation
from optisolve.study.evolve import EvolveOptions, evolve
from optisolve.study.evolve.journal import Journal
from optisolve.study.statistics import holm, paired_comparison

KINDS = {
    "uav_isac": (["uav_isac"], 30),
    "ZDT": ([f"pymoo/zdt{n}_shifted" for n in (1, 2, 3, 4, 6)], 6),
    "DTLZ": ([f"pymoo/dtlz{n}_shifted" for n in (1, 2, 3, 4, 5, 7)], 5),
    "RE": ([f"pymoo/re{n}" for n in (21, 22, 23, 24, 25, 31, 32, 33, 34, 37)], 3),
}
"""Scenarios of each kind, and pairs of each scenario."""

FIRST_SEED = 600_000


N_VARIABLES, N_POSITION, OPTIMUM = 10, 2, 0.35
"""Of WFG with two objectives; the distance variables are best at that share of their range."""


class Moved:
    """WFG1 to WFG9 in turn; the seed says where the distance variables are best."""

    name = scenario = "wfg_moved"
    summary = "Test functions with two objectives."

    def instance(self, seed: int = 0) -> Instance:
        """The function of a seed."""
        function = getattr(wfg, f"WFG{seed % 9 + 1}")(n_var=N_VARIABLES, n_obj=2)
        best = np.full(N_VARIABLES, OPTIMUM)
        best[N_POSITION:] = np.random.default_rng([seed, 1]).uniform(0.2, 0.8, N_VARIABLES - N_POSITION)

        def value(X: np.ndarray) -> np.ndarray:
            back = np.where(best > X, OPTIMUM * X / best, 1.0 - (1.0 - OPTIMUM) * (1.0 - X) / (1.0 - best))
            return function.evaluate(back * function.xu)

        box = ((2.2, 4.4), (0.0, 0.0))
        made = optisolve.problem(value, [0.0] * N_VARIABLES, 1.0, vectorized=True, sense=("min", "min"), box=box, name="wfg")
        return made.instance(0)


def search(programs: int, out: Path, seed: int) -> None:
    with Journal(out / "candidates.jsonl") as journal:
        found = evolve(
            Moved(),  # type: ignore[arg-type]
            Variation,
            "gp",
            evaluations=programs,
            seed=seed,
            settings=EvolveOptions(train=9, validation=18, test=36, hand=True, evaluations=500),
            search=SearchOptions(population=20, islands=2, nodes=25),
            journal=journal,
        )
    found.write(out / "rule.json")
    print(f"{found.best.program.text}\n{found.best.program.sha256}\n{found.evaluations} programs, {found.seconds:.0f} s")
    print(f"gain over de: {found.train_gain:+.2f} % inside the loop, {found.test_gain:+.2f} % (standard error", end=" ")
    print(f"{found.test_error:.2f}) on unseen shifts, shrinkage {found.shrinkage:+.2f}; hand rules: {dict(found.hand)}")


WAYS: dict[str, tuple[str, dict[str, str]]] = {
    "DE": ("moead_de", {}),
    "SBX": ("moead", {}),
    "de": ("moead_rule", {"program": "de"}),
    "current_to_best": ("moead_rule", {"program": "current_to_best"}),
}
"""Operators of the engine, and rules of people."""


def compare(program: str, kinds: list[str], out: Path) -> None:
    """Print means and tests; what is in the folder is not run again."""
    ways = {**WAYS, **({program: ("moead_rule", {"program": program})} if program else {})}
    file = out / "compared.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []
    values = {(row["kind"], row["way"]): row["hypervolume"] for row in rows}
    budget = optisolve.Budget(evaluations=1000)
    for kind in kinds:
        scenarios, n = KINDS[kind]
        for way, (solver, options) in ways.items():
            if (kind, way) not in values:
                cases = [
                    (optisolve.load_problem(name).instance(seed=FIRST_SEED + k), k) for name in scenarios for k in range(n)
                ]
                runs = [optisolve.solve(instance, solver, budget=budget, seed=k, **options) for instance, k in cases]
                values[kind, way] = [float(run.hypervolume or 0.0) for run in runs]
                out.mkdir(parents=True, exist_ok=True)
                with file.open("a") as lines:
                    lines.write(json.dumps({"kind": kind, "way": way, "hypervolume": values[kind, way]}) + "\n")
            print(f"{kind:10}{np.mean(values[kind, way]):8.4f}  {way}", flush=True)
    if not program:
        return
    pairs = [(kind, way) for kind in kinds for way in WAYS]
    against = [paired_comparison(values[kind, program], values[kind, way]) for kind, way in pairs]
    adjusted = holm([one.p_value for one in against])
    print(f"\n{program}\n{'kind':10}{'against':20}{'won-tied-lost':>15}{'p (Holm)':>10}")
    for (kind, way), one, p in zip(pairs, against, adjusted, strict=True):
        print(f"{kind:10}{way:20}{f'{one.wins}-{one.ties}-{one.losses}':>15}{p:10.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["search", "compare"])
    parser.add_argument("--programs", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path("runs/operators"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--program", default="")
    parser.add_argument("--kinds", nargs="*", default=[*KINDS])
    chosen = parser.parse_args()
    if chosen.what == "search":
        search(chosen.programs, chosen.out, chosen.seed)
    else:
        compare(chosen.program, chosen.kinds, chosen.out)


if __name__ == "__main__":
    main()
