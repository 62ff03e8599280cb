"""Solve a checked model, and accept the answer only after independent checks.

Whatever is compared is compared relatively, so that a change of units changes no answer: a row to its own largest term, an
objective to its largest term. An answer is accepted when (1) the model is linear, or convex by cvxpy's rules without whole
numbers, (2) the solver says optimal, (3) plain arithmetic on the model's own trees finds every row met, and (4) a second way
has the same optimum. Linear models are answered at a vertex, by HiGHS from the terms of the trees; their second way is
cvxpy's reading with another solver, or CP-SAT, which is exact, for whole numbers. Curved models are answered by an
interior-point method, again in units of the answer until two answers agree; their second way is a local search by plain
arithmetic, which finds nothing better from there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.documents import JsonObject
from optisolve.words.freeform.compiled import Compiled, NotConvex, Units, compile_model
from optisolve.words.freeform.evaluate import number, require_defined
from optisolve.words.freeform.linear import TOLERANCE, Form, form_agrees, form_of, impossible, misses
from optisolve.words.freeform.resolve import free_model
from optisolve.words.freeform.scaling import sizes_at, variable_scale
from optisolve.words.freeform.schema import Checked, FreeModel
from optisolve.words.freeform.search import MAX_VARIABLES, searched
from optisolve.words.freeform.vertex import by_cpsat, by_highs

__all__ = ["FreeAnswer", "solve_free"]

_ROUNDS = 6
"""How often a model is solved in units of the last answer."""
_ZERO = 1e-10
"""An objective below this share of its usual size is zero."""

_SHIFTS = (1.0, 8.0, 0.125, 64.0, 1.0, 1.0, 1.0, 1.0)
"""Units of the objective, round by round, where the solver was not exact enough in the one before."""
_RESTS = (1e-10, 1e-7, 1e-4)
"""Shares of the unit of a variable that are tried as rests of zero or of a limit."""
_STEP = 1e-3
"""Smallest factor by which the unit of a variable changes from one round to the next."""


@dataclass(frozen=True, eq=False, slots=True)
class FreeAnswer:
    """The answer to a declarative model.

    Attributes:
        accepted: All checks passed.
        status: ``optimal``, ``infeasible``, ``unbounded``, or why it is not accepted.
        objective: By plain arithmetic; None without a point.
        values: Value per variable, nested lists in the shape of its sets.
        checks: What was checked and how it came out, one line each.
        x: float64 [size], the flat point; None without one.
    """

    accepted: bool
    status: str
    objective: float | None
    values: JsonObject
    checks: tuple[str, ...]
    x: FloatArray | None = None


def solve_free(model: JsonObject | FreeModel | Checked) -> FreeAnswer:
    """Solve a declarative model.

    Raises:
        OptionError: The model is not in order.
    """
    checked = model if isinstance(model, Checked) else free_model(model)
    require_defined(checked)
    form = form_of(checked)
    reasons = impossible(checked, form)
    if reasons:
        return FreeAnswer(False, "infeasible", None, {}, tuple(reasons))
    scale = variable_scale(checked, form)
    if not form_agrees(checked, form, scale):
        return _refused(
            "the linear form is not the tree's",
            "terms cancel to the last digit, or a fault of this library; nothing was solved",
        )
    if form.linear:
        return _linear(checked, form, scale)
    if checked.whole.any():
        return _refused("whole numbers in a model that is not linear", "nothing was solved")
    if checked.size > MAX_VARIABLES:
        told = f"there is no second search for more than {MAX_VARIABLES} variables in a model that is not linear"
        return _refused(told, "nothing was solved")
    try:
        return _curved(checked, form, scale)
    except NotConvex as error:
        return _refused("not convex by cvxpy's rules (DCP)", f"{error}; it would need a global solver; nothing was solved")


# -- linear models --------------------------------------------------------------------------------------------------------


def _linear(checked: Checked, form: Form, scale: FloatArray) -> FreeAnswer:
    """A vertex, found in units in which its numbers are around 1."""
    best: tuple[float, FloatArray, FloatArray] | None = None
    for _ in range(_ROUNDS):
        status, x = by_highs(checked, form, scale)
        if x is None:
            break
        worst = _worst(checked, form, x)
        if best is None or worst < best[0]:
            best = worst, x, scale
        usual = float(np.abs(form.cost(checked.size) * scale).max(initial=0.0))
        own = _own_size(form, x)
        if worst <= 1e-3 * TOLERANCE and (own == 0.0 or own > 1e-3 * usual):
            break
        scale = _units_of(x, scale, checked)
    if best is None or (status == "infeasible" and best[0] > TOLERANCE):
        return _without_optimum(checked, form, status, scale)
    _, x, scale = best
    objective, own = number(checked.objective, x), _own_size(form, x)
    checks, reasons = _row_checks(checked, form, x, objective)
    told, second = _second_optimum(checked, form, scale)
    checks.append(f"second formulation: {told}{'' if second is None else f', objective {second:.9g}'}")
    usual = float(np.abs(form.cost(checked.size) * scale).max(initial=0.0))
    allowed = TOLERANCE * (own if own > _ZERO * usual else usual) + form.aim.rounding(x)
    if second is None:
        reasons.append("the second formulation was not solved to its optimum")
    elif abs(second - objective) > allowed:
        told = "; with whole numbers, a factor such as 1e9 in 'x <= 1e9*y' can be the cause: choose the smallest that will do"
        reasons.append(f"the second formulation disagrees{told if checked.whole.any() else ''}")
    return _answer(checked, x, objective, ["HiGHS: optimal, at a vertex", *checks], reasons)


def _second_optimum(checked: Checked, form: Form, scale: FloatArray) -> tuple[str, float | None]:
    """Status, with the name of the solver, and optimum of a second formulation."""
    status, optimum = by_cpsat(checked, form)
    if status != "unknown":
        return f"{status} (CP-SAT)", optimum
    compiled, whole = compile_model(checked, form, _units_at(checked, form, scale)), checked.whole
    for solver in _solvers(checked):
        status = compiled.run(solver)
        if status == "optimal" and whole.any():
            x = np.clip(np.where(whole, np.rint(compiled.x), compiled.x), *checked.limits)
            if _worst(checked, form, x) > TOLERANCE:  # the solver's tolerance of whole numbers, times a large factor
                status = "optimal at a point that misses a row"
        if status in ("optimal", "infeasible", "unbounded"):
            break
    return f"{status} (cvxpy and {solver})", compiled.objective if status == "optimal" else None


def _solvers(checked: Checked) -> tuple[str, str]:
    """Solvers of second formulations, the second if the first does not do; scipy's HiGHS is another release than ours."""
    return ("SCIPY" if checked.whole.any() else "CLARABEL", "HIGHS")


# -- curved models --------------------------------------------------------------------------------------------------------


def _curved(checked: Checked, form: Form, scale: FloatArray) -> FreeAnswer:
    """The answer of an interior-point method, in units of its own answer, until two answers agree.

    Raises:
        NotConvex: Names the part.
    """
    units = _units_at(checked, form, scale)
    last, answer = math.nan, _refused("solver error", "no attempt was made")
    for shift in _SHIFTS:
        compiled = compile_model(checked, form, units)
        status = compiled.run("CLARABEL")
        if status in ("infeasible", "unbounded", "infeasible_or_unbounded"):
            return _without_optimum(checked, form, status, units.variables)
        x = _cleaned(compiled.x, units, checked, form) if compiled.solved else None
        if status == "optimal" and x is not None:
            answer = _curved_answer(checked, form, compiled, x, last)
            if answer.accepted:
                break
            last = float(answer.objective or 0.0)
        elif answer.x is None:
            answer = _refused(f"solver status {status}", "nothing is accepted without an optimal status")
        units = _next_units(checked, form, units, x) if x is not None else units
        units = units if status == "optimal" else replace(units, objective=shift * units.objective)
    return answer


def _next_units(checked: Checked, form: Form, units: Units, x: FloatArray) -> Units:
    """Units in which a point, its rows and its objective are around 1; rows that it misses by little get some room."""
    size, worst = _units_of(x, units.variables, checked), _worst(checked, form, x)
    point = np.where(x, x, np.clip(size, *checked.limits))
    own = max(_own_size(form, x), _STEP**2 * units.objective)
    margin = max(1e-8, 10.0 * units.margin) if TOLERANCE < worst < 1e-2 else units.margin
    return Units(size, own, sizes_at(form, point)[1], (point, units.points[1]), margin)


def _curved_answer(checked: Checked, form: Form, compiled: Compiled, x: FloatArray, last: float) -> FreeAnswer:
    """The answer after its checks.

    Args:
        checked: The model.
        form: Its terms.
        compiled: What was solved.
        x: float64 [size], the point.
        last: Objective of the round before; NaN without one.
    """
    objective, own, claimed = number(checked.objective, x), _own_size(form, x), compiled.objective
    allowed = TOLERANCE * own + _blur(checked, x, objective) + form.aim.rounding(x)
    allowed += 0.0 if own else 10 * _ZERO * compiled.units.objective  # what the solver can tell from zero
    checks, reasons = _row_checks(checked, form, x, objective)
    read = compiled.at(x)
    if not abs(read - objective) <= allowed:
        reasons.append("cvxpy reads another objective at the point")
    if not abs(claimed - objective) <= allowed:
        reasons.append("the objective differs from the solver's")
    if not abs(last - objective) <= allowed or allowed < TOLERANCE * _STEP * compiled.units.objective:
        reasons.append("answers in different units differ")
    if reasons:
        return _answer(checked, x, objective, [f"cvxpy: optimal, objective {claimed:.9g}", *checks], reasons)
    better = searched(checked, x, compiled.units.variables, compiled.units.objective, compiled.units.rows)
    reached, worst = number(checked.objective, better), _worst(checked, form, better)
    gain = (reached - objective) * (1.0 if checked.model.objective.sense == "max" else -1.0)
    if worst <= TOLERANCE and gain > allowed:
        reasons.append("the second search found a better point")
    checks.append(f"second search (SLSQP by plain arithmetic): objective {reached:.9g}, largest miss {worst:.1e}")
    checks.insert(0, f"cvxpy: optimal, objective {claimed:.9g}, the same in other units")
    return _answer(checked, x, objective, checks, reasons)


def _cleaned(x: FloatArray, units: Units, checked: Checked, form: Form) -> FloatArray:
    """The point within its limits; what may be a rounding error of zero or of a limit is left out where it holds without."""
    lower, upper = checked.limits
    x = np.clip(x, lower, upper)
    best, least = x, _worst(checked, form, x)
    for share in _RESTS:
        snapped = np.where(np.abs(x) < share * units.variables, 0.0, x)
        for limit in (lower, upper):
            with np.errstate(invalid="ignore"):
                snapped = np.where(np.abs(x - limit) < share * units.variables, limit, snapped)
        snapped = np.clip(snapped, lower, upper)
        if _worst(checked, form, snapped) <= max(least, _RESTS[0]) and not _better(checked, best, snapped):
            best = snapped
    return best


def _better(checked: Checked, first: FloatArray, second: FloatArray) -> bool:
    """Whether one point has a better objective than another."""
    values = [number(checked.objective, x) for x in (first, second)]
    return (values[0] > values[1]) == (checked.model.objective.sense == "max") and values[0] != values[1]


def _blur(checked: Checked, x: FloatArray, objective: float) -> float:
    """How much the objective changes when variables change in their ninth digit; what cancels in it is known no better."""
    rng = np.random.default_rng(0)
    told = [number(checked.objective, x * (1.0 + 1e-9 * rng.uniform(-1.5, 1.5, x.size))) for _ in range(4)]
    return max((abs(value - objective) for value in told if math.isfinite(value)), default=0.0)


# -- what both share ------------------------------------------------------------------------------------------------------


def _row_checks(checked: Checked, form: Form, x: FloatArray, objective: float) -> tuple[list[str], list[str]]:
    """What plain arithmetic finds at a point: lines to show, and reasons not to accept it."""
    found = misses(checked, form, x)
    told = f"largest miss of a row relative to its largest term, by plain arithmetic: {found[0].share if found else 0.0:.1e}"
    checks = [told, f"objective by plain arithmetic: {objective:.9g}"]
    missed = [miss.told for miss in found if not miss.share <= TOLERANCE]
    reasons = ["a constraint is violated: " + "; ".join(missed[:3])] if missed else []
    return checks, reasons if math.isfinite(objective) else [*reasons, "the objective has no value"]


def _answer(checked: Checked, x: FloatArray, objective: float, checks: Sequence[str], reasons: Sequence[str]) -> FreeAnswer:
    values = {
        name: x[checked.offsets[name] : checked.offsets[name] + int(np.prod(shape, dtype=np.int64))].reshape(shape).tolist()
        for name, shape in checked.shapes.items()
    }
    return FreeAnswer(not reasons, "; ".join(reasons) or "optimal", objective, values, tuple(checks), x)


def _worst(checked: Checked, form: Form, x: FloatArray) -> float:
    found = misses(checked, form, x)
    return found[0].share if found else 0.0


def _own_size(form: Form, x: FloatArray) -> float:
    """Largest term of the objective at a point; its constant does not count."""
    return max((size for size in form.aim.sizes(x)[:-1] if math.isfinite(size)), default=0.0)


def _units_at(checked: Checked, form: Form, scale: FloatArray) -> Units:
    spread = np.random.default_rng(0).uniform(0.5, 1.5, checked.size)  # so that differences of variables are not 0
    point = np.clip(scale * spread, *checked.limits)
    return Units(scale, *sizes_at(form, point), (point, point))


def _units_of(x: FloatArray, scale: FloatArray, checked: Checked) -> FloatArray:
    """Units in which a point is around 1 wherever it is not 0; what is small may be a rest of zero and shrinks step by step."""
    with np.errstate(divide="ignore"):
        own = np.exp2(np.rint(np.log2(np.maximum(np.abs(x), _STEP * scale))))
    return np.where(checked.whole, 1.0, np.where(np.abs(x) > _ZERO * scale, own, scale))


def _without_optimum(checked: Checked, form: Form, status: str, scale: FloatArray) -> FreeAnswer:
    """Infeasible or unbounded, if a second formulation agrees: that of missing every row by as little as possible.

    A model that is its own and its dual's contradiction is infeasible.
    """
    compiled = compile_model(checked, form, _units_at(checked, form, scale))
    solver = _solvers(checked)[0]
    checks = [f"first formulation: {status}"]
    x = compiled.nearest(solver) if status in ("infeasible", "unbounded", "infeasible_or_unbounded") else None
    if x is None:
        return _refused(f"solver status {status}", "nothing is accepted without an optimal status")
    x = _cleaned(np.where(checked.whole, np.rint(x), x), compiled.units, checked, form)
    found = misses(checked, form, x)
    possible = not found or found[0].share <= TOLERANCE
    if possible:
        checks.append(f"second formulation: a point meets every row to {TOLERANCE:g} of its largest term")
    else:
        checks.append(f"second formulation: every point misses a row; at the one that misses them least, {found[0].told}")
    if status == "infeasible_or_unbounded":
        status = "unbounded" if possible else "infeasible"
    agrees = possible == (status == "unbounded")
    if agrees and possible and form.linear:
        second = _second_optimum(checked, form, scale)[0]
        checks.append(f"second formulation: {second}")
        agrees = second.partition(" (")[0] in ("unbounded", "infeasible_or_unbounded")
    return FreeAnswer(False, status if agrees else "solvers disagree", None, {}, tuple(checks))


def _refused(status: str, check: str) -> FreeAnswer:
    return FreeAnswer(False, status, None, {}, (check,))
