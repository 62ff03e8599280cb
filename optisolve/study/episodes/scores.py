"""Scores of an episode: how much was lost in all, at worst, and how long an event was felt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from optisolve.core.errors import RecordError
from optisolve.run.schema import Record
from optisolve.study.loss import LOSS_CAP, loss_of, losses_along

__all__ = ["MADE_GOOD", "EpisodeScores", "Recovery", "loss_value", "score_steps"]

MADE_GOOD = 0.01
"""How much above the loss before it an event is still made good, share of the reference."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """How long an event was felt.

    Attributes:
        step: When it happened.
        evaluations: From then on until the loss was what it was in the step before, but for `MADE_GOOD`; None where it was not
            by the end of the episode.
    """

    step: int
    evaluations: int | None


@dataclass(frozen=True, slots=True)
class EpisodeScores:
    """Scores of one arm.

    Attributes:
        losses: Loss of every step, see `optisolve.study.loss`.
        evaluations: What every step has used.
        recoveries: One per step with events.
    """

    losses: tuple[float, ...]
    evaluations: tuple[int, ...]
    recoveries: tuple[Recovery, ...]

    @property
    def summed(self) -> float:
        """Sum of all losses."""
        return float(sum(self.losses))

    @property
    def worst(self) -> int:
        """The step with the largest loss."""
        return int(np.argmax(self.losses))

    @property
    def unrecovered(self) -> int:
        """Steps with events that were never made good."""
        return sum(recovery.evaluations is None for recovery in self.recoveries)

    @property
    def mean_recovery(self) -> float | None:
        """Mean evaluations until an event was made good, over those that were; None where none was."""
        made_good = [recovery.evaluations for recovery in self.recoveries if recovery.evaluations is not None]
        return float(np.mean(made_good)) if made_good else None


def loss_value(record: Record) -> float:
    """The loss of a step.

    Raises:
        RecordError: There is no reference to measure it to.
    """
    value = loss_of(record).value
    if value is None:
        raise RecordError(f"{record.record_id}: has no reference, so there is no loss; an episode is scored by its losses.")
    return value


def score_steps(records: Sequence[Record], events: Sequence[Sequence[str]]) -> EpisodeScores:
    """The scores of one arm.

    Args:
        records: One per step, in order, with references.
        events: What happened before each of them.
    """
    losses = [loss_value(record) for record in records]
    used = [record.used.evaluations for record in records]
    felt = [Recovery(t, _made_good(records, losses, used, t)) for t in range(1, len(records)) if events[t]]
    return EpisodeScores(tuple(losses), tuple(used), tuple(felt))


def _made_good(records: Sequence[Record], losses: Sequence[float], used: Sequence[int], event: int) -> int | None:
    level, spent = min(losses[event - 1] + MADE_GOOD, LOSS_CAP), 0
    for t in range(event, len(records)):
        at, along = losses_along(records[t])
        reached = np.flatnonzero(along <= level)
        if reached.size and losses[t] <= level:
            return spent + int(at[reached[0]])
        if losses[t] <= level:  # without a curve the end of the step is known
            return spent + used[t]
        spent += used[t]
    return None
