"""What people and language models are told about a `resource_allocation` instance."""

from __future__ import annotations

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.problem import Description
from optisolve.problems.resource_allocation.model import Cell, Goal

__all__ = ["describe"]

_ENTRIES = 160
"""Signal-to-noise ratios that are listed; of more, only the strongest users of every tone are."""
_STRONGEST = 2


def describe(cell: Cell, snr_db: FloatArray, *, power_levels: int) -> Description:
    """The cell in words.

    Args:
        cell: What the equations need.
        snr_db: float64 [K, M], SNR of every user on every tone at equal power, dB.
        power_levels: Levels of a tone's power, 0 for continuous powers.
    """
    n_users, n_tones = snr_db.shape
    if cell.goal is Goal.EQUAL_POWER:
        constraints = [f"user{k} gets at most {q:g} tones." for k, q in enumerate(cell.quota)]
    else:
        unit = f" (one level is {cell.level_w:.4g} W)" if power_levels else ""
        constraints = [f"The powers of all tones add up to at most {cell.power_total_w:g} W{unit}."]
        constraints += [f"user{k} needs at least {r:g} Mbit/s." for k, r in enumerate(cell.rate_min_mbps) if r > 0.0]
    return Description(
        f"Each of {n_tones} tones goes to one of {n_users} users (0 to {n_users - 1}). The rate of a tone grows with the "
        "logarithm of power times the owner's gain on it; owners are combinatorial, powers trade between tones.",
        tuple(constraints),
        _facts(cell, snr_db),
        _hints(cell),
    )


def _facts(cell: Cell, snr_db: FloatArray) -> tuple[str, ...]:
    n_users, n_tones = snr_db.shape
    if n_users * n_tones <= _ENTRIES:
        return tuple(
            f"user{k}: weight {cell.weight[k]:.3g}; SNR per tone at equal power [dB] "
            + ", ".join(f"{v:.1f}" for v in snr_db[k])
            for k in range(n_users)
        )
    weights = "Weights of the users: " + ", ".join(f"{w:.3g}" for w in cell.weight) + "."
    best = np.argsort(-snr_db, axis=0, kind="stable")[:_STRONGEST]  # [2, M]
    return (
        *([] if np.ptp(cell.weight) == 0.0 else [weights]),
        f"Strongest {_STRONGEST} users of every tone, SNR at equal power in dB: "
        + "; ".join(
            f"tone{m}: " + ", ".join(f"user{k} {snr_db[k, m]:.0f}" for k in best[:, m].tolist()) for m in range(n_tones)
        )
        + ".",
    )


def _hints(cell: Cell) -> tuple[str, ...]:
    hints = ["Without other constraints the user with the highest gain should own a tone."]
    if np.ptp(cell.weight) > 0.0:
        hints.append("A large weight makes up for a smaller gain, since the rate is only a logarithm of it.")
    if cell.goal is Goal.EQUAL_POWER:
        hints.append("A user at its quota should keep the tones on which it is furthest ahead of the next best user.")
    else:
        hints += [
            "Good powers fill water: strong tones get more, tones below the water level none; the whole budget is used.",
            "A tone at low SNR earns almost in proportion to its power, one at high SNR gains little from more.",
        ]
    if (cell.rate_min_mbps > 0.0).any():
        hints.append("A user below its minimum rate should get tones on which others lose least, then power.")
    return tuple(hints)
