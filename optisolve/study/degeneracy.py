"""Degeneracy report: what trivial answers reach, before anybody trains or compares anything.

Published benchmarks of this field are often solved by a uniform split. The report puts trivial policies and a random
sampler with the same repair beside the reference, and says how many local optima there are to miss.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.budget import Budget
from optisolve.core.errors import OptisolveError
from optisolve.core.problem import Evaluation, Instance, Problem, Sense
from optisolve.core.reference import Effort, Reference
from optisolve.core.seeds import generator
from optisolve.numerics.indicators import hypervolume
from optisolve.registry import make_solver
from optisolve.run.solve import solve
from optisolve.run.verify import confront_values, verify_points
from optisolve.study.loss import GAP_NOISE

__all__ = ["Degeneracy", "PolicyRow", "degeneracy"]

_AT_BOUND = 0.01
"""Share of a variable's range within which it counts as sitting on a bound."""

_SAME_OPTIMUM = 0.02
"""Largest difference of two local optima, per variable and relative to its range, that counts as the same point."""


@dataclass(frozen=True, slots=True)
class PolicyRow:
    """What one policy reaches; means over the instances where it is feasible.

    Attributes:
        policy: Name of the policy.
        feasible: Share of instances in which it has a feasible point.
        value: Best objective, or hypervolume; None when it is nowhere feasible.
        ratio: Value divided by the reference's; None without a reference, when that is 0, or when the objective's zero means
            nothing.
        worst_ratio: The ratio farthest from 1.
    """

    policy: str
    feasible: float
    value: float | None
    ratio: float | None
    worst_ratio: float | None


@dataclass(frozen=True, slots=True)
class Degeneracy:
    """The report; values are means over instances.

    Attributes:
        problem: Scenario name.
        measure: What ``value`` is: an objective with its unit, or the hypervolume.
        maximize: Larger values are better.
        rows: Null policies, random sampler, reference and bound.
        curve: Best of k random points with the problem's own repair, by k.
        evidence: Evidence of the references, one word per distinct kind.
        notes: What was withdrawn from references and why.
        at_bound: Share of the reference points' variables that sit on a bound; None without a point.
        local_optima: Distinct local optima found per instance, mean; None when no local solver applies.
        starts: Local searches per instance.
    """

    problem: str
    measure: str
    maximize: bool
    rows: tuple[PolicyRow, ...]
    curve: dict[int, PolicyRow]
    evidence: str
    notes: tuple[str, ...]
    at_bound: float | None
    local_optima: float | None
    starts: int


def degeneracy(
    problem: Problem,
    *,
    instances: int = 3,
    samples: int = 1024,
    starts: int = 16,
    effort: Effort = Effort.QUICK,
) -> Degeneracy:
    """Measure how degenerate a scenario is.

    Args:
        problem: The scenario.
        instances: Instances 0, 1, ... that are averaged.
        samples: Random points per instance; the curve runs over powers of 4 up to it.
        starts: Local searches per instance, from random points.
        effort: Work spent on each reference.

    Returns:
        The report.
    """
    cases = [problem.instance(seed) for seed in range(instances)]
    points = [case.null_policies() for case in cases]
    trivial = [{name: _feasible(case, X) for name, X in told.items()} for case, told in zip(cases, points, strict=True)]
    references = [
        confront_values(case, problem.reference(case, effort), np.concatenate([_none(case), *found.values()]))
        for case, found in zip(cases, trivial, strict=True)
    ]
    best = [_reference_value(case, reference) for case, reference in zip(cases, references, strict=True)]
    ks = [4**i for i in range(20) if 4**i <= samples]
    draws = [_random_curve(case, ks, samples) for case in cases]
    policies = {
        name: [_value_of(case, told[name]) if len(told[name]) else None for case, told in zip(cases, trivial, strict=True)]
        for name in points[0]
    }
    bounds = [None if r is None else r.dual_bound for r in references]
    single = len(cases[0].objectives) == 1
    zeros = [_zero(case) for case in cases]
    curve = {k: _row(f"random, best of {k}", [draw[i] for draw in draws], best, zeros) for i, k in enumerate(ks)}
    rows = (
        *(_row(name, values, best, zeros) for name, values in policies.items()),
        curve[ks[0]],
        curve[ks[-1]],
        _row("reference", best, best, zeros),
        _row("dual bound", bounds, best, zeros),
    )
    objective = cases[0].objectives[0]
    return Degeneracy(
        problem=problem.scenario or problem.name,
        measure=objective.label if single else "hypervolume",
        maximize=not single or objective.sense is Sense.MAXIMIZE,
        rows=tuple(row for row in rows if row.feasible > 0 or row.policy in policies),
        curve=curve,
        evidence=", ".join(sorted({r.evidence.value for r in references if r is not None})) or "no reference",
        notes=tuple(f"instance {i}: {r.note}" for i, r in enumerate(references) if r is not None and r.note),
        at_bound=_share_at_bound(cases, references),
        local_optima=_local_optima(cases, starts),
        starts=starts,
    )


def _feasible(instance: Instance, X: FloatArray) -> FloatArray:
    """Objectives of the feasible ones among some points, float64 [n, m]."""
    check = verify_points(instance, X)
    return np.ascontiguousarray(check.F[check.feasible])


def _none(instance: Instance) -> FloatArray:
    return np.empty((0, len(instance.objectives)))


def _zero(instance: Instance) -> float:
    """Magnitude up to which a value counts as zero; infinite where the zero means nothing, so that no ratio does either."""
    if len(instance.objectives) > 1:
        return GAP_NOISE  # hypervolume
    objective = instance.objectives[0]
    return float("inf") if objective.interval else GAP_NOISE * objective.scale


def _value_of(instance: Instance, F: FloatArray) -> float:
    if instance.hypervolume_box is not None:
        return hypervolume(F, instance.hypervolume_box)
    sign = instance.signs[0]
    return float((F[:, 0] * sign).min() * sign)


def _reference_value(instance: Instance, reference: Reference | None) -> float | None:
    if reference is None:
        return None
    return reference.value if reference.F is None else _value_of(instance, reference.F)


def _random_curve(instance: Instance, ks: Sequence[int], samples: int) -> list[float | None]:
    rng = generator(0, purpose="degeneracy", instance=instance.sha256)
    evaluation: Evaluation = instance.evaluate(instance.project(instance.space.sample(rng, samples)))
    feasible = evaluation.violation <= 0.0
    return [
        _value_of(instance, np.ascontiguousarray(evaluation.F[:k][feasible[:k]])) if feasible[:k].any() else None for k in ks
    ]


def _row(policy: str, values: Sequence[float | None], best: Sequence[float | None], zeros: Sequence[float]) -> PolicyRow:
    pairs = [(v, b, zero) for v, b, zero in zip(values, best, zeros, strict=True) if v is not None]
    ratios = [v / b for v, b, zero in pairs if b is not None and abs(b) > zero]
    known = [v for v, _, _ in pairs]
    return PolicyRow(
        policy=policy,
        feasible=len(known) / max(len(values), 1),
        value=float(np.mean(known)) if known else None,
        ratio=float(np.mean(ratios)) if ratios else None,
        worst_ratio=max(ratios, key=lambda ratio: abs(ratio - 1.0), default=None),
    )


def _share_at_bound(instances: Sequence[Instance], references: Sequence[Reference | None]) -> float | None:
    shares = []
    for instance, reference in zip(instances, references, strict=True):
        if reference is not None and reference.X is not None:
            unit = instance.space.normalize(reference.X)
            shares.append(float(((unit < _AT_BOUND) | (unit > 1.0 - _AT_BOUND)).mean()))
    return float(np.mean(shares)) if shares else None


def _local_optima(instances: Sequence[Instance], starts: int) -> float | None:
    """Distinct feasible end points of local searches from random starts, mean over instances."""
    try:
        local = make_solver("scipy_local", {"n_starts": 1})
    except OptisolveError:
        return None
    if starts == 0 or local.skip(instances[0]) is not None:
        return None
    counts = []
    for instance in instances:
        rng = generator(1, purpose="degeneracy", instance=instance.sha256)
        ends: list[FloatArray] = []
        for start in instance.project(instance.space.sample(rng, starts)):
            found = solve(instance, local, budget=Budget(evaluations=20_000), warm_start=start[None, :]).X
            unit = instance.space.normalize(found[:1])
            if len(unit) and not any(np.abs(unit - other).max() <= _SAME_OPTIMUM for other in ends):
                ends.append(unit)
        counts.append(len(ends))
    return float(np.mean(counts))
