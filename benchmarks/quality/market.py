"""The cooperation question: do agents end at the equilibrium of Kelly's mechanism and of Cournot's market, or beside it?

    python benchmarks/quality/market.py [--rounds 10] [--llm local] [--llm-seeds 1] [--out runs/market]

"payoff" is the sum of the agents' own utilities over that of the equilibrium, averaged over the second half of the rounds:
above 1 they cooperate (or are lucky), below 1 they do worse than selfish play. "efficiency" is the objective over its certified
optimum, averaged alike; epsilon is that of the last round. Every seed is another instance. Brackets: smallest and largest of
several instances. Runs of the model stay in --out and are found again.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from kept import kept_record

import optisolve

ROWS: dict[str, tuple[str, dict[str, Any]]] = {
    "best_response, sequential": ("game_control", {"agents": ["best_response"], "protocol": "sequential"}),
    "best_response, simultaneous": ("game_control", {"agents": ["best_response"]}),
    "regret_matching": ("game_control", {"agents": ["regret_matching"]}),
    "random": ("game_control", {"agents": ["random"]}),
    "random, steps <= 5 %": ("game_control", {"agents": ["random"], "max_step": 0.05}),
    "nobody moves": ("game_control", {"agents": ["proportional_cut"], "cut_share": 0.0}),
    "llm, memory window": ("game", {}),
    "llm, steps <= 5 %": ("game", {"max_step": 0.05}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--llm", default="local", help="local, surrogate, openai, or none")
    parser.add_argument("--llm-seeds", type=int, default=1)
    parser.add_argument("--only", default="", help="rows whose names start so")
    parser.add_argument("--out", type=Path, default=None, help="folder of the model's runs")
    options = parser.parse_args()
    print("| agents | Kelly: payoff | epsilon | efficiency | Cournot: payoff | epsilon | efficiency |")
    print("|---" * 7 + "|")
    for label, (solver, change) in ROWS.items():
        if not label.startswith(options.only) or (solver == "game" and options.llm == "none"):
            continue
        seeds = options.llm_seeds if solver == "game" else 10
        tables = [runs(name, solver, change, options, seeds) for name in ("market_game", "market_game/cournot")]
        print(f"| {label} |" + "".join(f" {told(column)} |" for table in tables for column in table.T), flush=True)


def runs(scenario: str, solver: str, change: dict[str, Any], options: argparse.Namespace, seeds: int) -> np.ndarray:
    """Payoff, epsilon and efficiency, float64 [seeds, 3]."""
    problem: Any = optisolve.load_problem(scenario)
    rows = []
    llm = {"kind": options.llm, **({"threads": 1} if options.llm == "local" else {})}
    for seed in range(seeds):
        instance = problem.instance(seed)
        game, reference = instance.game, problem.reference(instance)
        nash = instance.null_policies()["nash"]
        budget = optisolve.Budget(evaluations=1000, llm_calls=1000)
        asked = {**change, "rounds": options.rounds, "patience": 10**6}
        out = options.out if solver == "game" else None
        record = kept_record(out, instance, solver, asked, budget=budget, seed=seed, llm=llm)
        report = record.used.report
        path = np.array(report["rounds"]["actions"])
        late = path[len(path) // 2 :]
        payoff = game.utilities(late).sum(axis=1).mean() / game.utilities(nash).sum()
        welfare = np.mean(report["rounds"]["objective"][len(path) // 2 :]) / reference.value
        rows.append((payoff, report["epsilon"], welfare))
    return np.array(rows)


def told(values: np.ndarray) -> str:
    """The mean; of several instances that differ the smallest and largest too."""
    if values.size < 2 or np.ptp(values) < 1e-3 * np.abs(values).mean() or np.abs(values).max() < 1e-9:
        return f"{values.mean():.3g}"
    return f"{values.mean():.3g} [{values.min():.3g}, {values.max():.3g}]"


if __name__ == "__main__":
    main()
