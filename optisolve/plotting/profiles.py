"""Curves of a comparison: ECDF over targets, data profiles, performance profiles, progress with quartiles.

Each function draws a table of `optisolve.study.profiles`; none computes anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from optisolve.plotting.figures import INK, MUTED, PALETTE, new_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

__all__ = [
    "SMALLEST_DRAWN",
    "Stroke",
    "anytime_figure",
    "data_profile_figure",
    "ecdf_figure",
    "performance_profile_figure",
    "strokes",
]

_DASHES = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)))
SMALLEST_DRAWN = 1e-6
"""Losses below this, the tightest of the targets, are drawn at it: the axis is logarithmic and a proven optimum has gap 0."""

_LEGEND_CHARACTERS = 58
"""Characters that fit beside each other below a figure."""

_SIZE = {"width": 5.0, "height": 3.9}
"""Inches; narrow, so that text stays readable on a phone and in one column of a paper."""


@dataclass(frozen=True, slots=True)
class Stroke:
    """How one solver is drawn, in every picture of a report.

    Attributes:
        color: Hexadecimal.
        dashes: A matplotlib line style, so that color is never the only difference beyond seven solvers.
    """

    color: str
    dashes: str | tuple[int, tuple[float, ...]]


def strokes(solvers: Sequence[str]) -> dict[str, Stroke]:
    """One stroke per solver: seven colors, then the same colors with other dashes.

    Args:
        solvers: All solvers of a report, so that each looks the same in every picture.
    """
    return {
        name: Stroke(PALETTE[i % len(PALETTE)], _DASHES[i // len(PALETTE) % len(_DASHES)]) for i, name in enumerate(solvers)
    }


def ecdf_figure(data: pd.DataFrame, looks: Mapping[str, Stroke], *, last: float, subtitle: str = "") -> Figure:
    """Share of (run, target) pairs over evaluations.

    Args:
        data: From `optisolve.study.profiles.ecdf_data`.
        looks: From `strokes`.
        last: Evaluations of the budget, where the axis ends.
        subtitle: Which runs.
    """
    return _profile(data, looks, column="evaluations", last=last, xlabel="evaluations", subtitle=subtitle)


def data_profile_figure(data: pd.DataFrame, looks: Mapping[str, Stroke], *, last: float, subtitle: str = "") -> Figure:
    """Share of runs within a target over simplex gradients; arguments as in `ecdf_figure`."""
    label = "simplex gradients: evaluations / (dimension + 1)"
    return _profile(data, looks, column="gradients", last=last, xlabel=label, subtitle=subtitle)


def performance_profile_figure(data: pd.DataFrame, looks: Mapping[str, Stroke], *, subtitle: str = "") -> Figure:
    """Share of problems within a factor of the best solver's expected evaluations; arguments as in `ecdf_figure`."""
    last = max(2.0, float(data["ratio"].max()) * 1.1) if len(data) else 2.0
    return _profile(
        data, looks, column="ratio", last=last, xlabel="factor to the fewest expected evaluations", subtitle=subtitle
    )


def anytime_figure(
    data: pd.DataFrame, looks: Mapping[str, Stroke], *, measure: str, subtitle: str = "", axis: str = "evaluations"
) -> Figure:
    """Median over evaluations with the quartiles as a band.

    Args:
        data: From `optisolve.study.profiles.anytime_data`.
        looks: From `strokes`.
        measure: Label of the value axis.
        subtitle: Which runs.
        axis: What stands in the place of evaluations.
    """
    figure, axes = new_figure("", subtitle, **_SIZE)
    for name, own in data.groupby("solver", sort=True):
        look = looks[str(name)]
        at = own["evaluations"].to_numpy(dtype=np.float64)
        losses = own[["low", "median", "high"]].to_numpy(dtype=np.float64)
        low, middle, high = np.maximum(losses, SMALLEST_DRAWN).T
        axes.step(at, middle, where="post", color=look.color, linestyle=look.dashes, linewidth=1.8, label=str(name))
        axes.fill_between(at, low, high, step="post", color=look.color, alpha=0.12, linewidth=0)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel(axis, color=INK)
    axes.set_ylabel(measure, color=INK)
    _legend(figure, axes)
    return figure


def _profile(
    data: pd.DataFrame, looks: Mapping[str, Stroke], *, column: str, last: float, xlabel: str, subtitle: str
) -> Figure:
    figure, axes = new_figure("", subtitle, **_SIZE)
    smallest = data.loc[data[column] > 0, column].min() if len(data) else 1.0
    left = float(smallest) if np.isfinite(smallest) else 1.0
    for name, own in data.groupby("solver", sort=True):
        look = looks[str(name)]
        at, share = own[column].to_numpy(dtype=np.float64), own["share"].to_numpy(dtype=np.float64)
        at, share = np.append(np.maximum(at, left), max(last, at[-1])), np.append(share, share[-1])
        axes.step(at, share, where="post", color=look.color, linestyle=look.dashes, linewidth=1.8, label=str(name))
        axes.plot(at[-1:], share[-1:], color=look.color, marker="o", markersize=4, clip_on=False)
    axes.set_xscale("log")
    axes.set_xlim(left, max(last, left * 2))
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel(xlabel, color=INK)
    axes.set_ylabel("share", color=INK)
    _legend(figure, axes)
    return figure


def _plain_ticks(axis: Axis) -> None:
    """Numbers instead of powers with exponents: quick to lay out, and text for who selects or hears them."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = sorted(axis.get_view_interval())
    axis.set_major_locator(LogLocator(subs=(1.0,) if high >= 100.0 * low else (1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}".replace("e-0", "e-").replace("e+0", "e")))
    axis.set_minor_formatter(NullFormatter())


def _legend(figure: Figure, axes: Axes) -> None:
    for axis in (axes.xaxis, axes.yaxis):
        if axis.get_scale() == "log":
            _plain_ticks(axis)
    handles, labels = axes.get_legend_handles_labels()
    if not labels:
        axes.text(0.5, 0.5, "nothing to draw", transform=axes.transAxes, ha="center", va="center", color=MUTED)
        return
    columns = max(1, min(len(labels), _LEGEND_CHARACTERS // (max(len(label) for label in labels) + 8)))
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False, fontsize=9, labelcolor=INK)
