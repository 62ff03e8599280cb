"""What the engine adds to a language model: waves at full concurrency, and the cost of a call.

    python benchmarks/speed/llm_concurrency.py [--calls 64] [--concurrency 16] [--latency 1.0] [--repeats 5]

The endpoint runs in a process of its own, as a real one would. The same requests, those of a run of `ledma`, go through
the bare `openai` package and through our session in turns, so that both meet the same machine; medians are printed.

- wall / ideal: time of a run's waves over calls / concurrency x latency, whose ideal is 1.
- cost of a call: processor and wall time per call of an endpoint that answers at once; ours is what the session adds to
  the package (reservation, key, retries, redaction, transcript), engine is a whole run of the solver.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import math
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from openai import AsyncOpenAI

from optisolve.core.budget import UNLIMITED, Budget, BudgetMeter
from optisolve.core.solver import Task
from optisolve.llm.config import OpenAiLlm, llm_config
from optisolve.llm.session import LlmSession, open_session
from optisolve.llm.types import LlmRequest
from optisolve.run.evaluator import Evaluator
from optisolve.solvers.ledma.solver import Ledma
from optisolve.testing.toys import ShiftedZdt1

CALLS_PER_TURN = 160


@contextlib.contextmanager
def endpoint(latency_s: float, concurrency: int) -> Iterator[OpenAiLlm]:
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
            config = llm_config("openai", base_url=found[0], api_key_env="", max_concurrency=concurrency)
            assert isinstance(config, OpenAiLlm)
            yield config
        finally:
            process.terminate()


def solve(
    config: OpenAiLlm, calls: int, concurrency: int, watch: Callable[[LlmRequest], None] | None = None
) -> tuple[int, float, float]:
    """Run `ledma` with the model serving every target; the calls that were made, their wall and processor seconds."""
    instance = ShiftedZdt1(n_variables=12).instance(0)
    solver = Ledma(pop_size=concurrency * 2, wave_size=concurrency, n_neighbors=8, n_parents=8, n_offspring=2, mix=1.0)
    meter = BudgetMeter(Budget(evaluations=concurrency * 2 + 2 * calls, llm_calls=calls))
    with open_session(config, meter) as session:
        if watch is not None:
            _watch(session, watch)
        evaluator = Evaluator(instance, meter)
        wall, cpu = time.perf_counter(), time.process_time()
        solver._solve(Task(instance, evaluator, evaluator, meter, 0, "ledma", llm=session))
        return meter.llm_calls, time.perf_counter() - wall, time.process_time() - cpu


def _watch(session: LlmSession, watch: Callable[[LlmRequest], None]) -> None:
    ask = session.ask

    def asked(requests: Any) -> Any:
        for request in requests:
            watch(request)
        return ask(requests)

    session.ask = asked  # type: ignore[method-assign]


class Turns:
    """The same requests through the bare package and through a session, each on connections of its own.

    Args:
        config: Where the endpoint is.
        model: Its model.
        requests: What is asked, again and again.
    """

    def __init__(self, config: OpenAiLlm, model: str, requests: list[LlmRequest]) -> None:
        self._config, self._model, self._requests = config, model, requests
        self._bodies = [self._body(request) for request in requests]
        self._turn = 0

    def _body(self, request: LlmRequest) -> dict[str, Any]:
        schema = {"name": "answer", "strict": True, "schema": dict(request.schema or {})}
        return {
            "model": self._model,
            "max_tokens": request.max_tokens,
            "temperature": self._config.temperature,
            "seed": request.seed,
            "messages": [{"role": m.role, "content": m.content} for m in request.messages],
            "response_format": {"type": "json_schema", "json_schema": schema},
        }

    async def _bare(self) -> None:
        places = asyncio.Semaphore(self._config.max_concurrency)
        client = AsyncOpenAI(api_key="none", base_url=self._config.base_url, max_retries=0)

        async def one(body: dict[str, Any]) -> None:
            async with places:
                await client.chat.completions.create(**body)

        await one(self._bodies[0])
        self._start()
        async with asyncio.TaskGroup() as group:
            for body in self._bodies:
                group.create_task(one(body))
        self._stop()
        await client.close()

    def bare(self) -> tuple[float, float]:
        """Wall and processor seconds of one turn of the bare package."""
        asyncio.run(self._bare())
        return self._took

    def ours(self) -> tuple[float, float]:
        """The same through a session that writes its transcript."""
        self._turn += 1
        asked = [replace(request, tag=f"{self._turn}/{i}") for i, request in enumerate(self._requests)]
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "transcript.jsonl"
            with open_session(self._config, BudgetMeter(Budget(llm_calls=UNLIMITED)), transcript=file) as session:
                session.ask([replace(self._requests[0], tag="first")])
                self._start()
                replies = session.ask(asked)
                self._stop()
        assert all(reply.ok for reply in replies)
        return self._took

    def _start(self) -> None:
        self._began = time.perf_counter(), time.process_time()

    def _stop(self) -> None:
        self._took = time.perf_counter() - self._began[0], time.process_time() - self._began[1]


def costs(concurrency: int, repeats: int) -> dict[str, tuple[float, float]]:
    """Median milliseconds per call (wall, processor) of the bare package, of our session, and of a whole run."""
    with endpoint(0.0, concurrency) as config:
        requests: list[LlmRequest] = []
        solve(config, CALLS_PER_TURN, concurrency, requests.append)  # also compiles kernels and loads packages
        turns = Turns(config, "loopback-model", requests)
        told: dict[str, list[tuple[float, float]]] = {"bare": [], "ours": [], "engine": []}
        for _ in range(repeats):
            told["bare"].append(_per_call(turns.bare(), len(requests)))
            told["ours"].append(_per_call(turns.ours(), len(requests)))
            calls, wall, cpu = solve(config, CALLS_PER_TURN, concurrency)
            told["engine"].append(_per_call((wall, cpu), calls))
    return {name: (_median(w for w, _ in rows), _median(c for _, c in rows)) for name, rows in told.items()}


def ratios(calls: int, concurrency: int, latency_s: float, repeats: int) -> dict[str, list[float]]:
    """Wall time over its ideal: of the waves of whole runs, and of the same number of calls by the bare package."""
    found: dict[str, list[float]] = {"bare": [], "engine": []}
    with endpoint(latency_s, concurrency) as config:
        requests: list[LlmRequest] = []
        for _ in range(repeats):
            made, wall, _ = solve(config, calls, concurrency, requests.append if not requests else None)
            ideal = math.ceil(made / concurrency) * latency_s
            found["engine"].append(wall / ideal)
            found["bare"].append(Turns(config, "loopback-model", requests).bare()[0] / ideal)
    return found


def _per_call(took: tuple[float, float], calls: int) -> tuple[float, float]:
    return 1e3 * took[0] / calls, 1e3 * took[1] / calls


def _median(values: Any) -> float:
    return statistics.median(values)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=64)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--latency", type=float, default=1.0, help="s")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    told = costs(options.concurrency, options.repeats)
    found = ratios(options.calls, options.concurrency, options.latency, options.repeats)
    print(f"calls {options.calls}, concurrency {options.concurrency}, latency {options.latency:g} s, {options.repeats} repeats")
    for name, words in (("bare", "openai package alone"), ("engine", "waves of ledma")):
        row = ", ".join(f"{ratio:.3f}" for ratio in sorted(found[name]))
        print(f"wall / ideal, {words + ':':<22} median {_median(found[name]):.3f} of {row}")
    print("target: waves of ledma <= 1.1")
    for name, words in (("bare", "openai package alone"), ("ours", "with our session"), ("engine", "whole run of ledma")):
        print(f"per call, {words + ':':<22} {told[name][1]:6.2f} ms processor, {told[name][0]:6.2f} ms wall")
    added = [told[name][1] - told["bare"][1] for name in ("ours", "engine")]
    print(f"added to the package: session {added[0]:.2f} ms, engine {added[1]:.2f} ms processor per call (target < 5 ms)")


if __name__ == "__main__":
    main()
