"""Running experts on shares of one budget: every evaluation goes through the run's own evaluator, every answer is verified."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.budget import BudgetMeter, Reservation
from optisolve.core.documents import JsonObject
from optisolve.core.errors import BudgetExhausted, OptisolveError
from optisolve.core.evaluation import looks_charged
from optisolve.core.problem import Evaluation, Instance, Sense
from optisolve.core.solver import Known, Outcome, Solver, Task
from optisolve.core.status import Limit, PointStatus, Termination
from optisolve.run.archive import Archive, archived_outcome
from optisolve.run.verify import verify_points
from optisolve.solvers.moe.paid import Paid

__all__ = ["Attempt", "Quality", "better", "run_expert", "safe_baseline", "verified_quality"]


@dataclass(frozen=True, eq=False, slots=True)
class Quality:
    """What points really are, by the numpy twin.

    Attributes:
        point: float64 [d], the best feasible one; for several objectives the first of the front. None without one.
        value: Objective of it, own sense; normalized hypervolume for several objectives. None without a feasible point.
        status: FEASIBLE when one is, else the worst status among the points.
    """

    point: FloatArray | None
    value: float | None
    status: PointStatus


@dataclass(frozen=True, eq=False, slots=True)
class Attempt:
    """One expert's run.

    Attributes:
        expert: Preset name.
        allotted: Evaluations it was given.
        used: Evaluations it used.
        termination: Its own claim.
        limit: Which limit.
        quality: Its answer, verified.
        dual_bound: Bound that it claims, own sense.
        detail: Its words, or the error that ended it.
    """

    expert: str
    allotted: int
    used: int
    termination: Termination
    limit: Limit | None
    quality: Quality
    dual_bound: float | None
    detail: str = ""


class _ShareMeter(BudgetMeter):
    """A share of the evaluations of another meter; what a language model costs is charged to that one alone.

    Args:
        outer: The run's meter.
        evaluations: The share.
        time_share: Share of the seconds that are left, where they are limited.
    """

    def __init__(self, outer: BudgetMeter, evaluations: int, time_share: float = 1.0) -> None:
        limit = outer.budget
        seconds = None if limit.seconds is None else time_share * max(0.0, limit.seconds - outer.elapsed_s)
        self._outer = outer
        super().__init__(limit.with_option(evaluations=evaluations, seconds=seconds))

    def charge_evaluations(self, n: int) -> None:
        """Count them here; the run's evaluator counts them again where they happen."""
        self.interrupted = self._outer.interrupted
        super().charge_evaluations(n)

    def reserve(self, *, tokens: int, usd: float, paid: bool = False) -> Reservation:
        """Reserve at the run's meter."""
        return self._outer.reserve(tokens=tokens, usd=usd, paid=paid)

    def sync(self) -> None:
        """Copy what the language model has cost in the whole run, so that an expert sees what is left of it."""
        for name in ("llm_calls", "tokens_in", "tokens_out", "tokens_cached", "usd", "worst_tokens", "worst_usd"):
            setattr(self, name, getattr(self._outer, name))


class _ExpertEvaluator:
    """The evaluation that an expert calls: counted against its share, made by the run's evaluator, archived for its outcome."""

    def __init__(self, task: Task, meter: _ShareMeter, label: str, paid: Paid | None = None) -> None:
        self._task, self._meter, self._label, self._paid = task, meter, label, paid
        self.archive = Archive(len(task.instance.objectives), task.instance.space.dim)

    def __call__(self, X: FloatArray, *, source: str | list[str] = "solver") -> Evaluation:
        return self._charged(X, source, looks=False)

    def look(self, X: FloatArray, *, source: str = "look") -> Evaluation:
        """A look that is charged as an evaluation, at constraints or slopes."""
        return self._charged(X, source, looks=True)

    def _charged(self, X: FloatArray, source: str | list[str], *, looks: bool) -> Evaluation:
        X = self._task.instance.space.require(X)
        self._meter.sync()
        self._meter.charge_evaluations(X.shape[0] if self._paid is None else self._paid.price(X, looks=looks))
        labels = f"{self._label}:{source}" if isinstance(source, str) else [f"{self._label}:{s}" for s in source]
        evaluate = self._task.evaluate if self._paid is None else self._paid.look if looks else self._paid
        evaluation = evaluate(X, source=labels)
        self.archive.add(X, evaluation.F * self._task.instance.signs, evaluation.violation)
        return evaluation

    def outcome(
        self,
        termination: Termination,
        limit: Limit | None = None,
        *,
        detail: str = "",
        report: JsonObject | None = None,
    ) -> Outcome:
        """The outcome of everything that this expert evaluated."""
        return archived_outcome(self.archive, termination, limit, detail=detail, report=report)


def run_expert(
    task: Task,
    name: str,
    solver: Solver,
    evaluations: int,
    *,
    warm_start: FloatArray | None = None,
    paid: Paid | None = None,
    known: Known | None = None,
    time_share: float = 1.0,
) -> Attempt:
    """Run one expert on a share of the run's evaluations.

    The expert draws from its own named streams: with the same seed and budget it finds what it would find alone. An error of an
    expert is its own failure and ends nothing else; an interrupt ends the run.

    Args:
        task: The mixture's own task.
        name: Label of the expert.
        solver: The expert.
        evaluations: Its share.
        warm_start: float64 [n, d], points to start from.
        paid: What the run has paid for; asking for it again costs nothing.
        known: What of it is handed on.
        time_share: Its share of the seconds that are left, where they are limited.

    Raises:
        BudgetExhausted: The run's own budget ended.
        KeyboardInterrupt: The user asked to stop.
    """
    meter = _ShareMeter(task.meter, evaluations, time_share)
    meter.sync()
    recorder = _ExpertEvaluator(task, meter, name, paid)
    inner = Task(
        instance=task.instance,
        evaluate=recorder,
        recorder=recorder,
        meter=meter,
        seed=task.seed,
        solver_name=solver.info.name,
        warm_start=warm_start,
        known=known,
        llm=task.llm if solver.info.uses_llm else None,
    )
    try:
        with looks_charged(recorder.look):
            outcome = solver._solve(inner)
    except BudgetExhausted as stop:
        if task.meter.remaining_evaluations <= 0 and task.meter.out_of_time:
            raise
        report = {} if inner.reporter is None else inner.reporter()
        outcome = recorder.outcome(Termination.LIMIT, stop.limit, detail=str(stop), report=report)
    except KeyboardInterrupt:
        raise
    except Exception as error:  # a plug-in's bug must not lose what the others find
        told = str(error) if isinstance(error, OptisolveError) else f"{type(error).__name__}: {error}"
        outcome = recorder.outcome(Termination.ERROR, detail=told)
    return Attempt(
        expert=name,
        allotted=evaluations,
        used=meter.evaluations,
        termination=outcome.termination,
        limit=outcome.limit,
        quality=verified_quality(task.instance, outcome.X),
        dual_bound=outcome.dual_bound,
        detail=outcome.detail,
    )


def safe_baseline(task: Task, share: float = 0.1) -> Quality:
    """Evaluate the instance's trivial answers, as they are and repaired, or the middle of the space: a first feasible point.

    Args:
        task: The run.
        share: Largest share of the evaluations to spend; one evaluation is always spent.
    """
    instance, space = task.instance, task.instance.space
    given = [np.atleast_2d(x) for x in instance.null_policies().values()]
    middle = space.clip(0.5 * (space.lower + space.upper)[None, :])
    points = np.vstack([*(space.clip(x) for x in given), middle])
    points = np.vstack([points, instance.project(points)])
    unique = points[np.sort(np.unique(points, axis=0, return_index=True)[1])]
    left = task.meter.remaining_evaluations
    affordable = unique[: max(1, min(int(share * left), unique.shape[0]))]
    # the repaired middle is feasible wherever the family repairs exactly, so it is never the one that is left out
    affordable[-1:] = unique[-1:]
    task.evaluate(affordable, source="safe_baseline")
    return verified_quality(instance, affordable)


def verified_quality(instance: Instance, X: FloatArray) -> Quality:
    """Verify points and keep the best feasible one."""
    checked = verify_points(instance, X)
    feasible = checked.X[checked.feasible]
    if not feasible.shape[0]:
        return Quality(None, None, checked.point)
    F = checked.F[checked.feasible]
    if len(instance.objectives) > 1:
        from optisolve.numerics.indicators import score

        value = score(instance, np.ascontiguousarray(F), None)["hypervolume"]
        return Quality(feasible[0], None if value is None else float(value), PointStatus.FEASIBLE)
    best = int(np.argmin(F[:, 0] * instance.signs[0]))
    return Quality(feasible[best], float(F[best, 0]), PointStatus.FEASIBLE)


def better(instance: Instance, first: float | None, second: float | None) -> bool:
    """Whether a first value is strictly better than a second; no value is worse than any."""
    if first is None or second is None:
        return first is not None
    if len(instance.objectives) > 1 or instance.objectives[0].sense is Sense.MAXIMIZE:
        return first > second
    return first < second
