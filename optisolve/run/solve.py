"""One call from instance to verified result, and that result."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from optisolve.core.arrays import FloatArray, IntArray
from optisolve.core.budget import Budget
from optisolve.core.documents import parquet, staging_folder, write_atomic
from optisolve.core.errors import RecordError, SolverError
from optisolve.core.problem import Instance, Problem
from optisolve.core.reference import Reference
from optisolve.core.solver import Solver
from optisolve.core.status import Limit, PointStatus, Termination
from optisolve.core.workers import Executor, Workers
from optisolve.registry import PROBLEMS, SOLVERS, make_solver
from optisolve.run.choice import AUTO, default_solver
from optisolve.run.execution import Callback, Run, execute, finishing, interruptible
from optisolve.run.history import HISTORY_FILE, History, history_file, keeps
from optisolve.run.records import Closing, box_note, build_record, publish
from optisolve.run.schema import Record, Tier
from optisolve.run.verify import Verification, confront, is_shipped, own_errors, shortfall_text, verify_points

if TYPE_CHECKING:
    import pandas as pd

    from optisolve.plotting.figures import Kind
    from optisolve.plotting.style import Drawing
    from optisolve.run.pool import Pool

__all__ = ["DEFAULT_BUDGET", "Result", "case_of", "model_of", "solve", "solver_of", "verified", "warm_points"]


@dataclass(frozen=True, eq=False, slots=True)
class Result:
    """A verified run.

    Attributes:
        instance: What was solved.
        verification: Re-evaluated points.
        run: Raw result (history, archive, meter).
        reference: What the scores refer to; None when nothing was given.
    """

    instance: Instance
    _record: Record | Callable[[], Record]
    verification: Verification
    run: Run
    _scratch: Path | None = None
    _saved: Path | None = None
    _points: bytes | None = None
    reference: Reference | None = None

    def __repr__(self) -> str:
        told = f"<Result {self.record.record_id}: {self.point_status}"
        if self.shortfall:
            return f"{told}, no feasible point; {self.shortfall}>"
        scores = {key: round(value, 6) for key, value in self.scores.items() if isinstance(value, float)}
        notes = "".join(f"; {note}" for note in self.notes)
        return f"{told}, {len(self.X)} points, {scores}{notes}>"

    @property
    def record(self) -> Record:
        """The run's record; one that nobody asks for is not made, unless somebody else's code could be wrong about it."""
        if not isinstance(self._record, Record):
            object.__setattr__(self, "_record", self._record())
        assert isinstance(self._record, Record)
        return self._record

    def with_record(self, record: Record) -> Result:
        """The same result under another record."""
        return replace(self, _record=record)

    @property
    def notes(self) -> tuple[str, ...]:
        """What must be known to read the scores, a sentence each: a solver that broke, points outside the box, stand-ins."""
        broke = f"the solver broke: {self.run.outcome.detail}" if self.termination is Termination.ERROR else ""
        return tuple(filter(None, (broke, box_note(self.record), self.run.notice)))

    @property
    def X(self) -> FloatArray:
        """Verified feasible points, float64 [n, d]; where there is none the one that violates least (see `feasible`)."""
        return self.verification.X[self.verification.answers]

    @property
    def F(self) -> FloatArray:
        """Objectives of `X` by the numpy twin, float64 [n, m], in the problem's own senses."""
        return self.verification.F[self.verification.answers]

    @property
    def feasible(self) -> bool:
        """Whether any point is feasible; only such points are scored."""
        return bool(self.verification.feasible.any())

    @property
    def shortfall(self) -> str:
        """Which constraint the least violating point misses by how much, and what to do; "" where a point is feasible."""
        return shortfall_text(self.instance, self.verification)

    @property
    def violations(self) -> pd.DataFrame:
        """A row per constraint: its name, how it reads, its largest violation over `X`, its tolerance, whether that is met."""
        import pandas as pd

        case, found = self.instance, self.verification
        k, p = len(case.constraint_names), len(case.equality_names)
        shown = found.violations[found.answers] if found.violations.size else np.zeros((0, k + p))
        worst = shown.max(axis=0, initial=0.0)
        return pd.DataFrame(
            {
                "constraint": [*case.constraint_names, *case.equality_names],
                "reads": ["<= 0"] * k + ["== 0"] * p,
                "violation": worst,
                "tolerance": case.tolerance,
                "met": worst <= case.tolerance,
            }
        )

    @property
    def front(self) -> pd.DataFrame:
        """Verified feasible points as a table: objectives first, then variables, sorted by the first objective."""
        import pandas as pd

        return pd.DataFrame(self._front())

    def _front(self) -> dict[str, FloatArray]:
        found = self.verification
        points = np.hstack([found.F[found.feasible], found.X[found.feasible]])
        points = points[np.argsort(points[:, 0], kind="stable")]
        names = [*(o.name for o in self.instance.objectives), *self.instance.space.names]
        return dict(zip(names, points.T, strict=True))

    @property
    def trace(self) -> pd.DataFrame:
        """Anytime curve: evaluations, seconds, hypervolume (or best objective), smallest violation."""
        import pandas as pd

        return pd.DataFrame(self._trace())

    def _trace(self) -> dict[str, FloatArray | IntArray]:
        value = "hypervolume" if len(self.instance.objectives) > 1 else self.instance.objectives[0].name
        rows = np.array(self.record.trace, dtype=np.float64).reshape(-1, 4)  # None becomes NaN
        return {"evaluations": rows[:, 0].astype(np.int64), "seconds": rows[:, 1], value: rows[:, 2], "violation": rows[:, 3]}

    @property
    def history(self) -> pd.DataFrame:
        """Every evaluated point in order: evaluation, source, seconds, objectives, variables, ``G.name``, ``H.name``.

        Values of points that the model could not evaluate are NaN.

        Raises:
            RecordError: The run kept none.
        """
        import pandas as pd

        if self._points is None:
            raise RecordError("The run kept no history of its points; ask for one: solve(..., history='all').")
        return pd.read_parquet(BytesIO(self._points))

    @property
    def scores(self) -> dict[str, float | None]:
        """Scores of the verified points: hypervolume, igd_plus, objective, gap, bound_gap."""
        return self.record.scores.values()

    @property
    def hypervolume(self) -> float | None:
        """Normalized hypervolume in the instance's scoring box; None for one objective."""
        return self.record.scores.hypervolume

    @property
    def termination(self) -> Termination:
        """Why the solver stopped."""
        return self.run.outcome.termination

    @property
    def limit(self) -> Limit | None:
        """Which limit ended the run, if one did."""
        return self.run.outcome.limit

    @property
    def point_status(self) -> PointStatus:
        """What the returned points are, by re-evaluation."""
        return self.verification.point

    @property
    def result_hash(self) -> str:
        """Same seed, same hash."""
        return self.record.result_hash

    def _repr_html_(self) -> str:
        return self.record._repr_html_()

    def plot(self, kind: Kind | None = None, *, width: float = 7.0, height: float | None = None, title: str = "") -> Drawing:
        """A figure of this result; `optisolve.plot` draws several, and on axes that are there already.

        Args:
            kind: ``"front"``, ``"convergence"``, ``"map"``, ``"attainment"`` or ``"parallel"``; None draws the front of several
                objectives, and convergence of one.
            width: inches.
            height: inches; None fits it to the kind.
            title: Above the axes; none by default.

        Raises:
            OptisolveError: The kind cannot show this result.
        """
        from optisolve.run.plot import plot

        return plot(self, kind, width=width, height=height, title=title)

    def save(self, folder: str | os.PathLike[str] = "runs") -> Path:
        """Write record, front, trace, and transcript and history if there are such; the folder appears at once or not at all.

        Args:
            folder: Parent folder; the record's own folder is made inside it.

        Returns:
            The record's folder.

        Raises:
            RecordError: The folder in which the run kept the replies of its language model is gone, or `folder` lies in it.
            OSError: A file cannot be written; it is named, and nothing but the run's own folder is left.
        """
        parent = Path(folder)
        if self._scratch is not None and self._scratch.resolve() in (parent.resolve(), *parent.resolve().parents):
            raise RecordError(f"{folder}: lies in the run's own folder {self._scratch}; save to a folder beside it.")
        parent.mkdir(parents=True, exist_ok=True)
        scratch, kept = self._scratch, self._saved or self._scratch
        if kept is not None and not kept.is_dir() and self.record.solver.llm is not None:
            raise RecordError(f"{kept}: gone, and the transcript with it; the record would claim what nobody can check.")
        if scratch is not None and kept == scratch and scratch.is_dir() and scratch.parent.resolve() == parent.resolve():
            saved = self._fill(scratch, parent)
        else:
            with staging_folder(parent, ".saving-") as staging:
                if kept is not None and kept.is_dir():
                    shutil.copytree(kept, staging, dirs_exist_ok=True)
                saved = self._fill(staging, parent)
            if kept is not None and kept == scratch:
                shutil.rmtree(scratch, ignore_errors=True)
        object.__setattr__(self, "_saved", saved)
        return saved

    def _fill(self, staging: Path, parent: Path) -> Path:
        """Write the run's files and let the folder appear under its name."""
        for name, table in (("front", self._front()), ("trace", self._trace())):
            write_atomic(staging / f"{name}.parquet", parquet(table))
        if self._points is not None:
            write_atomic(staging / HISTORY_FILE, self._points)
        write_atomic(staging / "record.json", self.record.to_bytes())
        return publish(staging, parent / self.record.record_id)


_ALONE = Workers()
_NOBODY = tuple(_ALONE.options().values())

DEFAULT_BUDGET = Budget(evaluations=5000)
"""What a run may spend when nothing is said: seconds on a laptop, and a bounded number of calls to a language model."""


def solve(
    instance: Instance | Problem,
    solver: str | Solver = AUTO,
    *,
    budget: Budget | None = None,
    seed: int = 0,
    llm: Any = "auto",
    reference: Reference | None = None,
    warm_start: FloatArray | None = None,
    callback: Callback | None = None,
    history: History = "none",
    scratch: Path | None = None,
    suite: Mapping[str, str] | None = None,
    workers: int | Workers | None = None,
    executor: Executor = "auto",
    address: str = "local",
    evaluation_limit_s: float | None = None,
    evaluation_limit_mb: float | None = None,
    asynchronous: bool = False,
    notes: Sequence[str] = (),
    **options: Any,
) -> Result:
    """Solve an instance and verify the answer independently.

    Args:
        instance: What to solve; a problem means its instance 0.
        solver: A preset name or a solver object; ``"auto"`` takes the default for the instance, see
            `optisolve.run.choice.default_solver`, and `ledma` where `llm` names a language model.
        budget: Limits; default 5,000 evaluations. Language-model calls have a limit of 40 until another one, or
            `optisolve.UNLIMITED`, is said.
        seed: The run's seed. Same seed, same ``result_hash``.
        llm: Language model for solvers that use one: ``"auto"``, ``"local"``, ``"openai"``, ``"surrogate"``, or a
            configuration from `optisolve.llm`.
        reference: What gaps and IGD+ are measured against; None leaves them empty.
        warm_start: float64 [n, d], points to start from; they stand in the record, since the result depends on them.
        callback: Told after every batch of evaluations, see `optisolve.Progress`. The run ends, with termination STOPPED, when
            it returns True or calls ``progress.stop()``; what it raises comes out of here.
        history: ``"all"`` keeps every evaluated point, in `Result.history` and as ``history.parquet`` beside the record.
        scratch: Folder for the transcript while the run goes on; `Result.save` moves it beside the record.
        suite: ``name``, ``version`` and ``sha256`` of the benchmark suite that the run belongs to, for its record.
        workers: Evaluations at a time. The result is the same for any number; see `optisolve.core.workers.Workers`, which may
            also be given whole, for these settings.
        executor: ``"serial"``, ``"thread"``, ``"process"`` or ``"ray"``; ``"auto"`` is what the instance says of itself.
        address: Of the Ray cluster: ``"local"``, ``"auto"`` or ``"HOST:PORT"``.
        evaluation_limit_s: Seconds after which an evaluation is killed and its point is a bad one.
        evaluation_limit_mb: Memory above which it is, MB.
        asynchronous: Let no worker wait for the others of a batch; then the same seed does not give the same result.
        notes: What a language model is told beside the instance's own facts, a sentence each, e.g. what was found on similar
            instances; they stand in the record, since the result depends on them.
        **options: Options that replace the preset's.

    Returns:
        The verified result; also after Ctrl-C, with termination INTERRUPTED. One that comes while the answer is verified waits
        until it is; a second one then is raised.

    Raises:
        OptisolveError: Unknown names, bad options, a solver that cannot treat the instance, or a solver that broke
            before it evaluated anything. A solver that broke later yields a result with termination ERROR.
    """
    if "on_progress" in options:
        raise SolverError("on_progress is called callback now, and is told after every batch: solve(..., callback=f).")
    case = case_of(instance)
    method = solver_of(solver, options, case, llm)
    limits = DEFAULT_BUDGET if budget is None else budget
    start = None if warm_start is None else warm_points(case, warm_start)
    if not isinstance(workers, Workers):
        said = (workers, executor, address, evaluation_limit_s, evaluation_limit_mb, asynchronous)
        workers = _ALONE if said == _NOBODY else Workers(*said)
    with interruptible(), _pool(case, workers, limits) as pool:
        run = execute(
            case,
            method,
            budget=limits,
            seed=seed,
            llm=model_of(llm) if method.info.uses_llm else None,
            transcript=None if scratch is None else scratch / "transcript.jsonl",
            warm_start=start,
            callback=callback,
            keep_history=history != "none" and keeps(history, case, limits),
            pool=pool,
            notes=_noted(method, notes),
        )
        with finishing(run.meter):
            return verified(case, method, run, reference=reference, scratch=scratch, suite=suite, pool=pool)


def _noted(method: Solver, notes: Sequence[str]) -> tuple[str, ...]:
    """Notes for a solver that reads them."""
    told = (notes,) if isinstance(notes, str) else tuple(notes)
    if told and not method.info.uses_llm:
        raise SolverError(f"notes: {method.info.name} asks no language model, so nobody would read them; try hybrid or ledma.")
    return told


def _pool(case: Instance, workers: Workers, budget: Budget) -> AbstractContextManager[Pool | None]:
    """Who evaluates point by point; nobody where that was not asked for and the instance takes whole batches."""
    if workers.chosen(case) == "auto":
        return nullcontext()
    from optisolve.run.pool import Pool

    return Pool(case, workers, budget.evaluations)


def verified(
    case: Instance,
    method: Solver,
    run: Run,
    *,
    reference: Reference | None = None,
    scratch: Path | None = None,
    suite: Mapping[str, str] | None = None,
    pool: Pool | None = None,
) -> Result:
    """The result of a run that has ended: points re-evaluated, scores, and the record.

    Args:
        case: What was solved.
        method: Who solved it.
        run: What came of it.
        reference: As for `solve`.
        scratch: As for `solve`.
        suite: As for `solve`.
        pool: Who has evaluated, and evaluates again.

    Raises:
        SolverError: The solver broke before it evaluated anything.
    """
    if run.error is not None and len(run.evaluator.history) == 0:
        raise SolverError(f"{method.info.name} broke before its first evaluation: {run.error}") from run.error
    _require_any(run)
    verification = verify_points(case, run.outcome.X, None if pool is None else pool.resume().twins)
    standing = confront(case, reference, verification)
    points = None if run.evaluator.history.points is None else history_file(case, run.evaluator.history)
    kept, ended = scratch is not None or run.llm is None, Closing.now()
    record = partial(_recorded, case, method, run, verification, standing, suite, points, kept, ended)
    own = pool is None and run.llm is None and is_shipped(case) and type(method).__module__.startswith("optisolve.")
    made = record if own else record()  # others may have put what no record holds into it: that is told at once
    return Result(case, made, verification, run, scratch, _points=points, reference=standing)


def _recorded(
    case: Instance,
    method: Solver,
    run: Run,
    verification: Verification,
    reference: Reference | None,
    suite: Mapping[str, str] | None,
    history: bytes | None,
    kept: bool,
    ended: Closing,
) -> Record:
    """The record of a run, whenever it is asked for; what errors of ours it shows is looked for here."""
    errors = own_errors(run.evaluator, verification.X, verification.F, verification.max_violation)
    tier = Tier.SELF_REPORTED if errors else _claim(case, method, kept=kept)
    return build_record(
        case,
        method,
        run,
        verification,
        reference=reference,
        suite=suite,
        tier=tier,
        errors=errors,
        history=history,
        ended=ended,
    )


def _require_any(run: Run) -> None:
    """A model that evaluated nothing at all leaves nothing to record."""
    evaluator = run.evaluator
    usable = len(evaluator.history) - (evaluator.failed if evaluator.policy == "penalize" else 0)
    if evaluator.failed and usable <= 0:
        told = f"{evaluator.instance.origin.scenario}: the model could evaluate none of {evaluator.failed} points"
        raise SolverError(f"{told}; the first: {evaluator.first_failure}.") from run.error


def warm_points(instance: Instance, points: FloatArray) -> FloatArray | None:
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
    return Tier.VERIFIED if checkable and kept else Tier.SELF_REPORTED


def case_of(instance: Instance | Problem) -> Instance:
    """What to solve; a problem means its instance 0."""
    return instance.instance(0) if isinstance(instance, Problem) else instance


def solver_of(solver: str | Solver, options: Mapping[str, Any], case: Instance, llm: Any) -> Solver:
    """A solver by its preset's name, the default one for a case, or itself, with some options changed."""
    if solver == AUTO:
        solver = default_solver(case, with_llm=llm != "auto").name
    if isinstance(solver, str):
        return make_solver(solver, options)
    if not isinstance(solver, Solver):
        raise SolverError(f"solver must be a preset name or a Solver object, got {type(solver).__name__}.")
    return solver.with_option(**options) if options else solver


def model_of(llm: Any) -> Any:
    """The configuration of a language model, by its kind or as it is."""
    from optisolve.llm.config import llm_config

    return llm_config(llm) if isinstance(llm, str) else llm
