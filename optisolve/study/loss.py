"""The loss of a run: one number in [0, 1] that every table, figure, ranking and gate of this library means by that word.

One objective: the gap to the certified optimum; where nobody closed the case, to the dual bound; without a bound, to the best
known value. Several objectives: the share of the reference front's hypervolume that is missing. Either way 0 is "as good as
what it is measured to" and 1 the worst, which every run without a verified feasible answer has; docs/loss.md has the reasons.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from optisolve.core.arrays import FloatArray
from optisolve.core.status import Evidence, Termination
from optisolve.numerics.indicators import GAP_NOISE, quiet
from optisolve.run.schema import Record

__all__ = [
    "GAP_NOISE",
    "LOSS_CAP",
    "Loss",
    "Yardstick",
    "aim_of",
    "describe_loss",
    "loss_of",
    "loss_of_gap",
    "losses_after",
    "losses_along",
    "losses_of_gaps",
    "measured_by",
    "quiet",
    "succeeded",
]

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

    @property
    def standing(self) -> float:
        """What rankings compare, smaller is better: the loss, but below 0 where a best known reference is beaten."""
        if self.gap is not None and self.gap < -self.tie:
            return self.gap
        return float("nan") if self.value is None else self.value


def loss_of(record: Record, /) -> Loss:
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
    gap = None if name is None else record.scores.values()[name]
    if gap is None:
        return Loss(None, None, Yardstick.NOTHING)
    return Loss(loss_of_gap(gap, record.scores.tie), float(gap), yardstick, quiet(record.scores.tie))


def aim_of(record: Record, /) -> float:
    """The number behind a record's yardstick: a value, a bound, or a front's hypervolume; NaN without one."""
    name, yardstick = measured_by(record)
    if name is None or record.reference is None:
        return float("nan")
    if yardstick is Yardstick.BEST_FRONT:
        aim = record.scores.gap_scale
    else:
        aim = record.reference.value if name == "gap" else record.reference.dual_bound
    return float("nan") if aim is None else float(aim)


def losses_along(record: Record, /) -> tuple[FloatArray, FloatArray]:
    """The anytime curve of a run as losses.

    Returns:
        (evaluations [t], loss [t]), both float64, loss 1 while nothing is feasible; empty without a curve or a yardstick.
    """
    rows = [(row[0], np.nan if row[2] is None else row[2]) for row in record.trace]
    aim, scores, objectives = aim_of(record), record.scores, record.verified.objectives
    if not rows or np.isnan(aim) or not scores.gap_scale:
        return np.empty(0), np.empty(0)
    at, values = np.array(rows, dtype=np.float64).T
    sign = 1.0 if len(objectives) > 1 or objectives[0].sense == "maximize" else -1.0
    return at, losses_of_gaps(sign * (aim - values) / scores.gap_scale, scores.tie)


def losses_after(record: Record, seconds: Sequence[float], /) -> list[float | None]:
    """The loss of what a run knew after some times, by its own clock.

    Args:
        record: A record, or a row of a table that keeps what was known by then.
        seconds: The times, s.

    Returns:
        One loss per time: of the best feasible value that the curve had reached, never below the loss that the run ended with,
        and the worst one before the first such value, or where the run failed. None where nothing measures it.
    """
    final = loss_of(record).value
    if final is None or not succeeded(record):
        return [final] * len(seconds)
    _, along = losses_along(record)
    curve = list(zip((row[1] for row in record.trace), along.tolist(), strict=False))
    return [max(final, min((loss for at, loss in curve if at <= limit), default=LOSS_CAP)) for limit in seconds]


def describe_loss(yardsticks: Iterable[str], *, several: bool) -> str:
    """A loss in words, for captions and axes.

    Args:
        yardsticks: What the runs are measured to.
        several: The problem has several objectives.
    """
    told = " or ".join(sorted(yardsticks)) or "reference"
    return f"share of the {told}'s hypervolume that is missing" if several else f"gap to the {told}"


def measured_by(record: Record, /) -> tuple[str | None, Yardstick]:
    """The score that is the gap of a record's loss (``gap``, ``bound_gap`` or None), and what it is the gap to."""
    reference = record.reference
    if reference is None:
        return None, Yardstick.NOTHING
    if len(record.verified.objectives) > 1:
        return "gap", Yardstick.BEST_FRONT
    if reference.evidence is Evidence.PROVEN_OPTIMAL:
        return "gap", Yardstick.PROVEN_OPTIMUM
    if reference.dual_bound is not None:
        return "bound_gap", Yardstick.DUAL_BOUND
    return ("gap", Yardstick.BEST_KNOWN) if reference.value is not None else (None, Yardstick.NOTHING)


def succeeded(record: Record, /) -> bool:
    """True for a run that ended by itself with a verified feasible point."""
    broken = record.termination.status in (Termination.ERROR, Termination.INTERRUPTED, Termination.STOPPED)
    return not broken and any(record.verified.feasible)


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
