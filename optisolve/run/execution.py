"""One run: a solver meets an instance under a budget, and nothing that was paid for is lost."""

from __future__ import annotations

import copy
import pickle
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.budget import Budget, BudgetMeter
from optisolve.core.clock import limited
from optisolve.core.documents import plain
from optisolve.core.errors import BudgetExhausted, OptisolveError, OutOfTime, RunStopped, SolverError
from optisolve.core.evaluation import Evaluation, Twins, watching
from optisolve.core.failures import Attempt, examined
from optisolve.core.memory import NoRoom
from optisolve.core.problem import Description, Instance
from optisolve.core.reference import STOPPED
from optisolve.core.solver import Outcome, Solver, Task
from optisolve.core.status import Limit, Termination
from optisolve.numerics.indicators import hypervolume
from optisolve.registry import SOLVERS, able
from optisolve.run.archive import Archive
from optisolve.run.evaluator import Evaluator
from optisolve.run.schema import CachePart, ModelPart, WorkersPart

if TYPE_CHECKING:
    from optisolve.llm.session import LlmSession
    from optisolve.run.flight import Flights
    from optisolve.run.pool import Pool

__all__ = ["Callback", "Progress", "Run", "execute", "finishing", "interruptible", "now_and_then", "require_fit"]


@dataclass(slots=True)
class Progress:
    """How far a run has come; a callback is told after every batch of evaluations.

    What it says about the best points is worked out when it is asked for, and is that of the moment of the call.

    Attributes:
        evaluations: Points evaluated so far.
        generation: Batches evaluated so far: generations of a population-based solver, waves of the decomposition engine.
        budget: The run's limits.
        seconds: Time since the run began, s.
        llm_calls: Requests sent to a language model so far.
        llm_tokens: Their prompt and completion tokens.
        usd: What they have cost, US dollars.
        stopped: `stop` was called.
    """

    evaluations: int
    generation: int
    budget: Budget
    seconds: float
    llm_calls: int
    llm_tokens: int
    usd: float
    _instance: Instance = field(repr=False)
    _archive: Archive = field(repr=False)
    _meter: BudgetMeter = field(repr=False)
    stopped: bool = False

    @classmethod
    def of(cls, evaluator: Evaluator) -> Progress:
        """The progress of the run of an evaluator."""
        meter, archive, batches = evaluator.meter, evaluator.archive.copy(), evaluator.history.batches
        used = (meter.llm_calls, meter.tokens_in + meter.tokens_out, meter.usd)
        return cls(meter.evaluations, batches, meter.budget, meter.elapsed_s, *used, evaluator.instance, archive, meter)

    @property
    def X(self) -> FloatArray:
        """Non-dominated feasible points so far, float64 [n, d]; n is 0 while nothing is feasible."""
        return self._archive.X

    @property
    def F(self) -> FloatArray:
        """Their objectives, float64 [n, m], in the problem's own senses."""
        return self._archive.F_min * self._instance.signs

    @property
    def hypervolume(self) -> float | None:
        """Normalized hypervolume so far; None for one objective."""
        box = self._instance.hypervolume_box
        return None if box is None else hypervolume(self.F, box)

    @property
    def best(self) -> float | None:
        """Best feasible value so far, in the objective's own sense; None for several objectives and while there is none."""
        single = len(self._instance.objectives) == 1 and len(self.F)
        return float(self.F[0, 0]) if single else None

    @property
    def llm_answered(self) -> int:
        """Answers of a language model by now: unlike all else it moves on while the run waits for further ones."""
        return self._meter.llm_calls - self._meter.llm_waiting

    @property
    def interrupted(self) -> bool:
        """The user has asked to stop by now; this, too, moves on by itself, as the next one does."""
        return self._meter.interrupted

    @property
    def ending(self) -> bool:
        """The solver is at its end, and what it found is evaluated again for the record."""
        return self._meter.over or self.interrupted

    def stop(self) -> None:
        """End the run as soon as the callback returns; what was found is kept."""
        self.stopped = True


Callback: TypeAlias = Callable[[Progress], object]
"""Told of a run's progress; the run ends when it returns True."""


def now_and_then(show: Callable[[Progress], object], every_s: float = 0.1) -> Callback:
    """A callback for displays: it is told at most every `every_s` seconds, and stops nothing.

    Args:
        show: Gets the progress.
        every_s: Smallest time between two calls, s.
    """
    due = 0.0

    def told(progress: Progress) -> None:
        nonlocal due
        if (now := time.perf_counter()) >= due:
            due = now + every_s
            show(progress)

    return told


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
        notice: One line the user must see (which stand-in was used and why, what lies outside of training), or "".
        llm_cache: Calls answered by the response cache and what they would have cost, US dollars; None without hits.
        warm_start: float64 [n, d], points that the run started from; None for a run that started from nothing.
        workers: Who evaluated point by point; None where whole batches went to the instance.
        notes: What a language model was told beside the instance, a sentence each.
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
    workers: WorkersPart | None = None
    notes: tuple[str, ...] = ()

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


_NO_LIMIT = Budget()
"""What nobody has limited, but the calls to a language model."""


def execute(
    instance: Instance,
    solver: Solver,
    *,
    budget: Budget,
    seed: int,
    llm: Any = None,
    transcript: Path | None = None,
    warm_start: FloatArray | None = None,
    callback: Callback | None = None,
    keep_history: bool = False,
    measure: Callable[[FloatArray], Evaluation] | None = None,
    pool: Pool | None = None,
    dry_run: bool = False,
    notes: tuple[str, ...] = (),
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
        callback: Told after every batch; ends the run by returning True or by `Progress.stop`.
        keep_history: Keep every evaluated point.
        measure: Evaluates a checked batch; the instance's own evaluation unless it is done elsewhere.
        pool: Evaluates batches point by point, side by side.
        dry_run: Ask no language model; answers are made up, their cost is estimated.
        notes: What a language model is told beside the instance's own facts.

    Returns:
        The run; its `error` is set when the solver raised.

    Raises:
        SolverError: The solver cannot treat this instance, or no limit is set.
        LlmError: The language model cannot be had (missing key, unreachable, no weights).
        Exception: Whatever the callback raised.
    """
    require_fit(solver, instance)
    if budget.unlimited or (budget == _NO_LIMIT and not solver.info.uses_llm):
        raise SolverError("The budget has no limit that could end the run. Set one, e.g. budget.evaluations=5000.")
    if pool is not None and pool.settings.asynchronous and not solver.info.steady:
        raise SolverError(_works_in_batches(solver))
    meter, instance = BudgetMeter(budget), _noted(instance, notes)
    with _session(solver, llm, meter, transcript, seed, dry_run) as session:
        if pool is not None:
            pool.start(lambda: meter.out_of_time)
        if solver.info.aside and budget.seconds is not None:
            _get_ready(instance, solver)
        meter.restart_clock()  # starting a model server, or workers, is not solving
        watcher = None if callback is None else _Watcher(callback)
        evaluator = Evaluator(instance, meter, **_elsewhere(instance, measure, pool), after=watcher, keep=keep_history)
        flight = _flight(pool, evaluator)
        task = Task(
            instance=instance,
            evaluate=evaluator,
            recorder=evaluator,
            meter=meter,
            seed=seed,
            solver_name=solver.info.name,
            warm_start=warm_start,
            llm=session,
            flight=flight,
        )
        wall, cpu = time.perf_counter(), time.process_time()
        with _on_signal(meter.interrupt):
            outcome, error = _guarded(solver, task, evaluator, None if pool is None else pool.twins)
            if flight is not None:
                flight.settle()
        if watcher is not None and watcher.error is not None:
            raise watcher.error
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        if session is not None and outcome.termination not in (Termination.INTERRUPTED, Termination.ERROR):
            session.forget_unasked()
        described = None if session is None else ModelPart.model_validate(plain(session.describe()))
        said = ("" if session is None else session.notice, "" if flight is None else _UNSTEADY, solver.caution(instance))
        notice = "; ".join(filter(None, said))
        cache = None
        if session is not None and session.cached_calls:
            cache = CachePart(calls=session.cached_calls, usd=session.cached_usd)
    who = None if pool is None else WorkersPart.model_validate(pool.told())
    return Run(outcome, evaluator, meter, wall, cpu, error, seed, described, notice, cache, warm_start, who, notes)


def _get_ready(instance: Instance, solver: Solver) -> None:
    """A process for what looks at no clock, before the clock runs; loaded only where there is a limit."""
    from optisolve.run.aside import get_ready

    get_ready(instance, (type(solver).__module__, *solver.info.aside))


def require_fit(solver: Solver, instance: Instance) -> None:
    """Refuse an instance that a solver cannot treat.

    Raises:
        SolverError: It says why; solvers that can are named.
    """
    reason = solver.skip(instance)
    if reason is not None:
        raise SolverError(f"{solver.info.name} cannot solve {instance.origin.scenario}: {reason}. {able(instance)}")


def _alarm(solver: Solver, meter: BudgetMeter) -> AbstractContextManager[None]:
    """What ends a solver that does not look at the clock; nothing where there is no limit on seconds."""
    if meter.budget.seconds is None:
        return nullcontext()
    from optisolve.run.alarm import Alarm

    return Alarm(meter, 0.2 if solver.info.aside else 0.0)


def _clock(meter: BudgetMeter) -> AbstractContextManager[None]:
    """What tells back ends that a solver calls in this process what is left; nothing where there is no limit on seconds."""
    seconds = meter.budget.seconds
    return nullcontext() if seconds is None else limited(max(0.0, seconds - meter.elapsed_s))


def _noted(instance: Instance, notes: tuple[str, ...]) -> Instance:
    """The same instance, whose words have further facts."""
    if not notes:
        return instance
    told, known = copy.copy(instance), instance.describe()
    noted = replace(known, facts=(*known.facts, *notes))
    vars(told)["describe"] = partial(_same, noted)
    return told


def _same(description: Description) -> Description:
    return description


_UNSTEADY = "asynchronous: which point came next depended on who was first, so the same seed gives another result"


def _works_in_batches(solver: Solver) -> str:
    steady = []
    for name in SOLVERS.targets():
        with suppress(OptisolveError):  # a plug-in that is broken
            steady += [name] if SOLVERS.get(name).info.steady else []
    return (
        f"{solver.info.name} works in whole batches and cannot run asynchronously; leave asynchronous=true out, or take a "
        f"solver that can: {', '.join(steady)}."
    )


def _flight(pool: Pool | None, evaluator: Evaluator) -> Flights | None:
    if pool is None or not pool.settings.asynchronous:
        return None
    from optisolve.run.flight import Flights

    return Flights(pool, evaluator)


class _Elsewhere(TypedDict, total=False):
    """Arguments of an evaluator whose points are not evaluated by calling the instance with a whole batch."""

    attempts: Callable[[FloatArray], Attempt]
    hurry: Callable[[], object]


def _elsewhere(instance: Instance, measure: Callable[[FloatArray], Evaluation] | None, pool: Pool | None) -> _Elsewhere:
    if measure is not None:
        return {"attempts": lambda X: examined(instance, X, measure(X))}
    return {} if pool is None else {"attempts": pool.attempts, "hurry": pool.hurry}


class _Watcher:
    """Tells a callback of the progress; what it raises is its own, and no solver may catch it.

    Args:
        callback: Whom to tell.
    """

    def __init__(self, callback: Callback) -> None:
        self._callback = callback
        self.error: Exception | None = None

    def __call__(self, evaluator: Evaluator) -> None:
        progress = Progress.of(evaluator)
        try:
            answer = self._callback(progress)
        except Exception as error:
            error.add_note(f"Raised by the callback of a run after {progress.evaluations} evaluations; the run has ended.")
            self.error = error
            raise RunStopped from None
        if progress.stopped or (isinstance(answer, bool | np.bool_) and answer):
            raise RunStopped


def _guarded(solver: Solver, task: Task, evaluator: Evaluator, twins: Twins | None) -> tuple[Outcome, Exception | None]:
    def cut_short(termination: Termination, limit: Limit | None = None, detail: str = "") -> Outcome:
        report = {} if task.reporter is None else task.reporter()
        return evaluator.outcome(termination, limit, detail=detail, report=report)

    try:
        with watching(task.instance, evaluator, twins), _alarm(solver, task.meter), _clock(task.meter):
            outcome = solver._solve(task)
        if not evaluator.stopped:
            return outcome, None
    except RunStopped:
        pass
    except BudgetExhausted as stop:
        return cut_short(Termination.LIMIT, stop.limit, str(stop)), None
    except OutOfTime:
        return cut_short(Termination.LIMIT, Limit.TIME, f"{STOPPED} ({task.meter.budget.seconds:g} s)"), None
    except KeyboardInterrupt:
        return cut_short(Termination.INTERRUPTED, detail="stopped by the user"), None
    except MemoryError as error:
        told = str(error) if isinstance(error, NoRoom) else f"out of memory: {error}".rstrip(": ")
        return cut_short(Termination.LIMIT, Limit.MEMORY, told), None
    except OptisolveError as error:
        return cut_short(Termination.ERROR, detail=str(error)), error
    except Exception as error:  # a plug-in's bug must not lose what was evaluated
        return cut_short(Termination.ERROR, detail=f"{type(error).__name__}: {error}"), error
    return cut_short(Termination.STOPPED, detail="stopped by the callback"), None


@contextmanager
def finishing(meter: BudgetMeter) -> Iterator[None]:
    """While what a run has found is evaluated again: an interrupt waits, for all is paid for; a second one ends it.

    Args:
        meter: Of that run; its `interrupted` says afterwards whether there was one.
    """
    meter.over, noted = True, False

    def note() -> bool:
        nonlocal noted
        again, noted, meter.interrupted = noted, True, True
        return again

    with _on_signal(note):
        yield


_ASKED: list[Callable[[], bool]] = []
"""Who is asked about an interrupt of the main thread, the last one first; one that says no is the last that is asked."""


@contextmanager
def _on_signal(may_end: Callable[[], bool]) -> Iterator[None]:
    """Ask before an interrupt does what it did: foreign code (a compiler's callback) may swallow it, accounts must close.

    Inside another one only who is asked changes, since setting a handler takes as long as evaluating a point.

    Args:
        may_end: Notes the interrupt, and says whether it may be raised now.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _ASKED.append(may_end)
    try:
        with nullcontext() if len(_ASKED) > 1 else _handlers():
            yield
    finally:
        _ASKED.pop()


def interruptible() -> AbstractContextManager[None]:
    """Around several parts that each have a say about interrupts; between them an interrupt does what it did."""
    return _on_signal(lambda: True)


@contextmanager
def _handlers() -> Iterator[None]:
    """Handlers that ask all of `_ASKED`, in the main thread."""
    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def remember(number: int, frame: FrameType | None) -> None:
        handler = previous[signal.Signals(number)]
        if all(may_end() for may_end in reversed(_ASKED)) and callable(handler):
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
    from optisolve.llm.config import NoLlm
    from optisolve.llm.session import open_session

    if isinstance(llm, NoLlm):
        if solver.info.needs_llm:
            raise SolverError(
                f"{solver.info.name} asks a language model, and llm=none gives it none; run it with llm=auto, local, openai, "
                "surrogate or replay."
            )
        return nullcontext()
    return open_session(llm, meter, transcript=transcript, seed=seed, dry_run=dry_run)
