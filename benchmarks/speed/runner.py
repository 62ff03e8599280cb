"""What the suite runner costs: one worker against a plain loop (limit 5 %), two workers against one (at least 1.8 times).

python benchmarks/speed/runner.py [--units 16] [--rounds 2] [--ray]

Each way runs in a fresh process on the same CPU-bound units, interleaved; the fastest round counts. The processor time of
all processes together is printed as well: on a busy machine it says more about the overhead than the clock does. Needs two
free cores for the second figure.
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
    parser.add_argument("--units", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=2)
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
    """Run all units in this process or below it; prints seconds and processor seconds of the units' part."""
    with tempfile.TemporaryDirectory() as out:
        start = time.perf_counter()
        if way == "plain loop":
            plain_loop(suite, out)
        else:
            from optisolve.bench.runner import run_suite

            executor, _, rest = way.partition(", ")
            workers = int(rest.split()[0]) if rest else 1
            done = run_suite(suite, out, executor=executor, workers=workers, address="local")
            assert not done.missing
            assert not done.failures
        wall = time.perf_counter() - start
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print(json.dumps({"wall": wall, "cpu": sum(r.ru_utime + r.ru_stime for r in used)}))


def plain_loop(suite: str, out: str) -> None:
    """The same units without any runner, with one thread."""
    from optisolve.bench.runner.worker import thread_settings

    os.environ.update(thread_settings(1))
    import optisolve
    from optisolve.bench.runner import plan_suite

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


def report(told: dict[str, list[dict[str, float]]], units: int) -> None:
    best = {way: min(rounds, key=lambda item: item["wall"]) for way, rounds in told.items()}
    cpu = {way: min(item["cpu"] for item in rounds) for way, rounds in told.items()}
    base = best["plain loop"]["wall"]
    for way, item in best.items():
        print(
            f"{way:18s} {item['wall']:7.2f} s wall ({item['wall'] / units:.3f} s per unit), {cpu[way]:7.2f} s processor time, "
            f"load before {item['load']:.1f}"
        )
    serial, one, two = (best[way]["wall"] for way in WAYS[1:])
    print(f"overhead of one worker: {serial / base - 1:+.1%} wall, {cpu['serial'] / cpu['plain loop'] - 1:+.1%} processor time")
    print(f"  (limit +5 %; starting the worker costs once, {units} units pay for it)")
    print(f"two workers against one: {one / two:.2f} times (at least 1.8 on two free cores)")


if __name__ == "__main__":
    main()
