"""The agentic planner: retrieve, plan, criticize, reflect; bounded, and each part can be switched off.

The language model only orders experts of the list. The critic is a set of rules that knows the cards; it may move or drop an
expert and says why. Reflection happens between experts, from verified values alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from optisolve.core.problem import Instance
from optisolve.llm.session import LlmSession
from optisolve.solvers.moe.cards import Expert
from optisolve.solvers.moe.gate_model import GateModel
from optisolve.solvers.moe.gates import Decision, features_for, ranked
from optisolve.solvers.moe.llm_gate import ask_opinion
from optisolve.solvers.moe.retrieval import Bm25, similar_runs

__all__ = ["PlannerGate", "criticize"]

_RETRIEVED = 8
"""Cards that the language model sees at most."""
_SIMILAR = 4
"""Similar runs that it sees at most."""


@dataclass(frozen=True, slots=True)
class PlannerGate:
    """A gate of several steps, each on the log.

    Args:
        session: Open session.
        model: Trained gate, for similar runs; None leaves them out.
        seed: The run's seed.
        evaluations: Budget, told to the model.
        retrieve: Show only the best matching cards and similar runs; otherwise all cards and no runs.
        criticize: Let the rules correct the plan.
        reasks: Further questions after an unusable answer.
        note: Called with every step, ``note(role, told)``.
    """

    session: LlmSession
    model: GateModel | None
    seed: int
    evaluations: int
    retrieve: bool
    criticize: bool
    reasks: int
    note: Callable[[str, str], None]
    kind: str = "planner"

    def decide(self, instance: Instance, experts: Sequence[Expert], count: int) -> Decision:
        """Retrieve, ask, criticize; the language model's failure is the gate's."""
        shown, records = list(experts), tuple[str, ...]()
        if self.retrieve:
            shown, records = self._retrieved(instance, experts)
        opinion = ask_opinion(
            self.session,
            instance,
            shown,
            seed=self.seed,
            evaluations=self.evaluations,
            records=records,
            tag="planner",
            reasks=self.reasks,
        )
        self.note("plan", ", then ".join(opinion.order))
        by_name = {e.name: e for e in experts}
        order = [by_name[name] for name in opinion.order]
        if self.criticize:
            order, remarks = criticize(order, experts, instance)
            for remark in remarks or ["nothing to correct"]:
                self.note("critic", remark)
        rest = [e for e in shown if e not in order] + [e for e in experts if e not in order and e not in shown]
        reasons = {e.name: "PLAN" if e.name in opinion.order else "CRITIC" for e in order}
        note: dict[str, Any] = {**opinion.note, "retrieved": [e.name for e in shown], "records": list(records)}
        return ranked(self.kind, [*order, *rest], count, reasons=reasons, scores=opinion.weights, note=note)

    def _retrieved(self, instance: Instance, experts: Sequence[Expert]) -> tuple[list[Expert], tuple[str, ...]]:
        told = instance.describe()
        kinds = "integer" if instance.space.has_integers else "real"
        aims = " ".join(f"{o.name.replace('_', ' ')} {o.meaning}" for o in instance.objectives)
        several = "several objectives" if len(instance.objectives) > 1 else "one objective"
        query = f"{told.summary} {' '.join(told.constraints)} {aims} {kinds} variables {several}"
        found = Bm25({e.name: f"{e.name.replace('_', ' ')} {e.card.words}" for e in experts}).rank(query, _RETRIEVED)
        names = [name for name, _ in found]
        shown = [e for e in experts if e.name in names] or list(experts)
        self.note("retrieve", f"cards: {', '.join(names) or 'none matches, all are shown'}")
        if self.model is None:
            return shown, ()
        able = [e.name for e in experts]
        records = tuple(similar_runs(self.model, features_for(self.model, instance, experts), able, _SIMILAR))
        for line in records:
            self.note("retrieve", line)
        return shown, records


def criticize(order: Sequence[Expert], experts: Sequence[Expert], instance: Instance) -> tuple[list[Expert], list[str]]:
    """Correct a plan by what the cards say; every correction is one remark.

    Args:
        order: The plan, best first.
        experts: All experts that can treat the instance.
        instance: The instance.

    Returns:
        The corrected order and the remarks; no remark means no change.
    """
    plan, remarks = list(order), []
    for expert in list(plan):
        if expert.card.role == "baseline" and len(plan) > 1:
            plan.remove(expert)
            remarks.append(f"{expert.name} is only a control and was dropped")
        elif expert.card.max_dim is not None and instance.space.dim > expert.card.max_dim and len(plan) > 1:
            plan.remove(expert)
            limit = f"up to {expert.card.max_dim} variables, here are {instance.space.dim}"
            remarks.append(f"{expert.name} is made for {limit}; dropped")
    exact = [e for e in experts if e.card.guarantee == "exact" and e.card.order(instance) is not None]
    if exact and not any(e.card.guarantee == "exact" for e in plan):
        best = min(exact, key=lambda e: (e.card.order(instance) or 0, e.name))
        plan.insert(0, best)
        remarks.append(f"{best.name} proves its answer and needs few evaluations; it goes first")
    return plan, remarks
