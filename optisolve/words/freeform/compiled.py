"""A model as cvxpy reads it: its trees over one flat variable, in units in which variables, rows and objective are around 1."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from optisolve.core.arrays import FloatArray
from optisolve.core.errors import OptisolveError
from optisolve.modelling.cvxpy import cvxpy_module
from optisolve.words.freeform.evaluate import PLAIN, number
from optisolve.words.freeform.expressions import FUNCTIONS
from optisolve.words.freeform.linear import Form, Terms, terms_of
from optisolve.words.freeform.schema import Checked
from optisolve.words.freeform.tree import Binary, Call, Negative, Node, Number, Power, Variable
from optisolve.words.freeform.vertex import TIME_LIMIT_S

__all__ = ["Compiled", "NotConvex", "Units", "compile_model"]

_VANISHED = 1e-6
"""What is smaller than this share of its first guess is taken to vanish."""
BY_MATRIX = 400
"""Variables and rows above which a linear model goes to cvxpy as one matrix; term by term takes cvxpy minutes for thousands."""


class NotConvex(OptisolveError):
    """A part of a model that cvxpy's rules do not show to be convex; the message names it."""


@dataclass(frozen=True, eq=False, slots=True)
class Units:
    """What a model is measured in while it is solved.

    Attributes:
        variables: float64 [size].
        objective: One number.
        rows: float64 [rows].
        points: float64 [size] each: the last answer, at which the arguments of functions have their usual sizes, and the first
            guess, which keeps what vanishes at the answer from being blown up.
        margin: Room that inequalities keep, in units of their row.
    """

    variables: FloatArray
    objective: float
    rows: FloatArray
    points: tuple[FloatArray, FloatArray]
    margin: float = 0.0


@dataclass(frozen=True, eq=False, slots=True)
class Compiled:
    """A model in cvxpy.

    Attributes:
        problem: The problem, in its own units.
        variable: Its flat variable.
        gaps: Expressions of left side minus right side, in units of the rows; one or more rows each.
        aim: The objective in its unit.
        limits: Constraints of the variables.
        units: The units.
    """

    problem: Any
    variable: Any
    gaps: tuple[tuple[str, Any], ...]
    aim: Any
    limits: tuple[Any, ...]
    units: Units

    def run(self, solver: str) -> str:
        """Solve within the time; the status, or what went wrong."""
        return _run(self.problem, solver)

    @property
    def solved(self) -> bool:
        """There is a point, whatever it is worth."""
        return self.variable.value is not None and bool(np.isfinite(self.variable.value).all())

    @property
    def x(self) -> FloatArray:
        """The point, float64 [size], in the units of the model."""
        return np.asarray(self.variable.value, dtype=np.float64).ravel() * self.units.variables

    @property
    def objective(self) -> float:
        """What the solver calls the optimum, in the unit of the model."""
        return float(self.problem.value) * self.units.objective

    def at(self, x: FloatArray) -> float:
        """The objective as cvxpy reads it at a point."""
        self.variable.value = x / self.units.variables
        with np.errstate(all="ignore"):  # outside of where a function is defined there is no value, and the caller sees that
            return float(self.aim.value) * self.units.objective

    def nearest(self, solver: str) -> FloatArray | None:
        """The point that misses every row by as little as possible in units of the rows; None when none is found."""
        cp = cvxpy_module()
        miss = cp.Variable(nonneg=True)
        soft = [cp.abs(g) <= miss if op == "==" else g <= miss if op == "<=" else -g <= miss for op, g in self.gaps]
        status = _run(cp.Problem(cp.Minimize(miss), [*soft, *self.limits]), solver)
        return self.x if status == "optimal" else None


def compile_model(checked: Checked, form: Form, units: Units) -> Compiled:
    """The cvxpy problem of a model.

    Args:
        checked: The model.
        form: Its terms; large linear models are built from them, all others from the trees.
        units: What everything is measured in.

    Raises:
        NotConvex: Names the objective or the constraint.
    """
    cp = cvxpy_module()
    whole = np.flatnonzero(checked.whole)
    variable = cp.Variable(checked.size, integer=[tuple(whole.tolist())] if whole.size else False)
    maximize = checked.model.objective.sense == "max"
    if form.linear and checked.size + len(checked.rows) > BY_MATRIX:
        aim, gaps = _by_matrix(checked, form, units, variable)
    else:
        aim, gaps = _by_tree(checked, form, units, variable, maximize=maximize)
    lower, upper = (limit / units.variables for limit in checked.limits)
    low, high = np.flatnonzero(np.isfinite(lower)), np.flatnonzero(np.isfinite(upper))
    sides = [variable[low] >= lower[low]] if low.size else []
    sides += [variable[high] <= upper[high]] if high.size else []
    room = units.margin
    rows = [g == 0 if op == "==" else g <= -room if op == "<=" else g >= room for op, g in gaps]
    problem = cp.Problem((cp.Maximize if maximize else cp.Minimize)(aim), [*rows, *sides])
    return Compiled(problem, variable, tuple(gaps), aim, tuple(sides), units)


def _run(problem: Any, solver: str) -> str:
    """The status; a solver that cannot be as exact as is wished is asked again with its own tolerances."""
    cp = cvxpy_module()
    status = ""
    for options in _OPTIONS[solver]:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # inaccurate answers have a status that says so
                problem.solve(solver=solver, warm_start=False, **options)
            status = str(problem.status)
        except (cp.error.SolverError, ValueError, ArithmeticError) as error:
            status = f"solver error: {(str(error).splitlines() or [type(error).__name__])[0]}"
        if status in ("optimal", "infeasible", "unbounded"):
            break
    return status


def _by_matrix(checked: Checked, form: Form, units: Units, variable: Any) -> tuple[Any, list[tuple[str, Any]]]:
    """Objective and rows of a linear model, from its form, which was compared with the trees."""
    matrix = sparse.diags_array(1.0 / units.rows) @ form.matrix(checked.size, units.variables)
    constant = np.array([terms.constant for terms in form.rows]) / units.rows
    ops = np.array(form.ops)
    gaps = [(op, matrix[ops == op] @ variable + constant[ops == op]) for op in ("<=", ">=", "==") if (ops == op).any()]
    cost = form.cost(checked.size) * units.variables / units.objective
    return cost @ variable + form.aim.constant / units.objective, gaps


def _by_tree(checked: Checked, form: Form, units: Units, variable: Any, *, maximize: bool) -> tuple[Any, list[tuple[str, Any]]]:
    """Objective and rows from the trees; rows without variables have been looked at."""
    reader = _Reader(checked, variable, units)
    gaps = []
    for row, terms, size in zip(checked.rows, form.rows, units.rows, strict=True):
        if terms.fixed:
            continue
        left = reader.named(row.relation.left, f"constraint {row.name}")
        right = reader.named(row.relation.right, f"constraint {row.name}")
        gap = (left - right) / float(size)
        op = row.relation.op
        if not (gap.is_affine() if op == "==" else gap.is_convex() if op == "<=" else gap.is_concave()):
            shape = {"<=": "a convex left and a concave right side", ">=": "a concave left and a convex right side"}
            raise NotConvex(f"constraint {row.name}: '{op}' needs {shape.get(op, 'sides that are linear')}")
        gaps.append((op, gap))
    aim = reader.named(checked.objective, "objective") / units.objective
    if not (aim.is_concave() if maximize else aim.is_convex()):
        raise NotConvex(f"objective: what is {'maximized must be concave' if maximize else 'minimized must be convex'}")
    return aim, gaps


class _Reader:
    """Trees as cvxpy expressions; the argument of every function is written as its usual size times something around 1.

    Args:
        checked: The model.
        variable: The flat variable.
        units: What it is measured in.
    """

    def __init__(self, checked: Checked, variable: Any, units: Units) -> None:
        self.checked, self.variable, self.units, self.cp = checked, variable, units, cvxpy_module()

    def usual(self, node: Node) -> float:
        """The usual size of a tree, a power of two."""
        last, first = (abs(number(node, point)) for point in self.units.points)
        size = max((v for v in (last, _VANISHED * first) if math.isfinite(v)), default=1.0)
        return 2.0 ** round(math.log2(size)) if 1e-60 < size < 1e60 else 1.0

    def named(self, node: Node, where: str) -> Any:
        """An expression; what it cannot be is said with its place."""
        try:
            told = self.read(node)
        except NotConvex as error:
            raise NotConvex(f"{where}: {error}") from None
        return told if hasattr(told, "curvature") else self.cp.Constant(told)

    def read(self, node: Node) -> Any:
        """An expression, or a float for what holds no variable."""
        if isinstance(node, Number):
            return node.value
        if isinstance(node, Variable):
            return float(self.units.variables[node.position]) * self.variable[node.position]
        if isinstance(node, Negative):
            return -self.read(node.body)
        if isinstance(node, Power):
            return self.power(node)
        if isinstance(node, Binary):
            return self.binary(node)
        assert isinstance(node, Call), "names and sums over sets are resolved"
        terms = [self.read(argument) for argument in node.arguments]
        if not any(hasattr(term, "curvature") for term in terms):
            return PLAIN[node.function](*terms)
        return self.one(node, terms[0]) if node.function in FUNCTIONS else self.many(node, terms)

    def many(self, node: Call, terms: list[Any]) -> Any:
        cp = self.cp
        if node.function == "sum":
            return cp.sum(cp.hstack(terms))
        size = self.usual(node)
        parts = [term / size for term in terms]
        if node.function == "norm":
            return size * cp.norm(cp.hstack(parts), 2)
        if len(terms) == 1:
            return terms[0]
        return size * (cp.maximum if node.function == "max" else cp.minimum)(*parts)

    def one(self, node: Call, told: Any) -> Any:
        cp, function = self.cp, node.function
        body = node.arguments[0]
        if function == "exp":
            return cp.exp(told)
        size = self.usual(body)
        part = told / size
        if function in ("log", "log2"):
            return (cp.log(part) + math.log(size)) / (math.log(2.0) if function == "log2" else 1.0)
        if function == "sqrt":
            squares = self.squares(body)
            if squares is None:
                return math.sqrt(size) * cp.sqrt(part)
            root = math.sqrt(size)
            return root * cp.norm(cp.hstack([square / root for square in squares]), 2)
        if function == "inv":
            self.require_positive(body, "inv")
            return cp.inv_pos(part) / size
        return size * cp.abs(part) if function == "abs" else size**2 * cp.square(part)

    def power(self, node: Power) -> Any:
        base = self.read(node.base)
        if not hasattr(base, "curvature"):
            return base**node.exponent
        even = node.exponent > 0.0 and node.exponent % 2.0 == 0.0
        if node.exponent.is_integer() and not even and node.exponent != 1.0:  # cvxpy takes the half where the base is positive
            self.require_positive(node.base, f"the power {node.exponent:g}")
        size = self.usual(node.base)
        return size**node.exponent * self.cp.power(base / size, node.exponent)

    def binary(self, node: Binary) -> Any:
        if node.op == "*" and node.left == node.right:
            return self.read(Power(node.left, 2.0))
        left, right = self.read(node.left), self.read(node.right)
        if node.op in "+-":
            return left + right if node.op == "+" else left - right
        varied = [hasattr(side, "curvature") for side in (left, right)]
        if node.op == "*":
            if all(varied):
                raise NotConvex("a product of two expressions with variables")
            return left * right
        if not varied[1]:
            return left / right
        return self.quotient(node, left, right)

    def quotient(self, node: Binary, left: Any, right: Any) -> Any:
        """A constant or a sum of squares over something positive."""
        self.require_positive(node.right, "a quotient")
        below = self.usual(node.right)
        if not hasattr(left, "curvature"):
            return left / below * self.cp.inv_pos(right / below)
        squares = self.squares(node.left)
        if squares is None or not right.is_affine():
            told = "a quotient of two expressions with variables that is no sum of squares over something linear"
            raise NotConvex(f"{told}; multiply the relation by what is below the line")
        above = math.sqrt(self.usual(node.left))
        parts = self.cp.hstack([square / above for square in squares])
        return above**2 / below * self.cp.quad_over_lin(parts, right / below)

    def squares(self, node: Node) -> list[Any] | None:
        """Linear expressions whose squares add up to a tree; None when it is no such sum by its form."""
        told = self.read(node)
        if not hasattr(told, "curvature"):
            return [math.sqrt(told)] if told >= 0.0 else None
        if isinstance(node, Call) and node.function == "sum":
            return _joined([self.squares(argument) for argument in node.arguments])
        if isinstance(node, Binary) and node.op == "+":
            return _joined([self.squares(node.left), self.squares(node.right)])
        root = self.root(node)
        if root is not None:
            found = self.read(root)
            return [found] if found.is_affine() else None
        if isinstance(node, Binary) and node.op in "*/":
            sides = (node.left, node.right)
            values = [self.read(side) for side in sides]
            known = [k for k in (1, 0) if not hasattr(values[k], "curvature")]
            if known and values[known[0]] > 0.0 and (node.op == "*" or known[0] == 1):
                factor = math.sqrt(values[known[0]] if node.op == "*" else 1.0 / values[1])
                found = self.squares(sides[1 - known[0]])
                return None if found is None else [factor * part for part in found]
        return None

    @staticmethod
    def root(node: Node) -> Node | None:
        """What is squared by a node; None when it is no square."""
        if isinstance(node, Call) and node.function == "square":
            return node.arguments[0]
        if isinstance(node, Power) and node.exponent == 2.0:
            return node.base
        return node.left if isinstance(node, Binary) and node.op == "*" and node.left == node.right else None

    def require_positive(self, node: Node, what: str) -> None:
        """Refuse where cvxpy would leave out the points at which something is negative.

        Raises:
            NotConvex: The limits of the variables allow negative values.
        """
        if _least(terms_of(node), self.checked) < 0.0:
            raise NotConvex(f"{what} of what may be negative by the limits of its variables; give them limits that exclude it")


def _joined(parts: list[list[Any] | None]) -> list[Any] | None:
    found: list[Any] = []
    for part in parts:
        if part is None:
            return None
        found += part
    return found


def _least(terms: Terms, checked: Checked) -> float:
    """A lower bound of what an expression can be within the limits of the variables."""
    lower, upper = checked.limits
    least = terms.constant
    for i, a in terms.coefficients.items():
        least += a * (lower[i] if a > 0.0 else upper[i])
    for factor, node in terms.curved:
        nonnegative = isinstance(node, Call) and node.function in ("sqrt", "norm", "exp", "abs", "square", "inv")
        least += 0.0 if nonnegative and factor > 0.0 else -math.inf
    return least


_OPTIONS: Mapping[str, tuple[Mapping[str, object], ...]] = {
    "CLARABEL": (
        {"time_limit": TIME_LIMIT_S, "tol_gap_abs": 1e-10, "tol_gap_rel": 1e-10, "tol_feas": 1e-10},
        {"time_limit": TIME_LIMIT_S},
    ),
    "HIGHS": ({"time_limit": TIME_LIMIT_S, "mip_rel_gap": 0.0, "mip_abs_gap": 0.0, "presolve": "off"},),
    "SCIPY": ({"scipy_options": {"time_limit": TIME_LIMIT_S, "mip_rel_gap": 0.0}},),
}
"""What the solvers are told, one after the other."""
