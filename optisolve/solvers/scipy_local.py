"""Local smooth optimization from several starts: SLSQP with constraints, L-BFGS-B without, both from scipy."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Gt

from optisolve.core.arrays import FloatArray
from optisolve.core.capabilities import ConstraintGradients, Differentiable, Jacobian
from optisolve.core.errors import BudgetExhausted
from optisolve.core.problem import Instance
from optisolve.core.solver import Feature, Outcome, SolverInfo, Task, spent_limit
from optisolve.core.status import Termination
from optisolve.solvers.known import best_of, joined
from optisolve.solvers.start import Init, StartOptions, starting_points

__all__ = ["ScipyLocal"]


@dataclass(frozen=True, slots=True)
class ScipyLocal(StartOptions):
    """Run a local method from the best of several starting points.

    The points of `init` are evaluated, or known from earlier stages of the run, and the best of them are descended from; a
    warm start always is. Every function value counts as an
    evaluation, those of finite differences included; exact slopes of the objective (the instance's
    ``jacobian``) cost one per point; gradients by torch (``objective_torch`` and ``constraints_torch``) cost none. Which of
    them are used is said and not found out, since a record must not depend on what else happens to be installed.

    Args:
        n_starts: Local runs, best starting points first.
        n_samples: Points of `init` from which the best are taken.
        max_iterations: Iterations of one local run.
        tolerance: Stopping tolerance of the local method, relative to the objective at its start.
        gradient: ``finite_differences``, or ``exact`` or ``torch`` where the instance offers it; the report says which it was.
            Constraints have to be differenced beside exact slopes, which gives those of the objective as well: no look then.
        step: Step of finite differences, share of each variable's range.
        max_variables: Larger instances are skipped; SLSQP's work grows with the cube.
    """

    info: ClassVar[SolverInfo] = SolverInfo(
        name="scipy_local",
        version="5",
        summary="Multi-start SLSQP or L-BFGS-B, gradients by finite differences, in closed form or by torch.",
        supports=frozenset({Feature.SINGLE_OBJECTIVE, Feature.INEQUALITY, Feature.EQUALITY, Feature.REAL}),
        welcomes=(Jacobian, Differentiable, ConstraintGradients),
        citation="Kraft 1988 (SLSQP); Byrd et al. 1995 (L-BFGS-B), doi 10.1137/0916069; scipy.optimize",
    )
    init: Init = ("null", "uniform")
    n_starts: Annotated[int, Ge(1)] = 4
    n_samples: Annotated[int, Ge(1)] = 32
    max_iterations: Annotated[int, Ge(1)] = 200
    tolerance: Annotated[float, Gt(0)] = 1e-10
    gradient: Literal["finite_differences", "exact", "torch"] = "finite_differences"
    step: Annotated[float, Gt(0)] = 1e-7
    max_variables: Annotated[int, Ge(1)] = 200

    def skip(self, instance: Instance) -> str | None:
        """Integers, several objectives and very many variables are skipped, gradients by torch without torch as well."""
        reason = StartOptions.skip(self, instance)
        if reason is None and instance.space.dim > self.max_variables:
            return f"{instance.space.dim} variables, more than max_variables={self.max_variables}"
        if reason is None and self.gradient == "torch" and importlib.util.find_spec("torch") is None:
            return "gradient=torch needs torch: pip install 'optisolve[diffusion]', or gradient=finite_differences"
        return reason

    def _solve(self, task: Task) -> Outcome:
        smooth = _Smooth(task, self.step, self.gradient)
        counts, source = {"starts": 0, "converged": 0}, {"gradient": smooth.gradient_source}
        try:
            for x in self._starts(task):
                if task.meter.remaining_evaluations == 0:
                    return task.outcome(Termination.LIMIT, spent_limit(task), report={**counts, **source})
                counts["starts"] += 1
                counts["converged"] += self._descend(task, smooth, x)
        except BudgetExhausted as stop:
            return task.outcome(Termination.LIMIT, stop.limit, report={**counts, **source})
        return task.outcome(Termination.CONVERGED, report={**counts, **source})

    def _starts(self, task: Task) -> FloatArray:
        """Where the local runs begin, float64 [n, d]: the warm start as given, then the best of the other points."""
        instance = task.instance
        n_known = 0 if task.known is None else task.known.X.shape[0]
        n_warm = min(self.n_starts, task.start.shape[0])
        wanted = n_warm if n_warm == self.n_starts else n_warm + self.n_samples
        start = starting_points(task, self, min(wanted, n_known + task.meter.remaining_evaluations))
        warm, known = np.empty((0, instance.space.dim)), start.known
        if start.source:
            X = instance.project(start.X)
            known = joined(known, X, task.evaluate(X, source=start.source))
            warm = X[: min(n_warm, start.source.count("warm_start"))]
        if known is None:
            return warm
        others = best_of(known, instance, self.n_starts).X
        again = (others[:, None, :] == warm[None, :, :]).all(axis=2).any(axis=1)
        return np.concatenate([warm, others[~again]])[: self.n_starts]

    def _descend(self, task: Task, smooth: _Smooth, x: FloatArray) -> bool:
        """One local run; its end point is repaired and evaluated. True when the method converged."""
        from scipy import optimize
        from threadpoolctl import threadpool_limits

        minimize: Any = optimize.minimize  # its stubs know only some combinations of arguments
        space = task.instance.space
        smooth.begin(x)
        constraints = smooth.constraints()
        options: dict[str, Any] = {"maxiter": self.max_iterations, "ftol": self.tolerance}
        with threadpool_limits(limits=1, user_api="blas"):  # another number of threads rounds differently
            found = minimize(
                smooth.value,
                space.normalize(x[None])[0],
                jac=smooth.slope,
                method="SLSQP" if constraints else "L-BFGS-B",
                bounds=[(0.0, 1.0)] * space.dim,
                constraints=constraints,
                options=options,
            )
        end = np.clip(found.x, 0.0, 1.0)
        if np.isfinite(end).all():
            task.evaluate(task.instance.project(space.denormalize(end[None])), source="end")
        return bool(found.success)


class _Smooth:
    """Objective and constraints in variables scaled to [0, 1], with gradients; remembers the last point."""

    def __init__(self, task: Task, step: float, gradient: str) -> None:
        use_torch = gradient == "torch"
        self._task, self._step = task, step
        instance = task.instance
        self._width = instance.space.upper - instance.space.lower
        free = not (instance.constraint_names or instance.equality_names)
        self._exact = gradient == "exact" and free and isinstance(instance, Jacobian)
        self._objective = instance.objective_torch if use_torch and isinstance(instance, Differentiable) else None
        self._inequality = instance.constraints_torch if use_torch and isinstance(instance, ConstraintGradients) else None
        self._n_ineq, self._n_eq = len(instance.constraint_names), len(instance.equality_names)
        self._scale = 1.0
        self._point: FloatArray | None = None
        self._values: tuple[float, FloatArray, FloatArray] | None = None
        self._slopes: tuple[FloatArray, FloatArray, FloatArray] | None = None

    @property
    def gradient_source(self) -> str:
        """Where gradients come from, for the report."""
        return "exact" if self._exact else "finite differences" if self._objective is None else "torch"

    def begin(self, x: FloatArray) -> None:
        """Scale the objective by its size at a start, float64 [d]."""
        self._point = None
        self._scale = 1.0
        size = abs(self._at(self._task.instance.space.normalize(x[None])[0])[0])
        self._scale = max(self._task.instance.objectives[0].scale, size)
        self._point = None

    def constraints(self) -> list[dict[str, Any]]:
        """Constraints in scipy's form (inequalities are >= 0 there)."""
        found: list[dict[str, Any]] = []
        if self._n_ineq:
            found.append({"type": "ineq", "fun": lambda u: -self._at(u)[1], "jac": lambda u: -self._slopes_at(u)[1]})
        if self._n_eq:
            found.append({"type": "eq", "fun": lambda u: self._at(u)[2], "jac": lambda u: self._slopes_at(u)[2]})
        return found

    def value(self, u: FloatArray) -> float:
        """Scaled objective, to be minimized."""
        return self._at(u)[0] / self._scale

    def slope(self, u: FloatArray) -> FloatArray:
        """Gradient of `value`, float64 [d]."""
        return self._slopes_at(u)[0] / self._scale

    def _at(self, u: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        if self._point is None or self._values is None or not np.array_equal(u, self._point):
            F, G, H = self._evaluate(np.clip(u, 0.0, 1.0)[None])
            self._point, self._values, self._slopes = u.copy(), (float(F[0]), G[0], H[0]), None
        return self._values

    def _slopes_at(self, u: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        value, G, H = self._at(u)
        if self._slopes is None:
            slope = self._in_closed_form(u) if self._exact else self._by_torch(u, self._objective, 1)
            jacobian = self._by_torch(u, self._inequality, self._n_ineq)
            wanting = slope is None or (self._n_ineq and jacobian is None) or self._n_eq
            if wanting:
                signs = np.where(u + self._step > 1.0, -1.0, 1.0)
                steps = np.clip(u, 0.0, 1.0) + np.diag(signs * self._step)  # [d, d]
                dF, dG, dH = self._evaluate(steps)
                per_step = (signs / self._step)[:, None]
                differences = ((dF[:, None] - value) * per_step, (dG - G) * per_step, (dH - H) * per_step)
            else:
                differences = (np.empty((0, 1)), np.empty((0, 0)), np.empty((0, 0)))
            first = differences[0][:, 0] if slope is None else slope[0] * float(self._task.instance.signs[0])
            self._slopes = (first, differences[1].T if jacobian is None else jacobian, differences[2].T)
        return self._slopes

    def _evaluate(self, U: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        instance = self._task.instance
        evaluation = self._task.evaluate(instance.space.denormalize(U), source="local")
        return evaluation.F[:, 0] * instance.signs[0], evaluation.G, evaluation.H

    def _in_closed_form(self, u: FloatArray) -> FloatArray | None:
        """Slopes of the objective, float64 [1, d], which are charged as an evaluation; None where they are not finite."""
        instance = self._task.instance
        assert isinstance(instance, Jacobian)
        slope: FloatArray = instance.jacobian(instance.space.denormalize(np.clip(u, 0.0, 1.0)[None]))[0] * self._width
        return slope if np.isfinite(slope).all() else None

    def _by_torch(self, u: FloatArray, function: Any, rows: int) -> FloatArray | None:
        """Jacobian [rows, d] by automatic differentiation; None when there is no such function or it is not finite."""
        if function is None or rows == 0:
            return None
        import torch

        space = self._task.instance.space
        x = torch.tensor(space.denormalize(np.clip(u, 0.0, 1.0)[None]), dtype=torch.float64, requires_grad=True)
        values = function(x)[0]  # [rows]
        jacobian = np.stack([torch.autograd.grad(v, x, retain_graph=True)[0][0].numpy() for v in values])
        return jacobian * self._width if np.isfinite(jacobian).all() else None
