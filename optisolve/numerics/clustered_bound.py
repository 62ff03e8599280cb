"""An upper bound on a sum rate, or on rate per consumed power, of many links from certified bounds on clusters of few.

Whatever the powers, a set S of links has together at most the rate B_S that it would have if nobody else sent more than its
least power: interference from outside only lowers rates, and what others consume only lowers the efficiency. Rates are not
negative, so the B_S of a partition add up to a bound. Clusters are made of links that lose most by sending at once, each is
solved by branch and bound, and what limits the sum is the interference that is left out between clusters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from optisolve.core.arrays import FloatArray, IntArray
from optisolve.numerics.mixed_monotonic import RateProgram, maximize_rate
from optisolve.numerics.wmmse import normalized_gain, wmmse

__all__ = ["ClusteredBound", "clustered_bound", "interference_clusters"]

_UNIT = float(np.finfo(np.float64).eps)
_GAP = 3e-3
"""Relative gap at which a cluster counts as solved; its bound holds at any."""
_STARTS = 8


@dataclass(frozen=True, slots=True)
class ClusteredBound:
    """What clusters prove.

    Attributes:
        bound: bit/s/Hz, or bit/s/Hz/W where power is consumed; no verified point is better.
        clusters: Number of clusters.
        nodes: Boxes of the branch and bound in all of them.
    """

    bound: float
    clusters: int
    nodes: int


def clustered_bound(
    program: RateProgram,
    *,
    least_w: FloatArray,
    size: int,
    max_nodes: int,
    out_of_time: Callable[[], bool] | None = None,
) -> ClusteredBound:
    """Bound a program of many links.

    Args:
        program: What is maximized.
        least_w: float64 [K], powers that every verified point has at least, W; zeros without floors.
        size: Links of a cluster.
        max_nodes: Boxes in all clusters together; the deterministic limit.
        out_of_time: Ends the search; clusters that are left are bounded as if their links did not disturb each other.
    """
    alone = program.weight * np.log1p(np.diag(program.gain) * program.p_max_w / program.noise_w)  # [K] nats
    alone = alone / (np.log(2.0) * program.circuit_power_w) * (1.0 + 16.0 * _UNIT)
    clusters = interference_clusters(program, size)
    total, nodes, share = 0.0, 0, max(1, max_nodes // len(clusters))
    for links in clusters:
        bound = float(alone[links].sum())
        if out_of_time is None or not out_of_time():
            part = _part(program, links, least_w)
            search = maximize_rate(part, start_w=_start(part), gap=_GAP, max_nodes=share, out_of_time=out_of_time)
            nodes += search.nodes
            # That nothing is feasible inside a cluster is left to proofs of infeasibility
            bound = min(bound, search.dual_bound) if search.dual_bound > 0.0 else bound
        total += bound
    return ClusteredBound(total * (1.0 + 4.0 * alone.size * _UNIT), len(clusters), nodes)


def interference_clusters(program: RateProgram, size: int) -> list[IntArray]:
    """A partition: each cluster begins with the best link that is left and takes in what loses most beside its members.

    Two links lose by each other what they have alone less what the best of (1, 1), (1, 0) and (0, 1) leaves them.

    Args:
        program: Links, powers and weights.
        size: Links of a cluster.
    """
    snr = program.gain * program.p_max_w / program.noise_w[:, None]
    own = np.diag(snr)
    alone = program.weight * np.log1p(own)
    disturbed = program.weight[:, None] * np.log1p(own[:, None] / (1.0 + snr))  # [i, j], link i beside link j
    together = np.maximum(disturbed + disturbed.T, np.maximum(alone[:, None], alone[None, :]))
    loss = alone[:, None] + alone[None, :] - together
    left, clusters = np.ones(own.size, dtype=bool), list[IntArray]()
    while left.any():
        links = [int(np.argmax(np.where(left, alone, -np.inf)))]
        left[links[0]] = False
        near = loss[links[0]].copy()
        while len(links) < size and left.any():
            k = int(np.argmax(np.where(left, near, -np.inf)))
            links.append(k)
            left[k] = False
            near += loss[k]
        clusters.append(np.array(sorted(links), dtype=np.int64))
    return clusters


def _part(program: RateProgram, links: IntArray, least_w: FloatArray) -> RateProgram:
    """The program of a cluster beside the least powers of all others, a little less for rounding."""
    others = np.where(np.isin(np.arange(least_w.size), links), 0.0, least_w) * (1.0 - 1e-12)
    heard = (program.gain[links] * others).sum(axis=1) * (1.0 - 1e-12)
    return replace(
        program,
        gain=program.gain[np.ix_(links, links)],
        noise_w=program.noise_w[links] + heard,
        p_max_w=program.p_max_w[links],
        weight=program.weight[links],
        sinr_floor=program.sinr_floor[links],
        circuit_power_w=program.circuit_power_w + program.slope * float(others.sum()),
    )


def _start(part: RateProgram) -> FloatArray:
    """The best of a few WMMSE answers, float64 [size], W; it only saves boxes."""
    n = part.weight.size
    starts = np.vstack([np.ones(n), np.random.default_rng(0).random((_STARTS, n))])
    scaled = normalized_gain(part.gain, part.noise_w, part.p_max_w)
    shares = wmmse(scaled[None], part.weight[None], starts[None])[0][0]
    own = np.diag(scaled)
    rate = np.log1p(shares * own / (1.0 + shares @ (scaled - np.diag(own)).T)) @ part.weight
    best: FloatArray = shares[int(np.argmax(rate))] * part.p_max_w
    return best
