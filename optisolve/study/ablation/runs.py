"""The runs of an ablation, by the runner of suites: finished ones are found again, cut-off ones take their replies again."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field

from optisolve.core.documents import write_atomic
from optisolve.core.errors import OptisolveError
from optisolve.run.schema import Record
from optisolve.study.ablation.plan import Key, Plan
from optisolve.study.runner import Progress, run_suite
from optisolve.study.runner.run import Executor
from optisolve.study.runner.store import Store, open_store

__all__ = ["STOPPED", "Ablation", "finished_runs", "run_plan"]

STOPPED = "stopped by the user"


@dataclass(slots=True)
class Ablation:
    """The experiment as far as it came.

    Attributes:
        plan: What was to be done.
        records: Records of the finished runs.
        executed: Runs of this call.
        stopped: Why it ended early, "" when it is complete.
    """

    plan: Plan
    records: dict[Key, Record] = field(default_factory=dict)
    executed: int = 0
    stopped: str = ""

    @property
    def complete_pairs(self) -> list[tuple[int, int]]:
        """Pairs of which every arm is there."""
        return [pair for pair in self.plan.pairs if all((arm.name, *pair) in self.records for arm in self.plan.arms)]

    @property
    def partial(self) -> bool:
        """True when a run is missing."""
        return len(self.complete_pairs) < len(self.plan.pairs)

    def files(self, key: Key) -> dict[str, bytes]:
        """What lies beside a record, by name."""
        return _store(self.plan).read(self.plan.runs[key].id)


def finished_runs(plan: Plan) -> dict[Key, Record]:
    """Records of the runs that are there already; one whose model could not be had is not."""
    store = _store(plan)
    there = store.finished()
    found = {key: store.record(unit.id) for key, unit in plan.runs.items() if unit.id in there}
    return {key: record for key, record in found.items() if not (key[0] in plan.asking and _never_began(record))}


def run_plan(
    plan: Plan,
    executor: Executor = "serial",
    workers: int | None = None,
    threads: int = 1,
    *,
    on_progress: Callable[[Progress], None] | None = None,
) -> Ablation:
    """Perform what is not there yet; Ctrl-C and errors keep what is finished.

    Args:
        plan: The experiment.
        executor: As for `optisolve.study.runner.run_suite`, as are the others.
        workers: Units at a time.
        threads: Threads of the numerical libraries in each worker.
        on_progress: Called at the start and after every run.

    Raises:
        OptisolveError: Nothing could be run at all.
    """
    begun = 0

    def watch(state: Progress) -> None:
        nonlocal begun
        begun = state.done
        if on_progress is not None:
            on_progress(state)
        if state.unit is not None and state.unit.llm is not None and state.record is not None and _never_began(state.record):
            raise OptisolveError(str(state.record.termination.detail))  # says nothing about the model's worth

    plan.out.mkdir(parents=True, exist_ok=True)
    write_atomic(plan.suite.path, plan.text.encode())
    stopped, failed = "", None
    try:
        done = run_suite(
            plan.suite,
            plan.out,
            executor=executor,
            workers=workers,
            threads=threads,
            trust=plan.trust,
            retry=True,
            on_progress=watch,
        )
        stopped = STOPPED if done.interrupted else ""
    except OptisolveError as error:
        stopped, failed = str(error), error
    ablation = Ablation(plan, finished_runs(plan), begun, stopped)
    if failed is not None and not ablation.records:
        raise failed
    return ablation


def _store(plan: Plan) -> Store:
    return open_store(os.fspath(plan.out), plan.suite.name)


def _never_began(record: Record) -> bool:
    """A run that broke before its first evaluation, as without a key or without weights; a killed one has had its chance."""
    return bool(record.used.report.get("failure") == "error")
