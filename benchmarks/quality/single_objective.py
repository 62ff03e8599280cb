"""Single-objective quality of the decomposition engine: the default scenario of every family with one objective.

    python benchmarks/quality/single_objective.py [--evaluations 2000] [--instances 3] [--solvers ledma moead_de ...]

Every row is one scenario, every cell the mean gap to the reference over the instances (instance = solver seed, so columns are
paired). An instance without a feasible answer counts as worst: the cell then says how many had one instead of a mean.
``ledma`` asks the surrogate, so no language model is involved; its column shows the engine, not a model.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import numpy as np
from scipy.stats import rankdata

import optisolve
from optisolve.core.reference import Effort, Reference

SCENARIOS = (
    "power_control",
    "parallel_channels",
    "resource_allocation",
    "offloading",
    "user_association",
    "beamforming",
    "cell_free",
    "noma_uav",
    "nsp_utility",
    "power_game",
)
SOLVERS = ("null", "random_search", "cma_es", "moead_de", "ledma")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--evaluations", type=int, default=2000)
    parser.add_argument("--instances", type=int, default=3)
    parser.add_argument("--llm", default="surrogate", help="for ledma and opro: surrogate, local, openai")
    parser.add_argument("--llm-calls", type=int, default=40)
    parser.add_argument("--solvers", nargs="+", default=SOLVERS)
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="options for moead, moead_de and ledma")
    parser.add_argument("scenarios", nargs="*", default=SCENARIOS)
    options = parser.parse_args()
    changes = dict(item.split("=", 1) for item in options.set)
    print(f"{options.evaluations} evaluations, {options.instances} instances; mean gap to the reference\n")
    print("| scenario |" + "".join(f" {name} |" for name in options.solvers) + "\n|---" + "|---" * len(options.solvers) + "|")
    table, seconds = [], dict.fromkeys(options.solvers, 0.0)
    for scenario in options.scenarios:
        cells = []
        cases = references(scenario, options.instances)
        for name in options.solvers:
            start = time.perf_counter()
            cells.append(gaps(scenario, name, cases, options, changes if name in ("moead", "moead_de", "ledma") else {}))
            seconds[name] += time.perf_counter() - start
        table.append(cells)
        print(f"| `{scenario}` |" + "".join(f" {told(cell)} |" for cell in cells), flush=True)
    ranks = np.array([rankdata([worst(cell) for cell in cells]) for cells in table])
    print("| mean rank |" + "".join(f" {rank:.2f} |" for rank in ranks.mean(axis=0)))
    print("| s per run |" + "".join(f" {seconds[s] / len(table) / options.instances:.2f} |" for s in options.solvers))


def references(scenario: str, instances: int) -> list[Reference | None]:
    problem = optisolve.load_problem(scenario)
    return [problem.reference(problem.instance(seed), Effort.QUICK) for seed in range(instances)]


def gaps(
    scenario: str,
    solver: str,
    cases: Sequence[Reference | None],
    options: argparse.Namespace,
    changes: dict[str, str],
) -> list[float | None]:
    """Gap per instance; None where nothing feasible was found. Empty when the solver cannot treat the scenario."""
    problem, budget = optisolve.load_problem(scenario), optisolve.Budget(options.evaluations, llm_calls=options.llm_calls)
    method = optisolve.load_solver(solver, **changes)
    if method.skip(problem.instance(0)) is not None:
        return []
    results = [
        optisolve.solve(problem.instance(seed), method, budget=budget, seed=seed, llm=options.llm, reference=case)
        for seed, case in enumerate(cases)
    ]
    return [result.record.scores.gap for result in results]


def told(cell: Sequence[float | None]) -> str:
    if not cell:
        return "–"
    found = [gap for gap in cell if gap is not None]
    if len(found) < len(cell):
        return f"feasible {len(found)}/{len(cell)}"
    return f"{np.mean(found):.2e}"


def worst(cell: Sequence[float | None]) -> float:
    """The number that a cell is ranked by."""
    if not cell:
        return np.inf
    missing = sum(gap is None for gap in cell)
    return 1e6 * missing if missing else float(np.mean([gap for gap in cell if gap is not None]))


if __name__ == "__main__":
    main()
