"""Our instances as pymoo problems, so that both ecosystems meet."""

from __future__ import annotations

from collections.abc import Callable

from pymoo.core.problem import Problem as PymooProblem

from optisolve.core.arrays import FloatArray
from optisolve.core.evaluation import Evaluation
from optisolve.core.space import Space

__all__ = ["Exported"]


class Exported(PymooProblem):  # type: ignore[misc]  # pymoo ships no types
    """A vectorized pymoo problem in minimization form: ``F`` (signs flipped for maximized objectives), ``G <= 0``, ``H == 0``.

    Integer variables are rounded before evaluation, since pymoo's default operators work on reals.

    Args:
        evaluate: `Instance.evaluate`.
        space: The decision space.
        signs: float64 [m], +1 to minimize, -1 to maximize.
        n_objectives: m.
        n_inequalities: Columns of G.
        n_equalities: Columns of H.
    """

    def __init__(
        self,
        evaluate: Callable[[FloatArray], Evaluation],
        space: Space,
        signs: FloatArray,
        n_objectives: int,
        n_inequalities: int,
        n_equalities: int,
    ) -> None:
        self._points, self._space, self._signs = evaluate, space, signs
        super().__init__(
            n_var=space.dim,
            n_obj=n_objectives,
            n_ieq_constr=n_inequalities,
            n_eq_constr=n_equalities,
            xl=space.lower.copy(),
            xu=space.upper.copy(),
        )

    def _evaluate(self, x: FloatArray, out: dict[str, FloatArray], *args: object, **kwargs: object) -> None:
        evaluation = self._points(self._space.clip(x))
        out["F"] = evaluation.F * self._signs
        if evaluation.G.shape[1]:
            out["G"] = evaluation.G
        if evaluation.H.shape[1]:
            out["H"] = evaluation.H
