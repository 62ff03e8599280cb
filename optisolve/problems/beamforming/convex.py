"""The SOCP of `beamforming` in CVXPY: least power by one solve, balanced SINR by a search over it.

The optimal precoders lie in the span of the channels, hence the problem is solved in at most K dimensions whatever the number
of antennas. One compiled model serves all instances of one (K, rank).

Source: Bengtsson and Ottersten 2001; Wiesel, Eldar and Shamai 2006 (SOCP form).
"""

from __future__ import annotations

import dataclasses
import math
import time
from dataclasses import dataclass
from functools import cache

import numpy as np

from optisolve.core.arrays import ComplexArray, FloatArray
from optisolve.core.problem import FEASIBILITY_TOLERANCE
from optisolve.core.status import Limit, Termination
from optisolve.modelling import ModelAnswer
from optisolve.modelling.cvxpy import Parametrized, Solved, cvxpy_answer, cvxpy_module
from optisolve.numerics import uplink_duality as duality
from optisolve.problems.beamforming import model
from optisolve.problems.beamforming.model import Constants

__all__ = ["REL_TOLERANCE", "BeamformingModel", "ServedModel", "compiled"]

REL_TOLERANCE = 1e-6
"""Relative distance of value and bound up to which an optimum is claimed."""

MAX_SOLVES = 40
MAX_RISES = 200
"""Rounds of the dual fixed point that may improve the multipliers of a solve."""


@cache
def compiled(n_users: int, rank: int) -> Parametrized:
    """min sum |y_k|^2 s.t. Re(r_k^H y_k) / sqrt(gamma_k) >= |(r_k^H y_j for j != k, 1)|, compiled once per shape.

    Args:
        n_users: K.
        rank: Dimension of the span of the channels.
    """
    cp = cvxpy_module()
    y_re, y_im = cp.Variable((rank, n_users), name="y_re"), cp.Variable((rank, n_users), name="y_im")
    shape = (n_users, rank)
    r_re, r_im = cp.Parameter(shape, name="r_re"), cp.Parameter(shape, name="r_im")
    s_re, s_im = cp.Parameter(shape, name="s_re"), cp.Parameter(shape, name="s_im")  # rows over sqrt(gamma_k)
    constraints = []
    for k in range(n_users):
        others = np.delete(np.arange(n_users), k)
        parts = [np.ones(1)]
        if others.size:
            parts.append(r_re[k] @ y_re[:, others] + r_im[k] @ y_im[:, others])
            parts.append(r_re[k] @ y_im[:, others] - r_im[k] @ y_re[:, others])
        signal = s_re[k] @ y_re[:, k] + s_im[k] @ y_im[:, k]
        constraints.append(cp.SOC(signal, cp.hstack(parts)))
    objective = cp.Minimize(cp.sum_squares(y_re) + cp.sum_squares(y_im))
    duals = {f"sinr{k}": constraint for k, constraint in enumerate(constraints)}
    return Parametrized(cp.Problem(objective, constraints), duals=duals)


@dataclass(frozen=True, slots=True)
class BeamformingModel:
    """The model that an instance hands out for ``"cvxpy"``.

    Args:
        constants: Goal ``min_power`` or ``max_min``, and data.
    """

    constants: Constants

    def solve(self, *, time_limit_s: float | None = None) -> ModelAnswer:
        """One SOCP, or a bracketing search over it."""
        search = _Search(self.constants, time_limit_s)
        return search.least_power() if self.constants.goal == "min_power" else search.balance()


@dataclass(frozen=True, slots=True)
class ServedModel:
    """Least power when only some users have a target: the others get nothing, which disturbs nobody.

    Args:
        part: Data of the users with a target, goal ``min_power``.
        served: Which users those are.
        n_users: All users.
    """

    part: Constants
    served: tuple[int, ...]
    n_users: int

    def solve(self, *, time_limit_s: float | None = None) -> ModelAnswer:
        """The SOCP of the served users, as a point of all."""
        answer = BeamformingModel(self.part).solve(time_limit_s=time_limit_s)
        if answer.x is None:
            return answer
        rows = np.zeros((self.n_users, 2 * self.part.h.shape[1]))
        rows[list(self.served)] = answer.x.reshape(len(self.served), -1)
        return dataclasses.replace(answer, x=rows.ravel())


class _Search:
    """Counts solves and time of one call; works in the span of the channels, every solve in its own unit of power."""

    def __init__(self, c: Constants, time_limit_s: float | None) -> None:
        self.c, self.uplink = c, duality.Uplink(c.h, c.noise_w, c.p_total_w)
        basis, rows = np.linalg.qr(self.uplink.h.T)  # h_k = basis @ rows[:, k], without units
        self.basis: ComplexArray = basis
        self.rows: ComplexArray = rows.T  # [K, rank], row k is r_k
        self.deadline = math.inf if time_limit_s is None else time.perf_counter() + time_limit_s
        self.solves = self.iterations = 0

    def solve(self, target: FloatArray) -> tuple[Solved, ComplexArray | None, FloatArray | None]:
        """Least power for SINRs, float64 [K].

        The back end's tolerances are absolute, so powers are measured by what the targets need without interference.

        Returns:
            What cvxpy said; precoders complex128 [K, M] in sqrt(P); uplink powers float64 [K] in units of P, from the
            multipliers nu by lambda_k = nu_k sqrt(gamma_k) / (2 Re r_k^H y_k).
        """
        root = np.sqrt(target)
        unit = math.sqrt(float((target / (np.abs(self.rows) ** 2).sum(axis=1)).sum()))  # sqrt(P)
        rows = self.rows * unit
        scaled = rows / root[:, None]
        left = None if self.deadline == math.inf else self.deadline - time.perf_counter()
        parameters = {"s_re": scaled.real, "s_im": scaled.imag}
        if target.size > 1:  # nobody interferes with a user alone
            parameters |= {"r_re": rows.real, "r_im": rows.imag}
        solved = compiled(*self.rows.shape).solve(parameters, time_limit_s=left)
        self.solves, self.iterations = self.solves + 1, self.iterations + solved.iterations
        if not solved.values:
            return solved, None, None
        y = solved.values["y_re"] + 1j * solved.values["y_im"]
        W = unit * (self.basis @ y).T
        if not solved.duals:
            return solved, W, None
        multipliers = np.array([solved.duals[f"sinr{k}"][0] for k in range(target.size)])
        signal = np.einsum("ks,sk->k", rows.conj(), y).real
        usable = (multipliers > 0.0).all() and (signal > 0.0).all()
        return solved, W, unit**2 * multipliers * root / (2.0 * signal) if usable else None

    def least_power(self) -> ModelAnswer:
        """One solve, bounded by its multipliers; INFEASIBLE only with a dual bound that no verified point can meet."""
        c = self.c
        solved, W, powers = self.solve(c.sinr_target)
        bound = None
        if powers is not None:
            bound = duality.least_power(self.uplink, c.sinr_target, start=powers, max_rounds=MAX_RISES).bound
        if solved.termination is Termination.INFEASIBLE or (bound is not None and bound > 1.0):
            enough = 1.0 + 2.0 * FEASIBILITY_TOLERANCE
            relaxed = duality.relaxed_targets(self.uplink, c.sinr_target)
            certificate = duality.least_power(self.uplink, relaxed, enough=enough).bound
            if certificate > enough:
                needed = format(certificate * c.p_total_w, ".6g")
                detail = f"the SINR targets need more than {needed} W, the cap is {c.p_total_w:g} W"
                return self._answer(Termination.INFEASIBLE, None, None, detail=detail)
            if W is None:
                detail = f"infeasible without a proof; {solved.detail}"
                return self._answer(Termination.NUMERICAL_ERROR, None, None, detail=detail)
        dual_bound = None if bound is None else bound * c.p_total_w
        x, termination = None, solved.termination
        if W is not None:
            bound_box = math.sqrt(c.p_total_w)
            x = np.clip(model.project(c, model.to_points(bound_box * W[None])), -bound_box, bound_box)[0]
            if termination in (Termination.OPTIMAL, Termination.CONVERGED):  # our bound decides, not the back end's accuracy
                met = dual_bound is not None and float((x * x).sum()) <= dual_bound * (1.0 + REL_TOLERANCE)
                termination = Termination.OPTIMAL if met else Termination.CONVERGED
        return self._answer(termination, x, dual_bound, limit=solved.limit, detail=solved.detail)

    def balance(self) -> ModelAnswer:
        """Bracket the balanced SINR: points give the lower end, the multipliers of the same solves the upper one."""
        target = self.c.sinr_target
        low, best = 0.0, None
        high = float((self.uplink.computed((np.abs(self.rows) ** 2).sum(axis=1)) / target).min())  # a user alone
        level, ceiling, solved, known = high / 2.0, high, None, list[tuple[float, float]]()
        while high > low * (1.0 + REL_TOLERANCE) and self.solves < MAX_SOLVES:
            solved, W, powers = self.solve(level * target)
            if solved.termination is Termination.LIMIT:
                return self._answer(solved.termination, best, high, limit=solved.limit, detail=solved.detail)
            if W is not None and solved.value is not None:
                needed = float((np.abs(W) ** 2).sum())
                if needed > 0.0:
                    known.append((math.log(level), math.log(needed)))
                    value, x = self._at_full_power(W)
                    if value > low:
                        low, best = value, x
                if powers is not None:
                    high = min(high, duality.balance(self.uplink, target, start=powers, max_rounds=8).bound)
            elif solved.termination is Termination.INFEASIBLE:
                ceiling = level  # a claim that guides the search; only multipliers prove the upper end
            else:
                return self._answer(Termination.NUMERICAL_ERROR, best, high, detail=solved.detail)
            level = _next_level(low, min(high, ceiling), known)
        closed = high <= low * (1.0 + REL_TOLERANCE)
        termination, limit = (Termination.OPTIMAL, None) if closed else (Termination.LIMIT, Limit.ITERATIONS)
        return self._answer(termination, best, high, limit=limit, detail=solved.detail if solved else "")

    def _at_full_power(self, W: ComplexArray) -> tuple[float, FloatArray]:
        X = model.to_points(W[None])
        X *= math.sqrt(self.c.p_total_w / float((X * X).sum())) * (1.0 - 1e-15)
        return float(model.evaluate(self.c, X)[0][0, 0]), X[0]

    def _answer(
        self,
        termination: Termination,
        x: FloatArray | None,
        bound: float | None,
        *,
        limit: Limit | None = None,
        detail: str = "",
    ) -> ModelAnswer:
        return cvxpy_answer(termination, x, bound, limit=limit, detail=detail, iterations=self.iterations, solves=self.solves)


def _next_level(low: float, high: float, known: list[tuple[float, float]]) -> float:
    """Where to solve next: the secant's root (in logarithms), kept inside the bracket, else its middle."""
    middle = math.sqrt(low * high) if low > 0.0 else 0.5 * high
    if len(known) < 2 or known[-1][1] == known[-2][1]:
        return middle
    (x0, y0), (x1, y1) = known[-2:]
    guess = math.exp(min(x1 - y1 * (x1 - x0) / (y1 - y0), 700.0))
    return guess if low < guess < high else middle
