"""The mixture of experts as solvers: `moe` without a language model, `moe_llm` with one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Le

from optisolve.content import digest
from optisolve.core.budget import Budget
from optisolve.core.capabilities import Jacobian, Samplable, ShadowPrices
from optisolve.core.controls import PLACEBO, SUBJECT, Arm
from optisolve.core.errors import FieldProblem, SolverError
from optisolve.core.options import Resource
from optisolve.core.problem import Instance
from optisolve.core.solver import Outcome, Solver, SolverInfo, Task
from optisolve.solvers.moe.cards import find_experts
from optisolve.solvers.moe.chain import PLACEBO_GATE, GateOptions
from optisolve.solvers.moe.gate_model import gate_path, is_shipped
from optisolve.solvers.moe.mixture import Mixture, MixtureOptions
from optisolve.solvers.moe.relay import Relay
from optisolve.solvers.moe.stages import STAGES, find_stages, sampler_weights

__all__ = ["Moe", "MoeLlm"]

_GATES = {
    "learned": "the learned gate",
    "rule": "the gate by rule",
    "knn": "the gate by nearest instances",
    "uniform": "equal shares for the best on average",
    "random": "random experts",
    "sbs": "the single best solver",
}
"""Gates of `Moe`, in words."""

_CITATION = (
    "Du et al., arXiv 2402.09756 (experts and a language model as gate); Rice 1976 and Lindauer et al. 2019, arXiv 1805.01214 "
    "(algorithm selection)"
)


@dataclass(frozen=True, slots=True)
class _Experts(MixtureOptions, Solver):
    """What both solvers share.

    Args:
        gate_file: Path of a trained gate; "" means the one that comes with optisolve.
        n_experts: Experts that are chosen at most.
    """

    gate_file: Annotated[str, Resource(is_shipped)] = ""
    n_experts: Annotated[int, Ge(1), Le(10)] = 2

    def skip(self, instance: Instance) -> str | None:
        """Needs at least one expert that does not skip the instance."""
        return Solver.skip(self, instance) or self._nobody(instance)

    def checkpoint(self, instance: Instance) -> dict[str, str] | None:
        """The gate's file; gates that learned nothing are compared with it in the log, or fall back to it."""
        path = gate_path(self.gate_file)
        return {"name": path.name, "sha256": digest(path)} if path.is_file() else None

    def _nobody(self, instance: Instance, *, with_llm: bool = False) -> str | None:
        found, left = find_experts(instance, self.experts, with_llm=with_llm, without=self.without)
        if found:
            return None
        return "no expert can treat this instance: " + "; ".join(f"{name}: {why}" for name, why in list(left.items())[:3])

    def _run(
        self, task: Task, gates: GateOptions, *, with_llm: bool = False, reflect: bool = False, made_first: bool = False
    ) -> Outcome:
        return Mixture(task, self, gates, with_llm=with_llm, reflect=reflect, made_first=made_first).run()


@dataclass(frozen=True, slots=True)
class Moe(_Experts):
    """Experts chosen by a gate without a language model, run on shares of one budget, verified one by one.

    A method that is made for just this kind of problem runs first (``made`` on its card), and the gate shares what it leaves.

    With several objectives stages hand all points on instead: trivial answers, the trained sampler, a descent along slopes, a
    surrogate, evolution, as far as the instance offers what they need. Each goes on as long as it is expected to bring the most
    for what is left of the budget.

    Args:
        gate: ``learned`` (forests trained on runs), ``rule`` (order of the cards); controls are ``knn`` (nearest training
            instances), ``uniform`` (equal shares for what was best on average), ``random``, ``sbs`` (the single best solver).
        several: What happens with several objectives: a ``chain`` of stages that hand all points on, experts chosen by the
            ``gate``, or ``auto``, which is the chain unless a gate, its file or experts are named. A chain takes `experts`
            as the stages that may be asked.
    """

    info: ClassVar[SolverInfo] = SolverInfo(
        name="moe",
        version="7",
        summary="Mixture of experts: a gate chooses solvers and shares a budget; several objectives are a chain of stages.",
        welcomes=(ShadowPrices, Samplable, Jacobian),
        citation=_CITATION,
    )
    gate: Literal["learned", "rule", "knn", "uniform", "random", "sbs"] = "learned"
    several: Literal["auto", "chain", "gate"] = "auto"

    def _solve(self, task: Task) -> Outcome:
        if self._chained(task.instance):
            return Relay(task, self.experts, self.without).run()
        # controls of gates, and whoever names experts, want to see the gate's choice
        made_first = self.gate in ("learned", "rule") and not self.experts and not self.gate_file
        return self._run(task, GateOptions(self.gate, self.gate_file, self.n_experts), made_first=made_first)

    def takes_start(self, instance: Instance) -> bool:
        """A chain begins with the points that are given; experts chosen by a gate begin with their own."""
        return self._chained(instance)

    def checkpoint(self, instance: Instance) -> dict[str, str] | None:
        """The gate's file; of a chain the weights of its sampler, where it has one."""
        if not self._chained(instance):
            return _Experts.checkpoint(self, instance)
        return sampler_weights(instance, self.experts, self.without)

    def skip(self, instance: Instance) -> str | None:
        """As for every mixture; a chain of named stages needs one of them."""
        return Solver.skip(self, instance) or (self._no_stage(instance) if self._chained(instance) else self._nobody(instance))

    def _no_stage(self, instance: Instance) -> str | None:
        """Why no stage of a chain goes on until the end of a budget."""
        if unknown := sorted(set(self.experts) - set(STAGES)):
            told = f"experts of a chain are its stages {', '.join(STAGES)}"
            return f"{told}; {', '.join(unknown)} can be experts with several=gate"
        found, left = find_stages(instance, self.experts, without=self.without)
        if any(stage.solver is not None for stage in found):
            return None
        return "no stage searches here: " + "; ".join(f"{name}: {why}" for name, why in left.items())

    def _chained(self, instance: Instance) -> bool:
        """Whether stages hand on to each other, in place of experts on shares."""
        if len(instance.objectives) == 1 or self.several == "gate":
            return False
        return self.several == "chain" or (self.gate == "learned" and not self.gate_file and not self.experts)


@dataclass(frozen=True, slots=True)
class MoeLlm(_Experts):
    """Experts chosen with the help of a language model; without a usable answer other gates decide, and the log says so.

    Args:
        gate: ``hybrid`` (the model's opinion as prior, runs as evidence), ``llm`` (the model alone), ``planner`` (retrieve,
            plan, criticize, reflect); with ``_placebo`` behind it the same, asked as often, but the experts' descriptions are
            dealt out anew among their names: a control, see `controls`.
        trust: Trust n0 in the model's opinion, in similar runs; None takes the value fitted on validation.
        llm_experts: Experts that ask a language model themselves may be chosen, on the same budget.
        reasks: Further questions after an answer that cannot be used.
        retrieve: Planner: show what the most similar training runs say, beside the cards of all experts.
        criticize: Planner: let rules that know the cards correct the plan.
        reflect: Planner: after an expert that brought nothing the next one gets another role.
    """

    info: ClassVar[SolverInfo] = SolverInfo(
        name="moe_llm",
        version="4",
        summary="Mixture of experts whose gate asks a language model; fallbacks are learned, rule and a safe default.",
        uses_llm=True,
        welcomes=(ShadowPrices,),
        citation=_CITATION,
    )
    gate: Literal["hybrid", "llm", "planner", "hybrid_placebo", "llm_placebo", "planner_placebo"] = "hybrid"
    trust: Annotated[float, Ge(0)] | None = None
    llm_experts: bool = False
    reasks: Annotated[int, Ge(0), Le(5)] = 1
    retrieve: bool = True
    criticize: bool = True
    reflect: bool = True

    def _check(self) -> Iterable[FieldProblem]:
        if self.trust is not None and self._kind != "hybrid":
            yield FieldProblem("trust", self.trust, "none unless gate is 'hybrid'")

    @property
    def _kind(self) -> str:
        return self.gate.removesuffix(PLACEBO_GATE)

    def controls(self, *, budget: Budget, model: str) -> Sequence[Arm]:
        """The same experts, shares and combination behind the gates of `Moe`."""
        shared = {f.name: getattr(self, f.name) for f in fields(Moe) if f.name not in ("gate", "several")}
        shared["several"] = "gate"
        subject, placebo = ({**self.options(), "gate": gate} for gate in (self._kind, self._kind + PLACEBO_GATE))
        return [
            Arm(SUBJECT, "the language model's gate", self.info.name, subject),
            Arm(PLACEBO, "same model, descriptions dealt out anew (placebo)", self.info.name, placebo),
            *(Arm(gate, label, "moe", {**shared, "gate": gate}) for gate, label in _GATES.items()),
        ]

    def _nobody(self, instance: Instance, *, with_llm: bool = False) -> str | None:
        return _Experts._nobody(self, instance, with_llm=self.llm_experts)

    def _solve(self, task: Task) -> Outcome:
        if task.llm is None:
            raise SolverError("moe_llm asks a language model; run it with llm=local, openai or replay, or use solver=moe.")
        gates = GateOptions(self.gate, self.gate_file, self.n_experts, self.trust, self.reasks, self.retrieve, self.criticize)
        return self._run(task, gates, with_llm=self.llm_experts, reflect=self.reflect and self._kind == "planner")
