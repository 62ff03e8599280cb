"""The controls of `ledma`: the same engine, the same targets, as many offspring, and no language model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Le

from optisolve.core.arrays import FloatArray, IntArray
from optisolve.core.budget import BudgetMeter
from optisolve.core.documents import JsonObject
from optisolve.core.solver import Outcome, SolverInfo, Task
from optisolve.solvers.ledma.shares import Chooser, random_share, spread
from optisolve.solvers.ledma.solver import BesideDe, Ledma
from optisolve.solvers.moead.engine import run
from optisolve.solvers.moead.variation import De, Linear, Proposals, Sbx, Variation, Wave

__all__ = ["CONTROL", "LedmaControl", "Mixture", "Repeated", "Sampler", "best_parents"]

CONTROL = "control"
"""Source label of the offspring that stand in the language model's place."""

Operator = Literal["sbx", "de", "linear", "convex", "gaussian", "zeros", "uniform"]


@dataclass(frozen=True, slots=True)
class LedmaControl(BesideDe):
    """`Ledma` with another operator in the language model's place.

    It draws from the streams of `Ledma`: a run with the same seed starts from the same population and its chooser picks
    the same targets, so the two differ in nothing but who makes the offspring.

    Args:
        operator: Who serves the chosen targets: ``sbx``, ``de`` and ``linear`` (the published stand-in for a language
            model), each with polynomial mutation; ``convex``, a random convex combination of the parents plus normal
            noise; ``gaussian``, normal noise round the best parent; ``zeros``, every variable at its lower bound;
            ``uniform``, random points.
        mix: Share of the targets that the operator serves; DE serves the others, one offspring each.
        max_targets: Targets that the operator serves in the whole run, as a budget of calls would allow; None means all.
        n_offspring: Offspring per served target.
        n_parents: Parents of ``convex``, the best of the pool, as many as the model would be shown.
        noise: Standard deviation of ``convex`` and ``gaussian``, in units of the variable's range.
    """

    info: ClassVar[SolverInfo] = SolverInfo(
        name="ledma_control",
        version="6",
        summary="ledma with a plain operator in the language model's place: the arms of optisolve ablate.",
        citation="controls after Liu et al. 2023, arXiv 2310.12541 (linear), and Li & Zhang 2009 (DE); the others are ours",
    )
    operator: Operator = "de"
    mix: Annotated[float, Ge(0), Le(1)] = 1.0
    max_targets: Annotated[int, Ge(0)] | None = None
    n_offspring: Annotated[int, Ge(1), Le(16)] = 2
    n_parents: Annotated[int, Ge(2)] = 10
    noise: Annotated[float, Ge(0)] = 0.05

    def _solve(self, task: Task) -> Outcome:
        task.solver_name = Ledma.info.name  # the streams of ledma: pairs share first population and chosen targets
        return run(task, self, self._variation(task))

    def _variation(self, task: Task) -> Variation:
        de, limit = self._de(), self.max_targets
        share = random_share(self.mix)
        if self.spread and limit is not None:
            share = spread(self.mix, limit, task.meter, self.n_offspring)
        chooser = _limited(share, limit)
        return Mixture(self._primary(de), de, chooser, task.meter)

    def _primary(self, de: De) -> Variation:
        repeated: dict[str, Variation] = {"sbx": Sbx(mutation=de.mutation), "de": de, "linear": Linear(mutation=de.mutation)}
        if self.operator in repeated:
            return Repeated(repeated[self.operator], self.n_offspring)
        draw = {"convex": self._convex, "gaussian": self._gaussian, "zeros": _zeros, "uniform": _uniform}[self.operator]
        return Sampler(draw, self.n_offspring)

    def _convex(self, wave: Wave, rows: IntArray) -> FloatArray:
        """Weights uniform on the simplex (Dirichlet with all ones)."""
        parents = best_parents(wave, self.n_parents)  # [n, l]
        weights = wave.rng.dirichlet(np.ones(parents.shape[1]), rows.size)  # [k, l]
        U = wave.instance.space.normalize(wave.X)[parents[rows]]  # [k, l, d]
        return self._noisy(wave, np.einsum("kl,kld->kd", weights, U))

    def _gaussian(self, wave: Wave, rows: IntArray) -> FloatArray:
        best = best_parents(wave, 1)[rows, 0]  # [k]
        return self._noisy(wave, wave.instance.space.normalize(wave.X)[best])

    def _noisy(self, wave: Wave, U: FloatArray) -> FloatArray:
        space = wave.instance.space
        return space.clip(space.denormalize(U + self.noise * wave.rng.standard_normal(U.shape)))


class Repeated:
    """Lets an operator that makes one child per target make several.

    Args:
        operator: Makes one child per target of a wave.
        count: Children per target, with independent draws.
    """

    def __init__(self, operator: Variation, count: int) -> None:
        self._operator, self._count = operator, count

    def propose(self, wave: Wave) -> Proposals:
        """`count` children of every target, labelled as the control's."""
        rows = np.repeat(np.arange(wave.targets.size), self._count)
        made = self._operator.propose(wave.part(rows, wave.rng))
        return Proposals(made.X, made.owner, CONTROL)

    def report(self) -> JsonObject:
        """The operator's own figures."""
        return self._operator.report()


class Sampler:
    """Makes every target's offspring by one function.

    Args:
        draw: From a wave and, for every offspring, its row of the wave (int64 [k]), to points float64 [k, d] inside
            the bounds; draws from ``wave.rng`` alone.
        count: Offspring per target.
    """

    def __init__(self, draw: Callable[[Wave, IntArray], FloatArray], count: int) -> None:
        self._draw, self._count = draw, count

    def propose(self, wave: Wave) -> Proposals:
        """`count` offspring of every target, labelled as the control's."""
        rows = np.repeat(np.arange(wave.targets.size), self._count)
        return Proposals(self._draw(wave, rows), wave.targets[rows], CONTROL)

    def report(self) -> JsonObject:
        """Nothing beyond the engine's own figures."""
        return {}


def best_parents(wave: Wave, count: int) -> IntArray:
    """The parents that a language model would be shown: the best distinct sub-problems of each target's pool.

    Args:
        wave: The wave.
        count: Parents per target, at most the pool's size are there.

    Returns:
        int64 [n, min(count, T)], best first: feasible before infeasible, then by scalarized value.
    """
    order = np.lexsort((wave.mates, wave.values, wave.violation[wave.mates]), axis=1)[:, :count]
    parents: IntArray = np.take_along_axis(wave.mates, order, axis=1)
    return parents


class Mixture:
    """Gives some targets of every wave to one operator and the others to a second one.

    The chooser and both operators get streams of their own, spawned from the wave's stream, so what one draws never
    shifts another. Proposals are merged in owner order, the primary's first.

    Args:
        primary: Operator for the chosen targets.
        secondary: Operator for all other targets.
        chooser: Deterministic given the wave; may draw from ``wave.rng``.
        meter: At the end of its budget DE's offspring make room for the control's, as in `Ledma`; None for no end.
    """

    def __init__(self, primary: Variation, secondary: Variation, chooser: Chooser, meter: BudgetMeter | None = None) -> None:
        self._primary, self._secondary, self._chooser, self._meter = primary, secondary, chooser, meter

    def propose(self, wave: Wave) -> Proposals:
        """Offspring of both operators, ascending by owner, as many as may still be evaluated."""
        choice_rng, *streams = wave.rng.spawn(3)
        chosen = np.isin(wave.targets, self._chooser(replace(wave, rng=choice_rng)))
        served = zip((self._primary, self._secondary), (chosen, ~chosen), streams, strict=True)
        parts = [operator.propose(wave.part(mask, rng)) for operator, mask, rng in served if mask.any()]
        if len(parts) == 1:
            return parts[0]
        owner, labels = np.concatenate([part.owner for part in parts]), [label for part in parts for label in part.labels]
        order = np.argsort(owner, kind="stable")
        surplus = 0 if self._meter is None else order.size - self._meter.remaining_evaluations
        if surplus > 0:
            order = order[~np.isin(order, [i for i in order if labels[i] != CONTROL][-surplus:])]
        return Proposals(np.concatenate([part.X for part in parts])[order], owner[order], [labels[i] for i in order])

    def report(self) -> JsonObject:
        """Figures of both operators."""
        return {"primary": dict(self._primary.report()), "secondary": dict(self._secondary.report())}


def _limited(chooser: Chooser, limit: int | None) -> Chooser:
    """The same choice until `limit` targets were chosen in all; of the last wave the first ones, as calls are granted."""
    if limit is None:
        return chooser
    left = limit

    def choose(wave: Wave) -> IntArray:
        nonlocal left
        chosen = np.sort(chooser(wave))[:left]
        left -= chosen.size
        return chosen

    return choose


def _zeros(wave: Wave, rows: IntArray) -> FloatArray:
    """The constant answer 0: what a model that prints nothing but zeros would give on the prompt's grid."""
    return np.tile(wave.instance.space.clip(wave.instance.space.lower[None, :]), (rows.size, 1))


def _uniform(wave: Wave, rows: IntArray) -> FloatArray:
    return wave.instance.space.sample(wave.rng, rows.size)
