"""What a run would ask a language model and what that would cost, before anything is sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from optisolve.core.budget import Budget
from optisolve.core.errors import OptisolveError, SolverError
from optisolve.core.problem import Instance
from optisolve.core.solver import Solver
from optisolve.run.execution import execute

__all__ = ["Estimate", "estimate"]


@dataclass(frozen=True, slots=True)
class Estimate:
    """Expected use of a language model; nothing was sent.

    Attributes:
        model: Name asked for.
        calls: Requests.
        tokens_in: Prompt tokens, estimated from the run's own prompts.
        tokens_out: Completion tokens, estimated from answers of the form asked for.
        usd: Expected cost, US dollars; None when the prices are unknown.
        worst_tokens: Tokens when every answer is as long as it may be and every token a single byte.
        worst_usd: Cost then; None when the prices are unknown.
        prices: The prices in words.
    """

    model: str
    calls: int
    tokens_in: int
    tokens_out: int
    usd: float | None
    worst_tokens: int
    worst_usd: float | None
    prices: str


def estimate(instance: Instance, solver: Solver, *, budget: Budget, seed: int = 0, llm: Any = None) -> Estimate:
    """Run with made-up answers and count what would have been sent.

    The number of calls is that of a run in which every answer is usable; re-asks come on top, at most the budget.

    Args:
        instance: What would be solved.
        solver: Who would solve it.
        budget: Limits; they are enforced as in the run itself.
        seed: The run's seed.
        llm: Configuration of the language model.

    Raises:
        SolverError: As `optisolve.solve`.
        LlmError: A dollar budget without prices, or a configuration that can never work.
    """
    from optisolve.llm.config import AutoLlm
    from optisolve.llm.estimate import dry_profile, told_prices

    config = AutoLlm() if llm is None else llm
    if isinstance(config, AutoLlm):
        config, _ = config.resolve()
    profile = dry_profile(config)
    run = execute(instance, solver, budget=budget, seed=seed, llm=config, dry_run=True)
    if isinstance(run.error, OptisolveError):
        raise run.error
    if run.error is not None:
        raise SolverError(f"{solver.info.name} broke in the dry run: {run.error}") from run.error
    meter = run.meter
    return Estimate(
        model=profile.model,
        calls=meter.llm_calls,
        tokens_in=meter.tokens_in,
        tokens_out=meter.tokens_out,
        usd=meter.usd if profile.priced else None,
        worst_tokens=meter.worst_tokens,
        worst_usd=meter.worst_usd if profile.priced else None,
        prices=told_prices(profile),
    )
