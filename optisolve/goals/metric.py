"""Named quantities of an instance that a goal may speak about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

__all__ = ["Bound", "Feasibility", "Measured", "Metric", "crossed", "effective", "tightest"]


@dataclass(frozen=True, slots=True)
class Metric:
    """A documented quantity, computed from a point by the instance's numpy equations.

    Args:
        name: E.g. ``"rate"``.
        unit: SI unit: W, bit/s, bit/s/Hz, s, Hz, m, J, or "" for ratios and probabilities.
        meaning: One phrase.
        larger_is_better: Which direction people want.
        users: 0 for one number per point, K for one per user.
        words: What people call it.
        now: Value before anything is changed, for requests such as "5 % less"; None when there is none.
    """

    name: str
    unit: str
    meaning: str
    larger_is_better: bool
    users: int = 0
    words: tuple[str, ...] = ()
    now: float | None = None


@dataclass(frozen=True, slots=True)
class Bound:
    """One scalar requirement in SI units.

    Args:
        metric: Name of the metric.
        user: Index from 0; None for a metric without users.
        upper: True for "at most", False for "at least".
        value: SI value.
        clause: Index of the goal's clause that it comes from; -1 for a requirement of the instance itself.
    """

    metric: str
    user: int | None
    upper: bool
    value: float
    clause: int = -1


@dataclass(frozen=True, slots=True)
class Feasibility:
    """Whether requirements can be met together.

    Args:
        answer: True or False when it was decided, None when this family has no procedure for it.
        proof: Why not, or how it was decided, one sentence.
    """

    answer: bool | None
    proof: str = ""


class Measured(Protocol):
    """What deciding about requirements asks of an instance; see `optisolve.goals.goal_instance.MeasuredInstance`."""

    def metrics(self) -> tuple[Metric, ...]:
        """Quantities that a goal may speak about."""
        ...

    def own_bounds(self) -> tuple[Bound, ...]:
        """The scenario's own requirements, for those that a goal may replace."""
        ...

    def satisfiable(self, bounds: tuple[Bound, ...]) -> Feasibility:
        """Whether bounds can be met together."""
        ...


def effective(own: Iterable[Bound], asked: Iterable[Bound], *, keep: bool) -> tuple[Bound, ...]:
    """What holds with a goal: everything asked, and the scenario's own requirements that it says nothing about.

    Args:
        own: The scenario's requirements.
        asked: The goal's.
        keep: False drops all of the scenario's.
    """
    asked = tuple(asked)
    spoken = {(b.metric, b.user, b.upper) for b in asked}
    kept = [b for b in own if keep and (b.metric, b.user, b.upper) not in spoken]
    return (*asked, *kept)


def crossed(bounds: Sequence[Bound]) -> tuple[Bound, Bound] | None:
    """A lower bound above an upper bound on the same quantity, which no point meets; None when there are none."""
    for low in bounds:
        for high in bounds:
            same = (low.metric, low.user) == (high.metric, high.user)
            if same and high.upper and not low.upper and low.value > high.value * (1.0 + 1e-12):
                return low, high
    return None


def tightest(bounds: Iterable[Bound], metric: str, user: int | None, *, upper: bool, default: float) -> float:
    """The tightest of the bounds on one side of one metric, or the default where that is tighter."""
    values = [b.value for b in bounds if (b.metric, b.user, b.upper) == (metric, user, upper)]
    return min([default, *values]) if upper else max([default, *values])
