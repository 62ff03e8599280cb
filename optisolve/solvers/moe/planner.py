"""The agentic planner: retrieve similar runs, plan, criticize, reflect; bounded, and each part can be switched off.

The language model only orders experts of the list. The critic is a set of rules that knows the cards; it may move or drop an
expert and says why. Reflection happens between experts, from verified values alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.problem import Instance
from optisolve.llm.dialogue import Dialogue
from optisolve.solvers.moe.cards import Expert
from optisolve.solvers.moe.gate_model import GateModel
from optisolve.solvers.moe.gates import Decision, features_for, ranked
from optisolve.solvers.moe.llm_gate import ask_opinion

__all__ = ["PlannerGate", "criticize", "similar_runs"]

_SIMILAR = 4
"""Similar runs that the language model sees at most."""


@dataclass(frozen=True, slots=True)
class PlannerGate:
    """A gate of several steps, each on the log.

    Args:
        dialogue: Asks the language model.
        model: Trained gate, for similar runs; None leaves them out.
        seed: The run's seed.
        evaluations: Budget, told to the model.
        retrieve: Show what the most similar training runs say; the cards of all experts are shown in any case.
        criticize: Let the rules correct the plan.
        note: Called with every step, ``note(role, told)``.
        kind: Name in logs.
        placebo: See `ask_opinion`.
    """

    dialogue: Dialogue
    model: GateModel | None
    seed: int
    evaluations: int
    retrieve: bool
    criticize: bool
    note: Callable[[str, str], None]
    kind: str = "planner"
    placebo: bool = False

    def decide(self, instance: Instance, experts: Sequence[Expert], count: int) -> Decision:
        """Retrieve, ask, criticize; the language model's failure is the gate's."""
        records = self._retrieved(instance, experts) if self.retrieve else ()
        opinion = ask_opinion(
            self.dialogue,
            instance,
            experts,
            seed=self.seed,
            evaluations=self.evaluations,
            records=records,
            tag="planner",
            placebo=self.placebo,
        )
        self.note("plan", ", then ".join(opinion.order))
        by_name = {e.name: e for e in experts}
        order = [by_name[name] for name in opinion.order]
        if self.criticize:
            order, remarks = criticize(order, experts, instance)
            for remark in remarks or ["nothing to correct"]:
                self.note("critic", remark)
        reasons = {e.name: "PLAN" if e.name in opinion.order else "CRITIC" for e in order}
        return ranked(
            self.kind,
            [*order, *(e for e in experts if e not in order)],
            count,
            reasons=reasons,
            scores=opinion.weights,
            note={**opinion.note, "records": list(records)},
            prompts=opinion.prompts,
        )

    def _retrieved(self, instance: Instance, experts: Sequence[Expert]) -> tuple[str, ...]:
        if self.model is None:
            self.note("retrieve", "no trained gate, so no similar runs are known")
            return ()
        z = features_for(self.model, instance, experts)
        records = tuple(similar_runs(self.model, z, [e.name for e in experts], _SIMILAR))
        for line in records or ("no similar run says anything about these experts",):
            self.note("retrieve", line)
        return records


def similar_runs(model: GateModel, z: FloatArray, able: Sequence[str], count: int) -> list[str]:
    """What the nearest training instances say about the experts that can treat this one, one line each."""
    columns = [j for j, name in enumerate(model.experts) if name in able]
    lines = []
    for i in np.argsort(model.distances(z), kind="stable")[:count]:
        order = sorted(columns, key=lambda j: (float(model.losses[i, j]), model.experts[j]))[:3]
        told = ", ".join(f"{model.experts[j]} (loss {model.losses[i, j]:.3g})" for j in order)
        if told:
            lines.append(f"a similar problem: {told}")
    return list(dict.fromkeys(lines))


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
