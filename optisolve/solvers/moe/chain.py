"""The chain of gates: the one that was asked for, then learned, rule and the safe default; every hop is on the log."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from optisolve.core.documents import Json
from optisolve.core.errors import OptisolveError
from optisolve.core.solver import Task
from optisolve.llm.dialogue import Dialogue
from optisolve.llm.session import session_of
from optisolve.solvers.moe.cards import Expert
from optisolve.solvers.moe.gate_model import GateModel, load_gate
from optisolve.solvers.moe.gates import (
    Decision,
    Gate,
    KnnGate,
    LearnedGate,
    RandomGate,
    RuleGate,
    SafeGate,
    SbsGate,
    UniformGate,
)
from optisolve.solvers.moe.llm_gate import HybridGate, LlmGate
from optisolve.solvers.moe.log import ExplanationLog
from optisolve.solvers.moe.planner import PlannerGate

__all__ = ["PLACEBO_GATE", "GateChain", "GateOptions"]

PLACEBO_GATE = "_placebo"
"""What the names of the gates end with that ask a language model and tell it nothing."""

_TRAINED: Mapping[str, Callable[[GateModel], Gate]] = {
    "learned": LearnedGate,
    "sbs": lambda model: SbsGate(model.single_best),
    "knn": KnnGate,
    "uniform": UniformGate,
}
"""Gates that need a gate file and nothing else."""


@dataclass(frozen=True, slots=True)
class GateOptions:
    """Options of a mixture that its gates read; explained at `Moe` and `MoeLlm`."""

    gate: str
    gate_file: str
    n_experts: int
    trust: float | None = None
    reasks: int = 0
    retrieve: bool = False
    criticize: bool = False


class GateChain:
    """Gates of one run.

    Args:
        task: The run.
        options: Which gate, and its options.
        log: Where hops and the decision go.
        evaluations: Budget that a language model is told.

    Attributes:
        fallbacks: Gates that could not decide, in order.
        prompts: Prompts that were used, by name.
        dialogue: Asks the language model; None where the run has none.
    """

    def __init__(self, task: Task, options: GateOptions, log: ExplanationLog, evaluations: int) -> None:
        self._task, self._options, self._log, self._evaluations = task, options, log, evaluations
        self.fallbacks: list[str] = []
        self.prompts: dict[str, str] = {}
        self.dialogue = None if task.llm is None else Dialogue(session_of(task), max_reasks=options.reasks)

    def decide(self, experts: Sequence[Expert]) -> Decision:
        """Ask the gates of the chain until one decides."""
        decided: Decision | None = None
        for kind, gate in self._gates():
            if isinstance(gate, OptisolveError):
                self._hop(kind, str(gate))
                continue
            try:
                decided = gate.decide(self._task.instance, experts, self._options.n_experts)
                break
            except OptisolveError as error:
                self._hop(kind, str(error))
        assert decided is not None  # the safe default never fails
        self.prompts.update(decided.prompts)
        self._log.add(
            "gate",
            gate=decided.gate,
            asked_for=self._options.gate,
            choices=[dataclasses.asdict(c) for c in decided.choices],
            ranking=list(decided.ranking),
            scores=dict(decided.scores),
            note=decided.note,
            prompts=dict(self.prompts),
        )
        return decided

    def report(self) -> dict[str, Json]:
        """What was asked and what came of it, under ``operator``; nothing where nobody can be asked."""
        if self.dialogue is None:
            return {}
        told = f"the language model gave no usable opinion ({self.dialogue.failures}); another gate decided"
        warning = told if self.dialogue.fallback_share > 0.0 else ""
        style = self.dialogue.session.preferred_style
        return {"operator": self.dialogue.report(style=style, prompts=self.prompts, warning=warning).plain()}

    def counterfactuals(
        self, experts: Sequence[Expert], decision: Decision | None, reached: Mapping[str, float | None]
    ) -> list[dict[str, Json]]:
        """What the gates without a language model would have asked first, and what that expert reached here if it ran."""
        trained = self._trained()
        gates: list[Gate] = [RuleGate()]
        if isinstance(trained, GateModel):
            gates += [LearnedGate(trained), SbsGate(trained.single_best)]
        told: list[dict[str, Json]] = []
        for gate in gates:
            if decision is not None and gate.kind == decision.gate:
                continue
            try:
                first = gate.decide(self._task.instance, experts, 1).choices[0].expert
            except OptisolveError as error:
                told.append({"gate": gate.kind, "first": None, "ran": False, "value": None, "reason": str(error)})
                continue
            told.append({"gate": gate.kind, "first": first, "ran": first in reached, "value": reached.get(first), "reason": ""})
        return told

    def _gates(self) -> list[tuple[str, Gate | OptisolveError]]:
        """Kinds with their gates; an error in place of a gate that cannot be made."""
        asked, trained = self._options.gate, self._trained()
        end: list[tuple[str, Gate | OptisolveError]] = [("rule", RuleGate()), ("safe_default", SafeGate())]
        learned = LearnedGate(trained) if isinstance(trained, GateModel) else trained
        if asked == "rule":
            return end
        if asked == "random":
            return [("random", RandomGate(self._task.rng(purpose="gate"))), *end]
        if asked == "learned":
            return [("learned", learned), *end]
        if isinstance(trained, OptisolveError) and asked.removesuffix(PLACEBO_GATE) in (*_TRAINED, "hybrid"):
            return [(asked, trained), *end]
        return [(asked, self._asked(asked, trained)), ("learned", learned), *end]

    def _asked(self, asked: str, trained: GateModel | OptisolveError) -> Gate:
        """The gate that was asked for, where it needs a language model or is a control."""
        options, task = self._options, self._task
        model = trained if isinstance(trained, GateModel) else None
        if asked in _TRAINED:
            assert model is not None
            return _TRAINED[asked](model)
        assert self.dialogue is not None
        kind, placebo = asked.removesuffix(PLACEBO_GATE), asked.endswith(PLACEBO_GATE)
        if kind == "planner":
            steps = (options.retrieve, options.criticize, self._step)
            return PlannerGate(self.dialogue, model, task.seed, self._evaluations, *steps, asked, placebo)
        if kind == "llm":
            return LlmGate(self.dialogue, task.seed, self._evaluations, asked, placebo)
        assert model is not None
        return HybridGate(self.dialogue, model, task.seed, self._evaluations, options.trust, asked, placebo)

    def _step(self, role: str, told: str) -> None:
        self._log.add("planner", role=role, told=told)

    def _trained(self) -> GateModel | OptisolveError:
        try:
            return load_gate(self._options.gate_file)
        except OptisolveError as error:
            return error

    def _hop(self, gate: str, reason: str) -> None:
        self.fallbacks.append(gate)
        self._log.add("fallback", gate=gate, reason=reason)
