"""Trained experts and their fusion on nsp_utility, in percent of the certified optimum, beside null policies.

    python benchmarks/quality/nsp_fusion.py [--instances 20] [--training ppo] [--own FILE]

Instances are those of seeds 2000 and up, which training never saw. Every cell is the mean share of the optimal utility (of
energy: optimum over power used) over the instances, in brackets the smallest; "infeasible" counts instances in which the answer
broke a floor. "least total": the null policy's shares at the least total that meets the floors, as the experts play for
energy. --own: a policy that was trained for throughput itself, in the column of `nsp_utility`.
"""

from __future__ import annotations

import argparse
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

import optisolve
from optisolve.core.reference import Effort
from optisolve.solvers.drl_fusion import EXPERTS, average_powers, expert_powers, intent_weights
from optisolve.solvers.drl_fusion.policy import least_total, read_policy

PRIMITIVE = ("nsp_utility/rate", "nsp_utility/availability", "nsp_utility/bep", "nsp_utility/energy")
COMPOUND = ("nsp_utility", "nsp_utility/rate_outage", "nsp_utility/energy_outage")
SCENARIOS = (*PRIMITIVE, *COMPOUND)
TABLE: tuple[str, ...] = (
    *(f"expert {name}" for name in EXPERTS),
    "average",
    "best_of",
    "safe",
    "best weights",
    "policy of its own",
    "uniform",
    "uniform_half",
    "inverse_root",
    "uniform, least total",
    "inverse_root, least total",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instances", type=int, default=20)
    parser.add_argument("--training", choices=("ppo", "sac"), default="ppo")
    parser.add_argument("--own", type=Path, default=None, help="throughput.json of benchmarks/training/nsp_experts.py")
    options = parser.parse_args()
    print("| decision |" + "".join(f" `{name}` |" for name in SCENARIOS) + "\n|---" + "|---" * len(SCENARIOS) + "|")
    columns = [shares(scenario, options.instances, options.training, options.own) for scenario in SCENARIOS]
    for name in TABLE:
        print(f"| {name} |" + "".join(f" {told(column[name])} |" for column in columns))


def shares(scenario: str, n: int, training: Any, own: Path | None) -> dict[str, list[float]]:
    problem: Any = optisolve.load_problem(scenario)
    table: dict[str, list[float]] = {name: [] for name in TABLE}
    for seed in range(2000, 2000 + n):
        instance = problem.instance(seed)
        reference = problem.reference(instance, Effort.QUICK)
        assert reference is not None
        assert reference.value is not None
        saves = instance.constants.goal == "energy"
        powers, weights = expert_powers(instance, training), intent_weights(instance)
        points = {f"expert {name}": x for name, x in powers.items()}
        points["average"] = average_powers(instance, weights, powers)
        points |= {name: X[0] for name, X in instance.null_policies().items() if name in TABLE}
        if own is not None and scenario == "nsp_utility":
            c = instance.constants
            points["policy of its own"] = read_policy("throughput", own).act(instance.gain, c.noise_w, c.p_total_w)
        if saves:
            points |= {f"{name}, least total": least_total(instance, points[name]) for name in ("uniform", "inverse_root")}
        value = {name: share(instance, x, reference.value) for name, x in points.items()}
        value["best_of"] = best([value[f"expert {name}"] for name in weights])
        value["safe"] = best([value["best_of"], value["average"]])
        blends = [average_powers(instance, w, powers) for w in grid(list(powers))]  # what no gate can beat by averaging
        value["best weights"] = best([share(instance, x, reference.value) for x in blends])
        for name in TABLE:
            table[name].append(value.get(name, -np.inf))
    return table


def share(instance: Any, x: np.ndarray, optimum: float) -> float:
    """Share of the optimum, NaN for an infeasible point."""
    evaluation = instance.evaluate(x)
    if evaluation.violation[0] > 0.0:
        return float("nan")
    ratio = float(evaluation.F[0, 0]) / optimum
    return 1.0 / ratio if instance.constants.goal == "energy" else ratio


def best(values: list[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return max(known) if known else float("nan")


def grid(names: list[str]) -> list[dict[str, float]]:
    """All weights of three experts in steps of 0.05, of four in steps of 0.1."""
    n = 20 if len(names) < 4 else 10
    parts = [row for row in product(range(n + 1), repeat=len(names) - 1) if sum(row) <= n]
    return [dict(zip(names, np.array([*row, n - sum(row)]) / n, strict=True)) for row in parts]


def told(values: list[float]) -> str:
    array = np.array(values)
    if np.isneginf(array).all():
        return "–"
    broken = int(np.isnan(array).sum())
    if broken:
        return f"infeasible {broken}/{array.size}"
    return f"{100 * array.mean():.2f} % [{100 * array.min():.2f}]"


if __name__ == "__main__":
    main()
