"""A scoring box made from the instance itself, for problems with several objectives whose scenario states none.

A box that was chosen for one scenario says nothing about another: with three times the users every design lies outside. So
where no box is given, it is worked out from what anybody could try first, the instance's trivial answers and random designs,
which are the same for everybody who has the instance. Nothing is taken from a run or from a record.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt

from optisolve.core.arrays import BoolArray, FloatArray
from optisolve.core.errors import ProblemError
from optisolve.core.evaluation import Evaluation, HypervolumeBox, unwatched
from optisolve.core.failures import Modelled, attempt
from optisolve.core.seeds import generator

__all__ = ["BOX_SAMPLES", "Designed", "box_around", "box_from_designs"]

BOX_SAMPLES = 128
"""Random designs that are evaluated for a box, beside the trivial answers; they count towards no run's budget."""

_INSIDE = 0.9
"""Share of the designs that is no worse than the bad corner, objective by objective."""
_MARGIN = 0.5
"""How much farther than the worst value of non-dominated designs the bad corner lies, in units of the way from the best one:
fronts end farther out than random designs show."""
_ROOM = 1.0
"""How much farther than the best design the good corner lies, in units of the way from the bad corner to that design."""
_FEWEST = 16
"""Designs that are looked at when fewer are feasible: those that miss the constraints least."""
_DIGITS = 2
"""Digits of the box's width that its corners are rounded to, outwards, so that rounding on another machine moves none."""


class Designed(Modelled, Protocol):
    """What has to be known of an instance to make it a box."""

    signs: FloatArray

    def null_policies(self) -> Mapping[str, FloatArray]:
        """Trivial answers by name, each float64 [n, d]."""
        ...

    def project(self, X: npt.ArrayLike) -> FloatArray:
        """Repaired points, float64 [n, d]."""
        ...

    def _evaluate(self, X: FloatArray) -> Evaluation:
        """Evaluation of checked points, float64 [n, d]."""
        ...


def box_from_designs(instance: Designed) -> HypervolumeBox:
    """The box of an instance from its trivial answers and `BOX_SAMPLES` random designs, repaired.

    The bad corner is what nine of ten designs and all non-dominated ones reach, with a margin; the good corner lies beyond the
    best design by as much again, but not below 0 for what is to be small and is positive everywhere.

    Args:
        instance: Several objectives.

    Raises:
        ProblemError: None of the designs can be evaluated.
    """
    space, signs = instance.space, instance.signs
    rng = generator(0, problem=instance.origin.problem, purpose="scoring box")
    with unwatched():
        designs = [np.atleast_2d(X) for X in instance.null_policies().values()]
        X = space.require(np.concatenate([*designs, instance.project(space.sample(rng, BOX_SAMPLES))]))
        made = attempt(instance, X, instance._evaluate)
    known = ~made.failed
    F, violation = made.evaluation.F[known] * signs, made.evaluation.violation[known]
    if not len(F):
        told = f"{instance.origin.scenario}: no design could be evaluated ({made.message}), so there is no scoring box"
        raise ProblemError(f"{told}; give hypervolume_box (reference and ideal point) yourself.")
    order = np.argsort(violation, kind="stable")
    F = F[order[: max(int((violation <= 0.0).sum()), _FEWEST)]]
    best = F.min(axis=0)
    nadir = F[_nondominated(F)].max(axis=0)
    bad = np.maximum(np.quantile(F, _INSIDE, axis=0, method="higher"), nadir + _MARGIN * (nadir - best))
    smallest = 1e-6 * np.maximum(np.abs(best), [objective.scale for objective in instance.objectives])
    bad = np.maximum(bad, best + smallest)  # an objective that no design moves
    good = best - _ROOM * (bad - best)
    good = np.where((signs > 0.0) & (best >= 0.0), np.maximum(good, 0.0), good)
    return box_around(bad * signs, good * signs, signs)


def box_around(bad: FloatArray, good: FloatArray, signs: FloatArray, *, digits: int = _DIGITS) -> HypervolumeBox:
    """A box with corners rounded outwards to some digits of its width.

    Args:
        bad: float64 [m], the problem's own senses.
        good: float64 [m], likewise.
        signs: float64 [m]: +1 to minimize, -1 to maximize.
        digits: Digits of the width.
    """
    unit = 10.0 ** (np.floor(np.log10(np.abs(bad - good))) - digits + 1)
    corners = (np.ceil(bad * signs / unit - _HAIR) * unit * signs, np.floor(good * signs / unit + _HAIR) * unit * signs)
    reference, ideal = (tuple(float(f"{value:.12g}") + 0.0 for value in corner) for corner in corners)
    return HypervolumeBox(reference, ideal)


_HAIR = 1e-9
"""Part of a rounding step by which a corner may be missed, so that what is round already stays."""


def _nondominated(F_min: FloatArray) -> BoolArray:
    no_worse: BoolArray = np.all(F_min[None, :, :] <= F_min[:, None, :], axis=2)
    better: BoolArray = np.any(F_min[None, :, :] < F_min[:, None, :], axis=2)
    mask: BoolArray = ~np.any(no_worse & better, axis=1)
    return mask
