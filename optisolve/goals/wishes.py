"""Soft clauses of a goal: the largest set of wishes that can be met beside everything required becomes required, too.

Wishes come before the objective and after every requirement. One of several users is a wish of its own. A wish is enforced only
where the family proves that it can be met together with the rest; it never loosens what the scenario asks for.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from optisolve.goals.goal import Clause, Goal, bounds_of
from optisolve.goals.metric import Bound, Measured, Metric, crossed, effective

__all__ = ["MAX_EXACT", "one_by_one", "settle_wishes"]

MAX_EXACT = 10
"""Wishes up to which the largest set is found by looking at all of them; more are taken in their order while they fit."""


def settle_wishes(instance: Measured, goal: Goal) -> Goal:
    """The goal with its wishes decided: clauses that are enforced are hard, the others stay soft.

    Of sets of the same size the one with earlier wishes is taken. Settling twice changes nothing.

    Args:
        instance: The instance without the goal; its `satisfiable` decides.
        goal: A goal that fits it.

    Raises:
        OptionError: The goal does not fit.
    """
    if all(clause.hard for clause in goal.constraints):
        return goal
    metrics = instance.metrics()
    required = tuple(c for c in goal.constraints if c.hard)
    base = goal.model_copy(update={"constraints": required})
    held = effective(instance.own_bounds(), bounds_of(base, metrics), keep=goal.keep)
    bounds_of(goal, metrics)  # wishes must fit, too
    wishes = [clause for clause in one_by_one(goal, metrics) if not clause.hard]
    open_wishes = [i for i, wish in enumerate(wishes) if not _implied(_bounds(wish, metrics), held)]
    taken = set(_largest(instance, held, [_bounds(wishes[i], metrics) for i in open_wishes]))
    granted = {open_wishes[k] for k in taken}
    decided = iter(wish.model_copy(update={"hard": i in granted}) for i, wish in enumerate(wishes))
    settled = tuple(clause if clause.hard else next(decided) for clause in one_by_one(goal, metrics))
    return goal.model_copy(update={"constraints": settled})


def one_by_one(goal: Goal, metrics: Sequence[Metric]) -> list[Clause]:
    """The goal's clauses in order, each wish split into the wishes of its users."""
    return [piece for clause in goal.constraints for piece in ([clause] if clause.hard else _pieces(clause, metrics))]


def _largest(instance: Measured, held: tuple[Bound, ...], wishes: Sequence[tuple[Bound, ...]]) -> tuple[int, ...]:
    """Indices of the largest set of wishes that provably can be met beside the bounds that hold."""

    def fits(chosen: Sequence[int]) -> bool:
        bounds = (*held, *(b for i in chosen for b in wishes[i]))
        return crossed(bounds) is None and instance.satisfiable(bounds).answer is True

    alone = [i for i in range(len(wishes)) if fits((i,))]  # what cannot be met alone cannot be met with others
    if len(alone) > MAX_EXACT:
        taken: list[int] = []
        for i in alone:
            taken += [i] if fits((*taken, i)) else []
        return tuple(taken)
    for size in range(len(alone), 0, -1):
        for chosen in combinations(alone, size):
            if size == 1 or fits(chosen):
                return chosen
    return ()


def _pieces(clause: Clause, metrics: Sequence[Metric]) -> list[Clause]:
    """The wish of every user that it is about."""
    metric = next(m for m in metrics if m.name == clause.metric)
    users = clause.users or tuple(range(1, metric.users + 1))
    return [clause.model_copy(update={"users": (user,)}) for user in users] if users else [clause]


def _bounds(clause: Clause, metrics: Sequence[Metric]) -> tuple[Bound, ...]:
    return bounds_of(Goal(constraints=(clause.model_copy(update={"hard": True}),)), metrics)


def _implied(wish: Sequence[Bound], held: Sequence[Bound]) -> bool:
    """Everything that is wished holds already; enforcing it could only replace a tighter bound of the scenario."""

    def tight(b: Bound) -> bool:
        return any(
            (h.metric, h.user, h.upper) == (b.metric, b.user, b.upper)
            and (h.value <= b.value if b.upper else h.value >= b.value)
            for h in held
        )

    return all(tight(b) for b in wish)
