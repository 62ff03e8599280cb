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

__all__ = ["best_suited", "commit", "farthest", "front", "mate_values", "mating_pools", "running_ideal"]

_TCHEBYCHEFF = int(Scalarization.TCHEBYCHEFF)

_kernel = njit(cache=True, error_model="numpy")


@_kernel
def _normalize_row(F, ideal, width, F_hat, i):  # type: ignore[no-untyped-def]
    """Write one row of objectives scaled by the front: of a large population a wave looks at few."""
    for j in range(F.shape[1]):
        F_hat[i, j] = (F[i, j] - ideal[j]) / width[j]


@_kernel
def _normalized(F, ideal, width):  # type: ignore[no-untyped-def]
    """Objectives scaled by the front, float64 [n, m]."""
    F_hat = np.empty(F.shape)
    for i in range(F.shape[0]):
        _normalize_row(F, ideal, width, F_hat, i)
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
    everyone = np.arange(n_population)
    swapped = np.empty(size, dtype=np.int64)
    for row in range(targets.size):
        if u_pool[row] < delta:
            pools[row] = neighbors[targets[row]]
            continue
        for s in range(size):
            j = s + int(U_pick[row, s] * (n_population - s))
            everyone[s], everyone[j] = everyone[j], everyone[s]
            pools[row, s], swapped[s] = everyone[s], j
        for s in range(size - 1, -1, -1):  # back in order, without a walk through all of a large population
            j = swapped[s]
            everyone[s], everyone[j] = everyone[j], everyone[s]
    return pools


@_kernel
def mate_values(F, targets, mates, yardstick):  # type: ignore[no-untyped-def]
    """Scalarized value of every mate for its target's sub-problem, float64 [n, T]."""
    weights, ideal, width, kind, theta = yardstick
    F_hat, known = np.empty(F.shape), np.zeros(F.shape[0], dtype=np.bool_)
    values = np.empty(mates.shape)
    for row in range(mates.shape[0]):
        for column in range(mates.shape[1]):
            i = mates[row, column]
            if not known[i]:
                known[i] = True
                _normalize_row(F, ideal, width, F_hat, i)
            values[row, column] = _value(F_hat, i, weights, targets[row], kind, theta)
    return values


@_kernel
def _dominates(F, k, i):  # type: ignore[no-untyped-def]
    """Whether row k dominates row i."""
    better = False
    for j in range(F.shape[1]):
        if F[k, j] > F[i, j]:
            return False
        if F[k, j] < F[i, j]:
            better = True
    return better


@_kernel
def _strongest(F, violation, i, j, scale):  # type: ignore[no-untyped-def]
    """Of the feasible rows that dominate row i the best in the objectives other than j, which dominates most; -1: none."""
    strongest, least = -1, np.inf
    for k in range(F.shape[0]):
        if violation[k] <= 0.0 and _dominates(F, k, i):
            total = 0.0
            for c in range(F.shape[1]):
                if c != j or F.shape[1] == 1:
                    total += F[k, c] / scale[c]
            if strongest < 0 or total < least:
                strongest, least = k, total
    return strongest


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
        scale = np.empty(m)
        for j in range(m):
            scale[j] = max(largest[j] - ideal[j], 1e-300)
        for j in range(m):  # the largest value that belongs to the front; few points need to be tested for it
            while True:  # the largest of those not yet known to be dominated: mostly the first one is not
                top = -1
                for i in range(n):
                    if not out[i] and (top < 0 or F[i, j] > F[top, j]):
                        top = i
                strongest = _strongest(F, violation, top, j, scale)
                if strongest < 0:
                    break
                for i in range(n):  # with two objectives one such point leaves nothing that is dominated on top
                    out[i] = out[i] or _dominates(F, strongest, i)
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
    old_hat, new_hat = np.empty(F.shape), _normalized(F_new, ideal, width)
    current = np.empty(n)  # each incumbent's value for its own sub-problem, kept up to date: it is asked for many times
    known = np.zeros(n, dtype=np.bool_)  # whether that has been worked out
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
            if not known[i]:
                known[i] = True
                _normalize_row(F, ideal, width, old_hat, i)
                current[i] = _value(old_hat, i, weights, i, kind, theta)
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


@_kernel
def farthest(points, order, size, n):  # type: ignore[no-untyped-def]
    """Farthest-point selection in boxes, see `weights.farthest_points`.

    Args:
        points: float64 [c, m].
        order: int64 [c], all indices; each stretch of `size` of them is a box, ascending within.
        size: Points in a box.
        n: How many to choose.

    Returns:
        int64 [n].
    """
    c, m = points.shape
    n_boxes = (c + size - 1) // size
    low, high = np.full((n_boxes, m), np.inf), np.full((n_boxes, m), -np.inf)
    for at in range(c):
        b = at // size
        for j in range(m):
            low[b, j] = min(low[b, j], points[order[at], j])
            high[b, j] = max(high[b, j], points[order[at], j])
    distance = np.full(c, np.inf)  # squared, to the chosen ones, by place in `order`
    largest, where = np.full(n_boxes, np.inf), np.zeros(n_boxes, dtype=np.int64)  # of each box, and the first point with it
    chosen = np.zeros(n, dtype=np.int64)
    for k in range(n):
        new = chosen[k]
        farthest, next_one = -1.0, -1
        for b in range(n_boxes):
            gap = 0.0
            for j in range(m):
                beyond = max(low[b, j] - points[new, j], points[new, j] - high[b, j], 0.0)
                gap += beyond * beyond
            if gap * (1.0 - 1e-9) < largest[b]:  # some point of the box may be nearer to the new one
                largest[b] = -1.0
                for at in range(b * size, min(c, (b + 1) * size)):
                    squared = 0.0
                    for j in range(m):
                        step = points[order[at], j] - points[new, j]
                        squared += step * step
                    distance[at] = min(distance[at], squared)
                    if distance[at] > largest[b]:
                        largest[b], where[b] = distance[at], order[at]
            if largest[b] > farthest or (largest[b] == farthest and where[b] < next_one):
                farthest, next_one = largest[b], where[b]
        if k + 1 < n:
            chosen[k + 1] = next_one
    return chosen
