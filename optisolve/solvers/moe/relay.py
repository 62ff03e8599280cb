"""Several objectives: a chain of stages that hand all points on, each asked as long as it is expected to bring the most."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection

from optisolve.core.arrays import FloatArray
from optisolve.core.documents import Json
from optisolve.core.errors import BudgetExhausted
from optisolve.core.evaluation import looks_charged
from optisolve.core.seeds import derive
from optisolve.core.solver import Outcome, Task, spent_limit
from optisolve.core.status import Limit, Termination
from optisolve.solvers.moe.executor import run_expert, verified_quality
from optisolve.solvers.moe.log import ExplanationLog, log_instance
from optisolve.solvers.moe.paid import Paid
from optisolve.solvers.moe.stages import SURROGATE_UNTIL, Stage, find_stages, first_samples, slice_of, trivial_points

__all__ = ["Relay"]

_UNLIMITED = 20_000
"""Evaluations that slices are made of when only time is limited."""
_SMOOTHING = 0.5
"""Weight of a stage's latest gain beside what was known of it."""
_RECOVERY = 0.2
"""How far what is known of a stage goes back to what is expected, with every slice of another one."""
_FAILURES = 2
"""Slices in a row that brought an error or no evaluation, after which a stage is not asked again."""
_TIME_SHARE = 0.3
"""Share of a limit on seconds after which no surrogate is asked."""


@dataclasses.dataclass(slots=True)
class _Account:
    """What a stage has brought.

    Attributes:
        rate: Hypervolume that it is expected to gain per factor e in evaluations.
        slices: How often it was asked.
        evaluations: What it has used.
        gain: Hypervolume that it has gained.
        failures: Slices in a row that brought an error or no evaluation.
    """

    rate: float
    slices: int = 0
    evaluations: int = 0
    gain: float = 0.0
    failures: int = 0


class Relay:
    """One run.

    Args:
        task: The run.
        names: Stages to choose from; empty means all that can treat the instance.
        without: Stages to leave out.
    """

    def __init__(self, task: Task, names: Collection[str] = (), without: Collection[str] = ()) -> None:
        self.task, self.log, self.paid = task, ExplanationLog(), Paid(task)
        self.stages, self.left_out = find_stages(task.instance, names, without=without)
        limit = task.meter.budget.evaluations
        self._total = _UNLIMITED if limit is None else limit
        self._accounts = {stage.name: _Account(stage.expected) for stage in self.stages}
        task.reporter = self.report

    def run(self) -> Outcome:
        """Solve; the outcome's report holds the log."""
        log_instance(self.log, self.task)
        self.log.add("stages", able=[stage.name for stage in self.stages], left_out=dict(self.left_out))
        with looks_charged(self.paid.look):
            self._begin()
        while self.task.meter.remaining_evaluations > 0 and (stage := self._next()) is not None:
            self._slice(stage)
        self._log_end()
        report = self.report()
        if self.task.meter.remaining_evaluations > 0:
            return self.task.outcome(Termination.LIMIT, Limit.STALLED, detail="no stage brings anything new", report=report)
        return self.task.outcome(Termination.LIMIT, spent_limit(self.task), report=report)

    def report(self) -> dict[str, Json]:
        """Deterministic figures; ``explanation`` is the log."""
        told: dict[str, Json] = {
            name: {"slices": a.slices, "evaluations": a.evaluations, "hypervolume_gain": a.gain}
            for name, a in self._accounts.items()
            if a.slices
        }
        return {"stages": told, "explanation": self.log.entries}

    # -- points that are taken as they are ------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Evaluate the user's own points, the trivial answers and the first samples."""
        task = self.task
        if (warm := task.start).shape[0]:
            self._take("warm_start", warm[: task.meter.remaining_evaluations], "THE_USER_S_OWN")
        for stage in self.stages:
            left = task.meter.remaining_evaluations
            if stage.role == "trivial":
                points = trivial_points(task.instance)
                # one first: a feasible point; all of them only where they do not eat up the budget
                self._take(stage.name, points[: min(left, max(1, self._total // 5))], "FREE_KNOWLEDGE")
            elif stage.role == "sampler" and left:
                self._sample(stage, min(left, first_samples(self._total)))

    def _sample(self, stage: Stage, count: int) -> None:
        from optisolve.solvers.ddpm.start import sampled_points

        try:
            points = sampled_points(self.task, count, self.task.seed)
        except (BudgetExhausted, KeyboardInterrupt):
            raise
        except Exception as error:  # weights that cannot be read must not end a run that needs none
            self._note(stage.name, count, 0, self.paid.gained, None, "TRAINED_SAMPLER", f"{type(error).__name__}: {error}")
            return
        if points is not None:
            self._take(stage.name, points, "TRAINED_SAMPLER")

    def _take(self, name: str, X: FloatArray, reason: str) -> None:
        before, start = self.paid.gained, self.task.meter.evaluations
        if X.shape[0]:
            self.paid(X, source=name)
        self._note(name, X.shape[0], self.task.meter.evaluations - start, before, None, reason)

    # -- stages that search ---------------------------------------------------------------------------------------------

    def _next(self) -> Stage | None:
        """Who is expected to bring the most now."""
        able = [stage for stage in self.stages if stage.solver is not None and self._accounts[stage.name].failures < _FAILURES]
        few = [stage for stage in able if stage.role != "surrogate" or self._surrogate_pays()]
        return max(few or able, key=lambda stage: self._accounts[stage.name].rate, default=None)

    def _surrogate_pays(self) -> bool:
        meter = self.task.meter
        seconds = meter.budget.seconds
        in_time = seconds is None or meter.elapsed_s < _TIME_SHARE * seconds
        return meter.evaluations < SURROGATE_UNTIL and in_time

    def _slice(self, stage: Stage) -> None:
        """Let a stage go on from all that is known."""
        task, account, before, start = self.task, self._accounts[stage.name], self.paid.gained, self.task.meter.evaluations
        assert stage.solver is not None
        allotted = slice_of(stage, self._total, task.meter.remaining_evaluations)
        if stage.role == "surrogate":
            allotted = min(allotted, max(1, SURROGATE_UNTIL - start)) if start < SURROGATE_UNTIL else allotted
        predicted = account.rate * math.log((start + allotted) / max(1, start))
        inner = dataclasses.replace(task, seed=self._seed(stage.name, account.slices))
        attempt = run_expert(inner, stage.name, stage.solver, allotted, paid=self.paid)
        used = task.meter.evaluations - start
        failed = attempt.termination is Termination.ERROR
        account.failures = account.failures + 1 if failed or used == 0 else 0
        rate = (self.paid.gained - before) / math.log((start + used) / max(1, start)) if used and start else 0.0
        account.rate = rate if account.slices == 0 else (1.0 - _SMOOTHING) * account.rate + _SMOOTHING * rate
        for other in self.stages:
            if other is not stage:
                known = self._accounts[other.name]
                known.rate += _RECOVERY * max(0.0, other.expected - known.rate)
        detail = attempt.detail if failed else ""
        self._note(stage.name, allotted, used, before, predicted, "PREDICTED_GAIN", detail, attempt.termination)

    def _seed(self, name: str, number: int) -> int:
        """The seed of a slice; a stage alone would begin with the run's own."""
        if number == 0:
            return self.task.seed
        return int(derive(self.task.seed, solver=self.task.solver_name, stage=name, slice=number).generate_state(1)[0])

    # -- log ------------------------------------------------------------------------------------------------------------

    def _note(
        self,
        name: str,
        allotted: int,
        used: int,
        before: float,
        predicted: float | None,
        reason: str,
        detail: str = "",
        termination: Termination | None = None,
    ) -> None:
        gain = self.paid.gained - before
        account = self._accounts.setdefault(name, _Account(0.0))
        account.slices += 1
        account.evaluations += used
        account.gain += gain
        self.log.add(
            "stage",
            stage=name,
            reason=reason,
            allotted=allotted,
            evaluations=used,
            total=self.task.meter.evaluations,
            predicted=predicted,
            before=before,
            after=self.paid.gained,
            gain=gain,
            ended="" if termination is None else termination.value,
            detail=detail,
        )

    def _log_end(self) -> None:
        quality = verified_quality(self.task.instance, self.task.outcome(Termination.CONVERGED).X)
        accounts = {name: a for name, a in self._accounts.items() if a.slices}
        best = max(accounts, key=lambda name: accounts[name].gain, default="")
        self.log.add(
            "chain",
            by=best,
            value=quality.value,
            verified=quality.status.value,
            evaluations=self.task.meter.evaluations,
            credit={name: {"evaluations": a.evaluations, "gain": a.gain} for name, a in accounts.items()},
        )
