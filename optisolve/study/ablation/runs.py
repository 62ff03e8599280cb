"""The runs of an ablation: a folder per pair, finished runs found again by their settings, cut-off ones continued."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from optisolve.core.arrays import FloatArray, IntArray
from optisolve.core.budget import Budget
from optisolve.core.files import write_atomic
from optisolve.core.problem import Instance
from optisolve.core.reference import Reference
from optisolve.core.solver import Solver
from optisolve.core.status import Termination
from optisolve.llm.config import LlmConfig
from optisolve.numerics.indicators import hypervolume_trace
from optisolve.run.execution import Progress
from optisolve.run.history import History
from optisolve.run.jobs import find_finished, identity, join_job
from optisolve.run.records import read_record
from optisolve.run.schema import Record
from optisolve.run.solve import solve

__all__ = ["CURVE", "Asked", "RunCurve", "finished_run", "perform", "read_curve"]

CURVE = "curve.json"
"""Beside a record: the anytime curve in more detail than the record's own, with what the language model had cost by then."""

_CURVE_POINTS = 200

Found = tuple[Record, Path]
"""A record and its folder."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Everything that shapes one run.

    Attributes:
        folder: Where the pair's records lie.
        name: Of the arm.
        instance: What is solved.
        solver: Who solves it.
        seed: The run's seed.
        budget: Limits.
        llm: The language model, for arms that ask one.
    """

    folder: Path
    name: str
    instance: Instance
    solver: Solver
    seed: int
    budget: Budget
    llm: LlmConfig | None

    @property
    def settings(self) -> dict[str, Any]:
        """JSON-compatible; equal settings are the same run."""
        origin = self.instance.origin
        return {
            "instance": [origin.problem, origin.version, origin.scenario, origin.seed, self.instance.sha256],
            "solver": [self.solver.info.name, self.solver.info.version, self.solver.options()],
            "seed": self.seed,
            "budget": self.budget.options(),
            "llm": None if self.llm is None else [self.llm.kind, self.llm.options()],
        }


@dataclass(frozen=True, slots=True, eq=False)
class RunCurve:
    """What a run had reached and spent.

    Attributes:
        evaluations: float64 [k], ascending.
        value: float64 [k], hypervolume, or best feasible objective in its own sense; NaN while nothing is feasible.
        spending: float64 [s, 4], evaluations, calls, tokens and US dollars so far; the end of the run comes last.
    """

    evaluations: FloatArray
    value: FloatArray
    spending: FloatArray


@dataclass(slots=True)
class _Watcher:
    """Notes the spending while a run goes on, and passes its state on."""

    on_progress: Callable[[Progress], None] | None
    rows: list[list[float]] = field(default_factory=list)

    def __call__(self, state: Progress) -> None:
        meter = state.meter
        self.rows.append([meter.evaluations, meter.llm_calls, meter.tokens_in + meter.tokens_out, meter.usd])
        if self.on_progress is not None:
            self.on_progress(state)


def finished_run(asked: Asked) -> Found | None:
    """The record that an earlier call finished with the same settings, and its folder; None without one."""
    folder = find_finished(asked.folder, identity(asked.settings))
    return None if folder is None else (read_record(folder), folder)


def perform(asked: Asked, *, reference: Reference | None, on_progress: Callable[[Progress], None] | None = None) -> Found:
    """Run and save one cell.

    A run that was cut off left its transcript; the replies in it are used again, none is paid for twice. A run that
    another process is at is waited for.

    Raises:
        KeyboardInterrupt: The user stopped the run.
        OptisolveError: As `optisolve.solve`.
    """
    held = join_job(asked.folder, asked.name, asked.settings)
    if isinstance(held, Path):
        return read_record(held), held
    watcher = _Watcher(on_progress)
    try:
        result = solve(
            asked.instance,
            asked.solver,
            budget=asked.budget,
            seed=asked.seed,
            llm=asked.llm,
            reference=reference,
            on_progress=watcher,
            scratch=held.path,
        )
        if result.termination is Termination.INTERRUPTED:
            raise KeyboardInterrupt
        curve = _curve(asked.instance, result.run.evaluator.history, watcher.rows)
        write_atomic(held.path / CURVE, json.dumps(curve).encode())
    except BaseException:
        held.discard_when_empty()
        raise
    folder = result.save(asked.folder)
    held.release(at=folder)
    return result.record, folder


def read_curve(folder: Path, record: Record) -> RunCurve:
    """The curve of a finished run."""
    told = json.loads((folder / CURVE).read_text(encoding="utf-8"))
    value = [np.nan if v is None else v for v in told["value"]]
    used = record["used"]
    end = [used["evaluations"], used["llm_calls"], used["tokens_in"] + used["tokens_out"], used["usd"]]
    spending = [row for row in told["spending"] if row[0] < end[0]] + [end]
    return RunCurve(np.array(told["evaluations"], dtype=np.float64), np.array(value), np.array(spending, dtype=np.float64))


def _curve(instance: Instance, history: History, spending: list[list[float]]) -> dict[str, Any]:
    n = len(history)
    at: IntArray = np.unique(np.rint(np.linspace(1, n, min(n, _CURVE_POINTS))).astype(np.int64))
    if instance.hypervolume_box is not None:
        values = hypervolume_trace(history.F_min, history.violation, instance.signs, instance.hypervolume_box, at)
    else:
        best = np.minimum.accumulate(np.where(history.violation <= 0.0, history.F_min[:, 0], np.inf))[at - 1]
        values = best * instance.signs[0]
    told = [float(v) if np.isfinite(v) else None for v in values]
    return {"evaluations": at.tolist(), "value": told, "spending": spending}
