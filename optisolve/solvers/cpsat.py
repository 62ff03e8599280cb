"""CP-SAT on instances that offer an integer model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

from annotated_types import Gt

from optisolve.core.arrays import FloatArray
from optisolve.core.evaluation import unwatched
from optisolve.core.problem import Instance
from optisolve.core.solver import Feature, Outcome, Solver, SolverInfo, Task
from optisolve.modelling.answer import ModelAnswer
from optisolve.modelling.cpsat import solve_cpsat
from optisolve.solvers.model_outcome import answered, evaluated_outcome, missing_model

__all__ = ["CpSat"]


@dataclass(frozen=True, slots=True)
class CpSat(Solver):
    """Build the instance's integer model and hand it to CP-SAT with one worker.

    A limit on seconds in the budget is passed on, but makes the answer depend on the machine; the deterministic limit
    does not.

    Args:
        deterministic_time: Limit in CP-SAT's own work units, about a second each on a fast core.
    """

    info: ClassVar[SolverInfo] = SolverInfo(
        name="cpsat",
        version="2",
        summary="Google's CP-SAT on the instance's integer model, with a bound that accounts for rounding.",
        supports=frozenset(Feature) - {Feature.MULTI_OBJECTIVE},
        needs=("ortools",),
        aside=("ortools.sat.python.cp_model",),
        citation="Perron and Didier, CP-SAT, https://developers.google.com/optimization/cp/cp_solver",
    )

    deterministic_time: Annotated[float, Gt(0)] = 30.0

    def skip(self, instance: Instance) -> str | None:
        """Instances without an integer model are skipped."""
        return Solver.skip(self, instance) or missing_model(instance, "cpsat", "integer model")

    def _solve(self, task: Task) -> Outcome:
        seed = int(task.rng(purpose="cpsat").integers(2**31 - 1))
        answer = answered(task, _answer, self.deterministic_time, seed)
        return evaluated_outcome(task, answer, tolerance=answer.rounding_error)


def _answer(instance: Instance, deterministic_time: float, seed: int, *, seconds: float | None) -> ModelAnswer:
    form = instance.model("cpsat")
    answer = solve_cpsat(form, deterministic_time=deterministic_time, seconds=seconds, seed=seed)
    if answer.x is not None and not form.feasible_set_is_exact:
        answer = replace(answer, x=_repaired(instance, answer))
    return replace(answer, rounding_error=form.rounding_error)


def _repaired(instance: Instance, answer: ModelAnswer) -> FloatArray:
    """The point itself when it is feasible, else its projection; a model with relaxed constraints may miss by a hair."""
    assert answer.x is not None
    with unwatched():  # whether the back end kept its word; the point itself is evaluated and counted afterwards
        kept = instance.evaluate_twin(answer.x).violation[0] <= 0.0
    if kept:
        return answer.x
    repaired: FloatArray = instance.project(answer.x)[0]
    return repaired
