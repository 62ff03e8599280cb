"""Certified offloading: Lagrangian bound, elimination by it, enumeration of what is left; CP-SAT when too much is left.

For any loads lambda_s >= 0, (sum b x)^2 >= 2 lambda sum b x - lambda^2, hence

    cost >= sum_i min(L_i, min_s A_is + 2 lambda_s b_is) - sum_s lambda_s^2,

a separable bound. Enumerated combinations are bounded by the Lagrangian of their shares; their values come from the twin.
A choice whose own bound exceeds the best known cost cannot be optimal and is struck out; usually
so few remain that all their combinations can be tried. The bound equals the continuous relaxation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from optisolve.core.arrays import BoolArray, FloatArray, IntArray
from optisolve.core.problem import FEASIBILITY_TOLERANCE
from optisolve.core.reference import Effort, Reference
from optisolve.core.status import Termination
from optisolve.modelling.answer import certify, proven_infeasible
from optisolve.modelling.cpsat import solve_cpsat
from optisolve.problems.offloading.forms import VERIFIED
from optisolve.problems.offloading.instance import OffloadingInstance
from optisolve.problems.offloading.model import Costs, shares_of_set

__all__ = ["LIMITS", "Limits", "eliminate", "lagrangian_bound", "solve_reference", "sort_and_scan"]

_SOLVER = "offloading_elimination"
_FRANK_WOLFE_STEPS = 1000
_EXACT = 1e-9
"""Distance of value and bound, relative to the objective's gap scale, that enumeration in floating point leaves."""
_ROUNDED = 1e-6
"""The same for integer models, whose numbers are rounded to steps far below it."""
_ROUNDING = 1e-12
"""Violation that is no more than the rounding of sums of shares."""
_EPS = float(np.finfo(np.float64).eps)


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

    The same search runs twice: on the instance, which gives the bound, and on the relaxed instance that all verified points
    satisfy, which says how far one of them may lie beyond it.

    Args:
        instance: The instance.
        limits: How much work to spend.

    Returns:
        PROVEN_OPTIMAL, DUAL_BOUND or PROVEN_INFEASIBLE.
    """
    relaxed = instance.relaxed_costs(VERIFIED)
    reason = _impossible(relaxed)
    if reason is not None:
        return proven_infeasible(reason, solver=_SOLVER)
    candidate = None if _impossible(instance.costs) else _candidate(instance, lagrangian_bound(instance.costs)[1])
    known = np.inf if candidate is None else _cost_if_feasible(instance, candidate)
    strict = _search(instance.costs, known if _keeps_all(instance, candidate) else np.inf, limits)
    loose = _search(relaxed, known, limits)
    if loose.choice is None or (strict.choice is None and np.isfinite(loose.bound)):
        return _bounded(instance, candidate if np.isfinite(known) else None, loose.bound, limits)
    if not np.isfinite(loose.bound) or strict.choice is None:
        return proven_infeasible(f"none of {loose.combinations:.0f} combinations keeps all deadlines", solver=_SOLVER)
    found = strict if np.isfinite(strict.bound) else loose  # at the edge only what verification forgives makes it feasible
    bound, choice = found.bound, loose.choice if found.choice is None else found.choice
    return certify(
        instance,
        _shared_best(instance, choice),
        dual_bound=bound,
        tolerance=_EXACT * instance.objectives[0].gap_scale(bound),
        slack=max(0.0, bound - loose.bound),
        solver=_SOLVER,
        detail=f"Choices struck out by the Lagrangian bound, all {found.combinations:.0f} remaining combinations tried.",
    )


@dataclass(frozen=True, eq=False, slots=True)
class _Found:
    """What elimination and enumeration found.

    Args:
        bound: Lower bound on the cost; inf when nothing is feasible.
        choice: int64 [N] of the lowest, None when too many combinations remain.
        combinations: How many remained.
    """

    bound: float
    choice: IntArray | None
    combinations: float


def _search(c: Costs, known: float, limits: Limits) -> _Found:
    from optisolve.problems.offloading.kernels import enumerate_choices

    if _impossible(c):
        return _Found(np.inf, np.zeros(c.local.size, dtype=np.int64), 0.0)
    bound, loads = lagrangian_bound(c)
    allowed = eliminate(c, bound, loads, known)
    combinations = float(np.prod(allowed.sum(axis=1), dtype=np.float64))
    if combinations > limits.combinations:
        return _Found(bound, None, combinations)
    cost, choice = enumerate_choices(c.local, c.transmit, c.root, c.share_floor, allowed)
    return _Found(float(cost), choice, combinations)


def _shared_best(instance: OffloadingInstance, choice: IntArray) -> FloatArray:
    """The point of a choice with the best shares; with half of what verification forgives where they do not fit exactly."""
    x = instance.complete(choice)
    if instance.evaluate_twin(x).violation[0] <= 0.0:
        return x
    half = 0.5 * FEASIBILITY_TOLERANCE
    c = instance.relaxed_costs(half)
    for s in range(instance.n_servers):
        on = np.flatnonzero(choice == s + 1)
        share = shares_of_set(c.root[on, s], c.share_floor[on, s])
        if share is not None:
            x[instance.n_users + on] = share * (1.0 + half)
    point: FloatArray = instance.space.clip(x[None])[0]
    return point


def _impossible(c: Costs) -> str | None:
    """Why no point can be feasible, if one look tells."""
    possible = c.local_allowed | (c.share_floor <= 1.0).any(axis=1)
    if not possible.all():
        return f"user{int(np.argmin(possible))} misses its deadline wherever its task runs"
    if c.transmit.shape[1] == 1:  # what must go to the one server
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
        chosen, paid = float(options[np.arange(choice.size), choice].sum()), float((loads**2).sum())
        value = chosen - paid - _EPS * (choice.size + loads.size + 4) * (chosen + paid)  # less its rounding
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
        if slope > -1e-14 * float((linear * x).sum() + loads @ loads):
            return
        x += min(1.0, -slope / (2.0 * curvature) if curvature > 0.0 else 1.0) * step


def sort_and_scan(c: Costs) -> IntArray:
    """The best prefix of the users in order of (A - L) / b, single server, floors left out; int64 [N].

    A heuristic: exact for the continuous relaxation up to one fractional user, certified afterwards by the bound.
    """
    gain = c.transmit[:, 0] - c.local  # [N], negative when offloading alone would pay
    root = c.root[:, 0]
    free = np.where(gain > 0.0, np.inf, -np.inf)  # tasks without work have b = 0 and offload at no cost to others
    order = np.argsort(np.divide(gain, root, out=free, where=root > 0.0), kind="stable")
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
        if change[i, k] >= -1e-12 * linear[users, choice].sum():
            return choice
        choice[i] = k
    return choice


def _keeps_all(instance: OffloadingInstance, x: FloatArray | None) -> bool:
    """Whether a point satisfies the constraints themselves, up to rounding, and not only within their tolerance."""
    return x is not None and float(instance.evaluate_twin(x).max_violation[0]) <= _ROUNDING


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
    margin = _EXACT * abs(bound)  # rounding of the sums must not strike out the optimum
    allowed: BoolArray = np.isfinite(options) & (bound + penalty <= known + margin)
    return allowed


def _bounded(instance: OffloadingInstance, x: FloatArray | None, bound: float, limits: Limits) -> Reference:
    """CP-SAT for a better bound and point; the better of both methods counts. All bounds are those of the relaxed instance."""
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
        tolerance=_ROUNDED * instance.objectives[0].gap_scale(bound),
        slack=0.0,
        solver=solver,
        solver_version=version,
        detail=detail,
    )
