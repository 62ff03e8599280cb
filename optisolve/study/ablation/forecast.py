"""What an ablation will ask a language model, and about how long that takes, before it starts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from optisolve.core.controls import SUBJECT
from optisolve.llm.config import OpenAiLlm, ReplayLlm
from optisolve.run.estimate import Estimate, estimate
from optisolve.run.solve import solve
from optisolve.study.ablation.plan import Plan
from optisolve.study.ablation.runs import finished_runs

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
        per_run: What one of them asks.
        run_s: Expected time of one of them, s.
        how: Where that time comes from.
    """

    runs: int
    finished: int
    llm_runs: int
    per_run: Estimate
    run_s: float
    how: str

    @property
    def seconds(self) -> float:
        """Expected time of all runs ahead that ask the language model, s."""
        return self.llm_runs * self.run_s


def forecast(plan: Plan) -> Forecast:
    """Count what is missing, estimate the prompts, and time the model.

    A local model is asked one question, which takes seconds and costs nothing; a hosted one is not asked. Where runs of
    the same plan are finished, their own time counts.

    Raises:
        LlmError: The local model cannot be had.
    """
    done = finished_runs(plan)
    asking = sum(key[0] in plan.asking and key not in done for key in plan.runs)
    per_run = estimate(plan.instance(0), plan.subject, budget=plan.budget, llm=plan.llm)
    earlier = [record.used.wall_s for key, record in done.items() if key[0] == SUBJECT]
    run_s, how = _time_of_a_run(plan, per_run, earlier, asking)
    return Forecast(len(plan.runs), len(done), asking, per_run, run_s, how)


def _time_of_a_run(plan: Plan, per_run: Estimate, earlier: Sequence[float], asking: int) -> tuple[float, str]:
    """Expected seconds of a run that asks the model, and where that comes from."""
    if plan.surrogate:
        return 0.0, "the surrogate answers at once"
    if earlier:
        return sum(earlier) / len(earlier), "as the finished runs took"
    if isinstance(plan.llm, OpenAiLlm):
        waves = per_run.calls / plan.llm.max_concurrency
        how = f"assuming {_HOSTED_CALL_S:g} s per call and {plan.llm.max_concurrency} calls in flight"
        return waves * _HOSTED_CALL_S, how
    if not asking or isinstance(plan.llm, ReplayLlm):
        return 0.0, ""
    start_s, call_s = _timed(plan)
    return start_s + per_run.calls * call_s, f"timed on one question: {call_s:.1f} s, and {start_s:.1f} s to start the model"


def _timed(plan: Plan) -> tuple[float, float]:
    """Seconds to start a local model and for one question to it: a run of the subject that may ask no more."""
    begin = time.perf_counter()
    budget = replace(plan.budget, llm_calls=1)
    result = solve(plan.instance(0), plan.subject, budget=budget, seed=-1, llm=plan.llm)
    total_s, call_s = time.perf_counter() - begin, float(result.record.used.wall_s)
    return max(0.0, total_s - call_s), call_s
