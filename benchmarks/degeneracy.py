"""Degeneracy reports of a suite's scenarios, for the pages of the leaderboard.

    python benchmarks/degeneracy.py [--suite exact] [--out benchmarks/leaderboard/degeneracy.json]

Reports that are in the file already, for the same version of the problem, are kept.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

from optisolve.core.reference import Effort
from optisolve.registry import load_problem
from optisolve.study.degeneracy import degeneracy
from optisolve.study.suite import load_suite


def report(scenario: str, instances: int, samples: int, starts: int) -> dict[str, Any]:
    """One scenario's rows as plain JSON types."""
    problem = load_problem(scenario)
    told = degeneracy(problem, instances=instances, samples=samples, starts=starts, effort=Effort.QUICK)
    rows = [{key: _rounded(value) for key, value in dataclasses.asdict(row).items()} for row in told.rows]
    return {"version": type(problem).version, "instances": instances, "measure": told.measure, "rows": rows}


def _rounded(value: Any) -> Any:
    return float(f"{value:.9g}") if isinstance(value, float) else value


def main() -> None:
    """Make what is missing and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--suite", default="exact")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "leaderboard" / "degeneracy.json")
    parser.add_argument("--instances", type=int, default=2)
    parser.add_argument("--samples", type=int, default=512)
    parser.add_argument("--starts", type=int, default=8)
    options = parser.parse_args()
    known = json.loads(options.out.read_text()) if options.out.is_file() else {}
    for case in load_suite(options.suite).cases:
        name = case.problem.origin(0).scenario
        if known.get(name, {}).get("version") != type(load_problem(name)).version:
            print(name, flush=True)
            known[name] = report(name, options.instances, options.samples, options.starts)
            options.out.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
