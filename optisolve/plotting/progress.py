"""The picture of a search: best value or hypervolume over evaluations, with bands over seeds and lines for what is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from optisolve.core.arrays import FloatArray
from optisolve.plotting.legend import place_labels, place_legend
from optisolve.plotting.series import Series, Setting, Shot, measure_text, number, seeds_text
from optisolve.plotting.style import (
    MUTED,
    Dashes,
    Look,
    ink_of,
    label_axes,
    looks_of,
    no_offset,
    room_for_words,
    text_size,
)

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

__all__ = ["draw_convergence"]

_QUARTILES_FROM = 5
"""Seeds from which a band shows quartiles; below, the smallest and the largest value."""
_LATE = 0.15
"""Share of the (logarithmic) axis at its beginning whose values do not stretch the other axis."""
_FLAT = 1e-6
"""Range of values, relative to their size, below which a curve is flat."""
_FEW = 12
"""Evaluations below which their axis is linear."""
_DECADES = 1e3
"""Ratio of values from which their axis is logarithmic."""
_REACH = 0.6
"""How far, in ranges of the curves, a bound may lie and still be drawn."""
_MARK_STYLES: tuple[Dashes, ...] = ((0, (6, 3)), (0, (1, 1.5)))


def draw_convergence(axes: Axes, series: Sequence[Series], setting: Setting) -> list[str]:
    """Curves over evaluations, log-scaled, the axis of values cut to what the curves do.

    Args:
        axes: Where.
        series: Several runs of one become a line at their median and a band.
        setting: Names the value, and what it is compared with.

    Returns:
        What is not drawn and why.
    """
    looks = looks_of(s.label for s in series)
    curves = {s.label: [_known(shot) for shot in s.shots] for s in series}
    last = max((at[-1] for runs in curves.values() for at, _ in runs if at.size), default=1.0)
    handles: list[Artist] = [_draw(axes, s, curves[s.label], looks[s.label], setting, last) for s in series]
    known = [float(value.max()) for runs in curves.values() for _, value in runs if value.size]
    if not known:
        axes.text(0.5, 0.5, "no feasible point", transform=axes.transAxes, ha="center", va="center", color=MUTED)
    _evaluations_axis(axes, last)
    marks = setting.marks()
    low, high = _limits(curves, marks, setting, last)
    if _logarithmic(setting, low, high):
        axes.set_yscale("log")
    axes.set_ylim(low, high)
    if setting.several and known and not max(known):
        told = "no point inside of the scoring box"
        axes.text(0.5, 0.5, told, transform=axes.transAxes, ha="center", va="center", color=MUTED, fontsize=text_size(axes, 1))
    handles += _marks(axes, marks, low, high)
    _, up = room_for_words(axes)
    label_axes(axes, x="Evaluations", y=measure_text(setting, width=up))
    no_offset(axes.yaxis)
    _name_points(axes, curves)
    place_legend(axes, handles, title=_title(series, handles))
    return [f"{s.label}: no feasible point" for s in series if all(not at.size for at, _ in curves[s.label])]


def _known(shot: Shot) -> tuple[FloatArray, FloatArray]:
    """The curve from the first feasible point on."""
    keep = np.isfinite(shot.value)
    return shot.at[keep].astype(np.float64), shot.value[keep].astype(np.float64)


def _draw(
    axes: Axes, series: Series, runs: list[tuple[FloatArray, FloatArray]], look: Look, setting: Setting, last: float
) -> Line2D:
    """One series; returns what stands for it in the legend."""
    label = series.label if any(at.size for at, _ in runs) else f"{series.label} (no feasible point)"
    shown = Line2D([], [], color=look.color, linestyle=look.dashes, linewidth=1.4, label=label)
    if len(runs) == 1:
        at, value = runs[0]
    else:
        at, low, value, high = _band(runs, setting)
        axes.fill_between(at, low, high, step="post", color=look.color, alpha=0.16, linewidth=0, zorder=1)
    if not at.size:
        return shown
    if np.isfinite(value).sum() == 1 or at.size == 1:  # a value and not a curve
        axes.plot(at, value, linestyle="none", zorder=4, **look.marks(5.0))
        axes.plot([at[0], last], [value[0]] * 2, color=look.color, linestyle=(0, (1, 1.5)), linewidth=1.0, zorder=2)
        return Line2D([], [], linestyle="none", label=label, **look.marks(5.0))
    x, y = _stairs(at, value)
    axes.plot(x, y, color=look.color, linestyle=look.dashes, linewidth=1.4, zorder=3)
    if at[-1] < last:  # it stopped early: what it had still stands
        axes.plot(at[-1:], value[-1:], linestyle="none", zorder=4, **look.marks(4.0))
        axes.plot([at[-1], last], [value[-1]] * 2, color=look.color, linestyle=(0, (1, 1.5)), linewidth=1.0, zorder=2)
    marked = _marked(at, last, look)
    axes.plot(marked, value[np.searchsorted(at, marked, side="right") - 1], linestyle="none", zorder=4, **look.marks(4.0))
    return Line2D([], [], linestyle=look.dashes, linewidth=1.4, label=label, **look.marks(4.0))


def _stairs(at: FloatArray, value: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The corners of a step curve."""
    return np.repeat(at, 2)[1:], np.repeat(value, 2)[:-1]


def _marked(at: FloatArray, last: float, look: Look) -> FloatArray:
    """Where a curve carries its marker: a few places that differ from curve to curve."""
    from optisolve.plotting.style import MARKERS

    shift = MARKERS.index(look.marker) / len(MARKERS)
    if last < _FEW:
        return at
    places = np.exp(np.log(last) * (np.arange(1, 6) + shift) / 6.2)
    kept: FloatArray = places[(places >= at[0]) & (places <= at[-1])]
    return kept


def _band(
    runs: Sequence[tuple[FloatArray, FloatArray]], setting: Setting
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Evaluations, lower edge, median and upper edge over runs; a run without a feasible point yet counts as worst."""
    at = np.unique(np.concatenate([own for own, _ in runs]))
    if not at.size:
        return (at,) * 4
    sign = -1.0 if setting.larger_is_better else 1.0
    table = np.full((len(runs), at.size), np.inf)  # [runs, t], minimization form
    for row, (own, value) in zip(table, runs, strict=True):
        if own.size:
            index = np.searchsorted(own, at, side="right") - 1
            row[index >= 0] = sign * value[index[index >= 0]]
    shares = (0.25, 0.5, 0.75) if len(runs) >= _QUARTILES_FROM else (0.0, 0.5, 1.0)
    with np.errstate(invalid="ignore"):
        low, middle, high = np.quantile(table, shares, axis=0)
    keep = np.isfinite(middle)
    edges = [np.where(np.isfinite(edge), edge, middle)[keep] * sign for edge in (low, middle, high)]
    return at[keep], edges[0], edges[1], edges[2]


def _title(series: Sequence[Series], handles: list[Artist]) -> str:
    """Says what lines and bands are; adds a patch that stands for the bands."""
    many = seeds_text(series)
    if not many:
        return ""
    counts = {s.seeds for s in series if s.seeds > 1}
    small, large = any(n < _QUARTILES_FROM for n in counts), any(n >= _QUARTILES_FROM for n in counts)
    told = " or ".join(["quartiles"] * large + ["smallest to largest"] * small)
    handles.append(Patch(facecolor=MUTED, alpha=0.25, label=told))
    return f"median of {many}"


def _evaluations_axis(axes: Axes, last: float) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter

    if last < _FEW:
        axes.set_xlim(0.5, last + 0.5)
        axes.xaxis.set_major_locator(FixedLocator(np.arange(1.0, last + 1.0).tolist()))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        return
    axes.set_xscale("log")
    axes.set_xlim(0.9, last * 1.12)
    axes.xaxis.set_major_locator(LogLocator(numticks=9))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _limits(
    curves: dict[str, list[tuple[FloatArray, FloatArray]]], marks: dict[str, float], setting: Setting, last: float
) -> tuple[float, float]:
    """Where the axis of values begins and ends: the early climb is cut, best values and what is known stay inside."""
    late = np.exp(_LATE * np.log(max(last, 2.0)))
    seen = []
    for at, value in (run for runs in curves.values() for run in runs if run[0].size):
        begin = int(np.searchsorted(at, late, side="right")) - 1
        seen.append(value[max(begin, 0) :])
    values = np.concatenate(seen) if seen else np.array(list(marks.values()) or [0.0, 1.0])
    low, high = float(values.min()), float(values.max())
    for words, mark in marks.items():
        reach = np.inf if words != "proven bound" else _REACH * max(high - low, 1e-3 * abs(mark))
        if low - reach <= mark <= high + reach:
            low, high = min(low, mark), max(high, mark)
    size = max(abs(low), abs(high))
    if setting.several and size == 0.0:
        return -0.02, 1.0
    if high - low <= _FLAT * size or high == low:
        pad = 0.01 * size or 0.5
    elif _logarithmic(setting, low, high):
        return low / 1.3, high * 1.3
    else:
        pad = 0.06 * (high - low)
    return low - pad, high + pad


def _logarithmic(setting: Setting, low: float, high: float) -> bool:
    return not setting.several and not setting.objectives[0].interval and low > 0.0 and high > _DECADES * low


def _marks(axes: Axes, marks: dict[str, float], low: float, high: float) -> list[Artist]:
    """Lines for optimum, best known value and bound; what lies beyond the axes is told in the legend."""
    handles: list[Artist] = []
    for (words, value), dashes in zip(marks.items(), _MARK_STYLES, strict=False):
        label = f"{words} {number(value)}"
        if low <= value <= high:
            axes.axhline(value, color=ink_of(axes), linestyle=dashes, linewidth=1.0, zorder=2)
            handles.append(Line2D([], [], color=ink_of(axes), linestyle=dashes, linewidth=1.0, label=label))
        else:
            side = "above" if value > high else "below"
            handles.append(Line2D([], [], linestyle="none", label=f"{label}, {side} the axes"))
    return handles


def _name_points(axes: Axes, curves: dict[str, list[tuple[FloatArray, FloatArray]]]) -> None:
    """Where all there is to see are single values, they are written beside their markers."""
    single = [(at[0], value[0]) for runs in curves.values() for at, value in runs if at.size == 1]
    drawn = [at for runs in curves.values() for at, _ in runs if at.size]
    if single and len(single) == len(drawn) and len(single) <= 3:
        points = np.array(single)
        words = [f"{number(y)} after {x:,.0f} evaluation{'' if x == 1 else 's'}" for x, y in single]
        place_labels(axes, points, words)
