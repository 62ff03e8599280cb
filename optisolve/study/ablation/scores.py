"""Figures of an ablation's runs: one row per run, and curves per arm, all re-derived from the records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from optisolve.core.arrays import FloatArray
from optisolve.core.problem import Instance
from optisolve.numerics.indicators import igd_plus
from optisolve.run.archive import nondominated
from optisolve.run.schema import Record
from optisolve.run.verify import confront_values
from optisolve.study.ablation.plan import Ablation
from optisolve.study.ablation.runs import read_curve
from optisolve.study.intervals import MIN_BLOCKS, mean_interval
from optisolve.study.units import losses_of_gaps

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Curve", "Measure", "Yardstick", "base_measure", "curves", "measures", "score_runs", "spending_curves", "yardsticks"]


@dataclass(frozen=True, slots=True)
class Measure:
    """A figure by which runs are compared.

    Attributes:
        column: Column of the table of runs.
        label: Name for people.
        maximize: Larger is better.
        step: Size of one unit of gain when costs are told.
        step_words: That unit in words.
        gain_words: What a gain is.
    """

    column: str
    label: str
    maximize: bool
    step: float = 1.0
    step_words: str = ""
    gain_words: str = ""


HYPERVOLUME = Measure(
    "hypervolume", "hypervolume", True, 0.01, "0.01 hypervolume", "hypervolume added to the first population's"
)
IGD_PLUS = Measure("igd_plus", "IGD+", False)
GAP = Measure("gap", "gap", False, 0.01, "1 % of gap", "by how much the gap of the first population was reduced")

_MANY_OUTSIDE = 0.5
"""Share of the runs with hypervolume 0 from which IGD+ is the primary measure."""


@dataclass(frozen=True, slots=True, eq=False)
class Yardstick:
    """What distances are measured to on one instance.

    Attributes:
        front: float64 [r, m] for several objectives, own senses; None for one.
        value: Target for one objective; None for several, or when nothing is feasible anywhere.
        from_reference: The problem's own reference; otherwise the best that any arm found.
        words: Which one, for people.
        scale: What distances to the target are divided by, in its unit; 1 for several objectives.
        tie: Gaps up to this size say nothing: tolerance and slack of the reference, relative.
        note: What was withdrawn from the reference and why; "" when nothing was.
    """

    front: FloatArray | None
    value: float | None
    from_reference: bool
    words: str
    scale: float = 1.0
    tie: float = 0.0
    note: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Mean of an arm's runs.

    Attributes:
        x: float64 [k], evaluations or what was spent.
        mean: float64 [k], NaN where a run has no feasible point yet.
        low: float64 [k], lower end of the 95 % interval of the mean; of fewer than `MIN_BLOCKS` runs the smallest value.
        high: float64 [k], its upper end, or the largest value.
    """

    x: FloatArray
    mean: FloatArray
    low: FloatArray
    high: FloatArray


def measures(ablation: Ablation, runs: pd.DataFrame) -> tuple[Measure, ...]:
    """The primary measure first: the gap for one objective; hypervolume, then IGD+ for several.

    Where half of the runs or more do not even reach the scoring box, their hypervolume of 0 tells nothing and IGD+ comes
    first.

    Args:
        ablation: The experiment.
        runs: From `score_runs`.
    """
    if ablation.plan.single_objective:
        return (GAP,)
    outside = not runs.empty and bool((runs["hypervolume"] == 0.0).mean() >= _MANY_OUTSIDE)
    return (IGD_PLUS, HYPERVOLUME) if outside else (HYPERVOLUME, IGD_PLUS)


def base_measure(ablation: Ablation) -> Measure:
    """The measure of gains and curves, which does not depend on the runs: hypervolume, or the gap for one objective."""
    return GAP if ablation.plan.single_objective else HYPERVOLUME


def yardsticks(ablation: Ablation) -> dict[int, Yardstick]:
    """The problem's own reference where there is one, else the best of all arms, by instance seed."""
    return {seed: _yardstick(ablation, seed, instance) for seed, instance in ablation.instances.items()}


def _yardstick(ablation: Ablation, seed: int, instance: Instance) -> Yardstick:
    records = [record for key, record in ablation.records.items() if key[1] == seed]
    F = np.concatenate([_feasible(record) for record in records] or [np.empty((0, len(instance.objectives)))])
    reference = confront_values(instance, ablation.references[seed], F)
    told = "" if reference is None else f"{reference.evidence.value.replace('_', ' ')} ({reference.solver})"
    note = "" if reference is None else reference.note
    if len(instance.objectives) == 1:
        objective, sign = instance.objectives[0], float(instance.signs[0])
        target = best = float((F[:, 0] * sign).min() * sign) if F.size else None
        own, tie, words = False, 0.0, "the best value that any arm found"
        if reference is not None and reference.value is not None:
            own = best is None or objective.shortfall(best, reference.value) >= -reference.tie
            target, tie = (reference.value, reference.tie) if own else (best, 0.0)
            words = f"the problem's reference, {told}" if own else f"{words}, better than the problem's reference, {told}"
        scale = 1.0 if target is None else objective.gap_scale(target)
        return Yardstick(None, target, own, words, scale, tie / scale, note)
    if reference is not None and reference.F is not None:
        return Yardstick(reference.F, None, True, f"the problem's reference front, {told}", note=note)
    union = F[nondominated(F * instance.signs)] if F.size else F
    return Yardstick(union, None, False, "the union of all arms' fronts", note=note)


def score_runs(ablation: Ablation, sticks: Mapping[int, Yardstick]) -> pd.DataFrame:
    """One row per run: measures, what it started from, what it used, and the fates of the model's answers.

    A run without a feasible point has hypervolume 0; its IGD+ and gap are those of the worst run of the same instance,
    for IGD+ at least the distance of the box's bad corner, and ``failed`` says so. Nothing is missing.
    """
    import pandas as pd

    rows = []
    for (arm, instance, seed), record in sorted(ablation.records.items(), key=_by_pair(ablation)):
        case, stick = ablation.instances[instance], sticks[instance]
        used, termination = record["used"], record["termination"]
        rows.append(
            {
                "arm": arm,
                "instance": instance,
                "seed": seed,
                **_quality(case, record, stick),
                "tie": stick.tie,
                "failed": not any(record["verified"]["feasible"]),
                "broke": termination["detail"] if termination["status"] == "error" else "",
                "evaluations": used["evaluations"],
                "llm_calls": used["llm_calls"],
                "tokens_in": used["tokens_in"],
                "tokens_out": used["tokens_out"],
                "usd": used["usd"],
                "wall_s": used["wall_s"],
                **_answers(used["report"].get("operator", {})),
                "result_hash": record["result_hash"],
                "record": record["record_id"],
            }
        )
    table = pd.DataFrame(rows)
    return table if table.empty else _without_holes(table, ablation, sticks)


def _quality(instance: Instance, record: Record, stick: Yardstick) -> dict[str, float]:
    """Measures of one run, and by how much it improved on its first population."""
    F = _feasible(record)
    sources = record["used"]["by_source"]
    if len(instance.objectives) == 1:
        made = sum(item["objective_gain"] for name, item in sources.items() if name != "initial")
        gap = float("nan")
        if F.size and stick.value is not None:
            best = float(np.min(F[:, 0] * instance.signs[0]) * instance.signs[0])
            gap = float(_gaps(best, instance, stick.value, stick))
        return {"gap": gap, "gain": made / stick.scale}
    box = instance.hypervolume_box
    assert box is not None
    assert stick.front is not None
    distance = igd_plus(F, stick.front, box) if stick.front.size else None
    return {
        "hypervolume": record["scores"]["hypervolume"],
        "igd_plus": float("nan") if distance is None else distance,
        "gain": sum(item["hypervolume_gain"] for name, item in sources.items() if name != "initial"),
    }


def _answers(operator: Mapping[str, Any]) -> dict[str, Any]:
    """What became of the language model's answers; empty for arms that ask none."""
    if "fates" not in operator:
        return {}
    fates = {f"answers_{fate}": count for fate, count in operator["fates"].items()}
    fallbacks = sum(operator["fallbacks"].values())
    counts = {name: operator[name] for name in ("targets", "reasks", "refused_by_budget")}
    return {**fates, "fallbacks": fallbacks, **counts}


def _without_holes(table: pd.DataFrame, ablation: Ablation, sticks: Mapping[int, Yardstick]) -> pd.DataFrame:
    for measure in (GAP,) if ablation.plan.single_objective else (IGD_PLUS,):
        for seed, instance in ablation.instances.items():
            here = table["instance"] == seed
            worst = float(np.nanmax([_corner(instance, sticks[seed]), *table.loc[here, measure.column]]))
            table.loc[here, measure.column] = table.loc[here, measure.column].fillna(worst)
    return table


def _corner(instance: Instance, stick: Yardstick) -> float:
    """Least distance of a run without a feasible point: that of the box's bad corner; 100 % for a gap."""
    box = instance.hypervolume_box
    if box is None or stick.front is None:
        return 1.0
    if not stick.front.size:
        return float(np.sqrt(len(instance.objectives)))
    return float(igd_plus(np.array([box.reference]), stick.front, box) or 0.0)


def _feasible(record: Record) -> FloatArray:
    F = np.array(record["verified"]["F"], dtype=np.float64).reshape(-1, len(record["verified"]["objectives"]))
    mask = np.array(record["verified"]["feasible"], dtype=bool)
    return np.ascontiguousarray(F[mask])


def _by_pair(ablation: Ablation) -> Any:
    order = {arm.name: i for i, arm in enumerate(ablation.plan.arms)}
    return lambda item: (item[0][1], item[0][2], order[item[0][0]])


# -- curves ------------------------------------------------------------------------------------------------------------


def curves(ablation: Ablation, sticks: Mapping[int, Yardstick]) -> dict[str, Curve]:
    """Primary measure over evaluations by arm, mean over the complete pairs."""
    parts: dict[str, list[tuple[FloatArray, FloatArray]]] = {}
    for arm, pair in _shown(ablation):
        at, value, _ = _measured(ablation, arm, pair, sticks)
        parts.setdefault(arm, []).append((at, value))
    return {arm: _mean_curve(part) for arm, part in parts.items()}


def spending_curves(ablation: Ablation, sticks: Mapping[int, Yardstick]) -> tuple[str, dict[str, Curve]]:
    """Primary measure over what the arms spent on the language model, mean over the complete pairs.

    Returns:
        ``"tokens"``, or ``"calls"`` when no tokens were counted, and the curves of the arms that ask the model.
    """
    asking = {arm.name for arm in ablation.plan.arms if arm.asks_llm}
    runs = [(arm, *_measured(ablation, arm, pair, sticks)) for arm, pair in _shown(ablation) if arm in asking]
    column = 2 if any(spending[-1, 2] for *_, spending in runs) else 1
    parts: dict[str, list[tuple[FloatArray, FloatArray]]] = {}
    for arm, at, value, spending in runs:
        here = np.searchsorted(at, spending[:, 0], side="right") - 1
        parts.setdefault(arm, []).append((spending[:, column], value[np.maximum(here, 0)]))
    return ("tokens" if column == 2 else "calls", {arm: _mean_curve(part) for arm, part in parts.items()})


def _shown(ablation: Ablation) -> list[tuple[str, tuple[int, int]]]:
    return [(arm.name, pair) for arm in ablation.plan.arms for pair in ablation.complete_pairs]


def _measured(
    ablation: Ablation, arm: str, pair: tuple[int, int], sticks: Mapping[int, Yardstick]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Evaluations of a run, the primary measure after them (NaN while a gap has no feasible point), and its spending."""
    instance, stick = ablation.instances[pair[0]], sticks[pair[0]]
    curve = read_curve(ablation.folders[arm, *pair], ablation.records[arm, *pair])
    if len(instance.objectives) > 1:
        return curve.evaluations, curve.value, curve.spending
    if stick.value is None:
        return curve.evaluations, np.full_like(curve.value, np.nan), curve.spending
    return curve.evaluations, _gaps(curve.value, instance, stick.value, stick), curve.spending


def _gaps(values: npt.ArrayLike, instance: Instance, target: float, stick: Yardstick) -> FloatArray:
    """Gaps >= 0 without a cap, so that bad arms can be told apart; NaN where nothing is feasible yet."""
    behind = instance.signs[0] * (np.asarray(values, dtype=np.float64) - target) / stick.scale
    gaps: FloatArray = np.where(np.isnan(behind), np.nan, losses_of_gaps(behind, stick.tie, cap=np.inf))
    return gaps


def _mean_curve(parts: list[tuple[FloatArray, FloatArray]]) -> Curve:
    """Mean of step functions on the union of their steps, from where all of them have begun; each keeps its last value."""
    grid = np.unique(np.concatenate([at for at, _ in parts]))
    grid = grid[grid >= max(at[0] for at, _ in parts)]
    values = np.stack([value[np.searchsorted(at, grid, side="right") - 1] for at, value in parts])  # [runs, k]
    if len(parts) < MIN_BLOCKS:
        return Curve(grid, values.mean(axis=0), values.min(axis=0), values.max(axis=0))
    known = np.isfinite(values).all(axis=0)
    ends = np.full((grid.size, 2), np.nan)
    ends[known] = [mean_interval(column, resamples=1000) for column in values.T[known]]
    return Curve(grid, values.mean(axis=0), ends[:, 0], ends[:, 1])
