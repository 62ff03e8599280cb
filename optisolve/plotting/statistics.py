"""Pictures of statistics: the critical-difference diagram."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from optisolve.plotting.style import INK, MUTED

__all__ = ["critical_difference_figure"]

_WIDTH = 5.0
"""Inches, as in the other figures of a report."""

_LONGEST = 20
"""Characters of a name in the margin of a diagram."""


def critical_difference_figure(average_ranks: Mapping[str, float], groups: Sequence[Sequence[str]]) -> Figure:
    """Average ranks on a line, best on the left; a bar joins solvers that do not differ significantly.

    Args:
        average_ranks: By solver, 1 is best.
        groups: From `optisolve.study.statistics.cliques`.

    Source:
        Demšar 2006, JMLR 7 (the diagram); the bars are those of Wilcoxon tests with Holm's correction.
    """
    names = sorted(average_ranks, key=lambda name: (average_ranks[name], name))
    k = len(names)
    half = (k + 1) // 2
    first_name = 0.55 + 0.28 * len(groups)  # depth below the axis, inches, where the names begin
    height = 0.55 + first_name + 0.27 * half
    figure = Figure(figsize=(_WIDTH, height), facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    axes.set_xlim(0.0, _WIDTH)
    axes.set_ylim(first_name + 0.27 * half, -0.55)
    left, right = 1.65, _WIDTH - 1.65

    def at(rank: float) -> float:
        return left + (right - left) * (rank - 1.0) / max(1, k - 1)

    axes.plot([at(1), at(max(k, 2))], [0, 0], color=INK, linewidth=1.2)
    step = max(1, -(-k // 10))
    for rank in range(1, max(k, 2) + 1, step):
        axes.plot([at(rank)] * 2, [-0.08, 0], color=INK, linewidth=1.2)
        axes.text(at(rank), -0.14, str(rank), ha="center", va="bottom", fontsize=9, color=INK)
    axes.text(left - 0.2, -0.14, "average rank", ha="right", va="bottom", fontsize=9, color=MUTED)
    for i, name in enumerate(names):
        on_left = i < half
        row = i if on_left else k - 1 - i
        y, x = first_name + 0.27 * row, at(average_ranks[name])
        edge, anchor = (left - 0.15, "right") if on_left else (right + 0.15, "left")
        axes.plot([x, x, edge], [0, y, y], color=MUTED, linewidth=0.9, solid_joinstyle="miter")
        words = (_fitting(name), f"{average_ranks[name]:.2f}")
        label = f"{words[0]}  {words[1]}" if on_left else f"{words[1]}  {words[0]}"
        axes.text(edge - 0.06 if on_left else edge + 0.06, y, label, ha=anchor, va="center", fontsize=9, color=INK)
    for i, group in enumerate(groups):
        ranks = [average_ranks[name] for name in group]
        y = 0.26 + 0.28 * i
        axes.plot([at(min(ranks)) - 0.05, at(max(ranks)) + 0.05], [y, y], color=INK, linewidth=4.0, solid_capstyle="round")
    return figure


def _fitting(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 9]}…{name[-8:]}"
