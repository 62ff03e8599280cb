"""Waves at full concurrency: wall time of `ledma` against a loopback endpoint with a fixed latency.

    python benchmarks/speed/llm_concurrency.py [--calls 64] [--concurrency 16] [--latency 1.0] [--repeats 3]

The endpoint runs in a process of its own, as a real one would. Prints wall time / (calls / concurrency x latency), whose
ideal is 1, and the engine's overhead per call without latency.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import re
import subprocess
import sys
import time
from collections.abc import Iterator

from optisolve.core.budget import Budget, BudgetMeter
from optisolve.core.solver import Task
from optisolve.evaluation.evaluator import Evaluator
from optisolve.llm.config import LlmConfig, llm_config
from optisolve.llm.session import open_session
from optisolve.llm.types import LlmRequest, Message
from optisolve.solvers.moead.ledma import Ledma
from optisolve.testing.toys import ShiftedZdt1


@contextlib.contextmanager
def endpoint(latency_s: float, concurrency: int) -> Iterator[LlmConfig]:
    """Serve in a child process; the configuration that reaches it."""
    command = [sys.executable, "-u", "-m", "optisolve.testing.llm_server", "--quiet", "--latency", str(latency_s)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if found := re.search(r"http://[\w.:]+/v1", line):
                    break
            else:
                raise SystemExit("the endpoint did not start")
            yield llm_config("openai", base_url=found[0], api_key_env="", max_concurrency=concurrency)
        finally:
            process.terminate()


def solve(config: LlmConfig, calls: int, concurrency: int) -> tuple[float, int]:
    """Seconds of the waves of one run in which the model serves every target, and the calls made."""
    instance = ShiftedZdt1(n_variables=12).instance(0)
    solver = Ledma(pop_size=concurrency * 2, wave_size=concurrency, n_neighbors=8, n_parents=8, n_offspring=2, mix=1.0)
    meter = BudgetMeter(Budget(evaluations=solver.pop_size + 2 * calls, llm_calls=calls))
    with open_session(config, meter) as session:
        evaluator = Evaluator(instance, meter)
        task = Task(instance, evaluator, evaluator, meter, 0, "ledma", llm=session)
        start = time.perf_counter()
        solver._solve(task)
        return time.perf_counter() - start, meter.llm_calls


def overhead_ms(config: LlmConfig, calls: int = 400) -> tuple[float, float]:
    """Wall and processor milliseconds per call without latency."""
    with open_session(config, BudgetMeter(Budget())) as session:
        for round_ in range(2):  # the first one warms up
            requests = [LlmRequest(tag=f"{round_}/{i}", messages=(Message("user", "x" * 2000),)) for i in range(calls)]
            wall, cpu = time.perf_counter(), time.process_time()
            session.ask(requests)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return 1e3 * wall / calls, 1e3 * cpu / calls


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=64)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--latency", type=float, default=1.0, help="s")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with endpoint(0.0, options.concurrency) as config:
        solve(config, options.concurrency, options.concurrency)  # compiles kernels, loads packages
        wall_ms, cpu_ms = overhead_ms(config)
    with endpoint(options.latency, options.concurrency) as config:
        runs = [solve(config, options.calls, options.concurrency) for _ in range(options.repeats)]
    ratios = sorted(wall / (math.ceil(calls / options.concurrency) * options.latency) for wall, calls in runs)
    print(f"calls {runs[0][1]}, concurrency {options.concurrency}, latency {options.latency:g} s")
    print(f"wall / ideal: median {ratios[len(ratios) // 2]:.3f} of {', '.join(f'{r:.3f}' for r in ratios)} (target <= 1.1)")
    print(f"overhead per call: {wall_ms:.2f} ms wall, {cpu_ms:.2f} ms processor (target < 5 ms)")


if __name__ == "__main__":
    main()
