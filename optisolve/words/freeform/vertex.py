"""Optima of linear forms at a vertex, by HiGHS on scaled numbers, and of whole numbers exactly, by CP-SAT."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.errors import SolverError
from optisolve.core.status import Termination
from optisolve.modelling.cpsat import CpSatModel, solve_cpsat
from optisolve.words.freeform.linear import Form
from optisolve.words.freeform.schema import Checked

__all__ = ["TIME_LIMIT_S", "by_cpsat", "by_highs"]

TIME_LIMIT_S = 60.0
"""Wall-clock limit of each run of a solver, s; a model that needs more is not accepted."""
_SNAP = 1e-11
"""Values below this share of the usual size of a variable are rounding errors of a vertex."""
_STATUS = {"Optimal": "optimal", "Infeasible": "infeasible", "Unbounded": "unbounded"}


def by_highs(checked: Checked, form: Form, scale: FloatArray, *, aim: bool = True) -> tuple[str, FloatArray | None]:
    """Status and point, float64 [size], of a linear form; whole numbers are exact, and the rest is a vertex for them.

    Args:
        checked: The model.
        form: Its terms, none curved.
        scale: float64 [size], usual size of every variable.
        aim: Without, any feasible point will do.
    """
    lower, upper = checked.limits
    whole = checked.whole
    status, z = _run(checked, form, scale, lower, upper, whole, aim=aim)
    if z is None or not whole.any():
        return status, None if z is None else _snapped(z, scale, lower, upper)
    x = z * scale
    x[whole] = np.rint(x[whole])
    if not whole.all():  # the whole numbers as they are printed, and a vertex for the rest
        lower, upper = np.where(whole, x, lower), np.where(whole, x, upper)
        status, z = _run(checked, form, scale, lower, upper, np.zeros_like(whole), aim=aim)
        if z is None:
            return f"no point with the whole numbers that were found ({status})", None
        x = np.where(whole, x, _snapped(z, scale, lower, upper))
    return status, x


def _snapped(z: FloatArray, scale: FloatArray, lower: FloatArray, upper: FloatArray) -> FloatArray:
    """A point in the units of the model, without rounding errors around zero and limits."""
    x = np.where(np.abs(z) < _SNAP, 0.0, z * scale)
    for limit in (lower, upper):
        with np.errstate(invalid="ignore"):
            x = np.where(np.abs(x - limit) < _SNAP * np.maximum(scale, np.abs(limit)), limit, x)
    return np.asarray(np.clip(x, lower, upper), dtype=np.float64)


def _run(
    checked: Checked,
    form: Form,
    scale: FloatArray,
    lower: FloatArray,
    upper: FloatArray,
    whole: Any,
    *,
    aim: bool,
) -> tuple[str, FloatArray | None]:
    """Status and scaled point of HiGHS; every row and the objective have coefficients around 1."""
    import highspy

    matrix = form.matrix(checked.size, scale)
    sizes = [np.abs(matrix.data[a:b]) for a, b in zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True)]
    rows = np.array([math.sqrt(s.min() * s.max()) if s.size else 1.0 for s in sizes])
    cost = form.cost(checked.size) * scale * (-1.0 if checked.model.objective.sense == "max" else 1.0)
    low, high = form.row_limits()
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = checked.size, len(form.rows)
    lp.col_cost_ = cost / max(float(np.abs(cost).max(initial=0.0)), 1e-300) if aim else np.zeros(checked.size)
    lp.col_lower_, lp.col_upper_ = lower / scale, upper / scale
    lp.row_lower_, lp.row_upper_ = low / rows, high / rows
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_, lp.a_matrix_.index_ = matrix.indptr, matrix.indices
    lp.a_matrix_.value_ = matrix.data / np.repeat(rows, np.diff(matrix.indptr))
    options = dict(_OPTIONS)
    if whole.any():
        kinds = highspy.HighsVarType
        lp.integrality_ = [kinds.kInteger if w else kinds.kContinuous for w in whole]
        # HiGHS 1.14.0 cuts optima off when it presolves whole numbers and reals together: 31 of 1500 small models
        options["presolve"] = "choose" if whole.all() else "off"
    solver = highspy.Highs()
    for name, value in options.items():
        solver.setOptionValue(name, value)
    solver.passModel(lp)
    solver.run()
    status = solver.modelStatusToString(solver.getModelStatus())
    if status == "Optimal":
        return "optimal", np.asarray(solver.getSolution().col_value, dtype=np.float64)
    if status in ("Unbounded", "Primal infeasible or unbounded") and aim:
        found = _run(checked, form, scale, lower, upper, whole, aim=False)[0]
        return {"optimal": "unbounded"}.get(found, found), None
    return _STATUS.get(status, status.lower()), None


_OPTIONS = {
    "output_flag": False,
    "threads": 1,
    "time_limit": TIME_LIMIT_S,
    "solver": "simplex",  # an answer at a vertex
    "mip_rel_gap": 0.0,  # the default of 1e-4 would be called optimal, too
    "mip_abs_gap": 0.0,
    "primal_feasibility_tolerance": 1e-10,
    "dual_feasibility_tolerance": 1e-10,
    "mip_feasibility_tolerance": 1e-10,
    "small_matrix_value": 1e-12,  # what is smaller is dropped
}


def by_cpsat(checked: Checked, form: Form) -> tuple[str, float | None]:
    """Status and optimum of a model of whole numbers with limits; ``unknown`` for other models or after its limit.

    Every row is multiplied by the common denominator of its decimal numbers, so that nothing is rounded.
    """
    from ortools.sat.python import cp_model

    lower, upper = checked.limits
    if not checked.whole.all() or not np.isfinite([lower, upper]).all() or np.abs([lower, upper]).max() > 2**31:
        return "unknown", None
    rows = [_whole([*terms.coefficients.values(), terms.constant]) for terms in form.rows]
    aim = _whole([*form.aim.coefficients.values(), 0.0])
    told = [row for row in (aim, *rows) if row is not None]
    if aim is None or len(told) <= len(rows):
        return "unknown", None
    model = cp_model.CpModel()
    xs = [model.new_int_var(math.ceil(a), math.floor(b), f"x{i}") for i, (a, b) in enumerate(zip(lower, upper, strict=True))]
    for terms, op, (_, values) in zip(form.rows, form.ops, told[1:], strict=True):
        total = sum(a * xs[i] for i, a in zip(terms.coefficients, values, strict=False)) + values[-1]
        if isinstance(total, int):  # no variable: the caller has looked at it
            continue
        model.add(total <= 0 if op == "<=" else total >= 0 if op == ">=" else total == 0)
    total = sum(a * xs[i] for i, a in zip(form.aim.coefficients, aim[1], strict=False))
    (model.maximize if checked.model.objective.sense == "max" else model.minimize)(total)
    exact = CpSatModel(model, xs, decode=lambda z: z, value_of=float, rounding_error=0.0, rounding="nothing is rounded")
    try:
        answer = solve_cpsat(exact, deterministic_time=5.0)
    except SolverError:  # numbers too large for 64 bits
        return "unknown", None
    if answer.termination is Termination.OPTIMAL and answer.x is not None:
        found = sum(a * int(answer.x[i]) for i, a in zip(form.aim.coefficients, aim[1], strict=False))
        return "optimal", float(found / aim[0]) + form.aim.constant
    return "infeasible" if answer.termination is Termination.INFEASIBLE else "unknown", None


def _whole(values: list[float]) -> tuple[Fraction, list[int]] | None:
    """A factor, and the whole numbers that decimal numbers are times it; None when they are too long."""
    fractions = [Fraction(repr(float(v))) for v in values]
    shared = math.lcm(*(f.denominator for f in fractions))
    numbers = [int(f * shared) for f in fractions]
    divisor = math.gcd(*numbers) or 1
    found = [n // divisor for n in numbers]
    return (Fraction(shared, divisor), found) if max(map(abs, found)) < 2**31 else None
