"""The controls of `ledma`: the same engine, the same targets, as many offspring, and no language model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Gt, Le

from optisolve.core.arrays import FloatArray, IntArray
from optisolve.core.budget import BudgetMeter
from optisolve.core.json import JsonObject
from optisolve.core.solver import Outcome, SolverInfo, Task
from optisolve.solvers.ledma.mixture import Chooser, Mixture, random_share
from optisolve.solvers.ledma.solver import Ledma
from optisolve.solvers.moead.engine import run
from optisolve.solvers.moead.operators import De, Linear, Mutation, Sbx
from optisolve.solvers.moead.solvers import DecompositionSolver
from optisolve.solvers.moead.variation import Proposals, Variation, Wave

__all__ = ["CONTROL", "LedmaControl", "Repeated", "Sampler", "best_parents"]

CONTROL = "control"
"""Source label of the offspring that stand in the language model's place."""

Operator = Literal["sbx", "de", "linear", "convex", "gaussian", "zeros", "uniform"]


@dataclass(frozen=True, slots=True)
class LedmaControl(DecompositionSolver):
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
        de_scale: Factor on the difference of two mates in DE.
        de_crossover: DE's chance per variable to take the new value.
        mutation_eta: Distribution index of the mutation behind ``sbx``, ``de`` and ``linear``.
        mutation_probability: Its chance per variable; None means 1 / number of variables.
    """

    info: ClassVar[SolverInfo] = SolverInfo(
        name="ledma_control",
        version="3",
        summary="ledma with a plain operator in the language model's place: the arms of optisolve ablate.",
        citation="controls after Liu et al. 2023, arXiv 2310.12541 (linear), and Li & Zhang 2009 (DE); the others are ours",
    )
    operator: Operator = "de"
    mix: Annotated[float, Ge(0), Le(1)] = 1.0
    max_targets: Annotated[int, Ge(0)] | None = None
    n_offspring: Annotated[int, Ge(1), Le(16)] = 2
    n_parents: Annotated[int, Ge(2)] = 10
    noise: Annotated[float, Ge(0)] = 0.05
    de_scale: Annotated[float, Gt(0), Le(2)] = 0.5
    de_crossover: Annotated[float, Ge(0), Le(1)] = 1.0
    mutation_eta: Annotated[float, Ge(0)] = 20.0
    mutation_probability: Annotated[float, Ge(0), Le(1)] | None = None

    def _solve(self, task: Task) -> Outcome:
        task.solver_name = Ledma.info.name  # the streams of ledma: pairs share first population and chosen targets
        return run(task, self, self._variation(task))

    def _variation(self, task: Task) -> Variation:
        secondary = De(self.de_scale, self.de_crossover, Mutation(self.mutation_eta, self.mutation_probability))
        chooser = _limited(random_share(self.mix), self.max_targets)
        return _ControlMixture(self._primary(secondary), secondary, chooser, task.meter)

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


class _ControlMixture(Mixture):
    """The mixture, as `Ledma` mixes: at the end of a run DE's offspring make room for the others."""

    def __init__(self, primary: Variation, secondary: Variation, chooser: Chooser, meter: BudgetMeter) -> None:
        super().__init__(primary, secondary, chooser)
        self._meter = meter

    def propose(self, wave: Wave) -> Proposals:
        """Offspring of both operators, as many as may still be evaluated."""
        made = super().propose(wave)
        surplus = made.owner.size - self._meter.remaining_evaluations
        if surplus <= 0 or isinstance(made.source, str):
            return made
        free = [i for i, label in enumerate(made.source) if label != CONTROL][-surplus:]
        keep = np.setdiff1d(np.arange(made.owner.size), free)
        return Proposals(made.X[keep], made.owner[keep], [made.source[i] for i in keep])


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
