"""References of `power_control`: every value is re-evaluated by the numpy twin, every bound is rebuilt here.

| goal | point | bound |
|---|---|---|
| least power | solution of ``p = I(p)`` | multipliers of the linear program |
| max-min | Perron vector | upper end of the bisection |
| rates, energy efficiency | WMMSE, on/off search, local ascent, branch and bound | mixed-monotonic branch and bound |

An infeasible instance gets evidence NONE and the proof as text: the spectral radius, or the cap that the least powers break.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.reference import Effort, Reference
from optisolve.core.seeds import generator
from optisolve.modelling.answer import certify, proven_infeasible
from optisolve.numerics.interference import balanced_sinr, bisect_balanced_sinr, fixed_point, least_powers
from optisolve.numerics.mixed_monotonic import RateProgram, maximize_rate
from optisolve.numerics.wmmse import normalized_gain, on_off_search, wmmse
from optisolve.problems.power_control.ascent import local_ascent
from optisolve.problems.power_control.convex import balanced_sinr_gp, least_power_lp
from optisolve.problems.power_control.instance import PowerControlInstance
from optisolve.problems.power_control.model import Goal

__all__ = ["RATE_GAP", "Work", "good_points", "least_power", "max_min", "rate", "reference"]

VERSION = "1"
RATE_GAP = 1e-4
"""Relative gap at which a rate counts as proven."""

_EXACT = 1e-6
"""The same for the goals with an exact method."""


@dataclass(frozen=True, slots=True)
class Work:
    """How much work a rate reference may cost.

    Args:
        max_nodes: Boxes of the branch and bound for up to 10 links; fewer beyond, in proportion to 1 / K^2.
        n_starts: Random starts of WMMSE.
        n_polished: Best of those points that get a local ascent.
    """

    max_nodes: int
    n_starts: int
    n_polished: int


_WORK = {
    Effort.QUICK: Work(150_000, 32, 4),
    Effort.NORMAL: Work(1_000_000, 256, 8),
    Effort.THOROUGH: Work(5_000_000, 2048, 32),
}


def reference(instance: PowerControlInstance, effort: Effort) -> Reference:
    """The reference for whatever the instance's goal is."""
    proof = least_powers(instance.gain, instance.noise_w, instance.sinr_floor, instance.p_max_w).reason
    if proof:
        return proven_infeasible(proof, solver="least_powers", solver_version=VERSION)
    if instance.goal is Goal.MIN_POWER:
        return least_power(instance)
    if instance.goal is Goal.MAX_MIN:
        return max_min(instance, second_opinion=effort is not Effort.QUICK)
    return rate(instance, _WORK[effort])


def least_power(instance: PowerControlInstance, *, max_iterations: int | None = None) -> Reference:
    """Least total power; proven when the multipliers of the linear program confirm the exact solution.

    Args:
        instance: A feasible instance.
        max_iterations: Limit of the linear program, for those who want to see what a limit does to the evidence.
    """
    arrays = (instance.gain, instance.noise_w, instance.sinr_floor)
    exact = least_powers(*arrays, instance.p_max_w).powers_w
    assert exact is not None  # the caller made sure that the instance is feasible
    program = least_power_lp(*arrays, instance.p_max_w, max_iterations=max_iterations)
    iterated = fixed_point(*arrays)
    agreed = iterated is not None and np.allclose(iterated, exact, rtol=1e-9)
    detail = f"p = I(p) by elimination; iteration {'agrees' if agreed else 'did not settle'}; LP: {program.status}"
    return _finished(instance, exact, program.dual_bound_w, _EXACT, solver="linear_solve+highs", detail=detail)


def max_min(instance: PowerControlInstance, *, second_opinion: bool, max_rounds: int = 200) -> Reference:
    """Largest worst rate: Perron vector for the point, bisection for the bound, geometric program as second opinion.

    Args:
        instance: An instance without floors.
        second_opinion: Also solve the geometric program and say whether it agrees.
        max_rounds: Limit of the bisection.
    """
    arrays = (instance.gain, instance.noise_w, instance.p_max_w)
    value, powers = balanced_sinr(*arrays)
    _, unreachable = bisect_balanced_sinr(*arrays, max_rounds=max_rounds)
    detail = "Perron vector; bound by bisection"
    if second_opinion:
        other = balanced_sinr_gp(*arrays)
        agrees = other is not None and abs(other - value) <= 1e-5 * value
        detail += f"; geometric program {'agrees' if agrees else f'gives SINR {other}'}"
    return _finished(instance, powers, float(np.log2(1.0 + unreachable)), _EXACT, solver="perron+bisection", detail=detail)


def rate(instance: PowerControlInstance, work: Work, *, out_of_time: Callable[[], bool] | None = None) -> Reference:
    """Best known point and certified bound for the sum rate, the weighted sum rate and the energy efficiency.

    Args:
        instance: A feasible instance.
        work: Deterministic limits.
        out_of_time: Optional further limit, asked every few thousand boxes.
    """
    n_links = instance.p_max_w.size
    points = good_points(instance, work)
    start = points[_best(instance, points)]
    efficiency = instance.goal is Goal.ENERGY_EFFICIENCY
    program = RateProgram(
        gain=instance.gain,
        noise_w=instance.noise_w,
        p_max_w=instance.p_max_w,
        weight=instance.weight,
        sinr_floor=instance.sinr_floor,
        circuit_power_w=instance.circuit_power_w if efficiency else 1.0,
        slope=instance.power_slope if efficiency else 0.0,
    )
    max_nodes = work.max_nodes if n_links <= 10 else max(1, int(work.max_nodes * (10 / n_links) ** 2))
    # Half the gap is left for rounding and for the repair of floors.
    search = maximize_rate(program, start_w=start, gap=0.5 * RATE_GAP, max_nodes=max_nodes, out_of_time=out_of_time)
    found = start[None, :] if search.powers_w is None else np.vstack([start, instance.project(search.powers_w)])
    ending = "gap closed" if search.closed else "stopped at a limit"
    detail = f"branch and bound, {search.nodes} boxes, {ending}; {work.n_starts} WMMSE starts"
    best = found[_best(instance, found)]
    return _finished(instance, best, search.dual_bound, RATE_GAP, solver="branch_and_bound", detail=detail)


def good_points(instance: PowerControlInstance, work: Work) -> FloatArray:
    """Feasible points worth starting from, float64 [n, K], W: WMMSE, on/off search, the least powers, local ascents."""
    rng = generator(0, problem="power_control", purpose="reference_starts")
    n_links = instance.p_max_w.size
    scaled = normalized_gain(instance.gain, instance.noise_w, instance.p_max_w)
    starts = np.vstack([np.ones(n_links), rng.random((work.n_starts, n_links))])
    ascended = wmmse(scaled[None], instance.weight[None], starts[None])[0][0]  # [S, K]
    rates = np.argsort(-(instance.evaluate(instance.project(ascended * instance.p_max_w)).F[:, 0]), kind="stable")
    switched = [on_off_search(scaled, instance.weight, ascended[i])[0] for i in rates[: work.n_polished]]
    alone = [on_off_search(scaled, instance.weight, row)[0] for row in np.eye(n_links)[: work.n_polished]]
    points = instance.project(np.vstack([ascended, *switched, *alone, np.zeros(n_links)]) * instance.p_max_w)
    if instance.goal is not Goal.ENERGY_EFFICIENCY and not instance.constraint_names:
        return points
    order = np.argsort(-instance.evaluate(points).F[:, 0], kind="stable")[: work.n_polished]
    return np.vstack([points, *(local_ascent(instance, points[i]) for i in order)])


def _best(instance: PowerControlInstance, X: FloatArray) -> int:
    """Row of the best feasible point by the numpy twin."""
    evaluation = instance.evaluate_twin(X)
    value = np.where(evaluation.violation <= 0.0, evaluation.F[:, 0] * instance.signs[0], np.inf)
    return int(np.argmin(value))


def _finished(
    instance: PowerControlInstance, x: FloatArray, bound: float, relative: float, *, solver: str, detail: str
) -> Reference:
    """Claim no more than the comparison of the re-evaluated value with its bound shows."""
    tolerance = relative * max(abs(bound), 1e-300)
    common = {"solver": solver, "solver_version": VERSION, "detail": detail}
    return certify(instance, x, dual_bound=bound if np.isfinite(bound) else None, tolerance=tolerance, slack=0.0, **common)
