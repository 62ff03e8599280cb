"""Forgeries of what was found: points, objectives, scores."""

from __future__ import annotations

import copy

import numpy as np

from tests.trust.forgeries.case import DoesNotApply, forgery, same_case


@forgery("altered objective", "verified.F", "trace", "scores")
def altered_objective(case):
    F = case.record["verified"]["F"]
    if not F:
        raise DoesNotApply
    row, column = int(case.rng.integers(len(F))), int(case.rng.integers(len(F[0])))
    F[row][column] += float(case.rng.choice([-1e-6, 1e-4, 0.1])) * max(1.0, abs(F[row][column]))


@forgery("objective better everywhere", "verified.F")
def objective_everywhere(case):
    """Objective, score, gaps, trace and gains are all raised together; only re-evaluation tells."""
    record = case.record
    if case.several or not record["verified"]["F"]:
        raise DoesNotApply
    step = 0.05 * case.better * max(1.0, abs(record["scores"]["objective"]))
    record["verified"]["F"] = [[f[0] + step] for f in record["verified"]["F"]]
    record["scores"]["objective"] += step
    for row in record["trace"]:
        row[2] = None if row[2] is None else row[2] + step


@forgery("altered point", "verified.F", "verified.feasible", "verified.counts", "solutions.x", "verified.max_violation")
def altered_point(case):
    x = case.record["solutions"]["x"]
    if not x:
        raise DoesNotApply
    row, column = int(case.rng.integers(len(x))), int(case.rng.integers(len(x[0])))
    x[row][column] = x[row][column] * 0.9 + 1e-3


@forgery("point outside its bounds", "solutions.x")
def outside(case):
    if not case.record["solutions"]["x"]:
        raise DoesNotApply
    case.record["solutions"]["x"][0][0] = float(case.rng.choice([-1e9, 1e9]))


@forgery("infeasible point called feasible", "verified", "trace")
def called_feasible(case):
    told = case.record["verified"]
    x = np.asarray(case.record["solutions"]["x"])
    if not len(x) or case.record["instance"]["problem"] == "uav_isac":
        raise DoesNotApply
    case.record["solutions"]["x"] = (
        np.rint(1.0 - x) if case.record["instance"]["problem"] == "user_association" else x * 1.5
    ).tolist()
    told["feasible"] = [True] * len(x)
    told["max_violation"], told["point"], told["counts"] = 0.0, "feasible", {"feasible": len(x)}


@forgery("hidden violation", "verified.max_violation")
def hidden_violation(case):
    case.record["verified"]["max_violation"] += 1e-6


@forgery("point status", "verified.point", "verified.counts", "verified.feasible")
def point_status(case):
    case.record["verified"]["point"] = "nearly_feasible"


@forgery("better score", "scores")
def better_score(case):
    name = "hypervolume" if case.several else "objective"
    if case.record["scores"][name] is None:
        raise DoesNotApply
    case.record["scores"][name] += case.better * float(case.rng.choice([1e-6, 0.01, 0.5]))


@forgery("scoring box", "scores.box", "scores.hypervolume")
def scoring_box(case):
    if not case.several:
        raise DoesNotApply
    case.record["scores"]["box"]["reference"][0] *= 2.0


@forgery("swapped variables", "solutions.variables")
def swapped_variables(case):
    names = case.record["solutions"]["variables"]
    names[0], names[-1] = names[-1], names[0]


@forgery("objective's sense", "verified.objectives")
def swapped_sense(case):
    objective = case.record["verified"]["objectives"][0]
    objective["sense"] = "minimize" if objective["sense"] == "maximize" else "maximize"


@forgery("better point slipped in", "trace", "verified.F", again=False)
def slipped_in(case):
    """A point computed elsewhere replaces the run's own; objectives and scores are honest, the curve is not touched."""
    donor = next((o for o in case.others if same_case(o, case.record) and o["trace"] != case.record["trace"]), None)
    if donor is None or case.several or donor["scores"]["objective"] == case.record["scores"]["objective"]:
        raise DoesNotApply
    for key in ("x", "returned"):
        case.record["solutions"][key] = donor["solutions"][key]
    case.record["verified"], case.record["scores"] = donor["verified"], donor["scores"]
    case.record["solutions"]["claimed"] = {"dual_bound": None}


@forgery("another run's answer under this name", "result_hash", again=True)
def another_answer(case):
    """Everything found is another solver's, curve included; only the name, version and options are this one's."""
    donor = next(
        (o for o in case.others if same_case(o, case.record) and o["solver"]["name"] != case.record["solver"]["name"]), None
    )
    if donor is None or case.record["solver"]["llm"] or donor["solver"]["llm"]:
        raise DoesNotApply
    forged = copy.deepcopy(donor)
    for key in ("name", "version", "options"):
        forged["solver"][key] = case.record["solver"][key]
    if forged["termination"]["status"] == "optimal":
        forged["termination"]["status"] = "converged"
    forged["solutions"]["claimed"] = {"dual_bound": None}
    case.record = forged
