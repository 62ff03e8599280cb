"""What an ablation will ask a language model, and about how long that takes, before it starts."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from optisolve.core.budget import Budget
from optisolve.llm.config import OpenAiLlm
from optisolve.run.estimate import Estimate, estimate
from optisolve.run.solve import solve
from optisolve.study.ablation.plan import LLM, Plan, finished_cells

__all__ = ["Forecast", "forecast"]

_HOSTED_CALL_S = 3.0
"""Assumed time of one call to a hosted model; nobody is charged for finding out."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """The work ahead.

    Attributes:
        runs: All runs of the plan.
        finished: Runs that are there already.
        llm_runs: Runs ahead that ask the language model.
        per_run: What one of them asks; None without a language model.
        run_s: Expected time of one of them, s.
        how: Where that time comes from.
    """

    runs: int
    finished: int
    llm_runs: int
    per_run: Estimate | None
    run_s: float
    how: str

    @property
    def seconds(self) -> float:
        """Expected time of all runs ahead that ask the language model, s."""
        return self.llm_runs * self.run_s


def forecast(plan: Plan, out: Path) -> Forecast:
    """Count what is missing, estimate the prompts, and time the model.

    A local model is asked one question, which takes seconds and costs nothing; a hosted one is not asked. Where runs of
    the same plan are finished, their own time counts.

    Raises:
        LlmError: The local model cannot be had.
    """
    done = finished_cells(plan, out)
    cells = list(plan.cells)
    asking = sum(cell.arm.asks_llm and cell.key not in done for cell in cells)
    if plan.llm is None:
        return Forecast(len(cells), len(done), asking, None, 0.0, "")
    subject = plan.arms[0].solver
    told = estimate(plan.problem.instance(0), subject, budget=plan.budget, llm=plan.llm)
    if plan.surrogate:
        return Forecast(len(cells), len(done), asking, told, 0.0, "the surrogate answers at once")
    earlier = [record["used"]["wall_s"] for key, record in done.items() if key[0] == LLM]
    if earlier:
        return Forecast(len(cells), len(done), asking, told, sum(earlier) / len(earlier), "as the finished runs took")
    if isinstance(plan.llm, OpenAiLlm):
        waves = told.calls / plan.llm.max_concurrency
        how = f"assuming {_HOSTED_CALL_S:g} s per call and {plan.llm.max_concurrency} calls in flight"
        return Forecast(len(cells), len(done), asking, told, waves * _HOSTED_CALL_S, how)
    if asking == 0:
        return Forecast(len(cells), len(done), 0, told, 0.0, "")
    start_s, call_s = _timed(plan)
    how = f"timed on one question: {call_s:.1f} s, and {start_s:.1f} s to start the model"
    return Forecast(len(cells), len(done), asking, told, start_s + told.calls * call_s, how)


def _timed(plan: Plan) -> tuple[float, float]:
    """Seconds to start a local model and for one question to it."""
    subject = plan.arms[0].solver.with_option(wave_size=1, max_reasks=0)
    pop_size, n_offspring = (int(getattr(subject, name)) for name in ("pop_size", "n_offspring"))
    begin = time.perf_counter()
    result = solve(
        plan.problem.instance(0),
        subject,
        budget=Budget(evaluations=pop_size + n_offspring, llm_calls=1),
        seed=-1,
        llm=plan.llm,
    )
    total_s, call_s = time.perf_counter() - begin, float(result.record["used"]["wall_s"])
    return max(0.0, total_s - call_s), call_s
