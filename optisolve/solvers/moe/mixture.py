"""One run of the mixture: baseline, gate with its fallbacks, experts on shares, combination, and the log of all of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Le

from optisolve.core.capabilities import ShadowPrices
from optisolve.core.documents import Json
from optisolve.core.options import Options
from optisolve.core.problem import Sense
from optisolve.core.solver import Outcome, Task
from optisolve.core.status import Limit, Termination
from optisolve.registry import make_solver
from optisolve.solvers.moe.cards import Expert, find_experts, made_experts
from optisolve.solvers.moe.chain import GateChain, GateOptions
from optisolve.solvers.moe.combine import blend_refusal, convex_blend
from optisolve.solvers.moe.executor import Attempt, Quality, run_expert, safe_baseline, verified_quality
from optisolve.solvers.moe.gates import Choice, Decision
from optisolve.solvers.moe.log import ExplanationLog, log_instance
from optisolve.solvers.moe.standing import Standing

__all__ = ["Mixture", "MixtureOptions"]

_UNLIMITED = 20_000
"""Evaluations that shares are made of when only time is limited."""
_EXTRA = 3
"""Further experts that may use up what the chosen ones leave over."""
_EXACT = 1e-6
"""Relative gap to a proven bound at which an answer is called exact."""
_WORTHWHILE = 0.05
"""Share of the evaluations below which what is left over is not given to anybody."""


@dataclass(frozen=True, slots=True)
class MixtureOptions(Options):
    """Whom a mixture runs, and what it makes of their answers.

    Args:
        experts: Preset names to choose from; empty means those with a card of this installation, which need no extra.
        without: Names to leave out.
        reserve: Share of the evaluations that is kept for the safe baseline and the polish.
        combine: ``best_of``, ``polish_chain`` (the best answer, polished by a local method on the reserve), ``convex_blend``
            (an average where that is safe), ``pareto_merge`` (several objectives; there it is always what happens).
        stop_gap: Relative gap to a proven bound at which nobody else is asked.
    """

    experts: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    reserve: Annotated[float, Ge(0), Le(0.5)] = 0.1
    combine: Literal["best_of", "polish_chain", "convex_blend", "pareto_merge"] = "polish_chain"
    stop_gap: Annotated[float, Ge(0)] = 1e-4


class Mixture:
    """One run.

    Args:
        task: The run.
        options: Whom it runs.
        gates: Who chooses among them.
        with_llm: Experts that ask a language model may be chosen.
        reflect: After an expert that brought nothing the next one gets another role.
        made_first: Methods that are made for the problem run before the gate is asked, see `made_experts`.
    """

    def __init__(
        self,
        task: Task,
        options: MixtureOptions,
        gates: GateOptions,
        *,
        with_llm: bool = False,
        reflect: bool = False,
        made_first: bool = False,
    ) -> None:
        self.task, self.options, self._reflect = task, options, reflect
        self.instance, self.log = task.instance, ExplanationLog()
        self.experts, self.left_out = find_experts(task.instance, options.experts, with_llm=with_llm, without=options.without)
        self._made = made_experts(task.instance, options.without) if made_first else ()
        self.by_name = {e.name: e for e in (*self.experts, *self._made)}
        total = task.meter.budget.evaluations
        self.total = _UNLIMITED if total is None else total
        self.best = Standing(task.instance, verified_quality(task.instance, np.empty((0, task.instance.space.dim))))
        self.chain = GateChain(task, gates, self.log, self.total)
        self.decision: Decision | None = None
        self.synergy: float | None = None
        self.infeasible_by = ""
        self.task.reporter = self.report

    def run(self) -> Outcome:
        """Solve; the outcome's report holds the log."""
        self._log_start()
        self._note_baseline(safe_baseline(self.task, self.options.reserve or 0.1))
        if self._run_made():
            self.decision = self.chain.decide(self.experts)
            self._run_chosen(self.decision)
        self._combine()
        return self._finish()

    def report(self) -> dict[str, Json]:
        """Deterministic figures; ``explanation`` is the log."""
        decision = self.decision
        return {
            "gate": None if decision is None else decision.gate,
            "chosen": [] if decision is None else [c.expert for c in decision.choices],
            "ran": [a.expert for a in self.best.attempts],
            "answer_by": self.best.source,
            "fallbacks": list(self.chain.fallbacks),
            "synergy": self.synergy,
            **self.chain.report(),
            "explanation": self.log.entries,
        }

    # -- start ---------------------------------------------------------------------------------------------------------

    def _log_start(self) -> None:
        log_instance(self.log, self.task)
        made = {"made": [e.name for e in self._made]} if self._made else {}
        self.log.add("experts", able=[e.name for e in self.experts], left_out=dict(sorted(self.left_out.items())), **made)

    def _note_baseline(self, quality: Quality) -> None:
        self.best.quality, self.best.source = quality, "safe_baseline"
        self.log.add("baseline", evaluations=self.task.meter.evaluations, value=quality.value, status=quality.status.value)

    # -- experts --------------------------------------------------------------------------------------------------------

    @property
    def left(self) -> int:
        """Evaluations that are left; 0 once the time is up."""
        limit = self.task.meter.budget.evaluations
        if self.task.meter.out_of_time:
            return 0
        return max(0, self.total - self.task.meter.evaluations) if limit is None else self.task.meter.remaining_evaluations

    @property
    def _kept(self) -> int:
        """Evaluations that are kept for the polish."""
        return int(self.options.reserve * self.total) if self._polisher() is not None else 0

    def _run_made(self) -> bool:
        """Ask those who are made for the problem; whether anything is left to do for others."""
        for expert in self._made:
            if not self._attempt(self.left - self._kept, Choice(expert.name, 0.0, 0.0, "MADE_FOR_IT")):
                return False
        return not self._made or self.left - self._kept > _WORTHWHILE * self.total

    def _run_chosen(self, decision: Decision) -> None:
        kept = self._kept
        pool = max(0, self.left - kept)
        choices = list(decision.choices)
        for i, choice in enumerate(choices):
            last = i == len(choices) - 1
            if self._reflect and i > 0:
                choice = choices[i] = self._reflected(choice, decision)  # noqa: PLW2901
            share = self.left - kept if last else int(choice.share * pool)
            if not self._attempt(share, choice):
                return
        for name in self._unused(decision)[:_EXTRA]:
            if self.left - kept <= _WORTHWHILE * self.total:
                return
            loss = decision.scores.get(name) if decision.gate in ("learned",) else None
            if not self._attempt(self.left - kept, Choice(name, 0.0, 0.0, "LEFT_OVER", loss)):
                return

    def _reflected(self, choice: Choice, decision: Decision) -> Choice:
        """After an expert that brought nothing, an expert of another role takes the next one's place, where there is one."""
        last = self.best.attempts[-1] if self.best.attempts else None
        if last is None or last.expert == self.best.source or last.expert not in self.by_name:
            self.log.add("planner", role="reflect", told=f"keep the plan: {choice.expert} is next")
            return choice
        role, ran = self.by_name[last.expert].card.role, {a.expert for a in self.best.attempts}
        others = [n for n in decision.ranking if n not in ran and self.by_name[n].card.role not in (role, "baseline")]
        if self.by_name[choice.expert].card.role != role or not others:
            self.log.add("planner", role="reflect", told=f"{last.expert} brought nothing; {choice.expert} is next")
            return choice
        told = f"{last.expert} brought nothing; {others[0]} of another role takes the place of {choice.expert}"
        self.log.add("planner", role="reflect", told=told)
        return dataclasses.replace(choice, expert=others[0], reason="REFLECTION")

    def _unused(self, decision: Decision) -> list[str]:
        """Experts that were not chosen and could use up a budget, in the gate's order; of a single choice there are none."""
        if decision.gate in ("sbs", "safe_default"):
            return []
        ran = {a.expert for a in self.best.attempts}
        return [n for n in decision.ranking if n not in ran and self.by_name[n].card.role not in ("baseline",)]

    def _attempt(self, share: int, choice: Choice) -> bool:
        """Run one expert; False when nobody else needs to run."""
        share = min(share, self.left)
        if share < 1:
            return self.left > 0
        expert = self.by_name[choice.expert]
        attempt = run_expert(self.task, expert.name, expert.solver, share)
        self._note_attempt(attempt, choice)
        if self.infeasible_by:
            return False
        return not self._closed()

    def _note_attempt(self, attempt: Attempt, choice: Choice, **more: Json) -> None:
        best = self.best
        best.attempts.append(attempt)
        improved = best.offer(attempt.quality, attempt.expert)
        refused = best.take_bound(attempt)
        if attempt.termination is Termination.INFEASIBLE and best.quality.value is None:
            self.infeasible_by = attempt.expert
        self.log.add(
            "expert",
            expert=attempt.expert,
            reason=choice.reason,
            predicted={"loss": choice.predicted_loss, "evaluations": choice.predicted_evaluations},
            allotted=attempt.allotted,
            actual={"evaluations": attempt.used, "value": attempt.quality.value, "loss": best.gap(attempt.quality.value)},
            termination=attempt.termination.value,
            limit=None if attempt.limit is None else attempt.limit.value,
            verified=attempt.quality.status.value,
            dual_bound=attempt.dual_bound,
            bound_refused=refused,
            detail=attempt.detail,
            best_so_far=improved,
            **more,
        )

    def _closed(self) -> bool:
        return self.best.closed(self.options.stop_gap)

    # -- combination and end --------------------------------------------------------------------------------------------

    def _polisher(self) -> Expert | None:
        """The local method that polishes, where one can treat the instance."""
        if self.options.combine != "polish_chain" or "scipy_local" in self.options.without or len(self.instance.objectives) > 1:
            return None
        solver = make_solver("scipy_local", {"n_starts": 1})
        found = self.by_name.get("scipy_local")
        if found is None and self.options.experts:
            return None
        return None if solver.skip(self.instance) or found is None else dataclasses.replace(found, solver=solver)

    def _combine(self) -> None:
        members = [a.quality for a in self.best.attempts if a.quality.point is not None]
        before = self.best.quality.value
        how, note = self.options.combine, ""
        if len(self.instance.objectives) > 1:
            how, note = "pareto_merge", "non-dominated points of all members"
            merged = verified_quality(self.instance, self.task.outcome(Termination.CONVERGED).X)
            self.best.quality = merged if merged.value is not None else self.best.quality
        elif how == "polish_chain":
            note = self._polish()
        elif how == "convex_blend":
            note = self._blend(members)
        after = self.best.quality.value
        maximize = len(self.instance.objectives) > 1 or self.instance.objectives[0].sense is Sense.MAXIMIZE
        if after is not None and before is not None:
            self.synergy = after - before if maximize else before - after
        self.log.add("combine", how=how, note=note, best_member=before, combined=after, synergy=self.synergy)

    def _polish(self) -> str:
        polisher, point = self._polisher(), self.best.quality.point
        if polisher is None or point is None:
            return "nothing to polish, or no local method for it"
        if self._closed() or self.infeasible_by:
            return "the answer meets a proven bound already"
        if self.left < 2:
            return "no evaluations are left"
        attempt = run_expert(self.task, "polish", polisher.solver, self.left, warm_start=point[None, :])
        self._note_attempt(attempt, Choice("polish", 0.0, 0.0, "POLISH"), method="scipy_local", start=self.best.source)
        return "polished" if self.best.source == "polish" else "not better than the best member"

    def _blend(self, members: Sequence[Quality]) -> str:
        refusal = blend_refusal(self.instance)
        if refusal:
            return f"refused: {refusal}"
        points = np.array([m.point for m in members if m.point is not None])
        if len(points) < 2 or self.left < 1 + len(points):
            return "fewer than two feasible answers, or no evaluations left"
        blend = convex_blend(self.instance, points, lambda X: self.task.evaluate(X, source="blend"))
        if blend.point is None:
            return blend.reason
        kept = self.best.offer(verified_quality(self.instance, blend.point[None, :]), "blend")
        return "kept" if kept else "not better after verification"

    def _finish(self) -> Outcome:
        self._log_end()
        best = self.best
        report = self.report()
        if self.infeasible_by and best.quality.value is None:
            detail = f"{self.infeasible_by} claims that no feasible point exists"
            return self.task.outcome(Termination.INFEASIBLE, detail=detail, report=report)
        if self._closed():
            detail = f"value meets the bound of {best.bound_by}"
            outcome = self.task.outcome(Termination.OPTIMAL, detail=detail, report=report)
        elif self.left <= 0:
            outcome = self.task.outcome(Termination.LIMIT, Limit.EVALUATIONS, report=report)
        else:
            outcome = self.task.outcome(Termination.CONVERGED, detail="every chosen expert has ended", report=report)
        usable = best.bound is not None and not best.refutes(best.bound)
        return dataclasses.replace(outcome, dual_bound=best.bound if usable else None)

    def _log_end(self) -> None:
        best, instance = self.best, self.instance
        gap = best.gap(best.quality.value)
        certificate = "NONE" if gap is None else "EXACT" if gap <= _EXACT else f"GAP({100.0 * gap:.4g}%)"
        prices: dict[str, float] = {}
        if best.quality.point is not None and self._closed() and isinstance(instance, ShadowPrices):
            prices = dict(instance.shadow_prices(best.quality.point))
        reached = {a.expert: a.quality.value for a in best.attempts}
        self.log.add("counterfactuals", gates=self.chain.counterfactuals(self.experts, self.decision, reached))
        self.log.add(
            "answer",
            by=best.source,
            value=best.quality.value,
            unit=instance.objectives[0].unit if len(instance.objectives) == 1 else "hypervolume",
            verified=best.quality.status.value,
            bound=best.bound,
            bound_by=best.bound_by,
            certificate=certificate,
            gap=gap,
            shadow_prices=prices,
            evaluations=self.task.meter.evaluations,
            llm_calls=self.task.meter.llm_calls,
            tokens=self.task.meter.tokens_in + self.task.meter.tokens_out,
            fallbacks=len(self.chain.fallbacks),
        )
