"""What people and language models are told about a `cell_free` instance."""

from __future__ import annotations

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.problem import Description

__all__ = ["describe"]

_ENTRIES = 160
"""Signal-to-noise ratios that are listed; of more, only the strongest access points of every user are."""
_STRONGEST = 4


def describe(beta_snr: FloatArray) -> Description:
    """The cell in words.

    Args:
        beta_snr: float64 [M, K], SNR of user k from access point m at full power, linear.
    """
    M, K = beta_snr.shape
    snr_db = 10.0 * np.log10(beta_snr)
    shown = M if M * K <= _ENTRIES else _STRONGEST
    facts = []
    for k in range(K):
        best = np.argsort(-snr_db[:, k], kind="stable")[:shown]
        told = ", ".join(f"ap{m} {snr_db[m, k]:.1f}" for m in best)
        facts.append(f"user{k}: SNR [dB] by access point, strongest first: {told}")
    return Description(
        f"{M} access points serve {K} users together. Choose the amplitude with which every access point serves every "
        "user, so that the worst user's rate is as large as possible.",
        constraints=("The squared amplitudes of an access point add up to at most 1 (its full power).",),
        facts=tuple(facts),
        hints=(
            "Signals of several access points add in amplitude; every access point disturbs all users it can reach, by the "
            "sum of its squared amplitudes.",
            "Raising an amplitude helps that user and hurts all others, most those that hear this access point well.",
            "Users with good channels need little; power should go to the worst user until all are equal.",
            "An access point that a user hardly hears should not serve it; one that disturbs more than it helps should "
            "stay below its full power.",
        ),
    )
