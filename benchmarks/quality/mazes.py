"""Fusing maze experts: success, trap hits and path length over the shortest walk, by fusion rule and by who made the plan.

    python benchmarks/quality/mazes.py [--instances 20] [--llm local] [--llm-instances 5] [--only NAME] [--out runs/mazes]

Cells: walks that succeeded / instances, of the others how many ended in a trap (t), and the mean ratio of the successful walks'
length to the certified shortest one. Experts are exact (value iteration), so that what fails is the fusion.
Runs of the model stay in --out and are found again.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from kept import kept_record

import optisolve

SCENARIOS = ("maze", "maze/random", "maze/ordered", "maze/unordered")
RULES = ("normalized", "average", "gpi", "successor", "product", "joint")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instances", type=int, default=20)
    parser.add_argument("--llm", default="local", help="local, surrogate, openai, or none")
    parser.add_argument("--llm-instances", type=int, default=5)
    parser.add_argument("--only", default="", help="rows whose names start so")
    parser.add_argument("--out", type=Path, default=None, help="folder of the model's runs")
    options = parser.parse_args()
    rows: list[tuple[str, str, dict[str, Any], int]] = [
        *((f"plan by rule, {rule}", "q_fusion_control", {"fusion": rule}, options.instances) for rule in RULES),
        (
            "plan by rule, average, revisits cost",
            "q_fusion_control",
            {"fusion": "average", "revisit_penalty": 0.5},
            options.instances,
        ),
    ]
    if options.llm != "none":
        for rule in ("normalized", "joint"):
            rows.append((f"plan by llm, {rule}", "q_fusion", {"fusion": rule}, options.llm_instances))
    print("| decision |" + "".join(f" `{name}` |" for name in SCENARIOS) + "\n|---" + "|---" * len(SCENARIOS) + "|", flush=True)
    for policy in ("legs_in_order", "greedy", "blind_rows"):
        if f"null: {policy}".startswith(options.only):
            cells = [null(name, policy, options.instances) for name in SCENARIOS]
            print(f"| null: {policy} |" + "".join(f" {cell} |" for cell in cells), flush=True)
    for label, solver, change, count in rows:
        if label.startswith(options.only):
            cells = [fused(name, solver, change, count, options) for name in SCENARIOS]
            print(f"| {label} |" + "".join(f" {cell} |" for cell in cells), flush=True)


def fused(scenario: str, solver: str, change: dict[str, Any], count: int, options: argparse.Namespace) -> str:
    problem, outcomes = optisolve.load_problem(scenario), []
    llm = {"kind": options.llm, **({"threads": 1} if options.llm == "local" else {})}
    for seed in range(count):
        instance = problem.instance(seed)
        budget = optisolve.Budget(evaluations=5, llm_calls=4)
        out = options.out if solver == "q_fusion" else None
        change = {**change, "training": "value_iteration"}
        record = kept_record(out, instance, solver, change, budget=budget, seed=seed, llm=llm)
        outcomes.append(judged(problem, instance, np.array(record.solutions.x).reshape(-1, instance.space.dim)))
    return told(outcomes)


def null(scenario: str, policy: str, count: int) -> str:
    problem = optisolve.load_problem(scenario)
    cases = [problem.instance(seed) for seed in range(count)]
    return told([judged(problem, case, case.null_policies()[policy]) for case in cases])


def judged(problem: optisolve.Problem, instance: Any, X: np.ndarray) -> tuple[float, bool]:
    """Length ratio (NaN without success) and whether the walk ended in a trap."""
    evaluation, reference = instance.evaluate(X), problem.reference(instance)
    ratio = evaluation.F[0, 0] / reference.value if evaluation.violation[0] <= 0.0 else np.nan
    return float(ratio), bool(evaluation.G[0, 0] > 0.0)


def told(outcomes: list[tuple[float, bool]]) -> str:
    ratios = np.array([ratio for ratio, _ in outcomes])
    good, traps = int((~np.isnan(ratios)).sum()), sum(trap for _, trap in outcomes)
    text = f"{good}/{len(outcomes)}" + (f", {traps} t" if traps else "")
    return text + (f", {np.nanmean(ratios):.3f}" if good else "")


if __name__ == "__main__":
    main()
