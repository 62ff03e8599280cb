"""A solver made ready for a stream of instances: answers checked by the twin, no records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

from optisolve.core.arrays import FloatArray
from optisolve.core.budget import Budget
from optisolve.core.errors import SolverError
from optisolve.core.problem import Instance, Problem
from optisolve.core.solver import Solver
from optisolve.core.status import Termination
from optisolve.run.execution import execute
from optisolve.run.solve import DEFAULT_BUDGET, Result, case_of, solve, solver_of
from optisolve.run.verify import verify_points

__all__ = ["Answer", "Prepared", "prepare"]


@dataclass(frozen=True, eq=False, slots=True)
class Answer:
    """What a prepared solver found for an instance.

    Attributes:
        X: Feasible points, float64 [n, d]; where there is none the one that violates least.
        F: Their objectives by the numpy twin, float64 [n, m], in the problem's own senses.
        feasible: Whether the points are feasible.
        termination: Why the solver stopped.
    """

    X: FloatArray
    F: FloatArray
    feasible: bool
    termination: Termination


@dataclass(frozen=True, slots=True)
class Prepared:
    """A solver with its options checked, called with instances; the points are those of `optisolve.solve`.

    Attributes:
        solver: Who solves.
        budget: Limits of each call.
        seed: Of each call.
    """

    solver: Solver
    budget: Budget
    seed: int

    @overload
    def __call__(self, instances: Instance) -> Answer: ...

    @overload
    def __call__(self, instances: Sequence[Instance]) -> list[Answer]: ...

    def __call__(self, instances: Instance | Sequence[Instance]) -> Answer | list[Answer]:
        """Answers to an instance, or to each of several, one after the other.

        Raises:
            SolverError: The solver cannot treat an instance, or broke before it evaluated anything.
        """
        return self._answer(instances) if isinstance(instances, Instance) else [self._answer(case) for case in instances]

    def result(self, instance: Instance) -> Result:
        """The same with a record, as `optisolve.solve` gives it."""
        return solve(instance, self.solver, budget=self.budget, seed=self.seed)

    def _answer(self, instance: Instance) -> Answer:
        run = execute(instance, self.solver, budget=self.budget, seed=self.seed)
        if run.error is not None and len(run.evaluator.history) == 0:
            raise SolverError(f"{self.solver.info.name} broke before its first evaluation: {run.error}") from run.error
        found = verify_points(instance, run.outcome.X)
        return Answer(found.X[found.answers], found.F[found.answers], bool(found.feasible.any()), run.outcome.termination)


def prepare(
    solver: str | Solver,
    problem: Instance | Problem,
    *,
    budget: Budget | None = None,
    seed: int = 0,
    **options: Any,
) -> Prepared:
    """Make a solver ready for many instances of a problem.

    Args:
        solver: A preset name or a solver object, as for `optisolve.solve`.
        problem: The problem, or one of its instances; what the solver reads from files is read for it now.
        budget: Limits of each call; default 5,000 evaluations.
        seed: Of each call.
        **options: Options that replace the preset's.

    Returns:
        Called with an instance it gives an `Answer`, with several a list of them.

    Raises:
        OptisolveError: Unknown names, bad options, or a solver that cannot treat the problem.
        SolverError: The solver asks a language model, whose answers belong into a record.
    """
    case = case_of(problem)
    chosen: Mapping[str, Any] = options
    method = solver_of(solver, chosen, case, "auto")
    if method.info.uses_llm:
        raise SolverError(
            f"{method.info.name} asks a language model, and its answers belong into a record: use optisolve.solve."
        )
    made = Prepared(method, DEFAULT_BUDGET if budget is None else budget, seed)
    made(case)
    return made
