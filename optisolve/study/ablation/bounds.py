"""Does the optimum sit where a trivial answer looks clever: on a bound, or at zero?

On plain ZDT1 an operator that always answers ``0,0,0,0,0`` is right in every variable but one, and in none once the optimum
is shifted. So an ablation says where its problem's optimum is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from optisolve.core.arrays import BoolArray, FloatArray
from optisolve.core.reference import Effort
from optisolve.core.space import Space
from optisolve.run.archive import nondominated
from optisolve.study.ablation.runs import Ablation
from optisolve.study.ablation.scores import feasible_points
from optisolve.study.ablation.verdict import ArmSummary

__all__ = ["PLACES", "Corners", "corners", "find_corners"]

_ZEROS = "zeros"
"""Name of the arm that answers zeros."""

PLACES = ("lower bound", "upper bound", "zero")
_MIXED = "now here, now there"

_NEAR = 0.01
"""Share of a variable's range within which it counts as sitting there."""
_MOST_POINTS = 0.5
"""Share of the optimal points, mean over instances, from which a variable is named."""
_MANY_VARIABLES = 0.25
"""Share of the variables from which the problem is warned about."""


@dataclass(frozen=True, slots=True)
class Corners:
    """Where the optimum is.

    Attributes:
        source: Which points were looked at.
        share: Share of all coordinates of the optimal points on a bound or at zero, mean over instances.
        variables: Variables that sit there in most of the points, by place: one of `PLACES`, or "now here, now there".
        zeros_rank: Average rank of the arm that answers zeros; None when it did not take part.
        n_arms: Arms that were ranked.
        warning: One sentence that the user must see, or "".
    """

    source: str
    share: float
    variables: Mapping[str, Sequence[str]]
    zeros_rank: float | None
    n_arms: int
    warning: str


def find_corners(ablation: Ablation, arms: Sequence[ArmSummary]) -> Corners | None:
    """Look at the reference points where all instances have them, else at the best front of all arms.

    Returns:
        What was found; None when no arm found a feasible point.
    """
    fronts, source = _optimal_points(ablation)
    if not fronts:
        return None
    space = ablation.plan.instance(0).space
    shares = np.mean([corners(space, X).mean(axis=1) for X in fronts], axis=0)  # [3, d]
    variables: dict[str, list[str]] = {}
    for name, share in zip(space.names, shares.T, strict=True):
        if share.sum() >= _MOST_POINTS:
            place = PLACES[share.argmax()] if share.max() >= _MOST_POINTS else _MIXED
            variables.setdefault(place, []).append(name)
    zeros = next((summary.rank for summary in arms if summary.arm.name == _ZEROS), None)
    warning = _warning(variables, space.dim, zeros, len(arms))
    return Corners(source, float(shares.sum(axis=0).mean()), variables, zeros, len(arms), warning)


def corners(space: Space, X: FloatArray) -> BoolArray:
    """Which coordinates of points float64 [n, d] sit at which of `PLACES`, bool [3, n, d]; each one at most once.

    Zero counts where it lies inside the bounds; variables that cannot move count nowhere.
    """
    unit, width = space.normalize(X), space.upper - space.lower
    low = (unit <= _NEAR) & (width > 0)
    high = (unit >= 1.0 - _NEAR) & (width > 0) & ~low
    zero = (np.abs(X) <= _NEAR * width) & (space.lower < 0.0) & (space.upper > 0.0) & ~low & ~high
    return np.stack([low, high, zero])


def _optimal_points(ablation: Ablation) -> tuple[list[FloatArray], str]:
    plan = ablation.plan
    instances = [plan.instance(index) for index in range(plan.instances)]
    known = [plan.problem.reference(instance, Effort.QUICK) for instance in instances]
    points = [reference.X for reference in known if reference is not None and reference.X is not None and reference.X.size]
    if len(points) == len(instances):
        return points, "the problem's reference points"
    best = [_best_points(ablation, index) for index in range(plan.instances)]
    return [X for X in best if X.size], "the best points of all arms"


def _best_points(ablation: Ablation, index: int) -> FloatArray:
    """Non-dominated points of all arms on one instance, float64 [n, d]."""
    parts = [feasible_points(record) for key, record in ablation.records.items() if key[1] == index]
    if not parts:
        return np.empty((0, 0))
    X, F = (np.concatenate(part) for part in zip(*parts, strict=True))
    return X[nondominated(F * ablation.plan.instance(index).signs)] if X.size else X


def _warning(variables: Mapping[str, Sequence[str]], dim: int, zeros: float | None, n_arms: int) -> str:
    reasons = []
    count = sum(map(len, variables.values()))
    if count >= _MANY_VARIABLES * dim:
        listed = "; ".join(f"{place}: {_listed(names)}" for place, names in variables.items())
        reasons.append(f"{count} of {dim} variables sit on a bound or at zero in the best points ({listed})")
    if zeros is not None and n_arms > 2 and zeros < (n_arms + 1) / 2:
        reasons.append(f"the constant answer 0 has average rank {zeros:.1f} of {n_arms} arms")
    if not reasons:
        return ""
    return (
        f"{' and '.join(reasons)}; a model that prints bounds or zeros looks clever here. Judge on a problem whose optimum is "
        "elsewhere, e.g. a shifted one."
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
