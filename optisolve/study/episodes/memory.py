"""What a solver is handed of earlier steps of an episode: points to start from, and notes in words.

A memory holds answers and what an instance says of itself. It never holds a loss or a reference: those a solver must not see.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from optisolve.core.arrays import FloatArray, IntArray
from optisolve.core.budget import Budget
from optisolve.core.episode import Step
from optisolve.core.problem import Instance
from optisolve.core.seeds import generator
from optisolve.core.space import Space
from optisolve.numerics.indicators import exclusive_gains, normalize

__all__ = ["MEMORIES", "Memory", "Policy", "room", "spread_out"]

Policy = Literal["none", "keep", "warm", "retrieve", "notes", "placebo"]
"""``none``: every step begins cold. ``keep``: the first answer is evaluated for ever. ``warm``: a step begins with the last
answer. ``retrieve``: with the answers of the steps that were most like it. ``notes``: as ``warm``, and a language model is told
of earlier steps in words. ``placebo``: the same words, the numbers of the answers dealt out anew: they tell nothing."""
MEMORIES: tuple[Policy, ...] = get_args(Policy)

_NEAREST = 3
"""Steps that a retrieval takes answers from."""
_NOTED = 4
"""Steps that notes tell of, the last ones."""
_LISTED = 24
"""Numbers of an answer in a note; a longer answer is told by its first ones."""
_SHARE, _MOST, _USUAL = 0.1, 40, 20
"""Points handed on: at most this share of the evaluations of a step, and so many; where evaluations have no limit, `_USUAL`."""


def room(budget: Budget) -> int:
    """How many points a step may be handed: they are evaluated first and shall leave most of its budget."""
    if budget.evaluations is None:
        return _USUAL
    return max(1, min(_MOST, round(_SHARE * budget.evaluations)))


def spread_out(instance: Instance, F: FloatArray, most: int) -> IntArray:
    """Rows of an answer in the order in which they add most hypervolume, int64 [k]; best first for one objective.

    Args:
        instance: Gives senses and box.
        F: float64 [n, m], the problem's own senses.
        most: How many.
    """
    box = instance.hypervolume_box
    if box is None:
        return np.argsort(F[:, 0] * instance.signs[0], kind="stable")[:most].astype(np.int64)
    losses = normalize(F, box)
    chosen: list[int] = []
    left = np.ones(len(F), dtype=np.bool_)
    while left.any() and len(chosen) < most:
        gains = np.where(left, exclusive_gains(losses[chosen], losses), -1.0)
        chosen.append(int(np.argmax(gains)))
        left[chosen[-1]] = False
    return np.array(chosen, dtype=np.int64)


@dataclass(frozen=True, eq=False, slots=True)
class _Answer:
    """What a step has found: its step, points float64 [n, d], and their objectives float64 [n, m]."""

    step: Step
    X: FloatArray
    F: FloatArray


class Memory:
    """One memory of one episode.

    Args:
        policy: What it hands on.
        most: Points that it hands on at most; ``keep`` hands on the whole first answer.
        seed: Of the placebo's dealing.
    """

    def __init__(self, policy: Policy, most: int, seed: int = 0) -> None:
        self.policy, self._most, self._seed = policy, most, seed
        self._answers: list[_Answer] = []
        self._values: dict[str, float] = {}

    def learn(self, step: Step, X: FloatArray, F: FloatArray) -> None:
        """Remember the answer of a step.

        Args:
            step: The step.
            X: float64 [n, d], verified feasible points; n may be 0, then nothing is remembered.
            F: float64 [n, m], their objectives, the problem's own senses.
        """
        if not len(X):
            return
        self._answers.append(_Answer(step, X, F))
        best = X[spread_out(step.instance, F, 1)[0]]
        self._values |= dict(zip(step.instance.space.names, best.tolist(), strict=True))

    def start(self, step: Step) -> FloatArray | None:
        """Points for a step to begin with, repaired, float64 [n, d]; None where there are none."""
        if self.policy == "none" or not self._answers:
            return None
        if self.policy == "keep":
            return self._carried(self._answers[0], step.instance, len(self._answers[0].X))
        if self.policy == "retrieve":
            return self._retrieved(step)
        return self._carried(self._answers[-1], step.instance, self._most)

    def notes(self, step: Step) -> tuple[str, ...]:
        """What a language model is told of earlier steps, a sentence each."""
        if self.policy not in ("notes", "placebo") or not self._answers:
            return ()
        told = [self._note(answer, step) for answer in self._answers[-_NOTED:]]
        news = f"Since the last step: {'; '.join(step.events)}." if step.events else "Since the last step nothing came or went."
        return (f"The network moves; this is step {step.number}. {news}", *told)

    # -- points --------------------------------------------------------------------------------------------------------

    def _carried(self, answer: _Answer, instance: Instance, most: int) -> FloatArray:
        rows = spread_out(answer.step.instance, answer.F, most)
        return _distinct(instance.project(self._renamed(answer.X[rows], answer.step.instance.space, instance.space)))

    def _retrieved(self, step: Step) -> FloatArray:
        apart = [float(np.linalg.norm(answer.step.state - step.state)) for answer in self._answers]
        newest_first = np.arange(len(apart))[::-1]
        nearest = newest_first[np.argsort(np.array(apart)[::-1], kind="stable")][:_NEAREST]
        share = -(-self._most // len(nearest))
        parts = [self._carried(self._answers[i], step.instance, share) for i in nearest.tolist()]
        return _distinct(np.concatenate(parts))[: self._most]

    def _renamed(self, X: FloatArray, old: Space, new: Space) -> FloatArray:
        """Points of another space by the names of its variables; what is new there has the value that it had last."""
        if old.names == new.names:
            return X
        column: Mapping[str, int] = {name: i for i, name in enumerate(old.names)}
        middle = 0.5 * (new.lower + new.upper)
        made = np.empty((len(X), new.dim))
        for j, name in enumerate(new.names):
            made[:, j] = X[:, column[name]] if name in column else self._values.get(name, middle[j])
        return made

    # -- words ---------------------------------------------------------------------------------------------------------

    def _note(self, answer: _Answer, now: Step) -> str:
        instance = answer.step.instance
        best = int(spread_out(instance, answer.F, 1)[0])
        x = answer.X[best]
        if self.policy == "placebo":
            x = x[generator(self._seed, purpose="placebo", step=answer.step.number).permutation(x.size)]
        reached = ", ".join(f"{o.name} {value:.4g}" for o, value in zip(instance.objectives, answer.F[best], strict=True))
        shown = zip(instance.space.names[:_LISTED], x[:_LISTED].tolist(), strict=True)
        listed = ", ".join(f"{name} {value:.4g}" for name, value in shown) + (", ..." if x.size > _LISTED else "")
        ago = now.number - answer.step.number
        return f"{ago} step{'s' * (ago > 1)} ago the best answer reached {reached} with: {listed}."


def _distinct(X: FloatArray) -> FloatArray:
    """The rows that are no repetition of an earlier one."""
    return X[np.sort(np.unique(X, axis=0, return_index=True)[1])]
