"""Equations of radio planning in readable numpy; verification runs on these.

M transmitters stand on roofs and serve K users, each by the transmitter that it hears loudest. With path gains g_mk (antenna
included), radiated powers p_m and noise power N:

    SINR_k = p_s g_sk / (N + I_k),   s = serving transmitter of k,   I_k = sum over m != s of p_m g_mk, or 0
    R_k    = (B / L_s) log2(1 + SINR_k),   L_s = users that s serves

I_k = 0 where every transmitter has a carrier of its own. Goals of a plan:

    coverage    100 |{k: SINR_k >= target}| / K, %
    edge_rate   the floor(0.05 K)-th smallest rate, counted from 0: all but 5 % of the users have at least it, Mbit/s
    power       sum of p_m, W

A user whom no path reaches has SINR 0 and rate 0 and loads nobody. The rate law is Shannon's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from optisolve.core.arrays import FloatArray, IntArray
from optisolve.core.problem import Objective, Sense

__all__ = [
    "EDGE_SHARE",
    "Choice",
    "Goal",
    "Links",
    "Plan",
    "Transmitters",
    "eirp_excess",
    "goals",
    "links",
    "separation_gaps",
    "watts",
]

Goal = Literal["coverage", "edge_rate", "power"]
Choice = Literal["height", "azimuth", "tilt", "power"]

EDGE_SHARE = 0.05
_BITS_PER_MBIT = 1e6
_EIRP_UNIT_DB = 10.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What is decided, what is wanted, and the radio numbers, in SI units unless a name says otherwise.

    Args:
        n_transmitters: M.
        decide: What is decided beside the positions.
        goals: Objectives, in this order.
        shared: Whether all transmitters use one carrier, so that they disturb each other.
        bandwidth_hz: Of a carrier.
        noise_w: Noise power in a carrier, noise figure included.
        sinr_target: Linear.
        power_dbm: Smallest and largest radiated power of a transmitter; the largest is used where power is not decided.
        eirp_max_dbm: Cap on power times peak gain of the antenna.
        peak_dbi: Peak gain of the antenna.
        distance_min_m: Smallest distance between two transmitters on the ground.
    """

    n_transmitters: int
    decide: tuple[Choice, ...]
    goals: tuple[Goal, ...]
    shared: bool
    bandwidth_hz: float
    noise_w: float
    sinr_target: float
    power_dbm: tuple[float, float]
    eirp_max_dbm: float
    peak_dbi: float
    distance_min_m: float

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """The goals as objectives."""
        told = {
            "coverage": Objective("coverage", Sense.MAXIMIZE, "%", "share of users whose SINR reaches the target", scale=1.0),
            "edge_rate": Objective(
                "edge_rate",
                Sense.MAXIMIZE,
                "Mbit/s",
                "rate that all but the worst 5 % of the users have at least",
                scale=1e-3 * self.bandwidth_hz / _BITS_PER_MBIT,
                axis="5th percentile of the rate",
            ),
            "power": Objective(
                "power",
                Sense.MINIMIZE,
                "W",
                "sum of the radiated powers of all transmitters",
                scale=self.n_transmitters * 10.0 ** (self.power_dbm[0] / 10.0 - 3.0),
                axis="Radiated power",
            ),
        }
        return tuple(told[goal] for goal in self.goals)

    @property
    def constraint_names(self) -> tuple[str, ...]:
        """``separation[i,j]`` for i < j, then ``eirp[m]`` where power is decided."""
        m = range(self.n_transmitters)
        pairs = tuple(f"separation[{i},{j}]" for i in m for j in m if i < j)
        return pairs + (tuple(f"eirp[{i}]" for i in m) if "power" in self.decide else ())


@dataclass(frozen=True, eq=False, slots=True)
class Transmitters:
    """Configurations of M transmitters for a batch of n points.

    Args:
        position_m: float64 [n, M, 2], x east and y north, m.
        azimuth_deg: float64 [n, M], counter-clockwise from east.
        tilt_deg: float64 [n, M], down from the horizon.
        power_dbm: float64 [n, M].
        height_m: float64 [n, M], of the antenna above its roof; None where a site has one height.
    """

    position_m: FloatArray
    azimuth_deg: FloatArray
    tilt_deg: FloatArray
    power_dbm: FloatArray
    height_m: FloatArray | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Links:
    """What every user gets.

    Attributes:
        sinr: float64 [n, K], linear.
        server: int64 [n, K], the transmitter that is heard loudest, the first of equals; 0 where none is heard.
        rate_bps: float64 [n, K].
    """

    sinr: FloatArray
    server: IntArray
    rate_bps: FloatArray


def watts(power_dbm: FloatArray) -> FloatArray:
    """Powers in W."""
    return np.asarray(10.0 ** (power_dbm / 10.0 - 3.0))


def links(gain: FloatArray, power_w: FloatArray, plan: Plan) -> Links:
    """SINR, association and rate of every user.

    Args:
        gain: float64 [n, M, K], linear path gains, antenna included; 0 where no path arrives.
        power_w: float64 [n, M], W.
        plan: The radio numbers.
    """
    received = power_w[:, :, None] * gain  # [n, M, K]
    server = np.argmax(received, axis=1)  # [n, K]
    signal = received.max(axis=1)
    others = np.zeros_like(signal)
    if plan.shared:
        for m in range(plan.n_transmitters):
            others += np.where(server == m, 0.0, received[:, m])
    sinr = signal / (plan.noise_w + others)
    heard = signal > 0.0
    load = np.stack([((server == m) & heard).sum(axis=1) for m in range(plan.n_transmitters)], axis=1)  # [n, M]
    crowd = np.maximum(np.take_along_axis(load, server, axis=1), 1)
    return Links(sinr, server, plan.bandwidth_hz / crowd * np.log2(1.0 + sinr))


def goals(found: Links, power_w: FloatArray, plan: Plan) -> FloatArray:
    """Objectives float64 [n, m], in the order of `plan.goals`.

    Args:
        found: Of the same points.
        power_w: float64 [n, M], W.
        plan: What is wanted.
    """
    n_users = found.sinr.shape[1]
    columns = []
    for goal in plan.goals:
        if goal == "coverage":
            columns.append(100.0 * (found.sinr >= plan.sinr_target).sum(axis=1) / n_users)
        elif goal == "edge_rate":
            rank = int(EDGE_SHARE * n_users)
            columns.append(np.partition(found.rate_bps, rank, axis=1)[:, rank] / _BITS_PER_MBIT)
        else:
            columns.append(power_w.sum(axis=1))
    return np.stack(columns, axis=1)


def separation_gaps(position_m: FloatArray, plan: Plan) -> FloatArray:
    """``(distance_min - distance) / distance_min`` of every pair i < j, float64 [n, M (M - 1) / 2].

    Args:
        position_m: float64 [n, M, 2], m.
        plan: The smallest distance.
    """
    i, j = np.triu_indices(plan.n_transmitters, 1)
    distance = np.hypot(*np.moveaxis(position_m[:, i] - position_m[:, j], -1, 0))
    return np.asarray(1.0 - distance / plan.distance_min_m)


def eirp_excess(power_dbm: FloatArray, plan: Plan) -> FloatArray:
    """EIRP above its cap in units of 10 dB, float64 [n, M].

    Args:
        power_dbm: float64 [n, M].
        plan: Cap and peak gain.
    """
    return np.asarray((power_dbm + plan.peak_dbi - plan.eirp_max_dbm) / _EIRP_UNIT_DB)
