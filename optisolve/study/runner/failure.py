"""The record of a unit that has no result: a failure counts as the worst outcome, so it must not be missing."""

from __future__ import annotations

import tempfile

import numpy as np

from optisolve.core.budget import Budget, BudgetMeter
from optisolve.core.problem import Instance
from optisolve.core.solver import Outcome
from optisolve.core.status import Termination
from optisolve.llm.config import NoLlm
from optisolve.registry import SOLVERS
from optisolve.run.evaluator import Evaluator
from optisolve.run.execution import Run
from optisolve.run.records import build_record
from optisolve.run.schema import ModelPart
from optisolve.run.solve import Result
from optisolve.run.verify import verify_points
from optisolve.study.runner.plan import Unit
from optisolve.study.runner.worker import Failure

__all__ = ["failure_files"]


def failure_files(unit: Unit, instance: Instance, failure: Failure, seconds: float) -> dict[str, bytes]:
    """Files of a failed unit.

    Args:
        unit: What was to be run.
        instance: Its instance.
        failure: Why there is no result.
        seconds: How long it took, s.

    Returns:
        ``record.json`` with termination ERROR, no points and no scores, the kind of failure under
        ``used.report.failure``; empty ``front.parquet`` and ``trace.parquet``.
    """
    solver, budget = SOLVERS.get(unit.solver).from_mapping(unit.options), Budget.from_mapping(unit.budget)
    nothing = np.empty((0, instance.space.dim))
    outcome = Outcome(nothing, Termination.ERROR, detail=failure.detail, report={"failure": failure.kind})
    meter = BudgetMeter(budget)
    told = {"kind": NoLlm.kind} if unit.llm is None else unit.llm
    llm = None
    if told["kind"] != NoLlm.kind:
        llm = ModelPart(provider=str(told["kind"]), model=str(told.get("model", "")), params={})
    run = Run(outcome, Evaluator(instance, meter), meter, seconds, 0.0, None, unit.seed, llm)
    verification = verify_points(instance, nothing)
    record = build_record(instance, solver, run, verification, suite=unit.membership())
    with tempfile.TemporaryDirectory(prefix="optisolve-failure-") as folder:
        saved = Result(instance, record, verification, run).save(folder)
        return {path.name: path.read_bytes() for path in saved.iterdir()}
