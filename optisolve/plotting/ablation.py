"""The pictures of an ablation: final values with intervals, and curves over evaluations and over what was spent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.plotting.style import ACCENT, INK, MUTED, PALETTE, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["ArmLine", "ArmRow", "curves_figure", "final_figure", "spending_figure"]

_CONTROL_COLORS = (*PALETTE[:1], *PALETTE[2:])
"""The accent is the language model's own."""
_STYLES = ("-", "--", ":")


class Interval(Protocol):
    """A mean of `n` independent observations; `low` and `high` are NaN where no interval is given."""

    @property
    def mean(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...
    @property
    def n(self) -> int: ...


@dataclass(frozen=True, slots=True, eq=False)
class ArmRow:
    """Final values of one arm.

    Attributes:
        label: Name for people.
        values: float64 [n], one per pair.
        found: Their mean, with its interval where there are enough pairs.
        note: Comparison with the language model, short; "" for the model itself.
        asks_llm: It asks the language model.
    """

    label: str
    values: FloatArray
    found: Interval
    note: str
    asks_llm: bool


@dataclass(frozen=True, slots=True, eq=False)
class ArmLine:
    """Curve of one arm.

    Attributes:
        label: Name for people.
        x: float64 [k].
        mean: float64 [k].
        low: float64 [k], lower end of what is drawn as a band.
        high: float64 [k], its upper end.
        asks_llm: It asks the language model.
    """

    label: str
    x: FloatArray
    mean: FloatArray
    low: FloatArray
    high: FloatArray
    asks_llm: bool


def final_figure(rows: Sequence[ArmRow], measure: str, where: str, *, maximize: bool) -> Figure:
    """Mean of every arm, with its interval where there is one, above its single runs, best on top.

    Args:
        rows: The arms.
        measure: Label of the value axis.
        where: Scenario and budget, for the subtitle.
        maximize: Larger is better.
    """
    order = sorted(rows, key=lambda row: row.found.mean, reverse=not maximize)
    figure, axes = new_figure("What each operator reached", where, width=9.0, height=1.9 + 0.42 * len(rows))
    for i, row in enumerate(order):
        color = ACCENT if row.asks_llm else INK
        axes.plot(row.values, np.full(row.values.size, i - 0.22), "|", color=color, alpha=0.35, markersize=5)
        if np.isfinite(row.found.low):
            axes.plot((row.found.low, row.found.high), (i, i), color=color, linewidth=2.2, solid_capstyle="round")
        axes.plot(row.found.mean, i, "o", color=color, markersize=6)
        axes.annotate(
            f"{row.found.mean:.4f}   {row.note}  ",
            (1.0, i),
            xycoords=("axes fraction", "data"),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            color=color,
            annotation_clip=False,
        )
    axes.set_yticks(range(len(order)), [row.label for row in order], color=INK)
    for tick, row in zip(axes.get_yticklabels(), order, strict=True):
        tick.set_color(ACCENT if row.asks_llm else INK)
    axes.set_ylim(-0.7, len(order) - 0.4)
    n = max((row.found.n for row in rows), default=0)
    line = "line: its 95 % interval, " if any(np.isfinite(row.found.low) for row in rows) else ""
    told = f"dot: mean of {n} pairs, {line}ticks: single runs; p (Holm) and A12: llm against the arm"
    axes.set_xlabel(f"{measure}, {'larger' if maximize else 'smaller'} is better", color=INK)
    figure.supxlabel(told, x=0.99, ha="right", fontsize=8, color=MUTED)
    axes.grid(visible=False, axis="y")
    return figure


def curves_figure(lines: Sequence[ArmLine], measure: str, where: str, first: int, band: str) -> Figure:
    """Mean curves over evaluations; the language model's with its band.

    Args:
        lines: The arms.
        measure: Label of the value axis.
        where: Scenario and budget, for the subtitle.
        first: Evaluations of the first population, where the arms part; the curves begin there.
        band: What the band is, in words.
    """
    figure, axes = new_figure("Progress over evaluations", where, width=9.0)
    for line, (color, style, width) in zip(lines, _looks([line.asks_llm for line in lines]), strict=True):
        _draw(axes, line, color, style, width, start=first)
    axes.set_xlabel("evaluations", color=INK)
    axes.set_ylabel(measure, color=INK)
    _legend(axes)
    figure.supxlabel(f"band: {band}", x=0.99, ha="right", fontsize=8, color=MUTED)
    return figure


def spending_figure(
    lines: Sequence[ArmLine], finals: Mapping[str, float], measure: str, where: str, spent: str, band: str
) -> Figure:
    """Mean curves over what was spent on the language model; what the controls reached at no cost as lines.

    Args:
        lines: The arms that ask the language model.
        finals: Final mean of every control by label.
        measure: Label of the value axis.
        where: Scenario and budget, for the subtitle.
        spent: What is on the horizontal axis, e.g. ``"tokens"``.
        band: What the band is, in words.
    """
    figure, axes = new_figure(f"Progress over {spent}", where, width=9.0)
    for line, (color, style, width) in zip(lines, _looks([True] * len(lines)), strict=True):
        _draw(axes, line, color, style, width, start=0)
    for (label, value), (color, style, _) in zip(finals.items(), _looks([False] * len(finals)), strict=True):
        axes.axhline(value, color=color, linestyle=":" if style == "-" else "-.", linewidth=1.5, label=f"{label} (0 {spent})")
    axes.set_xlabel(f"{spent} per run", color=INK)
    axes.set_ylabel(measure, color=INK)
    axes.set_xlim(left=0)
    _legend(axes)
    figure.supxlabel(f"band: {band}", x=0.99, ha="right", fontsize=8, color=MUTED)
    return figure


def _looks(asks_llm: Sequence[bool]) -> list[tuple[str, str, float]]:
    """Color, line style and width of every arm: the model's in the accent, the controls' in turn."""
    looks, models, controls = [], 0, 0
    for asks in asks_llm:
        if asks:
            looks.append((ACCENT, _STYLES[models % len(_STYLES)], 2.4))
            models += 1
        else:
            n = len(_CONTROL_COLORS)
            looks.append((_CONTROL_COLORS[controls % n], _STYLES[controls // n % len(_STYLES)], 1.5))
            controls += 1
    return looks


def _draw(axes: Axes, line: ArmLine, color: str, style: str, width: float, *, start: float) -> None:
    show = (line.x >= start) & np.isfinite(line.mean)
    x = line.x[show]
    if line.asks_llm and style == "-":
        axes.fill_between(x, line.low[show], line.high[show], step="post", color=color, alpha=0.15, linewidth=0)
    axes.step(x, line.mean[show], where="post", color=color, linestyle=style, linewidth=width, label=line.label)


def _legend(axes: Axes) -> None:
    axes.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5), labelcolor=INK)
    axes.tick_params(colors=MUTED)
