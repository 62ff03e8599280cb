"""From noise to samples: the reverse chain with projection, guidance and per-case noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import numpy as np
from threadpoolctl import ThreadpoolController

from optisolve.core.arrays import FloatArray
from optisolve.core.bridge import Bridge, Cases
from optisolve.solvers.ddpm.forward import Estimator
from optisolve.solvers.ddpm.noise import Keys, normal
from optisolve.solvers.ddpm.schedules import Chain, Schedule

__all__ = ["Guide", "Network", "Sampling", "sample"]

Guide = Callable[[FloatArray], FloatArray]
"""Gradient of what should grow, with respect to the clean estimate [B, S, N, C]."""

_GRID = 1024.0
"""Samples are rounded to 1 / 1024: float64 differs between processors, batch sizes and numbers of threads in digits that are
a billion times finer, so that none of them shows."""
_BLOCK = 8192
"""So many variables walk together unless another number is said: what their network holds fits a processor's cache."""
_KEPT_BYTES = 1 << 24
"""Size of an array that is freed unused: else glibc fetches a chain's arrays from the system and returns them over and over,
which takes half of its time."""


class Network(Protocol):
    """A denoiser, in numpy or in torch."""

    def at(self, condition: Cases) -> Estimator:
        """The clean estimates of some cases, as `Bridge.condition` tells them."""
        ...


@dataclass(frozen=True, slots=True)
class Sampling:
    """How samples are drawn.

    Args:
        schedule: Schedule of the reverse chain.
        steps: Network calls.
        eta: Noise on the way (``ddim`` only).
        guidance: Weight w of classifier-free guidance: null + (1 + w) (conditioned - null).
        push: Length of the objective gradient's push per step, in units of y; 0 for none.
        project: Project the clean estimate in every step, not only at the end.
    """

    schedule: Schedule = Schedule.DDIM
    steps: int = 1
    eta: float = 0.0
    guidance: float = 0.0
    push: float = 0.0
    project: bool = True


def sample(
    network: Network,
    bridge: Bridge,
    cases: Cases,
    keys: Keys,
    count: int,
    how: Sampling,
    *,
    guide: Guide | None = None,
    block: int = _BLOCK,
) -> FloatArray:
    """Draw samples for many cases.

    Args:
        network: The denoiser.
        bridge: Its family.
        cases: B cases.
        keys: uint64 [B]; a case's noise depends on its key alone.
        count: Samples per case, S.
        how: The chain.
        guide: Gradient for `Sampling.push`, of all cases together; needed when that is not 0.
        block: Variables of all samples of the cases that walk together, about.

    Returns:
        y, float64 [B, S, N, C], on a grid of 1/1024.
    """
    together = len(keys) if guide is not None else max(1, block // (count * bridge.shape(cases)[0]))
    walks = []
    with _libraries().limit(limits=1, user_api="blas"):  # matrices are small: threads would wait for each other
        for first in range(0, len(keys), together):
            part = slice(first, first + together)
            few = {name: values[part] for name, values in cases.items()}
            walks.append(_walk(network, bridge, few, keys[part], count, how, guide))
    rounded: FloatArray = np.rint(np.concatenate(walks) * _GRID) / _GRID
    return rounded


@cache
def _libraries() -> ThreadpoolController:
    """The numerical libraries of this process, looked for once; numpy's is there already."""
    np.empty(_KEPT_BYTES // 8)  # from the first large array it frees, glibc learns not to hand memory back at once
    return ThreadpoolController()


def _walk(
    network: Network, bridge: Bridge, cases: Cases, keys: Keys, count: int, how: Sampling, guide: Guide | None
) -> FloatArray:
    """The reverse chain of some cases, before rounding."""
    shape = (count, *bridge.shape(cases))
    condition = bridge.condition(cases)
    estimate = network.at(condition)
    chain: Chain[FloatArray] = Chain(how.schedule, how.steps, how.eta)
    noisy = normal(keys, shape)
    clean = noisy
    for index in range(how.steps):
        level, scale = chain.level(index)
        clean = _predict(estimate, noisy * scale, level, how.guidance)
        if how.push > 0.0 and guide is not None:
            clean = clean + how.push * _unit(guide(clean))
        clean = bridge.project(condition, clean) if how.project else np.clip(clean, -1.0, 1.0)
        if index + 1 < how.steps:
            fresh = normal(keys, shape, stream=index + 1) if chain.needs_noise else None
            noisy = chain.step(clean, index, noisy, fresh)
    return bridge.project(condition, clean)


def _predict(estimate: Estimator, noisy: FloatArray, level: float, guidance: float) -> FloatArray:
    """The clean estimate, with classifier-free guidance when asked for."""
    conditioned = estimate(noisy, level)
    if guidance == 0.0:
        return conditioned
    unconditioned = estimate(noisy, level, null=True)
    guided: FloatArray = unconditioned + (1.0 + guidance) * (conditioned - unconditioned)
    return guided


def _unit(gradient: FloatArray) -> FloatArray:
    """Every sample's gradient at the same length, so that the push has one unit for all problems."""
    n = float(gradient.shape[2] * gradient.shape[3])
    size = np.sqrt(np.square(gradient).sum(axis=(2, 3), keepdims=True))
    unit: FloatArray = gradient / np.maximum(size, 1e-12) * n**0.5
    return unit
