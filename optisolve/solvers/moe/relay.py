"""Several objectives: a chain of stages that hand all points on, each asked as long as it is expected to bring the most."""

from __future__ import annotations

import dataclasses
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
from optisolve.solvers.moe.stages import (
    Account,
    Stage,
    base_of,
    find_stages,
    first_samples,
    predicted_share,
    share_of,
    trivial_count,
    trivial_points,
)

__all__ = ["Relay"]

_UNLIMITED = 20_000
"""Evaluations that shares are made of when only time is limited."""
_FAILURES = 2
"""Slices in a row that brought an error or no evaluation, after which a stage is not asked again."""
_SURROGATE_TIME = 0.3
"""Share of the seconds that are left, where they are limited, for a surrogate."""


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
        self._accounts: dict[str, Account] = {stage.name: Account() for stage in self.stages}
        task.reporter = self.report

    def run(self) -> Outcome:
        """Solve; the outcome's report holds the log."""
        log_instance(self.log, self.task)
        self.log.add("stages", able=[stage.name for stage in self.stages], left_out=dict(self.left_out))
        with looks_charged(self.paid.look):
            self._begin()
        while self.task.meter.remaining_evaluations > 0 and (chosen := self._next()) is not None:
            self._slice(*chosen)
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

    @property
    def left(self) -> int:
        """Evaluations that are left."""
        meter = self.task.meter
        return min(max(1, self._total - meter.evaluations), meter.remaining_evaluations)

    # -- points that are taken as they are ------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Evaluate the user's own points, the trivial answers and the first samples."""
        task = self.task
        if (warm := task.start).shape[0]:
            self._take("warm_start", warm[: self.left], "THE_USER_S_OWN")
        by_role = {stage.role: stage for stage in self.stages}
        trivial, sampler = by_role.get("trivial"), by_role.get("sampler")
        count = min(self.left, trivial_count(task.instance, self._total, sampled=sampler is not None))
        if trivial is not None and count:
            self._take(trivial.name, trivial_points(task.instance, count), "FREE_KNOWLEDGE")
        if sampler is not None and task.meter.remaining_evaluations > 0:
            self._sample(sampler, min(self.left, first_samples(self._total)))
        if trivial is not None and not len(self.paid) and task.meter.remaining_evaluations > 0:
            self._take(trivial.name, trivial_points(task.instance, 1), "FREE_KNOWLEDGE")

    def _sample(self, stage: Stage, count: int) -> None:
        from optisolve.solvers.ddpm.start import sampled_points

        try:
            points = sampled_points(self.task, count, self.task.seed)
        except BudgetExhausted:
            raise
        except Exception as error:  # weights that cannot be read must not end a run that needs none
            told = f"{type(error).__name__}: {error}"
            self._note(stage.name, count, self.paid.mark, self.task.meter.evaluations, "TRAINED_SAMPLER", detail=told)
            return
        if points is not None:
            self._take(stage.name, points, "TRAINED_SAMPLER")

    def _take(self, name: str, X: FloatArray, reason: str) -> None:
        before, start, self.paid.stage = self.paid.mark, self.task.meter.evaluations, name
        if X.shape[0]:
            self.paid(X, source=name)
        self._note(name, X.shape[0], before, start, reason)

    # -- stages that search ---------------------------------------------------------------------------------------------

    def _next(self) -> tuple[Stage, int, float] | None:
        """Who is expected to bring the most for what is left, for how many evaluations, and how much."""
        able = [stage for stage in self.stages if stage.solver is not None and self._accounts[stage.name].failures < _FAILURES]
        refined = any(stage.role == "gradient" for stage in able)
        if refined:  # slopes say more than a surrogate can
            able = [stage for stage in able if stage.role != "surrogate"]
        made, left = self.task.meter.evaluations, self.left
        shares = [(stage, share_of(stage, self._accounts[stage.name], made, left, refined=refined)) for stage in able]
        worth = [
            (stage, asked, predicted_share(stage, self._accounts[stage.name], made, left, asked))
            for stage, asked in shares
            if asked > 0
        ]
        return max(worth, key=lambda item: item[2], default=None)

    def _slice(self, stage: Stage, asked: int, worth: float) -> None:
        """Let a stage go on from all that is known."""
        task, account, before = self.task, self._accounts[stage.name], self.paid.mark
        assert stage.solver is not None
        start, self.paid.stage = task.meter.evaluations, stage.name
        base = base_of(stage, account, start)
        # who descends crowds the front; a population is broad
        known = self.paid.known(self._refiner if stage.role == "evolution" else "")
        attempt = run_expert(
            dataclasses.replace(task, seed=self._seed(stage.name, account.slices)),
            stage.name,
            stage.solver,
            asked,
            paid=self.paid,
            known=known,
            time_share=_SURROGATE_TIME if stage.role == "surrogate" else asked / self.left,
        )
        used, failed = task.meter.evaluations - start, attempt.termination is Termination.ERROR
        account.failures = account.failures + 1 if failed or used == 0 else 0
        account.note(used, (self.paid.gained - self.paid.at(before)) / max(self.paid.gained, 1e-12), base)
        if stage.role == "evolution" and (refiner := self._accounts.get(self._refiner)) is not None:
            refiner.begin_again()
        self._note(stage.name, asked, before, start, "PREDICTED_GAIN", attempt.detail, worth, attempt.termination)

    @property
    def _refiner(self) -> str:
        return next((stage.name for stage in self.stages if stage.role == "gradient"), "")

    def _seed(self, name: str, number: int) -> int:
        """The seed of a slice: the run's own for the first one, so that a stage begins as it would alone."""
        if number == 0:
            return self.task.seed
        return int(derive(self.task.seed, solver=self.task.solver_name, stage=name, slice=number).generate_state(1)[0])

    # -- log ------------------------------------------------------------------------------------------------------------

    def _note(
        self,
        name: str,
        asked: int,
        mark: tuple[int, float],
        start: int,
        reason: str,
        detail: str = "",
        worth: float | None = None,
        ended: Termination | None = None,
    ) -> None:
        if mark[0] != self.paid.moves:
            for account in self._accounts.values():
                account.gain = 0.0  # in a box of the run's own; in the scenario's they gained nothing
        before = self.paid.at(mark)
        gain, used = self.paid.gained - before, self.task.meter.evaluations - start
        account = self._accounts.setdefault(name, Account())
        account.slices += 1
        account.evaluations += used
        account.gain += gain
        self.log.add(
            "stage",
            stage=name,
            reason=reason,
            asked=asked,
            evaluations=used,
            total=self.task.meter.evaluations,
            predicted=worth,
            before=before,
            after=self.paid.gained,
            gain=gain,
            ended="" if ended is None else ended.value,
            detail=detail,
        )

    def _log_end(self) -> None:
        quality = verified_quality(self.task.instance, self.task.outcome(Termination.CONVERGED).X)
        accounts = {name: a for name, a in self._accounts.items() if a.slices}
        self.log.add(
            "chain",
            value=quality.value,
            verified=quality.status.value,
            evaluations=self.task.meter.evaluations,
            credit={name: {"evaluations": a.evaluations, "gain": a.gain} for name, a in accounts.items()},
        )
