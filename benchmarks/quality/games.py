"""Language-model agents beside their controls in one power game: equilibrium, optimality, service, signalling.

    python benchmarks/quality/games.py [--scenario power_game/zou_hard] [--rounds 8] [--seeds 30] [--llm local] [--llm-seeds 2]
        [--few 2] [--only NAME ...] [--minutes 60] [--out runs/games] [--plot docs/games.png]

Every row is a kind of agent in the same loop from the same start. Figures are means over the seeds, in brackets the 95 %
interval of the mean from ten seeds on, below that their range; deterministic rows have one seed. "gap" is (total - optimum) /
optimum of the joint action that the agents ended with, whether or not it is feasible; "feasible" is the share of seeds in which
it was. The optimum comes from the closed form and is known to nobody in the loop. Runs stay in --out and are found again, so
the script goes on where it was stopped; rows get their seeds in turn, and after --minutes the table holds what there is.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from kept import kept_record
from scipy.stats import ttest_ind

import optisolve
from optisolve.plotting import save_figure
from optisolve.plotting.game import rounds_figure
from optisolve.run.schema import Record
from optisolve.study.intervals import MIN_BLOCKS, estimate

CONTROLS: dict[str, dict[str, Any]] = {
    "foschini_miljanic": {"agents": ["foschini_miljanic"]},
    "foschini_miljanic, sequential": {"agents": ["foschini_miljanic"], "protocol": "sequential"},
    "foschini_miljanic, asynchronous": {"agents": ["foschini_miljanic"], "protocol": "asynchronous"},
    "best_response on the grid": {"agents": ["grid_best_response"]},
    "regret_matching": {"agents": ["regret_matching"]},
    "proportional_cut, 5 %": {"agents": ["proportional_cut"]},
    "equal_cut, 5 %": {"agents": ["equal_cut"]},
    "nobody moves": {"agents": ["proportional_cut"], "cut_share": 0.0},
    "random": {"agents": ["random"]},
    "random, steps <= 5 %": {"agents": ["random"], "max_step": 0.05},
}
MODELS: dict[str, dict[str, Any]] = {
    "llm, memory window": {},
    "llm, steps <= 5 %": {"max_step": 0.05},
    "llm, steps <= 5 %, placebo": {"max_step": 0.05, "placebo": True},
    "llm, 1 of 4; the rest foschini_miljanic": {"agents": ["llm", *["foschini_miljanic"] * 3], "max_step": 0.05},
    "llm, memory none": {"memory": "none"},
    "llm, messages": {"information": "neighbors"},
    "llm, global": {"information": "global"},
    "llm, memory strategies": {"memory": "strategies"},
    "llm, sequential": {"protocol": "sequential"},
}
TELLING = ("llm, memory window", "llm, steps <= 5 %", "llm, steps <= 5 %, placebo", "llm, 1 of 4; the rest foschini_miljanic")
"""Rows of the model that get --llm-seeds seeds; the others get --few."""
COMPARED = (
    ("llm, steps <= 5 %", "llm, steps <= 5 %, placebo"),
    ("llm, steps <= 5 %", "random, steps <= 5 %"),
    ("llm, steps <= 5 %, placebo", "random, steps <= 5 %"),
    ("llm, memory window", "random"),
)
COLUMNS = ("gap", "feasible", "epsilon", "deficit", "oscillation", "jain", "messages", "bytes", "tokens")
DRAWN = (
    "foschini_miljanic",
    "regret_matching",
    "proportional_cut, 5 %",
    "random, steps <= 5 %",
    "llm, memory window",
    "llm, steps <= 5 %",
)
STOCHASTIC = ("random", "regret", "asynchronous", "llm")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenario", default="power_game/zou_hard")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=30, help="seeds of stochastic rows without a language model")
    parser.add_argument("--llm", default="local", help="local, surrogate, openai, or none to leave the model's rows out")
    parser.add_argument("--llm-seeds", type=int, default=2, help="seeds of the telling rows of the model")
    parser.add_argument("--few", type=int, default=2, help="seeds of its other rows")
    parser.add_argument("--only", nargs="*", default=None, help="rows to run, by the start of their names")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no run after so many minutes")
    parser.add_argument("--out", type=Path, default=None, help="folder of the runs")
    parser.add_argument("--plot", default="", help="file for a picture of the rounds of seed 0")
    options = parser.parse_args()
    rows = [(name, "game_control", change) for name, change in CONTROLS.items()]
    rows += [] if options.llm == "none" else [(name, "game", change) for name, change in MODELS.items()]
    wanted = [row for row in rows if options.only is None or any(row[0].startswith(start) for start in options.only)]
    problem = optisolve.load_problem(options.scenario)
    reference = problem.reference(problem.instance(0))
    assert reference is not None
    assert reference.value is not None
    results = played(problem, wanted, options)
    print(f"{options.scenario}, {options.rounds} rounds, optimum {reference.value:.4f}\n")
    print("| agents |" + "".join(f" {name} |" for name in COLUMNS) + "\n|---" + "|---" * len(COLUMNS) + "|")
    for name, records in results.items():
        print(f"| {name} |" + "".join(f" {cell} |" for cell in cells(records, reference.value)))
    print_differences(results, reference.value)
    if options.plot:
        drawn = {name: results[name][0].used.report for name in DRAWN if name in results}
        save_figure(rounds_figure(drawn, problem.instance(0), reference.value), Path(options.plot))


def played(
    problem: optisolve.Problem, rows: Sequence[tuple[str, str, Mapping[str, Any]]], options: argparse.Namespace
) -> dict[str, list[Record]]:
    """Records by row: first seed 0 of every row, then seed 1, and so on."""
    end = time.monotonic() + 60.0 * options.minutes
    results: dict[str, list[Record]] = {}
    for seed in range(max(options.seeds, options.llm_seeds, options.few)):
        for name, solver, change in rows:
            if seed < n_seeds(name, solver, options) and time.monotonic() < end:
                record = play(problem, solver, {**change, "rounds": options.rounds}, seed, options)
                results.setdefault(name, []).append(record)
                if solver == "game":
                    print(f"{name}, seed {seed}: {record.used.wall_s:.0f} s", file=sys.stderr, flush=True)
    return {name: results[name] for name, _, _ in rows if name in results}


def n_seeds(name: str, solver: str, options: argparse.Namespace) -> int:
    if solver == "game":
        return options.llm_seeds if name in TELLING else options.few
    return options.seeds if name.startswith(STOCHASTIC) or "asyn" in name else 1


def play(problem: optisolve.Problem, solver: str, change: Mapping[str, Any], seed: int, options: argparse.Namespace) -> Record:
    change = {**change, "patience": 10**6}  # nobody stops early, so that sums over rounds can be compared
    budget = optisolve.Budget(evaluations=10_000, llm_calls=10_000)
    llm = {"kind": options.llm, **({"threads": 1} if options.llm == "local" else {})}
    out = options.out if solver == "game" else None
    return kept_record(out, problem.instance(0), solver, change, budget=budget, seed=seed, llm=llm)


def print_differences(results: Mapping[str, Sequence[Record]], optimum: float) -> None:
    """Mean of one row less that of another, with Welch's 95 % interval from ten seeds of both on."""
    columns = ("gap", "epsilon", "deficit", "oscillation")
    pairs = [(a, b) for a, b in COMPARED if a in results and b in results]
    if not pairs:
        return
    print("\n| difference |" + "".join(f" {name} |" for name in columns) + "\n|---" + "|---" * len(columns) + "|")
    for a, b in pairs:
        one, two = figures(results[a], optimum), figures(results[b], optimum)
        parts = [difference(one[name], two[name]) for name in columns]
        print(f"| {a}, less {b} |" + "".join(f" {part} |" for part in parts))


def difference(one: np.ndarray, two: np.ndarray) -> str:
    n = min(one.size, two.size)
    if n < MIN_BLOCKS:
        return f"{one.mean() - two.mean():.3f} (n = {n})"
    low, high = ttest_ind(one, two, equal_var=False).confidence_interval()  # Welch
    return f"{one.mean() - two.mean():.3f} [{low:.3f}, {high:.3f}], n = {n}"


def cells(records: Sequence[Record], optimum: float) -> list[str]:
    """One text per column."""
    return [told(name, values) for name, values in figures(records, optimum).items()]


def figures(records: Sequence[Record], optimum: float) -> dict[str, np.ndarray]:
    """Values of the seeds by column."""
    table = {name: [] for name in COLUMNS}
    for record in records:
        used = record.used
        report = used.report
        table["gap"].append((report["rounds"]["objective"][-1] - optimum) / abs(optimum))
        table["feasible"].append(float(any(record.verified.feasible)))
        for name in ("epsilon", "deficit", "oscillation", "jain", "messages", "bytes"):
            table[name].append(report[name])
        table["tokens"].append(used.tokens_in + used.tokens_out)
    return {name: np.array(values, dtype=np.float64) for name, values in table.items()}


def told(name: str, values: np.ndarray) -> str:
    if name in ("messages", "bytes", "tokens"):
        return f"{values.mean():,.0f}"
    if name == "feasible":
        return f"{values.sum():.0f}/{values.size}"
    if values.size < 2 or np.ptp(values) < 1e-12:
        return f"{values.mean():.4f}"
    return estimate(values).told("{:.3f}".format)


if __name__ == "__main__":
    main()
