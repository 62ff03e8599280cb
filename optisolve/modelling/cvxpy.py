"""CVXPY models that are compiled once, solved for many instances, and never believed without a status.

Three habits of cvxpy are kept away from callers here:

- A problem without parameters is canonicalized at every solve. `Parametrized` insists on cvxpy's disciplined parametrized
  programming (DPP), so that a new instance costs a sparse product and the numerical solver alone.
- ``user_limit`` counts as "solution present", with whatever vector the back end held (cvxpy#3534). Here it is a LIMIT
  whose value is withheld; the vector is a candidate like any other.
- Dual objectives and bounds are those of the minimization that the back end saw, without constant terms. Here they are in
  the problem's own sense.

cvxpy itself is imported by `cvxpy_module`, when a model is built.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from threading import Lock
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from optisolve.core.arrays import FloatArray
from optisolve.core.clock import time_left
from optisolve.core.errors import ProblemError, SolverError
from optisolve.core.status import Limit, Termination
from optisolve.modelling.answer import ModelAnswer

__all__ = ["CvxpyModel", "Parametrized", "Solved", "cvxpy_answer", "cvxpy_module"]

PROOF_TOLERANCE = 1e-8
"""Share of an objective's terms that back ends leave open; a bound taken from their dual objective is loosened by it."""

_TERMINATIONS = {
    "optimal": Termination.OPTIMAL,
    "optimal_inaccurate": Termination.CONVERGED,
    "infeasible": Termination.INFEASIBLE,
    "infeasible_inaccurate": Termination.NUMERICAL_ERROR,
    "unbounded": Termination.UNBOUNDED,
    "unbounded_inaccurate": Termination.NUMERICAL_ERROR,
    "infeasible_or_unbounded": Termination.INFEASIBLE_OR_UNBOUNDED,
    "user_limit": Termination.LIMIT,
    "solver_error": Termination.NUMERICAL_ERROR,
}

_LIMIT_WORDS = (("Time", Limit.TIME), ("Iter", Limit.ITERATIONS), ("Solution", Limit.TARGET), ("Memory", Limit.MEMORY))


def cvxpy_module() -> Any:
    """The cvxpy package; importing it takes most of a second, so callers ask when they build a model."""
    import cvxpy

    return cvxpy


@runtime_checkable
class CvxpyModel(Protocol):
    """What `Instance.model("cvxpy")` returns: it solves itself, by one CVXPY problem or by a procedure of several.

    Making it is cheap; cvxpy is imported when it solves.
    """

    def solve(self, *, time_limit_s: float | None = None) -> ModelAnswer:
        """Solve it.

        Args:
            time_limit_s: Wall-clock limit, s; None means the back end's own.
        """
        ...


def cvxpy_answer(
    termination: Termination,
    x: FloatArray | None,
    dual_bound: float | None,
    *,
    limit: Limit | None = None,
    backend: str = "CLARABEL",
    detail: str = "",
    iterations: int = 0,
    solves: int = 1,
) -> ModelAnswer:
    """A `ModelAnswer` that names cvxpy and its back end with their versions.

    Args:
        termination: Why it stopped.
        x: float64 [d] or None.
        dual_bound: Bound in the problem's own sense and unit, or None.
        limit: Which limit, when the termination is LIMIT.
        backend: cvxpy's name of the numerical solver.
        detail: The back end's words.
        iterations: Iterations of the back end, summed over all solves.
        solves: Number of CVXPY problems solved.
    """
    package = {"HIGHS": "highspy"}.get(backend, backend.lower())
    try:
        number = version(package)
    except PackageNotFoundError:
        number = "?"
    return ModelAnswer(
        termination=termination,
        x=x,
        dual_bound=dual_bound,
        limit=limit,
        backend=f"cvxpy/{package}",
        version=f"{version('cvxpy')}/{number}",
        detail=detail,
        report={"solves": solves, "iterations": iterations},
    )


@dataclass(frozen=True, eq=False, slots=True)
class Solved:
    """One solve of a parametrized problem, in our words.

    Attributes:
        termination: The back end's claim.
        limit: Which limit, when the termination is LIMIT.
        values: Variable values by name; empty when there is no point. After LIMIT they are a candidate, no more.
        duals: Dual values, float64 [k], by the labels given to `Parametrized`; only after OPTIMAL or CONVERGED.
        value: Objective in the problem's own sense; None unless OPTIMAL or CONVERGED.
        dual_bound: Bound in the problem's own sense; after OPTIMAL, and after LIMIT for back ends with valid bounds (MILP).
        iterations: Iterations of the back end.
        detail: The status words of cvxpy and the back end.
    """

    termination: Termination
    limit: Limit | None
    values: Mapping[str, FloatArray]
    duals: Mapping[str, FloatArray]
    value: float | None
    dual_bound: float | None
    iterations: int
    detail: str


class Parametrized:
    """A cvxpy problem that is compiled at its first solve and re-used for every later set of parameters.

    Answers do not depend on what was solved before: no warm start is used. Calls are serialized, since cvxpy keeps
    values in the problem object.

    Args:
        problem: A DPP problem with named parameters and variables.
        backend: cvxpy's name of the numerical solver.
        options: Options of that back end.
        duals: Constraints whose dual values are wanted, by label.

    Raises:
        SolverError: The problem is not DPP, so that it would be compiled at every solve.
    """

    def __init__(
        self,
        problem: Any,
        *,
        backend: str = "CLARABEL",
        options: Mapping[str, object] | None = None,
        duals: Mapping[str, Any] | None = None,
    ) -> None:
        if not problem.is_dcp(dpp=True):
            raise SolverError("cvxpy: the model is not DPP; write it so that parameters enter affinely.")
        self.backend = backend
        self._problem = problem
        self._options = dict(options or {})
        self._duals = dict(duals or {})
        self._parameters = {p.name(): p for p in problem.parameters()}
        self._lock = Lock()

    def solve(self, parameters: Mapping[str, npt.ArrayLike], *, time_limit_s: float | None = None) -> Solved:
        """Solve for one set of parameters.

        Args:
            parameters: Every parameter of the problem by name.
            time_limit_s: Wall-clock limit of the back end, s.

        Raises:
            ProblemError: A parameter is missing, unknown, of a wrong shape or sign, or not finite.
        """
        if (time_limit_s := time_left(time_limit_s)) is not None and time_limit_s <= 0.0:
            return Solved(Termination.LIMIT, Limit.TIME, {}, {}, None, None, 0, "no time left")
        options = self._options if time_limit_s is None else {**self._options, "time_limit": float(time_limit_s)}
        with self._lock, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # cvxpy warns of inaccurate answers; the status says so too
            self._assign(parameters)
            data, chain, inverse = self._problem.get_problem_data(self.backend, solver_opts=options)
            raw = chain.solve_via_data(self._problem, data, warm_start=False, verbose=False, solver_opts=options)
            try:
                self._problem.unpack_results(raw, chain, inverse)
            except cvxpy_module().error.SolverError as error:
                return Solved(Termination.NUMERICAL_ERROR, None, {}, {}, None, None, 0, str(error).splitlines()[0])
            return self._translate(raw, data, inverse)

    def _assign(self, parameters: Mapping[str, npt.ArrayLike]) -> None:
        if set(parameters) != set(self._parameters):
            raise ProblemError(f"cvxpy: got parameters {sorted(parameters)}; expected {sorted(self._parameters)}.")
        for name, values in parameters.items():
            array = np.asarray(values, dtype=np.float64)
            if not np.isfinite(array).all():
                raise ProblemError(f"cvxpy: parameter '{name}' is not finite.")
            try:
                self._parameters[name].value = array
            except ValueError as error:
                raise ProblemError(f"cvxpy: parameter '{name}' of shape {array.shape}: {error}") from error

    def _translate(self, raw: Any, data: Mapping[str, Any], inverse: Any) -> Solved:
        problem = self._problem
        words = _status_words(raw)
        termination = _TERMINATIONS.get(problem.status, Termination.NUMERICAL_ERROR)
        limit = _limit(words) if termination is Termination.LIMIT else None
        values = {}
        if termination in (Termination.OPTIMAL, Termination.CONVERGED, Termination.LIMIT):
            pairs = {v.name(): v.value for v in problem.variables()}
            if all(value is not None and np.isfinite(value).all() for value in pairs.values()):
                values = {name: np.array(value, dtype=np.float64) for name, value in pairs.items()}
        trusted = bool(values) and termination is not Termination.LIMIT
        duals = {label: _flat(constraint.dual_value) for label, constraint in self._duals.items()} if trusted else {}
        return Solved(
            termination=termination,
            limit=limit,
            values=values,
            duals=duals,
            value=float(problem.value) if trusted else None,
            dual_bound=self._dual_bound(raw, data, inverse, termination),
            iterations=max(0, int(getattr(problem.solver_stats, "num_iters", None) or 0)),
            detail=f"cvxpy {problem.status}; {self.backend} {words}",
        )

    def _dual_bound(self, raw: Any, data: Mapping[str, Any], inverse: Any, termination: Termination) -> float | None:
        """The back end's bound, loosened by what it left open, with constants and the sense put back."""
        bound, is_exact = _raw_bound(raw, termination)
        if bound is None or not math.isfinite(bound):
            return None
        offset = float(inverse[-1]["offset"])
        bound += offset
        if not is_exact:
            bound -= PROOF_TOLERANCE * abs(offset) + _left_open(raw, data)
        return -bound if type(self._problem.objective).__name__ == "Maximize" else bound


def _left_open(raw: Any, data: Mapping[str, Any]) -> float:
    """How far a dual objective may be above the least one, in the objective's unit, whatever that unit is.

    For multipliers z in the dual cone every feasible point has an objective of at least the dual one plus r^T x, where
    r = P x + c + A^T z is what is left of stationarity; points are taken to be no more than twice as large as the answer.
    """
    c = np.asarray(data["c"], dtype=np.float64)
    if isinstance(raw, dict):  # HiGHS: a vertex, stationary up to the solution of a linear system
        return PROOF_TOLERANCE * float(np.abs(c) @ np.abs(np.asarray(raw["solution"].col_value)[: c.size]))
    x, z = np.asarray(raw.x), np.asarray(raw.z)
    size, residual = float(np.abs(c) @ np.abs(x)), c + data["A"].T @ z
    if data.get("P") is not None:
        size += 0.5 * float(np.abs(x) @ (abs(data["P"]) @ np.abs(x)))
        residual = residual + data["P"] @ x
    return PROOF_TOLERANCE * size + 2.0 * float(np.abs(residual).max(initial=0.0) * np.abs(x).sum())


def _flat(dual: Any) -> FloatArray:
    """Dual values of one constraint, float64 [k]; those of a cone are a list of parts, the scalar one first."""
    parts = dual if isinstance(dual, list | tuple) else [dual]
    return np.concatenate([np.ravel(np.asarray(part, dtype=np.float64)) for part in parts])


def _raw_bound(raw: Any, termination: Termination) -> tuple[float | None, bool]:
    """Bound in the back end's minimization form, and whether it holds without loosening."""
    if isinstance(raw, dict) and "info" in raw:  # HiGHS
        info, is_mip = raw["info"], getattr(raw["info"], "mip_node_count", -1) >= 0
        if is_mip and termination in (Termination.OPTIMAL, Termination.LIMIT):
            return float(info.mip_dual_bound), True
        return (float(info.objective_function_value), False) if termination is Termination.OPTIMAL else (None, False)
    if termination is Termination.OPTIMAL and hasattr(raw, "obj_val_dual"):  # Clarabel: dual feasible only at convergence
        return float(raw.obj_val_dual), False
    return None, False


def _status_words(raw: Any) -> str:
    if isinstance(raw, dict):
        return str(raw.get("model_status", "")).removeprefix("k")
    return str(getattr(raw, "status", ""))


def _limit(words: str) -> Limit:
    return next((limit for part, limit in _LIMIT_WORDS if part in words), Limit.ITERATIONS)
