"""The pictures of a run: Pareto front, map of one solution, anytime curve, who made what; and the look of all figures."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation, Transform

from optisolve.core.arrays import FloatArray
from optisolve.core.documents import write_atomic
from optisolve.core.problem import Instance
from optisolve.numerics.indicators import hypervolume, knee_index

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = [
    "ACCENT",
    "GRID",
    "INK",
    "MARKERS",
    "MUTED",
    "PALETTE",
    "convergence_figure",
    "credit_figure",
    "dress",
    "front_figure",
    "map_figure",
    "new_figure",
    "offspring_sources",
    "save_figure",
]

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
    dress(axes)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(MUTED)
    axes.set_title(title, loc="left", fontsize=12, color=INK, pad=22 if subtitle else 8)
    axes.text(0.0, 1.0, subtitle, transform=axes.transAxes + _up(figure), fontsize=9, color=MUTED, va="bottom")
    return figure, axes


def dress(axes: Axes, label_size: int = 9) -> None:
    """A light grid behind what is drawn, no box around it."""
    axes.set_axisbelow(True)
    axes.grid(color=GRID, linewidth=0.8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(colors=MUTED, labelsize=label_size)


def _up(figure: Figure) -> Transform:
    """Six points above the axes, where the subtitle stands."""
    return ScaledTranslation(0.0, 6.0 / 72.0, figure.dpi_scale_trans)


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


_STARTS = ("initial", "warm_start")
_MADE, _GAINED = "#B8C4CE", PALETTE[0]
_THICK = 0.36


class Source(Protocol):
    """What one source of candidates made, gained and cost, as a record tells it."""

    @property
    def evaluations(self) -> int: ...
    @property
    def gain(self) -> float: ...
    @property
    def survivors(self) -> int | None: ...
    @property
    def tokens_in(self) -> int: ...
    @property
    def tokens_out(self) -> int: ...
    @property
    def usd(self) -> float: ...


def offspring_sources(sources: Mapping[str, Source]) -> list[str]:
    """Sources that made offspring, largest gain first; the first population is nobody's.

    Args:
        sources: ``used.by_source`` of a record.
    """
    made = [name for name, item in sources.items() if name not in _STARTS and item.evaluations]
    return sorted(made, key=lambda name: (-sources[name].gain, -sources[name].evaluations, name))


def credit_figure(sources: Mapping[str, Source], instance: Instance) -> Figure:
    """Share of the evaluations beside share of the gain, by source, with what each one cost.

    Args:
        sources: ``used.by_source`` of a record; see `optisolve.run.evaluator.credit`.
        instance: Names the scenario.
    """
    names = offspring_sources(sources)
    where = f"{instance.origin.scenario}, instance {instance.origin.seed}; first population left out"
    figure, axes = new_figure("Who made the offspring, and what they gained", where, height=1.9 + 0.72 * len(names))
    made = np.array([sources[name].evaluations for name in names], dtype=float)
    gained = np.array([sources[name].gain for name in names])
    at = np.arange(len(names))
    told = "hypervolume gain" if len(instance.objectives) > 1 else "improvement"
    for offset, values, color, label in (
        (-_THICK / 2, _percent(made), _MADE, f"share of {int(made.sum()):,} evaluations"),
        (_THICK / 2, _percent(gained), _GAINED, f"share of the {told} of {gained.sum():.4g}"),
    ):
        axes.barh(at + offset, values, height=_THICK, color=color, label=label, zorder=3)
        for y, value in zip(at + offset, values, strict=True):
            axes.text(value + 0.8, y, f"{value:.1f} %", va="center", fontsize=8, color=MUTED)
    axes.set_yticks(at, [_label(name, sources[name]) for name in names], fontsize=9, color=INK)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xlim(0.0, min(112.0, 1.16 * max(_percent(made).max(), _percent(gained).max(), 1.0)))
    axes.set_xlabel("share [%]", color=INK)
    figure.legend(frameon=False, fontsize=9, loc="outside lower left", ncols=2)
    return figure


def _percent(values: FloatArray) -> FloatArray:
    total = float(values.sum())
    return 100.0 * values / total if total > 0.0 else np.zeros_like(values)


def _label(name: str, item: Source) -> str:
    """Name, survivors, tokens and dollars, as far as there are any."""
    told = [] if item.survivors is None else [f"{item.survivors:,} of {item.evaluations:,} survived"]
    tokens = item.tokens_in + item.tokens_out
    cost = [f"{tokens:,} tokens"] if tokens else []
    cost += [f"{item.usd:.4f} USD"] if item.usd else []
    return "\n".join(filter(None, (name, *told, ", ".join(cost))))
