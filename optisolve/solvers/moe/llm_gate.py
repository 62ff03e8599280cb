"""Gates that ask a language model, and the hybrid of its opinion with what was learned from runs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from optisolve.core.documents import JsonObject
from optisolve.core.errors import OptisolveError
from optisolve.core.problem import Instance
from optisolve.core.seeds import derive, generator
from optisolve.llm.dialogue import Dialogue, Verdict, worded
from optisolve.llm.forms import Choice, Fate, Object, grammar_of, read_form, schema_of
from optisolve.llm.prompts import load_prompt
from optisolve.llm.types import LlmRequest
from optisolve.solvers.moe.cards import Expert
from optisolve.solvers.moe.gate_model import GateModel
from optisolve.solvers.moe.gates import Decision, LearnedGate, by_column, by_loss, features_for, ranked

__all__ = ["HybridGate", "LlmGate", "Opinion", "ask_opinion", "problem_words"]

_PLACES = ("first", "second", "third")
_WEIGHTS = (0.6, 0.25, 0.15)
_TEMPERATURE = 0.05
"""Loss by which the likelihood of an expert falls by a factor e."""


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a language model would choose.

    Attributes:
        order: Names, best first.
        note: Model and number of questions.
        prompts: The prompt's name, version and hash.
    """

    order: tuple[str, ...]
    note: JsonObject = field(default_factory=dict)
    prompts: Mapping[str, str] = field(default_factory=dict)

    @property
    def weights(self) -> dict[str, float]:
        """Weights 0.6, 0.25, 0.15 by place, normalized."""
        given = dict(zip(self.order, _WEIGHTS, strict=False))
        total = sum(given.values())
        return {name: weight / total for name, weight in given.items()}


def ask_opinion(
    dialogue: Dialogue,
    instance: Instance,
    experts: Sequence[Expert],
    *,
    seed: int,
    evaluations: int,
    records: Sequence[str] = (),
    tag: str = "gate",
    words: JsonObject | None = None,
    placebo: bool = False,
) -> Opinion:
    """Ask for the best experts in order; names outside the list are impossible by form and refused in any case.

    Args:
        dialogue: Asks the language model.
        instance: What is to be solved.
        experts: Who can be chosen.
        seed: The run's seed.
        evaluations: Budget that the model is told.
        records: Lines about similar runs.
        tag: Names the question in logs.
        words: How the problem is described; None for `problem_words`.
        placebo: Deal out the descriptions anew among the experts' names: as many words, which say nothing true.

    Raises:
        OptisolveError: No usable answer after the re-asks; the text says why.
    """
    session = dialogue.session
    style, prompt = session.preferred_style, load_prompt(f"moe_gate_{session.preferred_style}")
    form = Object(dict.fromkeys(_PLACES[: len(experts)], Choice(tuple(e.name for e in experts))))
    described = _dealt(experts, seed, tag) if placebo else experts
    if placebo:
        dealt = {e.name: other.name for e, other in zip(experts, described, strict=True)}
        records = [_renamed(line, dealt) for line in records]
    told = [(e.name, other.card) for e, other in zip(experts, described, strict=True)]
    variables = {
        "problem": problem_words(instance) if words is None else words,
        "experts": [{"name": name, "words": card.words, "guarantee": card.guarantee} for name, card in told],
        "examples": _EXAMPLES,
        "count": len(form.members),
        "form": json.dumps(dict.fromkeys(form.members, "...")),
        "evaluations": evaluations,
        "records": list(records),
    }

    def request(_: object, attempt: int) -> LlmRequest:
        return worded(
            prompt.render(**variables),
            style,
            tag=tag,
            attempt=attempt,
            seed=int(derive(seed, purpose="moe_gate", tag=tag, attempt=attempt).generate_state(1)[0]) % 2**31,
            max_tokens=64,
            schema=schema_of(form),
            grammar=grammar_of(form, blank=True),
        )

    turn = dialogue.ask_one(form, request, lambda _, text: _judge(text, form))
    if turn.answer is None:
        fault = f"did not answer ({turn.why})" if turn.unheard else f"named no expert of the list ({turn.why})"
        raise OptisolveError(f"the language model {fault}, {turn.asked} time(s)")
    return Opinion(turn.answer, {"model": session.model, "attempts": turn.asked}, prompt.describe())


def _dealt(experts: Sequence[Expert], seed: int, tag: str) -> list[Expert]:
    """The experts in a random order, the same for all attempts at a question."""
    return [experts[i] for i in generator(seed, purpose="moe_gate_placebo", tag=tag).permutation(len(experts)).tolist()]


def _renamed(line: str, names: Mapping[str, str]) -> str:
    """A line in which every name stands for another one."""
    return re.sub("|".join(sorted(map(re.escape, names), key=len, reverse=True)), lambda found: names[found.group()], line)


def _judge(text: str, form: Object) -> Verdict[tuple[str, ...]]:
    """Names of an answer in order, without repeats."""
    value, fault = read_form(form, text)
    if fault is not None:
        return Verdict.rejected(fault)
    order = tuple(dict.fromkeys(str(value[place]) for place in form.members))
    repeated = len(order) < len(form.members)
    return Verdict(order, ((Fate.REPAIRED, "duplicate of a sibling") if repeated else (Fate.OK, ""),))


def problem_words(instance: Instance) -> JsonObject:
    """What a language model is told of the problem: summary, constraints, variables, objectives."""
    told = instance.describe()
    kinds = "integers" if instance.space.integer.all() else "mixed" if instance.space.has_integers else "real"
    return {
        "summary": told.summary,
        "constraints": list(told.constraints),
        "variables": f"{instance.space.dim} {kinds}",
        "objectives": ", ".join(f"{o.sense} {o.name}" for o in instance.objectives),
    }


@dataclass(frozen=True, slots=True)
class LlmGate:
    """The language model's order, nothing else."""

    dialogue: Dialogue
    seed: int
    evaluations: int
    kind: str = "llm"
    placebo: bool = False

    def decide(self, instance: Instance, experts: Sequence[Expert], count: int) -> Decision:
        """Ask; experts that it does not name follow in the order of their names."""
        opinion = ask_opinion(
            self.dialogue, instance, experts, seed=self.seed, evaluations=self.evaluations, placebo=self.placebo
        )
        by_name = {e.name: e for e in experts}
        order = [by_name[name] for name in opinion.order] + [e for e in experts if e.name not in opinion.order]
        reasons = dict.fromkeys(opinion.order, "LANGUAGE_MODEL")
        return ranked(
            self.kind, order, count, reasons=reasons, scores=opinion.weights, note=opinion.note, prompts=opinion.prompts
        )


@dataclass(frozen=True, slots=True)
class HybridGate:
    """A Dirichlet posterior: the language model's weights as prior, what was learned from runs as counts.

    .. math:: \\alpha_e = n_0 w_e + N(z)\\, e^{-\\hat q_e(z) / \\tau} / \\sum_{e'} e^{-\\hat q_{e'}(z) / \\tau}

    with the forest's predicted losses and ``N(z)`` the kernel count of similar training instances, so that the language model
    weighs more where nothing similar was seen. The trust ``n_0`` is fitted on validation; 0 gives the learned gate, and nobody
    is asked.
    """

    dialogue: Dialogue
    model: GateModel
    seed: int
    evaluations: int
    trust: float | None = None
    kind: str = "hybrid"
    placebo: bool = False

    def decide(self, instance: Instance, experts: Sequence[Expert], count: int) -> Decision:
        """Ask, then weigh."""
        trust = self.model.trust if self.trust is None else self.trust
        if trust <= 0.0:
            return LearnedGate(self.model, self.kind).decide(instance, experts, count)
        z = features_for(self.model, instance, experts)
        losses = by_column(self.model, self.model.predict(z), experts)
        opinion = ask_opinion(
            self.dialogue, instance, experts, seed=self.seed, evaluations=self.evaluations, placebo=self.placebo
        )
        seen = float(self.model.neighbors(z).sum())
        posterior = posterior_of(losses, opinion.weights, trust, seen)
        # equal posteriors (all the learned gate's ties) keep its order
        learned = {e.name: i for i, e in enumerate(by_loss(losses, experts, instance))}
        order = sorted(experts, key=lambda e: (-round(posterior.get(e.name, 0.0), 6), learned[e.name]))
        reasons = dict.fromkeys(losses, "POSTERIOR")
        note: JsonObject = {"trust": trust, "similar_runs": seen, "prior": opinion.weights, **opinion.note}
        return ranked(
            self.kind, order, count, reasons=reasons, scores=posterior, losses=losses, note=note, prompts=opinion.prompts
        )


def posterior_of(losses: Mapping[str, float], prior: Mapping[str, float], trust: float, seen: float) -> dict[str, float]:
    """Posterior share per expert; see `HybridGate`."""
    names = sorted({*losses, *prior})
    lowest = min(losses.values(), default=0.0)
    likelihood = {name: float(np.exp(-(losses[name] - lowest) / _TEMPERATURE)) if name in losses else 0.0 for name in names}
    total = sum(likelihood.values()) or 1.0
    alpha = {name: trust * prior.get(name, 0.0) + max(seen, 1e-3) * likelihood[name] / total for name in names}
    whole = sum(alpha.values()) or 1.0
    return {name: value / whole for name, value in alpha.items()}


_EXAMPLES: tuple[dict[str, str], ...] = (
    {
        "problem": "Split 5 W over 8 channels so that the sum of rates is large. 8 real variables, maximize sum_rate.",
        "solvers": "cma_es (evolution strategy for one objective); random_search (uniform samples); water_filling (closed form "
        "for parallel channels under one power budget)",
        "answer": '{"first":"water_filling","second":"cma_es","third":"random_search"}',
    },
    {
        "problem": "Place drones for high rates and good localization. 16 real variables, maximize utility, minimize crb.",
        "solvers": "moead_de (decomposition with differential evolution, several objectives); nsga2 (evolutionary search with "
        "crowding); random_search (uniform samples)",
        "answer": '{"first":"moead_de","second":"nsga2","third":"random_search"}',
    },
)
