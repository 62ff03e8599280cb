"""The kernels of the engine and its operators in plain numpy: same names, same arguments, same random numbers."""

from __future__ import annotations

import numpy as np

from optisolve.core.arrays import FloatArray, IntArray
from optisolve.solvers.moead import scalarize as sc
from optisolve.solvers.moead.scalarize import Points, Yardstick

_TOO_CLOSE = 1e-14


def mating_pools(neighbors: IntArray, targets: IntArray, delta: float, u_pool: FloatArray, U_pick: FloatArray) -> IntArray:
    n_population, size = neighbors.shape
    pools = neighbors[targets]
    for row in np.flatnonzero(u_pool >= delta):
        pools[row] = _shuffled(np.arange(n_population), U_pick[row])[:size]
    return pools


def mate_values(F: FloatArray, targets: IntArray, mates: IntArray, yardstick: Yardstick) -> FloatArray:
    weights, ideal, width, kind, theta = yardstick
    return sc.scalarize(F[mates], weights[targets][:, None, :], ideal, width, kind, theta)


def front(F: FloatArray, violation: FloatArray, ideal: FloatArray) -> tuple[FloatArray, FloatArray]:
    nadir = sc.front_nadir(F, violation)
    return nadir, sc.front_width(F, ideal, nadir)


def running_ideal(F: FloatArray, violation: FloatArray, ideal: FloatArray, any_feasible: bool) -> bool:
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


def best_suited(F: FloatArray, yardstick: Yardstick) -> IntArray:
    weights, ideal, width, kind, theta = yardstick
    values = sc.scalarize(F[:, None, :], weights[None, :, :], ideal, width, kind, theta)  # [k, N]
    suited: IntArray = np.argmin(values, axis=1)
    return suited


def commit(
    incumbents: Points,
    offspring: Points,
    rows: IntArray,
    mates: IntArray,
    yardstick: Yardstick,
    max_replaced: int,
    U_order: FloatArray,
) -> IntArray:
    X, F, violation = incumbents
    X_new, F_new, violation_new = offspring
    weights, ideal, width, kind, theta = yardstick
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
