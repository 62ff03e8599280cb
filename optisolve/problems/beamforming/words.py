"""What people and language models are told about a `beamforming` instance."""

from __future__ import annotations

import math

import numpy as np

from optisolve.core.problem import Description
from optisolve.problems.beamforming.model import Constants

__all__ = ["describe"]

_ENTRIES = 64
"""Channel entries that are listed; more would drown the reader."""

_AIM = {
    "min_power": "Reach every user's SINR target with as little power as possible.",
    "max_min": "Make the worst ratio of SINR to target as large as possible.",
    "weighted_sum_rate": "Make the weighted sum of rates as large as possible.",
}

_HINTS = {
    "min_power": (
        "Scaling all precoders down by one factor saves power and lowers every SINR; at the optimum every user meets its "
        "target exactly.",
        "A user above its target can lower its own precoder, which also helps all others.",
    ),
    "max_min": (
        "Only the worst user counts: move power to it and turn the others' precoders away from its channel.",
        "At the optimum all ratios are equal and the whole power is used.",
    ),
    "weighted_sum_rate": (
        "The last watt is worth most at a user with large weight, strong channel and little interference.",
        "Serving fewer users can be better than serving all: a precoder near zero switches a user off.",
    ),
}


def describe(c: Constants) -> Description:
    """The channels in words.

    Args:
        c: Goal and data.
    """
    K, M = c.h.shape
    constraints = [f"The squared magnitudes of all precoder entries add up to at most {c.p_total_w:g} W."]
    if c.goal == "min_power":
        constraints.append("Every user's SINR reaches its target.")
    gain = (np.abs(c.h) ** 2).sum(axis=1)
    facts = [
        f"user{k}: channel gain {g:.3g}, SINR target {10 * math.log10(t):.1f} dB, weight {a:.3g}"
        for k, (g, t, a) in enumerate(zip(gain, c.sinr_target, c.weight, strict=True))
    ]
    return Description(
        f"Choose complex precoders of {M} antennas for {K} users on one downlink channel, noise {c.noise_w:g} W. "
        + _AIM[c.goal],
        constraints=tuple(constraints),
        facts=(*facts, *_channels(c)),
        hints=(
            "The variables are the real (re) and imaginary (im) part of every entry of every precoder w. User k hears the "
            "signal of user j with power |h_k^H w_j|^2: its own is useful, the others' are interference.",
            "A precoder along the user's channel gives most signal; one orthogonal to the others' channels disturbs nobody.",
            "Regularized zero forcing is between the two and often good: channel minus a part that lies along the others'.",
            "Turning the phase of a whole precoder changes nothing.",
            *_HINTS[c.goal],
        ),
    )


def _channels(c: Constants) -> tuple[str, ...]:
    """Directions of the channels, when they are few enough to read; what two channels have in common otherwise."""
    unit = c.h / np.linalg.norm(c.h, axis=1, keepdims=True)
    if c.h.size <= _ENTRIES:
        return tuple(
            f"channel h of user{k}, scaled to norm 1, (re, im) by antenna: "
            + ", ".join(f"({v.real:.2f}, {v.imag:.2f})" for v in row)
            for k, row in enumerate(unit)
        )
    overlap = np.abs(unit.conj() @ unit.T)  # [K, K]
    np.fill_diagonal(overlap, -1.0)
    return tuple(
        f"user{k}'s channel is most like that of user{int(row.argmax())} (cosine {row.max():.2f})"
        for k, row in enumerate(overlap)
    )
