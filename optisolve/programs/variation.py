"""Skeleton for the decomposition engine: how an offspring is made from the parents of a sub-problem."""

from __future__ import annotations

from typing import ClassVar

from optisolve.programs.language import Feature, Kind
from optisolve.programs.skeleton import Skeleton, rules

__all__ = ["Variation"]

_S, _V = Kind.SCALAR, Kind.VECTOR


class Variation(Skeleton):
    """One offspring per sub-problem; items are the variables, each from 0 at its lower bound to 1 at its upper one.

    Parents are the pool that the engine draws for the sub-problem. The program is run once per offspring; what it says is
    clipped to the bounds, and polynomial mutation follows, as after every operator of the engine.
    """

    name: ClassVar = "variation"
    summary: ClassVar = "any problem, in the decomposition engine: an offspring from the parents of a sub-problem"
    features: ClassVar = (
        Feature("x", _V, "1", "the sub-problem's own point"),
        Feature("a", _V, "1", "a parent drawn at random"),
        Feature("b", _V, "1", "another parent drawn at random"),
        Feature("best", _V, "1", "best parent for this sub-problem: least violation, then least scalarized value"),
        Feature("second", _V, "1", "second best parent"),
        Feature("third", _V, "1", "third best parent"),
        Feature("worst", _V, "1", "worst parent"),
        Feature("center", _V, "1", "mean of the parents"),
        Feature("spread", _V, "1", "standard deviation of the parents"),
        Feature("all_center", _V, "1", "mean of the whole population"),
        Feature("all_spread", _V, "1", "standard deviation of the whole population"),
        Feature("u", _V, "1", "uniform random number in [0, 1), one per variable"),
        Feature("v", _V, "1", "another one"),
        Feature("z", _V, "1", "standard normal random number, one per variable"),
        Feature("coin", _S, "1", "uniform random number in [0, 1), one per offspring"),
        Feature("normal", _S, "1", "standard normal random number, one per offspring"),
        Feature("progress", _S, "1", "share of the evaluations that are used, 0 to 1; 0 where they have no limit"),
        Feature("n_variables", _S, "1", "number of variables"),
    )
    hand: ClassVar = rules(
        de=("(+ x (* 0.5 (- a b)))", "differential evolution; Li and Zhang 2009"),
        current_to_best=("(+ x (* 0.5 (- best x)) (* 0.5 (- a b)))", "DE/current-to-best/1; Storn and Price 1997"),
        blend=(
            "(interpolate a b (- (* 1.5 v) 0.25))",
            "BLX-0.25, a point between two parents or a little beyond; Eshelman 1993",
        ),
        gaussian=("(+ x (* 0.5 spread z (< u 0.2)))", "normal noise in a few variables; the engine's own operator"),
        mask=(
            "(where (< u 0.1) (+ (* 0.5 best) (* 0.3 second) (* 0.2 third) (* 0.3 spread z)) x)",
            "a weighted sum of good parents in a tenth of the variables; after Liu et al. 2023, arXiv 2310.12541",
        ),
    )
