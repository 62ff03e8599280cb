"""Curves of a comparison: ECDF over targets, data profiles, performance profiles, progress with quartiles.

Each function draws a table of `optisolve.study.profiles`; none computes anything.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.plotting.legend import place_legend
from optisolve.plotting.style import INK, MUTED, Look, characters, label_axes, looks_of, new_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

__all__ = [
    "SMALLEST_DRAWN",
    "anytime_figure",
    "budget_figure",
    "data_profile_figure",
    "ecdf_figure",
    "performance_profile_figure",
]

SMALLEST_DRAWN = 1e-6
"""Losses below this, the tightest of the targets, are drawn at it: the axis is logarithmic and a proven optimum has gap 0."""

_LEGEND_CHARACTERS = 58
"""Characters that fit beside each other below a figure."""

_SIZE = {"width": 5.0, "height": 3.9}
"""Inches; narrow, so that text stays readable on a phone and in one column of a paper."""


def ecdf_figure(data: pd.DataFrame, *, last: float, subtitle: str = "") -> Figure:
    """Share of (run, target) pairs over evaluations.

    Args:
        data: From `optisolve.study.profiles.ecdf_data`.
        last: Evaluations of the budget, where the axis ends.
        subtitle: Which runs.
    """
    axes = ("Evaluations", "Share of pairs of run and target reached")
    return _profile(data, column="evaluations", last=last, axes=axes, subtitle=subtitle)


def data_profile_figure(data: pd.DataFrame, *, last: float, subtitle: str = "") -> Figure:
    """Share of runs within a target over simplex gradients; arguments as in `ecdf_figure`."""
    axes = ("Simplex gradients: evaluations / (dimension + 1)", "Share of runs within the target")
    return _profile(data, column="gradients", last=last, axes=axes, subtitle=subtitle)


def performance_profile_figure(data: pd.DataFrame, *, subtitle: str = "") -> Figure:
    """Share of problems within a factor of the best solver's expected evaluations; arguments as in `ecdf_figure`."""
    last = max(2.0, float(data["ratio"].max()) * 1.1) if len(data) else 2.0
    axes = ("Factor to the fewest expected evaluations", "Share of pairs of instance and target")
    return _profile(data, column="ratio", last=last, axes=axes, subtitle=subtitle)


def anytime_figure(
    data: pd.DataFrame,
    *,
    measure: str,
    subtitle: str = "",
    axis: str = "evaluations",
    looks: Mapping[str, Look] | None = None,
) -> Figure:
    """Median over evaluations with the quartiles as a band.

    Args:
        data: From `optisolve.study.profiles.anytime_data`.
        measure: Label of the value axis.
        subtitle: Which runs.
        axis: What stands in the place of evaluations.
        looks: Of the solvers; None takes those of the plot in their order.
    """
    figure, axes = new_figure("", subtitle, **_SIZE)
    looks = _looks(data) if looks is None else looks
    for name, own in data.groupby("solver", sort=True):
        look = looks[str(name)]
        at = own["evaluations"].to_numpy(dtype=np.float64)
        losses = own[["low", "median", "high"]].to_numpy(dtype=np.float64)
        low, middle, high = np.maximum(losses, SMALLEST_DRAWN).T
        style = {**look.marks(4.0), "linestyle": look.dashes, "linewidth": 1.5, "markevery": _every(at)}
        axes.step(at, middle, where="post", label=str(name), **style)
        axes.fill_between(at, low, high, step="post", color=look.color, alpha=0.12, linewidth=0)
    axes.set_xscale("log")
    axes.set_yscale("log")
    _name(axes, axis[:1].upper() + axis[1:], measure)
    _legend(figure, axes)
    return figure


def budget_figure(data: pd.DataFrame, *, measure: str, subtitle: str = "", width: float = 7.0) -> Figure:
    """What runs of different budgets reached: a mark per budget, lines that only lead the eye, a band of quartiles.

    Args:
        data: ``solver``, ``evaluations`` (of the budget), ``low``, ``median``, ``high``; solvers in the legend's order.
        measure: Label of the value axis; larger is better.
        subtitle: Which runs.
        width: inches.
    """
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    figure, axes = new_figure("", subtitle, width=width, height=0.62 * width)
    looks = looks_of(map(str, data["solver"].unique()))
    for name, look in looks.items():
        own = data[data["solver"] == name].sort_values("evaluations")
        at, low, middle, high = own[["evaluations", "low", "median", "high"]].to_numpy(dtype=np.float64).T
        axes.fill_between(at, low, high, color=look.color, alpha=0.1, linewidth=0, zorder=1)
        axes.plot(at, middle, linestyle=look.dashes, linewidth=1.5, label=name, zorder=3, **look.marks(4.5))
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(sorted(set(data["evaluations"].astype(float)))))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    label_axes(axes, x="Budget of a run, evaluations", y=measure)
    place_legend(axes, outside=True)
    return figure


def _looks(data: pd.DataFrame) -> dict[str, Look]:
    """Assigned within the plot, so that no two of twelve curves share a color."""
    return looks_of(sorted(map(str, data["solver"].unique())))


def _name(axes: Axes, x: str, y: str) -> None:
    """Words at the axes, in as many lines as they need above the legend."""
    label_axes(axes, x=x, y="\n".join(textwrap.wrap(y, characters(axes, 0.6 * _SIZE["height"]))))


def _every(at: FloatArray) -> int:
    """Points from marker to marker."""
    return max(1, len(at) // 6)


def _profile(data: pd.DataFrame, *, column: str, last: float, axes: tuple[str, str], subtitle: str) -> Figure:
    (xlabel, ylabel), looks = axes, _looks(data)
    figure, drawn = new_figure("", subtitle, **_SIZE)
    smallest = data.loc[data[column] > 0, column].min() if len(data) else 1.0
    left = float(smallest) if np.isfinite(smallest) else 1.0
    for name, own in data.groupby("solver", sort=True):
        look = looks[str(name)]
        at, share = own[column].to_numpy(dtype=np.float64), own["share"].to_numpy(dtype=np.float64)
        at, share = np.append(np.maximum(at, left), max(last, at[-1])), np.append(share, share[-1])
        style = {**look.marks(4.0), "linestyle": look.dashes, "linewidth": 1.5, "markevery": _every(at)}
        drawn.step(at, share, where="post", label=str(name), **style)
        drawn.plot(at[-1:], share[-1:], clip_on=False, **look.marks(4.0))
    drawn.set_xscale("log")
    drawn.set_xlim(left, max(last, left * 2))
    drawn.set_ylim(-0.02, 1.02)
    _name(drawn, xlabel, ylabel)
    _legend(figure, drawn)
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
