"""The small interface between the decomposition engine and its variation operators."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np

from optisolve.core.arrays import BoolArray, FloatArray, IntArray
from optisolve.core.json import JsonObject
from optisolve.core.problem import Instance

__all__ = ["Feedback", "Learner", "Proposals", "Variation", "Wave"]


@dataclass(frozen=True, slots=True, eq=False)
class Wave:
    """The frozen state of the engine at the start of one wave; operators read it and never write it.

    Attributes:
        index: Number of the wave, from 0.
        targets: int64 [n], the sub-problems to make offspring for, ascending.
        mates: int64 [n, T], for each target the pool of sub-problems its parents come from (its neighborhood, or with
            probability 1 - delta a sample of the whole population).
        X: float64 [N, d], incumbent of each sub-problem.
        F: float64 [N, m], its objectives in minimization form.
        violation: float64 [N], its total constraint violation.
        weights: float64 [N, m], the sub-problems' weight vectors.
        ideal: float64 [m], running ideal point, minimization form.
        nadir: float64 [m], running nadir point, minimization form.
        values: float64 [n, T], scalarized value of each mate for the target's sub-problem (lower is better).
        rng: Stream of this wave and this operator.
        instance: The instance (space, description, senses).
    """

    index: int
    targets: IntArray
    mates: IntArray
    X: FloatArray
    F: FloatArray
    violation: FloatArray
    weights: FloatArray
    ideal: FloatArray
    nadir: FloatArray
    values: FloatArray
    rng: np.random.Generator
    instance: Instance

    def part(self, rows: IntArray | BoolArray, rng: np.random.Generator) -> Wave:
        """The wave reduced to some of its targets, with a stream of their own; a row may stand several times."""
        return replace(self, targets=self.targets[rows], mates=self.mates[rows], values=self.values[rows], rng=rng)


@dataclass(frozen=True, slots=True, eq=False)
class Proposals:
    """Offspring of one wave, in commit order.

    Attributes:
        X: float64 [k, d]; the engine clips or projects them before evaluation.
        owner: int64 [k], the sub-problem each one was made for, ascending.
        source: One label for all, or one per row: who made it (``"sbx"``, ``"de"``, ``"linear"``, ``"llm"``,
            ``"repaired"``, ``"fallback"`` ...).
    """

    X: FloatArray
    owner: IntArray
    source: str | list[str]

    @property
    def labels(self) -> list[str]:
        """One label per row."""
        return [self.source] * self.owner.size if isinstance(self.source, str) else self.source


@dataclass(frozen=True, slots=True, eq=False)
class Feedback:
    """What became of one wave's proposals, in commit order; fewer than were proposed where the budget ended.

    Attributes:
        owner: int64 [k], the sub-problem each one was made for.
        source: Who made each one.
        replaced: int64 [k], how many incumbents each one replaced; 0 means that it did not survive.
        gain: float64 [k], >= 0, hypervolume that each one added in the scenario's box to everything evaluated before it;
            for one objective the improvement of the best feasible value.
        X: float64 [k, d], the points as they were evaluated: clipped or projected.
        F: float64 [k, m], their objectives in minimization form.
        violation: float64 [k], their total constraint violations.
    """

    owner: IntArray
    source: list[str]
    replaced: IntArray
    gain: FloatArray
    X: FloatArray
    F: FloatArray
    violation: FloatArray


class Variation(Protocol):
    """A variation operator: parents in, offspring out; all randomness comes from ``wave.rng``."""

    def propose(self, wave: Wave) -> Proposals:
        """Offspring for the wave's targets; an operator may return several per target, or none."""
        ...

    def report(self) -> JsonObject:
        """Deterministic, JSON-compatible figures of the whole run so far."""
        ...


@runtime_checkable
class Learner(Variation, Protocol):
    """A variation operator that is told what became of its offspring; for all others nothing is measured."""

    def learn(self, feedback: Feedback) -> None:
        """Called once after every wave with proposals, before the next one."""
        ...
