"""What is proven about an instance: bounds from prices of links, optima of small segment routing and of splits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.clock import so_far, time_is_up
from optisolve.core.problem import Instance
from optisolve.core.reference import Effort, Reference
from optisolve.core.status import Evidence
from optisolve.modelling.answer import certify
from optisolve.modelling.cpsat import solve_cpsat
from optisolve.modelling.highs import second_opinion, solve_highs
from optisolve.modelling.network_flow import Traffic, best_prices, node_bound, price_bound
from optisolve.numerics.indicators import front_rows
from optisolve.problems.traffic_engineering import model
from optisolve.problems.traffic_engineering.instance import WeightsInstance, WiredInstance
from optisolve.problems.traffic_engineering.routes import RoutesInstance, SegmentsInstance

__all__ = ["LIMITS", "Limits", "flow_bound", "solve_reference"]

_LINEAR = 1e-6
"""Relative tolerance of HiGHS."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much work a reference may cost.

    Attributes:
        failures: Single failures whose own flow bound is worked out, those that force most through the links of one node; of
            the others only that counts.
        deterministic_time: Of CP-SAT, its own units.
    """

    failures: int
    deterministic_time: float


LIMITS = {Effort.QUICK: Limits(3, 5.0), Effort.NORMAL: Limits(20, 60.0), Effort.THOROUGH: Limits(10_000, 600.0)}


def solve_reference(instance: WiredInstance, limits: Limits) -> Reference:
    """The reference of an instance; see `TrafficEngineering.reference`."""
    if isinstance(instance, SegmentsInstance):
        return _segments(instance, limits)
    if isinstance(instance, RoutesInstance):
        so_far(_trivial(instance))
        answer = solve_highs(instance.model("highs"))
        bound = answer.dual_bound
        return certify(
            instance,
            answer.x,
            dual_bound=bound,
            tolerance=_LINEAR * abs(bound or 0.0),
            slack=0.0,
            solver=answer.backend,
            solver_version=answer.version,
            detail=f"{answer.detail}.",
        )
    assert isinstance(instance, WeightsInstance)
    return _weights(instance, limits)


def traffic_of(instance: WiredInstance) -> Traffic:
    """The instance's links and demands, for bounds."""
    return Traffic(instance.link_tail, instance.link_head, instance.link_capacity, instance.demand_matrix())


def flow_bound(instance: WeightsInstance, limits: Limits) -> tuple[float, FloatArray]:
    """What no routing can beat, and the prices that prove it without failures, float64 [E].

    With failures: weights are the same in all of them, so the bound of each failure alone, of the network without its links,
    holds for their worst.
    """
    traffic = traffic_of(instance)
    prices = best_prices(traffic)
    bound = price_bound(traffic, prices)
    left = [traffic.without(np.array([e for e in row if e >= 0])) for row in instance.failures.tolist()]
    forced = np.array([node_bound(rest) for rest in left])
    bound = max([bound, *forced.tolist()])
    for k in np.argsort(-forced, kind="stable")[: limits.failures]:
        if time_is_up():
            break
        bound = max(bound, price_bound(left[k], best_prices(left[k])))
    return bound, prices


def _weights(instance: WeightsInstance, limits: Limits) -> Reference:
    """The flow bound, and the best of the trivial answers and of weights made of its prices."""
    trivial = [*instance.null_policies().values()]
    so_far(_stated(instance, np.concatenate(trivial), None, "Trivial answers."))
    bound, prices = flow_bound(instance, limits)
    detail = "Prices of links from the linear program of free splits; the bound follows from them by shortest paths."
    return _stated(instance, np.concatenate([*trivial, _as_weights(instance, prices)]), bound, detail)


def _stated(instance: WeightsInstance, candidates: FloatArray, bound: float | None, detail: str) -> Reference:
    """The best of some weights, float64 [n, E], with a bound on the first objective, where there is one."""
    evaluation = instance.evaluate_twin(candidates)
    if len(instance.objectives) == 1:
        return certify(
            instance,
            candidates[int(np.argmin(evaluation.F[:, 0]))],
            dual_bound=bound,
            tolerance=_LINEAR * (bound or 0.0),
            slack=0.0,
            solver="flow_prices",
            detail=detail,
        )
    F = evaluation.F
    kept = front_rows(F)
    if bound is None:
        return Reference(Evidence.BEST_KNOWN, X=candidates[kept], F=F[kept], solver="trivial", detail=detail)
    second = 0.0 if instance.objectives[1].name == "changes" else _least_delay(instance)
    return Reference(
        Evidence.BEST_KNOWN,
        X=candidates[kept],
        F=F[kept],
        solver="flow_prices",
        solver_version="1",
        detail=f"{detail} The points are trivial answers and weights made of the prices.",
        ideal_bound=(bound, second),
    )


def _as_weights(instance: WeightsInstance, prices: FloatArray) -> FloatArray:
    """Whole weights in proportion to prices, float64 [3, E]; free links get the weight 1."""
    top = instance.space.upper[0]
    return np.stack([np.clip(np.rint(1.0 + prices * size), 1.0, top) for size in (10.0, 100.0, min(10_000.0, top))])


def _least_delay(instance: WeightsInstance) -> float:
    """Every demand on its fastest path, ms."""
    n = instance.network
    fastest = model.distances(n, np.maximum(n.delay_ms, 1e-12))
    wanted = n.demand > 0.0
    return float((n.demand[wanted] * fastest[wanted]).sum() / n.demand.sum()) * (1.0 - 1e-9)


def _segments(instance: SegmentsInstance, limits: Limits) -> Reference:
    """CP-SAT, with a second opinion from HiGHS; the flow bound where the search was cut short."""
    so_far(_trivial(instance))
    answer = solve_cpsat(instance.model("cpsat"), deterministic_time=limits.deterministic_time)
    points = [p for p in (answer.x, second_opinion(instance), *instance.null_policies().values()) if p is not None]
    best = min(points, key=lambda p: float(instance.evaluate_twin(p).F[0, 0]))
    traffic = traffic_of(instance)
    bounds = [price_bound(traffic, best_prices(traffic))]
    bounds += [] if answer.dual_bound is None else [answer.dual_bound]
    return certify(
        instance,
        np.atleast_2d(best)[0],
        dual_bound=max(bounds),
        tolerance=_LINEAR * max(bounds) + instance.model("cpsat").rounding_error,
        slack=0.0,
        solver=answer.backend,
        solver_version=answer.version,
        detail=f"{answer.detail}.",
    )


def _trivial(instance: WiredInstance) -> Reference:
    """The best trivial answer, without a bound."""
    x = min(instance.null_policies().values(), key=lambda p: float(instance.evaluate_twin(p).F[0, 0]))
    point = np.atleast_2d(x)[0]
    return certify(instance, point, dual_bound=None, tolerance=0.0, slack=0.0, solver="trivial", detail="A trivial answer.")


def require_own(instance: Instance) -> WiredInstance:
    """The instance, when it is one of this family.

    Raises:
        ProblemError: It is not.
    """
    from optisolve.core.errors import ProblemError

    if not isinstance(instance, WiredInstance):
        raise ProblemError(f"traffic_engineering: got a {type(instance).__name__}; expected an instance of this family.")
    return instance
