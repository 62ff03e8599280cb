"""Run a suite: plan, resume, carry out, publish each unit as it finishes."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from optisolve.core.budget import Budget
from optisolve.core.documents import JsonObject
from optisolve.core.errors import FieldProblem, OptionError, OptisolveError
from optisolve.core.status import Termination
from optisolve.llm.config import require_trust
from optisolve.run.schema import Record
from optisolve.study.lock import require_lock
from optisolve.study.runner.executors import cores, joblib_executor, serial_executor
from optisolve.study.runner.failure import failure_files
from optisolve.study.runner.plan import Plan, Skip, Unit, make_plan
from optisolve.study.runner.store import Store, open_store
from optisolve.study.runner.worker import Delivery
from optisolve.study.suite import Suite, load_suite, with_solvers
from optisolve.study.tracking import Tracked, Tracker

__all__ = ["Progress", "SuiteRun", "plan_suite", "run_suite"]

Executor = Literal["serial", "joblib", "ray"]


@dataclass(slots=True)
class Progress:
    """How far a run is; the callback of `run_suite` gets it at the start and after every unit.

    Attributes:
        total: Units to run, without those that were finished before.
        done: Units finished in this run.
        failed: How many of them failed.
        unit: The last one, None at the start.
        record: Its record.
        seconds: How long it took, s.
    """

    total: int
    done: int = 0
    failed: int = 0
    unit: Unit | None = None
    record: Record | None = None
    seconds: float = 0.0

    def after(self, unit: Unit, record: Record, seconds: float) -> None:
        """Count one more unit."""
        self.done += 1
        self.failed += record.termination.status == Termination.ERROR
        self.unit, self.record, self.seconds = unit, record, seconds


@dataclass(frozen=True, eq=False, slots=True)
class SuiteRun:
    """What a run of a suite did.

    Attributes:
        suite: The suite.
        folder: Where the records are: ``OUT/SUITE``.
        finished: Units that have a record now, in the order of the plan.
        executed: How many of them were run just now.
        skipped: Solvers that do not run on a problem, with reasons.
        missing: Units of the plan that have no record, because the run was interrupted.
        interrupted: Ctrl-C ended the run; the same call goes on where it stopped.
        notices: What the user must see.
    """

    suite: Suite
    folder: str
    finished: tuple[Unit, ...]
    executed: int
    skipped: tuple[Skip, ...]
    missing: int
    interrupted: bool
    notices: tuple[str, ...]
    _store: Store = field(repr=False)

    def records(self) -> Iterator[tuple[Unit, Record]]:
        """Every finished unit with its record."""
        for unit in self.finished:
            yield unit, self._store.record(unit.id)

    @property
    def failures(self) -> list[tuple[Unit, str]]:
        """Units whose record says ERROR, and why."""
        return [(u, r.termination.detail) for u, r in self.records() if r.termination.status is Termination.ERROR]


def plan_suite(suite: str | os.PathLike[str] | Suite, only: str = "", solvers: Iterable[str | JsonObject] = ()) -> Plan:
    """Everything that running a suite would do, without doing it.

    Args:
        suite: Name, path of a YAML file, or a loaded suite.
        only: See `run_suite`.
        solvers: See `run_suite`.

    Raises:
        OptisolveError: The suite is unknown, wrong, or not what its lock file says.
    """
    loaded = suite if isinstance(suite, Suite) else load_suite(suite)
    lock = require_lock(loaded)
    return make_plan(with_solvers(loaded, solvers) if solvers else loaded, lock, only)


def run_suite(
    suite: str | os.PathLike[str] | Suite,
    out: str | os.PathLike[str] = "runs",
    *,
    executor: Executor = "joblib",
    workers: int | None = None,
    threads: int = 1,
    address: str = "local",
    only: str = "",
    solvers: Iterable[str | JsonObject] = (),
    trust: Collection[str] = (),
    resume: bool = True,
    retry: bool = False,
    tracker: Tracker | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> SuiteRun:
    """Run a benchmark suite; every unit (instance, solver, repetition) leaves one record in ``OUT/SUITE/UNIT/``.

    Units run in child processes with a limit on time and memory. A unit that crashes, is killed or breaks its limits
    leaves a record as well, with termination ERROR and no points, so that it counts. Results depend neither on the executor
    nor on the number of workers, nor on the order.

    Args:
        suite: Name, path of a YAML file, or a loaded suite.
        out: Folder, or a URL that fsspec knows.
        executor: ``serial`` (one worker), ``joblib`` (several on this machine) or ``ray`` (a cluster).
        workers: Units at a time; None means one per core.
        threads: Threads of the numerical libraries in each worker.
        address: Of the Ray cluster: ``local``, ``auto`` or ``HOST:PORT``.
        only: Part of the suite, e.g. ``"solver:moead,problem:uav_isac"``. Terms of one kind add up, different kinds
            restrict each other; kinds are problem, solver, instance and repetition.
        solvers: Run these on the suite's problems in place of the suite's own, at its budget: presets by name, or mappings
            with ``solver``, ``label``, ``options`` and ``llm``. This is how a new solver enters a comparison.
        trust: Endpoints that the suite's file may ask, ``VARIABLE@URL`` each: it alone sends neither prompt nor key anywhere.
        resume: Keep finished units and run the others. False refuses a folder that holds records.
        retry: Run units again whose record says ERROR.
        tracker: Told of every record after it was written; see `optisolve.study.tracking`.
        on_progress: Called at the start and after every unit.

    Returns:
        The run, also after Ctrl-C; finished units are kept.

    Raises:
        OptisolveError: The suite is unknown, wrong or stale; it names a host that is not trusted; records of another suite
            are in `out`; a worker cannot be started or has other versions.
    """
    _check(executor, workers, threads)
    solvers = list(solvers)
    plan = plan_suite(suite, only, solvers)
    _require_trust(plan, solvers, trust)
    store = open_store(os.fspath(out), plan.suite.name)
    with store.exclusive():
        finished = store.adopt(plan, resume=resume)
        if retry:
            finished -= _withdraw(store, plan, finished)
        todo = {unit.id: unit for unit in plan.units if unit.id not in finished}
        tracked = Tracked(tracker)
        progress, interrupted = Progress(len(todo)), False
        deliveries = _in_waves(
            plan, store, list(todo.values()), lambda units: _deliveries(executor, units, store, workers, threads, address)
        )
        try:
            tracked.catch_up(store, (unit for unit in plan.units if unit.id in finished))
            _tell(on_progress, progress)
            for delivery in deliveries:
                unit = todo[delivery.unit_id]
                record = _publish(plan, store, unit, delivery)
                del todo[unit.id]
                tracked.log(store, unit, record)
                progress.after(unit, record, delivery.seconds)
                _tell(on_progress, progress)
        except KeyboardInterrupt:
            interrupted = True
        finally:
            deliveries.close()
            tracked.close()
    return SuiteRun(
        suite=plan.suite,
        folder=store.name,
        finished=tuple(unit for unit in plan.units if unit.id not in todo),
        executed=progress.done,
        skipped=plan.skipped,
        missing=len(todo),
        interrupted=interrupted,
        notices=tuple(tracked.notices),
        _store=store,
    )


def _require_trust(plan: Plan, solvers: Iterable[str | JsonObject], trust: Collection[str]) -> None:
    """Refuse hosts and key variables that the suite's file alone has named; a caller's solver with a model has the caller's."""
    own = {str(told.get("label") or told.get("solver")) for told in solvers if isinstance(told, Mapping) and told.get("llm")}
    asked = {unit.label: unit for unit in plan.units if unit.label not in own}
    for unit in asked.values():
        if (llm := unit.model()) is not None:
            require_trust(llm, f"Suite {plan.suite.path}", trusted=trust)


def _check(executor: str, workers: int | None, threads: int) -> None:
    found = []
    if executor not in get_args(Executor):
        found.append(FieldProblem("executor", executor, f"one of {', '.join(get_args(Executor))}"))
    if workers is not None and workers < 1:
        found.append(FieldProblem("workers", workers, "a number of workers, 1 or more"))
    if executor == "serial" and workers not in (None, 1):
        found.append(FieldProblem("workers", workers, "1 with executor=serial; executor=joblib has several"))
    if threads < 1:
        found.append(FieldProblem("threads", threads, "a number of threads, 1 or more"))
    if found:
        raise OptionError("The run's configuration", found)


def _in_waves(
    plan: Plan, store: Store, units: Sequence[Unit], deliver: Callable[[Sequence[Unit]], Generator[Delivery]]
) -> Generator[Delivery]:
    """Units that nobody has to wait for at once; then those of episodes with a memory, step by step."""
    waves: dict[int, list[Unit]] = {}
    for unit in units:
        waves.setdefault(unit.index if unit.memory else 0, []).append(unit)
    for number in sorted(waves):
        yield from deliver([_handed(plan, store, unit) if number else unit for unit in waves[number]])


def _handed(plan: Plan, store: Store, unit: Unit) -> Unit:
    """A unit with what its memory hands it, from the records of earlier steps.

    Raises:
        OptisolveError: One of them is not part of this run.
    """
    from optisolve.study.episodes.chains import handed_to

    case = next(case for case in plan.suite.cases if case.label == unit.case)
    mine = (unit.case, unit.label, unit.repetition)
    chain = {u.index: u for u in plan.units if (u.case, u.label, u.repetition) == mine and u.index < unit.index}
    if len(chain) < unit.index:
        raise OptisolveError(f"{unit.id} goes on from the steps before it: run those too, without instance: in only=.")
    records = [store.record(chain[i].id) for i in range(unit.index)]
    handed = handed_to(case.steps(), records, unit.memory, Budget.from_mapping(unit.budget), plan.suite.seed)
    start = None if handed.warm_start is None else handed.warm_start.tolist()
    return replace(unit, warm_start=start, notes=handed.notes)


def _deliveries(
    executor: str, units: Sequence[Unit], store: Store, workers: int | None, threads: int, address: str
) -> Generator[Delivery]:
    if not units:
        yield from ()
    elif executor == "serial":
        yield from serial_executor(units, store.scratch, threads=threads)
    elif executor == "joblib":
        count = min(len(units), max(1, cores() // threads) if workers is None else workers)
        yield from joblib_executor(units, store.scratch, workers=count, threads=threads)
    else:
        from optisolve.study.runner.ray_executor import ray_executor

        yield from ray_executor(units, address=address, workers=workers, threads=threads)


def _publish(plan: Plan, store: Store, unit: Unit, delivery: Delivery) -> Record:
    """Write what a unit brought; a failure becomes a record of its own."""
    files = delivery.files
    if delivery.failure is not None:
        instance = plan.lock.instances[unit.case, unit.instance]
        files = {**files, **failure_files(unit, instance, delivery.failure, delivery.seconds)}
    record = Record.parse(files["record.json"], where=f"unit {unit.id}")
    if record.suite.unit != unit.id:
        raise OptisolveError(f"A worker delivered {record.suite.unit} for {unit.id}; nothing of it was written.")
    store.write(unit.id, files)
    return record


def _withdraw(store: Store, plan: Plan, finished: set[str]) -> set[str]:
    """Remove the planned units whose record says ERROR."""
    ids = [unit.id for unit in plan.units if unit.id in finished]
    broken = {name for name in ids if store.record(name).termination.status is Termination.ERROR}
    first: dict[tuple[str, str, int], int] = {}
    for unit in plan.units:
        if unit.memory and unit.id in broken:
            key = (unit.case, unit.label, unit.repetition)
            first[key] = min(unit.index, first.get(key, unit.index))
    later = {u.id for u in plan.units if u.memory and u.index > first.get((u.case, u.label, u.repetition), u.index)}
    broken |= later & set(ids)  # they have gone on from it
    for name in broken:
        store.remove(name)
    return broken


def _tell(on_progress: Callable[[Progress], None] | None, progress: Progress) -> None:
    if on_progress is not None:
        on_progress(progress)
