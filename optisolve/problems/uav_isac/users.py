"""Users from a CSV file."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.errors import ProblemError
from optisolve.problems.data_files import require_data
from optisolve.problems.number_table import TextTable, decimal_comma, listed, parse_text

__all__ = ["read_users"]

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_METRIC = (("x_m",), ("y_m",))
_GEOGRAPHIC = (("lat", "latitude"), ("lon", "lng", "long", "longitude"))
_PLAIN = (("x",), ("y",))
_EXPECTED = "'x_m,y_m' (metres) or 'lat,lon' (degrees)"
_DEGREES = (180.0, 90.0)
_WGS84_RADIUS_M = 6378137.0
_WGS84_ECCENTRICITY_2 = 0.00669437999014


@dataclass(frozen=True, slots=True)
class _Columns:
    """Where the two coordinates stand.

    Attributes:
        names: As the file has them.
        places: Index of either column.
        geographic: They are degrees.
        said: What the file does not say itself.
    """

    names: tuple[str, str]
    places: tuple[int, int]
    geographic: bool = False
    said: str = ""


def read_users(path: str, *, area_m: float, n_users: int | None) -> tuple[FloatArray, str]:
    """Read users' positions.

    Args:
        path: CSV file (UTF-8), separated by commas, semicolons, tabs or spaces, with columns ``x_m`` and ``y_m`` (m, inside the
            area) or ``lat`` and ``lon`` (degrees, WGS 84). The latter are projected to the tangent plane at the middle of
            their bounding box, which is put at the center of the area. Columns ``x`` and ``y``, or two columns without a
            heading, are metres where they cannot be degrees. Blank lines are skipped, other columns not read.
        area_m: Side of the square area, m.
        n_users: Expected count, or None for any.

    Returns:
        float64 [K, 2], m, and what was done that the file does not say itself.

    Raises:
        ProblemError: The file is missing, not text, empty, has another header, a bad row (all are listed, up to ten), the
            wrong number of rows, or does not fit into the area.
    """
    title = f"users_file '{path}'"
    table = parse_text(require_data(str(Path(path).expanduser()), "users_file").read_bytes(), title)
    columns = _columns(table, title)
    limits = ((-90.0, 90.0, "degrees"), (-180.0, 180.0, "degrees")) if columns.geographic else ((0.0, area_m, "m"),) * 2
    points: list[tuple[float, ...]] = []
    faults: list[str] = []
    width = len(table.header or table.rows[0][1])
    for line, cells in table.rows:
        values, found = _row(cells, columns, width, limits)
        faults.extend(f"line {line}, {fault}" for fault in found)
        points.append(values)
    if faults:
        raise ProblemError(f"{title} has {len(faults)} bad value(s):\n{listed(faults)}")
    if not points:
        raise ProblemError(f"{title} has a header but no users; expected one row per user.")
    if n_users is not None and len(points) != n_users:
        raise ProblemError(
            f"{title} has {len(points)} users, but n_users = {n_users}; set n_users to {len(points)} or to null."
        )
    array = np.array(points, dtype=np.float64)
    return _project(array, area_m, title) if columns.geographic else array, columns.said


def _columns(table: TextTable, title: str) -> _Columns:
    """The columns of the coordinates.

    Raises:
        ProblemError: They cannot be told.
    """
    if table.header is None:
        if len(table.rows[0][1]) != 2:
            first = ",".join(table.rows[0][1])
            raise ProblemError(f"{title}, line {table.rows[0][0]}: the header is {first!r}; expected {_EXPECTED}.")
        _require_metres(table, (0, 1), f"{title} has no header")
        return _Columns(("column 1", "column 2"), (0, 1), said="two columns without a heading are x_m and y_m")
    names = [name.lower() for name in table.header]
    fitting = {}
    for kind in (_METRIC, _GEOGRAPHIC, _PLAIN):
        found = [[i for i, name in enumerate(names) if name in spellings] for spellings in kind]
        if all(len(places) == 1 for places in found):
            fitting[kind] = (found[0][0], found[1][0])
    if len(fitting) != 1:
        told = f"the header is {','.join(table.header)!r}; expected {'one of ' if fitting else ''}{_EXPECTED}"
        raise ProblemError(f"{title}, line {_first_line(table)}: {told}.")
    ((kind, places),) = fitting.items()
    if kind is _PLAIN:
        _require_metres(table, places, f"{title}, line {_first_line(table)}: the header is {','.join(table.header)!r}")
    others = [name for i, name in enumerate(table.header) if i not in places]
    said = [f"{', '.join(map(repr, others))} not read"] if others else []
    said += ["x and y are metres"] if kind is _PLAIN else []
    return _Columns((table.header[places[0]], table.header[places[1]]), places, kind is _GEOGRAPHIC, "; ".join(said))


def _first_line(table: TextTable) -> int:
    return min((line for line, _ in table.rows), default=2) - 1


def _require_metres(table: TextTable, places: tuple[int, int], told: str) -> None:
    """Refuse columns that may be degrees as well as metres."""
    for _, cells in table.rows:
        for place, most in zip(places, _DEGREES, strict=True):
            if place < len(cells) and _NUMBER.fullmatch(cells[place]) and abs(float(cells[place])) > most:
                return
    raise ProblemError(f"{told}, and its values may be metres or degrees; expected the header {_EXPECTED}.")


def _row(
    cells: tuple[str, ...], columns: _Columns, width: int, limits: tuple[tuple[float, float, str], ...]
) -> tuple[tuple[float, ...], list[str]]:
    """Values of one row, and what is wrong with them."""
    if len(cells) != width:
        why = " (decimal commas? write points)" if len(cells) == 2 * width else ""
        return (), [f"{','.join(columns.names)}: got {','.join(cells)!r}, expected {width} values, not {len(cells)}{why}"]
    values, faults = [], []
    for name, place, (low, high, unit) in zip(columns.names, columns.places, limits, strict=True):
        cell = cells[place]
        value = float(cell) if _NUMBER.fullmatch(cell) else math.nan  # Python also reads 1_0 and digits of other scripts
        if not low <= value <= high:
            hint = decimal_comma(cell)
            faults.append(f"{name}: got {cell!r}, expected a finite number in [{low:g}, {high:g}] {unit}{hint}")
        values.append(value)
    return tuple(values), faults


def _project(degrees: FloatArray, area_m: float, title: str) -> FloatArray:
    """Latitude and longitude to metres on the tangent plane, centered in the area."""
    lat = degrees[:, 0]
    lon = degrees[0, 1] + (degrees[:, 1] - degrees[0, 1] + 180.0) % 360.0 - 180.0  # no jump at the date line
    lat0, lon0 = (lat.min() + lat.max()) / 2.0, (lon.min() + lon.max()) / 2.0
    flattened = 1.0 - _WGS84_ECCENTRICITY_2 * math.sin(math.radians(lat0)) ** 2
    north_m = _WGS84_RADIUS_M * (1.0 - _WGS84_ECCENTRICITY_2) / flattened**1.5  # m per radian of latitude
    east_m = _WGS84_RADIUS_M / math.sqrt(flattened) * math.cos(math.radians(lat0))  # m per radian of longitude
    offset = np.column_stack([np.radians(lon - lon0) * east_m, np.radians(lat - lat0) * north_m])
    extent = 2.0 * np.abs(offset).max(axis=0)
    if (extent > area_m).any():
        raise ProblemError(
            f"{title}: the users span {extent[0]:.0f} m x {extent[1]:.0f} m, but area_m = {area_m:g}; "
            f"enlarge area_m to at least {math.ceil(extent.max())} or choose users closer together."
        )
    points: FloatArray = np.clip(offset + area_m / 2.0, 0.0, area_m)  # clip: rounding at the very edge only
    return points
