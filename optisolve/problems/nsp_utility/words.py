"""What people and language models are told about an `nsp_utility` instance."""

from __future__ import annotations

from optisolve.core.arrays import FloatArray
from optisolve.core.problem import Description
from optisolve.problems.nsp_utility.model import Constants

__all__ = ["QUALITY", "describe"]

QUALITY = {
    "rate": "the data rate in Mbit/s",
    "availability": "the probability that no branch is in outage",
    "bep": "the probability that a bit arrives correctly",
    "throughput": "the effective throughput, data rate times availability, in Mbit/s",
}

_LISTED = 40
"""Branches described one by one."""

_RATE = "For rate, strong branches get more power and very weak ones none (water-filling); rate grows like a logarithm."
_AVAILABILITY = (
    "Availability is lost when a single branch is in outage: every branch needs power, weak branches the most (power like "
    "1/sqrt(gain)); a branch without power makes it zero."
)
_BEP = (
    "Every branch counts alike in the mean bit error probability: at good SNR power like 1/sqrt(gain) is best, so weak "
    "branches get more, unless they are hopeless."
)
_HINTS = {
    "rate": (_RATE,),
    "availability": (_AVAILABILITY,),
    "bep": (_BEP,),
    "throughput": (_RATE, _AVAILABILITY, "Throughput is their product, so the two ways to spend power conflict."),
    "energy": ("Lower all powers until the first floor on quality is met exactly; then only moving power can save more.",),
}


def describe(c: Constants, gain: FloatArray) -> Description:
    """The branches in words.

    Args:
        c: Goal and constants.
        gain: float64 [M], linear.
    """
    constraints, hints = [f"The powers of all branches add up to at most {c.p_total_w:g} W."], list(_HINTS[c.goal])
    if c.outage_max is not None:
        constraints.append(f"The outage probability is at most {c.outage_max:g}.")
        hints.append(_AVAILABILITY)
    if c.bep_max is not None:
        constraints.append(f"The mean bit error probability is at most {c.bep_max:g}.")
        hints.append(_BEP)
    if c.rate_min_mbps is not None:
        constraints.append(f"The data rate is at least {c.rate_min_mbps:g} Mbit/s.")
        hints.append(_RATE)
    aim = f"Earn as much as possible: {c.payment:g} per unit of {QUALITY.get(c.goal)}, minus {c.price_per_w:g} per W."
    if c.goal == "energy":
        aim = "Spend as little power as possible."
    elif c.price_per_w > 0.0:
        hints.append("Power costs money: stop adding it to a branch where the next watt earns less than its price.")
    snr = gain / c.noise_w
    facts = [f"branch{m}: SNR {value:.4g} per W" for m, value in enumerate(snr[:_LISTED])]
    if snr.size > _LISTED:
        facts.append(f"Branches {_LISTED} to {snr.size - 1} are not listed; {snr.min():.3g} to {snr.max():.3g} per W.")
    return Description(
        f"Spread transmit power over {gain.size} parallel branches of one link. {aim}",
        constraints=tuple(constraints),
        facts=tuple(facts),
        hints=tuple(dict.fromkeys(hints)),
    )
