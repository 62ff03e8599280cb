"""Figures of an ablation's runs: the one loss, what a run gained and cost, and curves, all re-derived from the records."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.problem import Instance
from optisolve.core.reference import Reference
from optisolve.core.solver import is_start
from optisolve.core.status import Evidence
from optisolve.llm.forms import Fate
from optisolve.numerics.indicators import hypervolume
from optisolve.run.records import describe_reference
from optisolve.run.schema import Record
from optisolve.study.ablation.plan import Key
from optisolve.study.ablation.runs import Ablation
from optisolve.study.loss import aim_of, loss_of
from optisolve.study.profiles import anytime_data
from optisolve.study.runner.child import SPENDING
from optisolve.study.scored import Outcome, score_units

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FATES", "GAIN_STEP", "feasible_points", "progress", "score_runs", "spending"]

FATES = tuple(fate.value for fate in Fate)
"""What may become of a candidate that a language model names."""

GAIN_STEP = 0.01
"""Unit in which gains are told when costs are."""

_RENAMED = {"scenario": "problem", "solver": "arm", "repetition": "seed"}

_UNION = "the best of all arms"


def score_runs(ablation: Ablation) -> pd.DataFrame:
    """One row per run.

    Returns:
        The columns of `optisolve.study.scored.ScoredUnits.frame`, with ``problem``, ``arm`` and ``seed`` for scenario, solver
        and repetition; ``gain`` over the first population as a share of the loss's scale, ``first`` (evaluations of the first
        population), ``failed`` (no verified feasible answer), ``broke`` (ended in an error), fates of the model's answers.
    """
    import pandas as pd

    if not ablation.records:
        return pd.DataFrame()
    frame = score_units(pd.DataFrame({"record": list(_measured(ablation).values())})).frame
    frame = frame[frame["record"].notna()].reset_index(drop=True)  # what is missing is no failure of anybody
    more = pd.DataFrame([_more(record) for record in frame["record"]])
    shown = frame.drop(columns=["record", "measured_to"]).rename(columns=_RENAMED)
    broke = frame["outcome"] == Outcome.FAILED
    return shown.assign(failed=(frame["outcome"] != Outcome.OK) & ~broke, broke=broke).join(more)


def _more(record: Record) -> dict[str, object]:
    """What scored units do not hold."""
    used, loss, reference = record.used, loss_of(record), record.reference
    sources, scale = used.by_source, record.scores.gap_scale
    gains = [part.gain for name, part in sources.items() if not is_start(name)]
    return {
        "measured_to": "" if reference is None else f"{loss.yardstick} ({reference.solver})",
        "gain": sum(gains) / scale if scale else 0.0,
        "first": sum(part.evaluations for name, part in sources.items() if is_start(name)),
        **_answers(used.report.get("operator", {})),
        "result_hash": record.result_hash,
    }


def _answers(operator: Mapping[str, Any]) -> dict[str, float]:
    """What became of the language model's answers; empty for arms that ask none or do not say."""
    if "fates" not in operator:
        return {}
    fallbacks = operator.get("fallbacks", 0)
    counts = {f"answers_{fate}": operator["fates"].get(fate, 0) for fate in FATES}
    counts["fallbacks"] = sum(fallbacks.values()) if isinstance(fallbacks, Mapping) else fallbacks
    return counts | {name: operator.get(name, 0) for name in ("targets", "reasks", "refused_by_budget")}


# -- what losses are measured to -----------------------------------------------------------------------------------------


def _measured(ablation: Ablation) -> dict[Key, Record]:
    """The records; with gaps to the best of all arms where an instance has no reference that all of its records share."""
    measured = dict(ablation.records)
    for index in range(ablation.plan.instances):
        here = {key: record for key, record in ablation.records.items() if key[1] == index}
        goals = {(loss_of(record).yardstick, aim_of(record)) for record in here.values() if record.scores.gap_scale}
        if len(goals) > 1 or any(loss_of(record).value is None for record in here.values()):
            instance = ablation.plan.instance(index)
            best = _best(instance, [feasible_points(record)[1] for record in here.values()])
            measured |= {key: _to_best(instance, record, best) for key, record in here.items()}
    return measured


def _best(instance: Instance, fronts: Sequence[FloatArray]) -> float:
    """Hypervolume of all arms' points together, 1 when none is inside the box; for one objective the best value."""
    F = np.concatenate(fronts)
    if instance.hypervolume_box is not None:
        return hypervolume(F, instance.hypervolume_box) or 1.0
    return float(np.min(F[:, 0] * instance.signs[0]) * instance.signs[0])


def _to_best(instance: Instance, record: Record, best: float) -> Record:
    scores, several = record.scores, instance.hypervolume_box is not None
    scale = best if several else instance.objectives[0].gap_scale(best)
    gap = None
    if several:
        gap = 1.0 - (scores.hypervolume or 0.0) / best
    elif scores.objective is not None:
        gap = instance.objectives[0].shortfall(scores.objective, best) / scale
    value = None if several else best
    reference = describe_reference(Reference(Evidence.BEST_KNOWN, value=value, solver=_UNION))
    measured = scores.model_copy(update={"gap": gap, "gap_scale": scale, "tie": 0.0})
    return record.model_copy(update={"reference": reference, "scores": measured})


def feasible_points(record: Record) -> tuple[FloatArray, FloatArray]:
    """Verified feasible points of a run, X float64 [n, d] and F float64 [n, m]."""
    verified, solutions = record.verified, record.solutions
    mask = np.array(verified.feasible, dtype=bool)
    X = np.array(solutions.x, dtype=np.float64).reshape(-1, len(solutions.variables))
    return X[mask], np.array(verified.F, dtype=np.float64).reshape(-1, len(verified.objectives))[mask]


# -- curves ------------------------------------------------------------------------------------------------------------


def progress(ablation: Ablation) -> pd.DataFrame:
    """Loss over evaluations by arm over the complete pairs, see `optisolve.study.profiles.anytime_data`."""
    import pandas as pd

    pairs, measured = set(ablation.complete_pairs), _measured(ablation)
    records = pd.DataFrame({"record": [record for key, record in measured.items() if key[1:] in pairs]})
    return anytime_data(score_units(records), ablation.plan.scenario)


def spending(ablation: Ablation, data: pd.DataFrame) -> tuple[str, pd.DataFrame]:
    """Progress over what was spent on the language model.

    Args:
        ablation: The experiment.
        data: From `progress`.

    Returns:
        ``"tokens"``, or ``"calls"`` when no tokens were counted, and the data with what an arm had spent by then, mean over
        the complete pairs, in place of ``evaluations``; arms that spend nothing keep their last loss all along.
    """
    import pandas as pd

    plan, pairs = ablation.plan, ablation.complete_pairs
    asking = [arm.name for arm in plan.arms if arm.name in plan.asking]
    spent = {name: [_spent(ablation, (name, *pair)) for pair in pairs] for name in asking}
    column, what = (2, "tokens") if any(run[-1, 2] for runs in spent.values() for run in runs) else (1, "calls")
    parts = []
    for name, own in data.groupby("solver", sort=False):
        by_then = [run[np.searchsorted(run[:, 0], own["evaluations"], "right") - 1, column] for run in spent.get(str(name), ())]
        parts.append(own.assign(evaluations=np.mean(by_then, axis=0)) if by_then else own.tail(1))
    table = pd.concat([part for part in parts if len(part) > 1])
    table = table[table["evaluations"] > 0]
    ends = [part.assign(evaluations=at) for part in parts if len(part) == 1 for at in table["evaluations"].agg(["min", "max"])]
    return what, pd.concat([table, *ends])


def _spent(ablation: Ablation, key: Key) -> FloatArray:
    """Evaluations, calls, tokens and US dollars so far, float64 [s, 4], from nothing to the end of the run."""
    used = ablation.records[key].used
    end = (used.evaluations, used.llm_calls, used.tokens_in + used.tokens_out, used.usd)
    rows = [row for row in json.loads(ablation.files(key).get(SPENDING, b"[]")) if row[0] < end[0]]
    return np.array([(0, 0, 0, 0), *rows, end], dtype=np.float64)
