"""Compile a checked model, solve it, and accept the answer only after independent checks.

An answer is accepted when (1) the model is convex by cvxpy's rules or linear with integers, (2) the solver says optimal,
(3) plain arithmetic on the model's own tree finds every constraint met and the same objective, and (4) where the model is
linear a second formulation of our own, solved by HiGHS or, with whole numbers only, by CP-SAT, has the same optimum; where it
is not, a local search on the tree, which finds the optimum of a convex model, finds nothing better from there.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.modelling.cvxpy import cvxpy_module
from optisolve.modelling.freeform.evaluate import _datum, _position, number, require_defined, translate
from optisolve.modelling.freeform.expressions import Ref
from optisolve.modelling.freeform.linear import (
    TIME_LIMIT_S,
    LinearForm,
    form_agrees,
    limits,
    linear_form,
    scalars,
    second_optimum,
)
from optisolve.modelling.freeform.schema import Checked, FreeModel, free_model
from optisolve.modelling.freeform.search import MAX_VARIABLES, searched

__all__ = ["FreeAnswer", "solve_free"]

_BY_MATRIX = 400
"""Variables and rows above which a linear model goes to cvxpy as one matrix; term by term takes cvxpy minutes for thousands."""
_SCALES = (1.0, 1e3, 1e6)
"""Divisors of an objective that is not linear, in the order in which they are tried."""
TOLERANCE = 1e-6
"""Largest violation and largest relative difference of objectives that is accepted."""


@dataclass(frozen=True, eq=False, slots=True)
class FreeAnswer:
    """The answer to a declarative model.

    Attributes:
        accepted: All checks passed.
        status: ``optimal``, ``infeasible``, ``unbounded``, or why it is not accepted.
        objective: By plain arithmetic; None without an accepted point.
        values: Value per variable, nested lists in the shape of its sets.
        checks: What was checked and how it came out, one line each.
        x: float64 [size], the flat point; None without one.
    """

    accepted: bool
    status: str
    objective: float | None
    values: Mapping[str, Any]
    checks: tuple[str, ...]
    x: FloatArray | None = None


def solve_free(model: Mapping[str, Any] | FreeModel | Checked) -> FreeAnswer:
    """Solve a declarative model.

    Raises:
        OptionError: The model is not in order.
    """
    checked = model if isinstance(model, Checked) else free_model(model)
    require_defined(checked)
    linear = linear_form(checked)
    if linear is not None and not form_agrees(checked, linear):
        return _refused("the linear form is not the tree's", "a fault of this library; nothing was solved")
    large = linear is not None and checked.size + len(checked.rows) > _BY_MATRIX
    problem, variable = _by_matrix(checked, linear) if large and linear is not None else _compiled(checked)
    if not problem.is_dcp():
        return _refused("not convex by cvxpy's rules (DCP)", "the model would need a global solver; nothing was solved")
    integer = any(v.kind != "real" for v in checked.model.variables.values())
    if integer and linear is None:
        return _refused("integers in a model that is not linear", "nothing was solved")
    answer = _refused("solver error", "no attempt was made")
    for scale in _SCALES if linear is None else _SCALES[:1]:  # an interior point method may fail on badly scaled curves
        scaled = problem if scale == 1.0 else cvxpy_module().Problem(problem.objective / scale, problem.constraints)
        answer = _attempt(checked, scaled, variable, linear, scale, integer=integer)
        if answer.accepted or answer.status in ("infeasible", "unbounded"):
            break
    return answer


def _attempt(
    checked: Checked, problem: Any, variable: Any, linear: LinearForm | None, scale: float, *, integer: bool
) -> FreeAnswer:
    """One run of the solver, with the checks of its answer."""
    failed = _run(problem, integer=integer)
    if failed:
        return _refused("solver error", failed)
    if problem.status in ("infeasible", "unbounded", "infeasible_or_unbounded"):
        return _without_optimum(checked, problem, linear, integer=integer)
    if problem.status != "optimal" or variable.value is None:
        return _refused(f"solver status {problem.status}", "nothing is accepted without an optimal status")
    x = _cleaned(np.asarray(variable.value, dtype=np.float64).ravel(), checked)
    return _accepted(checked, x, scale * float(problem.value), linear)


def _run(problem: Any, *, integer: bool) -> str:
    """Solve within the time; what went wrong, or ""."""
    cp = cvxpy_module()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # inaccurate answers have a status that says so
            gap = {"mip_rel_gap": 0.0} if integer else {}  # the default of 1e-4 would be called optimal, too
            problem.solve(solver=cp.HIGHS if integer else cp.CLARABEL, time_limit=TIME_LIMIT_S, **gap)
    except (cp.error.SolverError, ValueError, ArithmeticError) as error:
        return (str(error).splitlines() or [type(error).__name__])[0]
    return ""


def _without_optimum(checked: Checked, problem: Any, linear: LinearForm | None, *, integer: bool) -> FreeAnswer:
    """Infeasible or unbounded; a model that is both its own and its dual's contradiction is called infeasible."""
    status = str(problem.status)
    if status != "infeasible":
        feasible = cvxpy_module().Problem(cvxpy_module().Minimize(0.0), problem.constraints)
        if not _run(feasible, integer=integer) and feasible.status in ("infeasible", "optimal"):
            status = "infeasible" if feasible.status == "infeasible" else "unbounded"
    second = "" if linear is None else second_optimum(checked, linear)[0]
    agrees = not second or second in (status, "infeasible_or_unbounded")
    checks = (f"cvxpy: {status}", f"second formulation: {second or 'none, the model is not linear'}")
    return FreeAnswer(False, status if agrees else "solvers disagree", None, {}, checks)


def _accepted(checked: Checked, x: FloatArray, claimed: float, linear: LinearForm | None) -> FreeAnswer:
    """The answer after the independent checks."""
    worst, where = _violation(checked, x)
    objective = number(checked.objective, checked, x, {})
    checks = [f"cvxpy: optimal, objective {claimed:.9g}", f"largest violation by plain arithmetic: {worst:.2e}{where}"]
    checks.append(f"objective by plain arithmetic: {objective:.9g}")
    reasons = []
    if not worst <= TOLERANCE:
        reasons.append("a constraint is violated")
    if not math.isfinite(objective) or abs(objective - claimed) > TOLERANCE * max(1.0, abs(claimed)):
        reasons.append("the objective differs from the solver's")
    if linear is not None:
        status, second = second_optimum(checked, linear)
        checks.append(f"second formulation: {status}{'' if second is None else f', objective {second:.9g}'}")
        if status not in ("optimal", "infeasible", "unbounded", "infeasible_or_unbounded"):
            reasons.append("the second formulation was not solved to its optimum")
        elif second is None or abs(second - objective) > 10 * TOLERANCE * max(1.0, abs(objective)):
            reasons.append("the second formulation disagrees")
    else:
        checks.append(_by_search(checked, x, objective, reasons))
    values = {
        name: x[checked.offsets[name] : checked.offsets[name] + int(np.prod(shape, dtype=np.int64))].reshape(shape).tolist()
        for name, shape in checked.shapes.items()
    }
    return FreeAnswer(not reasons, "; ".join(reasons) or "optimal", objective, values, tuple(checks), x)


def _by_search(checked: Checked, x: FloatArray, objective: float, reasons: list[str]) -> str:
    """Whether a local search on the tree improves a point of a convex model; if it does, a reason is added."""
    better = searched(checked, x, *limits(checked))
    if better is None:
        reasons.append(f"there is no second search for more than {MAX_VARIABLES} variables without a linear form")
        return "second search: none"
    reached, worst = number(checked.objective, checked, better, {}), _violation(checked, better)[0]
    gain = (reached - objective) * (1.0 if checked.model.objective.sense == "max" else -1.0)
    if worst <= TOLERANCE and gain > 10 * TOLERANCE * max(1.0, abs(objective)):
        reasons.append("the second search found a better point")
    return f"second search (SLSQP by plain arithmetic): objective {reached:.9g}, violation {worst:.1e}"


def _refused(status: str, check: str) -> FreeAnswer:
    return FreeAnswer(False, status, None, {}, (check,))


def _by_matrix(checked: Checked, form: LinearForm) -> tuple[Any, Any]:
    """The cvxpy problem of a linear model, from its form, which was compared with the tree."""
    cp = cvxpy_module()
    variable = _variable(checked)
    constraints = []
    low, high = np.isfinite(form.row_lower), np.isfinite(form.row_upper)
    constraints += [form.matrix[low] @ variable >= form.row_lower[low]] if low.any() else []
    constraints += [form.matrix[high] @ variable <= form.row_upper[high]] if high.any() else []
    sense = cp.Maximize if checked.model.objective.sense == "max" else cp.Minimize
    return cp.Problem(sense(form.cost @ variable + form.constant), [*constraints, *_sides(checked, variable)]), variable


def _variable(checked: Checked) -> Any:
    integers = tuple(i for name, i in scalars(checked) if checked.model.variables[name].kind != "real")
    return cvxpy_module().Variable(checked.size, integer=[integers] if integers else False)


def _sides(checked: Checked, variable: Any) -> list[Any]:
    """Bounds of the variables."""
    lower, upper = limits(checked)
    low, high = np.flatnonzero(np.isfinite(lower)), np.flatnonzero(np.isfinite(upper))
    sides = [variable[low] >= lower[low]] if low.size else []
    return sides + ([variable[high] <= upper[high]] if high.size else [])


def _compiled(checked: Checked) -> tuple[Any, Any]:
    """The cvxpy problem over one flat variable."""
    cp = cvxpy_module()
    variable = _variable(checked)

    def added(terms: list[Any]) -> Any:
        return cp.sum(cp.hstack(terms)) if any(hasattr(t, "curvature") for t in terms) else sum(terms)

    functions: Mapping[str, Callable[[Any], Any]] = {
        "sum": added,
        "log": cp.log,
        "log2": lambda e: cp.log(e) / math.log(2.0),
        "sqrt": cp.sqrt,
        "exp": cp.exp,
        "abs": cp.abs,
        "square": cp.square,
        "inv": cp.inv_pos,
    }

    def leaf(ref: Ref, at: Mapping[str, int]) -> Any:
        position = _position(ref, checked, at)
        return _datum(ref, checked, at) if position is None else variable[position]

    def constant_or(node_value: Any) -> Any:
        return node_value if hasattr(node_value, "curvature") else cp.Constant(node_value)

    constraints = []
    for row in checked.rows:
        left = constant_or(translate(row.relation.left, checked, row.at, leaf, functions))
        right = constant_or(translate(row.relation.right, checked, row.at, leaf, functions))
        constraints.append(
            left <= right if row.relation.op == "<=" else left >= right if row.relation.op == ">=" else left == right
        )
    constraints += _sides(checked, variable)
    aim = constant_or(translate(checked.objective, checked, {}, leaf, functions))
    sense = cp.Maximize if checked.model.objective.sense == "max" else cp.Minimize
    return cp.Problem(sense(aim), constraints), variable


def _cleaned(x: FloatArray, checked: Checked) -> FloatArray:
    """Whole numbers rounded, the rest clipped to its bounds; rounding errors of a solver are not the model's."""
    lower, upper = limits(checked)
    x = np.clip(x, lower, upper)
    for name, i in scalars(checked):
        if checked.model.variables[name].kind != "real":
            x[i] = round(float(x[i]))
    return x


def _violation(checked: Checked, x: FloatArray) -> tuple[float, str]:
    """Largest violation, relative to the larger side where that exceeds 1."""
    worst, where = 0.0, ""
    for row in checked.rows:
        left, right = number(row.relation.left, checked, x, row.at), number(row.relation.right, checked, x, row.at)
        gap = {"<=": left - right, ">=": right - left, "==": abs(left - right)}[row.relation.op]
        gap = math.inf if math.isnan(gap) else gap / max(1.0, abs(left), abs(right))
        if gap > worst:
            worst, where = gap, f" in {row.name}"
    return worst, where
