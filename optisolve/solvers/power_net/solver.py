"""`power_net`: powers from one forward pass of a small network, and the strongest links alone; both polished by switches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, ClassVar, Literal, NamedTuple, cast

import numpy as np
from annotated_types import Ge

from optisolve.core.arrays import FloatArray, frozen
from optisolve.core.bridge import NO_POLISH, stack
from optisolve.core.capabilities import Samplable, WeightedChannel
from optisolve.core.documents import Json
from optisolve.core.errors import FieldProblem
from optisolve.core.options import Resource
from optisolve.core.problem import Instance
from optisolve.core.seeds import generator
from optisolve.core.solver import Feature, Outcome, Proposal, Solver, SolverInfo, Task, spent_limit
from optisolve.core.status import Limit, Termination
from optisolve.solvers.ddpm.bridges import bridge_gap, caution
from optisolve.solvers.power_net.weights import FAMILY, is_shipped, trained

__all__ = ["PowerNet"]


class _Share(NamedTuple):
    """What a budget pays for: polished answers of the network, polished anchors, and whether the answers as they are too."""

    answers: int
    anchors: int
    raw: bool


@dataclass(frozen=True, slots=True)
class PowerNet(Solver):
    """Message passing over the links names all powers at once, a few switches polish them, the best true objective stays.

    Answers of the network after the first differ by noise that it is told, as it was in training. *Anchors* know nothing of it:
    the strongest links, each on alone, to which the same polish adds others. With ``n_candidates=0`` they are the control.
    Every answer, every polished answer and every polished anchor is one evaluation.

    Args:
        n_candidates: Answers of the network; the first one is its plain answer and the same for every seed.
        n_anchors: Anchors beside them, at most one per link; none without a polish.
        polish: ``switch`` (best single on/off switches, then WMMSE among the links that are on), ``wmmse``, or ``none``.
        polish_steps: Steps of the polish.
        weights: ``auto`` for the shipped weights, or a folder.
    """

    info: ClassVar = SolverInfo(
        name="power_net",
        version="1",
        summary="Powers from one forward pass of a small network and from the strongest links, then a few switches.",
        supports=frozenset({Feature.SINGLE_OBJECTIVE, Feature.REAL}),
        requires=(WeightedChannel, Samplable),
        citation="Sun et al., IEEE Trans. Signal Process. 2018; Shen et al. 2021, arXiv 2007.07632; the layers are our own",
    )
    n_candidates: Annotated[int, Ge(0)] = 1
    n_anchors: Annotated[int, Ge(0)] = 12
    polish: Literal["switch", "wmmse", "none"] = "switch"
    polish_steps: Annotated[int, Ge(0)] = 10
    weights: Annotated[str, Resource(is_shipped)] = "auto"

    def skip(self, instance: Instance) -> str | None:
        """Needs power control with a sum rate, weighted or not, without minimum rates."""
        if instance.origin.problem != FAMILY:
            return f"knows {FAMILY}; this problem is {instance.origin.problem}"
        return bridge_gap(instance)  # asks for all that `info.requires`

    def caution(self, instance: Instance) -> str:
        """Where the instance lies outside of what the weights have seen."""
        return caution(trained(self.weights).papers, instance, rival="wmmse") if self.n_candidates else ""

    def checkpoint(self, instance: Instance) -> dict[str, str] | None:
        """The weights."""
        if self.n_candidates == 0:
            return None
        papers = trained(self.weights).papers
        return {"name": papers.name, "sha256": papers.sha256}

    def propose(self, instances: Sequence[Instance], seed: int, evaluations: int) -> list[Proposal] | None:
        """Powers of all instances; those of one size share their passes."""
        bridge = cast(Samplable, instances[0]).bridge()  # `skip` has passed them: all are of one family
        read = [bridge.read(instance) for instance in instances]
        by_size: dict[int, list[int]] = {}
        for index, case in enumerate(read):
            by_size.setdefault(case["weight"].size, []).append(index)
        made: dict[int, Proposal] = {}
        for n_links, indices in by_size.items():
            cases, share = stack([read[index] for index in indices]), self._share(evaluations, n_links)
            powers = self._named(cases, share, seed)  # [B, S, K]
            if self._polishes:
                starts = np.concatenate([powers, _alone(cases, share.anchors)], axis=1) if share.anchors else powers
                done = bridge.polish(cases, starts, method=self.polish, steps=self.polish_steps).points
                powers = np.concatenate([powers, done], axis=1) if share.raw else done
            end = Termination.LIMIT if self._short(evaluations, n_links) else Termination.CONVERGED
            for index, found in zip(indices, powers, strict=True):
                made[index] = Proposal(bridge.points(instances[index], found), end)
        return [made[index] for index in range(len(instances))]

    def _check(self) -> Iterable[FieldProblem]:
        if self.n_candidates == 0 and not (self._polishes and self.n_anchors):
            yield FieldProblem("n_candidates", 0, "at least 1 where there are no anchors or nothing polishes them")

    @property
    def _polishes(self) -> bool:
        return self.polish != NO_POLISH and self.polish_steps > 0

    def _named(self, cases: Mapping[str, FloatArray], share: _Share, seed: int) -> FloatArray:
        """Answers of the network, float64 [B, S, K]."""
        n_cases, n_links = cases["weight"].shape
        if share.answers == 0:
            return np.empty((n_cases, 0, n_links))
        return trained(self.weights).network(cases["gain"], cases["weight"], _noise(seed, share.answers, n_links))

    def _share(self, evaluations: int, n_links: int) -> _Share:
        """What so many evaluations pay for, polished points first."""
        if not self._polishes:
            return _Share(min(self.n_candidates, evaluations), 0, raw=False)
        answers = min(self.n_candidates, evaluations)
        anchors = min(self.n_anchors, n_links, evaluations - answers)
        return _Share(answers, anchors, raw=answers > 0 and not self._short(evaluations, n_links))

    def _short(self, evaluations: int, n_links: int) -> bool:
        """Whether so many evaluations are too few for all that is asked for."""
        if not self._polishes:
            return evaluations < self.n_candidates
        return evaluations < 2 * self.n_candidates + min(self.n_anchors, n_links)

    def _solve(self, task: Task) -> Outcome:
        left = task.meter.remaining_evaluations
        if left == 0:
            return task.outcome(Termination.LIMIT, spent_limit(task))
        n_links = task.instance.space.dim
        share = self._share(left, n_links)
        (proposal,) = self.propose([task.instance], task.seed, left) or []  # it always proposes
        plain = share.answers if share.raw or not self._polishes else 0
        sources = ["network"] * plain + (["polished"] * share.answers if self._polishes else []) + ["anchor"] * share.anchors
        task.evaluate(proposal.X, source=sources)
        papers = self.checkpoint(task.instance) or {}
        report: dict[str, Json] = {"answers": share.answers, "anchors": share.anchors, **papers}
        if self._short(left, n_links):
            return task.outcome(Termination.LIMIT, Limit.EVALUATIONS, detail="fewer points than asked for", report=report)
        return task.outcome(Termination.CONVERGED, detail="all points made", report=report)


def _alone(cases: Mapping[str, FloatArray], count: int) -> FloatArray:
    """The strongest links, each on alone: float64 [B, count, K], the best rate first."""
    own = np.diagonal(cases["gain"], axis1=1, axis2=2)
    order = np.argsort(-cases["weight"] * np.log1p(own), axis=1, kind="stable")[:, :count]  # [B, count]
    alone: FloatArray = (order[:, :, None] == np.arange(own.shape[1])).astype(np.float64)
    return alone


@lru_cache(maxsize=64)
def _noise(seed: int, count: int, n_links: int) -> FloatArray:
    """What tells candidates apart, float64 [count, K]: nothing for the first one, standard normal for the others.

    It is drawn candidate by candidate, so that a small budget gives a part of what a large one gives.
    """
    noise = np.zeros((count, n_links))
    if count > 1:
        noise[1:] = generator(seed, solver="power_net", purpose="noise").standard_normal((count - 1, n_links))
    return frozen(noise)
