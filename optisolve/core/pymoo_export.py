"""Our instances as pymoo problems, so that both ecosystems meet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pymoo.core.problem import Problem as PymooProblem

from optisolve.core.arrays import FloatArray

if TYPE_CHECKING:
    from optisolve.core.problem import Instance

__all__ = ["export"]


def export(instance: Instance) -> PymooProblem:
    """A vectorized pymoo problem in minimization form.

    Args:
        instance: Any instance; integer variables are rounded before evaluation, since pymoo's default operators
            work on reals.

    Returns:
        A `pymoo.core.problem.Problem` with ``F`` (signs flipped for maximized objectives), ``G <= 0`` and ``H == 0``.
    """
    return _Exported(instance)


class _Exported(PymooProblem):  # type: ignore[misc]  # pymoo ships no types
    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        super().__init__(
            n_var=instance.space.dim,
            n_obj=len(instance.objectives),
            n_ieq_constr=len(instance.constraint_names),
            n_eq_constr=len(instance.equality_names),
            xl=instance.space.lower.copy(),
            xu=instance.space.upper.copy(),
        )

    def _evaluate(self, x: FloatArray, out: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        evaluation = self.instance.evaluate(self.instance.space.clip(x))
        out["F"] = evaluation.F * self.instance.signs
        if evaluation.G.shape[1]:
            out["G"] = evaluation.G
        if evaluation.H.shape[1]:
            out["H"] = evaluation.H
