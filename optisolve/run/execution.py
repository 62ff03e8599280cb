"""One run: a solver meets an instance under a budget, and nothing that was paid for is lost."""

from __future__ import annotations

import pickle
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, fields
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from optisolve.core.arrays import FloatArray
from optisolve.core.budget import Budget, BudgetMeter
from optisolve.core.documents import plain
from optisolve.core.errors import BudgetExhausted, OptisolveError, SolverError
from optisolve.core.evaluation import watching
from optisolve.core.problem import Instance
from optisolve.core.solver import Outcome, Solver, Task
from optisolve.core.status import Limit, Termination
from optisolve.registry import able
from optisolve.run.evaluator import Evaluator
from optisolve.run.schema import CachePart, ModelPart

if TYPE_CHECKING:
    from optisolve.llm.session import LlmSession

__all__ = ["Progress", "Run", "execute"]


@dataclass(frozen=True, slots=True)
class Progress:
    """What a progress display may look at while a run goes on.

    Attributes:
        evaluator: Archive and history so far.
        meter: What was used so far.
    """

    evaluator: Evaluator
    meter: BudgetMeter


@dataclass(frozen=True, slots=True)
class Run:
    """Raw result of one run, before verification.

    Attributes:
        outcome: What the solver returned, or what the archive held when it was stopped.
        evaluator: History and archive.
        meter: What was used.
        wall_s: Wall-clock time, s.
        cpu_s: Processor time of this process, s.
        error: The exception that ended the run, None in all other cases.
        seed: The run's seed.
        llm: Provider, model, parameters and transcript of the language model; None without one.
        notice: One line the user must see (which stand-in was used and why), or "".
        llm_cache: Calls answered by the response cache and what they would have cost, US dollars; None without hits.
        warm_start: float64 [n, d], points that the run started from; None for a run that started from nothing.
    """

    outcome: Outcome
    evaluator: Evaluator
    meter: BudgetMeter
    wall_s: float
    cpu_s: float
    error: Exception | None
    seed: int
    llm: ModelPart | None = None
    notice: str = ""
    llm_cache: CachePart | None = None
    warm_start: FloatArray | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Runs travel between processes; an exception of a plug-in that cannot is told in words."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return Run, tuple({**values, "error": _portable(self.error)}.values())


def _portable(error: Exception | None) -> Exception | None:
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # whatever a foreign class does when it is made again
        return SolverError(f"{type(error).__name__}: {error}")
    return error


def execute(
    instance: Instance,
    solver: Solver,
    *,
    budget: Budget,
    seed: int,
    llm: Any = None,
    transcript: Path | None = None,
    warm_start: FloatArray | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    dry_run: bool = False,
) -> Run:
    """Run a solver; Ctrl-C, an exhausted budget or a crash still yields the points found so far.

    Args:
        instance: What to solve.
        solver: Who solves it.
        budget: Limits; at least one must be set.
        seed: The run's seed.
        llm: Configuration of the language model, for solvers that use one.
        transcript: Where requests and replies are written as they happen, and taken from when the run was cut off
            before; None keeps them in memory.
        warm_start: float64 [n, d], points to start from.
        on_progress: Called a few times a second.
        dry_run: Ask no language model; answers are made up, their cost is estimated.

    Returns:
        The run; its `error` is set when the solver raised.

    Raises:
        SolverError: The solver cannot treat this instance, or no limit is set.
        LlmError: The language model cannot be had (missing key, unreachable, no weights).
    """
    reason = solver.skip(instance)
    if reason is not None:
        raise SolverError(f"{solver.info.name} cannot solve {instance.origin.scenario}: {reason}. {able(instance)}")
    if budget.unlimited:
        raise SolverError("The budget has no limit at all. Set one, e.g. budget.evaluations=5000.")
    meter = BudgetMeter(budget)
    with _session(solver, llm, meter, transcript, seed, dry_run) as session:
        meter.restart_clock()  # starting a model server is not solving
        report = None if on_progress is None else (lambda evaluator: on_progress(Progress(evaluator, meter)))
        evaluator = Evaluator(instance, meter, on_progress=report)
        task = Task(
            instance=instance,
            evaluate=evaluator,
            recorder=evaluator,
            meter=meter,
            seed=seed,
            solver_name=solver.info.name,
            warm_start=warm_start,
            llm=session,
        )
        wall, cpu = time.perf_counter(), time.process_time()
        with _stop_on_signal(meter):
            outcome, error = _guarded(solver, task, evaluator)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        if session is not None and outcome.termination not in (Termination.INTERRUPTED, Termination.ERROR):
            session.forget_unasked()
        described = None if session is None else ModelPart.model_validate(plain(session.describe()))
        notice = "" if session is None else session.notice
        cache = None
        if session is not None and session.cached_calls:
            cache = CachePart(calls=session.cached_calls, usd=session.cached_usd)
    return Run(outcome, evaluator, meter, wall, cpu, error, seed, described, notice, cache, warm_start)


def _guarded(solver: Solver, task: Task, evaluator: Evaluator) -> tuple[Outcome, Exception | None]:
    def cut_short(termination: Termination, limit: Limit | None = None, detail: str = "") -> Outcome:
        report = {} if task.reporter is None else task.reporter()
        return evaluator.outcome(termination, limit, detail=detail, report=report)

    try:
        with watching(task.instance, evaluator):
            return solver._solve(task), None
    except BudgetExhausted as stop:
        return cut_short(Termination.LIMIT, stop.limit, str(stop)), None
    except KeyboardInterrupt:
        return cut_short(Termination.INTERRUPTED, detail="stopped by the user"), None
    except MemoryError as error:
        return cut_short(Termination.LIMIT, Limit.MEMORY, str(error)), None
    except OptisolveError as error:
        return cut_short(Termination.ERROR, detail=str(error)), error
    except Exception as error:  # a plug-in's bug must not lose what was evaluated
        return cut_short(Termination.ERROR, detail=f"{type(error).__name__}: {error}"), error


@contextmanager
def _stop_on_signal(meter: BudgetMeter) -> Iterator[None]:
    """Tell the meter of an interrupt: foreign code (a compiler's callback) may swallow the exception, accounts must close."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def remember(number: int, frame: FrameType | None) -> None:
        handler = previous[signal.Signals(number)]
        if meter.interrupt() and callable(handler):
            handler(number, frame)

    watched = [number for number, handler in previous.items() if callable(handler)]
    try:
        for number in watched:
            signal.signal(number, remember)
        yield
    finally:
        for number in watched:
            signal.signal(number, previous[number])


def _session(
    solver: Solver, llm: Any, meter: BudgetMeter, transcript: Path | None, seed: int, dry_run: bool
) -> LlmSession | nullcontext[None]:
    if not solver.info.uses_llm:
        return nullcontext()
    from optisolve.llm.session import open_session

    return open_session(llm, meter, transcript=transcript, seed=seed, dry_run=dry_run)
