"""The engine's kernels as readable numpy: same names, same arguments, same random numbers.

`kernels` is what runs; this module says what it computes, and the tests compare the two. All randomness arrives as
arrays, drawn beforehand, so that both consume exactly the same numbers:

``u...`` and ``U...`` hold uniform numbers in [0, 1), ``Z...`` standard normal ones. One uniform number may serve twice:
given u < p, the number u / p is again uniform on [0, 1).
"""

from __future__ import annotations

import numpy as np

from optisolve.core.arrays import FloatArray, IntArray
from optisolve.solvers.moead import scalarize as sc

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


def mating_pools(neighbors: IntArray, targets: IntArray, delta: float, u_pool: FloatArray, U_pick: FloatArray) -> IntArray:
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
    pools = neighbors[targets]
    for row in np.flatnonzero(u_pool >= delta):
        pools[row] = _shuffled(np.arange(n_population), U_pick[row])[:size]
    return pools


def mate_values(
    F: FloatArray,
    targets: IntArray,
    mates: IntArray,
    weights: FloatArray,
    ideal: FloatArray,
    width: FloatArray,
    kind: int,
    theta: float,
) -> FloatArray:
    """Scalarized value of every mate for its target's sub-problem, float64 [n, T]."""
    return sc.scalarize(F[mates], weights[targets][:, None, :], ideal, width, kind, theta)


def front(F: FloatArray, violation: FloatArray, ideal: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Running nadir point and width of the front, both float64 [m]."""
    nadir = sc.front_nadir(F, violation)
    return nadir, sc.front_width(F, ideal, nadir)


def running_ideal(F: FloatArray, violation: FloatArray, ideal: FloatArray, any_feasible: bool) -> bool:
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
    feasible = violation <= 0.0
    if feasible.any() and not any_feasible:
        ideal[:] = np.inf
    any_feasible = any_feasible or bool(feasible.any())
    counted = F[feasible] if any_feasible else F
    if counted.shape[0]:
        ideal[:] = np.minimum(ideal, counted.min(axis=0))
    return any_feasible


def sbx(
    X: FloatArray,
    mates: IntArray,
    lower: FloatArray,
    upper: FloatArray,
    probability: float,
    eta: float,
    u_pair: FloatArray,
    U_cross: FloatArray,
    U_spread: FloatArray,
) -> FloatArray:
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
    first, second = _distinct_pair(mates, u_pair)
    a, b = X[first], X[second]  # [n, d]
    y1, y2 = np.minimum(a, b), np.maximum(a, b)
    gap = y2 - y1
    crossed = (U_cross < 0.5) & (gap > _TOO_CLOSE * (upper - lower)) & (u_pair[:, 2:3] < probability)
    low_side = U_cross < 0.25
    safe_gap = np.where(crossed, gap, 1.0)
    room = np.where(low_side, y1 - lower, upper - y2)
    beta = 1.0 + 2.0 * room / safe_gap
    alpha = 2.0 - beta ** -(eta + 1.0)
    product = U_spread * alpha
    spread = np.where(product <= 1.0, product, 1.0 / (2.0 - product)) ** (1.0 / (eta + 1.0))
    child = 0.5 * ((y1 + y2) + np.where(low_side, -spread, spread) * gap)
    return np.where(crossed, np.minimum(np.maximum(child, lower), upper), a)


def differential(
    X: FloatArray,
    targets: IntArray,
    mates: IntArray,
    lower: FloatArray,
    upper: FloatArray,
    scale: float,
    crossover: float,
    u_pair: FloatArray,
    U_cross: FloatArray,
) -> FloatArray:
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
    plus, minus = _distinct_pair(mates, u_pair)
    own = X[targets]
    moved = own + scale * (X[plus] - X[minus])
    return np.minimum(np.maximum(np.where(U_cross < crossover, moved, own), lower), upper)


def linear(
    X: FloatArray,
    violation: FloatArray,
    targets: IntArray,
    mates: IntArray,
    values: FloatArray,
    rank_weights: FloatArray,
    noise: float,
    mask: float,
    lower: FloatArray,
    upper: FloatArray,
    Z_noise: FloatArray,
    U_mask: FloatArray,
) -> FloatArray:
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
    n_parents = rank_weights.size
    children = np.empty((targets.size, X.shape[1]))
    for row, target in enumerate(targets):
        parents = mates[row, :n_parents]
        # Worst first: larger violation, then larger value; ties keep their order.
        order = np.lexsort((-values[row, :n_parents], -violation[parents]))
        total = np.zeros(X.shape[1])
        for rank, parent in enumerate(parents[order]):
            total = total + (rank_weights[rank] + noise * Z_noise[row, rank]) * X[parent]
        children[row] = np.where(U_mask[row] < mask, total, X[target])
    return np.minimum(np.maximum(children, lower), upper)


def polynomial_mutation(
    X: FloatArray, lower: FloatArray, upper: FloatArray, probability: float, eta: float, U: FloatArray
) -> FloatArray:
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
    span = upper - lower
    mutated = (probability > U) & (span > 0.0)
    u = np.where(mutated, U, 0.0) / max(probability, np.finfo(float).tiny)
    safe_span = np.where(span > 0.0, span, 1.0)
    down = u <= 0.5
    room = 1.0 - np.where(down, X - lower, upper - X) / safe_span
    tail = np.where(down, 2.0 * u, 2.0 * (1.0 - u))
    step = (tail + (1.0 - tail) * room ** (eta + 1.0)) ** (1.0 / (eta + 1.0)) - 1.0
    moved = X + np.where(down, step, -step) * span
    return np.where(mutated, np.minimum(np.maximum(moved, lower), upper), X)


def best_suited(F: FloatArray, weights: FloatArray, ideal: FloatArray, width: FloatArray, kind: int, theta: float) -> IntArray:
    """The sub-problem for which each point has the smallest scalarized value, the first of equals, int64 [k].

    Args:
        F: float64 [k, m], minimization form.
        weights: float64 [N, m], >= `MIN_WEIGHT`.
        ideal: float64 [m].
        width: float64 [m].
        kind: A `Scalarization`.
        theta: Penalty of PBI.

    Source: Wang et al. 2014, doi 10.1109/CEC.2014.6900319 (global replacement).
    """
    values = sc.scalarize(F[:, None, :], weights[None, :, :], ideal, width, kind, theta)  # [k, N]
    suited: IntArray = np.argmin(values, axis=1)
    return suited


def commit(
    X: FloatArray,
    F: FloatArray,
    violation: FloatArray,
    X_new: FloatArray,
    F_new: FloatArray,
    violation_new: FloatArray,
    rows: IntArray,
    mates: IntArray,
    weights: FloatArray,
    ideal: FloatArray,
    width: FloatArray,
    kind: int,
    theta: float,
    max_replaced: int,
    U_order: FloatArray,
) -> IntArray:
    """Offer each offspring, in order, to its pool; the first incumbents it beats are replaced in place.

    A feasible point beats an infeasible one, less violation beats more, and of two feasible points (or two equally
    violating ones) the strictly smaller scalarized value wins.

    Args:
        X: float64 [N, d], incumbents, written.
        F: float64 [N, m], minimization form, written.
        violation: float64 [N], written.
        X_new: float64 [k, d], offspring.
        F_new: float64 [k, m].
        violation_new: float64 [k].
        rows: int64 [k], the row of `mates` that each offspring may replace.
        mates: int64 [n, T].
        weights: float64 [N, m], >= `MIN_WEIGHT`.
        ideal: float64 [m].
        width: float64 [m].
        kind: A `Scalarization`.
        theta: Penalty of PBI.
        max_replaced: Most incumbents that one offspring may replace.
        U_order: float64 [k, T], shuffles the pool.

    Returns:
        int64 [k], how many incumbents each offspring replaced.

    Source: Li & Zhang 2009, doi 10.1109/TEVC.2008.925798, steps 2.4-2.5.
    """
    replaced = np.zeros(rows.size, dtype=np.int64)
    for k, row in enumerate(rows):
        for i in _shuffled(mates[row], U_order[k]):
            if replaced[k] >= max_replaced:
                break
            if violation_new[k] != violation[i]:
                wins = violation_new[k] < violation[i]
            else:
                old = sc.scalarize(F[i], weights[i], ideal, width, kind, theta)
                wins = sc.scalarize(F_new[k], weights[i], ideal, width, kind, theta) < old
            if wins:
                X[i], F[i], violation[i] = X_new[k], F_new[k], violation_new[k]
                replaced[k] += 1
    return replaced


def _distinct_pair(mates: IntArray, u_pair: FloatArray) -> tuple[IntArray, IntArray]:
    """Two different mates of every row (the same one twice when there is only one)."""
    size = mates.shape[1]
    first = (u_pair[:, 0] * size).astype(np.int64)
    second = (u_pair[:, 1] * (size - 1)).astype(np.int64)
    second += (second >= first) & (size > 1)
    rows = np.arange(mates.shape[0])
    return mates[rows, first], mates[rows, second]


def _shuffled(items: IntArray, u: FloatArray) -> IntArray:
    """The first steps of a Fisher-Yates shuffle, one uniform number per step."""
    items = items.copy()
    for s in range(u.size):
        j = s + int(u[s] * (items.size - s))
        items[s], items[j] = items[j], items[s]
    return items
