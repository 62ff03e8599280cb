"""Certified offloading: Lagrangian bound, elimination by it, enumeration of what is left; CP-SAT when too much is left.

For any loads lambda_s >= 0, (sum b x)^2 >= 2 lambda sum b x - lambda^2, hence

    cost >= sum_i min(L_i, min_s A_is + 2 lambda_s b_is) - sum_s lambda_s^2,

a separable bound. A choice whose own bound exceeds the best known cost cannot be optimal and is struck out; usually
so few remain that all their combinations can be tried. The bound equals the continuous relaxation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from optisolve.core.arrays import BoolArray, FloatArray, IntArray
from optisolve.core.reference import Effort, Reference
from optisolve.core.status import Termination
from optisolve.modelling.answer import certify, proven_infeasible
from optisolve.modelling.cpsat import solve_cpsat
from optisolve.problems.offloading.instance import OffloadingInstance
from optisolve.problems.offloading.model import Costs

__all__ = ["LIMITS", "Limits", "eliminate", "lagrangian_bound", "solve_reference", "sort_and_scan"]

_SOLVER = "offloading_elimination"
_FRANK_WOLFE_STEPS = 1000


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a reference may cost.

    Args:
        combinations: Largest number of remaining combinations that are enumerated.
        deterministic_time: CP-SAT's limit, used when more remain; 0 skips CP-SAT.
    """

    combinations: float
    deterministic_time: float


LIMITS = {Effort.QUICK: Limits(2.0**18, 2.0), Effort.NORMAL: Limits(2.0**22, 20.0), Effort.THOROUGH: Limits(2.0**26, 200.0)}


def solve_reference(instance: OffloadingInstance, limits: Limits) -> Reference:
    """The optimum of an instance with a proof, or the best point and a bound.

    Args:
        instance: The instance.
        limits: How much work to spend.

    Returns:
        PROVEN_OPTIMAL, DUAL_BOUND, or NONE with a detail that starts with ``infeasible:``.
    """
    c = instance.costs
    reason = _impossible(c)
    if reason is not None:
        return proven_infeasible(reason, solver=_SOLVER)
    bound, loads = lagrangian_bound(c)
    candidate = _candidate(instance, loads)
    known = _cost_if_feasible(instance, candidate)
    allowed = eliminate(c, bound, loads, known)
    combinations = float(np.prod(allowed.sum(axis=1), dtype=np.float64))
    if combinations <= limits.combinations:
        return _enumerated(instance, allowed, combinations)
    return _bounded(instance, candidate if np.isfinite(known) else None, bound, limits)


def _impossible(c: Costs) -> str | None:
    """Why no point can be feasible, if one look tells."""
    possible = c.local_allowed | (c.share_floor <= 1.0).any(axis=1)
    if not possible.all():
        return f"user{int(np.argmin(possible))} misses its deadline wherever its task runs"
    if c.transmit.shape[1] == 1:
        need = float(c.share_floor[~c.local_allowed, 0].sum())
        if need > 1.0:
            return f"the users who must offload need {need:.3f} of the server to keep their deadlines"
    return None


def _options(c: Costs, loads: FloatArray) -> FloatArray:
    """Separable cost of every choice at given loads, float64 [N, S + 1]; inf where impossible."""
    local = np.where(c.local_allowed, c.local, np.inf)
    remote = np.where(c.share_floor <= 1.0, c.transmit + 2.0 * loads * c.root, np.inf)
    return np.column_stack([local, remote])


def lagrangian_bound(c: Costs) -> tuple[float, FloatArray]:
    """The best separable lower bound and its loads float64 [S].

    One server: bisection on the decreasing derivative. Several: Frank-Wolfe on the continuous relaxation, whose linear
    subproblem at a point with loads lambda is this very bound.
    """
    best, best_loads = -np.inf, np.zeros(c.transmit.shape[1])

    def offer(loads: FloatArray) -> IntArray:
        nonlocal best, best_loads
        options = _options(c, loads)
        choice: IntArray = np.argmin(options, axis=1)
        value = float(options[np.arange(choice.size), choice].sum() - (loads**2).sum())
        if value > best:
            best, best_loads = value, loads.copy()
        return choice

    if c.transmit.shape[1] == 1:
        low, high = 0.0, float(c.root.sum())
        for _ in range(100):
            middle = 0.5 * (low + high)
            offloaded = offer(np.array([middle])) > 0
            low, high = (middle, high) if c.root[offloaded, 0].sum() > middle else (low, middle)
        offer(np.array([low]))
        offer(np.array([high]))
        return best, best_loads
    _frank_wolfe(c, offer)
    return best, best_loads


def _frank_wolfe(c: Costs, offer: Callable[[FloatArray], IntArray]) -> None:
    """Walk towards the continuous relaxation's optimum, offering the loads of every step."""
    n, n_servers = c.transmit.shape
    users = np.arange(n)
    linear = np.column_stack([c.local, c.transmit])  # [N, S + 1]
    root = np.column_stack([np.zeros(n), c.root])
    x = np.zeros((n, n_servers + 1))
    x[users, np.argmin(_options(c, c.root.sum(axis=0) / n_servers), axis=1)] = 1.0
    for _ in range(_FRANK_WOLFE_STEPS):
        loads = (root * x).sum(axis=0)[1:]
        vertex = np.zeros_like(x)
        vertex[users, offer(loads)] = 1.0
        step = vertex - x
        change = (root * step).sum(axis=0)[1:]
        slope = float((linear * step).sum() + 2.0 * loads @ change)
        curvature = float(change @ change)
        if slope > -1e-14:
            return
        x += min(1.0, -slope / (2.0 * curvature) if curvature > 0.0 else 1.0) * step


def sort_and_scan(c: Costs) -> IntArray:
    """The best prefix of the users in order of (A - L) / b, single server, floors left out; int64 [N].

    A heuristic: exact for the continuous relaxation up to one fractional user, certified afterwards by the bound.
    """
    gain = c.transmit[:, 0] - c.local  # [N], negative when offloading alone would pay
    order = np.argsort(gain / np.maximum(c.root[:, 0], 1e-300), kind="stable")  # tasks without work have b = 0
    cost = np.concatenate([[0.0], np.cumsum(gain[order]) + np.cumsum(c.root[order, 0]) ** 2])
    choice = np.zeros(gain.size, dtype=np.int64)
    choice[order[: int(np.argmin(cost))]] = 1
    return choice


def _candidate(instance: OffloadingInstance, loads: FloatArray) -> FloatArray:
    """A good point, float64 [2N]: sort-and-scan or a descent from the relaxation, repaired when deadlines bind."""
    c = instance.costs
    choice = sort_and_scan(c) if instance.n_servers == 1 else _descend(c, np.argmin(_options(c, loads), axis=1))
    x = instance.complete(choice)
    if instance.hard_deadlines:
        x = instance.complete(instance.project(x)[0, : instance.n_users])
    return x


def _descend(c: Costs, choice: IntArray) -> IntArray:
    """Move one user at a time to where the total falls most, until no move helps; floors left out."""
    n, n_servers = c.transmit.shape
    linear = _options(c, np.zeros(n_servers))
    users = np.arange(n)
    for _ in range(10 * n * n_servers):
        load = np.array([c.root[choice == s + 1, s].sum() for s in range(n_servers)])
        own = np.where(choice > 0, c.root[users, np.maximum(choice - 1, 0)], 0.0)
        saved = linear[users, choice] + np.where(choice > 0, own * (2.0 * load[np.maximum(choice - 1, 0)] - own), 0.0)
        added = linear + np.column_stack([np.zeros(n), c.root * (2.0 * load + c.root)])
        added[users, choice] = saved
        change = added - saved[:, None]
        i, k = np.unravel_index(int(np.argmin(change)), change.shape)
        if change[i, k] >= -1e-12:
            return choice
        choice[i] = k
    return choice


def _cost_if_feasible(instance: OffloadingInstance, x: FloatArray) -> float:
    evaluation = instance.evaluate_twin(x)
    return float(evaluation.F[0, 0]) if evaluation.violation[0] <= 0.0 else np.inf


def eliminate(c: Costs, bound: float, loads: FloatArray, known: float) -> BoolArray:
    """Choices that an optimum may still contain, bool [N, S + 1].

    Args:
        c: Cost terms.
        bound: `lagrangian_bound`.
        loads: Its loads.
        known: Cost of a feasible point, inf when none is known.
    """
    options = _options(c, loads)
    penalty = options - options.min(axis=1, keepdims=True)
    slack = 1e-9 * max(1.0, abs(bound))  # rounding of the sums must not strike out the optimum
    allowed: BoolArray = np.isfinite(options) & (bound + penalty <= known + slack)
    return allowed


def _enumerated(instance: OffloadingInstance, allowed: BoolArray, combinations: float) -> Reference:
    from optisolve.problems.offloading.kernels import enumerate_choices

    c = instance.costs
    cost, choice = enumerate_choices(c.local, c.transmit, c.root, c.share_floor, allowed)
    if not np.isfinite(cost):
        return proven_infeasible(f"none of {combinations:.0f} combinations keeps all deadlines", solver=_SOLVER)
    return certify(
        instance,
        instance.complete(choice),
        dual_bound=float(cost),
        tolerance=1e-9 * max(1.0, abs(float(cost))),
        slack=0.0,
        solver=_SOLVER,
        detail=f"Choices struck out by the Lagrangian bound, all {combinations:.0f} remaining combinations tried.",
    )


def _bounded(instance: OffloadingInstance, x: FloatArray | None, bound: float, limits: Limits) -> Reference:
    """CP-SAT for a better bound and point; the better of both methods counts."""
    solver, version, detail = _SOLVER, "1", "Lagrangian bound and sort-and-scan or descent."
    if limits.deterministic_time > 0.0:
        answer = solve_cpsat(cpsat := instance.model("cpsat"), deterministic_time=limits.deterministic_time)
        if answer.termination is Termination.INFEASIBLE:
            return proven_infeasible("CP-SAT proves that no choice keeps all deadlines", solver=answer.backend)
        solver, version, detail = answer.backend, answer.version, f"{answer.detail} (rounding {cpsat.rounding_error:.1e})."
        if answer.dual_bound is not None:
            bound = max(bound, answer.dual_bound)
        points = [p for p in (x, answer.x) if p is not None]
        x = min(points, key=lambda p: _cost_if_feasible(instance, p), default=None)
    return certify(
        instance,
        x,
        dual_bound=bound,
        tolerance=1e-6 * max(1.0, abs(bound)),
        slack=0.0,
        solver=solver,
        solver_version=version,
        detail=detail,
    )
