"""What the references of every scenario prove: the problem table in README.

    python benchmarks/quality/references.py [--instances 5] [--effort quick] [--brief]

For every scenario the references of instances 0, 1, ... are computed and re-verified. ``gap`` is the largest relative
distance between value and dual bound, ``null`` what the best trivial policy reaches (value divided by the reference's,
mean), ``s`` the mean time of one reference.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter

import numpy as np

import optisolve
from optisolve.core.reference import Effort
from optisolve.run.verify import verify_points
from optisolve.study.degeneracy import degeneracy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instances", type=int, default=5)
    parser.add_argument("--effort", choices=[effort.value for effort in Effort], default="quick")
    parser.add_argument("--brief", action="store_true", help="default scenarios only")
    parser.add_argument("scenarios", nargs="*", help="default: all")
    options = parser.parse_args()
    scenarios = options.scenarios or [s for s in optisolve.list_problems() if not (options.brief and "/" in s)]
    print(f"{options.instances} instances, effort {options.effort}\n")
    print("| scenario | d | evidence | gap | null | s |\n|---|---|---|---|---|---|")
    for scenario in scenarios:
        print(row(scenario, options.instances, Effort(options.effort)), flush=True)


def row(scenario: str, instances: int, effort: Effort) -> str:
    problem = optisolve.load_problem(scenario)
    evidence: Counter[str] = Counter()
    gaps, seconds = [], []
    for seed in range(instances):
        instance = problem.instance(seed)
        start = time.perf_counter()
        reference = problem.reference(instance, effort)
        seconds.append(time.perf_counter() - start)
        if reference is None:
            evidence["none"] += 1
            continue
        evidence[reference.evidence.value.replace("_", " ")] += 1
        if reference.X is not None and not verify_points(instance, reference.X).feasible.all():
            raise SystemExit(f"{scenario}, instance {seed}: the reference point is not feasible")
        if reference.value is not None and reference.dual_bound is not None:
            scale = max(abs(reference.dual_bound), instance.objectives[0].scale)
            gaps.append(abs(reference.value - reference.dual_bound) / scale)
    report = degeneracy(problem, instances=min(instances, 3), samples=1, starts=0, effort=effort)
    nulls = [r.ratio for r in report.rows if r.ratio is not None and r.policy in problem.instance(0).null_policies()]
    best = "–" if not nulls else f"{(max(nulls) if report.maximize else min(nulls)):.3f}"
    gap = f"{max(gaps):.1e}" if gaps else "–"
    told = ", ".join(f"{count} {kind}" for kind, count in evidence.most_common())
    return f"| `{scenario}` | {instance.space.dim} | {told} | {gap} | {best} | {np.mean(seconds):.2f} |"


if __name__ == "__main__":
    main()
