"""Interactive charts as plain data: traces for plotly.js; colors and fonts come from the page's theme."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.documents import JsonObject
from optisolve.core.text import slug
from optisolve.run.schema import ObjectivePart, Record
from optisolve.study.profiles import anytime_data
from optisolve.study.scored import Outcome

if TYPE_CHECKING:
    import pandas as pd

    from optisolve.study.scored import ScoredUnits

__all__ = ["Chart", "anytime_chart", "attainment_chart", "progress_chart", "record_charts", "score_chart"]


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart.

    Attributes:
        id: Of the element it is drawn in.
        title: Heading.
        alt: What it shows, in words.
        x: Label of the axis.
        y: Label of the axis.
        traces: Each has a ``name``, the index of its ``color``, ``kind``, ``y`` and, but for boxes, ``x``.
        log_x: The axis is logarithmic.
        log_y: Likewise.
    """

    id: str
    title: str
    alt: str
    x: str
    y: str
    traces: Sequence[JsonObject]
    log_x: bool = False
    log_y: bool = False

    def plain(self) -> JsonObject:
        """As JSON; names and labels are escaped, since plotly draws links and other tags where it finds them."""
        traces = [{**trace, "name": html.escape(str(trace["name"]), quote=False)} for trace in self.traces]
        return {**asdict(self), "x": html.escape(self.x, quote=False), "y": html.escape(self.y, quote=False), "traces": traces}


def score_chart(scenario: str, units: pd.DataFrame, label: str, colors: Mapping[str, int], *, column: str = "loss") -> Chart:
    """Every run's score by solver, failures left out and counted in the text.

    Args:
        scenario: Which one.
        units: Rows of `optisolve.study.scored.ScoredUnits.frame`.
        label: What the score is.
        colors: Color index of every solver.
        column: Where it stands.
    """
    own = units[units["scenario"] == scenario]
    good = own[own["outcome"] == Outcome.OK]
    traces: list[JsonObject] = [
        {"name": str(solver), "color": colors[str(solver)], "y": _numbers(rows[column]), "kind": "box"}
        for solver, rows in good.groupby("solver", sort=True)
    ]
    failed = int((~own["outcome"].isin([Outcome.OK, Outcome.SKIPPED])).sum())
    alt = f"{label} of every run on {scenario} by solver; {failed} runs without a feasible answer are not drawn."
    return Chart("scores", "Scores of all runs", alt, "", label, traces)


def progress_chart(scenario: str, units: pd.DataFrame, colors: Mapping[str, int]) -> Chart | None:
    """Mean best value after so many evaluations, by solver; None when no run has a curve.

    What a solver had when it stopped still stands, so every line ends where the longest run does.

    Args:
        scenario: Which one.
        units: Rows of `optisolve.study.scored.ScoredUnits.frame`.
        colors: Color index of every solver.
    """
    own = units[(units["scenario"] == scenario) & (units["outcome"] == Outcome.OK)]
    traces: list[JsonObject] = []
    last = max((curve[-1, 0] for record in own["record"] if len(curve := _curve(record))), default=0.0)
    for solver, rows in own.groupby("solver", sort=True):
        curves = [curve for record in rows["record"] if len(curve := _curve(record))]
        first = max((curve[0, 0] for curve in curves), default=0.0)
        if first < last:
            at = np.unique(np.rint(np.geomspace(first, last, 40)).astype(int))
            values = _numbers(np.mean([_at(curve, at) for curve in curves], axis=0))
            traces.append({"name": str(solver), "color": colors[str(solver)], "x": at.tolist(), "y": values, "kind": "line"})
    if not traces:
        return None
    value = _value(own["record"].iloc[0])
    alt = f"Mean {value} on {scenario} against evaluations, one line per solver."
    return Chart("progress", "Progress", alt, "evaluations", f"mean {value}", traces, log_x=True)


def anytime_chart(scenario: str, units: ScoredUnits, colors: Mapping[str, int]) -> Chart | None:
    """Median loss after so many evaluations, by solver; where there are no losses the mean value, and None without curves.

    Args:
        scenario: Which one.
        units: All units.
        colors: Color index of every solver.
    """
    from optisolve.plotting.profiles import SMALLEST_DRAWN

    own = units.frame[units.frame["scenario"] == scenario]
    if not _whole(own) or not any(record is not None and len(record.trace) > 1 for record in own["record"]):
        return None
    measure = units.measures[scenario]
    if not measure.has_loss:
        return progress_chart(scenario, units.frame, colors)
    traces: list[JsonObject] = []
    for solver, rows in anytime_data(units, scenario, points=40).groupby("solver", sort=True):
        values = _numbers(np.maximum(rows["median"], SMALLEST_DRAWN))
        at = rows["evaluations"].astype(int).tolist()
        traces.append({"name": str(solver), "color": colors[str(solver)], "x": at, "y": values, "kind": "line"})
    alt = (
        f"Median loss of all runs on {scenario} against evaluations, one line per solver; smaller is better. A failed run has "
        f"loss 1 throughout; what is below {SMALLEST_DRAWN:g} is drawn there."
    )
    title = f"Anytime curves on {scenario}"
    return Chart(f"anytime-{slug(scenario)}", title, alt, "evaluations", "median loss", traces, log_x=True, log_y=True)


def attainment_chart(scenario: str, units: pd.DataFrame, colors: Mapping[str, int], solvers: Sequence[str]) -> Chart | None:
    """What half of a solver's runs attain on one instance, between what its best run and what all of them attain.

    Args:
        scenario: Which one; None comes back unless it has two objectives.
        units: Rows of `optisolve.study.scored.ScoredUnits.frame`.
        colors: Color index of every solver.
        solvers: Which ones are drawn.

    Source:
        Grunert da Fonseca, Fonseca and Hall 2001 (the empirical attainment function); computed by moocore.
    """
    from optisolve.plotting.fronts import surfaces

    own = units[(units["scenario"] == scenario) & units["solver"].isin(list(solvers)) & units["record"].notna()]
    told = [record for record in own["record"] if len(record.verified.objectives) == 2 and record.verified.F]
    if not told or not _whole(own):
        return None
    objectives, seed = told[0].verified.objectives, min(record.instance.seed for record in told)
    runs = own[[record.instance.seed == seed for record in own["record"]]]
    signs = np.array([-1.0 if part.sense == "maximize" else 1.0 for part in objectives])
    fronts: dict[str, list[FloatArray]] = {}
    for solver, outcome, record in zip(runs["solver"], runs["outcome"], runs["record"], strict=True):
        attained = _front(record) if outcome == Outcome.OK else np.empty((0, 2))  # a run that broke attains nothing
        fronts.setdefault(str(solver), []).append(attained * signs)
    found = np.vstack([F for fronts_of_one in fronts.values() for F in fronts_of_one])
    if not len(found):
        return None
    low, high = found.min(axis=0), found.max(axis=0)
    far, traces = high + 0.05 * (high - low), list[JsonObject]()
    for solver, several in fronts.items():
        drawn = surfaces([F for F in several if len(F)], len(several), far)
        for kind, points in zip(("line", "edge", "edge"), drawn if len(several) > 1 else drawn[:1], strict=False):
            if len(points):
                x, y = (_numbers(column) for column in (points * signs).T)
                traces.append({"name": solver, "color": colors[solver], "x": x, "y": y, "kind": kind})
    alt = (
        f"Attainment surfaces on {scenario}, instance {seed}: {objectives[1].name} against {objectives[0].name}. The line of a "
        "solver is what half of its runs attain, thin lines what its best run and what all of them attain."
    )
    title = f"Attainment surfaces on {scenario}"
    return Chart(f"attained-{slug(scenario)}", title, alt, _axis(objectives[0]), _axis(objectives[1]), traces)


def _whole(units: pd.DataFrame) -> bool:
    """Whether all records hold their points and curves; rows of a table do not, and some of several runs say nothing of all."""
    told = [record for record in units["record"] if record is not None]
    return all(record.solutions.x or not any(record.verified.feasible) for record in told)


def _front(record: Record) -> FloatArray:
    """Verified feasible objectives of a run, float64 [n, m]."""
    rows = [F for F, ok in zip(record.verified.F, record.verified.feasible, strict=True) if ok] if record.verified.F else []
    return np.array(rows, dtype=np.float64).reshape(-1, len(record.verified.objectives))


def record_charts(record: Record) -> list[Chart]:
    """The front and the anytime curve of one record."""
    found: list[Chart] = []
    objectives, points = record.verified.objectives, _front(record)
    if len(objectives) > 1 and len(points):
        x, y, *_ = (_numbers(column) for column in zip(*points, strict=True))
        trace: JsonObject = {"name": "verified points", "color": 0, "x": x, "y": y, "kind": "points"}
        alt = f"{len(points)} verified points: {objectives[1].name} against {objectives[0].name}."
        found.append(Chart("front", "Verified front", alt, _axis(objectives[0]), _axis(objectives[1]), [trace]))
    curve, value = _curve(record), _value(record)
    if len(curve) > 1:
        trace = {"name": value, "color": 0, "x": curve[:, 0].tolist(), "y": _numbers(curve[:, 1]), "kind": "line"}
        alt = f"{value} against evaluations."
        found.append(Chart("trace", "Progress", alt, "evaluations", value, [trace], log_x=True))
    return found


def _value(record: Record) -> str:
    objectives = record.verified.objectives
    return "hypervolume" if len(objectives) > 1 else objectives[0].name


def _axis(objective: ObjectivePart) -> str:
    unit = f"{objective.unit}, " if objective.unit else ""
    return f"{objective.name} ({unit}{objective.sense})"


def _curve(record: Record) -> FloatArray:
    """Evaluations and value of the anytime curve, float64 [t, 2], from the first feasible point on."""
    rows = [(row[0], row[2]) for row in record.trace if row[2] is not None]
    return np.array(rows, dtype=np.float64).reshape(-1, 2)


def _at(curve: FloatArray, at: Iterable[int]) -> FloatArray:
    """Values of a step curve at evaluation counts."""
    values: FloatArray = curve[np.maximum(np.searchsorted(curve[:, 0], list(at), side="right") - 1, 0), 1]
    return values


def _numbers(values: Iterable[float]) -> list[float | None]:
    """Six digits are plenty for a picture; what is not finite is left out."""
    return [float(f"{float(v):.6g}") if math.isfinite(float(v)) else None for v in values]
