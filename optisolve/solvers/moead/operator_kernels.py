"""The operators' hot loops in numba; `kernels` says how such loops are written and tested.

``u...`` and ``U...`` hold uniform numbers in [0, 1), ``Z...`` standard normal ones. One uniform number may serve twice: given
u < p, the number u / p is again uniform on [0, 1).
"""

from __future__ import annotations

import numpy as np

from optisolve.numerics.compiled import njit

__all__ = ["differential", "linear", "polynomial_mutation", "sbx"]

_TOO_CLOSE = 1e-14
"""Share of a variable's range below which two parents count as equal."""

_kernel = njit(cache=True, error_model="numpy")


@_kernel
def _pair(mates, row, u_first, u_second):  # type: ignore[no-untyped-def]
    """Two different mates of a row (the same one twice when there is only one)."""
    size = mates.shape[1]
    first = int(u_first * size)
    second = int(u_second * (size - 1))
    if second >= first and size > 1:
        second += 1
    return mates[row, first], mates[row, second]


@_kernel
def _power(x, exponent):  # type: ignore[no-untyped-def]
    """x ** exponent for x >= 0; the usual whole exponents go by multiplication, several times faster than pow."""
    whole = int(exponent)
    if whole != exponent:
        return x**exponent
    result = 1.0
    while whole > 0:
        if whole & 1:
            result *= x
        x *= x
        whole >>= 1
    return result


@_kernel
def sbx(X, mates, lower, upper, probability, eta, u_pair, U_cross, U_spread):  # type: ignore[no-untyped-def]
    """One child per target by bounded simulated binary crossover of two mates.

    Each coordinate is crossed with probability 1/2; the child then takes the lower or the upper of the two SBX values
    with equal chance. Other coordinates are the first parent's.

    Args:
        X: float64 [N, d], incumbents.
        mates: int64 [n, T].
        lower: float64 [d].
        upper: float64 [d].
        probability: Chance that a pair is crossed at all.
        eta: Distribution index; larger keeps children closer to their parents.
        u_pair: float64 [n, 3]: first mate, second mate, whether to cross.
        U_cross: float64 [n, d]: below 1/4 lower child, below 1/2 upper child, else not crossed.
        U_spread: float64 [n, d].

    Returns:
        float64 [n, d], inside the bounds.

    Source: Deb & Agrawal, Complex Systems 9, 1995; bounded form as in Deb's NSGA-II code.
    """
    n, d = mates.shape[0], X.shape[1]
    children = np.empty((n, d))
    power, root = eta + 1.0, 1.0 / (eta + 1.0)
    for i in range(n):
        first, second = _pair(mates, i, u_pair[i, 0], u_pair[i, 1])
        cross = u_pair[i, 2] < probability
        for j in range(d):
            a, b = X[first, j], X[second, j]
            y1, y2 = min(a, b), max(a, b)
            gap = y2 - y1
            u = U_cross[i, j]
            if not (cross and u < 0.5 and gap > _TOO_CLOSE * (upper[j] - lower[j])):
                children[i, j] = a
                continue
            room = y1 - lower[j] if u < 0.25 else upper[j] - y2
            product = U_spread[i, j] * (2.0 - 1.0 / _power(1.0 + 2.0 * room / gap, power))
            spread = (product if product <= 1.0 else 1.0 / (2.0 - product)) ** root
            if u < 0.25:
                spread = -spread
            children[i, j] = min(max(0.5 * ((y1 + y2) + spread * gap), lower[j]), upper[j])
    return children


@_kernel
def differential(X, targets, mates, lower, upper, scale, crossover, u_pair, U_cross):  # type: ignore[no-untyped-def]
    """One child per target by differential evolution: incumbent + scale (mate - other mate), clipped.

    Args:
        X: float64 [N, d], incumbents.
        targets: int64 [n].
        mates: int64 [n, T].
        lower: float64 [d].
        upper: float64 [d].
        scale: Factor on the difference.
        crossover: Chance per coordinate to take the new value.
        u_pair: float64 [n, 2].
        U_cross: float64 [n, d].

    Returns:
        float64 [n, d], inside the bounds.

    Source: Li & Zhang 2009, doi 10.1109/TEVC.2008.925798, eq. (6).
    """
    n, d = mates.shape[0], X.shape[1]
    children = np.empty((n, d))
    for i in range(n):
        plus, minus = _pair(mates, i, u_pair[i, 0], u_pair[i, 1])
        target = targets[i]
        for j in range(d):
            x = X[target, j]
            if U_cross[i, j] < crossover:
                x += scale * (X[plus, j] - X[minus, j])
            children[i, j] = min(max(x, lower[j]), upper[j])
    return children


@_kernel
def linear(  # type: ignore[no-untyped-def]
    X, violation, targets, mates, values, rank_weights, noise, mask, lower, upper, Z_noise, U_mask
):
    """One child per target: a noisy rank-weighted sum of its mates, laid over the incumbent in a few coordinates.

    Args:
        X: float64 [N, d], incumbents.
        violation: float64 [N].
        targets: int64 [n].
        mates: int64 [n, T]; the first L are the parents.
        values: float64 [n, T], scalarized values of the mates.
        rank_weights: float64 [L], weights from the worst parent to the best.
        noise: Standard deviation added to each weight, one draw per parent.
        mask: Chance per coordinate to take the sum.
        lower: float64 [d].
        upper: float64 [d].
        Z_noise: float64 [n, L].
        U_mask: float64 [n, d].

    Returns:
        float64 [n, d], inside the bounds.

    Source: Liu et al. 2023, arXiv 2310.12541, operator of MOEA/D-LO as in the authors' code.
    """
    n, d, n_parents = mates.shape[0], X.shape[1], rank_weights.size
    children = np.empty((n, d))
    order = np.empty(n_parents, dtype=np.int64)
    factors = np.empty(n_parents)
    for i in range(n):
        for k in range(n_parents):  # stable insertion sort, worst first
            v, g = violation[mates[i, k]], values[i, k]
            place = k
            while place > 0:
                other = order[place - 1]
                v_other, g_other = violation[mates[i, other]], values[i, other]
                if not (v > v_other or (v == v_other and g > g_other)):
                    break
                order[place] = other
                place -= 1
            order[place] = k
        for k in range(n_parents):
            factors[k] = rank_weights[k] + noise * Z_noise[i, k]
        for j in range(d):
            x = X[targets[i], j]
            if U_mask[i, j] < mask:
                x = 0.0
                for k in range(n_parents):
                    x += factors[k] * X[mates[i, order[k]], j]
            children[i, j] = min(max(x, lower[j]), upper[j])
    return children


@_kernel
def polynomial_mutation(X, lower, upper, probability, eta, U):  # type: ignore[no-untyped-def]
    """Bounded polynomial mutation, each coordinate with the given probability.

    Args:
        X: float64 [n, d], inside the bounds.
        lower: float64 [d].
        upper: float64 [d].
        probability: Chance per coordinate.
        eta: Distribution index; larger means smaller steps.
        U: float64 [n, d]; u < probability mutates, and u / probability sets the step.

    Returns:
        float64 [n, d], inside the bounds.

    Source: Deb & Goyal, Computer Science and Informatics 26, 1996; bounded form as in Deb's NSGA-II code.
    """
    n, d = X.shape
    children = X.copy()
    # Two passes: in one, the compiler evaluates the powers for every coordinate and throws most of them away.
    hits = np.empty(n * d, dtype=np.int64)
    n_hits = 0
    for i in range(n):
        for j in range(d):
            if U[i, j] < probability and upper[j] > lower[j]:
                hits[n_hits] = i * d + j
                n_hits += 1
    power, root = eta + 1.0, 1.0 / (eta + 1.0)
    for k in range(n_hits):
        i, j = hits[k] // d, hits[k] % d
        x, span = X[i, j], upper[j] - lower[j]
        u = U[i, j] / probability
        down = u <= 0.5
        tail = 2.0 * u if down else 2.0 * (1.0 - u)
        room = 1.0 - (x - lower[j] if down else upper[j] - x) / span
        step = (tail + (1.0 - tail) * _power(room, power)) ** root - 1.0
        children[i, j] = min(max(x + (step if down else -step) * span, lower[j]), upper[j])
    return children
