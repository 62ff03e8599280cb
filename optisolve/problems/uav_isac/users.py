"""Users from a CSV file."""

from __future__ import annotations

import csv
import math
import re
from pathlib import Path

import numpy as np

from optisolve.content import named_file
from optisolve.core.arrays import FloatArray
from optisolve.core.errors import ProblemError

__all__ = ["read_users"]

_MAX_LISTED = 10
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_METRIC = ("x_m", "y_m")
_GEOGRAPHIC = ("lat", "lon")
_WGS84_RADIUS_M = 6378137.0
_WGS84_ECCENTRICITY_2 = 0.00669437999014


def read_users(path: str, *, area_m: float, n_users: int | None) -> FloatArray:
    """Read users' positions.

    Args:
        path: CSV file (UTF-8) whose first line is ``x_m,y_m`` (m, inside the area) or ``lat,lon`` (degrees, WGS 84). The
            latter are projected to the tangent plane at the middle of their bounding box, which is put at the center
            of the area. Blank lines are skipped.
        area_m: Side of the square area, m.
        n_users: Expected count, or None for any.

    Returns:
        float64 [K, 2], m.

    Raises:
        ProblemError: The file is missing, not text, empty, has another header, a bad row (all are listed, up to ten), the
            wrong number of rows, or does not fit into the area.
    """
    title = f"users_file '{path}'"
    lines = _lines(path, title)
    header, rows = _header(lines, title), lines[1:]
    limits = ((0.0, area_m, "m"),) * 2 if header == _METRIC else ((-90.0, 90.0, "degrees"), (-180.0, 180.0, "degrees"))
    points: list[tuple[float, ...]] = []
    faults: list[str] = []
    for line, cells in rows:
        values, found = _row(cells, header, limits)
        faults.extend(f"line {line}, {fault}" for fault in found)
        points.append(values)
    if faults:
        shown = "\n".join(f"  - {fault}" for fault in faults[:_MAX_LISTED])
        more = f"\n  - and {len(faults) - _MAX_LISTED} more" if len(faults) > _MAX_LISTED else ""
        raise ProblemError(f"{title} has {len(faults)} bad value(s):\n{shown}{more}")
    if not points:
        raise ProblemError(f"{title} has a header but no users; expected one row per user.")
    if n_users is not None and len(points) != n_users:
        raise ProblemError(
            f"{title} has {len(points)} users, but n_users = {n_users}; set n_users to {len(points)} or to null."
        )
    array = np.array(points, dtype=np.float64)
    return array if header == _METRIC else _project(array, area_m, title)


def _lines(path: str, title: str) -> list[tuple[int, list[str]]]:
    """Line numbers and stripped cells of all lines that are not blank."""
    try:
        with named_file(Path(path).expanduser(), "users_file").open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            lines = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except OSError as error:
        raise ProblemError(f"{title} cannot be read ({error.strerror}); give the path of a CSV file.") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise ProblemError(f"{title} is not a CSV text in UTF-8 ({error}).") from None
    return [(number, cells) for number, cells in lines if cells not in ([], [""])]  # a row of commas is no blank line


def _header(lines: list[tuple[int, list[str]]], title: str) -> tuple[str, str]:
    expected = f"'{','.join(_METRIC)}' (metres) or '{','.join(_GEOGRAPHIC)}' (degrees)"
    if not lines:
        raise ProblemError(f"{title} is empty; expected the header {expected} and one row per user.")
    number, cells = lines[0]
    for header in (_METRIC, _GEOGRAPHIC):
        if tuple(cells) == header:
            return header
    raise ProblemError(f"{title}, line {number}: the header is {','.join(cells)!r}; expected {expected}.")


def _row(
    cells: list[str], header: tuple[str, str], limits: tuple[tuple[float, float, str], ...]
) -> tuple[tuple[float, ...], list[str]]:
    """Values of one row, and what is wrong with them."""
    if len(cells) != len(header):
        return (), [f"{','.join(header)}: got {','.join(cells)!r}, expected {len(header)} values, not {len(cells)}"]
    values, faults = [], []
    for name, cell, (low, high, unit) in zip(header, cells, limits, strict=True):
        value = float(cell) if _NUMBER.fullmatch(cell) else math.nan  # Python also reads 1_0 and digits of other scripts
        if not low <= value <= high:
            faults.append(f"{name}: got {cell!r}, expected a finite number in [{low:g}, {high:g}] {unit}")
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
