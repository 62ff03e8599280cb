"""What the engine asks of a variation operator, and the operators without a language model.

These are SBX, differential evolution, normal noise and the published linear operator. Each is an options object that is also
the operator; every draw comes from ``wave.rng``, in a fixed order, so a wave's offspring depend on nothing but its state and
its stream.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Protocol, runtime_checkable

import numpy as np
from annotated_types import Ge, Gt, Le

from optisolve.core.arrays import BoolArray, FloatArray, IntArray
from optisolve.core.documents import JsonObject
from optisolve.core.options import Options
from optisolve.core.problem import Instance
from optisolve.core.space import Space

__all__ = [
    "De",
    "Feedback",
    "Gaussian",
    "Learner",
    "Linear",
    "Mutation",
    "Proposals",
    "Sbx",
    "Variation",
    "Wave",
    "published_rank_weights",
]


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
        gain: float64 [k], >= 0, hypervolume that each one added in the scenario's box to everything evaluated before it, in a
            box of the run's own while no point has reached that; for one objective the improvement of the best feasible value.
        X: float64 [k, d], the points as they were evaluated: clipped or projected.
        F: float64 [k, m], their objectives in minimization form.
        violation: float64 [k], their total constraint violations.
        rescaled: Gains are measured in another box than before from this wave on.
    """

    owner: IntArray
    source: list[str]
    replaced: IntArray
    gain: FloatArray
    X: FloatArray
    F: FloatArray
    violation: FloatArray
    rescaled: bool = False

    def part(self, mask: BoolArray) -> Feedback:
        """The feedback on some of the offspring, bool [k]."""
        source = [label for label, chosen in zip(self.source, mask.tolist(), strict=True) if chosen]
        X, F, violation = self.X[mask], self.F[mask], self.violation[mask]
        return Feedback(self.owner[mask], source, self.replaced[mask], self.gain[mask], X, F, violation, self.rescaled)


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


_SOME = 0.5
"""Chance per variable to be moved by differential evolution where there are several objectives."""
_PUBLISHED_CUBIC = (-0.111, 1.037, -1.291, 0.445)


@dataclass(frozen=True, slots=True)
class Mutation(Options):
    """Polynomial mutation, applied after every operator of this module.

    Args:
        eta: Distribution index; larger means smaller steps.
        probability: Chance per variable; None means 1 / number of variables.
    """

    eta: Annotated[float, Ge(0)] = 20.0
    probability: Annotated[float, Ge(0), Le(1)] | None = None

    def apply(self, children: FloatArray, space: Space, rng: np.random.Generator) -> FloatArray:
        """Mutate children float64 [n, d] and round integer variables; returns a new array inside the bounds."""
        from optisolve.solvers.moead import operator_kernels as kernels

        probability = 1.0 / space.dim if self.probability is None else self.probability
        U = rng.random(children.shape)
        mutated: FloatArray = kernels.polynomial_mutation(children, space.lower, space.upper, probability, self.eta, U)
        return space.clip(mutated) if space.has_integers else mutated


@dataclass(frozen=True, slots=True)
class Sbx(Options):
    """Simulated binary crossover of two mates, then polynomial mutation; one child per target.

    Args:
        eta: Distribution index of the crossover.
        probability: Chance that a pair is crossed.
        mutation: What follows.
    """

    eta: Annotated[float, Ge(0)] = 20.0
    probability: Annotated[float, Ge(0), Le(1)] = 1.0
    mutation: Mutation = Mutation()

    def propose(self, wave: Wave) -> Proposals:
        """One child for every target."""
        from optisolve.solvers.moead import operator_kernels as kernels

        space, n = wave.instance.space, wave.targets.size
        u_pair = wave.rng.random((n, 3))
        U = wave.rng.random((2, n, space.dim))
        children = kernels.sbx(wave.X, wave.mates, space.lower, space.upper, self.probability, self.eta, u_pair, U[0], U[1])
        return Proposals(self.mutation.apply(children, space, wave.rng), wave.targets, "sbx")

    def report(self) -> JsonObject:
        """Nothing beyond the engine's own figures."""
        return {}


@dataclass(frozen=True, slots=True)
class De(Options):
    """Differential evolution around the incumbent, then polynomial mutation; one child per target.

    With one objective the difference is added to the best of the mates instead (local best, as in DE/best/1 with
    neighborhoods), and half of the children take each variable with half the chance; all others keep the incumbent's.

    Args:
        scale: Factor F on the difference of two mates.
        crossover: Chance CR per variable to take the new value; None means 1 for one objective, as published, and one half for
            several: all variables moved at once undo each other where fronts need some of them at rest.
        mutation: What follows.

    Source: Li & Zhang 2009, doi 10.1109/TEVC.2008.925798; local best: Das et al. 2009, doi 10.1109/TEVC.2008.2009457.
    """

    scale: Annotated[float, Gt(0), Le(2)] = 0.5
    crossover: Annotated[float, Ge(0), Le(1)] | None = None
    mutation: Mutation = Mutation()

    def propose(self, wave: Wave) -> Proposals:
        """One child for every target."""
        from optisolve.solvers.moead import operator_kernels as kernels

        space, n = wave.instance.space, wave.targets.size
        u_pair = wave.rng.random((n, 2))
        U_cross = wave.rng.random((n, space.dim))
        if len(wave.instance.objectives) == 1:
            children = self._round_the_best(wave, u_pair, U_cross)
        else:
            rate = _SOME if self.crossover is None else self.crossover
            children = kernels.differential(
                wave.X, wave.targets, wave.mates, space.lower, space.upper, self.scale, rate, u_pair, U_cross
            )
        return Proposals(self.mutation.apply(children, space, wave.rng), wave.targets, "de")

    def _round_the_best(self, wave: Wave, u_pair: FloatArray, U_cross: FloatArray) -> FloatArray:
        """Children for one objective, where all sub-problems are the same and the best of the pool is a better base."""
        from optisolve.solvers.moead import operator_kernels as kernels

        space, n = wave.instance.space, wave.targets.size
        best = np.lexsort((wave.values, wave.violation[wave.mates]), axis=1)[:, 0]
        base = np.ascontiguousarray(wave.mates[np.arange(n), best])  # [n]
        moved = kernels.differential(wave.X, base, wave.mates, space.lower, space.upper, self.scale, 1.0, u_pair, U_cross)
        share = (1.0 if self.crossover is None else self.crossover) * np.where(wave.rng.random(n) < 0.5, 1.0, 0.5)  # [n]
        taken = U_cross <= np.maximum(share, U_cross.min(axis=1))[:, None]  # at least one variable
        children: FloatArray = np.where(taken, moved, wave.X[wave.targets])
        return children

    def report(self) -> JsonObject:
        """Nothing beyond the engine's own figures."""
        return {}


@dataclass(frozen=True, slots=True)
class Gaussian(Options):
    """Normal noise in a few variables of the incumbent, as wide as the pool of mates; one child per target.

    Steps shrink as the neighborhood converges. Ours; in spirit the isotropic mutation of an evolution strategy with the
    neighborhood's spread in the place of a step size. A few variables at a time gained more than all of them on `uav_isac`.

    Args:
        width: Standard deviation of a step, in units of the mates' standard deviation in that variable.
        share: Chance per variable to move; at least one does.
    """

    width: Annotated[float, Gt(0)] = 0.5
    share: Annotated[float, Ge(0), Le(1)] = 0.2

    def propose(self, wave: Wave) -> Proposals:
        """One child for every target."""
        spread = wave.X[wave.mates].std(axis=1)  # [n, d]
        n, d = spread.shape
        moves = wave.rng.random((n, d)) < self.share
        moves[np.arange(n), wave.rng.integers(d, size=n)] = True
        children = wave.X[wave.targets] + self.width * spread * wave.rng.standard_normal((n, d)) * moves
        return Proposals(wave.instance.space.clip(children), wave.targets, "gaussian")

    def report(self) -> JsonObject:
        """Nothing beyond the engine's own figures."""
        return {}


@dataclass(frozen=True, slots=True)
class Linear(Options):
    """The white-box operator fitted to a language model's answers (MOEA/D-LO), then polynomial mutation.

    The weighted sum is taken in the variables' own units, as published; its weights do not sum to one once the noise
    is added, so it depends on where those units have their zero.

    Args:
        parents: Number L of parents, the closest mates; at most the neighborhood size are there.
        noise: Standard deviation added to every parent's weight.
        mask: Chance per variable that the sum replaces the incumbent's value.
        mutation: What follows.
    """

    parents: Annotated[int, Ge(1)] = 10
    noise: Annotated[float, Ge(0)] = 0.5
    mask: Annotated[float, Ge(0), Le(1)] = 0.1
    mutation: Mutation = Mutation()

    def propose(self, wave: Wave) -> Proposals:
        """One child for every target."""
        from optisolve.solvers.moead import operator_kernels as kernels

        space, n = wave.instance.space, wave.targets.size
        rank_weights = published_rank_weights(min(self.parents, wave.mates.shape[1]))
        Z_noise = wave.rng.standard_normal((n, rank_weights.size))
        U_mask = wave.rng.random((n, space.dim))
        children = kernels.linear(
            wave.X,
            wave.violation,
            wave.targets,
            wave.mates,
            wave.values,
            rank_weights,
            self.noise,
            self.mask,
            space.lower,
            space.upper,
            Z_noise,
            U_mask,
        )
        return Proposals(self.mutation.apply(children, space, wave.rng), wave.targets, "linear")

    def report(self) -> JsonObject:
        """Nothing beyond the engine's own figures."""
        return {}


def published_rank_weights(n_parents: int) -> FloatArray:
    """Weights of the parents from worst to best, float64 [L], summing to 1.

    .. math:: w(r) = -0.111 r^3 + 1.037 r^2 - 1.291 r + 0.445, \\qquad r_i = (L + 1 - i) / L,

    then divided by their sum; i = 1 is the worst parent.

    Source: Liu et al. 2023, arXiv 2310.12541, coefficients as in the authors' code.
    """
    r = np.arange(n_parents, 0, -1) / n_parents
    weights = np.asarray(np.polyval(_PUBLISHED_CUBIC, r), dtype=np.float64)
    normalized: FloatArray = weights / weights.sum()
    return normalized
