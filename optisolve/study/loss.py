"""The loss of a run: one number in [0, 1] that every table, figure, ranking and gate of this library means by that word.

One objective: the gap to the certified optimum; where nobody closed the case, to the dual bound; without a bound, to the best
known value. Several objectives: the share of the reference front's hypervolume that is missing. Either way 0 is "as good as
what it is measured to" and 1 the worst, which every run without a verified feasible answer has; docs/loss.md has the reasons.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from optisolve.core.arrays import FloatArray
from optisolve.core.status import Evidence, Termination
from optisolve.numerics.indicators import GAP_NOISE, quiet

__all__ = ["GAP_NOISE", "LOSS_CAP", "Loss", "Yardstick", "loss_of", "loss_of_gap", "losses_of_gaps", "quiet", "succeeded"]

LOSS_CAP = 1.0
"""The worst loss, which every failure gets: an answer 100 % off its reference, or a front that dominates nothing."""


class Yardstick(StrEnum):
    """What a loss is measured to, in the words of every table."""

    PROVEN_OPTIMUM = "proven optimum"
    """Verified value and dual bound meet: nobody can be better by more than the tie."""
    DUAL_BOUND = "dual bound"
    """Nobody can be better; whether anybody can be as good is open, so the loss holds the bound's weakness as well."""
    BEST_KNOWN = "best known value"
    """The best of many attempts; it may be beaten."""
    BEST_FRONT = "best known front"
    """The same for several objectives."""
    NOTHING = "nothing"
    """No reference: only failures have a loss."""


@dataclass(frozen=True, slots=True)
class Loss:
    """The loss of one run.

    Attributes:
        value: In [0, 1], smaller is better; None for a verified answer without anything to measure it to.
        gap: The signed relative gap behind it, > 0 when worse, not cut at either end; None for a failure.
        yardstick: What it is measured to.
        tie: Gaps up to this size say nothing; relative.
    """

    value: float | None
    gap: float | None
    yardstick: Yardstick
    tie: float = GAP_NOISE


def loss_of(record: Mapping[str, Any], /) -> Loss:
    """The loss of a run.

    Args:
        record: A whole record; its ``scores.gap`` and ``scores.bound_gap`` come from `optisolve.numerics.indicators.score`.

    Returns:
        The loss with its signed gap and what it is measured to; 1 for a run that broke, was stopped, or has no verified
        feasible answer. A gap beyond 1 counts as 1, one within the reference's tie as 0.
    """
    name, yardstick = measured_by(record)
    if not succeeded(record):
        return Loss(LOSS_CAP, None, yardstick)
    scores = record["scores"]
    gap = None if name is None else scores[name]
    if gap is None:
        return Loss(None, None, Yardstick.NOTHING)
    return Loss(loss_of_gap(gap, scores["tie"]), float(gap), yardstick, quiet(scores["tie"]))


def measured_by(record: Mapping[str, Any], /) -> tuple[str | None, Yardstick]:
    """The score that is the gap of a record's loss (``gap``, ``bound_gap`` or None), and what it is the gap to."""
    reference = record["reference"]
    if reference is None:
        return None, Yardstick.NOTHING
    if len(record["verified"]["objectives"]) > 1:
        return "gap", Yardstick.BEST_FRONT
    if reference["evidence"] == Evidence.PROVEN_OPTIMAL:
        return "gap", Yardstick.PROVEN_OPTIMUM
    if reference["dual_bound"] is not None:
        return "bound_gap", Yardstick.DUAL_BOUND
    return ("gap", Yardstick.BEST_KNOWN) if reference["value"] is not None else (None, Yardstick.NOTHING)


def succeeded(record: Mapping[str, Any], /) -> bool:
    """True for a run that ended by itself with a verified feasible point."""
    broken = record["termination"]["status"] in (Termination.ERROR, Termination.INTERRUPTED)
    return not broken and any(record["verified"]["feasible"])


def losses_of_gaps(gaps: npt.ArrayLike, tie: npt.ArrayLike | None, *, cap: float = LOSS_CAP) -> FloatArray:
    """Losses in [0, cap] of signed relative gaps: what a reference cannot tell from zero is zero, nothing is below.

    Args:
        gaps: float64 [n], relative, > 0 when worse; NaN, where nothing is feasible yet, gives the worst loss.
        tie: Relative tolerance plus slack of the reference, one number or float64 [n]; None or NaN where it states none.
        cap: The worst loss.
    """
    values = np.asarray(gaps, dtype=np.float64)
    ties = np.fmax(np.nan if tie is None else tie, GAP_NOISE)
    losses: FloatArray = np.where(values <= ties, 0.0, np.fmin(values, cap))
    return losses


def loss_of_gap(gap: float, tie: float | None) -> float:
    """The loss of one gap, see `losses_of_gaps`."""
    return float(losses_of_gaps(gap, tie))
