"""Sample K, project, polish, select: for many cases at once, every stage kept apart.

The trained sampler and its null control run through the same code; only where y comes from differs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optisolve.core.arrays import FloatArray, IntArray
from optisolve.core.bridge import NO_POLISH, Bridge, Cases
from optisolve.solvers.ddpm.noise import Keys, uniform
from optisolve.solvers.ddpm.sampler import Guide, Network, Sampling, sample

__all__ = ["Stages", "draw", "finish"]

_RANDOM = 1 << 20
"""Stream of the uninformed samples; the chain's own count its steps."""


@dataclass(frozen=True, eq=False, slots=True)
class Stages:
    """What became of the samples of B cases.

    Attributes:
        raw: float64 [B, S, D], decoded without repair.
        projected: float64 [B, S, D], projected and completed.
        polished: float64 [B, S, D] or None, after the short polish.
        probes: int64 [B, S], objective values looked at inside the polish.
    """

    raw: FloatArray
    projected: FloatArray
    polished: FloatArray | None
    probes: IntArray


def draw(
    bridge: Bridge,
    cases: Cases,
    keys: Keys,
    count: int,
    *,
    network: Network | None,
    how: Sampling | None = None,
    guide: Guide | None = None,
    n_random: int = 0,
) -> FloatArray:
    """Samples y, float64 [B, S, N, C]: from the network, or from the null sampler when there is none.

    The last `n_random` of the `count` samples come from the null sampler in any case.
    """
    if network is None or how is None:
        return bridge.null(cases, uniform(keys, (count, *bridge.shape(cases))))
    n_random = min(n_random, count - 1)
    y = sample(network, bridge, cases, keys, count - n_random, how, guide=guide)
    if n_random == 0:
        return y
    return np.concatenate([y, bridge.null(cases, uniform(keys, (n_random, *bridge.shape(cases)), stream=_RANDOM))], axis=1)


def finish(bridge: Bridge, cases: Cases, y: FloatArray, *, polish: str, steps: int) -> Stages:
    """Decode, project and polish samples.

    Args:
        bridge: The family.
        cases: B cases.
        y: float64 [B, S, N, C].
        polish: One of the bridge's polishes.
        steps: Steps of the polish, 0 for none.
    """
    projected = bridge.decode(cases, y)
    if polish == NO_POLISH or steps == 0:
        return Stages(bridge.raw(cases, y), projected, None, np.zeros(y.shape[:2], dtype=np.int64))
    done = bridge.polish(cases, projected, method=polish, steps=steps)
    return Stages(bridge.raw(cases, y), projected, done.points, done.probes)
