"""Choosing one price: a language model that sees the scored history beside chance, a grid and classical search.

    python benchmarks/quality/pricing.py [--instances 10] [--evaluations 20] [--llm local] [--llm-instances 5] [--out DIR]

Cells: share of the certified optimum of `pricing_game` that the best price found reaches, mean over instances, in brackets the
smallest. Every row may try as many prices; the first 5 of `opro` are random, each further one is an answer of the model. Runs
of the model stay in --out and are found again.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from kept import kept_record

import optisolve
from optisolve.core.reference import Effort

SOLVERS: dict[str, tuple[str, dict[str, Any]]] = {
    "random_search": ("random_search", {}),
    "cma_es": ("cma_es", {}),
    "moead_de": ("moead_de", {}),
    "scipy_local": ("scipy_local", {}),
    "opro, llm": ("opro", {"n_initial": 5, "calls_per_step": 1}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instances", type=int, default=10)
    parser.add_argument("--evaluations", type=int, default=20)
    parser.add_argument("--llm", default="local", help="local, surrogate, openai, or none")
    parser.add_argument("--llm-instances", type=int, default=5)
    parser.add_argument("--out", type=Path, default=None, help="folder of the model's runs")
    options = parser.parse_args()
    problem = optisolve.load_problem("pricing_game")
    cases = [problem.instance(seed) for seed in range(options.instances)]
    optima = [problem.reference(case, Effort.QUICK).value for case in cases]
    print("| price chosen by | share of the optimum | instances |\n|---|---|---|")
    for name in ("no_price", "middle", "largest"):
        line(f"null: {name}", [case.null_policies()[name] for case in cases], cases, optima)
    even = np.linspace(cases[0].space.lower, cases[0].space.upper, options.evaluations)
    line(f"grid of {options.evaluations} prices", [even] * len(cases), cases, optima)
    for label, (solver, change) in SOLVERS.items():
        asks = label.endswith("llm")
        if asks and options.llm == "none":
            continue
        told = []
        for seed, case in enumerate(cases[: options.llm_instances if asks else None]):
            budget = optisolve.Budget(evaluations=options.evaluations, llm_calls=4 * options.evaluations if asks else None)
            llm = {"kind": options.llm, **({"threads": 1} if options.llm == "local" else {})}
            record = kept_record(options.out if asks else None, case, solver, change, budget=budget, seed=seed, llm=llm)
            told.append(np.array(record.solutions.x).reshape(-1, 1))
        line(label, told, cases, optima)


def line(label: str, points: list[np.ndarray], cases: list[Any], optima: list[float]) -> None:
    shares = [case.evaluate(X).F.max() / best for X, case, best in zip(points, cases, optima, strict=False)]
    print(f"| {label} | {np.mean(shares):.4f} [{np.min(shares):.4f}] | {len(shares)} |", flush=True)


if __name__ == "__main__":
    main()
