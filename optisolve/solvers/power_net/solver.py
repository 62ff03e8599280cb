"""`power_net`: powers from one forward pass of a small network, then a few switches; no labels, no random starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, ClassVar, Literal, cast

import numpy as np
from annotated_types import Ge

from optisolve.core.arrays import FloatArray, frozen
from optisolve.core.bridge import NO_POLISH, stack
from optisolve.core.capabilities import Samplable, WeightedChannel
from optisolve.core.documents import Json
from optisolve.core.options import Resource
from optisolve.core.problem import Instance
from optisolve.core.seeds import generator
from optisolve.core.solver import Feature, Outcome, Proposal, Solver, SolverInfo, Task, spent_limit
from optisolve.core.status import Limit, Termination
from optisolve.solvers.ddpm.bridges import bridge_gap, caution
from optisolve.solvers.power_net.weights import FAMILY, is_shipped, trained

__all__ = ["PowerNet"]


@dataclass(frozen=True, slots=True)
class PowerNet(Solver):
    """Message passing over the links names all powers at once; a few switches polish them, the best by the true objective stays.

    Every candidate and every polished candidate is one evaluation. Candidates after the first differ by noise that the network
    is told, as it was in training.

    Args:
        n_candidates: Answers of the network; the first one is its plain answer and the same for every seed.
        polish: ``switch`` (best single on/off switches, then WMMSE among the links that are on), ``wmmse``, or ``none``.
        polish_steps: Steps of the polish.
        weights: ``auto`` for the shipped weights, or a folder.
    """

    info: ClassVar = SolverInfo(
        name="power_net",
        version="1",
        summary="Powers from one forward pass of a network that was trained on the sum rate itself, then a few switches.",
        supports=frozenset({Feature.SINGLE_OBJECTIVE, Feature.REAL}),
        requires=(WeightedChannel, Samplable),
        citation="Sun et al., IEEE Trans. Signal Process. 2018; Shen et al. 2021, arXiv 2007.07632; the layers are our own",
    )
    n_candidates: Annotated[int, Ge(1)] = 4
    polish: Literal["switch", "wmmse", "none"] = "switch"
    polish_steps: Annotated[int, Ge(0)] = 5
    weights: Annotated[str, Resource(is_shipped)] = "auto"

    def skip(self, instance: Instance) -> str | None:
        """Needs power control with a sum rate, weighted or not, without minimum rates."""
        if instance.origin.problem != FAMILY:
            return f"knows {FAMILY}; this problem is {instance.origin.problem}"
        return bridge_gap(instance)  # asks for all that `info.requires`

    def caution(self, instance: Instance) -> str:
        """Where the instance lies outside of what the weights have seen."""
        return caution(trained(self.weights).papers, instance, rival="wmmse")

    def checkpoint(self, instance: Instance) -> dict[str, str] | None:
        """The weights."""
        papers = trained(self.weights).papers
        return {"name": papers.name, "sha256": papers.sha256}

    def propose(self, instances: Sequence[Instance], seed: int, evaluations: int) -> list[Proposal] | None:
        """Powers of all instances; those of one size share their passes."""
        network, count = trained(self.weights).network, self._count(evaluations)
        bridge = cast(Samplable, instances[0]).bridge()  # `skip` has passed them: all are of one family
        read = [bridge.read(instance) for instance in instances]
        by_size: dict[int, list[int]] = {}
        for index, case in enumerate(read):
            by_size.setdefault(case["weight"].size, []).append(index)
        made: dict[int, Proposal] = {}
        for n_links, indices in by_size.items():
            cases = stack([read[index] for index in indices])
            powers = network(cases["gain"], cases["weight"], _noise(seed, count, n_links))  # [B, S, K]
            if self._polishes:
                done = bridge.polish(cases, powers, method=self.polish, steps=self.polish_steps).points
                powers = done if evaluations < 2 * count else np.concatenate([powers, done], axis=1)
            end = Termination.LIMIT if count < self.n_candidates else Termination.CONVERGED
            for index, found in zip(indices, powers, strict=True):
                made[index] = Proposal(bridge.points(instances[index], found), end)
        return [made[index] for index in range(len(instances))]

    @property
    def _polishes(self) -> bool:
        return self.polish != NO_POLISH and self.polish_steps > 0

    def _count(self, evaluations: int) -> int:
        """Candidates that so many evaluations pay for."""
        return min(self.n_candidates, max(1, evaluations // (2 if self._polishes else 1)))

    def _solve(self, task: Task) -> Outcome:
        left = task.meter.remaining_evaluations
        if left == 0:
            return task.outcome(Termination.LIMIT, spent_limit(task))
        proposed = self.propose([task.instance], task.seed, left)
        assert proposed is not None  # it always proposes
        X, count = proposed[0].X, self._count(left)
        sources = ["network"] * (len(X) - count) + ["polished" if self._polishes else "network"] * count
        task.evaluate(X, source=sources)
        report: dict[str, Json] = {"candidates": count, **(self.checkpoint(task.instance) or {})}
        if count < self.n_candidates:
            return task.outcome(Termination.LIMIT, Limit.EVALUATIONS, detail="fewer candidates than asked for", report=report)
        return task.outcome(Termination.CONVERGED, detail="all candidates made", report=report)


@lru_cache(maxsize=64)
def _noise(seed: int, count: int, n_links: int) -> FloatArray:
    """What tells candidates apart, float64 [count, K]: nothing for the first one, standard normal for the others.

    It is drawn candidate by candidate, so that a small budget gives a part of what a large one gives.
    """
    noise = np.zeros((count, n_links))
    if count > 1:
        noise[1:] = generator(seed, solver="power_net", purpose="noise").standard_normal((count - 1, n_links))
    return frozen(noise)
