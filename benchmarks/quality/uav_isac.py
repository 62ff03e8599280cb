"""Hypervolume of every solver on uav_isac at equal evaluations: the table in README.

    python benchmarks/quality/uav_isac.py [--evaluations 5000] [--seeds 10] [--scenario uav_isac] [--llm surrogate]

Every seed is one instance and one solver seed, the same for all solvers, so rows are paired. ``p`` is the one-sided
Wilcoxon signed-rank test of "better than random search", Holm-corrected over the rows.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from scipy.stats import wilcoxon

import optisolve

SOLVERS = ("null", "random_search", "moead", "moead_de", "moead_lo", "nsga2", "nsga3", "sms_emoa", "ledma")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--evaluations", type=int, default=5000)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--scenario", default="uav_isac")
    parser.add_argument("--llm", default="surrogate", help="for ledma: surrogate, local, openai")
    parser.add_argument("--llm-calls", type=int, default=40)
    parser.add_argument("--solvers", nargs="+", default=SOLVERS)
    options = parser.parse_args()

    budget = optisolve.Budget(evaluations=options.evaluations, llm_calls=options.llm_calls)
    problem = optisolve.load_problem(options.scenario)
    values: dict[str, list[float]] = {}
    seconds: dict[str, float] = {}
    for name in options.solvers:
        start = time.perf_counter()
        results = [
            optisolve.solve(problem.instance(seed), name, budget=budget, seed=seed, llm=options.llm)
            for seed in range(options.seeds)
        ]
        seconds[name] = (time.perf_counter() - start) / options.seeds
        label = f"{name} ({options.llm})" if name == "ledma" else name
        values[label] = [result.hypervolume or 0.0 for result in results]
        seconds[label] = seconds.pop(name)

    p_values = holm(
        {name: better(v, values["random_search"]) for name, v in values.items() if name not in ("random_search", "null")}
    )
    print(f"{options.scenario}, {options.evaluations} evaluations, {options.seeds} paired seeds; hypervolume\n")
    print("| solver | mean | standard deviation | wins against random_search | p (Wilcoxon, Holm) | s per run |")
    print("|---|---|---|---|---|---|")
    for name, v in sorted(values.items(), key=lambda item: -float(np.mean(item[1]))):
        wins = sum(a > b for a, b in zip(v, values["random_search"], strict=True))
        p = f"{p_values[name]:.4f}" if name in p_values else "–"
        spread = np.std(v, ddof=1) if len(v) > 1 else 0.0
        print(f"| {name} | {np.mean(v):.4f} | {spread:.4f} | {wins}/{len(v)} | {p} | {seconds[name]:.2f} |")


def better(left: list[float], right: list[float]) -> float:
    difference = np.array(left) - np.array(right)
    return 1.0 if not difference.any() else float(wilcoxon(difference, alternative="greater").pvalue)


def holm(p_values: dict[str, float]) -> dict[str, float]:
    adjusted, running = {}, 0.0
    for rank, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        running = max(running, min(1.0, p * (len(p_values) - rank)))
        adjusted[name] = running
    return adjusted


if __name__ == "__main__":
    main()
