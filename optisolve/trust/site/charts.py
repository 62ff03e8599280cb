"""Interactive charts as plain data: traces for plotly.js; colors and fonts come from the page's theme."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from optisolve.run.schema import ObjectivePart, Record
from optisolve.study.units import Outcome

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Chart", "progress_chart", "record_charts", "score_chart"]

Chart = dict[str, Any]
"""``{"id", "title", "alt", "x", "y", "traces", ...}``; every trace has ``name``, ``x``, ``y`` and the index of its color."""


def score_chart(scenario: str, units: pd.DataFrame, label: str, colors: Mapping[str, int]) -> Chart:
    """Every run's score by solver, failures left out and counted in the text.

    Args:
        scenario: Which one.
        units: Rows of `optisolve.study.units.Units.frame`.
        label: What the score is.
        colors: Color index of every solver.
    """
    own = units[(units["scenario"] == scenario) & (units["outcome"] == Outcome.OK)]
    traces = [
        {"name": _words(solver), "color": colors[str(solver)], "y": _numbers(rows["value"]), "kind": "box"}
        for solver, rows in own.groupby("solver", sort=True)
    ]
    failed = int(
        (units[units["scenario"] == scenario]["outcome"].isin([Outcome.FAILED, Outcome.INFEASIBLE, Outcome.MISSING])).sum()
    )
    alt = f"{label} of every run on {scenario} by solver; {failed} runs without a feasible answer are not drawn."
    return {"id": "scores", "title": "Scores of all runs", "alt": alt, "x": "", "y": _words(label), "traces": traces}


def progress_chart(scenario: str, units: pd.DataFrame, colors: Mapping[str, int]) -> Chart | None:
    """Mean best value after so many evaluations, by solver; None when no run has a curve.

    Args:
        scenario: Which one.
        units: Rows of `optisolve.study.units.Units.frame`.
        colors: Color index of every solver.
    """
    own = units[(units["scenario"] == scenario) & (units["outcome"] == Outcome.OK)]
    traces = []
    for solver, rows in own.groupby("solver", sort=True):
        curves = [[row for row in record.trace if row[2] is not None] for record in rows["record"]]
        curves = [curve for curve in curves if len(curve) > 1]
        if not curves:
            continue
        last = min(int(curve[-1][0]) for curve in curves)
        first = max(int(curve[0][0]) for curve in curves)
        if first >= last:
            continue
        at = np.unique(np.rint(np.geomspace(first, last, 40)).astype(int))
        values = [_at(curve, at) for curve in curves]
        traces.append(
            {
                "name": _words(solver),
                "color": colors[str(solver)],
                "x": at.tolist(),
                "y": _numbers(np.mean(values, axis=0)),
                "kind": "line",
            }
        )
    if not traces:
        return None
    objectives = own["record"].iloc[0].verified.objectives
    value = "hypervolume" if len(objectives) > 1 else objectives[0].name
    alt = f"Mean {value} on {scenario} against evaluations, one line per solver."
    return {
        "id": "progress",
        "title": "Progress",
        "alt": alt,
        "x": "evaluations",
        "y": _words(f"mean {value}"),
        "log_x": True,
        "traces": traces,
    }


def record_charts(record: Record) -> list[Chart]:
    """The front and the anytime curve of one record."""
    found: list[Chart] = []
    objectives = record.verified.objectives
    points = [F for F, ok in zip(record.verified.F, record.verified.feasible, strict=True) if ok]
    if len(objectives) > 1 and points:
        first, second = objectives[0], objectives[1]
        trace = {
            "name": "verified points",
            "color": 0,
            "x": _numbers(F[0] for F in points),
            "y": _numbers(F[1] for F in points),
        }
        alt = f"{len(points)} verified points: {second.name} against {first.name}."
        found.append(
            {
                "id": "front",
                "title": "Verified front",
                "alt": alt,
                "x": _axis(first),
                "y": _axis(second),
                "traces": [{**trace, "kind": "points"}],
            }
        )
    curve = [row for row in record.trace if row[2] is not None]
    if len(curve) > 1:
        value = "hypervolume" if len(objectives) > 1 else objectives[0].name
        trace = {"name": _words(value), "color": 0, "x": [row[0] for row in curve], "y": _numbers(row[2] for row in curve)}
        found.append(
            {
                "id": "trace",
                "title": "Progress",
                "alt": f"{value} against evaluations.",
                "x": "evaluations",
                "y": _words(value),
                "log_x": True,
                "traces": [{**trace, "kind": "line"}],
            }
        )
    return found


def _axis(objective: ObjectivePart) -> str:
    unit = f"{objective.unit}, " if objective.unit else ""
    return _words(f"{objective.name} ({unit}{objective.sense})")


def _words(text: object) -> str:
    """Text for plotly, which draws links and other tags where it finds them."""
    return html.escape(str(text), quote=False)


def _at(curve: Sequence[Sequence[Any]], at: Sequence[int] | np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Values of a step curve at evaluation counts."""
    counts = np.array([row[0] for row in curve])
    values = np.array([row[2] for row in curve], dtype=np.float64)
    return values[np.maximum(np.searchsorted(counts, at, side="right") - 1, 0)]


def _numbers(values: Any) -> list[float | None]:
    """Six digits are plenty for a picture; what is not finite is left out."""
    return [float(f"{float(v):.6g}") if math.isfinite(float(v)) else None for v in values]
