"""The picture of an ablation: final losses of its arms, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.plotting.style import ACCENT, INK, MUTED, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["ArmRow", "final_figure"]


class ArmRow(NamedTuple):
    """Final losses of one arm.

    Attributes:
        label: Name for people.
        asks_llm: It asks the language model.
        values: float64 [n], one per pair.
        mean: Their mean.
        low: Lower end of its interval; NaN where none is given.
        high: Upper end.
        note: Comparison with the language model, short; "" for the model itself.
    """

    label: str
    asks_llm: bool
    values: FloatArray
    mean: float
    low: float
    high: float
    note: str


def final_figure(rows: Sequence[ArmRow], where: str) -> Figure:
    """Mean loss of every arm, with its interval where there is one, above its single runs, best on top.

    Args:
        rows: The arms.
        where: Scenario and budget, for the subtitle.
    """
    order = sorted(rows, key=lambda row: row.mean, reverse=True)
    figure, axes = new_figure("What each arm reached", where, width=9.0, height=1.9 + 0.42 * len(rows))
    for i, row in enumerate(order):
        color = ACCENT if row.asks_llm else INK
        axes.plot(row.values, np.full(row.values.size, i - 0.22), "|", color=color, alpha=0.35, markersize=5)
        if np.isfinite(row.low):
            axes.plot((row.low, row.high), (i, i), color=color, linewidth=2.2, solid_capstyle="round")
        axes.plot(row.mean, i, "o", color=color, markersize=6)
        axes.annotate(
            f"{row.mean:.4f}   {row.note}  ",
            (1.0, i),
            xycoords=("axes fraction", "data"),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            color=color,
            annotation_clip=False,
        )
    axes.set_yticks(range(len(order)), [row.label for row in order])
    for tick, row in zip(axes.get_yticklabels(), order, strict=True):
        tick.set_color(ACCENT if row.asks_llm else INK)
    axes.set_ylim(-0.7, len(order) - 0.4)
    n = max((row.values.size for row in rows), default=0)
    line = "line: its 95 % interval, " if any(np.isfinite(row.low) for row in rows) else ""
    axes.set_xlabel("loss, smaller is better", color=INK)
    told = f"dot: mean of {n} pairs, {line}ticks: single runs; p (Holm) and A12: llm against the arm"
    figure.supxlabel(told, x=0.99, ha="right", fontsize=8, color=MUTED)
    axes.grid(visible=False, axis="y")
    return figure
