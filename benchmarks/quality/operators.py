"""A variation operator for the engine by genetic programming: searched for on MW, measured on problems of other kinds.

    python benchmarks/quality/operators.py search [--programs 400] [--out FOLDER]    # goes on where it was
    python benchmarks/quality/operators.py compare --program "(+ x ...)" [--out FOLDER]    # slow: 600 runs

Programs are scored by the hypervolume that `moead_rule` reaches in 300 evaluations on shifted MW functions (Ma and Wang 2019,
constrained), one instance of each, over that of DE as a program. None of `uav_isac`, ZDT, DTLZ and RE has been seen then. The
comparison takes 30 pairs of each of these kinds: instances (shifts) and seeds that nothing has used; Wilcoxon, Holm over all.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

import optisolve
from optisolve.core.problem import Instance, Problem
from optisolve.programs.search import SearchOptions
from optisolve.programs.variation import Variation
from optisolve.study.evolve import EvolveOptions, evolve
from optisolve.study.evolve.journal import Journal
from optisolve.study.statistics import holm, paired_comparison

TRAINED = [f"pymoo/mw{n}_shifted" for n in (1, 2, 3, 5, 6, 7, 9, 11, 12, 13)]

KINDS = {
    "uav_isac": (["uav_isac"], 30),
    "ZDT": ([f"pymoo/zdt{n}_shifted" for n in (1, 2, 3, 4, 6)], 6),
    "DTLZ": ([f"pymoo/dtlz{n}_shifted" for n in (1, 2, 3, 4, 5, 7)], 5),
    "RE": ([f"pymoo/re{n}" for n in (21, 22, 23, 24, 25, 31, 32, 33, 34, 37)], 3),
}
"""Scenarios of each kind, and pairs of each scenario."""

FIRST_SEED = 600_000


class Several:
    """Problems in turn, as one where instances come from."""

    name = scenario = "pymoo/mw_shifted"
    summary = "Constrained test functions with several objectives."

    def __init__(self, names: list[str]) -> None:
        self._problems: list[Problem] = [optisolve.load_problem(name) for name in names]

    def instance(self, seed: int = 0) -> Instance:
        return self._problems[seed % len(self._problems)].instance(seed)


def search(programs: int, out: Path, seed: int) -> None:
    with Journal(out / "candidates.jsonl") as journal:
        found = evolve(
            Several(TRAINED),  # type: ignore[arg-type]
            Variation,
            "gp",
            evaluations=programs,
            seed=seed,
            settings=EvolveOptions(train=len(TRAINED), validation=2 * len(TRAINED), test=2 * len(TRAINED), hand=True),
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
    parser.add_argument("--programs", type=int, default=400)
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
