"""Enumeration of what a bound leaves of shared servers, in numba."""

from __future__ import annotations

import numpy as np

from optisolve.numerics.compiled import njit

__all__ = ["enumerate_choices"]

_EPS = 4.0 * float(np.finfo(np.float64).eps)
_kernel = njit(cache=True, error_model="numpy")


@_kernel
def _set_bound(root, floor, n, fixed):  # type: ignore[no-untyped-def]
    """A bound on min sum b^2 / y for the first n entries, sum y = 1, y >= floor; inf when the floors do not fit.

    Fixing users at their floors, as the best shares do, only suggests a price; the bound is the Lagrangian at that
    price, which holds for every price and is less its rounding.
    """
    need = 0.0
    for i in range(n):
        need += floor[i]
        fixed[i] = False
    if need > 1.0:
        return np.inf
    while True:
        rest, total = 1.0, 0.0
        for i in range(n):
            if fixed[i]:
                rest -= floor[i]
            else:
                total += root[i]
        changed = False
        for i in range(n):
            if not fixed[i] and rest * root[i] < floor[i] * total:
                fixed[i] = True
                changed = True
        if not changed:
            break
    price = 0.0
    if total > 0.0 and rest > 0.0:
        price = (total / rest) ** 2
    else:
        for i in range(n):
            price = max(price, (root[i] / floor[i]) ** 2)
    if price <= 0.0:
        return 0.0
    value, shared = 0.0, 0.0
    for i in range(n):
        share = max(root[i] / np.sqrt(price), floor[i])  # the minimizer of b^2 / y + price y
        value += root[i] * root[i] / share
        shared += share
    return max(0.0, value + price * (shared - 1.0) - _EPS * (n + 4) * (value + price * shared))


@_kernel
def enumerate_choices(local, transmit, root, floor, allowed):  # type: ignore[no-untyped-def]
    """The cheapest of all allowed combinations of servers, each by a bound on its cost with optimal shares.

    An odometer over the users keeps partial sums per depth, so a step costs little and no rounding error builds up.
    The cost without floors is a lower bound; the floors are looked at only when it beats the best so far.

    Args:
        local: float64 [N].
        transmit: float64 [N, S].
        root: float64 [N, S].
        floor: float64 [N, S], smallest shares, above 1 = impossible.
        allowed: bool [N, S + 1], choices that remain; column 0 = local.

    Returns:
        A bound on the lowest cost (inf when nothing is feasible) and the choices int64 [N] it belongs to.
    """
    n_users, n_servers = transmit.shape
    choice = np.full(n_users, -1, dtype=np.int64)
    best = np.full(n_users, -1, dtype=np.int64)
    linear = np.zeros(n_users + 1)
    load = np.zeros((n_users + 1, n_servers))
    members_root, members_floor = np.empty(n_users), np.empty(n_users)
    fixed = np.empty(n_users, dtype=np.bool_)
    best_cost = np.inf
    depth = 0
    while depth >= 0:
        c = choice[depth] + 1
        while c <= n_servers and not allowed[depth, c]:
            c += 1
        if c > n_servers:
            choice[depth] = -1
            depth -= 1
            continue
        choice[depth] = c
        for s in range(n_servers):
            load[depth + 1, s] = load[depth, s]
        if c == 0:
            linear[depth + 1] = linear[depth] + local[depth]
        else:
            linear[depth + 1] = linear[depth] + transmit[depth, c - 1]
            load[depth + 1, c - 1] += root[depth, c - 1]
        bound = linear[depth + 1]
        for s in range(n_servers):
            bound += load[depth + 1, s] * load[depth + 1, s]
        if bound >= best_cost:  # all terms are nonnegative, so a partial sum is a bound
            continue
        if depth + 1 < n_users:
            depth += 1
            continue
        cost = linear[n_users]
        for s in range(n_servers):
            k = 0
            for i in range(n_users):
                if choice[i] == s + 1:
                    members_root[k] = root[i, s]
                    members_floor[k] = floor[i, s]
                    k += 1
            if k > 0:
                cost += _set_bound(members_root, members_floor, k, fixed)
        if cost < best_cost:
            best_cost = cost
            for i in range(n_users):
                best[i] = choice[i]
    return best_cost * (1.0 - _EPS * (n_users + 8)), best
