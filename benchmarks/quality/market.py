"""The cooperation question: do agents end at the equilibrium of Kelly's mechanism and of Cournot's market, or beside it?

    python benchmarks/quality/market.py [--rounds 10] [--llm local] [--llm-seeds 1]

"payoff" is the sum of the agents' own utilities over that of the equilibrium, averaged over the second half of the rounds:
above 1 they cooperate (or are lucky), below 1 they do worse than selfish play. "efficiency" is the objective over its certified
optimum, averaged alike; epsilon is that of the last round.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

import optisolve
from optisolve.llm.config import llm_config

ROWS: dict[str, tuple[str, dict[str, Any]]] = {
    "best_response, sequential": ("game_control", {"agents": ["best_response"], "protocol": "sequential"}),
    "best_response, simultaneous": ("game_control", {"agents": ["best_response"]}),
    "regret_matching": ("game_control", {"agents": ["regret_matching"]}),
    "random": ("game_control", {"agents": ["random"]}),
    "llm, memory window": ("game", {}),
    "llm, steps <= 5 %": ("game", {"max_step": 0.05}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--llm", default="local", help="local, surrogate, openai, or none")
    parser.add_argument("--llm-seeds", type=int, default=1)
    parser.add_argument("--only", default="", help="rows whose names start so")
    options = parser.parse_args()
    print("| agents | Kelly: payoff | epsilon | efficiency | Cournot: payoff | epsilon | efficiency |")
    print("|---" * 7 + "|")
    for label, (solver, change) in ROWS.items():
        if not label.startswith(options.only) or (solver == "game" and options.llm == "none"):
            continue
        seeds = options.llm_seeds if solver == "game" else 10
        parts = [cell(name, solver, change, options, seeds) for name in ("market_game", "market_game/cournot")]
        print(f"| {label} |" + "".join(f" {p:.3f} | {e:.3g} | {w:.3f} |" for p, e, w in parts), flush=True)


def cell(
    scenario: str, solver: str, change: dict[str, Any], options: argparse.Namespace, seeds: int
) -> tuple[float, float, float]:
    problem, rows = optisolve.load_problem(scenario), []
    config: Any = "surrogate"
    if solver == "game":
        config = llm_config(options.llm, threads=1) if options.llm == "local" else llm_config(options.llm)
    for seed in range(seeds):
        instance = problem.instance(seed)
        game, reference = instance.game, problem.reference(instance)
        nash = instance.null_policies()["nash"]
        budget = optisolve.Budget(evaluations=1000, llm_calls=1000)
        told = {**change, "rounds": options.rounds, "patience": 10**6}
        report = optisolve.solve(instance, solver, budget=budget, seed=seed, llm=config, **told).record["used"]["report"]
        path = np.array(report["rounds"]["actions"])
        late = path[len(path) // 2 :]
        payoff = game.utilities(late).sum(axis=1).mean() / game.utilities(nash).sum()
        welfare = np.mean(report["rounds"]["objective"][len(path) // 2 :]) / reference.value
        rows.append((payoff, report["epsilon"], welfare))
    return tuple(np.mean(rows, axis=0))


if __name__ == "__main__":
    main()
