"""Ask and tell: a run that waits for the values of its points, so that they can be measured anywhere and at any time.

Solvers call for values in the middle of their work. Here one works in a thread of its own, which sleeps wherever values are
missing; it is awake only while somebody asks, so that solver and caller never run at once. What a run is follows from its
settings and from what it was told. A copy (`pickle`) holds these two and no thread: when it is asked again, the solver starts
anew and is told the same once more, at no evaluation; what a language model has answered stands in the copy as well.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from optisolve.core.arrays import FloatArray
from optisolve.core.budget import Budget
from optisolve.core.errors import SolverError
from optisolve.core.evaluation import FEASIBILITY_TOLERANCE, Objective
from optisolve.core.failures import examined
from optisolve.core.problem import Instance, Problem
from optisolve.core.solver import Solver
from optisolve.core.space import Space
from optisolve.run.archive import Archive
from optisolve.run.batches import Batch, Halted, Told, Worker, values_of
from optisolve.run.execution import Run, execute
from optisolve.run.history import History, keeps
from optisolve.run.pool import Unfinished
from optisolve.run.solve import DEFAULT_BUDGET, Result, case_of, model_of, solver_of, verified, warm_points
from optisolve.run.told import Box, ToldInstance

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["OpenRun", "start"]


def start(
    solver: str | Solver,
    space: Space | Instance | Problem,
    objectives: Sequence[Objective] = (),
    *,
    constraints: Sequence[str] = (),
    equalities: Sequence[str] = (),
    box: Box | None = None,
    tolerance: float | Mapping[str, float] = FEASIBILITY_TOLERANCE,
    name: str = "told",
    about: str = "",
    on_failure: str = "penalize",
    budget: Budget | None = None,
    seed: int = 0,
    llm: Any = "auto",
    warm_start: FloatArray | None = None,
    history: History = "none",
    **options: Any,
) -> OpenRun:
    """Begin a run whose points are evaluated by somebody else.

    Args:
        solver: A preset name or a solver object; ``"auto"`` takes the default for the case.
        space: The decision space; or an instance, or a problem (its instance 0), which says all up to `on_failure` itself.
        objectives: What is measured, one or more.
        constraints: Names of inequalities, the columns of G; feasible when <= 0. Measure them without unit.
        equalities: Names of equalities, the columns of H; feasible when == 0.
        box: Reference point (worst values of interest) and ideal point, for several objectives.
        tolerance: Violation of a constraint that still counts as feasible, for all or by name; 1e-8 unless said.
        name: What the case is called in records.
        about: What is decided, in words, for a solver that asks a language model.
        on_failure: What becomes of a point whose values are NaN: ``"penalize"``, ``"skip"`` or ``"stop"``.
        budget: Limits; default 5,000 evaluations. Seconds are refused: the run sleeps while points are measured.
        seed: The run's seed. With the same values the run goes as `optisolve.solve` would.
        llm: Language model, as for `optisolve.solve`.
        warm_start: float64 [n, d], points of one's own to start from; they are asked for first.
        history: ``"all"`` keeps every point in the result, see `optisolve.solve`.
        **options: Options that replace the preset's.

    Returns:
        The run, before its first point.

    Raises:
        OptisolveError: Bad arguments, or a solver that cannot treat the case.
    """
    if isinstance(space, Space):
        case: Instance = ToldInstance(
            space,
            objectives,
            constraints=constraints,
            equalities=equalities,
            box=box,
            tolerance=tolerance,
            name=name,
            about=about,
            on_failure=on_failure,
        )
    elif isinstance(space, Instance | Problem):
        if objectives or constraints or equalities or box is not None:
            raise SolverError("An instance says itself what is measured; leave all of that out.")
        case = case_of(space)
    else:
        raise SolverError(f"start: expected a Space, an instance or a problem after the solver, got {type(space).__name__}.")
    method, limits = solver_of(solver, options, case, llm), DEFAULT_BUDGET if budget is None else budget
    if limits.seconds is not None:
        raise SolverError("budget.seconds: a run that waits for values has no clock; limit it by budget.evaluations.")
    reason = method.skip(case)
    if reason is not None:
        raise SolverError(f"{method.info.name} skips {case.origin.scenario}: {reason}")
    begun = None if warm_start is None else warm_points(case, warm_start)
    return OpenRun(
        case, method, limits, seed, model_of(llm) if method.info.uses_llm else None, begun, keeps(history, case, limits)
    )


class OpenRun:
    """A run that waits for values; `start` makes it.

    It can be pickled at any time. Used as a context manager, or closed, it gives its thread up; it can be asked again later.

    Attributes:
        instance: What is solved.
        solver: Who solves it.
        budget: Its limits.
    """

    def __init__(
        self,
        instance: Instance,
        solver: Solver,
        budget: Budget,
        seed: int,
        llm: Any,
        warm_start: FloatArray | None,
        keep_history: bool,
    ) -> None:
        self.instance, self.solver, self.budget = instance, solver, budget
        self._settings = {"seed": seed, "llm": llm, "warm_start": warm_start, "keep_history": keep_history}
        self._journal: list[Told] = []
        self._batch: Batch | None = None
        self._stopping = False
        self._begin(None)

    def _begin(self, replies: bytes | None) -> None:
        """What no copy takes along."""
        self._worker: Worker | None = None
        self._run: Run | None = None
        self._result: Result | None = None
        self._broken = False
        self._folder: Path | None = None
        if self.solver.info.uses_llm:
            self._folder = Path(tempfile.mkdtemp(prefix="optisolve-"))
            self._remove = weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
            if replies is not None:
                (self._folder / "transcript.jsonl").write_bytes(replies)

    def __getstate__(self) -> dict[str, object]:
        mine = ("instance", "solver", "budget", "_settings", "_journal", "_batch", "_stopping")
        file = None if self._folder is None else self._folder / "transcript.jsonl"
        replies = file.read_bytes() if file is not None and file.is_file() else None
        return {**{name: getattr(self, name) for name in mine}, "replies": replies}

    def __setstate__(self, state: Any) -> None:
        replies = state.pop("replies")
        self.__dict__.update(state)
        self._begin(replies)

    def __repr__(self) -> str:
        limit = "" if self.budget.evaluations is None else f" of {self.budget.evaluations}"
        told = f"{self.evaluations}{limit} evaluations told, {len(self.pending)} points wait for values"
        return f"<OpenRun {self.solver.info.name} on {self.instance.origin.scenario}: {told}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, n: int | None = None) -> FloatArray:
        """Points to evaluate next.

        Args:
            n: At most so many of the solver's current batch; None for all that were not handed out yet.

        Returns:
            float64 [k, d], k >= 1.

        Raises:
            SolverError: All points of the batch are handed out and some have no values, the run has ended, or the solver broke.
        """
        if n is not None and n < 1:
            raise SolverError(f"ask: n is {n}, expected a number of points, 1 or more.")
        self._advance()
        batch = self._batch
        if batch is None or self._run is not None:
            raise SolverError(f"The run has ended ({self._why()}); state.result holds the answer.")
        if batch.asked == batch.told.size:
            raise SolverError(f"{batch.waiting.size} points wait for values, state.pending holds them; tell them first.")
        first, batch.asked = batch.asked, batch.told.size if n is None else min(batch.told.size, batch.asked + n)
        return batch.X[first : batch.asked].copy()

    def tell(self, X: npt.ArrayLike, F: npt.ArrayLike, G: npt.ArrayLike | None = None, H: npt.ArrayLike | None = None) -> None:
        """Values of points that were asked for, in any order, some or all of them.

        Args:
            X: [k, d], the points; one point may be [d].
            F: [k, m], their objectives in their own senses; [k] for one objective. NaN for a point that failed.
            G: [k, number of constraints], feasible when <= 0.
            H: [k, number of equalities], feasible when == 0.

        Raises:
            SolverError: A point was not asked for, or was told before, or the numbers do not fit; nothing was taken over.
        """
        points = self._points(X)
        batch = self._batch
        if batch is None or self._run is not None or not batch.waiting.size:
            raise SolverError("tell: no point waits for values; ask for points first.")
        rows = batch.rows_of(points, self.instance.space)
        instance, n = self.instance, points.shape[0]
        names = ([o.name for o in instance.objectives], instance.constraint_names, instance.equality_names)
        given = [values_of(which, value, n, own) for which, value, own in zip("FGH", (F, G, H), names, strict=True)]
        for values, measured in zip(batch.evaluation, given, strict=True):
            values[rows] = measured
        batch.told[rows] = True
        if isinstance(instance, ToldInstance):
            instance.tell(batch.part.X, batch.part.evaluation)
        if batch.told.all():
            self._journal.append(Told(batch.X, batch.evaluation))
            self._batch = None

    @property
    def pending(self) -> FloatArray:
        """Points that were handed out and wait for values, float64 [k, d]."""
        none: FloatArray = np.empty((0, self.instance.space.dim))
        return none if self._batch is None or self._run is not None else self._batch.X[self._batch.waiting].copy()

    @property
    def evaluations(self) -> int:
        """Points of which values were told."""
        whole = sum(len(part.X) for part in self._journal)
        return whole if self._batch is None else whole + int(np.count_nonzero(self._batch.told))

    @property
    def done(self) -> bool:
        """True when the solver asks for no further point.

        Raises:
            SolverError: The solver broke; told once, `result` holds what was found.
        """
        self._advance()
        return self._run is not None

    @property
    def best(self) -> pd.DataFrame:
        """Non-dominated feasible points of all that was told, as `Result.front`: objectives, then variables."""
        import pandas as pd

        instance = self.instance
        archive = Archive(len(instance.objectives), instance.space.dim)
        for told in [*self._journal, *([] if self._batch is None else [self._batch.part])]:
            good = np.isfinite(np.hstack([*told.evaluation])).all(axis=1)
            measured = instance.judged(told.evaluation.part(good))
            archive.add(told.X[good], measured.F * instance.signs, measured.violation)
        names = [o.name for o in instance.objectives]
        table = pd.DataFrame(np.hstack([archive.F_min * instance.signs, archive.X]), columns=[*names, *instance.space.names])
        return table.sort_values(names[0], kind="stable", ignore_index=True)

    @property
    def result(self) -> Result:
        """The verified result of a run that has ended, as `optisolve.solve` gives it.

        Points of an instance that can evaluate are evaluated again; of others nothing is known but what was told, and the
        record claims no more.

        Raises:
            SolverError: The run goes on.
        """
        self._advance(broken=False)
        if self._run is None:
            raise SolverError(f"{self!r} has not ended. state.best holds the best so far; state.stop() ends the run.")
        if self._result is None:
            if self._folder is not None:
                self._remove.detach()  # the result's own now: `Result.save` moves it
            self._result = verified(self.instance, self.solver, self._run, scratch=self._folder)
        return self._result

    def stop(self) -> Result:
        """End the run now; what was told counts, also of a batch that is not complete.

        Returns:
            The result, with termination INTERRUPTED unless the run had ended before.
        """
        self._stopping = True
        return self.result

    def close(self) -> None:
        """Give up the thread; nothing is lost."""
        if self._worker is not None:
            self._worker_end()
            self._worker = None

    def _advance(self, *, broken: bool = True) -> None:
        """Let the solver work until it needs values that nobody has told, or ends."""
        while self._run is None and (self._batch is None or self._stopping):
            if self._worker is None:
                self._worker = self._started()
            if self._batch is not None and self._worker.asleep:  # only when it is to end
                part, rows = self._batch.part, np.flatnonzero(self._batch.told)
                made = examined(self.instance, part.X, part.evaluation) if rows.size else None
                self._worker.stop(Unfinished(rows, made))
            event = self._worker.next()
            if isinstance(event, Run):
                self._run = event
                self.close()
            elif isinstance(event, BaseException):
                self.close()
                raise SolverError(str(event)) if isinstance(event, Halted) else event
            elif event.shape[0] == 0:
                self._journal.append(Told(event, Batch.of(self.instance, event).evaluation))
            elif self._batch is None:
                self._batch = Batch.of(self.instance, event)
        if broken and self._run is not None and self._run.error is not None and not self._broken:
            self._broken = True
            error = self._run.error
            raise SolverError(f"{self.solver.info.name} broke: {error} state.result holds what was found.") from error

    def _started(self) -> Worker:
        transcript = None if self._folder is None else self._folder / "transcript.jsonl"
        go = partial(execute, self.instance, self.solver, budget=self.budget, transcript=transcript, **self._settings)
        worker = Worker(self._journal, go)
        self._worker_end = weakref.finalize(self, worker.close)
        return worker

    def _why(self) -> str:
        outcome = None if self._run is None else self._run.outcome
        return "" if outcome is None else f"{outcome.termination}{f': {outcome.limit}' if outcome.limit else ''}"

    def _points(self, X: npt.ArrayLike) -> FloatArray:
        d = self.instance.space.dim
        try:
            points = np.atleast_2d(np.asarray(X, dtype=np.float64))
        except (TypeError, ValueError):
            points = np.empty((0, 0))
        if points.ndim != 2 or points.shape[1] != d or not points.shape[0] or not np.isfinite(points).all():
            raise SolverError(f"tell: X has shape {np.shape(X)}; expected the points that were asked for, numbers [k, {d}].")
        return points
