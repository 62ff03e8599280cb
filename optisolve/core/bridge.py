"""Bridges: what a conditional sampler must know about a family of problems, and nothing more.

A family that can be sampled gives its instances a method ``bridge()`` (`optisolve.core.capabilities.Samplable`). A bridge turns
instances into *cases* (stacked arrays), tells the network what it is conditioned on, and maps the network's variables y in
[-1, 1] to points. The hard part of a mixed problem is sampled, the rest is completed in closed form. The same decoding,
projection and polish serve the trained sampler and its null control.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from optisolve.core.arrays import FloatArray, IntArray
from optisolve.core.documents import Json, plain
from optisolve.core.problem import Instance

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["NO_POLISH", "Bridge", "Cases", "Polished", "Seen", "distinct", "joined", "phrases", "stack", "to_tensors"]

NO_POLISH = "none"

Cases = Mapping[str, FloatArray]
"""B instances of one size: arrays float64 [B, ...] by name, without units where possible."""


@dataclass(frozen=True, eq=False, slots=True)
class Polished:
    """What a short polish made of the points.

    Attributes:
        points: float64 [B, S, D].
        probes: int64 [B, S], objective values looked at inside the polish; 0 where the method needs none.
    """

    points: FloatArray
    probes: IntArray


Seen = Mapping[str, tuple[Json, ...]]
"""Values of a problem's parameters that a training has drawn: numbers are ends of a range, all else is what it is."""


def phrases(params: Mapping[str, object], seen: Seen) -> list[str]:
    """Parameters that a training has not drawn, each with what it has, e.g. ``n_links = 200 (8 to 20)``."""
    told = []
    for name, values in seen.items():
        value = plain(params.get(name))
        if value is None or value in values:
            continue
        numbers = [known for known in values if isinstance(known, int | float)]
        if not isinstance(value, int | float) or not numbers:
            told.append(f"{name} = {value} ({', '.join(dict.fromkeys(str(known) for known in values))})")
        elif not min(numbers) * (1.0 - _ROUNDING) <= value <= max(numbers) * (1.0 + _ROUNDING):
            ends = dict.fromkeys(f"{end:g}" for end in (min(numbers), max(numbers)))
            told.append(f"{name} = {value:g} ({' to '.join(ends)})")
    return told


_ROUNDING = 1e-9
"""Relative distance past the end of a range that is none."""


def stack(cases: Sequence[Mapping[str, FloatArray]]) -> dict[str, FloatArray]:
    """Cases of single instances side by side."""
    if len(cases) == 1:  # `np.stack` takes five times as long as the copy
        return {name: np.array(values, order="C")[None] for name, values in cases[0].items()}
    return {name: np.stack([case[name] for case in cases]) for name in cases[0]}


def joined(parts: Sequence[Cases]) -> dict[str, FloatArray]:
    """Cases of several groups one after the other."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


class Bridge(ABC):
    """One family of problems.

    The hooks in order of use: `gap`, `read` and `condition` before the network, `shape` and `project` inside the chain,
    `decode`, `polish`, `points` and `score` after it, `null` for the control; `value`, `project_torch` and `label` (and `vary`)
    for training. Sampling needs numpy alone: only what is given tensors may ask for torch.

    Attributes:
        family: Registry name of the problem.
        polishes: Names of the short polishes, the default first.
        preferences: Length of a preference vector that is part of the condition; 0 for one objective.
    """

    family: ClassVar[str]
    polishes: ClassVar[tuple[str, ...]] = (NO_POLISH,)
    preferences: ClassVar[int] = 0

    @abstractmethod
    def gap(self, instance: Instance) -> str | None:
        """What an instance lacks to be sampled, in one sentence; None when it lacks nothing."""

    @abstractmethod
    def read(self, instance: Instance) -> dict[str, FloatArray]:
        """One case, without the leading axis."""

    def vary(self, case: dict[str, FloatArray], rng: np.random.Generator) -> dict[str, FloatArray]:
        """What training changes in a case that no scenario parameter changes, e.g. a preference; nothing by default."""
        return case

    def unseen(self, instance: Instance, seen: Seen) -> list[str]:
        """What of an instance lies outside what a training has drawn, a phrase each; by default parameters of its problem.

        Args:
            instance: Of this family.
            seen: What the training has drawn.
        """
        return phrases(instance.origin.params, seen)

    @abstractmethod
    def condition(self, cases: Cases) -> dict[str, FloatArray]:
        """What the network is told, float64 [B, ...] by name."""

    @abstractmethod
    def shape(self, cases: Cases) -> tuple[int, int]:
        """Number of variables N and channels C that are sampled."""

    @abstractmethod
    def decode(self, cases: Cases, y: FloatArray) -> FloatArray:
        """Points from samples: projected and completed, feasible wherever the family allows it.

        Args:
            cases: B cases.
            y: float64 [B, S, N, C], in [-1, 1].

        Returns:
            float64 [B, S, D], in the units of `points`.
        """

    def raw(self, cases: Cases, y: FloatArray) -> FloatArray:
        """Points without repair, float64 [B, S, D]; differs from `decode` where a box is not all there is."""
        return self.decode(cases, y)

    def spread(self, case: Mapping[str, FloatArray], count: int) -> dict[str, FloatArray]:
        """One case as `count` cases that differ in their preference alone; only for several objectives."""
        return {name: np.repeat(values[None], count, axis=0) for name, values in case.items()}

    @abstractmethod
    def score(self, cases: Cases, points: FloatArray) -> FloatArray:
        """What selection goes by, float64 [B, S], larger is better; the true objective for one objective."""

    def polish(self, cases: Cases, points: FloatArray, *, method: str, steps: int) -> Polished:
        """A few steps of a classical method.

        Args:
            cases: B cases.
            points: float64 [B, S, D].
            method: One of `polishes`.
            steps: Steps at most.
        """
        return Polished(points, np.zeros(points.shape[:2], dtype=np.int64))

    @abstractmethod
    def null(self, cases: Cases, uniform: FloatArray) -> FloatArray:
        """An uninformed sampler in the same variables.

        Args:
            cases: B cases.
            uniform: float64 [B, S, N, C], uniform numbers.

        Returns:
            y, float64 [B, S, N, C], in [-1, 1].
        """

    def points(self, instance: Instance, points: FloatArray) -> FloatArray:
        """Decision vectors of one instance, float64 [S, d], from decoded points [S, D]."""
        return instance.space.clip(points)

    def project(self, condition: Cases, y: FloatArray) -> FloatArray:
        """Feasible set of the sampled variables, inside the reverse chain; a clip to [-1, 1] unless there is more.

        Args:
            condition: As `condition` tells it.
            y: float64 [B, S, N, C].
        """
        return np.clip(y, -1.0, 1.0)

    def project_torch(self, condition: Mapping[str, Tensor], y: Tensor) -> Tensor:
        """`project`, differentiable; training goes through it."""
        return y.clamp(-1.0, 1.0)

    @abstractmethod
    def value(self, condition: Mapping[str, Tensor], y: Tensor) -> Tensor:
        """The decoded objective as a differentiable function of y, scaled so that larger is better and good is near 1.

        Args:
            condition: As `condition`, as tensors.
            y: [B, S, N, C].

        Returns:
            [B, S].
        """

    def front_value(self, condition: Mapping[str, Tensor], y: Tensor) -> Tensor:
        """What a whole front is worth, differentiable, larger is better; only for several objectives.

        Args:
            condition: As `condition`, of cases that differ in their preference alone, S cases for each of B instances.
            y: [B, S, N, C], one sample per case.

        Returns:
            [B].
        """
        raise NotImplementedError(f"{self.family} has one objective")

    def decision(self, instance: Instance, y: Tensor) -> Tensor | None:
        """Differentiable decision vectors [S, d] of samples [S, N, C], for guidance by `objective_torch`; None without."""
        return None

    @abstractmethod
    def label(self, cases: Cases, rng: np.random.Generator, count: int) -> tuple[FloatArray, FloatArray]:
        """Near-optima of every case, distinct, from a multi-start classical method.

        Args:
            cases: B cases.
            rng: Source of the starts.
            count: Labels kept per case, M.

        Returns:
            y float64 [B, M, N, C] and their score, float64 [B, M]; rows beyond the distinct ones have score -inf.
        """


def distinct(y: FloatArray, score: FloatArray, count: int, digits: int) -> tuple[FloatArray, FloatArray]:
    """The best `count` distinct rows of every case.

    Args:
        y: float64 [B, S, N, C].
        score: float64 [B, S].
        count: M.
        digits: Rows that agree after rounding to so many decimals count as one.

    Returns:
        float64 [B, M, N, C] and [B, M]; missing rows repeat the best one with score -inf.
    """
    n_cases = y.shape[0]
    kept = np.zeros((n_cases, count, *y.shape[2:]))
    kept_score = np.full((n_cases, count), -np.inf)
    for b in range(n_cases):
        order = np.argsort(-score[b], kind="stable")
        rows = np.round(y[b, order].reshape(order.size, -1), digits)
        _, first = np.unique(rows, axis=0, return_index=True)
        chosen = order[np.sort(first)[:count]]
        kept[b] = y[b, order[0]]
        kept[b, : chosen.size], kept_score[b, : chosen.size] = y[b, chosen], score[b, chosen]
    return kept, kept_score


def to_tensors(condition: Mapping[str, FloatArray], device: str) -> dict[str, Tensor]:
    """A bridge's condition as float32 tensors."""
    import torch

    return {name: torch.as_tensor(np.asarray(values, dtype=np.float32), device=device) for name, values in condition.items()}
