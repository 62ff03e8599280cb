"""References of `power_control`: every value is re-evaluated by the numpy twin, every bound is rebuilt here.

| goal | point | bound |
|---|---|---|
| least power | solution of ``p = I(p)`` | powers that provably are componentwise least |
| max-min | Perron vector | the best link's SINR at any powers that touch a cap |
| rates, energy efficiency | WMMSE, on/off search, local ascent, branch and bound | branch and bound, also in clusters |

Floors may be missed by the feasibility tolerance: what that can save is the slack of the least power, and the branch and bound
of the rates works with such floors from the start. Infeasibility is proven, by the spectral radius or the cap that the least
powers break, only where not even such floors can be met.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.clock import so_far, time_is_up, time_left
from optisolve.core.problem import FEASIBILITY_TOLERANCE
from optisolve.core.reference import Effort, Reference
from optisolve.core.seeds import generator
from optisolve.modelling.answer import certify, proven_infeasible
from optisolve.numerics.clustered_bound import clustered_bound
from optisolve.numerics.interference import (
    balanced_rate_bound,
    balanced_sinr,
    fixed_point,
    least_powers,
    least_total_power,
)
from optisolve.numerics.mixed_monotonic import RateProgram, maximize_rate
from optisolve.numerics.wmmse import normalized_gain, on_off_search, wmmse
from optisolve.problems.power_control.convex import balanced_sinr_gp, least_power_lp
from optisolve.problems.power_control.instance import PowerControlInstance
from optisolve.problems.power_control.model import Goal

__all__ = [
    "CLUSTER",
    "RATE_GAP",
    "USEFUL",
    "Work",
    "good_points",
    "least_power",
    "local_ascent",
    "max_min",
    "rate",
    "reference",
]

VERSION = "2"
RATE_GAP = 1e-4
"""Relative gap at which a rate counts as proven."""

USEFUL = 0.75
"""Share of the best known value by which a bound may be above it; a bound further away says nothing about the value."""

CLUSTER = 10
"""Links that a branch and bound closes in a second, and those of a cluster."""

SEARCHED = 24
"""Links up to which the whole channel is searched; beyond, its clusters are."""

_EXACT = 1e-6
"""The same for the goals with an exact method."""


_AT_ONCE = 16
"""Starts of WMMSE that run together where the time is limited."""


@dataclass(frozen=True, slots=True)
class Work:
    """How much work a rate reference may cost.

    Args:
        max_nodes: Boxes of the branch and bound for up to 10 links; fewer beyond, in proportion to 1 / K^2; and of all
            clusters together.
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


def least_power(instance: PowerControlInstance) -> Reference:
    """Least total power; proven when the powers that are provably least confirm the solution of ``p = I(p)``.

    Args:
        instance: An instance that is not proven infeasible.
    """
    arrays = (instance.gain, instance.noise_w, instance.sinr_floor)
    least = least_total_power(*arrays, instance.p_max_w)
    iterated = fixed_point(*arrays)
    agreed = iterated is not None and np.allclose(iterated, least.points_w[0], rtol=1e-9, atol=0.0)
    program = least_power_lp(*arrays, instance.p_max_w)
    detail = f"p = I(p) by elimination; iteration {'agrees' if agreed else 'did not settle'}; LP: {program.status}"
    fits = instance.evaluate_twin(least.points_w).max_violation <= FEASIBILITY_TOLERANCE
    x, slack = least.points_w[int(np.argmax(fits))], least.bound_w - least.verified_bound_w
    return _finished(instance, x, least.bound_w, _EXACT, solver="linear_solve+highs", detail=detail, slack=slack)


def max_min(instance: PowerControlInstance, *, second_opinion: bool) -> Reference:
    """Largest worst rate: Perron vector for the point, its best link for the bound, geometric program as second opinion.

    Args:
        instance: An instance without floors.
        second_opinion: Also solve the geometric program and say whether it agrees.
    """
    arrays = (instance.gain, instance.noise_w, instance.p_max_w)
    value, powers = balanced_sinr(*arrays)
    detail, bound = "Perron vector; bound by its best link", balanced_rate_bound(powers, *arrays)
    if second_opinion:
        so_far(_finished(instance, powers, bound, _EXACT, solver="perron", detail=detail))
        other = balanced_sinr_gp(*arrays)
        agrees = other is not None and abs(other - value) <= 1e-5 * value
        detail += f"; geometric program {'agrees' if agrees else f'gives SINR {other}'}"
    return _finished(instance, powers, bound, _EXACT, solver="perron", detail=detail)


def rate(instance: PowerControlInstance, work: Work, *, out_of_time: Callable[[], bool] | None = None) -> Reference:
    """Best known point and certified bound for the sum rate, the weighted sum rate and the energy efficiency.

    Args:
        instance: A feasible instance.
        work: Deterministic limits.
        out_of_time: Optional further limit, asked every few thousand boxes; None is the time that is left for the reference.
    """
    n_links = instance.p_max_w.size
    points = good_points(instance, work)
    start = points[_best(instance, points)]
    _tell(instance, start[None, :])
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
    searched, stop = start[None, :], out_of_time or time_is_up
    if n_links <= SEARCHED:
        max_nodes = work.max_nodes if n_links <= CLUSTER else max(1, int(work.max_nodes * (CLUSTER / n_links) ** 2))
        # Half the gap is left for rounding and for the repair of floors.
        search = maximize_rate(program, start_w=start, gap=0.5 * RATE_GAP, max_nodes=max_nodes, out_of_time=stop)
        if search.powers_w is None and search.closed:
            return proven_infeasible("no box of powers meets the floors", solver="branch_and_bound", solver_version=VERSION)
        if search.powers_w is not None:
            searched = np.vstack([start, instance.project(search.powers_w)])
        bound, solver = search.dual_bound, "branch_and_bound"
        told = f"branch and bound, {search.nodes} boxes, {'gap closed' if search.closed else 'stopped at a limit'}"
    else:
        least = instance.least_verified_w
        clusters = clustered_bound(program, least_w=least, size=CLUSTER, max_nodes=work.max_nodes, out_of_time=stop)
        bound, solver = clusters.bound, "clustered_branch_and_bound"
        ending = ", stopped at the limit on time" if stop() else ""
        told = f"bound from {clusters.clusters} clusters of at most {CLUSTER} links, {clusters.nodes} boxes{ending}"
    best = searched[_best(instance, searched)]
    detail = f"{told}; {'' if time_left() is None else 'at most '}{work.n_starts} WMMSE starts"
    found = _finished(instance, best, bound, RATE_GAP, solver=solver, detail=detail)
    return found if n_links <= SEARCHED else _useful(found)


def _useful(reference: Reference) -> Reference:
    """The reference without a bound that is further than `USEFUL` above the value: losses are measured to the value then."""
    value, bound = reference.value, reference.dual_bound
    if value is None or bound is None or bound <= (1.0 + USEFUL) * value:
        return reference
    away = f"{100.0 * (bound - value) / value:.0f} % above the best known value" if value > 0.0 else "above a value of 0"
    told = f"No useful bound: {bound:.6g} is proven, {away}; more than {100.0 * USEFUL:.0f} % counts as none"
    return replace(reference.withdrawn(""), detail=f"{told}; {reference.detail}")


def good_points(instance: PowerControlInstance, work: Work) -> FloatArray:
    """Feasible points worth starting from, float64 [n, K], W: WMMSE, on/off search, the least powers, local ascents.

    Where the time is limited, new work is begun in its first half only, the rest is for the bound.
    """
    begin = time_left()

    def late() -> bool:
        return begin is not None and (time_left() or 0.0) < 0.5 * begin

    rng = generator(0, problem="power_control", purpose="reference_starts")
    n_links = instance.p_max_w.size
    scaled = normalized_gain(instance.gain, instance.noise_w, instance.p_max_w)
    starts = np.vstack([np.ones(n_links), rng.random((work.n_starts, n_links))])
    ascended = np.empty((0, n_links))  # [S, K]
    for group in [starts] if begin is None else np.array_split(starts, -(-len(starts) // _AT_ONCE)):
        if len(ascended) and late():
            break
        ascended = np.vstack([ascended, wmmse(scaled[None], instance.weight[None], group[None])[0][0]])
        if begin is not None:
            _tell(instance, instance.project(ascended * instance.p_max_w))
    rates = np.argsort(-(instance.evaluate(instance.project(ascended * instance.p_max_w)).F[:, 0]), kind="stable")
    switched = [on_off_search(scaled, instance.weight, ascended[i])[0] for i in rates[: work.n_polished] if not late()]
    alone = [on_off_search(scaled, instance.weight, row)[0] for row in np.eye(n_links)[: work.n_polished] if not late()]
    points = instance.project(np.vstack([ascended, *switched, *alone, np.zeros(n_links)]) * instance.p_max_w)
    if instance.goal is not Goal.ENERGY_EFFICIENCY and not instance.constraint_names:
        return points
    order = np.argsort(-instance.evaluate(points).F[:, 0], kind="stable")[: work.n_polished]
    return np.vstack([points, *(local_ascent(instance, points[i]) for i in order if not late())])


def _tell(instance: PowerControlInstance, X: FloatArray) -> None:
    """The best of some points is what is known until now."""
    x = X[_best(instance, X)]
    so_far(certify(instance, x, dual_bound=None, tolerance=0.0, slack=0.0, solver="wmmse", solver_version=VERSION))


def _best(instance: PowerControlInstance, X: FloatArray) -> int:
    """Row of the best feasible point by the numpy twin."""
    evaluation = instance.evaluate_twin(X)
    value = np.where(evaluation.violation <= 0.0, evaluation.F[:, 0] * instance.signs[0], np.inf)
    return int(np.argmin(value))


def _finished(
    instance: PowerControlInstance,
    x: FloatArray,
    bound: float,
    relative: float,
    *,
    solver: str,
    detail: str,
    slack: float = 0.0,
) -> Reference:
    """Claim no more than the comparison of the re-evaluated value with its bound shows."""
    common = {"solver": solver, "solver_version": VERSION, "detail": detail}
    return certify(instance, x, dual_bound=bound, tolerance=relative * abs(bound), slack=slack, **common)


def local_ascent(instance: PowerControlInstance, start_w: FloatArray, *, max_iterations: int = 100) -> FloatArray:
    """Improve a point by SLSQP with analytic gradients; floors are linear in the powers.

    Args:
        instance: Goal sum rate, weighted sum rate or energy efficiency.
        start_w: float64 [K], feasible, W.
        max_iterations: SLSQP iterations.

    Returns:
        float64 [K], feasible, W; the start when nothing better was found.
    """
    from scipy.optimize import LinearConstraint, minimize

    scaled = instance.gain * instance.p_max_w / instance.noise_w[:, None]  # noise 1, powers in [0, 1]
    own = np.diag(scaled)
    cross = scaled - np.diag(own)
    efficiency = instance.goal is Goal.ENERGY_EFFICIENCY
    circuit, slope = (instance.circuit_power_w, instance.power_slope * instance.p_max_w) if efficiency else (1.0, 0.0)

    def loss(y: FloatArray) -> tuple[float, FloatArray]:
        heard = 1.0 + cross @ y
        received = heard + own * y
        consumed = circuit + float(np.sum(slope * y))
        rate = float(instance.weight @ np.log(received / heard))
        slope_of_rate = own * instance.weight / received + cross.T @ (instance.weight * (1.0 / received - 1.0 / heard))
        return -rate / consumed, -(slope_of_rate - rate / consumed * slope) / consumed

    floors = instance.sinr_floor
    rows = np.diag(own) - floors[:, None] * cross  # rows @ y >= floors
    asked = floors > 0.0
    found = minimize(
        loss,
        start_w / instance.p_max_w,
        jac=True,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * own.size,
        constraints=[LinearConstraint(rows[asked], floors[asked], np.inf)] if asked.any() else [],
        options={"maxiter": max_iterations, "ftol": 1e-12},
    )
    if not np.isfinite(found.x).all():
        return start_w
    candidates = np.vstack([start_w, instance.project(found.x * instance.p_max_w)[0]])
    evaluation = instance.evaluate(candidates)
    better = evaluation.violation[1] <= 0.0 and evaluation.F[1, 0] > evaluation.F[0, 0]
    return candidates[1] if better else start_w
