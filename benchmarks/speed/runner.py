"""What the suite runner costs: one worker against a plain loop (limit 5 %), two workers against one (at least 1.8 times).

python benchmarks/speed/runner.py [--units 24] [--rounds 3] [--ray]

Each way runs in a fresh process on the same CPU-bound units, interleaved; the fastest round counts. Starting (imports,
compiled kernels, workers) is paid once per run and told apart from the seconds per unit, which the comparisons use. The
processor time of all processes together is printed as well: on a busy machine it says more about the overhead than the
clock does. Needs two free cores.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SUITE = """# CPU-bound units of about a second.
version: "1"
seed: 0
repetitions: {units}
reference: none
budget: {{evaluations: 12000}}
problems: [{{problem: uav_isac, instances: [0]}}]
solvers: [nsga2]
"""
WAYS = ("plain loop", "serial", "joblib, 1 worker", "joblib, 2 workers")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ray", action="store_true", help="also a local Ray cluster of two cores")
    parser.add_argument("--way", help=argparse.SUPPRESS)
    parser.add_argument("--suite", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        one_way(options.way, options.suite)
        return
    ways = [*WAYS, *(["ray, 2 workers"] if options.ray else [])]
    with tempfile.TemporaryDirectory() as folder:
        suite = Path(folder) / "speed.yaml"
        suite.write_text(SUITE.format(units=options.units))
        told: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
        for _ in range(options.rounds):
            for way in ways:
                load = os.getloadavg()[0]
                command = [sys.executable, __file__, "--way", way, "--suite", str(suite)]
                answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
                told[way].append({**json.loads(answer), "load": load})
    report(told, options.units)


def one_way(way: str, suite: str) -> None:
    """Run all units in this process or below it; prints seconds to start and per unit, and all processor seconds."""
    executor, _, rest = way.partition(", ")
    workers = int(rest.split()[0]) if rest else 1
    stamps = [time.perf_counter()]
    with tempfile.TemporaryDirectory() as out:
        if way == "plain loop":
            plain_loop(suite, out, stamps)
        else:
            from optisolve.study.runner import run_suite

            def tell(progress: Any) -> None:
                if progress.done:
                    stamps.append(time.perf_counter())

            done = run_suite(suite, out, executor=executor, workers=workers, address="local", on_progress=tell)
            assert not done.missing
            assert not done.failures
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    begun = stamps[workers]  # every worker has finished one unit
    told = {
        "start": begun - stamps[0],
        "unit": (stamps[-1] - begun) / (len(stamps) - 1 - workers),
        "cpu": sum(r.ru_utime + r.ru_stime for r in used),
    }
    print(json.dumps(told))


def plain_loop(suite: str, out: str, stamps: list[float]) -> None:
    """The same units without any runner, with one thread."""
    from optisolve.run.child import thread_settings

    os.environ.update(thread_settings(1))
    import optisolve
    from optisolve.study.runner import plan_suite

    for unit in plan_suite(suite).units:
        instance = optisolve.load_problem(unit.scenario).instance(unit.instance)
        result = optisolve.solve(
            instance,
            optisolve.load_solver(unit.solver, **unit.options),
            budget=optisolve.Budget.from_mapping(unit.budget),
            seed=unit.seed,
            suite=unit.membership(),
        )
        result.save(out)
        stamps.append(time.perf_counter())


def report(told: dict[str, list[dict[str, float]]], units: int) -> None:
    unit = {way: min(item["unit"] for item in rounds) for way, rounds in told.items()}
    cpu = {way: min(item["cpu"] for item in rounds) for way, rounds in told.items()}
    for way, rounds in told.items():
        load = ", ".join(f"{item['load']:.1f}" for item in rounds)
        start = min(item["start"] for item in rounds)
        print(
            f"{way:18s} start and first unit {start:5.2f} s, then {unit[way]:.3f} s per unit; "
            f"{cpu[way]:6.2f} s processor time for {units} units; load before: {load}"
        )
    for way in ("serial", "joblib, 1 worker"):
        clock, processor = unit[way] / unit["plain loop"] - 1, cpu[way] / cpu["plain loop"] - 1
        print(f"overhead of {way}: {clock:+.1%} per unit, {processor:+.1%} processor time, start included (limit +5 %)")
    one = unit["joblib, 1 worker"]
    for way in [name for name in told if name.endswith("2 workers")]:
        print(f"{way} against one: {one / unit[way]:.2f} times (at least 1.8 on two free cores)")


if __name__ == "__main__":
    main()
