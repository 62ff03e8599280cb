"""A wired network with the utilization of its links."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap, Normalize

from optisolve.core.arrays import FloatArray, IntArray
from optisolve.plotting.legend import place_labels
from optisolve.plotting.style import INK, MUTED, figure_of, label_axes, text_size

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_network"]

_USE = LinearSegmentedColormap.from_list("use", ["#9CC9E8", "#0072B2", "#332288", "#D55E00", "#7A1F00"])
"""Pale where a link is idle, orange and darker where it is full; darkness alone tells the same."""
_MOST_NAMES = 40
"""Nodes up to which all are named; of more, only the ends of the busiest links are."""
_NAMED_LINKS = 3
_APART = 0.009
"""Half the distance between the two directions of a line, as a share of the picture."""


def draw_network(
    axes: Axes, *, place: FloatArray, names: Sequence[str], tail: IntArray, head: IntArray, use: FloatArray, sent: FloatArray
) -> None:
    """Links in the color of their utilization, every direction on its right-hand side; the busiest one is marked.

    Args:
        axes: Where.
        place: float64 [N, 2], longitude and latitude, or any plane; NaN puts the nodes on a circle.
        names: Of the nodes.
        tail: int64 [E].
        head: int64 [E].
        use: float64 [E], load over capacity.
        sent: float64 [N], what a node sends, for its size.
    """
    known = bool(np.isfinite(place).all())
    points = _flattened(place) if known else _circle(len(names))
    span = float(np.ptp(points, axis=0).max()) or 1.0
    along = points[head] - points[tail]
    length = np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-12)
    aside = np.stack([along[:, 1], -along[:, 0]], axis=1) / length * _APART * span
    ends = np.stack([points[tail] + aside, points[head] + aside], axis=1)  # [E, 2, 2]
    order = np.argsort(use, kind="stable")  # busy ones on top
    scale = Normalize(0.0, max(1.0, float(use.max())))
    drawn = LineCollection(list(ends[order]), cmap=_USE, norm=scale, linewidths=1.0 + 2.0 * use[order] / max(1.0, use.max()))
    drawn.set_array(use[order])
    drawn.set_zorder(2)
    axes.add_collection(drawn)
    size = 12.0 + 70.0 * sent / max(float(sent.max()), 1e-300)
    axes.scatter(points[:, 0], points[:, 1], s=size, color="white", edgecolors=INK, linewidths=0.8, zorder=3)
    busiest = int(np.argmax(use))
    middle = ends[busiest].mean(axis=0)
    axes.plot(*middle, marker="D", markersize=6, color=INK, zorder=4)
    margin = 0.06 * span
    (left, low), (right, high) = points.min(axis=0) - margin, points.max(axis=0) + margin
    axes.set(xlim=(left, right), ylim=(low, high), aspect="equal")
    axes.grid(visible=False)
    axes.set_xticks([])
    axes.set_yticks([])
    named = np.arange(len(names))
    if len(names) > _MOST_NAMES:
        named = np.unique(np.concatenate([tail[order[-_NAMED_LINKS:]], head[order[-_NAMED_LINKS:]]]))
    place_labels(axes, points[named], [names[int(i)] for i in named], around=[points])
    ends_told = f"{names[tail[busiest]]} to {names[head[busiest]]}"
    told = f"busiest link (diamond): {ends_told}, {100.0 * use[busiest]:.0f} % of its capacity"
    label_axes(axes, x=told if known else f"{told}; nodes on a circle: the file says no places")
    bar = figure_of(axes).colorbar(drawn, ax=axes, fraction=0.04, pad=0.02)
    bar.set_label("Load over capacity", fontsize=text_size(axes), color=MUTED)
    bar.ax.tick_params(labelsize=text_size(axes))


def _flattened(place: FloatArray) -> FloatArray:
    """Degrees with the width that they have in the middle of the picture; other planes as they are."""
    if (np.abs(place) <= (180.0, 90.0)).all():
        middle = np.radians(0.5 * (place[:, 1].min() + place[:, 1].max()))
        return np.asarray(place * (np.cos(middle), 1.0))
    return place


def _circle(n: int) -> FloatArray:
    angle = 2.0 * np.pi * np.arange(n) / n
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)
