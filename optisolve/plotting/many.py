"""Pictures of three objectives and more: scatter matrix, parallel coordinates."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.lines import Line2D
from matplotlib.patheffects import Normal, Stroke

from optisolve.core.arrays import FloatArray
from optisolve.core.evaluation import Sense
from optisolve.plotting.fronts import CROWD, frame, near_front, reference_dots, say_nothing
from optisolve.plotting.legend import place_legend
from optisolve.plotting.series import Series, Setting, axis_text, seeds_text, words_of
from optisolve.plotting.style import (
    INK,
    MUTED,
    Drawing,
    Look,
    characters,
    dress,
    figure_of,
    ink_of,
    label_axes,
    looks_of,
    no_offset,
    text_size,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["MOST_IN_A_MATRIX", "draw_matrix", "draw_parallel"]

MOST_IN_A_MATRIX = 5
"""Objectives up to which a front is a scatter matrix; beyond, parallel coordinates."""


def draw_matrix(figure: Drawing, series: Sequence[Series], setting: Setting, *, title: str = "") -> list[str]:
    """Every pair of objectives in a panel of its own, the lower half of a square.

    Args:
        figure: Empty.
        series: Each is drawn by its run with the median score.
        setting: Three objectives or more.
        title: Above all panels; "" for none.

    Returns:
        What is not drawn and why.
    """
    m, looks = len(setting.objectives), looks_of(s.label for s in series)
    panels = figure.subplots(m - 1, m - 1, sharex="col", sharey="row", squeeze=False)
    handles: list[Artist] = []
    for row in range(m - 1):
        for column in range(m - 1):
            axes = panels[row][column]
            if column > row:
                axes.set_visible(False)
                continue
            dress(axes)
            drawn = _panel(axes, series, setting, (column, row + 1), looks)
            handles = handles or list(drawn)
            across = characters(axes, 0.75 * figure.get_figwidth() / (m - 1))
            x = axis_text(setting.objectives[column], width=across) if row == m - 2 else None
            label_axes(axes, x=x, y=axis_text(setting.objectives[row + 1], width=across) if column == 0 else None)
            no_offset(axes.xaxis, axes.yaxis)
    points = np.vstack([s.middle(setting).F for s in series])
    near, notes = near_front(points, np.empty((0, m)) if setting.front is None else setting.front)
    for column in range(m - 1) if len(points) else ():
        frame(panels[m - 2][column], np.vstack([points, near])[:, [column, m - 1]])
        frame(panels[column][0], np.vstack([points, near])[:, [0, column + 1]])
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=text_size(panels[0][0], 3), color=INK)
    _corner_legend(figure, panels, handles, seeds_text(series))
    return notes


def _panel(
    axes: Axes, series: Sequence[Series], setting: Setting, pair: tuple[int, int], looks: dict[str, Look]
) -> list[Line2D]:
    drawn = []
    for s in series:
        F = s.middle(setting).F[:, list(pair)]
        label = s.label if len(F) else f"{s.label} (no feasible point)"
        (line,) = axes.plot(
            *F.T, linestyle="none", label=label, zorder=3, **looks[s.label].marks(3.6 if len(F) < CROWD else 2.4)
        )
        drawn.append(line)
    if setting.front is not None:
        drawn.append(reference_dots(axes, setting.front[:, list(pair)], setting))
    return drawn


def _corner_legend(figure: Drawing, panels: Any, handles: Sequence[Artist], many: str) -> None:
    """In the empty upper right half of the square, where there is room for it; else below."""
    title = f"run of median\nhypervolume, {many}" if many else ""
    size, words = text_size(panels[0][0]), [str(handle.get_label()) for handle in handles]
    needed = (max(map(len, [*words, *title.split("\n")])) * 0.56 + 3.2) * size / 72.0
    rows = len(words) + len(title.splitlines())
    side, m = figure.get_size_inches(), len(panels) + 1
    if m > 2 and needed < 0.8 * side[0] / (m - 1) * (m - 2) and rows * size * 1.5 / 72.0 < 0.8 * side[1] / (m - 1):
        figure.legend(
            handles, words, loc="upper right", bbox_to_anchor=(0.99, 0.97), frameon=False, fontsize=size, labelcolor=INK,
            title=title or None, title_fontsize=size, alignment="left",
        ).set_in_layout(False)  # fmt: skip
    else:
        place_legend(panels[-1][0], handles, title=title.replace("\n", " "), outside=True)


def draw_parallel(axes: Axes, series: Sequence[Series], setting: Setting) -> list[str]:
    """One vertical line per objective, one broken line per point; on every line up is better.

    Args:
        axes: Where.
        series: Each is drawn by its run with the median score.
        setting: Two objectives or more.

    Returns:
        What is not drawn and why.
    """
    from matplotlib.collections import LineCollection

    looks, shown = looks_of(s.label for s in series), [s.middle(setting).F for s in series]
    m, signs = len(setting.objectives), setting.signs
    points = np.vstack(shown)
    if not len(points):
        return say_nothing(axes, setting, [])
    worst, best = (points * signs).max(axis=0), (points * signs).min(axis=0)
    width = np.where(worst > best, worst - best, 1.0)
    handles: list[Artist] = []
    for s, F in zip(series, shown, strict=True):
        look, height = looks[s.label], np.where(worst > best, (worst - F * signs) / width, 0.5)  # [n, m]
        lines = np.stack([np.broadcast_to(np.arange(m, dtype=np.float64), height.shape), height], axis=2)
        faint = float(np.clip(12.0 / max(len(F), 1), 0.25, 0.8))
        axes.add_collection(
            LineCollection(list(lines), colors=look.color, linewidths=0.8, linestyles=[look.dashes], alpha=faint)
        )
        axes.plot(*lines.reshape(-1, 2).T, linestyle="none", alpha=faint, **look.marks(2.8))
        label = s.label if len(F) else f"{s.label} (no feasible point)"
        handles.append(Line2D([], [], linestyle=look.dashes, linewidth=1.2, label=label, **look.marks(3.6)))
    _vertical_axes(axes, setting, worst * signs, best * signs)
    many = seeds_text(series)
    place_legend(axes, handles, title=f"run of median hypervolume, {many}" if many else "", outside=True)
    return []


def _vertical_axes(axes: Axes, setting: Setting, worst: FloatArray, best: FloatArray) -> None:
    """Every objective with its words below and its worst and best value shown at the ends."""
    m, size = len(setting.objectives), text_size(axes)
    across = max(8, characters(axes, 0.85 * figure_of(axes).get_figwidth() / m))
    for j, objective in enumerate(setting.objectives):
        axes.axvline(j, color=MUTED, linewidth=0.8, zorder=1)
        unit = f" {objective.unit}" if objective.unit else ""
        for height, text, side in ((1.05, f"{best[j]:.4g}{unit}", "bottom"), (-0.05, f"{worst[j]:.4g}", "top")):
            label = axes.text(j, height, text, ha="center", va=side, fontsize=size, color=ink_of(axes))
            label.set_path_effects([Stroke(linewidth=3.0, foreground=axes.get_facecolor()), Normal()])
    names = [
        "\n".join(textwrap.wrap(f"{words_of(o)} ({'max' if o.sense is Sense.MAXIMIZE else 'min'})", across))
        for o in setting.objectives
    ]
    axes.set_xticks(range(m), names)
    axes.set_xlim(-0.3, m - 0.7)
    axes.set_ylim(-0.16, 1.16)
    axes.set_yticks([0.0, 0.5, 1.0], ["worst", "", "best"])
    axes.grid(visible=False)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
