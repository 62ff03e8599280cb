"""Tasks at home or on shared servers: Lagrangian bound, elimination by it, enumeration of what is left.

With the best shares the tasks on a server cost (sum b)^2. For any loads lambda_s >= 0,
(sum b x)^2 >= 2 lambda sum b x - lambda^2, hence

    cost >= sum_i min(L_i, min_s A_is + 2 lambda_s b_is) - sum_s lambda_s^2,

a separable bound, which equals the continuous relaxation. A choice whose own bound exceeds the best known cost cannot be
optimal and is struck out; usually so few remain that all their combinations can be tried, each bounded by the Lagrangian of its
shares.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from optisolve.core.arrays import BoolArray, FloatArray, IntArray

__all__ = [
    "EXACT",
    "Tasks",
    "Tried",
    "choices_at",
    "eliminate",
    "good_choice",
    "impossible",
    "lagrangian_bound",
    "sort_and_scan",
    "try_all",
]

EXACT = 1e-9
"""Distance of value and bound, relative to the bound, that enumeration in floating point leaves."""

_FRANK_WOLFE_STEPS = 1000
_EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False, slots=True)
class Tasks:
    """N tasks and S servers.

    Attributes:
        local: float64 [N], cost at home, L.
        transmit: float64 [N, S], cost of sending, A.
        root: float64 [N, S], root of the cost of running alone on a server, b.
        share_floor: float64 [N, S], smallest allowed share; above 1 where the server is no choice.
        local_allowed: bool [N], home is a choice.
    """

    local: FloatArray
    transmit: FloatArray
    root: FloatArray
    share_floor: FloatArray
    local_allowed: BoolArray


@dataclass(frozen=True, eq=False, slots=True)
class Tried:
    """What elimination and enumeration found.

    Args:
        bound: Lower bound on the cost; inf when nothing is feasible.
        choice: int64 [N] of the lowest, None when too many combinations remain.
        combinations: How many remained.
    """

    bound: float
    choice: IntArray | None
    combinations: float


def try_all(c: Tasks, known: float, combinations: float, relaxation: tuple[float, FloatArray] | None = None) -> Tried:
    """Strike out choices by the Lagrangian bound and try all combinations of the others.

    Args:
        c: The tasks.
        known: Cost of a feasible point, inf when none is known.
        combinations: Largest number of combinations that are tried.
        relaxation: `lagrangian_bound` of these tasks where it is known.
    """
    from optisolve.numerics.server_sharing_kernels import enumerate_choices

    if impossible(c):
        return Tried(np.inf, np.zeros(c.local.size, dtype=np.int64), 0.0)
    bound, loads = relaxation or lagrangian_bound(c)
    allowed = eliminate(c, bound, loads, known)
    left = float(np.prod(allowed.sum(axis=1), dtype=np.float64))
    if left > combinations:
        return Tried(bound, None, left)
    cost, choice = enumerate_choices(c.local, c.transmit, c.root, c.share_floor, allowed)
    return Tried(float(cost), choice, left)


def impossible(c: Tasks) -> str | None:
    """Why no point can be feasible, if one look tells."""
    possible = c.local_allowed | (c.share_floor <= 1.0).any(axis=1)
    if not possible.all():
        return f"user{int(np.argmin(possible))} misses its deadline wherever its task runs"
    if c.transmit.shape[1] == 1:  # what must go to the one server
        need = float(c.share_floor[~c.local_allowed, 0].sum())
        if need > 1.0:
            return f"the users who must offload need {need:.3f} of the server to keep their deadlines"
    return None


def choices_at(c: Tasks, loads: FloatArray) -> FloatArray:
    """Separable cost of every choice at given loads, float64 [N, S + 1]; inf where impossible."""
    local = np.where(c.local_allowed, c.local, np.inf)
    remote = np.where(c.share_floor <= 1.0, c.transmit + 2.0 * loads * c.root, np.inf)
    return np.column_stack([local, remote])


def lagrangian_bound(c: Tasks) -> tuple[float, FloatArray]:
    """The best separable lower bound and its loads float64 [S].

    One server: bisection on the decreasing derivative. Several: Frank-Wolfe on the continuous relaxation, whose linear
    subproblem at a point with loads lambda is this very bound.
    """
    best, best_loads = -np.inf, np.zeros(c.transmit.shape[1])

    def offer(loads: FloatArray) -> IntArray:
        nonlocal best, best_loads
        options = choices_at(c, loads)
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


def _frank_wolfe(c: Tasks, offer: Callable[[FloatArray], IntArray]) -> None:
    """Walk towards the continuous relaxation's optimum, offering the loads of every step.

    Of the point of the relaxation only its loads and its other costs count, so nothing else is kept.
    """
    n_servers = c.transmit.shape[1]
    users = np.arange(c.local.size)
    linear = np.column_stack([c.local, c.transmit])  # [N, S + 1]
    root = np.column_stack([np.zeros(users.size), c.root])

    def corner(choice: IntArray) -> tuple[float, FloatArray]:
        loads = np.bincount(choice, weights=root[users, choice], minlength=n_servers + 1)[1:].astype(np.float64)
        return float(linear[users, choice].sum()), loads

    paid, loads = corner(np.argmin(choices_at(c, c.root.sum(axis=0) / n_servers), axis=1))
    for _ in range(_FRANK_WOLFE_STEPS):
        corner_paid, corner_loads = corner(offer(loads))
        change = corner_loads - loads
        slope = corner_paid - paid + 2.0 * float(loads @ change)
        curvature = float(change @ change)
        if slope > -1e-14 * (paid + float(loads @ loads)):
            return
        share = min(1.0, -slope / (2.0 * curvature) if curvature > 0.0 else 1.0)
        paid, loads = paid + share * (corner_paid - paid), loads + share * change


def sort_and_scan(c: Tasks) -> IntArray:
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


def good_choice(c: Tasks, loads: FloatArray) -> IntArray:
    """Servers that are worth looking at, int64 [N]: sort-and-scan for one server, a descent from the relaxation for several.

    Args:
        c: The tasks; floors of the shares are left out.
        loads: float64 [S], see `lagrangian_bound`.
    """
    return sort_and_scan(c) if c.transmit.shape[1] == 1 else _descend(c, np.argmin(choices_at(c, loads), axis=1))


def _descend(c: Tasks, choice: IntArray) -> IntArray:
    """Move one user at a time to where the total falls most, until no move helps; floors left out."""
    n, n_servers = c.transmit.shape
    linear = choices_at(c, np.zeros(n_servers))
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


def eliminate(c: Tasks, bound: float, loads: FloatArray, known: float) -> BoolArray:
    """Choices that an optimum may still contain, bool [N, S + 1].

    Args:
        c: The tasks.
        bound: `lagrangian_bound`.
        loads: Its loads.
        known: Cost of a feasible point, inf when none is known.
    """
    options = choices_at(c, loads)
    penalty = options - options.min(axis=1, keepdims=True)
    margin = EXACT * abs(bound)  # rounding of the sums must not strike out the optimum
    allowed: BoolArray = np.isfinite(options) & (bound + penalty <= known + margin)
    return allowed
