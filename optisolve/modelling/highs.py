"""HiGHS behind one door: linear and mixed-integer models as plain arrays, our own statuses, bounds in the own sense."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from optisolve.core.arrays import BoolArray, FloatArray
from optisolve.core.clock import time_left
from optisolve.core.errors import SolverError
from optisolve.core.problem import Instance
from optisolve.core.status import Limit, Termination
from optisolve.modelling.answer import ModelAnswer

if TYPE_CHECKING:
    import scipy.sparse as sp

__all__ = ["HighsModel", "row_prices", "second_opinion", "solve_highs"]


@dataclass(frozen=True, eq=False, slots=True)
class HighsModel:
    """min or max cost @ z subject to row_lower <= matrix @ z <= row_upper and bounds on z.

    Args:
        cost: float64 [n].
        matrix: scipy.sparse [m, n].
        row_lower: float64 [m], -inf allowed.
        row_upper: float64 [m], inf allowed.
        col_lower: float64 [n].
        col_upper: float64 [n], inf allowed.
        integer: bool [n].
        maximize: Direction.
        decode: float64 [n] to a point float64 [d] of the instance.
        value_of: Maps an objective bound of this model to a bound on the instance's objective, own sense and unit.
        note: What the model leaves out or rounds, one sentence; "" for an exact one.
    """

    cost: FloatArray
    matrix: sp.csr_matrix
    row_lower: FloatArray
    row_upper: FloatArray
    col_lower: FloatArray
    col_upper: FloatArray
    integer: BoolArray
    maximize: bool
    decode: Callable[[FloatArray], FloatArray]
    value_of: Callable[[float], float]
    note: str = ""


def solve_highs(form: HighsModel, *, node_limit: int | None = None, seconds: float | None = None, seed: int = 0) -> ModelAnswer:
    """Run HiGHS with one thread, on the model in units of its own numbers: its tolerances know no units.

    Args:
        form: The model.
        node_limit: Largest number of branch-and-bound nodes, deterministic; None for no limit.
        seconds: Wall-clock limit, s; it makes the answer depend on the machine. None for no limit.
        seed: Random seed.

    Returns:
        The answer; a point is passed on only when HiGHS calls its values valid and feasible, and it still has to be
        re-evaluated.

    Raises:
        SolverError: HiGHS refuses the model.
    """
    import highspy

    highs = highspy.Highs()
    _configure(highs, node_limit, time_left(seconds), seed)
    if form.integer.any() and not form.integer.all():
        # HiGHS 1.14.0 cuts optima off when it presolves whole numbers and reals together, and calls what is left optimal
        highs.setOptionValue("presolve", "off")
    scaled, column, cost = _scaled(form)
    if highs.passModel(_lp(highspy, scaled)) == highspy.HighsStatus.kError:
        raise SolverError("HiGHS refuses the model; check its bounds and coefficients for NaN.")
    highs.run()
    status, info, solution = highs.getModelStatus(), highs.getInfo(), highs.getSolution()
    is_mip = bool(form.integer.any())
    usable = bool(solution.value_valid) and info.primal_solution_status == int(highspy.SolutionStatus.kSolutionStatusFeasible)
    termination, limit = _termination(highspy, status)
    bound = info.mip_dual_bound if is_mip else info.objective_function_value
    has_bound = np.isfinite(bound) and abs(bound) < highspy.kHighsInf
    has_bound = has_bound and (termination is Termination.OPTIMAL or (is_mip and termination is Termination.LIMIT))
    return ModelAnswer(
        termination,
        form.decode(np.array(solution.col_value) * column) if usable else None,
        form.value_of(float(bound) * cost) if has_bound else None,
        limit,
        "highs",
        highs.version(),
        f"HiGHS {highs.modelStatusToString(status)}" + (f"; {form.note}" if form.note else ""),
        {"nodes": int(info.mip_node_count) if is_mip else 0, "simplex_iterations": int(info.simplex_iteration_count)},
    )


def row_prices(form: HighsModel) -> FloatArray | None:
    """What the optimum of a linear model changes by per unit of each row's limit, float64 [m]; None where there is no optimum.

    Args:
        form: Without integers, in numbers near 1: it is not scaled.
    """
    import highspy

    highs = highspy.Highs()
    _configure(highs, None, time_left(), 0)
    if highs.passModel(_lp(highspy, form)) == highspy.HighsStatus.kError:
        return None
    highs.run()
    solution = highs.getSolution()
    return np.array(solution.row_dual) if highs.getModelStatus() == highspy.HighsModelStatus.kOptimal else None


_OPINION_NODES = 200
"""Nodes of a second opinion: enough to find what a wrong proof would have excluded, little beside the proof."""


def second_opinion(instance: Instance) -> FloatArray | None:
    """What a program that shares nothing with another solver finds, float64 [d]; None when it finds no verified point.

    A proof of optimality or infeasibility that it contradicts is wrong, whoever made it: integer programs have lost optima.

    Args:
        instance: Offers a model for ``"highs"``.
    """
    x = solve_highs(instance.model("highs"), node_limit=_OPINION_NODES).x
    return None if x is None or instance.evaluate_twin(x).violation[0] > 0.0 else x


def _scaled(form: HighsModel) -> tuple[HighsModel, FloatArray, float]:
    """The model with real columns relative to their largest bound and rows and cost to their largest coefficient.

    Returns:
        The model, what its columns are multiplied by, float64 [n], and what its objective is multiplied by.
    """
    import scipy.sparse as sp

    reach = np.maximum(np.abs(form.col_lower), np.abs(form.col_upper))
    column = np.where(~form.integer & np.isfinite(reach) & (reach > 0.0), reach, 1.0)
    matrix = sp.csr_matrix(form.matrix) @ sp.diags_array(column)
    row = np.asarray(abs(matrix).max(axis=1).todense(), dtype=np.float64).ravel()
    row[row == 0.0] = 1.0
    cost = form.cost * column
    size = float(np.abs(cost).max(initial=0.0)) or 1.0
    scaled = replace(
        form,
        cost=cost / size,
        matrix=sp.csr_matrix(sp.diags_array(1.0 / row) @ matrix),
        row_lower=form.row_lower / row,
        row_upper=form.row_upper / row,
        col_lower=form.col_lower / column,
        col_upper=form.col_upper / column,
    )
    return scaled, column, size


def _configure(highs: Any, node_limit: int | None, seconds: float | None, seed: int) -> None:
    options: dict[str, bool | float | str] = {
        "output_flag": False,
        "threads": 1,
        "parallel": "off",
        "random_seed": int(seed) % 2**31,
        "mip_rel_gap": 0.0,
        "mip_abs_gap": 1e-9,
    }
    if node_limit is not None:
        options["mip_max_nodes"] = int(node_limit)
    if seconds is not None:
        options["time_limit"] = max(0.0, float(seconds))
    for name, value in options.items():
        highs.setOptionValue(name, value)


def _lp(highspy: Any, form: HighsModel) -> Any:
    rows = form.matrix.tocsr()
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = form.cost.size, rows.shape[0]
    lp.col_cost_, lp.col_lower_, lp.col_upper_ = form.cost, form.col_lower, form.col_upper
    lp.row_lower_, lp.row_upper_ = form.row_lower, form.row_upper
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_, lp.a_matrix_.index_, lp.a_matrix_.value_ = rows.indptr, rows.indices, rows.data
    lp.sense_ = highspy.ObjSense.kMaximize if form.maximize else highspy.ObjSense.kMinimize
    if form.integer.any():
        kinds = (highspy.HighsVarType.kContinuous, highspy.HighsVarType.kInteger)
        lp.integrality_ = [kinds[int(whole)] for whole in form.integer]
    return lp


def _termination(highspy: Any, status: Any) -> tuple[Termination, Limit | None]:
    names = highspy.HighsModelStatus
    table: dict[Any, tuple[Termination, Limit | None]] = {
        names.kOptimal: (Termination.OPTIMAL, None),
        names.kInfeasible: (Termination.INFEASIBLE, None),
        names.kUnbounded: (Termination.UNBOUNDED, None),
        names.kUnboundedOrInfeasible: (Termination.INFEASIBLE_OR_UNBOUNDED, None),
        names.kTimeLimit: (Termination.LIMIT, Limit.TIME),
        names.kIterationLimit: (Termination.LIMIT, Limit.ITERATIONS),
        names.kSolutionLimit: (Termination.LIMIT, Limit.NODES),  # what mip_max_nodes reports
        names.kMemoryLimit: (Termination.LIMIT, Limit.MEMORY),
        names.kInterrupt: (Termination.INTERRUPTED, None),
    }
    return table.get(status, (Termination.NUMERICAL_ERROR, None))
