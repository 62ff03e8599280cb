"""Goals on `beamforming`: metrics, native instances, exact satisfiability of SINR floors under a power budget."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from optisolve.core.arrays import FloatArray, IntArray, frozen
from optisolve.core.problem import FEASIBILITY_TOLERANCE
from optisolve.goals.goal import Goal as TypedGoal
from optisolve.goals.goal import GoalObjective, Term
from optisolve.goals.metric import Bound, Feasibility, Metric, effective, tightest
from optisolve.numerics import uplink_duality as duality
from optisolve.problems.beamforming import model
from optisolve.problems.beamforming.model import Constants, Goal

__all__ = ["feasibility", "general_form", "metric_values", "metrics", "native_constants", "own_bounds", "served_part"]

_NATIVE = {("sinr", False), ("rate", False), ("total_power", True)}
_ROUNDS = 20_000


def metrics(c: Constants) -> tuple[Metric, ...]:
    """SINR and rate of every user, their sum, and the power of all precoders."""
    K, full = c.sinr_target.size, c.p_total_w
    return (
        Metric("sinr", "", "SINR", True, K, ("sinr", "signal to interference ratio", "signal quality")),
        Metric("rate", "bit/s/Hz", "spectral efficiency", True, K, ("rate", "throughput", "spectral efficiency", "data rate")),
        Metric("sum_rate", "bit/s/Hz", "sum rate", True, 0, ("sum rate", "total rate", "total throughput", "capacity")),
        Metric("total_power", "W", "total power", False, 0, ("power", "energy", "total power", "transmit power"), full),
    )


def metric_values(c: Constants, X: FloatArray) -> Mapping[str, FloatArray]:
    """By name, from points float64 [n, 2 K M], sqrt(W)."""
    sinr = model.sinr(c, model.precoders(c, X))  # [n, K]
    rate = np.log1p(sinr) / np.log(2.0)
    return {
        "sinr": sinr,
        "rate": rate,
        "sum_rate": np.asarray(rate.sum(axis=1)),
        "total_power": np.asarray((X * X).sum(axis=1)),
    }


def own_bounds(c: Constants) -> tuple[Bound, ...]:
    """The scenario's SINR targets, which only the least power has to reach; for balanced SINRs they are weights."""
    if c.goal != "min_power":
        return ()
    return tuple(Bound("sinr", k, False, float(t)) for k, t in enumerate(c.sinr_target))


def native_constants(c: Constants, objective: GoalObjective | None, bounds: Sequence[Bound], *, keep: bool) -> Constants | None:
    """The data of the family's own instance for a goal, or None.

    Least power with a floor for every user, balanced SINR or rate of all users without floors, and the sum rate without floors
    are the family's own, each under a power budget.
    """
    goal = _goal(objective, c)
    held = effective(own_bounds(c), bounds, keep=keep)
    if goal is None or any((b.metric, b.upper) not in _NATIVE for b in held):
        return None
    budget, floors = _budget(c, held), _floors(held, c.sinr_target.size)
    if budget <= 0.0 or not np.isfinite(floors).all():
        return None
    if goal == "min_power":
        every = bool((floors > 0.0).all())
        return dataclasses.replace(c, goal=goal, sinr_target=frozen(floors), p_total_w=budget) if every else None
    if (floors > 0.0).any():
        return None
    ones = frozen(np.ones(floors.size))
    target = ones if goal == "max_min" and objective is not None else c.sinr_target
    weight = ones if goal == "weighted_sum_rate" and objective is not None else c.weight
    return dataclasses.replace(c, goal=goal, p_total_w=budget, sinr_target=target, weight=weight)


def general_form(c: Constants, goal: TypedGoal, bounds: Sequence[Bound]) -> tuple[Constants, TypedGoal, tuple[Bound, ...]]:
    """For a goal that is not native: a base without constraints of its own but the budget, the goal, and the bounds upon it."""
    held = effective(own_bounds(c), bounds, keep=goal.keep)
    budget = _budget(c, held)
    rest = tuple(b for b in held if budget <= 0.0 or (b.metric, b.upper) != ("total_power", True))
    base = dataclasses.replace(c, p_total_w=budget if budget > 0.0 else c.p_total_w)
    if c.goal != "min_power":
        return base, goal, rest
    aim = goal.objective or GoalObjective(sense="min", terms=(Term(metric="total_power"),))
    return dataclasses.replace(base, goal="max_min"), goal.model_copy(update={"objective": aim}), rest


def _budget(c: Constants, bounds: Sequence[Bound]) -> float:
    return tightest(bounds, "total_power", None, upper=True, default=c.p_total_w)


def feasibility(c: Constants, bounds: Sequence[Bound]) -> Feasibility:
    """Exact for SINRs and rates from below and a total power from above, by uplink-downlink duality.

    Users without a floor are served with nothing, which disturbs nobody.
    """
    if any((b.metric, b.upper) not in _NATIVE for b in bounds):
        return Feasibility(None, "bounds other than least SINRs or rates and a largest total power are not decided in advance")
    budget, floors = _budget(c, bounds), _floors(bounds, c.sinr_target.size)
    served = np.flatnonzero(floors > 0.0)
    if not np.isfinite(floors).all():
        return Feasibility(False, "a rate that large needs a signal beyond any power")
    if budget < 0.0 or (budget == 0.0 and served.size):
        return Feasibility(False, "a power cannot be negative, and without power there is no signal")
    if not served.size:
        return Feasibility(True, "zero power does")
    part = _part(c, served, floors, budget)
    uplink = duality.Uplink(part.h, part.noise_w, part.p_total_w)
    enough = 1.0 + 2.0 * FEASIBILITY_TOLERANCE
    relaxed = duality.least_power(uplink, duality.relaxed_targets(uplink, part.sinr_target), enough=enough, max_rounds=_ROUNDS)
    if relaxed.bound > enough:
        needed = format(relaxed.bound * budget, ".6g")
        return Feasibility(False, f"the SINRs need more than {needed} W by uplink duality, {budget:.6g} W are allowed")
    found = duality.least_power(uplink, part.sinr_target, start=relaxed.powers, enough=enough, max_rounds=_ROUNDS)
    least = model.power_control(part, found.receivers, part.sinr_target)
    if least is not None and least.sum() <= budget * (1.0 + 0.5 * FEASIBILITY_TOLERANCE):
        return Feasibility(True, f"precoders with {least.sum():.6g} W reach the SINRs")
    return Feasibility(None, "the SINRs are at the edge of what the power allows, or the duality did not settle in its rounds")


def served_part(c: Constants, objective: GoalObjective | None, bounds: Sequence[Bound]) -> tuple[Constants, IntArray] | None:
    """Least power where only some users have a floor: the data of those users and who they are; None for any other goal.

    Args:
        c: The base's data, with the budget.
        objective: The goal's.
        bounds: All bounds of the goal.
    """
    floors = _floors(bounds, c.sinr_target.size)
    served = np.flatnonzero(floors > 0.0)
    least = _goal(objective, c) == "min_power" and all((b.metric, b.upper) in _NATIVE for b in bounds)
    if not least or not served.size or not np.isfinite(floors).all():
        return None
    return _part(c, served, floors, _budget(c, bounds)), served


def _part(c: Constants, served: IntArray, floors: FloatArray, budget: float) -> Constants:
    target = frozen(floors[served])
    return dataclasses.replace(
        c, goal="min_power", h=c.h[served], weight=c.weight[served], sinr_target=target, p_total_w=budget
    )


def _goal(objective: GoalObjective | None, c: Constants) -> Goal | None:
    if objective is None:
        return c.goal
    if len(objective.terms) != 1 or objective.terms[0].users:
        return None
    known: dict[tuple[str, str], Goal] = {
        ("min", "total_power"): "min_power",
        ("maxmin", "sinr"): "max_min",
        ("maxmin", "rate"): "max_min",  # the rate grows with the SINR, so that the same precoders are best
        ("max", "sum_rate"): "weighted_sum_rate",
        ("max", "rate"): "weighted_sum_rate",  # without users it is the sum over all
    }
    return known.get((objective.sense, objective.terms[0].metric))


def _floors(bounds: Sequence[Bound], n_users: int) -> FloatArray:
    """SINR that bounds on SINR and rate ask of every user, float64 [K]; infinite for a rate beyond any power."""
    sinr = np.array([max(0.0, tightest(bounds, "sinr", k, upper=False, default=0.0)) for k in range(n_users)])
    rate = np.array([max(0.0, tightest(bounds, "rate", k, upper=False, default=0.0)) for k in range(n_users)])
    asked = np.where(rate > 900.0, np.inf, np.expm1(np.minimum(rate, 900.0) * np.log(2.0)))
    floors: FloatArray = np.maximum(sinr, asked)
    return floors
