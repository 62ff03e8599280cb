"""Can it be met, and if not, what is the smallest change that lets it be met: computed, never guessed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

from optisolve.goals.goal import Goal, bounds_of
from optisolve.goals.goal_instance import MeasuredInstance, bound_text
from optisolve.goals.metric import Bound, Feasibility, Metric, crossed, effective
from optisolve.goals.units import format_si

__all__ = ["Relaxation", "Satisfiability", "check_satisfiable"]

_ROUNDS = 90
_RELATIVE = 1e-9


@dataclass(frozen=True, slots=True)
class Relaxation:
    """One way out of a contradiction.

    Attributes:
        text: What to give up, in words with numbers.
        clause: Index of the goal's clause, -1 for a requirement of the scenario, None for all together.
        bounds: The requirements that would hold instead, SI.
    """

    text: str
    clause: int | None
    bounds: tuple[Bound, ...]


@dataclass(frozen=True, slots=True)
class Satisfiability:
    """The verdict on a goal.

    Attributes:
        verdict: Decided or not, with the proof.
        relaxations: Smallest changes, each of which suffices; only for a contradiction. The last one, where it exists,
            loosens everything by the same share.
        bounds: What was checked: the goal's requirements and those kept from the scenario.
    """

    verdict: Feasibility
    relaxations: tuple[Relaxation, ...]
    bounds: tuple[Bound, ...]


def check_satisfiable(instance: MeasuredInstance, goal: Goal) -> Satisfiability:
    """Decide whether a goal can be met on an instance, and compute the smallest relaxations if not.

    Args:
        instance: The instance without the goal; its family decides (`MeasuredInstance.satisfiable`).
        goal: A goal that fits it.
    """
    metrics = instance.metrics()
    bounds = effective(instance.own_bounds(), bounds_of(goal, metrics), keep=goal.keep)
    verdict = _crossed(bounds, metrics) or instance.satisfiable(bounds)
    if verdict.answer is not False:
        return Satisfiability(verdict, (), bounds)
    groups: dict[tuple[int, str, int | None], list[int]] = {}
    for i, bound in enumerate(bounds):
        key = (bound.clause, "", None) if bound.clause >= 0 else (-1, bound.metric, bound.user)
        groups.setdefault(key, []).append(i)
    ways = []
    for (clause, _, _), members in groups.items():
        loosened = _smallest(instance, bounds, members)
        if loosened is not None:
            ways.append(Relaxation(_told(bounds, loosened, members, metrics), clause, loosened))
    everything = _smallest(instance, bounds, list(range(len(bounds)))) if len(groups) > 1 else None
    if everything is not None:
        shares = [abs(b.value - a.value) / abs(a.value) for a, b in zip(bounds, everything, strict=True) if a.value != 0.0]
        by = f" by {100.0 * max(shares):.4g} %" if shares else ""
        ways.append(Relaxation(f"loosen all requirements{by}", None, everything))
    return Satisfiability(verdict, tuple(ways), bounds)


def _crossed(bounds: tuple[Bound, ...], metrics: tuple[Metric, ...]) -> Feasibility | None:
    """A contradiction that needs no procedure."""
    pair = crossed(bounds)
    return pair and Feasibility(False, " contradicts ".join(bound_text(bound, metrics) for bound in pair))


def _smallest(instance: MeasuredInstance, bounds: tuple[Bound, ...], members: list[int]) -> tuple[Bound, ...] | None:
    """The least common loosening of some bounds, by bisection; None when no loosening of them suffices or none is decided."""

    def meets(share: float) -> bool:
        loosened = _loosened(bounds, members, share)
        return crossed(loosened) is None and instance.satisfiable(loosened).answer is True

    share = _bisect(meets, any(bounds[i].upper for i in members))
    return None if share is None else _loosened(bounds, members, share)


def _bisect(meets: Callable[[float], bool], unbounded: bool) -> float | None:
    high = 1.0
    while not meets(high):
        high *= 8.0
        if not unbounded or high > 1e12:  # lower bounds vanish at share 1
            return None
    low = 0.0
    for _ in range(_ROUNDS):
        if high - low <= _RELATIVE * max(high, 1e-12):
            break
        middle = 0.5 * (low + high)
        low, high = (low, middle) if meets(middle) else (middle, high)
    return high


def _loosened(bounds: tuple[Bound, ...], members: list[int], share: float) -> tuple[Bound, ...]:
    """Lower bounds fall by the share of their value, at most to 0; upper bounds rise by it."""
    changed = list(bounds)
    for i in members:
        bound = bounds[i]
        factor = 1.0 + share if bound.upper else max(0.0, 1.0 - share)
        value = bound.value * factor if bound.value > 0.0 else bound.value + (share if bound.upper else -share)
        changed[i] = dataclasses.replace(bound, value=value)
    return tuple(changed)


def _told(old: tuple[Bound, ...], new: tuple[Bound, ...], members: list[int], metrics: tuple[Metric, ...]) -> str:
    parts = []
    for i in members[:4]:
        metric = next(m for m in metrics if m.name == old[i].metric)
        source = "the scenario's " if old[i].clause < 0 else ""
        parts.append(f"{source}{bound_text(new[i], metrics)} instead of {format_si(old[i].value, metric.unit)}")
    more = f" (and {len(members) - 4} more)" if len(members) > 4 else ""
    return "; ".join(parts) + more
