"""What people and language models are told about a `power_control` instance."""

from __future__ import annotations

import numpy as np

from optisolve.core.problem import Description
from optisolve.problems.power_control.model import Goal, Links

__all__ = ["describe"]

_LISTED = 20
"""Links described one by one; more would drown the reader."""

_AIM = {
    Goal.SUM_RATE: "maximize the sum of all rates",
    Goal.WEIGHTED_SUM_RATE: "maximize the weighted sum of all rates",
    Goal.MIN_POWER: "use as little total power as possible while every link reaches its minimum rate",
    Goal.MAX_MIN: "make the rate of the worst link as large as possible",
    Goal.ENERGY_EFFICIENCY: "maximize the sum rate per watt consumed",
}

_HINTS = {
    Goal.SUM_RATE: (
        "Good points are nearly always on/off: few links with strong direct and weak cross gains at full power, the rest off.",
        "Switching a link off helps when the interference it causes costs the others more than its own rate.",
    ),
    Goal.WEIGHTED_SUM_RATE: (
        "Good points are mostly on/off: links of large weight, strong direct and weak cross gains at full power, the rest off.",
        "A link's worth is its weighted rate less what its interference costs the others, in their weights.",
    ),
    Goal.MIN_POWER: ("At the optimum every link meets its minimum rate exactly; one unit too much anywhere costs everybody.",),
    Goal.MAX_MIN: ("At the optimum all rates are equal and at least one link is at its cap.",),
    Goal.ENERGY_EFFICIENCY: (
        "Beyond some power the rate grows more slowly than the consumption; few links far below their cap.",
    ),
}


def describe(links: Links, goal: Goal) -> Description:
    """The channel in words.

    Args:
        links: The channel.
        goal: What is optimized.
    """
    n_links = links.noise_w.size
    snr_db = 10.0 * np.log10(np.maximum(links.gain * links.p_max_w / links.noise_w[:, None], 1e-30))  # [K, K]
    facts = [f"{n_links} links; power caps {_span(links.p_max_w)} W."]
    for i in range(min(n_links, _LISTED)):
        others = [j for j in np.argsort(-snr_db[i]) if j != i][:2]
        heard = ", ".join(f"{snr_db[i, j]:.1f} dB from link {j}" for j in others) or "nothing"
        line = f"link {i}: direct {snr_db[i, i]:.1f} dB over noise at full power; hears {heard}"
        if goal is Goal.WEIGHTED_SUM_RATE:
            line += f"; weight {links.weight[i]:.3g}"
        facts.append(line + ".")
    if n_links > _LISTED:
        facts.append(f"Links {_LISTED} to {n_links - 1} are not listed.")
    asked = np.flatnonzero(links.min_rate_bit_s_hz > 0.0)
    constraints = ["Every power lies between 0 W and the link's cap."]
    if asked.size:
        needs = ", ".join(f"{i}: {links.min_rate_bit_s_hz[i]:.3g}" for i in asked[:_LISTED])
        constraints.append(f"Minimum rates in bit/s/Hz by link ({needs}).")
    summary = (
        f"Choose the transmit power of {n_links} radio links that share one frequency band, so as to {_AIM[goal]}. "
        "More power raises a link's own rate log2(1 + SINR) and lowers the rates of all links that hear it."
    )
    return Description(summary, tuple(constraints), tuple(facts), _HINTS.get(goal, _HINTS[Goal.SUM_RATE]))


def _span(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> str:
    low, high = float(values.min()), float(values.max())
    return f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"
