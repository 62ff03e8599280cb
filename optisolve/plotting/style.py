"""One look for all figures: a color-blind safe palette, quiet axes, no chart junk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation, Transform

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ACCENT", "GRID", "INK", "MARKERS", "MUTED", "PALETTE", "new_figure"]

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F")
"""Okabe and Ito's palette, distinguishable with the common color-vision deficiencies."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
INK, MUTED, GRID, ACCENT = "#222222", "#666666", "#E3E3E3", "#D55E00"


def new_figure(title: str, subtitle: str = "", *, width: float = 7.0, height: float = 5.0) -> tuple[Figure, Axes]:
    """A figure with one pair of styled axes.

    Args:
        title: What is shown, left-aligned.
        subtitle: Scenario, seed and the like, smaller.
        width: inches.
        height: inches.
    """
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_axisbelow(True)
    axes.grid(color=GRID, linewidth=0.8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(MUTED)
    axes.tick_params(colors=MUTED, labelsize=9)
    axes.set_title(title, loc="left", fontsize=12, color=INK, pad=22 if subtitle else 8)
    axes.text(0.0, 1.0, subtitle, transform=axes.transAxes + _up(figure), fontsize=9, color=MUTED, va="bottom")
    return figure, axes


def _up(figure: Figure) -> Transform:
    """Six points above the axes, where the subtitle stands."""
    return ScaledTranslation(0.0, 6.0 / 72.0, figure.dpi_scale_trans)
