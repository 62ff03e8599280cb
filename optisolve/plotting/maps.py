"""Pictures of one solution that families share: a map of users and stations, bars of powers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.lines import Line2D

from optisolve.core.arrays import FloatArray, IntArray
from optisolve.plotting.legend import place_labels, place_legend
from optisolve.plotting.style import INK, MUTED, label_axes, looks_of, text_size

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_bars", "draw_map"]

_CROWD = 40
"""Users from which their marks are small."""
_MOST_TICKS = 10
_GIVEN = "#BBBBBB"
_ROOM = 1.12
"""Height of the axes over the highest bar."""


def draw_map(
    axes: Axes,
    *,
    side_m: float,
    users_m: FloatArray,
    stations_m: FloatArray,
    served_by: IntArray,
    labels: Sequence[str],
    station: str,
    user: str = "users, each joined to its UAV",
    user_labels: Sequence[str] = (),
    widths: FloatArray | None = None,
) -> None:
    """Users and stations in a square; up to twelve stations have a color and a shape of their own.

    Args:
        axes: Where.
        side_m: Side of the square, m.
        users_m: float64 [K, 2], m.
        stations_m: float64 [M, 2], m.
        served_by: int64 [K], a station for every user.
        labels: Beside the stations.
        station: What a station is, for the legend.
        user: What a user is; the number of users is added.
        user_labels: Beside the users; none by default.
        widths: float64 [K], points, of the lines to the users.
    """
    looks = list(looks_of(map(str, range(len(stations_m)))).values())
    size = 4.5 if len(users_m) < _CROWD else 3.0
    lines = np.full(len(users_m), 0.7) if widths is None else widths
    for place, m, width in zip(users_m, served_by, lines, strict=True):
        axes.plot(*zip(stations_m[m], place, strict=True), color=looks[m].color, linewidth=width, alpha=0.55, zorder=2)
        axes.plot(*place, marker="o", markersize=size, color=looks[m].color, markeredgewidth=0, zorder=3)
    for place, look in zip(stations_m, looks, strict=True):
        axes.plot(*place, marker="^", markersize=10, color=look.color, markeredgecolor=INK, markeredgewidth=0.8, zorder=4)
    margin = 0.04 * side_m
    axes.set(xlim=(-margin, side_m + margin), ylim=(-margin, side_m + margin), aspect="equal")
    label_axes(axes, x="x in m", y="y in m")
    place_labels(
        axes, np.vstack([stations_m, users_m]) if user_labels else stations_m, [*labels, *user_labels], around=[users_m]
    )
    stations, users = (Line2D([], [], color=MUTED, linestyle="none", marker=shape) for shape in ("^", "o"))
    stations.set(markersize=7, markeredgecolor=INK, label=f"{len(stations_m)} {station}")
    users.set(markersize=size, markeredgewidth=0, label=f"{len(users_m)} {user}")
    place_legend(axes, [stations, users], outside=True)


def draw_bars(
    axes: Axes,
    bars: Mapping[str, FloatArray],
    *,
    x: str,
    y: str,
    words: Sequence[str] = (),
    stacked: bool = False,
    given: str = "",
) -> None:
    """Bars of one value per link, channel or agent.

    Args:
        axes: Where.
        bars: float64 [n] by what the legend calls them.
        x: What stands on the axis.
        y: What the height means, with its unit.
        words: Above the last bars, one per place.
        stacked: On top of each other instead of side by side.
        given: The bars that are no part of the solution, in grey.
    """
    at, n = np.arange(len(next(iter(bars.values())))), len(bars)
    base, highest = np.zeros(at.size), 0.0
    width = 1.0 if stacked and at.size > 3 * _MOST_TICKS else 0.8 / (1 if stacked else n)
    looks = looks_of(label for label in bars if label != given)
    for i, (label, height) in enumerate(bars.items()):
        places = at + (0.0 if stacked else (i - 0.5 * (n - 1)) * width)
        axes.bar(
            places,
            height,
            width=width,
            bottom=base if stacked else 0.0,
            color=_GIVEN if label == given else looks[label].color,
            label=label,
            zorder=3,
        )
        base = base + height if stacked else base
        highest = max(highest, float((base if stacked else height).max()))
    for place, top, text in zip(places, base if stacked else height, words, strict=False):  # those of the last bars
        axes.annotate(text, (float(place), float(top)), ha="center", va="bottom", fontsize=text_size(axes), zorder=4)
    axes.set_xticks(at[:: max(1, -(-at.size // _MOST_TICKS))])
    axes.set_xlim(-0.6, at.size - 0.4)
    axes.set_ylim(0.0, _ROOM * (highest or 1.0))
    axes.grid(visible=False, axis="x")
    label_axes(axes, x=x, y=y)
    place_legend(axes, outside=len(bars) > 2)
