"""The engine's hot loops in numba: who mates with whom, what a point is worth to a sub-problem, and who is replaced.

Every kernel is sequential: a population of a few hundred is far too small to gain from threads, and results then
cannot depend on their number. All randomness arrives as arrays, drawn beforehand: ``u...`` and ``U...`` hold uniform numbers in
[0, 1). So the tests can feed the same numbers to the same functions in plain numpy.
"""

from __future__ import annotations

from math import sqrt

import numpy as np

from optisolve.numerics.compiled import njit
from optisolve.solvers.moead.scalarize import Scalarization

__all__ = ["best_suited", "commit", "front", "mate_values", "mating_pools", "running_ideal"]

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
    """The pool of each target: its neighborhood, or with probability 1 - delta a sample of the whole population.

    Args:
        neighbors: int64 [N, T].
        targets: int64 [n].
        delta: Probability of the neighborhood.
        u_pool: float64 [n].
        U_pick: float64 [n, T].

    Returns:
        int64 [n, T], no sub-problem twice in a row.
    """
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
def mate_values(F, targets, mates, yardstick):  # type: ignore[no-untyped-def]
    """Scalarized value of every mate for its target's sub-problem, float64 [n, T]."""
    weights, ideal, width, kind, theta = yardstick
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
    """Running nadir point and width of the front, both float64 [m]."""
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
            while True:  # the largest of those not yet known to be dominated: mostly the first one is not
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
        tiny = 1e-12 * max(abs(ideal[j]), abs(largest[j]))
        width[j] = nadir[j] - ideal[j]
        if width[j] <= tiny:
            width[j] = largest[j] - ideal[j]
        if width[j] <= tiny:
            width[j] = 1.0
    return nadir, width


@_kernel
def running_ideal(F, violation, ideal, any_feasible):  # type: ignore[no-untyped-def]
    """Lower the ideal point by a batch: by its feasible points, by all of them while none has been feasible.

    The first feasible point discards what infeasible ones had set.

    Args:
        F: float64 [k, m], minimization form.
        violation: float64 [k].
        ideal: float64 [m], written.
        any_feasible: Whether a feasible point came before this batch.

    Returns:
        Whether a feasible point has come by now.
    """
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
def best_suited(F, yardstick):  # type: ignore[no-untyped-def]
    """The sub-problem for which each point has the smallest scalarized value, the first of equals, int64 [k].

    Args:
        F: float64 [k, m], minimization form.
        yardstick: A `scalarize.Yardstick`.

    Source: Wang et al. 2014, doi 10.1109/CEC.2014.6900319 (global replacement).
    """
    weights, ideal, width, kind, theta = yardstick
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
def commit(incumbents, offspring, rows, mates, yardstick, max_replaced, U_order):  # type: ignore[no-untyped-def]
    """Offer each offspring, in order, to its pool; the first incumbents it beats are replaced in place.

    A feasible point beats an infeasible one, less violation beats more, and of two feasible points (or two equally
    violating ones) the strictly smaller scalarized value wins.

    Args:
        incumbents: `scalarize.Points`, one per sub-problem; written.
        offspring: `Points`.
        rows: int64 [k], the row of `mates` that each offspring may replace.
        mates: int64 [n, T].
        yardstick: A `scalarize.Yardstick`.
        max_replaced: Most incumbents that one offspring may replace.
        U_order: float64 [k, T], shuffles the pool.

    Returns:
        int64 [k], how many incumbents each offspring replaced.

    Source: Li & Zhang 2009, doi 10.1109/TEVC.2008.925798, steps 2.4-2.5.
    """
    X, F, violation = incumbents
    X_new, F_new, violation_new = offspring
    weights, ideal, width, kind, theta = yardstick
    n, d = X.shape
    m, size = F.shape[1], mates.shape[1]
    old_hat, new_hat = _normalized(F, ideal, width), _normalized(F_new, ideal, width)
    current = np.empty(n)  # each incumbent's value for its own sub-problem, kept up to date: it is asked for many times
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
            j = s + int(U_order[k, s] * (size - s))  # one step of a shuffle; most offspring stop long before the pool's end
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
