"""CP-SAT behind one door: integer models with stated rounding, one worker, a deterministic limit, our own statuses.

CP-SAT sees integers only. A model built here is a *relaxation by rounding*: costs are rounded towards the better
side, so its bound, mapped back by `value_of`, is valid for the real-valued problem without any error term. Steps are a
share of the model's largest number, never of a unit. Several
workers or a wall-clock limit would make the answer depend on the machine (or-tools issues 2793, 3842).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from optisolve.core.arrays import FloatArray
from optisolve.core.clock import time_left
from optisolve.core.errors import SolverError
from optisolve.core.status import Limit, Termination
from optisolve.modelling.answer import ModelAnswer

__all__ = ["CpSatModel", "solve_cpsat", "steps"]

_MAX_SEED = 2**31 - 1
_GUARD = 1e-14
"""Relative error of a number that is about to be rounded: a few operations."""


@dataclass(frozen=True, eq=False, slots=True)
class CpSatModel:
    """An integer model of an instance.

    Args:
        model: `ortools.sat.python.cp_model.CpModel` with an objective.
        variables: The integer variables that `decode` reads, in its order.
        decode: int64 [len(variables)] to a point float64 [d] of the instance.
        value_of: Maps an integer objective bound to a bound on the instance's objective, own sense and unit. Every
            feasible point of the instance must map to an integer point at least as good.
        rounding_error: Largest difference between `value_of` and the true objective of one point, own unit.
        rounding: How the numbers were made whole, one sentence for certificates.
        feasible_set_is_exact: False when constraints were relaxed by rounding, so that the point may violate them.
    """

    model: Any
    variables: Sequence[Any]
    decode: Callable[[FloatArray], FloatArray]
    value_of: Callable[[float], float]
    rounding_error: float
    rounding: str
    feasible_set_is_exact: bool = True


def steps(values: npt.ArrayLike, scale: float, *, up: bool) -> FloatArray:
    """Whole numbers that are certainly at least (`up`) or at most ``values * scale``, for values >= 0 with rounding errors."""
    exact = np.asarray(values, dtype=np.float64) * scale
    return np.asarray(np.ceil(exact * (1.0 + _GUARD)) if up else np.floor(exact * (1.0 - _GUARD)))


def solve_cpsat(
    form: CpSatModel, *, deterministic_time: float, seconds: float | None = None, seed: int = 0, hint: FloatArray | None = None
) -> ModelAnswer:
    """Run CP-SAT with one worker.

    Args:
        form: The model.
        deterministic_time: Limit in CP-SAT's deterministic work units (about a second each on a fast core).
        seconds: Additional wall-clock limit, s; it makes the answer depend on the machine. None for no such limit.
        seed: Random seed of the search.
        hint: float64 [len(variables)], a starting assignment.

    Returns:
        The answer. The bound is None unless a solution was found or infeasibility was proven, since CP-SAT reports
        its initial value otherwise.

    Raises:
        SolverError: CP-SAT calls the model invalid, e.g. because numbers are too large for 64 bits.
    """
    import ortools
    from ortools.sat.python import cp_model

    if hint is not None:
        form.model.clear_hints()
        for variable, value in zip(form.variables, np.rint(hint).astype(int), strict=True):
            form.model.add_hint(variable, int(value))
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = int(seed) % _MAX_SEED
    solver.parameters.presolve_inclusion_work_limit = 0  # or-tools 9.15 loses optima there (issue 5293)
    solver.parameters.max_deterministic_time = float(deterministic_time)
    if (seconds := time_left(seconds)) is not None:
        solver.parameters.max_time_in_seconds = max(1e-3, float(seconds))
    status = solver.solve(form.model)
    if status == cp_model.MODEL_INVALID:
        raise SolverError(f"CP-SAT refuses the model: {form.model.validate()}")
    found = status in (cp_model.OPTIMAL, cp_model.FEASIBLE)
    termination, limit = _termination(cp_model, status, solver.response_proto.deterministic_time < deterministic_time)
    x = form.decode(np.array([solver.value(v) for v in form.variables], dtype=np.float64)) if found else None
    return ModelAnswer(
        termination,
        x,
        form.value_of(solver.best_objective_bound) if found else None,
        limit,
        "cpsat",
        ortools.__version__,
        f"CP-SAT {solver.status_name(status)}, one worker, deterministic limit {deterministic_time:g}; {form.rounding}",
        {"branches": int(solver.num_branches), "conflicts": int(solver.num_conflicts)},
    )


def _termination(cp_model: Any, status: Any, work_left: bool) -> tuple[Termination, Limit | None]:
    """Our status; a search that stopped with work left was stopped by the clock."""
    if status == cp_model.OPTIMAL:
        return Termination.OPTIMAL, None
    if status == cp_model.INFEASIBLE:
        return Termination.INFEASIBLE, None
    return Termination.LIMIT, Limit.TIME if work_left else Limit.ITERATIONS
