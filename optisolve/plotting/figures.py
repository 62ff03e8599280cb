"""The three pictures of a run: Pareto front, map of one solution, anytime curve."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.files import write_atomic
from optisolve.core.problem import Instance
from optisolve.numerics.indicators import hypervolume
from optisolve.numerics.knee import knee_index
from optisolve.plotting.style import ACCENT, INK, MARKERS, MUTED, PALETTE, new_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["convergence_figure", "front_figure", "map_figure", "save_figure"]


def front_figure(fronts: Mapping[str, FloatArray], instance: Instance) -> Figure:
    """Pareto fronts in the plane of the first two objectives.

    Args:
        fronts: Verified feasible objectives by solver name, each float64 [n, m], in the problem's own senses. The
            first one is the subject: its knee point is marked.
        instance: Gives names, units, senses and the scoring box.
    """
    figure, axes = new_figure("Pareto front, verified points", _where(instance))
    for i, (name, F) in enumerate(fronts.items()):
        if F.shape[0] == 0:
            continue
        order = np.argsort(F[:, 0])
        score = "" if instance.hypervolume_box is None else f", hypervolume {hypervolume(F, instance.hypervolume_box):.4f}"
        axes.plot(
            F[order, 0],
            F[order, 1],
            linestyle="none",
            marker=MARKERS[i % len(MARKERS)],
            markersize=5 if i == 0 else 4,
            color=PALETTE[i % len(PALETTE)],
            alpha=0.9 if i == 0 else 0.6,
            markeredgewidth=0,
            label=f"{name}: {F.shape[0]} points{score}",
            zorder=3 if i == 0 else 2,
        )
        if i == 0:
            knee = F[knee_index(F * instance.signs)]
            axes.plot(*knee[:2], marker="o", markersize=12, markerfacecolor="none", markeredgecolor=ACCENT, zorder=4)
            arrow = {"arrowstyle": "-", "color": ACCENT, "shrinkB": 6}
            offset = (-42, 34) if instance.signs[0] < 0 else (34, 34)  # towards the dominated side, where it is empty
            axes.annotate(
                "knee", knee[:2], xytext=offset, textcoords="offset points", color=ACCENT, fontsize=10, arrowprops=arrow
            )
    axes.set_xlabel(instance.objectives[0].label, color=INK)
    axes.set_ylabel(instance.objectives[1].label, color=INK)
    if axes.has_data():
        axes.legend(frameon=False, fontsize=9, loc="best")
    else:
        _say_empty(axes, "no feasible point")
    return figure


def map_figure(instance: Instance, x: FloatArray, *, label: str = "knee point") -> Figure | None:
    """The problem's own picture of one solution, or None when it has none.

    Args:
        instance: Draws itself.
        x: float64 [d].
        label: Which solution it is.
    """
    figure, axes = new_figure(f"Solution: {label}", _where(instance), width=6.4, height=6.4)
    return figure if instance.draw(axes, x) else None


def convergence_figure(traces: Mapping[str, pd.DataFrame], instance: Instance) -> Figure:
    """Anytime curves over evaluations, log-scaled.

    Args:
        traces: `Result.trace` by solver name: evaluations, seconds, value, violation.
        instance: Gives names and senses.
    """
    figure, axes = new_figure("Progress over evaluations", _where(instance))
    last = max((int(trace["evaluations"].to_numpy()[-1]) for trace in traces.values()), default=1)
    for i, (name, trace) in enumerate(traces.items()):
        known = trace.dropna(subset=[trace.columns[2]])
        at, value = known["evaluations"].to_numpy(dtype=float), known[trace.columns[2]].to_numpy(dtype=float)
        color, width = PALETTE[i % len(PALETTE)], 2.0 if i == 0 else 1.4
        axes.step(at, value, where="post", color=color, linewidth=width, label=name, zorder=3 if i == 0 else 2)
        if at.size and at[-1] < last:  # it stopped early: what it had still stands
            axes.plot([at[-1], last], [value[-1]] * 2, color=color, linestyle=":", linewidth=1.2)
    axes.set_xscale("log")
    axes.set_xlabel("evaluations", color=INK)
    multi = len(instance.objectives) > 1
    axes.set_ylabel("hypervolume (share of the scoring box)" if multi else instance.objectives[0].label, color=INK)
    if multi:
        axes.set_ylim(bottom=0.0)
    axes.legend(frameon=False, fontsize=9, loc="best")
    return figure


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG, 150 dots per inch, all or nothing."""
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=150)
    write_atomic(path, drawn.getvalue())
    return path


def _where(instance: Instance) -> str:
    return f"{instance.origin.scenario}, instance {instance.origin.seed}"


def _say_empty(axes: Axes, text: str) -> None:
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=MUTED)
