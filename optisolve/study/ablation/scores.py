"""Figures of an ablation's runs: the one loss, what a run gained and cost, and curves, all re-derived from the records."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from optisolve.core.arrays import FloatArray
from optisolve.core.problem import Instance
from optisolve.core.status import Evidence
from optisolve.numerics.indicators import hypervolume
from optisolve.study.ablation.plan import Key
from optisolve.study.ablation.runs import Ablation
from optisolve.study.intervals import estimate
from optisolve.study.loss import loss_of, losses_of_gaps, measured_by
from optisolve.study.runner.child import SPENDING

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FATES", "GAIN_STEP", "Curve", "curves", "feasible_points", "score_runs", "spending_curves"]

FATES = ("ok", "clipped", "repaired", "duplicate", "rejected")
"""What may become of a candidate that a language model names."""

GAIN_STEP = 0.01
"""Unit in which gains are told when costs are."""

_UNION = "the best of all arms"

_FIRST = ("initial", "warm_start")
"""Sources of a first population."""


def score_runs(ablation: Ablation) -> pd.DataFrame:
    """One row per run of a complete or incomplete pair, pair by pair.

    Returns:
        ``arm``, ``instance``, ``seed``, ``loss``, ``standing`` (what is compared: the loss, but below 0 where a reference that
        is only best known is beaten), ``tie``, ``measured_to``, ``hypervolume`` and ``igd_plus`` (several objectives), ``gain``
        over the first population as a share of the loss's scale, ``failed`` (no verified feasible answer: loss 1), ``broke``
        (why a run ended in an error), ``evaluations``, ``first`` (evaluations of the first population), ``llm_calls``,
        ``tokens_in``, ``tokens_out``, ``usd``, ``wall_s``, the fates of the model's answers, ``result_hash``, ``record``.
    """
    import pandas as pd

    order = [key for key in ablation.plan.runs if key in ablation.records]
    measured = _measured(ablation)
    return pd.DataFrame([_row(key, measured[key]) for key in order])


def _row(key: Key, record: Mapping[str, Any]) -> dict[str, Any]:
    used, scores, found = record["used"], record["scores"], loss_of(record)
    loss = float("nan") if found.value is None else found.value
    sources = used["by_source"]
    several = len(record["verified"]["objectives"]) > 1
    gain = sum(_gain(part) for name, part in sources.items() if name not in _FIRST)
    reference = record["reference"]
    return {
        "arm": key[0],
        "instance": key[1],
        "seed": key[2],
        "loss": loss,
        "standing": found.gap if found.gap is not None and found.gap < -found.tie else loss,
        "tie": found.tie,
        "measured_to": "" if reference is None else f"{found.yardstick} ({reference['solver']})",
        **({"hypervolume": scores["hypervolume"] or 0.0, "igd_plus": scores["igd_plus"]} if several else {}),
        "gain": gain / scores["gap_scale"] if scores["gap_scale"] else 0.0,
        "failed": not any(record["verified"]["feasible"]),
        "broke": record["termination"]["detail"] if record["termination"]["status"] == "error" else "",
        "evaluations": used["evaluations"],
        "first": sum(sources[name]["evaluations"] for name in _FIRST if name in sources),
        **{name: used[name] for name in ("llm_calls", "tokens_in", "tokens_out", "usd", "wall_s")},
        **_answers(used["report"].get("operator", {})),
        "result_hash": record["result_hash"],
        "record": record["record_id"],
    }


def _gain(part: Mapping[str, Any]) -> float:
    return float(part.get("hypervolume_gain") or part.get("objective_gain") or 0.0)


def _answers(operator: Mapping[str, Any]) -> dict[str, float]:
    """What became of the language model's answers; empty for arms that ask none or do not say."""
    if "fates" not in operator:
        return {}
    fallbacks = operator.get("fallbacks", 0)
    counts = {f"answers_{fate}": operator["fates"].get(fate, 0) for fate in FATES}
    counts["fallbacks"] = sum(fallbacks.values()) if isinstance(fallbacks, Mapping) else fallbacks
    return {**counts, **{name: operator.get(name, 0) for name in ("targets", "reasks", "refused_by_budget")}}


# -- what losses are measured to -----------------------------------------------------------------------------------------


def _measured(ablation: Ablation) -> dict[Key, Mapping[str, Any]]:
    """The records; with gaps to the best of all arms where an instance has no reference that all of its records share."""
    measured: dict[Key, Mapping[str, Any]] = dict(ablation.records)
    for index in range(ablation.plan.instances):
        here = {key: record for key, record in ablation.records.items() if key[1] == index}
        if any(loss_of(record).value is None for record in here.values()) or len({*map(_goal, here.values())}) > 1:
            instance = ablation.plan.instance(index)
            best = _best(instance, [feasible_points(record)[1] for record in here.values()])
            measured |= {key: _to_best(instance, record, best) for key, record in here.items()}
    return measured


def _goal(record: Mapping[str, Any]) -> tuple[object, ...]:
    """What the loss of a record is measured to."""
    name, yardstick = measured_by(record)
    reference = record["reference"] or {}
    return name, yardstick, reference.get("value"), reference.get("dual_bound") if name == "bound_gap" else None


def _best(instance: Instance, fronts: Sequence[FloatArray]) -> float:
    """Hypervolume of all arms' points together, 1 when none is inside the box; for one objective the best value."""
    F = np.concatenate(fronts)
    if instance.hypervolume_box is not None:
        return hypervolume(F, instance.hypervolume_box) or 1.0
    return float(np.min(F[:, 0] * instance.signs[0]) * instance.signs[0])


def feasible_points(record: Mapping[str, Any]) -> tuple[FloatArray, FloatArray]:
    """Verified feasible points of a run, X float64 [n, d] and F float64 [n, m]."""
    mask = np.array(record["verified"]["feasible"], dtype=bool)
    X = np.array(record["solutions"]["x"], dtype=np.float64).reshape(-1, len(record["solutions"]["variables"]))
    F = np.array(record["verified"]["F"], dtype=np.float64).reshape(-1, len(record["verified"]["objectives"]))
    return X[mask], F[mask]


def _to_best(instance: Instance, record: Mapping[str, Any], best: float) -> Mapping[str, Any]:
    scores = record["scores"]
    if instance.hypervolume_box is not None:
        scale, value = best, None
        gap = 1.0 - scores["hypervolume"] / best
    else:
        scale, value = instance.objectives[0].gap_scale(best), best
        gap = None if scores["objective"] is None else instance.objectives[0].shortfall(scores["objective"], best) / scale
    reference = {"evidence": Evidence.BEST_KNOWN, "value": value, "dual_bound": None, "solver": _UNION, "note": ""}
    return {**record, "reference": reference, "scores": {**scores, "gap": gap, "gap_scale": scale, "tie": 0.0}}


# -- curves ------------------------------------------------------------------------------------------------------------


class Curve(NamedTuple):
    """Mean loss of an arm's runs as a step function.

    Attributes:
        x: float64 [k], evaluations or what was spent.
        mean: float64 [k].
        low: float64 [k], lower end of the 95 % interval of the mean; of fewer than ten runs the smallest value.
        high: float64 [k], its upper end, or the largest value.
    """

    x: FloatArray
    mean: FloatArray
    low: FloatArray
    high: FloatArray


def curves(ablation: Ablation) -> dict[str, Curve]:
    """Loss over evaluations by arm, over the complete pairs."""
    measured = _measured(ablation)
    return {
        arm.name: _mean([_trace(measured[arm.name, *pair]) for pair in ablation.complete_pairs])
        for arm in ablation.plan.arms
        if ablation.complete_pairs
    }


def spending_curves(ablation: Ablation) -> tuple[str, dict[str, Curve]]:
    """Loss over what the arms spent on the language model, over the complete pairs.

    Returns:
        ``"tokens"``, or ``"calls"`` when no tokens were counted, and the curves of the arms that ask the model.
    """
    measured, asking = _measured(ablation), [arm.name for arm in ablation.plan.arms if arm.name in ablation.plan.asking]
    runs = {name: [_spent(ablation, (name, *pair), measured) for pair in ablation.complete_pairs] for name in asking}
    tokens = any(spent[-1, 2] for parts in runs.values() for spent, _ in parts)
    column = 2 if tokens else 1
    found = {name: _mean([(spent[:, column], loss) for spent, loss in parts]) for name, parts in runs.items() if parts}
    return "tokens" if tokens else "calls", found


def _trace(record: Mapping[str, Any]) -> tuple[FloatArray, FloatArray]:
    """Evaluations and the loss after them, both float64 [t]; the last row is the verified answer."""
    found, scores, (name, _) = loss_of(record), record["scores"], measured_by(record)
    end = max(1.0, float(record["used"]["evaluations"]))
    if found.value is None or found.gap is None or not record["trace"]:
        return np.array([1.0, end]), np.full(2, np.nan if found.value is None else found.value)
    at = np.array([row[0] for row in record["trace"]], dtype=np.float64)
    value = np.array([np.nan if row[2] is None else row[2] for row in record["trace"]])
    if len(record["verified"]["objectives"]) > 1:
        gaps = 1.0 - value / scores["gap_scale"]
    else:
        sign = -1.0 if record["verified"]["objectives"][0]["sense"] == "maximize" else 1.0
        goal = record["reference"]["value" if name == "gap" else "dual_bound"]
        gaps = sign * (value - goal) / scores["gap_scale"]
    return np.append(at, end), np.append(losses_of_gaps(gaps, scores["tie"]), found.value)


def _spent(ablation: Ablation, key: Key, measured: Mapping[Key, Mapping[str, Any]]) -> tuple[FloatArray, FloatArray]:
    """Evaluations, calls, tokens and US dollars so far, float64 [s, 4], and the loss by then, float64 [s]."""
    used, (at, loss) = measured[key]["used"], _trace(measured[key])
    end = (used["evaluations"], used["llm_calls"], used["tokens_in"] + used["tokens_out"], used["usd"])
    rows = [row for row in json.loads(ablation.files(key).get(SPENDING, b"[]")) if row[0] < end[0]]
    spent = np.array([*rows, end], dtype=np.float64)
    return spent, loss[np.maximum(np.searchsorted(at, spent[:, 0], side="right") - 1, 0)]


def _mean(parts: Sequence[tuple[FloatArray, FloatArray]]) -> Curve:
    """Mean of step functions on the union of their steps, from where all of them have begun; each keeps its last value."""
    grid = np.unique(np.concatenate([at for at, _ in parts]))
    grid = grid[grid >= max(at[0] for at, _ in parts)]
    values = np.stack([value[np.searchsorted(at, grid, side="right") - 1] for at, value in parts])  # [runs, k]
    found = [estimate(column, within=(0.0, 1.0)) for column in values.T]
    ends: npt.NDArray[np.float64] = np.array(
        [(e.mean, *((e.least, e.most) if np.isnan(e.low) else (e.low, e.high))) for e in found]
    )
    return Curve(grid, ends[:, 0], ends[:, 1], ends[:, 2])
