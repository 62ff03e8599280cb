"""Where a legend and labels stand so that they cover nothing."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from matplotlib.collections import Collection, PathCollection
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.path import Path
from matplotlib.patheffects import Normal, Stroke
from matplotlib.spines import Spine
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from optisolve.core.arrays import FloatArray
from optisolve.plotting.style import INK, Drawing, figure_of, ink_of, is_ours, text_size

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.legend import Legend

__all__ = ["covers", "obstacles_on", "place_labels", "place_legend"]

_Place: TypeAlias = Literal[
    "upper right",
    "upper left",
    "lower left",
    "lower right",
    "center right",
    "center left",
    "upper center",
    "lower center",
]
_PLACES: dict[_Place, tuple[float, float]] = {
    "upper right": (1.0, 1.0),
    "upper left": (0.0, 1.0),
    "lower left": (0.0, 0.0),
    "lower right": (1.0, 0.0),
    "center right": (1.0, 0.5),
    "center left": (0.0, 0.5),
    "upper center": (0.5, 1.0),
    "lower center": (0.5, 0.0),
}
"""Where a legend may stand inside of the axes, in the order of preference."""

_LARGEST_SHARE = 0.5
"""Share of the axes' width and height that a legend inside may take."""

_PAD = 0.5
"""Between a legend and the edge of the axes, in sizes of its text."""

_LINE_IN = 1.45 / 72.0
"""Height of a legend's line, inches per point of its text."""


def place_legend(axes: Axes, handles: Sequence[Artist] | None = None, *, title: str = "", outside: bool = False) -> None:
    """A legend inside of the axes where it covers nothing, else below them (above them in a figure of somebody else's).

    Args:
        axes: With everything drawn and with final limits.
        handles: What the legend lists; None for all that has a label.
        title: First line, for what holds for all entries.
        outside: Do not try inside.
    """
    shown = axes.get_legend_handles_labels()[0] if handles is None else list(handles)
    if not shown:
        return
    size, figure = text_size(axes), figure_of(axes)
    words = [str(handle.get_label()) for handle in shown]
    style: dict[str, Any] = {"frameon": False, "fontsize": size, "title_fontsize": size, "borderaxespad": _PAD}
    style |= {"labelspacing": 0.35, "handlelength": 1.8, "handletextpad": 0.5, "columnspacing": 1.2, "alignment": "left"}
    style |= {"title": title or None, **({"labelcolor": INK} if is_ours(axes) else {})}
    if not outside:
        legend = axes.legend(shown, words, loc="upper right", **{**style, "title": _folded(title, words)})
        legend.set_in_layout(False)
        if (place := _free_place(axes, legend)) is not None:
            legend.set_loc(place)
            return
        legend.remove()
    rows, columns = _grid(words, size, figure.get_figwidth(), title)
    if not is_ours(axes):
        axes.legend(shown, words, loc="lower left", bbox_to_anchor=(0.0, 1.01), ncols=columns, **style)
        return
    figure.legend(shown, words, loc="outside lower left", ncols=columns, **style)
    if isinstance(figure, Drawing):  # the axes keep their height
        figure.set_figheight(figure.get_figheight() + rows * size * _LINE_IN)


def _folded(title: str, words: Sequence[str]) -> str | None:
    """A title not much wider than the entries below it; None for none."""
    return "\n".join(textwrap.wrap(title, max(24, max(map(len, words)) + 4))) or None


def _grid(words: Sequence[str], size: float, width: float, title: str) -> tuple[int, int]:
    """Rows and columns of a legend of the figure's width, inches."""
    longest = max(map(len, words)) * 0.56 * size / 72.0 + 3.6 * size / 72.0
    columns = max(1, min(len(words), int((width - 0.1) / longest)))
    return -(-len(words) // columns) + bool(title), columns


def _settle(axes: Axes) -> None:
    """Give the axes their final place, so that what is on them has one too; nothing is drawn."""
    figure = figure_of(axes)
    if (engine := figure.get_layout_engine()) is not None:
        engine.execute(figure)
    axes.apply_aspect()


def _free_place(axes: Axes, legend: Legend) -> _Place | None:
    """A place where the legend covers nothing; None when there is none."""
    figure = figure_of(axes)
    _settle(axes)
    extent, frame = legend.get_window_extent(), axes.get_window_extent()
    if extent.width > _LARGEST_SHARE * 1.3 * frame.width or extent.height > _LARGEST_SHARE * frame.height:
        return None
    pad = _PAD * text_size(axes) * figure.dpi / 72.0
    obstacles = [artist for artist in obstacles_on(axes) if artist is not legend]
    for name, (right, up) in _PLACES.items():
        x = frame.x0 + pad + right * (frame.width - 2 * pad - extent.width)
        y = frame.y0 + pad + up * (frame.height - 2 * pad - extent.height)
        box = Bbox.from_bounds(x, y, extent.width, extent.height)
        if not any(covers(box, artist) for artist in obstacles):
            return name
    return None


def obstacles_on(axes: Axes) -> list[Artist]:
    """All that is drawn on axes, without what frames them."""
    return [artist for artist in axes.get_children() if artist is not axes.patch and not isinstance(artist, Spine)]


def covers(box: Bbox, artist: Artist) -> bool:
    """Whether a box, in pixels, covers a part of what is drawn: points, lines, areas, words.

    Args:
        box: Where something is to be put.
        artist: What is there; laid out before.
    """
    if not artist.get_visible():
        return False
    if isinstance(artist, Line2D):
        points = artist.get_transform().transform(np.column_stack(artist.get_data(orig=False)).astype(np.float64))
        marked = artist.get_marker() not in (None, "", " ", "None", "none")
        lined = artist.get_linestyle() not in (None, "", " ", "None", "none")
        return (marked and _holds(box, points, 0.5 * float(artist.get_markersize()))) or (lined and _crossed(box, points))
    if isinstance(artist, PathCollection):
        return _holds(box, artist.get_offset_transform().transform(artist.get_offsets()), 4.0)
    if isinstance(artist, Text):
        return bool(artist.get_text()) and box.overlaps(artist.get_window_extent())
    if isinstance(artist, Patch):
        return bool(artist.get_transform().transform_path(artist.get_path()).intersects_bbox(box, filled=True))
    if isinstance(artist, Collection):
        to_pixels = artist.get_transform()
        return any(to_pixels.transform_path(path).intersects_bbox(box, filled=True) for path in artist.get_paths())
    return False


def _holds(box: Bbox, points: FloatArray, margin: float) -> bool:
    """Whether a point, float64 [n, 2] in pixels, lies inside of the box or so near to it."""
    near = (points > (box.x0 - margin, box.y0 - margin)) & (points < (box.x1 + margin, box.y1 + margin))
    return bool(near.all(axis=1).any())


def _crossed(box: Bbox, points: FloatArray) -> bool:
    known = points[np.isfinite(points).all(axis=1)]
    return len(known) > 1 and bool(Path(known).intersects_bbox(box, filled=False))


def place_labels(axes: Axes, points: FloatArray, words: Sequence[str], *, around: Iterable[FloatArray] = ()) -> None:
    """Write words beside points so that no two overprint each other or a point, nor a line where there is another place.

    Args:
        axes: With everything drawn and with final limits.
        points: float64 [n, 2], what is labelled.
        words: One text per point.
        around: More points that no text may cover, each float64 [k, 2].
    """
    figure, size = figure_of(axes), text_size(axes)
    _settle(axes)
    scale, frame = figure.dpi / 72.0, axes.get_window_extent()
    kept = axes.transData.transform(np.vstack([points, *around]))
    lines = [artist for artist in obstacles_on(axes) if isinstance(artist, Line2D)]
    taken: list[Bbox] = []
    for point, text in zip(points, words, strict=True):
        label = axes.annotate(
            text,
            tuple(point),
            xytext=(0, 0),
            textcoords="offset points",
            fontsize=size,
            color=ink_of(axes),
            zorder=6,
            ha="center",
            va="center",
        )
        label.set_path_effects([Stroke(linewidth=2.0, foreground=axes.get_facecolor()), Normal()])
        extent = label.get_window_extent()
        at, best = axes.transData.transform(point), None
        for dx, dy in _around(extent.width / scale, extent.height / scale, size):
            x, y = at[0] + dx * scale, at[1] + dy * scale
            box = Bbox.from_bounds(x - extent.width / 2, y - extent.height / 2, extent.width, extent.height)
            cost = 100 * sum(box.overlaps(other) for other in taken) + 10 * _count(box, kept)
            cost += sum(covers(box, line) for line in lines)
            cost += 50 * (not (frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1))
            if best is None or cost < best[0]:
                best = (cost, (dx, dy), box)
        assert best is not None
        label.xyann = best[1]
        taken.append(best[2])


def _around(width: float, height: float, size: float) -> list[tuple[float, float]]:
    """Offsets of a label's middle, points, nearest first."""
    places = []
    for far in (0.0, 0.8 * size, 1.8 * size, 3.0 * size):
        up, side = 0.5 * height + 8.0 + far, 0.5 * width + 8.0 + far
        places += [(0.0, up), (0.0, -up), (side, 0.0), (-side, 0.0), (side, up), (-side, up), (side, -up), (-side, -up)]
    return places


def _count(box: Bbox, points: FloatArray) -> int:
    inside = (points > (box.x0 - 2, box.y0 - 2)) & (points < (box.x1 + 2, box.y1 + 2))
    return int(inside.all(axis=1).sum())
