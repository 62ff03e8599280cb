"""Gates that ask a language model, and the hybrid of its opinion with what was learned from runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from optisolve.core.errors import OptisolveError
from optisolve.core.problem import Instance
from optisolve.core.seeds import derive
from optisolve.llm.prompts import load_prompt
from optisolve.llm.session import LlmSession
from optisolve.llm.types import LlmRequest, Message
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
        attempts: Questions asked.
        note: Model and prompt.
    """

    order: tuple[str, ...]
    attempts: int
    note: Mapping[str, Any]

    @property
    def weights(self) -> dict[str, float]:
        """Weights 0.6, 0.25, 0.15 by place, normalized."""
        given = dict(zip(self.order, _WEIGHTS, strict=False))
        total = sum(given.values())
        return {name: weight / total for name, weight in given.items()}


def ask_opinion(
    session: LlmSession,
    instance: Instance,
    experts: Sequence[Expert],
    *,
    seed: int,
    evaluations: int,
    records: Sequence[str] = (),
    tag: str = "gate",
    reasks: int = 1,
    words: Mapping[str, Any] | None = None,
) -> Opinion:
    """Ask for the best experts in order; names outside the list are impossible by form and refused in any case.

    Args:
        session: Open session.
        instance: What is to be solved.
        experts: Who can be chosen.
        seed: The run's seed.
        evaluations: Budget that the model is told.
        records: Lines about similar runs.
        tag: Names the question in logs.
        reasks: Further questions after an unusable answer.
        words: How the problem is described; None for `problem_words`.

    Raises:
        OptisolveError: No usable answer after the re-asks; the text says why.
    """
    names = [e.name for e in experts]
    count = min(len(_PLACES), len(names))
    style = session.preferred_style
    prompt = load_prompt(f"moe_gate_{style}")
    problem = dict(words or problem_words(instance))
    cards = [{"name": e.name, "words": e.card.words, "guarantee": e.card.guarantee} for e in experts]
    problem_text = "no usable answer"
    for attempt in range(reasks + 1):
        stream = int(derive(seed, purpose="moe_gate", tag=tag, attempt=attempt).generate_state(1)[0]) % 2**31
        shared: dict[str, Any] = {
            "tag": tag,
            "attempt": attempt,
            "max_tokens": 64,
            "seed": stream,
            "grammar": _grammar(names, count),
        }
        if style == "continuation":
            text = prompt.render(problem=problem, experts=cards, examples=_EXAMPLES)
            request = LlmRequest(prompt=text, **shared)
        else:
            form = json.dumps(dict.fromkeys(_PLACES[:count], "..."))
            text = prompt.render(
                problem=problem, experts=cards, count=count, form=form, evaluations=evaluations, records=list(records)
            )
            request = LlmRequest(messages=(Message("user", text),), schema=_schema(names, count), **shared)
        reply = session.ask([request])[0]
        if reply.failure:
            problem_text = f"the language model did not answer ({reply.failure}: {reply.detail})"
            continue
        order = _parsed(reply.texts[0] if reply.texts else "", names, count)
        if order:
            return Opinion(order, attempt + 1, {"model": session.model, "prompt": prompt.describe(), "attempts": attempt + 1})
        problem_text = "the language model named no expert of the list"
    raise OptisolveError(f"{problem_text}, {reasks + 1} time(s)")


def problem_words(instance: Instance) -> dict[str, Any]:
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

    session: LlmSession
    seed: int
    evaluations: int
    records: tuple[str, ...] = ()
    reasks: int = 1
    kind: str = "llm"

    def decide(self, instance: Instance, experts: Sequence[Expert], count: int) -> Decision:
        """Ask; experts that it does not name follow in the order of their names."""
        opinion = _opinion(self, instance, experts)
        by_name = {e.name: e for e in experts}
        order = [by_name[name] for name in opinion.order] + [e for e in experts if e.name not in opinion.order]
        reasons = dict.fromkeys(opinion.order, "LANGUAGE_MODEL")
        return ranked(self.kind, order, count, reasons=reasons, scores=opinion.weights, note=opinion.note)


@dataclass(frozen=True, slots=True)
class HybridGate:
    """A Dirichlet posterior: the language model's weights as prior, what was learned from runs as counts.

    .. math:: \\alpha_e = n_0 w_e + N(z)\\, e^{-\\hat q_e(z) / \\tau} / \\sum_{e'} e^{-\\hat q_{e'}(z) / \\tau}

    with the forest's predicted losses and ``N(z)`` the kernel count of similar training instances, so that the language model
    weighs more where nothing similar was seen. The trust ``n_0`` is fitted on validation; 0 gives the learned gate, and nobody
    is asked.
    """

    session: LlmSession
    model: GateModel
    seed: int
    evaluations: int
    trust: float | None = None
    records: tuple[str, ...] = ()
    reasks: int = 1
    kind: str = "hybrid"

    def decide(self, instance: Instance, experts: Sequence[Expert], count: int) -> Decision:
        """Ask, then weigh."""
        trust = self.model.trust if self.trust is None else self.trust
        if trust <= 0.0:
            return LearnedGate(self.model, self.kind).decide(instance, experts, count)
        z = features_for(self.model, instance, experts)
        losses = by_column(self.model, self.model.predict(z), experts)
        opinion = _opinion(self, instance, experts)
        seen = float(self.model.neighbors(z).sum())
        posterior = posterior_of(losses, opinion.weights, trust, seen)
        # equal posteriors (all the learned gate's ties) keep its order
        learned = {e.name: i for i, e in enumerate(by_loss(losses, experts, instance))}
        order = sorted(experts, key=lambda e: (-round(posterior.get(e.name, 0.0), 6), learned[e.name]))
        reasons = dict.fromkeys(losses, "POSTERIOR")
        note: dict[str, Any] = {"trust": trust, "similar_runs": seen, "prior": opinion.weights, **opinion.note}
        return ranked(self.kind, order, count, reasons=reasons, scores=posterior, losses=losses, note=note)


def _opinion(gate: LlmGate | HybridGate, instance: Instance, experts: Sequence[Expert]) -> Opinion:
    return ask_opinion(
        gate.session,
        instance,
        experts,
        seed=gate.seed,
        evaluations=gate.evaluations,
        records=gate.records,
        reasks=gate.reasks,
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


def _schema(names: Sequence[str], count: int) -> dict[str, Any]:
    properties = {place: {"enum": list(names)} for place in _PLACES[:count]}
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _grammar(names: Sequence[str], count: int) -> str:
    def literal(text: str) -> str:
        return json.dumps(text, ensure_ascii=True)

    choice = "( " + " | ".join(literal(json.dumps(name)) for name in names) + " )"
    members = ' "," '.join(f"{literal(json.dumps(place) + ':')} {choice}" for place in _PLACES[:count])
    return f'root ::= " "? "{{" {members} "}}"\n'


def _parsed(raw: str, names: Sequence[str], count: int) -> tuple[str, ...]:
    """Names of an answer in order, without repeats and without any that are not on the list."""
    start = raw.find("{")
    try:
        answer, _ = json.JSONDecoder().raw_decode(raw[:20_000], start) if start >= 0 else (None, 0)
    except (ValueError, RecursionError):
        return ()
    if not isinstance(answer, dict):
        return ()
    given = [answer.get(place) for place in _PLACES[:count]]
    return tuple(dict.fromkeys(name for name in given if isinstance(name, str) and name in names))
