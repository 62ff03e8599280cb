"""Link weights on many networks: utilization of the busiest link over the bound of the optimal flow, which no routing beats.

    python benchmarks/quality/wired.py FOLDER [--nodes 8 60] [--every 5] [--matrices 2] [--evaluations 500 3000] [--seconds 60]
    python benchmarks/quality/wired.py topohub/topozoo [...]

FOLDER holds REPETITA's files, NAME.graph and NAME.0000.demands ... (github.com/svissicchio/Repetita; they have no license, so
they are read where they lie and are no part of optisolve). With `topohub/GROUP` the networks come from topohub (extra
``topologies``), capacities are of two tiers and demands gravity, which is another problem. Weights: what the file says and what
`weight_search` finds. A table with one row per method, and what share of the networks each of them solves.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

import optisolve
from optisolve.core.errors import OptisolveError
from optisolve.core.status import Limit
from optisolve.modelling.network_flow import Traffic, best_prices, price_bound
from optisolve.registry import load_problem

SOLVED = 1e-3
"""Relative distance to the bound that counts as solved."""


def cases(where, nodes, every, matrices, only=None):
    """Names and instances, every n-th network of a size by its name; or only some."""
    if where.startswith("topohub/"):
        import importlib.resources

        import topohub

        folder = importlib.resources.files(topohub) / "data" / where.removeprefix("topohub/")
        names = sorted(file.name.removesuffix(".json") for file in folder.iterdir() if file.name.endswith(".json"))
    else:
        names = sorted(path.stem for path in Path(where).glob("*.graph"))
    fitting = []
    for name in names if only is None else only:
        try:
            found = [instance_of(where, name, k) for k in range(matrices)]
        except OptisolveError as error:
            print(f"left out: {name}: {' '.join(str(error).split())[:110]}")
            continue
        if nodes[0] <= len(found[0].network.nodes) <= nodes[1]:
            fitting.append((name, found))
    return [(f"{name}.{k}", instance) for name, found in fitting[::every] for k, instance in enumerate(found)]


def instance_of(where, name, k):
    """One network under one matrix."""
    if where.startswith("topohub/"):
        settings = {"network": f"{where}/{name}", "demands": "gravity", "capacities": "two_tier"}
        return load_problem("traffic_engineering", **settings).instance(k)
    files = {"network_file": f"{where}/{name}.graph", "demands_file": f"{where}/{name}.{k:04d}.demands"}
    return load_problem("traffic_engineering", capacities="given", **files).instance(0)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("where")
    parser.add_argument("--nodes", type=int, nargs=2, default=(8, 60))
    parser.add_argument("--every", type=int, default=5)
    parser.add_argument("--matrices", type=int, default=2)
    parser.add_argument("--evaluations", type=int, nargs="+", default=(500, 3000))
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--solver", default="weight_search")
    parser.add_argument("--options", type=json.loads, default={})
    parser.add_argument("--verbose", action="store_true")
    chosen = parser.parse_args()
    ratios: dict[str, list[float]] = {}
    spent: dict[str, float] = {}
    cut = 0
    for name, instance in cases(chosen.where, chosen.nodes, chosen.every, chosen.matrices):
        traffic = Traffic(instance.link_tail, instance.link_head, instance.link_capacity, instance.demand_matrix())
        bound = price_bound(traffic, best_prices(traffic))
        row = {policy: float(instance.evaluate(X).F.min()) / bound for policy, X in instance.null_policies().items()}
        for n in chosen.evaluations:
            begin = time.process_time()
            budget = optisolve.Budget(evaluations=n, seconds=chosen.seconds)
            result = optisolve.solve(instance, chosen.solver, budget=budget, seed=0, **chosen.options)
            cut += result.run.outcome.limit is Limit.TIME
            label = f"{chosen.solver} {n}"
            row[label] = float(result.F[:, 0].min()) / bound
            spent[label] = max(spent.get(label, 0.0), time.process_time() - begin)
        for label, value in row.items():
            ratios.setdefault(label, []).append(value)
        if chosen.verbose:
            told = "  ".join(f"{label} {value:.4f}" for label, value in row.items())
            print(f"{name} ({len(instance.network.nodes)} nodes): {told}", flush=True)
    print(f"\n{cut} runs were ended by the clock")
    print(f"{len(next(iter(ratios.values())))} instances; utilization over the bound of the optimal flow")
    print(f"{'':24} {'median':>8} {'mean':>8} {'worst':>8} {'at bound':>9} {'most s':>7}")
    for label, values in ratios.items():
        found = np.array(values)
        share = f"{100.0 * (found <= 1.0 + SOLVED).mean():.0f} %"
        most = f"{spent[label]:.1f}" if label in spent else ""
        print(f"{label:24} {np.median(found):8.4f} {found.mean():8.4f} {found.max():8.4f} {share:>9} {most:>7}")


if __name__ == "__main__":
    main()
