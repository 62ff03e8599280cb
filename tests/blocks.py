"""Blocks and power for K users, as a user of the library would write it: integers, equalities, and no projection of its own.

The optimum of instance 3 is 16.384354, by enumeration of the integers and water-filling over the reals; see `best_value`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import ClassVar

import numpy as np

from optisolve.core import Description, Evaluation, HypervolumeBox, Instance, Kind, Objective, Problem, Sense, Space, Variable
from optisolve.core.evaluation import FEASIBILITY_TOLERANCE


@dataclass(frozen=True)
class Blocks(Problem):
    """K users share N blocks (integers) and P watts, both used up exactly."""

    name: ClassVar[str] = "blocks"
    version: ClassVar[str] = "1"
    summary: ClassVar[str] = "Blocks and power, used up exactly."
    n_users: int = 4
    n_blocks: int = 12
    power_w: float = 1.0
    tolerance: float = FEASIBILITY_TOLERANCE
    repairs: bool = True

    def instance(self, seed: int = 0) -> Instance:
        gain = np.random.default_rng(seed).exponential(10.0, self.n_users)
        return (BlocksInstance if self.repairs else UnrepairedBlocks)(self, gain, seed)


class BlocksInstance(Instance):
    goals: ClassVar = (Objective("sum_rate", Sense.MAXIMIZE, "bit/s/Hz", "sum rate"),)
    box: ClassVar = None

    def __init__(self, problem, gain, seed):
        self.gain, self.N, self.P = gain, problem.n_blocks, problem.power_w
        blocks = [Variable(f"n{k}", 0, self.N, "blocks", Kind.INTEGER) for k in range(gain.size)]
        powers = [Variable(f"p{k}", 0, self.P, "W") for k in range(gain.size)]
        super().__init__(
            origin=problem.origin(seed),
            space=Space.of(blocks + powers),
            objectives=self.goals,
            constraint_names=("fair",),
            equality_names=("all_blocks", "all_power"),
            hypervolume_box=self.box,
            tolerance=problem.tolerance,
        )

    def arrays(self):
        return {"gain": self.gain}

    def describe(self):
        return Description("Blocks and power for K users; all must be used.")

    def _evaluate(self, X):
        n, p = X[:, : self.gain.size], X[:, self.gain.size :]
        rate = n * np.log2(1 + self.gain * p / np.maximum(n, 1e-9))
        G = (1 - n.min(1, keepdims=True)) / self.N  # everybody gets at least one block
        H = np.stack([n.sum(1) / self.N - 1, p.sum(1) / self.P - 1], 1)
        return Evaluation(rate.sum(1, keepdims=True), G, H)


class UnrepairedBlocks(BlocksInstance):
    """The same with a projection that repairs nothing, as a solver met it before there was a default."""

    def _project(self, X):
        return X


def best_value(instance: BlocksInstance) -> float:
    """The optimum: all ways to share the blocks, powers by water-filling n log2(1 + g p / n), p = n (level - 1 / g)+."""
    best, gain = -np.inf, instance.gain
    for shares in product(range(1, instance.N + 1), repeat=gain.size):
        if sum(shares) != instance.N:
            continue
        n = np.array(shares, dtype=float)
        for active in range(1, gain.size + 1):
            used = np.argsort(-gain)[:active]
            level = (instance.P + (n[used] / gain[used]).sum()) / n[used].sum()
            p = np.zeros(gain.size)
            p[used] = n[used] * (level - 1.0 / gain[used])
            if (p >= 0.0).all():
                best = max(best, float((n * np.log2(1.0 + gain * p / n)).sum()))
    return best


@dataclass(frozen=True)
class TwoGoalBlocks(Blocks):
    """The same with the least user's rate as a second objective."""

    name: ClassVar[str] = "two_goal_blocks"

    def instance(self, seed: int = 0) -> Instance:
        return (_TwoGoals if self.repairs else _UnrepairedTwoGoals)(
            self, np.random.default_rng(seed).exponential(10.0, self.n_users), seed
        )


class _TwoGoals(BlocksInstance):
    goals: ClassVar = (
        Objective("sum_rate", Sense.MAXIMIZE, "bit/s/Hz", "sum rate"),
        Objective("least_rate", Sense.MAXIMIZE, "bit/s/Hz", "rate of the worst user"),
    )
    box: ClassVar = HypervolumeBox(reference=(0.0, 0.0), ideal=(17.0, 3.0))

    def _evaluate(self, X):
        told = super()._evaluate(X)
        n, p = X[:, : self.gain.size], X[:, self.gain.size :]
        least = (n * np.log2(1 + self.gain * p / np.maximum(n, 1e-9))).min(axis=1, keepdims=True)
        return Evaluation(np.hstack([told.F, least]), told.G, told.H)


class _UnrepairedTwoGoals(_TwoGoals):
    def _project(self, X):
        return X


@dataclass(frozen=True)
class WholeBlocks(Problem):
    """Blocks alone, with diminishing returns and a price of differences; remembers what was evaluated."""

    name: ClassVar[str] = "whole_blocks"
    version: ClassVar[str] = "1"
    summary: ClassVar[str] = "Blocks, used up exactly."
    n_users: int = 12
    n_blocks: int = 60

    def instance(self, seed: int = 0) -> Instance:
        return _WholeBlocks(self, np.random.default_rng(seed).exponential(2.0, self.n_users), seed)


class _WholeBlocks(Instance):
    def __init__(self, problem, gain, seed):
        self.gain, self.N, self.evaluated = gain, problem.n_blocks, []
        super().__init__(
            origin=problem.origin(seed),
            space=Space.of(Variable(f"n{k}", 0, 20, "blocks", Kind.INTEGER) for k in range(gain.size)),
            objectives=(Objective("worth", Sense.MAXIMIZE, meaning="worth of the blocks"),),
            equality_names=("all_blocks",),
        )

    def arrays(self):
        return {"gain": self.gain}

    def describe(self):
        return Description("Blocks for K users; all must be used.")

    def _evaluate(self, X):
        self.evaluated.append(X.copy())
        worth = (self.gain * np.log1p(X)).sum(axis=1) - 0.02 * (np.diff(X, axis=1) ** 2).sum(axis=1)
        return Evaluation(worth[:, None], np.empty((X.shape[0], 0)), X.sum(axis=1, keepdims=True) / self.N - 1.0)
