"""A solver made ready for a stream of instances, one or many at a time: answers checked by the twin, no records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

from optisolve.core.arrays import FloatArray
from optisolve.core.budget import Budget
from optisolve.core.errors import SolverError
from optisolve.core.failures import attempt
from optisolve.core.problem import Instance, Problem
from optisolve.core.solver import Proposal, Solver
from optisolve.core.status import Termination
from optisolve.numerics.interpreted import compile_from_now_on
from optisolve.run.archive import Archive, archived_outcome
from optisolve.run.execution import execute, require_fit
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
        note: What must be known of the answer, as in `Result.notes`, e.g. that training saw no instance like it; or "".
    """

    X: FloatArray
    F: FloatArray
    feasible: bool
    termination: Termination
    note: str = ""


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
        """Answers to an instance, or to each of several.

        A solver that can take several together (`ddpm`, `ddpm_null`, `wmmse`) does, in one forward pass for all of one size;
        others take one after the other. Either way an instance gets the points that `optisolve.solve` gives it with the same
        seed, whoever its neighbors are.

        Raises:
            SolverError: The solver cannot treat an instance, or broke before it evaluated anything.
        """
        if isinstance(instances, Instance):
            return self._answers([instances])[0]
        return self._answers(list(instances))

    def result(self, instance: Instance) -> Result:
        """The same with a record, as `optisolve.solve` gives it."""
        return solve(instance, self.solver, budget=self.budget, seed=self.seed)

    def _answers(self, cases: list[Instance]) -> list[Answer]:
        proposed = self._proposed(cases)
        if proposed is None:
            return [self._answer(case) for case in cases]
        return [self._chosen(case, proposal) for case, proposal in zip(cases, proposed, strict=True)]

    def _proposed(self, cases: list[Instance]) -> list[Proposal] | None:
        """What the solver proposes for all together; None where a run for each is needed."""
        limit, alone = self.budget.evaluations, type(self.solver).propose is Solver.propose
        if alone or not cases or limit is None or self.budget.seconds is not None or any(case.costly for case in cases):
            return None
        for case in cases:
            require_fit(self.solver, case)
        return self.solver.propose(cases, self.seed, limit)

    def _chosen(self, instance: Instance, proposal: Proposal) -> Answer:
        """The best of what was proposed, as a run keeps it, seen by the twin."""
        X = instance.space.require(proposal.X)
        made = attempt(instance, X, instance._evaluate)
        if made.message:  # what becomes of points without values is for a run to say
            return self._answer(instance)
        F_min, violation = made.evaluation.F * instance.signs, made.evaluation.violation
        if F_min.shape[1] == 1 and violation.size and not violation.any():  # the usual case; an archive keeps the same point
            best = int(F_min[:, 0].argmin())
            return _seen(instance, X[best : best + 1], proposal.termination, self.solver.caution(instance))
        archive = Archive(len(instance.objectives), instance.space.dim)
        archive.add(X, F_min, violation)
        found = archived_outcome(archive, proposal.termination)
        return _seen(instance, found.X, found.termination, self.solver.caution(instance))

    def _answer(self, instance: Instance) -> Answer:
        run = execute(instance, self.solver, budget=self.budget, seed=self.seed)
        if run.error is not None and len(run.evaluator.history) == 0:
            raise SolverError(f"{self.solver.info.name} broke before its first evaluation: {run.error}") from run.error
        return _seen(instance, run.outcome.X, run.outcome.termination, run.notice)


def _seen(instance: Instance, X: FloatArray, termination: Termination, note: str) -> Answer:
    """What the twin says of chosen points, float64 [n, d]."""
    found = verify_points(instance, X)
    shown = found.answers
    return Answer(found.X[shown], found.F[shown], bool(found.feasible.any()), termination, note)


def prepare(
    solver: str | Solver,
    problem: Instance | Problem,
    *,
    budget: Budget | None = None,
    seed: int = 0,
    **options: Any,
) -> Prepared:
    """Make a solver ready for many instances of a problem: read what it reads, compile what small jobs leave to Python.

    Args:
        solver: A preset name or a solver object, as for `optisolve.solve`.
        problem: The problem, or one of its instances; what the solver reads from files is read for it now.
        budget: Limits of each call; default 5,000 evaluations.
        seed: Of each call.
        **options: Options that replace the preset's.

    Returns:
        Called with an instance it gives an `Answer`, with several a list of them, made together where the solver can.

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
    compile_from_now_on()
    made = Prepared(method, DEFAULT_BUDGET if budget is None else budget, seed)
    made(case)
    return made
