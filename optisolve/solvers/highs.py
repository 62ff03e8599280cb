"""HiGHS on instances that offer a linear or mixed-integer model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge

from optisolve.core.problem import Instance
from optisolve.core.solver import Feature, Outcome, Solver, SolverInfo, Task
from optisolve.modelling.answer import ModelAnswer
from optisolve.modelling.highs import solve_highs
from optisolve.solvers.model_outcome import answered, evaluated_outcome, missing_model

__all__ = ["Highs"]


@dataclass(frozen=True, slots=True)
class Highs(Solver):
    """Build the instance's linear or mixed-integer model and hand it to HiGHS with one thread.

    A limit on seconds in the budget is passed on, but makes the answer depend on the machine; the node limit does not.

    Args:
        node_limit: Largest number of branch-and-bound nodes.
    """

    info: ClassVar[SolverInfo] = SolverInfo(
        name="highs",
        version="2",
        summary="HiGHS on the instance's linear or mixed-integer model, with its dual bound.",
        supports=frozenset(Feature) - {Feature.MULTI_OBJECTIVE},
        needs=("highspy",),
        aside=("highspy", "scipy.sparse"),
        citation="Huangfu and Hall 2018, doi 10.1007/s12532-017-0130-5",
    )

    node_limit: Annotated[int, Ge(0)] = 100_000

    def skip(self, instance: Instance) -> str | None:
        """Instances without a linear model are skipped."""
        return Solver.skip(self, instance) or missing_model(instance, "highs", "linear or mixed-integer model")

    def _solve(self, task: Task) -> Outcome:
        seed = int(task.rng(purpose="highs").integers(2**31 - 1))
        answer = answered(task, _answer, self.node_limit, seed)
        return evaluated_outcome(task, answer, tolerance=0.0)  # HiGHS's own 1e-6 is the relative one that is added


def _answer(instance: Instance, node_limit: int, seed: int, *, seconds: float | None) -> ModelAnswer:
    return solve_highs(instance.model("highs"), node_limit=node_limit, seconds=seconds, seed=seed)
