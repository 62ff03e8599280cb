"""The convex members of the family through other people's solvers: a linear and a geometric program.

Both are second opinions. Nothing that a back end says is taken at its word: bounds are rebuilt from its multipliers, points
are re-evaluated by the caller.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.modelling.highs import HighsModel
from optisolve.numerics.interference import coupling

__all__ = ["LeastPowerLp", "balanced_sinr_gp", "least_power_lp", "least_power_model"]


def least_power_model(gain: FloatArray, noise_w: FloatArray, floor: FloatArray, p_max_w: FloatArray) -> HighsModel:
    """The linear program of the least total power as plain arrays, in shares of the caps.

    Args:
        gain: float64 [K, K], linear.
        noise_w: float64 [K], W.
        floor: float64 [K], linear.
        p_max_w: float64 [K], W.
    """
    from scipy.sparse import csr_matrix

    rows, needed = _scaled_rows(gain, noise_w, floor, p_max_w)
    n_links, largest_w = floor.size, float(p_max_w.max())
    return HighsModel(
        cost=p_max_w / largest_w,  # the back end's tolerances are absolute
        matrix=csr_matrix(rows),
        row_lower=needed,
        row_upper=np.full(n_links, np.inf),
        col_lower=np.zeros(n_links),
        col_upper=np.ones(n_links),
        integer=np.zeros(n_links, dtype=bool),
        maximize=False,
        decode=lambda shares: np.clip(shares, 0.0, 1.0) * p_max_w,
        value_of=lambda value: value * largest_w,
    )


def _scaled_rows(
    gain: FloatArray, noise_w: FloatArray, floor: FloatArray, p_max_w: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """``rows @ y >= needed`` for the shares y of the caps; scaled by the direct gains, so that gains of 1e-12 do no harm."""
    matrix, constant = coupling(gain, noise_w, floor)
    return np.eye(floor.size) - matrix * p_max_w[None, :] / p_max_w[:, None], constant / p_max_w


@dataclass(frozen=True, eq=False, slots=True)
class LeastPowerLp:
    """What the linear program says about the least total power.

    Attributes:
        status: The back end's word, e.g. ``"Optimal"``, ``"Infeasible"``, ``"Iteration limit reached"``.
        powers_w: float64 [K], W; None unless the status is optimal.
        dual_bound_w: A lower bound on the total power, W, rebuilt from the multipliers; it holds at any status.
    """

    status: str
    powers_w: FloatArray | None
    dual_bound_w: float


def least_power_lp(
    gain: FloatArray, noise_w: FloatArray, floor: FloatArray, p_max_w: FloatArray, *, max_iterations: int | None = None
) -> LeastPowerLp:
    """Minimize the total power under SINR floors and caps by HiGHS.

    Args:
        gain: float64 [K, K], linear.
        noise_w: float64 [K], W.
        floor: float64 [K], linear.
        p_max_w: float64 [K], W.
        max_iterations: Simplex iterations at most; None for no limit.
    """
    import highspy

    rows, needed = _scaled_rows(gain, noise_w, floor, p_max_w)
    solver = highspy.Highs()
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("threads", 1)
    solver.setOptionValue("primal_feasibility_tolerance", 1e-9)
    solver.setOptionValue("dual_feasibility_tolerance", 1e-9)
    if max_iterations is not None:
        solver.setOptionValue("presolve", "off")
        solver.setOptionValue("simplex_iteration_limit", max_iterations)
    cost, largest_w = p_max_w / p_max_w.max(), float(p_max_w.max())
    for each in cost:
        solver.addCol(float(each), 0.0, 1.0, 0, [], [])
    columns = np.arange(floor.size, dtype=np.int32)
    for i in range(floor.size):
        solver.addRow(float(needed[i]), highspy.kHighsInf, floor.size, columns, rows[i])
    solver.run()
    status = solver.modelStatusToString(solver.getModelStatus())
    solution = solver.getSolution()
    multipliers = np.maximum(np.nan_to_num(np.array(solution.row_dual, dtype=np.float64)), 0.0)
    if multipliers.size != floor.size:
        multipliers = np.zeros(floor.size)
    # min_y c'y + m'(b - A y) over the box bounds the optimum for every m >= 0.
    bound = largest_w * float(multipliers @ needed + np.minimum(cost - rows.T @ multipliers, 0.0).sum())
    powers = np.array(solution.col_value) * p_max_w if status == "Optimal" else None
    return LeastPowerLp(status, powers, bound)


def balanced_sinr_gp(gain: FloatArray, noise_w: FloatArray, p_max_w: FloatArray) -> float | None:
    """Largest common SINR by a geometric program (Chiang 2007), linear; None when the back end did not finish.

    The program is compiled once per number of links and only gets new numbers.
    """
    import cvxpy as cp

    problem, parameters, target = _geometric_program(noise_w.size)
    matrix, constant = coupling(gain, noise_w, np.ones(noise_w.size))
    # A geometric program knows no zeros; 1e-30 of a direct gain changes no digit.
    parameters["matrix"].value = np.maximum(matrix * p_max_w[None, :] / p_max_w[:, None], 1e-30)
    parameters["constant"].value = constant / p_max_w
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of inaccurate answers, which the status below tells as well
        try:
            problem.solve(gp=True, solver=cp.CLARABEL)
        except cp.SolverError:
            return None
    return float(target.value) if problem.status == cp.OPTIMAL else None


@cache
def _geometric_program(n_links: int) -> tuple[Any, dict[str, Any], Any]:
    """``maximize t  s.t.  t (M y + v)_i <= y_i, y <= 1`` with parameters M (its diagonal is not used) and v."""
    import cvxpy as cp

    matrix = cp.Parameter((n_links, n_links), pos=True)
    constant = cp.Parameter(n_links, pos=True)
    y, t = cp.Variable(n_links, pos=True), cp.Variable(pos=True)
    constraints = [y <= 1.0]
    for i in range(n_links):
        heard = constant[i] + sum(matrix[i, j] * y[j] for j in range(n_links) if j != i)
        constraints.append(t * heard <= y[i])
    return cp.Problem(cp.Maximize(t), constraints), {"matrix": matrix, "constant": constant}, t
