"""Gates: who is asked, in which order, with which share of the budget. All share one form of decision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.documents import JsonObject
from optisolve.core.errors import OptisolveError
from optisolve.core.problem import Instance
from optisolve.solvers.moe.cards import Expert, find_experts
from optisolve.solvers.moe.features import instance_features
from optisolve.solvers.moe.gate_model import GateModel

__all__ = [
    "Choice",
    "Decision",
    "Gate",
    "KnnGate",
    "LearnedGate",
    "RandomGate",
    "RuleGate",
    "SafeGate",
    "SbsGate",
    "UniformGate",
    "ranked",
    "shares",
]

_NEIGHBORS = 5
"""Training instances that `KnnGate` looks at."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One chosen expert.

    Attributes:
        expert: Preset name.
        weight: Weight among the chosen ones.
        share: Share of the evaluations that are left for experts.
        reason: Short code, e.g. ``EXACT_METHOD``.
        predicted_loss: Expected gap in [0, 1]; None when the gate predicts none.
        predicted_evaluations: Evaluations that it is expected to use.
    """

    expert: str
    weight: float
    share: float
    reason: str
    predicted_loss: float | None = None
    predicted_evaluations: int | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """A gate's decision.

    Attributes:
        gate: Kind of the gate that decided.
        choices: Chosen experts in the order in which they run.
        ranking: All experts, best first.
        scores: What the ranking is made of, by expert.
        note: Anything worth logging (model, confidence, the model's own answer).
        prompts: Prompts that were used, by name and version.
    """

    gate: str
    choices: tuple[Choice, ...]
    ranking: tuple[str, ...]
    scores: Mapping[str, float] = field(default_factory=dict)
    note: JsonObject = field(default_factory=dict)
    prompts: Mapping[str, str] = field(default_factory=dict)


class Gate(Protocol):
    """Chooses experts for an instance."""

    @property
    def kind(self) -> str:
        """Name of the gate in logs."""
        ...

    def decide(self, instance: Instance, experts: Sequence[Expert], count: int) -> Decision:
        """Rank the experts and choose at most `count`.

        Raises:
            OptisolveError: This gate cannot decide; the next one in the chain does.
        """
        ...


def shares(experts: Sequence[Expert], weights: Sequence[float]) -> list[float]:
    """Shares of the evaluations, float in (0, 1], sum 1: by weight, half as much for experts that need few.

    What an expert leaves over goes to the next ones, and the last one gets all that is left.
    """
    few = [e.card.spends == "few" for e in experts]
    raw = np.array([0.5 if f else 1.0 for f in few]) * np.maximum(np.asarray(weights, dtype=np.float64), 1e-3)
    values: list[float] = (raw / raw.sum()).tolist()
    return values


def ranked(
    gate: str,
    order: Sequence[Expert],
    count: int,
    *,
    reasons: Mapping[str, str],
    scores: Mapping[str, float],
    losses: Mapping[str, float] | None = None,
    note: JsonObject | None = None,
    prompts: Mapping[str, str] | None = None,
    fall: float = 0.5,
) -> Decision:
    """A decision from an order of experts, with weights that fall by half, or by another factor."""
    chosen = list(order[:count])
    weights = [fall**i for i in range(len(chosen))]
    total = sum(weights) or 1.0
    parts = shares(chosen, weights)
    choices = tuple(
        Choice(
            e.name,
            w / total,
            s,
            reasons.get(e.name, "RANKED"),
            None if losses is None else losses.get(e.name),
            16 if e.card.spends == "few" else None,
        )
        for e, w, s in zip(chosen, weights, parts, strict=True)
    )
    return Decision(gate, choices, tuple(e.name for e in order), dict(scores), note or {}, prompts or {})


@dataclass(frozen=True, slots=True)
class RuleGate:
    """The order of the cards: exact methods, then bounds, local methods, searches."""

    kind: str = "rule"

    def decide(self, instance: Instance, experts: Sequence[Expert], count: int) -> Decision:
        """Sort by the card's order; experts that it passes over come last."""
        if not experts:
            raise OptisolveError("no expert can treat this instance")
        place = {e.name: e.card.order(instance) for e in experts}
        order = sorted(experts, key=lambda e: (place[e.name] is None, place[e.name] or 0, e.name))
        reasons = {e.name: f"{e.card.role.upper()}_METHOD" for e in experts}
        scores = {e.name: float(999 if place[e.name] is None else place[e.name] or 0) for e in experts}
        return ranked(self.kind, order, count, reasons=reasons, scores=scores)


@dataclass(frozen=True, slots=True)
class LearnedGate:
    """The forests' predicted losses, smallest first; far from what they were trained on, the note says so."""

    model: GateModel
    kind: str = "learned"

    def decide(self, instance: Instance, experts: Sequence[Expert], count: int) -> Decision:
        """Rank by predicted loss; experts that the gate was not trained on come last, in the order of their cards."""
        z = features_for(self.model, instance, experts)
        losses = by_column(self.model, self.model.predict(z), experts)
        order = by_loss(losses, experts, instance)
        reasons = {e.name: "PREDICTED_LOSS" if e.name in losses else "NOT_TRAINED" for e in experts}
        outside = self.model.outside(z)
        note: JsonObject = {"trained_on": self.model.trained_on, **({"outside": outside} if outside else {})}
        return ranked(self.kind, order, count, reasons=reasons, scores=losses, losses=losses, note=note)


@dataclass(frozen=True, slots=True)
class KnnGate:
    """Mean losses of the five nearest training instances, smallest first; a control of the forests."""

    model: GateModel
    kind: str = "knn"

    def decide(self, instance: Instance, experts: Sequence[Expert], count: int) -> Decision:
        """Rank by the neighbors' mean loss; experts without a column come last."""
        losses = by_column(self.model, knn_losses(self.model, features_for(self.model, instance, experts)), experts)
        order = by_loss(losses, experts, instance)
        reasons = dict.fromkeys(losses, "NEIGHBORS")
        return ranked(self.kind, order, count, reasons=reasons, scores=losses, losses=losses)


@dataclass(frozen=True, slots=True)
class UniformGate:
    """Equal shares for the experts that were best on average over all training instances; a control without features."""

    model: GateModel
    kind: str = "uniform"

    def decide(self, instance: Instance, experts: Sequence[Expert], count: int) -> Decision:
        """Rank by mean training loss, whatever the instance is."""
        losses = by_column(self.model, self.model.losses.mean(axis=0), experts)
        order = by_loss(losses, experts, instance)
        return ranked(self.kind, order, count, reasons=dict.fromkeys(losses, "BEST_ON_AVERAGE"), scores=losses, fall=1.0)


@dataclass(frozen=True, slots=True)
class RandomGate:
    """A random order; the control that every gate must beat."""

    rng: np.random.Generator
    kind: str = "random"

    def decide(self, instance: Instance, experts: Sequence[Expert], count: int) -> Decision:
        """Shuffle."""
        if not experts:
            raise OptisolveError("no expert can treat this instance")
        order = [experts[i] for i in self.rng.permutation(len(experts))]
        return ranked(self.kind, order, count, reasons={e.name: "RANDOM" for e in experts}, scores={})


@dataclass(frozen=True, slots=True)
class SbsGate:
    """Always the single best solver of the training instances, when it can treat the instance."""

    single_best: str
    kind: str = "sbs"

    def decide(self, instance: Instance, experts: Sequence[Expert], count: int) -> Decision:
        """The single best solver alone."""
        found = [e for e in experts if e.name == self.single_best]
        if not found:
            raise OptisolveError(f"the single best solver {self.single_best} cannot treat this instance")
        return ranked(self.kind, found, 1, reasons={self.single_best: "SINGLE_BEST"}, scores={})


@dataclass(frozen=True, slots=True)
class SafeGate:
    """Nobody: the executor's safe baseline is the answer."""

    kind: str = "safe_default"

    def decide(self, instance: Instance, experts: Sequence[Expert], count: int) -> Decision:
        """No expert."""
        return Decision(self.kind, (), ())


def by_column(model: GateModel, values: FloatArray, experts: Sequence[Expert]) -> dict[str, float]:
    """Values float64 [columns] of a trained gate by expert, for those that it was trained on.

    Raises:
        OptisolveError: It was trained on none of them.
    """
    column = {name: i for i, name in enumerate(model.experts)}
    told = {e.name: float(values[column[e.name]]) for e in experts if e.name in column}
    if not told:
        raise OptisolveError("the trained gate knows none of the experts that can treat this instance")
    return told


def knn_losses(model: GateModel, z: FloatArray) -> FloatArray:
    """Mean losses of the nearest training instances, float64 [columns]."""
    nearest = np.argsort(model.distances(z), kind="stable")[:_NEIGHBORS]
    return np.asarray(model.losses[nearest].mean(axis=0))


def features_for(model: GateModel, instance: Instance, experts: Sequence[Expert]) -> FloatArray:
    """The instance's features for a trained gate, the same whichever experts there are to choose from."""
    able = {e.name for e in experts}
    others = [name for name in model.flags if name not in able]
    if others:
        able |= {e.name for e in find_experts(instance, others, with_llm=False)[0]}
    return instance_features(instance, model.flags, able)


def by_loss(losses: Mapping[str, float], experts: Sequence[Expert], instance: Instance) -> list[Expert]:
    """Smallest loss first; losses within 1e-4 are a tie, decided by what is proven and then by the card's order."""
    rank = {"exact": 0, "bound": 1, "local": 2, "none": 3}

    def key(e: Expert) -> tuple[bool, float, int, int, str]:
        place = e.card.order(instance)
        loss = round(losses.get(e.name, 1.0), 4)
        return (e.name not in losses, loss, rank.get(e.card.guarantee, 3), 999 if place is None else place, e.name)

    return sorted(experts, key=key)
