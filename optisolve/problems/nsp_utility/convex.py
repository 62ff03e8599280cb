r"""CVXPY for `nsp_utility`: one DCP model per inner problem, and the search over the total power for products.

Rate, bit errors and energy are concave as they stand. Availability and effective throughput are log-concave: at a cap s on the
total power share, V(s) = max log(quality) is a DCP problem and a concave function of s. The utility
:math:`payment\,e^{V(s)} - price\,s` needs a search over s alone. Every solve leaves a cut :math:`V(s) \le \alpha + \nu s` (see
`certificate`), the least of all cuts bounds V, and between two kinks of it the bound on the utility is convex, hence largest
at a kink: the next s is the kink with the largest bound (Kelley's method in one dimension).
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.problem import FEASIBILITY_TOLERANCE
from optisolve.core.status import Limit, Termination
from optisolve.modelling import ModelAnswer
from optisolve.modelling.cvxpy import Parametrized, Solved, cvxpy_answer, cvxpy_module
from optisolve.problems.nsp_utility import model
from optisolve.problems.nsp_utility.certificate import RELAXED_SHARE, Cut, Inner, cut
from optisolve.problems.nsp_utility.model import Constants

__all__ = ["REL_TOLERANCE", "NspModel", "compiled"]

REL_TOLERANCE = 1e-6
"""Distance of value and bound up to which the search goes on and a proof is claimed, relative to what is typically earned, or
to the consumed power."""

TIGHTENING = 1e-7
"""Floors are solved this much tighter, so that points pass verification; bounds use the floors as they are."""

MAX_SOLVES = 60

_ROUNDING = 64 * 2.0**-52
"""Relative rounding of the objective's few terms, the evaluator's included."""

_LARGEST_LOG = 700.0
"""Beyond it exp overflows; no quality is that large."""


@cache
def compiled(goal: str, n_branches: int, outage: bool, bep_max: float | None, rate: bool) -> Parametrized:
    """The model of an inner problem, compiled once per shape.

    Args:
        goal: As in `certificate.Inner`.
        n_branches: M.
        outage: There is a floor on availability.
        bep_max: Floor on bit errors; a constant of the model, since it may not multiply a parameter.
        rate: There is a floor on the rate.
    """
    cp = cvxpy_module()
    q = cp.Variable(n_branches, name="q", nonneg=True)
    snr = cp.Parameter(n_branches, name="snr", nonneg=True)
    cap = cp.Parameter(name="cap", nonneg=True)
    slack = cp.Variable(name="slack") if goal == "feasibility" else 0.0

    def nats() -> Any:
        return cp.sum(cp.log1p(cp.multiply(snr, q)))

    def error() -> Any:
        return 0.5 / n_branches * cp.sum(1.0 - cp.sqrt(1.0 - cp.inv_pos(1.0 + cp.multiply(snr, q))))

    def exponent(name: str) -> Any:
        return cp.sum(cp.multiply(cp.Parameter(n_branches, name=name, nonneg=True), cp.inv_pos(q)))

    floors = {}
    if outage:
        floors["outage"] = exponent("outage_share") <= 1.0 + slack
    if bep_max is not None:
        floors["bep"] = error() / bep_max <= 1.0 - TIGHTENING + slack
    if rate:
        floors["rate"] = nats() >= cp.Parameter(name="nats_min", nonneg=True) - slack
    if goal in ("rate", "bep"):
        price = cp.Parameter(name="price", nonneg=True)
        objective = (nats() if goal == "rate" else -error()) - price * cp.sum(q)
    elif goal == "energy":
        objective = -cp.sum(q)
    elif goal == "feasibility":
        objective = -slack
    else:
        objective = -exponent("exponent") + (cp.log(nats()) if goal == "log_throughput" else 0.0)
    problem = cp.Problem(cp.Maximize(objective), [cp.sum(q) <= cap, *floors.values()])
    return Parametrized(problem, duals=floors, options={"tol_gap_abs": 1e-9, "tol_gap_rel": 1e-9, "tol_feas": 1e-9})


def solve_inner(inner: Inner, share: float, time_limit_s: float | None) -> tuple[Solved, FloatArray | None, Cut | None]:
    """Solve an inner problem at a cap on the total power share.

    Returns:
        What CVXPY says; scaled powers, float64 [M], when there are any; a valid cut when there are multipliers.
    """
    has_outage, has_rate = inner.exponent_max is not None, inner.nats_min is not None
    parametrized = compiled(inner.goal, inner.snr.size, has_outage, inner.bep_max, has_rate)
    parameters: dict[str, FloatArray | float] = {"cap": share}
    if inner.goal in ("rate", "bep", "log_throughput") or has_rate or inner.bep_max is not None:
        parameters["snr"] = inner.snr
    if inner.goal in ("rate", "bep"):
        parameters["price"] = inner.price
    if inner.goal.startswith("log_"):
        parameters["exponent"] = inner.threshold / inner.snr
    if inner.exponent_max is not None:
        parameters["outage_share"] = inner.threshold / inner.snr / (inner.exponent_max * (1.0 - TIGHTENING))
    if inner.nats_min is not None:
        parameters["nats_min"] = inner.nats_min * (1.0 + TIGHTENING)
    solved = parametrized.solve(parameters, time_limit_s=time_limit_s)
    if not solved.values:
        return solved, None, None
    q = np.maximum(solved.values["q"], 0.0)
    if solved.termination not in (Termination.OPTIMAL, Termination.CONVERGED):
        return solved, q, None
    scale = {"outage": 1.0, "bep": 1.0, "rate": inner.nats_min or 0.0}
    return solved, q, cut(inner, q, {name: scale[name] * float(dual[0]) for name, dual in solved.duals.items()}, share)


@dataclass(frozen=True, slots=True)
class NspModel:
    """The model that an instance hands out for ``"cvxpy"``.

    Args:
        constants: Goal and constants of the instance.
        gain: float64 [M], linear.
    """

    constants: Constants
    gain: FloatArray

    def solve(self, *, time_limit_s: float | None = None) -> ModelAnswer:
        """Solve by one DCP problem, or by the search over the total power; see the module's head."""
        search = _Search(self, time_limit_s)
        if model.evaluate(self.constants, self.gain, self._everything)[1][0, 1:].max(initial=0.0) > 2.0 * FEASIBILITY_TOLERANCE:
            detail = "even the whole power on every branch at once would not do"
            return cvxpy_answer(Termination.INFEASIBLE, None, None, limit=None, detail=detail, iterations=0, solves=0)
        if self.constants.goal == "energy" and not self.has_floors:
            nothing, least = np.zeros(self.gain.size), self.constants.p_circuit_w
            detail = "nothing is asked, so no power is spent"
            return cvxpy_answer(Termination.OPTIMAL, nothing, least, limit=None, detail=detail, iterations=0, solves=0)
        answer = search.single() if self._is_direct else search.product()
        if answer.termination in (Termination.OPTIMAL, Termination.LIMIT):
            return answer
        return search.explain(answer)

    @property
    def inner(self) -> Inner:
        """The inner problem in scaled powers."""
        c, P = self.constants, self.constants.p_total_w
        goal = f"log_{c.goal}" if c.goal in ("availability", "throughput") else c.goal
        return Inner(
            goal=goal,
            snr=self.gain * P / c.noise_w,
            threshold=c.snr_threshold,
            price=c.price_per_w * P / (c.payment * self.quality_scale) if c.goal in ("rate", "bep") else 0.0,
            exponent_max=None if c.outage_max is None else -math.log1p(-c.outage_max),
            bep_max=c.bep_max,
            nats_min=None if c.rate_min_mbps is None else c.rate_min_mbps / self.mbps_per_nat,
        )

    @property
    def mbps_per_nat(self) -> float:
        """Bandwidth in MHz over ln 2."""
        return 1e-6 * self.constants.bandwidth_hz / math.log(2.0)

    @property
    def quality_scale(self) -> float:
        """Quality per unit of the inner objective (or of its exponential)."""
        return self.mbps_per_nat if self.constants.goal in ("rate", "throughput") else 1.0

    @property
    def _is_direct(self) -> bool:
        return self.constants.goal not in ("availability", "throughput") or self.constants.price_per_w == 0.0

    @property
    def has_floors(self) -> bool:
        """Whether anything but the total power is constrained."""
        c = self.constants
        return not (c.outage_max is None and c.bep_max is None and c.rate_min_mbps is None)

    @property
    def _everything(self) -> FloatArray:
        """Every branch at the whole cap, float64 [1, M], W: more than any point can have."""
        return np.full((1, self.gain.size), self.constants.p_total_w)

    def tolerance(self, dual_bound: float | None) -> float:
        """Distance of value and bound up to which a proof is claimed, in the objective's unit.

        Args:
            dual_bound: The bound, in the objective's unit; consumed power is measured by it.
        """
        c = self.constants
        if c.goal == "energy":
            return REL_TOLERANCE * abs(dual_bound or 0.0)
        return REL_TOLERANCE * c.payment * model.typical_quality(c, self.gain)

    def outer(self, f: float, share: float = 0.0) -> float:
        """A bound on the instance's objective from one on the inner value, with room for the rounding of this formula.

        Args:
            f: Upper bound on the inner objective.
            share: Sum of the scaled powers, for products.
        """
        c, f = self.constants, min(f, _LARGEST_LOG) if self.inner.goal.startswith("log_") else f
        if c.goal == "energy":
            return (c.p_circuit_w - c.p_total_w * f) * (1.0 - _ROUNDING)
        if c.goal in ("rate", "bep"):
            terms = [c.payment_base, c.payment * self.quality_scale * f, c.payment if c.goal == "bep" else 0.0]
        else:
            terms = [c.payment_base, c.payment * self.quality_scale * math.exp(f), -c.price_per_w * c.p_total_w * share]
        return sum(terms) + _ROUNDING * (sum(abs(t) for t in terms) + c.price_per_w * c.p_total_w)

    def point(self, q: FloatArray) -> FloatArray:
        """Powers from scaled powers, with rounding repaired, float64 [M], W."""
        P = self.constants.p_total_w
        x: FloatArray = model.project(self.constants, self.gain, np.minimum(q[None] * P, P))[0]
        return x

    def value(self, x: FloatArray) -> float | None:
        """Objective of the point by the twin; None when it violates a constraint."""
        F, G = model.evaluate(self.constants, self.gain, x[None])
        return float(F[0, 0]) if G.max() <= FEASIBILITY_TOLERANCE else None


class _Search:
    """Counts solves and time of one call of `NspModel.solve`."""

    def __init__(self, owner: NspModel, time_limit_s: float | None) -> None:
        self.owner, self.inner = owner, owner.inner
        self.deadline = math.inf if time_limit_s is None else time.perf_counter() + time_limit_s
        self.solves = self.iterations = 0

    def single(self) -> ModelAnswer:
        """One solve at full power."""
        solved, q, bound = self._node(self.inner, 1.0)
        dual_bound = None if bound is None else self.owner.outer(bound.at(RELAXED_SHARE))
        x = None if q is None else self.owner.point(q)
        termination = solved.termination
        if termination in (Termination.OPTIMAL, Termination.CONVERGED):  # our own bound decides, not the back end
            value = None if x is None else self.owner.value(x)
            gap = math.inf if value is None or dual_bound is None else abs(value - dual_bound)
            termination = Termination.OPTIMAL if gap <= self.owner.tolerance(dual_bound) else Termination.CONVERGED
        return self._answer(termination, x, dual_bound, limit=solved.limit, detail=solved.detail)

    def product(self) -> ModelAnswer:
        """Kelley's method over the total power share."""
        owner = self.owner
        lowest, answer = self._lowest_share()
        if answer is not None:
            return answer
        best, best_x, cuts = -math.inf, None, list[Cut]()
        share, smallest, bound = 1.0, 1.0, math.inf
        termination, limit, detail = Termination.LIMIT, Limit.ITERATIONS, ""
        while self.solves < MAX_SOLVES:
            solved, q, found = self._node(self.inner, share)
            detail = solved.detail
            if q is not None:
                x = owner.point(q)
                value = owner.value(x)
                if value is not None and value > best:
                    best, best_x = value, x
            if found is None:
                termination, limit = solved.termination, solved.limit or Limit.ITERATIONS
                break
            cuts.append(found)
            smallest = min(smallest, share)
            share, bound = self._best_kink(cuts, lowest)
            if bound - best <= 0.5 * owner.tolerance(bound):
                termination = Termination.OPTIMAL
                break
            share = min(1.0, max(share, 0.5 * smallest if lowest == 0.0 else lowest * (1.0 + 4.0 * TIGHTENING)))
        return self._answer(
            termination,
            best_x,
            bound if cuts else None,
            limit=limit if termination is Termination.LIMIT else None,
            detail=detail,
        )

    def explain(self, answer: ModelAnswer) -> ModelAnswer:
        """After a failure: INFEASIBLE only when our own bound proves it, else what the back end said."""
        if answer.termination is not Termination.INFEASIBLE:
            return answer
        inner = replace(self.inner, goal="feasibility")
        _, _, bound = self._node(inner, 1.0)
        if bound is not None and bound.at(RELAXED_SHARE) < 0.0:
            return self._answer(Termination.INFEASIBLE, None, None, detail="the floors exclude each other, by a dual bound")
        return self._answer(Termination.NUMERICAL_ERROR, None, None, detail=f"infeasible without a proof; {answer.detail}")

    def _lowest_share(self) -> tuple[float, ModelAnswer | None]:
        """Lower bound on the power share that meets all floors; an answer when that fails."""
        if not self.owner.has_floors:
            return 0.0, None
        solved, _, bound = self._node(replace(self.inner, goal="energy"), 1.0)
        if bound is None:
            return 0.0, self._answer(solved.termination, None, None, limit=solved.limit, detail=solved.detail)
        return min(1.0, max(0.0, -bound.at(RELAXED_SHARE)) * (1.0 - _ROUNDING)), None

    def _best_kink(self, cuts: list[Cut], lowest: float) -> tuple[float, float]:
        """Share with the largest bound on the utility, and that bound over all shares that a verified point can have."""
        shares = {lowest, RELAXED_SHARE}
        for i, a in enumerate(cuts):
            for b in cuts[:i]:
                if a.nu != b.nu:
                    crossing = (b.alpha - a.alpha) / (a.nu - b.nu)
                    if lowest < crossing < RELAXED_SHARE:
                        shares.add(crossing)
        bounds = [(self.owner.outer(min(c.at(share) for c in cuts), share), share) for share in sorted(shares)]
        bound, share = max(bounds)
        return share, bound

    def _node(self, inner: Inner, share: float) -> tuple[Solved, FloatArray | None, Cut | None]:
        left = None if self.deadline == math.inf else self.deadline - time.perf_counter()
        solved, q, bound = solve_inner(inner, share, left)
        self.solves, self.iterations = self.solves + 1, self.iterations + solved.iterations
        return solved, q, bound

    def _answer(
        self,
        termination: Termination,
        x: FloatArray | None,
        dual_bound: float | None,
        *,
        limit: Limit | None = None,
        detail: str = "",
    ) -> ModelAnswer:
        return cvxpy_answer(
            termination, x, dual_bound, limit=limit, detail=detail, iterations=self.iterations, solves=self.solves
        )
