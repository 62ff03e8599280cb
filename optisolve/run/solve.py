"""One call from instance to verified result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.budget import Budget
from optisolve.core.errors import SolverError
from optisolve.core.problem import Instance, Problem
from optisolve.core.reference import Reference
from optisolve.core.solver import Solver
from optisolve.registry import PROBLEMS, SOLVERS, make_solver
from optisolve.run.execution import Progress, Run, execute
from optisolve.run.records import build_record
from optisolve.run.result import Result
from optisolve.run.schema import Tier
from optisolve.run.verify import confront, own_errors, verify_points

__all__ = ["DEFAULT_BUDGET", "solve"]

DEFAULT_BUDGET = Budget(evaluations=5000, llm_calls=40)
"""What a run may spend when nothing is said: seconds on a laptop, and at most 40 calls to a language model."""


def solve(
    instance: Instance | Problem,
    solver: str | Solver = "ledma",
    *,
    budget: Budget | None = None,
    seed: int = 0,
    llm: Any = "auto",
    reference: Reference | None = None,
    warm_start: FloatArray | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    scratch: Path | None = None,
    suite: Mapping[str, str] | None = None,
    **options: Any,
) -> Result:
    """Solve an instance and verify the answer independently.

    Args:
        instance: What to solve; a problem means its instance 0.
        solver: A preset name or a solver object.
        budget: Limits; default 5,000 evaluations and 40 language-model calls.
        seed: The run's seed. Same seed, same ``result_hash``.
        llm: Language model for solvers that use one: ``"auto"``, ``"local"``, ``"openai"``, ``"surrogate"``, or a
            configuration from `optisolve.llm`.
        reference: What gaps and IGD+ are measured against; None leaves them empty.
        warm_start: float64 [n, d], points to start from; they stand in the record, since the result depends on them.
        on_progress: Called a few times a second with the run's state.
        scratch: Folder for the transcript while the run goes on; `Result.save` moves it beside the record.
        suite: ``name``, ``version`` and ``sha256`` of the benchmark suite that the run belongs to, for its record.
        **options: Options that replace the preset's.

    Returns:
        The verified result; also after Ctrl-C, with termination INTERRUPTED.

    Raises:
        OptisolveError: Unknown names, bad options, a solver that cannot treat the instance, or a solver that broke
            before it evaluated anything. A solver that broke later yields a result with termination ERROR.
    """
    case = instance.instance(0) if isinstance(instance, Problem) else instance
    method = _solver(solver, options)
    limits = DEFAULT_BUDGET if budget is None else budget
    start = None if warm_start is None else _warm_start(case, warm_start)
    run = execute(
        case,
        method,
        budget=limits,
        seed=seed,
        llm=_llm(llm) if method.info.uses_llm else None,
        transcript=None if scratch is None else scratch / "transcript.jsonl",
        warm_start=start,
        on_progress=on_progress,
    )
    if run.error is not None and len(run.evaluator.history) == 0:
        raise SolverError(f"{method.info.name} broke before its first evaluation: {run.error}") from run.error
    _require_any(run)
    verification = verify_points(case, run.outcome.X)
    errors = own_errors(run.evaluator, verification.X, verification.F, verification.max_violation)
    standing = confront(case, reference, verification)
    record = build_record(
        case,
        method,
        run,
        verification,
        reference=standing,
        suite=suite,
        tier=Tier.SELF_REPORTED if errors else _claim(case, method, kept=scratch is not None),
        errors=errors,
    )
    return Result(case, record, verification, run, scratch)


def _require_any(run: Run) -> None:
    """A model that evaluated nothing at all leaves nothing to record."""
    evaluator = run.evaluator
    usable = len(evaluator.history) - (evaluator.failed if evaluator.policy == "penalize" else 0)
    if evaluator.failed and usable <= 0:
        told = f"{evaluator.instance.origin.scenario}: the model could evaluate none of {evaluator.failed} points"
        raise SolverError(f"{told}; the first: {evaluator.first_failure}.") from run.error


def _warm_start(instance: Instance, points: FloatArray) -> FloatArray | None:
    """The points as float64 [n, d]; None when there are none."""
    try:
        X = np.atleast_2d(np.array(points, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise SolverError(f"warm_start is no array of numbers ({error}); expected [n, {instance.space.dim}].") from None
    if X.size == 0:
        return None
    if X.ndim != 2 or X.shape[1] != instance.space.dim or not np.isfinite(X).all():
        raise SolverError(f"warm_start has shape {X.shape}; expected finite values [n, {instance.space.dim}].")
    return X


def _claim(instance: Instance, solver: Solver, *, kept: bool) -> Tier:
    """What a record may claim at most: nobody else can check an unregistered plug-in, own files, replies that are not kept."""
    known = PROBLEMS.targets().get(instance.origin.problem) and SOLVERS.targets().get(solver.info.name)
    checkable = known and not solver.unshipped()
    return Tier.VERIFIED if checkable and (kept or not solver.info.uses_llm) else Tier.SELF_REPORTED


def _solver(solver: str | Solver, options: Mapping[str, Any]) -> Solver:
    if isinstance(solver, str):
        return make_solver(solver, options)
    if not isinstance(solver, Solver):
        raise SolverError(f"solver must be a preset name or a Solver object, got {type(solver).__name__}.")
    return solver.with_option(**options) if options else solver


def _llm(llm: Any) -> Any:
    from optisolve.llm.config import llm_config

    return llm_config(llm) if isinstance(llm, str) else llm
