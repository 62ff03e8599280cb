"""Certified maximization of a weighted sum rate, or of rate per consumed power, on an interference channel.

Best-first branch and bound over boxes of powers (mixed-monotonic programming, Matthiesen, Hellings, Jorswieck and
Utschick, arXiv 1910.07853), with two additions of ours that matter more than the bound itself:

- powers in which the objective is monotone on a box are fixed at once, by interval bounds of its derivative, and
- a second bound, concave over the box, whose gap shrinks with the square of the box's size.

The arithmetic is ordinary floating point, not interval arithmetic: bounds are widened by 1e-12 relative, the concave one by the
rounding of its terms, and floors are those that a verified point keeps, with room for rounding. So the bound holds for every
point that passes verification.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, log
from time import perf_counter
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from optisolve.core.arrays import FloatArray
from optisolve.numerics.interference import relaxed_floor

__all__ = ["CertifiedSearch", "Data", "RateProgram", "maximize_rate"]

_Number = TypeVar("_Number", np.float64, np.int64)

_CHUNK = 8192
"""Boxes that go in one call, at most."""
_FIRST_CHUNK, _LOOK_S = 64, 0.1
"""Boxes of the first call, and time between two looks at the clock, s, where somebody asks for one."""

_WIDENING = 1e-12
"""Relative widening of a bound that covers rounding."""


@dataclass(frozen=True, eq=False, slots=True)
class Data:
    """What the bounds need: a program scaled so that noise is 1 and every power runs over [0, 1]; rates are in nats.

    Args:
        gain: float64 [K, K], receiver i from transmitter j at full power, over the noise of receiver i.
        weight: float64 [K].
        floor: float64 [K], smallest SINR allowed, 0 for none.
        circuit: Power consumed in any case.
        slope: float64 [K], further consumed power at full power.
    """

    gain: FloatArray
    weight: FloatArray
    floor: FloatArray
    circuit: float
    slope: FloatArray

    def unpacked(self) -> tuple[FloatArray, FloatArray, FloatArray, float, FloatArray]:
        """The tuple that the kernels take."""
        return self.gain, self.weight, self.floor, self.circuit, self.slope


@dataclass(frozen=True, eq=False, slots=True)
class RateProgram:
    """maximize ``sum_i w_i log2(1 + SINR_i(p)) / (circuit_power_w + slope * sum p)``, floors on the SINR, 0 <= p <= p_max.

    Args:
        gain: float64 [K, K], receiver i from transmitter j, linear.
        noise_w: float64 [K], W, > 0.
        p_max_w: float64 [K], W, > 0.
        weight: float64 [K], >= 0.
        sinr_floor: float64 [K], linear, 0 for none.
        circuit_power_w: Power consumed in any case, W, > 0; 1 for a plain sum rate.
        slope: Consumed power per radiated power; 0 for a plain sum rate.
    """

    gain: FloatArray
    noise_w: FloatArray
    p_max_w: FloatArray
    weight: FloatArray
    sinr_floor: FloatArray
    circuit_power_w: float = 1.0
    slope: float = 0.0

    def scaled(self) -> Data:
        """The same program with noise 1, powers in [0, 1], and floors as low as verification lets them be."""
        return Data(
            gain=np.ascontiguousarray(self.gain * self.p_max_w / self.noise_w[:, None]),
            weight=np.ascontiguousarray(self.weight, dtype=np.float64),
            floor=relaxed_floor(np.asarray(self.sinr_floor, dtype=np.float64)),
            circuit=float(self.circuit_power_w),
            slope=np.ascontiguousarray(self.slope * self.p_max_w),
        )


@dataclass(frozen=True, eq=False, slots=True)
class CertifiedSearch:
    """What the search found and what it proves.

    Attributes:
        powers_w: float64 [K], the best feasible point, W; None when none was found.
        value: Its objective; -inf when there is none.
        dual_bound: No feasible point is better; -inf when there is no feasible point at all.
        nodes: Boxes processed.
        closed: The gap is at most the one asked for (or infeasibility is proven).
    """

    powers_w: FloatArray | None
    value: float
    dual_bound: float
    nodes: int
    closed: bool


def maximize_rate(
    program: RateProgram,
    *,
    start_w: FloatArray | None = None,
    gap: float = 1e-6,
    max_nodes: int = 500_000,
    rounds: int = 2,
    out_of_time: Callable[[], bool] | None = None,
) -> CertifiedSearch:
    """Search until the gap is closed, the nodes are used up, or the time is.

    Args:
        program: What is maximized.
        start_w: float64 [K], a good point, W; it saves work and is never needed.
        gap: Relative gap asked for; boxes within it are discarded.
        max_nodes: Boxes to process at most; the deterministic limit.
        rounds: Tangent planes of the concave bound; 0 leaves it out.
        out_of_time: Asked about ten times a second; its use makes the result depend on the machine.

    Returns:
        The best point and a bound that holds at any limit.
    """
    from optisolve.numerics.mixed_monotonic_kernels import expand, objective, screen

    data = program.scaled()
    packed = data.unpacked()
    n_links = data.weight.size
    best = np.zeros(n_links) if start_w is None else np.clip(start_w / program.p_max_w, 0.0, 1.0)
    values = np.array([objective(best, packed), -inf])
    size = min(max_nodes, _CHUNK) + 2
    lows, highs = np.zeros((size, n_links)), np.ones((size, n_links))
    bounds, heap = np.full(size, inf), np.zeros(size, dtype=np.int64)
    counts = np.array([1, 1, 0])
    bounds[0] = screen(lows[0], highs[0], inf, values[0], gap, packed, rounds, np.empty(n_links))
    if bounds[0] == -inf:
        return CertifiedSearch(None, -inf, -inf, 0, closed=True)
    chunk = _CHUNK if out_of_time is None else _FIRST_CHUNK
    while counts[2] < max_nodes and not (out_of_time is not None and out_of_time()):
        steps, before, begin = min(chunk, max_nodes - int(counts[2])), int(counts[2]), perf_counter()
        if counts[1] + steps + 1 > bounds.size:
            lows, highs, bounds, heap = _doubled(lows), _doubled(highs), _doubled(bounds), _doubled(heap)
        expand(lows, highs, bounds, heap, counts, best, values, steps, gap, packed, rounds)
        if counts[2] - before < steps:
            break
        if out_of_time is not None:  # boxes of many links take long; how many go in one call changes no result
            chunk = max(1, min(_CHUNK, int(chunk * min(4.0, _LOOK_S / max(perf_counter() - begin, 1e-6)))))
    top = bounds[heap[0]] if counts[0] else -inf
    bound = max(float(top), float(values[1]), float(values[0]))
    closed = counts[0] == 0 or bool(top <= values[0] * (1.0 + gap))
    unit = 1.0 / log(2.0)
    found = values[0] > -inf
    return CertifiedSearch(
        powers_w=best * program.p_max_w if found else None,
        value=float(values[0]) * unit,
        dual_bound=bound * unit * (1.0 + _WIDENING) if bound > -inf else -inf,
        nodes=int(counts[2]),
        closed=closed,
    )


def _doubled(array: npt.NDArray[_Number]) -> npt.NDArray[_Number]:
    """The array with twice the rows, plus a chunk; new rows are not initialized."""
    grown = np.empty((2 * array.shape[0] + _CHUNK, *array.shape[1:]), dtype=array.dtype)
    grown[: array.shape[0]] = array
    return grown
