"""What evaluations side by side cost: batches of sleeping evaluations (targets: 0.9 with processes, 0.85 on Ray).

python benchmarks/speed/workers.py [--workers 8] [--seconds 0.2] [--batches 10] [--executors thread process ray]

Efficiency is the time that the evaluations sleep, divided by workers and by the seconds of the run, which begin when the
workers are there; starting them is told apart. Beside Ray stand its own actors that only sleep, from a plain loop: what a
busy machine leaves of 1 there, nothing on Ray can reach. Every way must give the same hash.
"""

from __future__ import annotations

import argparse
import os
import time

import optisolve
from optisolve.core.workers import Executor
from optisolve.run.solve import Result

TARGETS = {"process": 0.9, "ray": 0.85}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=0.2, help="that an evaluation sleeps")
    parser.add_argument("--batches", type=int, default=10)
    parser.add_argument("--executors", nargs="+", default=["thread", "process", "ray"])
    options = parser.parse_args()
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    os.environ.setdefault("RAY_worker_niceness", "0")  # Ray puts its workers behind all else that runs on the machine
    seconds, workers, evaluations = options.seconds, options.workers, options.workers * options.batches

    def sleeping(x):  # type: ignore[no-untyped-def]
        time.sleep(seconds)
        return float(x @ x)

    problem = optisolve.problem(sleeping, [-1.0] * 4, [1.0] * 4, name="sleeping", probes=1, evaluation_s=seconds)
    print(f"{evaluations} evaluations of {seconds:g} s, {workers} at a time; load before {os.getloadavg()[0]:.1f}")
    print("| executor | run, s | ideal, s | efficiency | target | start and verification, s | result hash |")
    print("|---|---|---|---|---|---|---|")
    hashes = set()
    for executor in options.executors:
        result, rest = timed(problem, workers, evaluations, executor)
        ideal, took = evaluations * seconds / workers, result.record.used.wall_s
        target = TARGETS.get(executor)
        told = "" if target is None else f"{target:g}"
        print(f"| {executor} | {took:.3f} | {ideal:g} | {ideal / took:.3f} | {told} | {rest:.1f} | {result.result_hash[:16]} |")
        hashes.add(result.result_hash)
    assert len(hashes) == 1, "the result depends on who evaluated"
    if "ray" in options.executors:
        took = plain_actors(seconds, workers, options.batches)
        print(f"| Ray's actors alone | {took:.3f} | {ideal:g} | {ideal / took:.3f} | | | |")


def timed(problem: optisolve.Problem, workers: int, evaluations: int, executor: Executor) -> tuple[Result, float]:
    """A run, and the seconds of the call beside it."""
    begin = time.perf_counter()
    result = optisolve.solve(
        problem,
        "random_search",
        batch_size=workers,
        budget=optisolve.Budget(evaluations=evaluations),
        seed=0,
        workers=workers,
        executor=executor,
    )
    return result, time.perf_counter() - begin - result.record.used.wall_s


def plain_actors(seconds: float, workers: int, batches: int) -> float:
    """Seconds of the same batches by Ray alone."""
    import ray

    class Sleeper:
        def sleep(self) -> None:
            time.sleep(seconds)

    ray.init(address="local", num_cpus=workers, include_dashboard=False, log_to_driver=False, configure_logging=False)
    try:
        actors = [ray.remote(num_cpus=1)(Sleeper).remote() for _ in range(workers)]
        ray.get([actor.sleep.remote() for actor in actors])
        begin = time.perf_counter()
        for _ in range(batches):
            ray.get([actor.sleep.remote() for actor in actors])
        return time.perf_counter() - begin
    finally:
        ray.shutdown()


if __name__ == "__main__":
    main()
