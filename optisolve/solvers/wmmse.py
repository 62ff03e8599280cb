"""WMMSE from full power and from random starts: the usual yardstick for sum-rate power control."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, cast

import numpy as np
from annotated_types import Ge, Gt

from optisolve.core.arrays import FloatArray, IntArray
from optisolve.core.capabilities import WeightedChannel
from optisolve.core.problem import Instance
from optisolve.core.seeds import generator
from optisolve.core.solver import Feature, Outcome, Proposal, Solver, SolverInfo, Task
from optisolve.core.status import Limit, Termination
from optisolve.numerics.wmmse import normalized_gain, wmmse
from optisolve.solvers.interference import channel_of, interference_gap

__all__ = ["Wmmse"]


@dataclass(frozen=True, slots=True)
class Wmmse(Solver):
    """Block coordinate ascent on receivers, weights and transmitters; every start ends at a stationary point.

    One start costs one evaluation; a small budget runs fewer starts.

    Args:
        n_random_starts: Starts with uniform powers, besides the one from full power.
        max_iterations: Steps per start.
        tolerance: Smallest gain of a step, bit/s/Hz; below 1 bit/s/Hz a share of the sum rate.
    """

    info: ClassVar = SolverInfo(
        name="wmmse",
        version="2",
        summary="WMMSE power control, multi-start, batched.",
        supports=frozenset({Feature.SINGLE_OBJECTIVE, Feature.REAL}),
        requires=(WeightedChannel,),
        citation="Shi, Razaviyayn, Luo and He, IEEE Trans. Signal Process. 2011",
    )
    n_random_starts: Annotated[int, Ge(0)] = 32
    max_iterations: Annotated[int, Ge(1)] = 500
    tolerance: Annotated[float, Gt(0)] = 1e-6

    def skip(self, instance: Instance) -> str | None:
        """Needs a sum rate or weighted sum rate on an interference channel, without minimum rates."""
        # Without zero-argument super(): a dataclass with slots is a second class.
        return Solver.skip(self, instance) or interference_gap(instance, ("sum_rate", "weighted_sum_rate"))

    def takes_start(self, instance: Instance) -> bool:
        """Powers that are given are starts beside full power."""
        return True

    def propose(self, instances: Sequence[Instance], seed: int, evaluations: int) -> list[Proposal] | None:
        """All starts of all instances; those of one size ascend together."""
        channels = [cast(WeightedChannel, channel_of(instance)) for instance in instances]
        by_size: dict[int, list[int]] = {}
        for index, channel in enumerate(channels):
            by_size.setdefault(channel.p_max_w.size, []).append(index)
        made: dict[int, Proposal] = {}
        for n_links, indices in by_size.items():
            full = np.vstack(
                [np.ones(n_links), self._random(generator(seed, solver=self.info.name, purpose="starts"), n_links)]
            )
            starts = full[:evaluations]
            powers, steps = self._ascended(
                [channels[i] for i in indices], np.broadcast_to(starts, (len(indices), *starts.shape))
            )
            for index, found, taken in zip(indices, powers, steps, strict=True):
                short = len(starts) < len(full) or bool((taken >= self.max_iterations).any())
                X = instances[index].space.clip(found * channels[index].p_max_w)
                made[index] = Proposal(X, Termination.LIMIT if short else Termination.CONVERGED)
        return [made[index] for index in range(len(instances))]

    def _ascended(self, channels: Sequence[WeightedChannel], starts: FloatArray) -> tuple[FloatArray, IntArray]:
        """Limits of the ascents in shares of the caps, and their steps, from starts float64 [B, S, K]."""
        gain = np.stack([normalized_gain(channel.gain, channel.noise_w, channel.p_max_w) for channel in channels])
        weight = np.stack([channel.weight for channel in channels])
        return wmmse(gain, weight, starts, max_iterations=self.max_iterations, tolerance=self.tolerance)

    def _solve(self, task: Task) -> Outcome:
        channel = cast(WeightedChannel, channel_of(task.instance))  # `isinstance` takes longer than an ascent
        starts = self._starts(task, channel.p_max_w)
        affordable = starts[: max(1, task.meter.remaining_evaluations)]  # [S, K]
        powers, steps = self._ascended([channel], affordable[None])
        n_given = starts.shape[0] - self.n_random_starts  # warm starts and full power
        sources = ["given_start" if s < n_given else "random_start" for s in range(affordable.shape[0])]
        task.evaluate(task.instance.space.clip(powers[0] * channel.p_max_w), source=sources)
        report = {"starts": len(affordable), "iterations": int(steps.sum())}
        if len(affordable) < len(starts):
            return task.outcome(Termination.LIMIT, Limit.EVALUATIONS, detail="fewer starts than asked for", report=report)
        if (steps >= self.max_iterations).any():
            return task.outcome(Termination.LIMIT, Limit.ITERATIONS, detail="some starts did not settle", report=report)
        return task.outcome(Termination.CONVERGED, report=report)

    def _random(self, rng: np.random.Generator, n_links: int) -> FloatArray:
        return rng.random((self.n_random_starts, n_links))

    def _starts(self, task: Task, p_max_w: FloatArray) -> FloatArray:
        """Warm starts, full power, then random powers, as shares of the caps, float64 [S, K]."""
        random = self._random(task.rng(purpose="starts"), p_max_w.size)
        return np.vstack([np.clip(task.start / p_max_w, 0.0, 1.0), np.ones(p_max_w.size), random])
