"""Waves at full concurrency: wall time of `ledma` against a loopback endpoint with a fixed latency.

    python benchmarks/speed/llm_concurrency.py [--calls 48] [--concurrency 8] [--latency 1.0]

Prints wall time / (calls / concurrency x latency), whose ideal is 1, and the engine's overhead per call without latency.
"""

from __future__ import annotations

import argparse
import math
import time

from optisolve.core.budget import Budget, BudgetMeter
from optisolve.core.solver import Task
from optisolve.evaluation.evaluator import Evaluator
from optisolve.llm.config import llm_config
from optisolve.llm.session import open_session
from optisolve.llm.types import LlmRequest, Message
from optisolve.solvers.moead.ledma import Ledma
from optisolve.testing.llm_server import LlmServer
from optisolve.testing.toys import ShiftedZdt1


def solve(server: LlmServer, calls: int, concurrency: int) -> tuple[float, int]:
    """Seconds of the waves of one run in which the model serves every target, and the calls made."""
    instance = ShiftedZdt1(n_variables=12).instance(0)
    solver = Ledma(pop_size=concurrency * 2, n_neighbors=8, n_parents=8, n_offspring=2, mix=1.0)
    meter = BudgetMeter(Budget(evaluations=solver.pop_size + 2 * calls, llm_calls=calls))
    config = llm_config("openai", base_url=server.base_url, model=server.model, api_key_env="", max_concurrency=concurrency)
    with open_session(config, meter) as session:
        evaluator = Evaluator(instance, meter)
        task = Task(instance, evaluator, evaluator, meter, 0, "ledma", llm=session)
        start = time.perf_counter()
        solver._solve(task)
        return time.perf_counter() - start, meter.llm_calls


def overhead_ms(concurrency: int, calls: int = 400) -> tuple[float, float]:
    """Wall and processor milliseconds per call without latency, the loopback server's own work included."""
    with LlmServer(answer=lambda _: "fine") as server:
        config = llm_config("openai", base_url=server.base_url, model=server.model, api_key_env="", max_concurrency=concurrency)
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
    parser.add_argument("--calls", type=int, default=48)
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--latency", type=float, default=1.0, help="s")
    options = parser.parse_args()
    with LlmServer() as server:  # compiles kernels, loads packages
        solve(server, options.concurrency, options.concurrency)
    with LlmServer(latency_s=options.latency) as server:
        wall, calls = solve(server, options.calls, options.concurrency)
        most = server.max_in_flight
    ideal = math.ceil(calls / options.concurrency) * options.latency
    print(f"calls {calls}, concurrency {options.concurrency} (reached {most}), latency {options.latency:g} s")
    print(f"wall {wall:.3f} s, ideal {ideal:.3f} s, ratio {wall / ideal:.3f} (target <= 1.15)")
    wall_ms, cpu_ms = overhead_ms(options.concurrency)
    print(f"overhead per call: {wall_ms:.2f} ms wall, {cpu_ms:.2f} ms processor (target < 5 ms)")


if __name__ == "__main__":
    main()
