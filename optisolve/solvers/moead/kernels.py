"""The engine's hot loops in numba; `twins` holds the same functions as readable numpy, with their documentation.

Every kernel is sequential: a population of a few hundred is far too small to gain from threads, and results then
cannot depend on their number.
"""

from __future__ import annotations

from math import sqrt

import numpy as np

from optisolve.numerics.compiled import njit
from optisolve.solvers.moead.scalarize import Scalarization

__all__ = [
    "best_suited",
    "commit",
    "differential",
    "front",
    "linear",
    "mate_values",
    "mating_pools",
    "polynomial_mutation",
    "running_ideal",
    "sbx",
]

_TOO_CLOSE = 1e-14
_TCHEBYCHEFF = int(Scalarization.TCHEBYCHEFF)

_kernel = njit(cache=True, error_model="numpy")


@_kernel
def _normalized(F, ideal, width):  # type: ignore[no-untyped-def]
    """Objectives scaled by the front, float64 [n, m]."""
    F_hat = np.empty(F.shape)
    for i in range(F.shape[0]):
        for j in range(F.shape[1]):
            F_hat[i, j] = (F[i, j] - ideal[j]) / width[j]
    return F_hat


@_kernel
def _value(F_hat, row, weights, i, kind, theta):  # type: ignore[no-untyped-def]
    """Scalarized value of one row of F_hat under weight i; whole arrays, since slices cost more than the sums."""
    m = F_hat.shape[1]
    if kind == _TCHEBYCHEFF:
        worst = 0.0
        for j in range(m):
            part = weights[i, j] * abs(F_hat[row, j])
            if part > worst:  # noqa: PLR1730 - max() also has to order NaN, and this is the innermost loop
                worst = part
        return worst
    norm = 0.0
    for j in range(m):
        norm += weights[i, j] * weights[i, j]
    norm = sqrt(norm)
    d1 = 0.0
    for j in range(m):
        d1 += F_hat[row, j] * (weights[i, j] / norm)
    d2 = 0.0
    for j in range(m):
        offset = F_hat[row, j] - d1 * (weights[i, j] / norm)
        d2 += offset * offset
    return abs(d1) + theta * sqrt(d2)


@_kernel
def mating_pools(neighbors, targets, delta, u_pool, U_pick):  # type: ignore[no-untyped-def]
    """See `twins.mating_pools`."""
    n_population, size = neighbors.shape
    pools = np.empty((targets.size, size), dtype=np.int64)
    everyone = np.empty(n_population, dtype=np.int64)
    for row in range(targets.size):
        if u_pool[row] < delta:
            pools[row] = neighbors[targets[row]]
            continue
        for i in range(n_population):
            everyone[i] = i
        for s in range(size):
            j = s + int(U_pick[row, s] * (n_population - s))
            everyone[s], everyone[j] = everyone[j], everyone[s]
            pools[row, s] = everyone[s]
    return pools


@_kernel
def mate_values(F, targets, mates, weights, ideal, width, kind, theta):  # type: ignore[no-untyped-def]
    """See `twins.mate_values`."""
    F_hat = _normalized(F, ideal, width)
    values = np.empty(mates.shape)
    for row in range(mates.shape[0]):
        for column in range(mates.shape[1]):
            values[row, column] = _value(F_hat, mates[row, column], weights, targets[row], kind, theta)
    return values


@_kernel
def _is_dominated(F, violation, i):  # type: ignore[no-untyped-def]
    """Whether a feasible row dominates row i."""
    for k in range(F.shape[0]):
        if violation[k] > 0.0:
            continue
        no_worse, better = True, False
        for j in range(F.shape[1]):
            if F[k, j] > F[i, j]:
                no_worse = False
                break
            if F[k, j] < F[i, j]:
                better = True
        if no_worse and better:
            return True
    return False


@_kernel
def front(F, violation, ideal):  # type: ignore[no-untyped-def]
    """See `twins.front`."""
    n, m = F.shape
    largest = np.full(m, -np.inf)
    out = np.empty(n, dtype=np.bool_)  # infeasible, or known to be dominated
    any_feasible = False
    for i in range(n):
        out[i] = violation[i] > 0.0
        any_feasible = any_feasible or not out[i]
        for j in range(m):
            largest[j] = max(largest[j], F[i, j])
    nadir = largest.copy()
    if any_feasible:
        for j in range(m):  # the largest value that belongs to the front; few points need to be tested for it
            while True:
                top = -1
                for i in range(n):
                    if not out[i] and (top < 0 or F[i, j] > F[top, j]):
                        top = i
                if not _is_dominated(F, violation, top):
                    break
                out[top] = True
            nadir[j] = F[top, j]
    width = np.empty(m)
    for j in range(m):
        tiny = 1e-12 * max(1.0, abs(ideal[j]))
        width[j] = nadir[j] - ideal[j]
        if width[j] <= tiny:
            width[j] = largest[j] - ideal[j]
        if width[j] <= tiny:
            width[j] = 1.0
    return nadir, width


@_kernel
def running_ideal(F, violation, ideal, any_feasible):  # type: ignore[no-untyped-def]
    """See `twins.running_ideal`."""
    for i in range(F.shape[0]):
        feasible = violation[i] <= 0.0
        if any_feasible and not feasible:
            continue
        if feasible and not any_feasible:
            any_feasible = True
            ideal[:] = np.inf
        for j in range(F.shape[1]):
            ideal[j] = min(ideal[j], F[i, j])
    return any_feasible


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
    """See `twins.sbx`."""
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
            if not (cross and u < 0.5 and gap > _TOO_CLOSE):
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
    """See `twins.differential`."""
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
    """See `twins.linear`."""
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
    """See `twins.polynomial_mutation`."""
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


@_kernel
def best_suited(F, weights, ideal, width, kind, theta):  # type: ignore[no-untyped-def]
    """See `twins.best_suited`."""
    F_hat = _normalized(F, ideal, width)
    suited = np.zeros(F.shape[0], dtype=np.int64)
    n, m = weights.shape
    for k in range(F.shape[0]):
        least = _value(F_hat, k, weights, 0, kind, theta)
        for i in range(1, n):
            if kind == _TCHEBYCHEFF:
                value = 0.0
                for j in range(m):
                    value = max(value, weights[i, j] * abs(F_hat[k, j]))
                    if value >= least:  # the others cannot make it smaller
                        break
            else:
                value = _value(F_hat, k, weights, i, kind, theta)
            if value < least:
                least = value
                suited[k] = i
    return suited


@_kernel
def commit(  # type: ignore[no-untyped-def]
    X,
    F,
    violation,
    X_new,
    F_new,
    violation_new,
    rows,
    mates,
    weights,
    ideal,
    width,
    kind,
    theta,
    max_replaced,
    U_order,
):
    """See `twins.commit`."""
    n, d = X.shape
    m, size = F.shape[1], mates.shape[1]
    old_hat, new_hat = _normalized(F, ideal, width), _normalized(F_new, ideal, width)
    current = np.empty(n)  # each incumbent's value for its own sub-problem
    for i in range(n):
        current[i] = _value(old_hat, i, weights, i, kind, theta)
    replaced = np.zeros(rows.size, dtype=np.int64)
    pool = np.empty(size, dtype=np.int64)
    for k in range(rows.size):
        for s in range(size):
            pool[s] = mates[rows[k], s]
        for s in range(size):
            if replaced[k] >= max_replaced:
                break
            j = s + int(U_order[k, s] * (size - s))
            i = pool[j]
            pool[j] = pool[s]
            value = _value(new_hat, k, weights, i, kind, theta)
            if violation_new[k] < violation[i] or (violation_new[k] == violation[i] and value < current[i]):
                for c in range(d):
                    X[i, c] = X_new[k, c]
                for c in range(m):
                    F[i, c] = F_new[k, c]
                violation[i] = violation_new[k]
                current[i] = value
                replaced[k] += 1
    return replaced
