"""Pictures of one solution that families share: a map of users and stations, bars of powers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from optisolve.core.arrays import BoolArray, FloatArray, IntArray
from optisolve.plotting.legend import place_labels, place_legend
from optisolve.plotting.style import ACCENT, INK, MUTED, PALETTE, label_axes, looks_of, text_size

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["City", "draw_bars", "draw_city", "draw_map"]

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


_STEP_DB = 10.0
"""Between the shades of a map of SINR."""
_SHADES = ("#F3F0E6", "#D3E3EE", "#93BEDB", "#4A90BF")
"""Of cells, from more than a step below the target to more than a step above it."""
_WALLS = ListedColormap(["#9A9A9A", "#858585", "#707070", "#5C5C5C"])
_TALLEST_M = 40.0
_BEAM = 0.09
"""Length of the line that shows where a transmitter looks, by the width of the map."""


@dataclass(frozen=True, eq=False, slots=True)
class City:
    """What stands still on a map.

    Args:
        height_m: float64 [R, S], heights of buildings on a raster, row 0 in the south; 0 where there is none, [0, 0] without.
        raster_m: float64 [3], x and y of the raster's south-west corner and the side of a pixel, m.
        cells_m: float64 [C, 2], centers of cells, m.
        cell_m: Side of a cell, m; 0 where cells are no areas.
    """

    height_m: FloatArray
    raster_m: FloatArray
    cells_m: FloatArray
    cell_m: float


def draw_city(
    axes: Axes,
    city: City,
    *,
    sinr_db: FloatArray,
    target_db: float,
    users_m: FloatArray,
    served: BoolArray,
    transmitters_m: FloatArray,
    azimuth_deg: FloatArray,
    labels: Sequence[str],
    candidates_m: FloatArray | None = None,
) -> None:
    """A city with the SINR of its cells, users with and without service, and transmitters with a line to where they look.

    Args:
        axes: Where.
        city: Buildings and cells.
        sinr_db: float64 [C], dB; -inf where nothing is heard.
        target_db: From which SINR on a user is served, dB.
        users_m: float64 [K, 2], m.
        served: bool [K].
        transmitters_m: float64 [M, 2], m.
        azimuth_deg: float64 [M], counter-clockwise from east.
        labels: Beside the transmitters.
        candidates_m: float64 [N, 2], m, where transmitters could stand; None where that is anywhere on roofs.
    """
    handles = _ground(axes, city, sinr_db, target_db)
    low, high = _extent(city, users_m if candidates_m is None else np.vstack([users_m, candidates_m]))
    size = 3.0 if len(users_m) < 4 * _CROWD else 2.0
    for mask, color, shape, words in ((served, PALETTE[7], "o", "served"), (~served, ACCENT, "X", "not served")):
        told = f"{int(mask.sum())} users {words}"
        handles.append(_dots(axes, users_m[mask], told, shape=shape, size=(size, 5.0), face=color))
    reach = _BEAM * (high - low).max() * np.stack([np.cos(np.deg2rad(azimuth_deg)), np.sin(np.deg2rad(azimuth_deg))], axis=1)
    for place, end in zip(transmitters_m, transmitters_m + reach, strict=True):
        for color, width in ((INK, 2.4), (PALETTE[4], 1.2)):
            axes.plot(*zip(place, end, strict=True), color=color, linewidth=width, zorder=4, solid_capstyle="butt")
    told = f"{len(transmitters_m)} transmitters, number and power"
    handles.append(_dots(axes, transmitters_m, told, shape="^", size=(9.0, 7.0), face=PALETTE[4], edge=0.8, above=5))
    if candidates_m is not None:
        told = f"{len(candidates_m)} candidate sites"
        handles.append(_dots(axes, candidates_m, told, shape="^", size=(3.5, 4.5), face="none", edge=0.5))
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
    axes.grid(visible=False)
    label_axes(axes, x="x in m", y="y in m")
    place_labels(axes, transmitters_m, labels, around=[transmitters_m + reach])
    place_legend(axes, handles, outside=True)


def _dots(
    axes: Axes,
    points_m: FloatArray,
    told: str,
    *,
    shape: str,
    size: tuple[float, float],
    face: str,
    edge: float = 0.0,
    above: int = 3,
) -> Line2D:
    """Draw points, float64 [n, 2]; what the legend shows of them. Sizes are of marks on the map and in the legend, points."""
    drawn: list[Line2D] = []
    for (x, y), mark, label in ((points_m.T, size[0], "_"), (np.empty((2, 0)), size[1], told)):
        line = Line2D(x, y, linestyle="none", marker=shape, markersize=mark, label=label, zorder=above)
        line.set(markerfacecolor=face, markeredgecolor=INK, markeredgewidth=edge)
        drawn.append(line)
    axes.add_line(drawn[0])
    return drawn[1]


def _ground(axes: Axes, city: City, sinr_db: FloatArray, target_db: float) -> list[Patch | Line2D]:
    """Cells by their SINR and buildings by their height; what the legend says of them."""
    handles: list[Patch | Line2D] = []
    if city.cell_m > 0.0:
        low = city.cells_m.min(axis=0)
        column, row = np.rint((city.cells_m - low) / city.cell_m).astype(np.int64).T
        grid = np.full((row.max() + 1, column.max() + 1), np.nan)
        grid[row, column] = np.maximum(sinr_db, target_db - 2.0 * _STEP_DB)
        edges = [target_db - 1e3, target_db - _STEP_DB, target_db, target_db + _STEP_DB, target_db + 1e3]
        (left, bottom), half = low - 0.5 * city.cell_m, np.array(grid.shape) * city.cell_m
        extent = (left, left + half[1], bottom, bottom + half[0])
        colors = ListedColormap(list(_SHADES))
        axes.imshow(grid, origin="lower", extent=extent, cmap=colors, norm=BoundaryNorm(edges, len(_SHADES)), zorder=0)
        told = (f"below {edges[1]:g}", f"{edges[1]:g} to {target_db:g}", f"{target_db:g} to {edges[3]:g}", f"from {edges[3]:g}")
        handles += [
            Patch(facecolor=shade, edgecolor=MUTED, linewidth=0.4, label=f"SINR {words} dB")
            for shade, words in zip(_SHADES, told, strict=True)
        ]
        if np.isnan(grid).any():
            handles.append(Patch(facecolor="white", edgecolor=MUTED, linewidth=0.4, label="cells built over in the middle"))
    if city.height_m.size:
        x, y, side = city.raster_m
        rows, columns = city.height_m.shape
        walls = np.where(city.height_m > 0.0, city.height_m, np.nan)
        extent = (x, x + columns * side, y, y + rows * side)
        axes.imshow(walls, origin="lower", extent=extent, cmap=_WALLS, vmin=0.0, vmax=_TALLEST_M, zorder=1)
        handles.append(Patch(facecolor=_WALLS(1), label="buildings, darker where higher"))
    return handles


def _extent(city: City, points_m: FloatArray) -> tuple[FloatArray, FloatArray]:
    """South-west and north-east corner of a map, m: its cells, else its points with a margin."""
    margin = 0.5 * city.cell_m if city.cell_m > 0.0 else 0.03 * float(np.ptp(points_m, axis=0).max())
    shown = np.vstack([points_m, city.cells_m])
    return shown.min(axis=0) - margin, shown.max(axis=0) + margin


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
