"""The decomposition family: one engine, one class per variation operator."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge, Gt, Le

from optisolve.core.solver import Outcome, SolverInfo, Task
from optisolve.solvers.moead.engine import run
from optisolve.solvers.moead.options import DecompositionOptions
from optisolve.solvers.moead.variation import De, Linear, Mutation, Sbx, Variation

__all__ = ["DecompositionSolver", "Moead", "MoeadDe", "MoeadLo", "MutatingSolver"]


@dataclass(frozen=True, slots=True)
class DecompositionSolver(DecompositionOptions):
    """Base of the family: the engine's settings as options; subclasses supply the operator.

    A new member is a frozen dataclass with an ``info`` and a `_variation` method.
    """

    @abstractmethod
    def _variation(self, task: Task) -> Variation:
        """The operator for one run."""

    def _solve(self, task: Task) -> Outcome:
        return run(task, self, self._variation(task))


@dataclass(frozen=True, slots=True)
class MutatingSolver(DecompositionSolver):
    """Base of the members whose operator ends with polynomial mutation.

    Args:
        mutation_eta: Distribution index of the mutation.
        mutation_probability: Chance per variable; None means 1 / number of variables.
    """

    mutation_eta: Annotated[float, Ge(0)] = 20.0
    mutation_probability: Annotated[float, Ge(0), Le(1)] | None = None

    def _mutation(self) -> Mutation:
        return Mutation(self.mutation_eta, self.mutation_probability)


@dataclass(frozen=True, slots=True)
class Moead(MutatingSolver):
    """MOEA/D with simulated binary crossover and polynomial mutation.

    Args:
        crossover_eta: Distribution index of the crossover.
        crossover_probability: Chance that a pair of parents is crossed.
    """

    info: ClassVar[SolverInfo] = SolverInfo(
        name="moead",
        version="5",
        summary="Decomposition MOEA with SBX crossover and polynomial mutation, in waves.",
        citation="Zhang & Li 2007, MOEA/D, doi 10.1109/TEVC.2007.892759",
        steady=True,
        portable=True,
    )
    crossover_eta: Annotated[float, Ge(0)] = 20.0
    crossover_probability: Annotated[float, Ge(0), Le(1)] = 1.0

    def _variation(self, task: Task) -> Variation:
        return Sbx(self.crossover_eta, self.crossover_probability, self._mutation())


@dataclass(frozen=True, slots=True)
class MoeadDe(MutatingSolver):
    """MOEA/D with differential evolution and polynomial mutation.

    Args:
        scale: Factor F on the difference of two mates.
        crossover: Chance CR per variable to take the new value; None means 1 for one objective and one half for several.
    """

    info: ClassVar[SolverInfo] = SolverInfo(
        name="moead_de",
        version="7",
        summary="Decomposition MOEA with differential evolution, in waves.",
        citation="Li & Zhang 2009, MOEA/D-DE, doi 10.1109/TEVC.2008.925798",
        steady=True,
        portable=True,
    )
    scale: Annotated[float, Gt(0), Le(2)] = 0.5
    crossover: Annotated[float, Ge(0), Le(1)] | None = None

    def _variation(self, task: Task) -> Variation:
        return De(self.scale, self.crossover, self._mutation())


@dataclass(frozen=True, slots=True)
class MoeadLo(MutatingSolver):
    """MOEA/D with the white-box linear operator that was fitted to a language model's answers.

    Args:
        parents: Number of parents per offspring; at most the neighborhood size are there.
        noise: Standard deviation added to every parent's weight.
        mask: Chance per variable that the weighted sum replaces the incumbent's value.
    """

    info: ClassVar[SolverInfo] = SolverInfo(
        name="moead_lo",
        version="5",
        summary="Decomposition MOEA with the published linear stand-in for a language model, in waves.",
        citation="Liu et al. 2023, MOEA/D-LO, arXiv 2310.12541",
        steady=True,
        portable=True,
    )
    n_neighbors: Annotated[int, Ge(2)] = 10
    parents: Annotated[int, Ge(1)] = 10
    noise: Annotated[float, Ge(0)] = 0.5
    mask: Annotated[float, Ge(0), Le(1)] = 0.1

    def _variation(self, task: Task) -> Variation:
        return Linear(self.parents, self.noise, self.mask, self._mutation())
