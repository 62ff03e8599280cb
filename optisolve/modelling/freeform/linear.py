"""The linear form of a model, read off its tree, and its optimum by a solver that knows nothing of cvxpy."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.modelling.freeform.evaluate import affine, number
from optisolve.modelling.freeform.schema import Checked

__all__ = ["TIME_LIMIT_S", "LinearForm", "form_agrees", "limits", "linear_form", "scalars", "second_optimum"]

TIME_LIMIT_S = 60.0
"""Wall-clock limit of each of the two solvers, s; a model that needs more is not accepted."""
_POINTS = 2


def scalars(checked: Checked) -> list[tuple[str, int]]:
    """Variable name of every flat position."""
    told = []
    for name, shape in checked.shapes.items():
        told += [(name, checked.offsets[name] + k) for k in range(int(np.prod(shape, dtype=np.int64)))]
    return told


def limits(checked: Checked) -> tuple[FloatArray, FloatArray]:
    """Lower and upper bounds of the flat vector, float64 [size] each, infinite where there is none."""
    lower, upper = np.full(checked.size, -np.inf), np.full(checked.size, np.inf)
    for name, i in scalars(checked):
        v = checked.model.variables[name]
        lower[i] = v.lower if v.lower is not None else -np.inf
        upper[i] = v.upper if v.upper is not None else np.inf
        if v.kind == "binary":
            lower[i], upper[i] = max(0.0, lower[i]), min(1.0, upper[i])
    return lower, upper


@dataclass(frozen=True, eq=False, slots=True)
class LinearForm:
    """``row_lower <= A x <= row_upper`` with objective ``c x + constant``, from the tree and not from cvxpy."""

    cost: FloatArray
    constant: float
    matrix: FloatArray
    row_lower: FloatArray
    row_upper: FloatArray


def linear_form(checked: Checked) -> LinearForm | None:
    """The linear form of a model; None when its objective or a constraint is not affine by its form."""
    aim = affine(checked.objective, checked, {})
    if aim is None:
        return None
    rows, low, high = [], [], []
    for row in checked.rows:
        left, right = affine(row.relation.left, checked, row.at), affine(row.relation.right, checked, row.at)
        if left is None or right is None:
            return None
        limit = right[1] - left[1]
        rows.append(left[0] - right[0])
        low.append(limit if row.relation.op in (">=", "==") else -np.inf)
        high.append(limit if row.relation.op in ("<=", "==") else np.inf)
    matrix = np.array(rows).reshape(len(rows), checked.size)
    return LinearForm(aim[0], aim[1], matrix, np.array(low), np.array(high))


def form_agrees(checked: Checked, form: LinearForm) -> bool:
    """The form and the tree have the same values at random points; two affine functions that do are the same."""
    rng = np.random.default_rng(0)
    for _ in range(_POINTS):
        x = rng.uniform(0.5, 1.5, checked.size)
        if not _close(number(checked.objective, checked, x, {}), float(form.cost @ x) + form.constant):
            return False
        values = form.matrix @ x - np.where(np.isfinite(form.row_lower), form.row_lower, form.row_upper)
        for row, value in zip(checked.rows, values, strict=True):
            left, right = number(row.relation.left, checked, x, row.at), number(row.relation.right, checked, x, row.at)
            if not _close(left - right, float(value), max(abs(left), abs(right))):
                return False
    return True


def _close(first: float, second: float, size: float = 0.0) -> bool:
    return abs(first - second) <= 1e-8 * max(1.0, abs(first), abs(second), size)


def second_optimum(checked: Checked, form: LinearForm) -> tuple[str, float | None]:
    """Status and optimum of the linear form, by CP-SAT for whole numbers with bounds, else or after its limit by HiGHS."""
    lower, upper = limits(checked)
    kinds = {v.kind for v in checked.model.variables.values()}
    finite_rows = np.concatenate([form.row_lower[np.isfinite(form.row_lower)], form.row_upper[np.isfinite(form.row_upper)]])
    numbers = np.concatenate([form.cost, form.matrix.ravel(), finite_rows])
    whole = "real" not in kinds and np.array_equal(numbers, np.rint(numbers)) and np.abs(numbers).max(initial=0.0) < 2**31
    if whole and np.isfinite(lower).all() and np.isfinite(upper).all():
        status, optimum = _by_cpsat(checked, form, lower, upper)
        if status != "unknown":
            return status, optimum
    return _by_highs(checked, form, lower, upper)


def _by_highs(checked: Checked, form: LinearForm, lower: FloatArray, upper: FloatArray) -> tuple[str, float | None]:
    import highspy

    solver = highspy.Highs()
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("threads", 1)
    solver.setOptionValue("time_limit", TIME_LIMIT_S)
    solver.setOptionValue("mip_rel_gap", 0.0)
    sign = -1.0 if checked.model.objective.sense == "max" else 1.0
    integer = {i for name, i in scalars(checked) if checked.model.variables[name].kind != "real"}
    for i in range(checked.size):
        solver.addCol(float(sign * form.cost[i]), float(lower[i]), float(upper[i]), 0, [], [])
        if i in integer:
            solver.changeColIntegrality(i, highspy.HighsVarType.kInteger)
    columns = np.arange(checked.size, dtype=np.int32)
    for k in range(form.matrix.shape[0]):
        solver.addRow(float(form.row_lower[k]), float(form.row_upper[k]), checked.size, columns, form.matrix[k])
    solver.run()
    status = solver.modelStatusToString(solver.getModelStatus())
    if status == "Optimal":
        return "optimal", sign * float(solver.getInfo().objective_function_value) + form.constant
    told = {"Infeasible": "infeasible", "Unbounded": "unbounded", "Primal infeasible or unbounded": "infeasible_or_unbounded"}
    return told.get(status, status.lower()), None


def _by_cpsat(checked: Checked, form: LinearForm, lower: FloatArray, upper: FloatArray) -> tuple[str, float | None]:
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    xs = [model.new_int_var(math.ceil(a), math.floor(b), f"x{i}") for i, (a, b) in enumerate(zip(lower, upper, strict=True))]
    for row, low, high in zip(form.matrix, form.row_lower, form.row_upper, strict=True):
        total = sum(int(a) * x for a, x in zip(row, xs, strict=True) if a)
        if np.isfinite(low):
            model.add(total >= int(low))
        if np.isfinite(high):
            model.add(total <= int(high))
    aim = sum(int(c) * x for c, x in zip(form.cost, xs, strict=True) if c)
    (model.maximize if checked.model.objective.sense == "max" else model.minimize)(aim)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.max_deterministic_time = 5.0
    status = solver.solve(model)
    if status == cp_model.OPTIMAL:
        return "optimal", float(solver.objective_value) + form.constant
    return {cp_model.INFEASIBLE: "infeasible"}.get(status, "unknown"), None
