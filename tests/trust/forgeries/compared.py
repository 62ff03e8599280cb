"""Forgeries of what a run is compared with: references, gaps, bounds."""

from __future__ import annotations

import numpy as np

from optisolve.core.reference import Reference
from optisolve.core.status import Evidence
from optisolve.numerics.indicators import score
from optisolve.registry import PROBLEMS
from optisolve.run.schema import InstancePart
from optisolve.trust.audit import rebuild
from tests.trust.forgeries.case import DoesNotApply, forgery


def regap(case) -> None:
    """Gaps that follow from the forged reference."""

    told, instance = case.record["reference"], rebuild(InstancePart.model_validate(case.record["instance"]), PROBLEMS)[1]
    F = np.asarray(case.record["verified"]["F"])[np.asarray(case.record["verified"]["feasible"], dtype=bool)]
    stated = Reference(
        Evidence.NONE,
        value=told["value"],
        dual_bound=told["dual_bound"],
        tolerance=told["tolerance"],
        slack=told["slack"],
    )
    names = ("gap", "bound_gap", "gap_scale", "tie")
    case.record["scores"].update({key: v for key, v in score(instance, F, stated).items() if key in names})


@forgery("reference invented from the own point", "reference")
def invented_reference(case):
    told, own = case.record["reference"], case.record["scores"]["objective"]
    if told is None or own is None or case.record["scores"]["gap"] < 1e-3:
        raise DoesNotApply
    told.update(value=own, dual_bound=own, evidence="proven_optimal")
    regap(case)


@forgery("reference worse than the problem's", "reference")
def worse_reference(case):
    told = case.record["reference"]
    if told is None or told["value"] is None or case.several:
        raise DoesNotApply
    told.update(value=told["value"] - case.better * 0.1 * max(1.0, abs(told["value"])), dual_bound=None, evidence="best_known")
    regap(case)


@forgery("tightened bound", "reference")
def tightened_bound(case):
    """A bound nearer to the own point flatters the bound gap."""
    told, own = case.record["reference"], case.record["scores"]["objective"]
    if told is None or own is None or case.record["scores"]["gap"] < 1e-3:
        raise DoesNotApply
    told.update(dual_bound=0.5 * (own + told["dual_bound"]), value=None, evidence="dual_bound")
    regap(case)


@forgery("inflated bound", "reference")
def inflated_bound(case):
    told = case.record["reference"]
    if told is None or told["dual_bound"] is None:
        raise DoesNotApply
    told.update(dual_bound=told["dual_bound"] + case.better * max(1.0, abs(told["dual_bound"])), evidence="dual_bound")
    regap(case)


@forgery("evidence upgraded", "reference.evidence")
def upgraded_evidence(case):
    told = case.record["reference"]
    if told is None:
        raise DoesNotApply
    if case.several:
        told["evidence"] = "proven_optimal"
    else:
        told.update(dual_bound=None)
        regap(case)


@forgery("evidence downgraded", "reference")
def downgraded_evidence(case):
    told = case.record["reference"]
    if told is None or case.several or told["evidence"] != "proven_optimal":
        raise DoesNotApply
    told["evidence"] = "none"


@forgery("wide tolerance", "reference")
def wide_tolerance(case):
    told = case.record["reference"]
    if told is None or case.several:
        raise DoesNotApply
    told["tolerance"] = 10.0
    regap(case)


@forgery("wide slack", "reference")
def wide_slack(case):
    """Gaps within the slack are ties, so a wide one makes any answer as good as the optimum."""
    told = case.record["reference"]
    if told is None or case.several or told["value"] is None:
        raise DoesNotApply
    told["slack"] += 0.1 * max(1.0, abs(told["value"]))
    regap(case)


@forgery("reference moved within its own tolerance", "reference")
def moved_reference(case):
    """Value and bound go together towards the own point, no farther than the reference's tolerance."""
    told = case.record["reference"]
    if told is None or told["value"] is None or told["tolerance"] < 3e-7 * case.record["scores"]["gap_scale"]:
        raise DoesNotApply
    shift = -case.better * 0.9 * told["tolerance"]
    told["value"] += shift
    told["dual_bound"] = None if told["dual_bound"] is None else told["dual_bound"] + shift
    regap(case)


@forgery("proof by somebody else", "reference.solver", "reference.note")
def invented_author(case):
    told = case.record["reference"]
    if told is None:
        raise DoesNotApply
    told[str(case.rng.choice(["solver", "note"]))] = "proven by the committee"


@forgery("distance to a front where there is none", "scores.igd_plus")
def invented_distance(case):
    if case.several:
        raise DoesNotApply
    case.record["scores"]["igd_plus"] = float(case.rng.choice([0.0, 1.0, 1e308]))


@forgery("case called infeasible", "reference")
def called_infeasible(case):
    told = case.record["reference"]
    if told is None or case.several:
        raise DoesNotApply
    told.update(value=None, dual_bound=None, evidence="proven_infeasible", detail="the floors cannot be met")
    regap(case)


@forgery("gap without its reference", "scores.gap")
def better_gap(case):
    if case.record["scores"]["gap"] is None:
        raise DoesNotApply
    case.record["scores"]["gap"] -= 0.01


@forgery("distance to the front", "scores.igd_plus")
def better_distance(case):
    if case.record["scores"]["igd_plus"] is None:
        raise DoesNotApply
    case.record["scores"]["igd_plus"] *= 0.5


@forgery("front to be measured to", "scores.gap_scale")
def poorer_front(case):
    """A reference front that dominates less leaves less to miss."""
    scores = case.record["scores"]
    if not case.several or scores["gap"] is None:
        raise DoesNotApply
    scores["gap_scale"] *= 0.9
    scores["gap"] = (scores["gap_scale"] - scores["hypervolume"]) / scores["gap_scale"]


@forgery("ideal point that a point beats", "reference.ideal_bound")
def ideal_bound(case):
    told = case.record["reference"]
    if told is None or told["ideal_bound"] is None:
        raise DoesNotApply
    told["ideal_bound"][0] = -1e3
