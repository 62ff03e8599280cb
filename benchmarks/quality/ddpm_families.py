"""The diffusion sampler on parallel channels, offloading, NOMA from a UAV and UAV ISAC: docs/appendix/diffusion.md.

    python benchmarks/quality/ddpm_families.py [--instances 1000] [--isac-instances 20] [--tasks channels offloading noma isac]

Held-out instances are the scenarios' own, seeds 0, 1, ...; training draws from seeds above 1,000,000,000. References are the
problems' own. The null sampler goes through the same completion, polish and selection, at equal numbers of samples.
"""

from __future__ import annotations

import argparse

import numpy as np

import optisolve
from optisolve.core.arrays import FloatArray
from optisolve.core.bridge import Bridge, Cases, stack
from optisolve.core.reference import Effort
from optisolve.solvers.ddpm.bridges import bridge_of
from optisolve.solvers.ddpm.noise import case_keys
from optisolve.solvers.ddpm.pipeline import draw, finish
from optisolve.solvers.ddpm.sampler import Sampling
from optisolve.solvers.ddpm.weights import load_weights

COUNTS = (1, 2, 4, 8, 16)
SCENARIOS = {
    "channels": ("parallel_channels/msr80", "parallel_channels"),
    "offloading": ("offloading/n10", "offloading/n20", "offloading/n50"),
    "noma": ("noma_uav", "noma_uav/p30", "noma_uav/crowd"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instances", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="first instance seed")
    parser.add_argument("--isac-instances", type=int, default=20)
    parser.add_argument("--tasks", nargs="+", default=(*SCENARIOS, "isac"))
    parser.add_argument("--steps", type=int, default=2, help="network calls of the reverse chain")
    options = parser.parse_args()
    for task in options.tasks:
        if task == "isac":
            isac(options.first, options.isac_instances, options.steps)
            continue
        for scenario in SCENARIOS[task]:
            single(scenario, options.first, options.instances, options.steps)


def single(scenario: str, first: int, count: int, steps: int) -> None:
    """Best of k over the reference, mean of sums and quantiles of single instances."""
    problem = optisolve.load_problem(scenario)
    instances = [problem.instance(seed) for seed in range(first, first + count)]
    reference = np.array([_reference(problem, instance) for instance in instances])
    bridge = bridge_of(problem.instance(0))
    cases = stack([bridge.read(instance) for instance in instances])
    unit = _unit(bridge, cases, instances)
    print(f"\n{scenario}, {count} instances, {steps} step(s): sum of values / sum of references\n")
    for name in instances[0].null_policies():
        values = [_policy(instance, name) for instance in instances]
        if all(value is not None for value in values):
            print(f"{name} {np.sum(values) / reference.sum():.4f}", end="; ")
    print("\n\n| sampler | stage | " + " | ".join(f"best of {k}" for k in COUNTS) + " | 8: worst, 5 %, median | feasible |")
    print("|---|---|" + "---|" * (len(COUNTS) + 2))
    network, keys = load_weights("auto", problem.name).forward(), case_keys(0, np.arange(count))
    for label, model in (("ddpm", network), ("null", None)):
        y = draw(bridge, cases, keys, max(COUNTS), network=model, how=Sampling(steps=steps))
        stages = {"no polish": bridge.decode(cases, y)}
        for method in bridge.polishes:
            points = finish(bridge, cases, y, polish=method, steps=5).polished
            if points is not None:
                stages[f"{method}, 5 steps"] = points
        for stage, points in stages.items():
            score = bridge.score(cases, points)
            ratios = [np.abs(score[:, :k].max(axis=1) * unit) / reference for k in COUNTS]
            cells = [f"{(r * reference).sum() / reference.sum():.4f}" for r in ratios]
            each = ratios[3] if instances[0].signs[0] < 0 else -ratios[3]
            spread = ", ".join(f"{abs(v):.4f}" for v in (each.min(), np.quantile(each, 0.05), np.median(each)))
            print(f"| {label} | {stage} | " + " | ".join(cells) + f" | {spread} | {_feasible(bridge, instances, points):.4f} |")


def _unit(bridge: Bridge, cases: Cases, instances: list[optisolve.Instance]) -> FloatArray:
    """Objective per unit of score; scores are over the largest weight or the mean cost."""
    y = np.ones((len(instances), 1, *bridge.shape(cases))) * 0.01
    points = bridge.decode(cases, y)
    score = bridge.score(cases, points)[:, 0]
    F = np.array([i.evaluate(bridge.points(i, p)).F[0, 0] for i, p in zip(instances, points, strict=True)])
    return np.where(np.abs(score) == 1.0, 1.0, F / score) if bridge.family == "noma_uav" else F / score


def _feasible(bridge: Bridge, instances: list[optisolve.Instance], points: FloatArray) -> float:
    """Share of instances whose best of 8, re-evaluated by the readable equations, is feasible."""
    met = 0
    for instance, rows in zip(instances, points[:, :8], strict=True):
        evaluation = instance.evaluate_twin(bridge.points(instance, rows))
        met += bool((evaluation.violation == 0.0).any())
    return met / len(instances)


def _policy(instance: optisolve.Instance, name: str) -> float | None:
    X = instance.null_policies().get(name)
    if X is None:
        return None
    evaluation = instance.evaluate(X)
    return float(evaluation.F[0, 0]) if evaluation.violation[0] <= 0.0 else None


def _reference(problem: optisolve.Problem, instance: optisolve.Instance) -> float:
    reference = problem.reference(instance, Effort.QUICK)
    assert reference is not None
    assert reference.value is not None
    return float(reference.value)


def isac(first: int, count: int, steps: int) -> None:
    """Hypervolume of one batch beside the null control, random search and moead_de at 5,000 evaluations."""
    problem, seeds = optisolve.load_problem("uav_isac"), range(first, first + count)
    null, polish = {"n_preferences": 100, "polish": "none"}, {"polish": "gradient", "polish_steps": 20}
    plain = {**null, "steps": steps}
    runs = {
        "moead_de, 5000 evaluations": ("moead_de", {}, 5000),
        "ddpm, 50 samples": ("ddpm", {**plain, "n_preferences": 50}, 50),
        "ddpm, 100 samples": ("ddpm", plain, 100),
        "ddpm_null, 100 samples": ("ddpm_null", null, 100),
        "random_search, 100 evaluations": ("random_search", {}, 100),
        "ddpm, 100 samples, 20 gradient steps": ("ddpm", {**plain, **polish}, 200),
        "ddpm_null, 100 samples, 20 gradient steps": ("ddpm_null", {**null, **polish}, 200),
    }
    values = {}
    for label, (solver, changes, evaluations) in runs.items():
        budget = optisolve.Budget(evaluations=evaluations)
        made = optisolve.load_solver(solver, **changes)
        results = [optisolve.solve(problem.instance(s), made, budget=budget, seed=s, reference=None) for s in seeds]
        values[label] = np.array([result.hypervolume or 0.0 for result in results])
    front = values["moead_de, 5000 evaluations"]
    print(f"\nuav_isac, {count} instances, {steps} step(s)\n")
    print("| run | hypervolume | over moead_de | smallest ratio |\n|---|---|---|---|")
    for label, found in values.items():
        print(f"| {label} | {found.mean():.4f} | {found.mean() / front.mean():.4f} | {(found / front).min():.4f} |")


if __name__ == "__main__":
    main()
