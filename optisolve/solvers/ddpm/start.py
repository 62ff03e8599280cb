"""Points of the trained sampler for other solvers to start from."""

from __future__ import annotations

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.bridge import NO_POLISH, stack
from optisolve.core.problem import Instance
from optisolve.core.solver import Task
from optisolve.solvers.ddpm.bridges import bridge_gap, bridge_of
from optisolve.solvers.ddpm.noise import case_keys
from optisolve.solvers.ddpm.pipeline import draw, finish
from optisolve.solvers.ddpm.sampler import Sampling
from optisolve.solvers.ddpm.weights import find_weights, load_weights

__all__ = ["has_sampler", "sampled_points"]

_POLISH_STEPS = 5


def has_sampler(instance: Instance) -> bool:
    """True where a trained sampler is at hand: the instance can be sampled and weights of its family are shipped."""
    return bridge_gap(instance) is None and find_weights("auto", instance.origin.problem) is not None


def sampled_points(source: Task | Instance, count: int, seed: int) -> FloatArray | None:
    """Repaired samples, without a look at any objective.

    For several objectives every point belongs to one of `count` evenly spread preferences, in their order; for one objective
    they are independent samples, polished where the family has a polish that looks at no objective.

    Args:
        source: The instance, or a task that holds it.
        count: Points wanted, at least 1.
        seed: Decides the noise; the points are those that ``ddpm`` draws under this seed.

    Returns:
        float64 [n, d] with n at most `count`, distinct and inside the box; None where the instance cannot be sampled or no
        weights of its family are shipped.
    """
    instance = source.instance if isinstance(source, Task) else source
    if not has_sampler(instance):
        return None
    bridge = bridge_of(instance)
    case, several = bridge.read(instance), bridge.preferences > 0
    cases = bridge.spread(case, count) if several else stack([case])
    keys = case_keys(seed, np.arange(count if several else 1))
    network = load_weights("auto", bridge.family).forward()
    y = draw(bridge, cases, keys, 1 if several else count, network=network, how=Sampling(steps=2))
    polish = next(iter(bridge.free_polishes), NO_POLISH)
    stages = finish(bridge, cases, y, polish=polish, steps=_POLISH_STEPS)
    best = stages.projected if stages.polished is None else stages.polished
    X = bridge.points(instance, best.reshape(-1, best.shape[2]))  # [count, d]
    _, first = np.unique(X, axis=0, return_index=True)
    return X[np.sort(first)]
