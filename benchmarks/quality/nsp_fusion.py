"""Trained experts and their fusion on nsp_utility, in percent of the certified optimum, beside null policies.

    python benchmarks/quality/nsp_fusion.py [--instances 20]

Instances are those of seeds 2000 and up, which training never saw. Every cell is the mean share of the optimal utility over the
instances, in brackets the smallest; "infeasible" counts instances in which the answer broke a floor.
"""

from __future__ import annotations

import argparse

import numpy as np

import optisolve
from optisolve.core.reference import Effort
from optisolve.solvers.drl_fusion import EXPERTS, expert_powers, intent_weights

SCENARIOS = ("nsp_utility/rate", "nsp_utility/availability", "nsp_utility/bep", "nsp_utility")
TABLE: tuple[str, ...] = (
    *(f"expert {name}" for name in EXPERTS),
    "average",
    "best_of",
    "safe",
    "best weights",
    "uniform",
    "uniform_half",
    "inverse_root",
)
GRID = np.array([(i, j, 20 - i - j) for i in range(21) for j in range(21 - i)]) / 20.0
"""All weights of three experts in steps of 0.05."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instances", type=int, default=20)
    options = parser.parse_args()
    print("| decision |" + "".join(f" `{name}` |" for name in SCENARIOS) + "\n|---" + "|---" * len(SCENARIOS) + "|")
    columns = [shares(scenario, options.instances) for scenario in SCENARIOS]
    for name in TABLE:
        print(f"| {name} |" + "".join(f" {told(column[name])} |" for column in columns))


def shares(scenario: str, n: int) -> dict[str, list[float]]:
    problem, table = optisolve.load_problem(scenario), {name: [] for name in TABLE}
    for seed in range(2000, 2000 + n):
        instance = problem.instance(seed)
        reference = problem.reference(instance, Effort.QUICK)
        assert reference is not None
        assert reference.value is not None
        powers, weights = expert_powers(instance), intent_weights(instance)
        mean = sum(weight * powers[name] for name, weight in weights.items())
        points = {**{f"expert {name}": powers[name] for name in EXPERTS}, "average": mean}
        points |= {name: X[0] for name, X in instance.null_policies().items() if name in TABLE}
        value = {}
        for name, x in points.items():
            evaluation = instance.evaluate(x)
            value[name] = evaluation.F[0, 0] / reference.value if evaluation.violation[0] <= 0.0 else np.nan
        value["best_of"] = np.nanmax([value[f"expert {name}"] for name in weights])
        value["safe"] = np.nanmax([value["best_of"], value["average"]])
        blends = instance.evaluate(GRID @ np.stack([powers[name] for name in EXPERTS]))  # what no gate can beat by averaging
        value["best weights"] = float(np.where(blends.violation <= 0.0, blends.F[:, 0], -np.inf).max()) / reference.value
        for name in TABLE:
            table[name].append(float(value[name]))
    return table


def told(values: list[float]) -> str:
    array = np.array(values)
    broken = int(np.isnan(array).sum())
    if broken:
        return f"infeasible {broken}/{array.size}"
    return f"{100 * array.mean():.2f} % [{100 * array.min():.2f}]"


if __name__ == "__main__":
    main()
