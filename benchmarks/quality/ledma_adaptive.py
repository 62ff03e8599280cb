"""Is LEDMA with mix=adaptive at least as good as the best single classical operator at equal evaluations?

    python benchmarks/quality/ledma_adaptive.py --llm local        # a real model; --llm surrogate: no language model
    python benchmarks/quality/ledma_adaptive.py --llm local --calls 40 --instances 5 6 7 8 9 --seeds 5

Every pair is one instance and one solver seed, the same for all solvers. Operators were tuned on other instances (100 to
104). The single operators are those of the same engine; nsga2 is printed beside them. Runs stay in --out and are found
again, so the script goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

import optisolve
from optisolve.llm.config import llm_config
from optisolve.run.jobs import join_job
from optisolve.run.records import read_record
from optisolve.study.intervals import estimate
from optisolve.study.statistics import paired_comparison

SINGLE = {"moead": "SBX", "moead_de": "DE", "moead_lo": "linear"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--llm", default="surrogate", help="surrogate, local or openai")
    parser.add_argument("--llm-options", type=json.loads, default={}, help='JSON, e.g. {"threads": 1}')
    parser.add_argument("--instances", type=int, nargs="+", default=[5, 6, 7, 8, 9])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--evaluations", type=int, default=5000)
    parser.add_argument("--calls", type=int, default=40)
    parser.add_argument("--out", type=Path, default=Path("runs/adaptive"))
    options = parser.parse_args()
    solvers = ["ledma", *SINGLE, "nsga2"]
    values = {name: [run(options, name, i, s) for i in options.instances for s in range(options.seeds)] for name in solvers}
    report(options, values)


def run(options: argparse.Namespace, name: str, number: int, seed: int) -> float:
    """Hypervolume of one run, from its record when it is there."""
    own = {"mix": "adaptive"} if name == "ledma" else {}
    solver = optisolve.load_solver(name, **own)
    asks = name == "ledma"
    budget = optisolve.Budget(evaluations=options.evaluations, llm_calls=options.calls if asks else None)
    told = {"solver": name, "version": solver.info.version, "instance": number, "seed": seed, "budget": budget.options()}
    if asks:
        told["llm"] = {"kind": options.llm, **options.llm_options}
    held = join_job(options.out, f"{name}.i{number}.s{seed}", told)
    if isinstance(held, Path):
        return float(read_record(held).scores.hypervolume)
    instance = optisolve.load_problem("uav_isac").instance(number)
    model = llm_config(options.llm, **options.llm_options) if asks else "auto"
    result = optisolve.solve(instance, solver, budget=budget, seed=seed, llm=model, scratch=held.path)
    held.release(at=result.save(options.out))
    print(f"{name} instance {number} seed {seed}: {result.hypervolume:.4f}", flush=True)
    return float(result.hypervolume or 0.0)


def report(options: argparse.Namespace, values: dict[str, list[float]]) -> None:
    """The table and one sentence."""
    pairs = len(values["ledma"])
    asked = f"llm={options.llm}, {options.calls} calls"
    print(
        f"\nuav_isac, instances {options.instances}, {options.seeds} seeds, {options.evaluations} evaluations; ledma: {asked}\n"
    )
    print("| solver | mean hypervolume | sd | ledma minus it (brackets: 95 % interval) | ledma wins | p (Wilcoxon) |")
    print("|---|---|---|---|---|---|")
    for name, own in sorted(values.items(), key=lambda item: -float(np.mean(item[1]))):
        row = f"| {name} | {np.mean(own):.4f} | {np.std(own, ddof=1) if pairs > 1 else 0.0:.4f} |"
        if name == "ledma":
            print(f"{row} | | |")
            continue
        difference = estimate(np.array(values["ledma"]) - np.array(own)).told("{:+.4f}".format)
        told = paired_comparison(values["ledma"], own)
        print(f"{row} {difference} | {told.wins}/{pairs} | {told.p_value:.3g} |")
    best = max(SINGLE, key=lambda name: float(np.mean(values[name])))
    gain = float(np.mean(values["ledma"]) - np.mean(values[best]))
    verdict = "not worse than" if gain >= 0 else "worse than"
    print(f"\nledma (adaptive) is {verdict} the best single operator, {SINGLE[best]} ({best}): {gain:+.4f} in the mean.")


if __name__ == "__main__":
    main()
