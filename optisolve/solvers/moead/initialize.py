"""The first population: warm start, samples, and which sub-problem gets which point."""

from __future__ import annotations

import numpy as np

from optisolve.core.arrays import FloatArray, IntArray
from optisolve.core.solver import Task
from optisolve.core.space import Space
from optisolve.solvers.moead.options import DecompositionOptions
from optisolve.solvers.moead.scalarize import front_nadir, front_width, scalarize

__all__ = ["assign", "initial_points", "latin_hypercube"]


def initial_points(task: Task, options: DecompositionOptions) -> tuple[FloatArray, list[str]]:
    """Points to evaluate first, float64 [N, d], and their sources.

    The warm start comes first (at most N of its rows are used), samples fill up.

    Raises:
        SolverError: The warm start has another number of variables, or a value that is not finite.
    """
    space, n = task.instance.space, options.pop_size
    warm = task.start[:n]
    n_samples = n - warm.shape[0]
    rng = task.rng(operator="initial")
    samples = space.sample(rng, n_samples) if options.sampling == "uniform" else latin_hypercube(space, rng, n_samples)
    return np.concatenate([warm, samples]), ["warm_start"] * warm.shape[0] + ["initial"] * n_samples


def latin_hypercube(space: Space, rng: np.random.Generator, n: int) -> FloatArray:
    """Sample n points so that each variable visits each of n equal slices once.

    Args:
        space: The decision space.
        rng: Source of randomness.
        n: Number of points, may be 0.

    Returns:
        float64 [n, d]; integer variables are uniform over their values.

    Source: McKay, Beckman & Conover, Technometrics 21(2), 1979.
    """
    slices = rng.permuted(np.tile(np.arange(n)[:, None], (1, space.dim)), axis=0)  # [n, d]
    U = (slices + rng.random((n, space.dim))) / max(n, 1)
    if not space.has_integers:
        return space.denormalize(U)
    # Integers own an interval of length 1 each, so the ends are as likely as the others.
    lower = np.where(space.integer, np.ceil(space.lower) - 0.5, space.lower)
    upper = np.where(space.integer, np.floor(space.upper) + 0.5, space.upper)
    return space.clip(lower + U * (upper - lower))


def assign(F: FloatArray, violation: FloatArray, weights: FloatArray, ideal: FloatArray, kind: int, theta: float) -> IntArray:
    """Give each sub-problem one of N points so that the total of their scalarized values is smallest.

    A warm start arrives in an arbitrary order; without this step a good point could sit at a sub-problem that it does
    not serve, and be replaced at once.

    Args:
        F: float64 [N, m], minimization form.
        violation: float64 [N]; infeasible points are last choices, in the order of their violation.
        weights: float64 [N, m], >= the smallest safe weight.
        ideal: float64 [m].
        kind: A `Scalarization`.
        theta: Penalty of PBI, dimensionless.

    Returns:
        int64 [N], the point of each sub-problem.
    """
    from scipy.optimize import linear_sum_assignment

    width = front_width(F, ideal, front_nadir(F, violation))
    cost = scalarize(F[None, :, :], weights[:, None, :], ideal, width, kind, theta)  # [N sub-problems, N points]
    worst = cost.max() + 1.0
    rank = np.argsort(np.argsort(violation, kind="stable"), kind="stable")
    cost = np.where(violation > 0.0, worst * (1.0 + rank), cost)
    return np.asarray(linear_sum_assignment(cost)[1], dtype=np.int64)
