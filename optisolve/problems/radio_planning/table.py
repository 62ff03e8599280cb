"""Tables of path gains: what every candidate site gives every cell, for every down-tilt and azimuth, in one small file.

A file is an npz archive without pickles:

| array | dtype, shape | meaning |
|---|---|---|
| `level` | int8 [N, T, A, C] | path gain, antenna included, dB: ``floor_db + step_db (level + 127)``; -128 without a path |
| `sites_m` | float64 [N, 3] | antennas: x east, y north, z up, m |
| `roof_m` | float64 [N] | height of the roof below the antenna over the ground, m |
| `tilt_deg` | float64 [T] | down-tilts, rising |
| `azimuth_deg` | float64 [A] | 0, 360/A, 2 * 360/A, ..., counter-clockwise from east |
| `cells_m` | float64 [C, 3] | centers of the cells outside of buildings, at the height of receivers, m |
| `building_dm` | int16 [R, S] | heights of buildings on a raster, 0.1 m, row 0 in the south; 0 where there is none |
| `raster_m` | float64 [3] | x and y of the raster's south-west corner, side of a pixel, m |
| `head` | uint8 | UTF-8 text of a JSON object: the fields of `TableHead` and `sha256` of all else |

The gain is the mean over the cell, of one transmitter with the antenna of the head towards an isotropic receiver. Gains are
rounded to the nearest level, so that each is off by at most half a step; what is below the floor counts as no path.
"""

from __future__ import annotations

import io
import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from optisolve.core.arrays import FloatArray, array_hash, frozen
from optisolve.core.documents import JsonObject, canonical, write_atomic
from optisolve.core.errors import ProblemError
from optisolve.problems.data_files import read_arrays
from optisolve.problems.radio_planning.antenna import SectorAntenna

__all__ = ["FORMAT", "NO_PATH", "LevelArray", "RadioTable", "TableHead", "levels_of", "read_table", "write_table"]

FORMAT = 1
NO_PATH = -128
_LOWEST, _HIGHEST = -127, 127

LevelArray = npt.NDArray[np.int8]


@dataclass(frozen=True)
class TableHead:
    """What a table says of itself.

    Args:
        scene: Name of the scene, e.g. ``"munich"``; of a drawn one what drew it.
        carrier_hz: Carrier frequency, Hz.
        cell_m: Side of a cell, m.
        antenna: Antenna of every transmitter.
        floor_db: Gain of level -127, dB.
        step_db: dB per level.
        tracer: Settings of what computed the gains: rays, depth, seed, kinds of interaction.
        versions: Versions of what computed them, by package.
    """

    scene: str
    carrier_hz: float
    cell_m: float
    antenna: SectorAntenna = field(default_factory=SectorAntenna)
    floor_db: float = -170.0
    step_db: float = 0.5
    tracer: JsonObject = field(default_factory=dict)
    versions: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class RadioTable:
    """Path gains of candidate sites and the map they belong to; shapes and units as in the module's table.

    Args:
        head: What the table says of itself.
        level: int8 [N, T, A, C], see `levels_of`.
        sites_m: float64 [N, 3].
        roof_m: float64 [N].
        tilt_deg: float64 [T].
        azimuth_deg: float64 [A].
        cells_m: float64 [C, 3].
        building_dm: int16 [R, S]; [0, 0] without buildings.
        raster_m: float64 [3].

    Raises:
        ProblemError: Shapes or values do not fit each other; the text names the array.
    """

    head: TableHead
    level: LevelArray
    sites_m: FloatArray
    roof_m: FloatArray
    tilt_deg: FloatArray
    azimuth_deg: FloatArray
    cells_m: FloatArray
    building_dm: npt.NDArray[np.int16]
    raster_m: FloatArray

    def __post_init__(self) -> None:
        for name in ("sites_m", "roof_m", "tilt_deg", "azimuth_deg", "cells_m", "raster_m"):
            object.__setattr__(self, name, frozen(getattr(self, name)))
        _check(self)

    def gain_db(self, level: LevelArray) -> FloatArray:
        """Path gains of levels, dB; -inf where no path arrives."""
        db = self.head.floor_db + self.head.step_db * (level.astype(np.float64) - _LOWEST)
        return np.where(level == NO_PATH, -np.inf, db)

    @property
    def linear(self) -> FloatArray:
        """Linear gain of every level, float64 [256]; entry ``level + 128``, 0 where no path arrives."""
        return np.asarray(10.0 ** (self.gain_db(np.arange(-128, 128).astype(np.int8)) / 10.0))

    @property
    def sha256(self) -> str:
        """Hash of arrays and head."""
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        return array_hash(arrays, canonical(asdict(self.head)).decode())


_ARRAYS = tuple(entry.name for entry in fields(RadioTable) if entry.name != "head")
_DTYPES = {"level": np.int8, "building_dm": np.int16}


def levels_of(gain_db: npt.NDArray[np.floating[Any]], *, floor_db: float = -170.0, step_db: float = 0.5) -> LevelArray:
    """Path gains as levels of a table.

    Args:
        gain_db: Any shape, dB; -inf where no path arrives.
        floor_db: Gain of the lowest level, dB; what is more than half a step below it becomes no path.
        step_db: dB per level.

    Raises:
        ProblemError: A gain is NaN or above the highest level.
    """
    if np.isnan(gain_db).any():
        raise ProblemError("table of path gains: a gain is NaN; give -inf where no path arrives.")
    level = np.rint((gain_db - floor_db) / step_db) + _LOWEST
    if level.size and float(level.max()) > _HIGHEST:
        top = floor_db + step_db * (_HIGHEST - _LOWEST)
        given = float(np.max(gain_db))
        raise ProblemError(f"table of path gains: a gain is {given:.1f} dB; floor_db and step_db reach up to {top:.1f} dB.")
    return np.where(level < _LOWEST, NO_PATH, level).astype(np.int8)


def write_table(path: Path, table: RadioTable) -> None:
    """Write a table, all or nothing; the same table gives the same bytes.

    Args:
        path: Ends in ``.npz``.
        table: What to write.
    """
    head = {"format": FORMAT, **asdict(table.head), "sha256": table.sha256}
    text = np.frombuffer(canonical(head), dtype=np.uint8)
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {name: getattr(table, name) for name in _ARRAYS}
    np.savez_compressed(buffer, head=text, **arrays)
    write_atomic(path, buffer.getvalue())


def read_table(path: str | Path, setting: str = "table") -> RadioTable:
    """Read and check a table.

    Args:
        path: The file.
        setting: Who names it, for messages.

    Raises:
        ProblemError: It is missing, damaged, of another format or altered since it was written; the text says what.
    """
    where = f"{setting}: '{path}'"
    arrays = read_arrays(str(path), setting)
    if not isinstance(arrays, dict) or "head" not in arrays:
        raise ProblemError(f"{where} is no table of path gains: it has no array 'head'; make one with write_table.")
    try:
        told = json.loads(np.asarray(arrays["head"], dtype=np.uint8).tobytes())
        stated, kind = told.pop("sha256"), told.pop("format")
        if kind != FORMAT:
            raise ProblemError(f"{where} has format {kind}; this version reads format {FORMAT}.")
        head = TableHead(**{**told, "antenna": SectorAntenna(**told["antenna"])})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ProblemError(f"{where}: its head cannot be read ({error}); expected the fields of TableHead.") from error
    if missing := [name for name in _ARRAYS if name not in arrays]:
        raise ProblemError(f"{where} lacks {', '.join(missing)}; a table has {', '.join(_ARRAYS)} and head.")
    found = {name: np.asarray(arrays[name]) for name in _ARRAYS}
    for name, values in found.items():
        expected = _DTYPES.get(name, np.float64)
        if values.dtype != expected:
            raise ProblemError(f"{where}: {name} is {values.dtype}; expected {np.dtype(expected)}.")
    try:
        table = RadioTable(head, **cast("dict[str, Any]", found))
    except ProblemError as error:
        raise ProblemError(f"{where}: {error}") from None
    if table.sha256 != stated:
        raise ProblemError(
            f"{where} was altered: its content has SHA-256 {table.sha256[:16]}, its head says {str(stated)[:16]}."
        )
    return table


def _check(table: RadioTable) -> None:
    """Refuse a table whose arrays do not fit each other."""
    level = table.level
    if level.ndim != 4 or 0 in level.shape:
        raise ProblemError(f"level has shape {level.shape}; expected [sites, tilts, azimuths, cells], none of them 0.")
    n, t, a, c = level.shape
    shapes = {"sites_m": (n, 3), "roof_m": (n,), "tilt_deg": (t,), "azimuth_deg": (a,), "cells_m": (c, 3), "raster_m": (3,)}
    for name, shape in shapes.items():
        values = getattr(table, name)
        if values.shape != shape:
            raise ProblemError(f"{name} has shape {values.shape}; expected {shape}, since level has shape {level.shape}.")
        if not np.isfinite(values).all():
            raise ProblemError(f"{name} holds a value that is not finite.")
    if len(np.unique(table.sites_m[:, :2], axis=0)) < n:
        raise ProblemError("sites_m holds two sites at one place on the map; expected different x and y.")
    if (np.diff(table.tilt_deg) <= 0.0).any():
        raise ProblemError(f"tilt_deg is {table.tilt_deg.tolist()}; expected rising values.")
    if not np.allclose(table.azimuth_deg, np.arange(a) * 360.0 / a):
        raise ProblemError(f"azimuth_deg is {table.azimuth_deg.tolist()}; expected 0, {360 / a:g}, {720 / a:g}, ... up to 360.")
    if table.building_dm.ndim != 2:
        raise ProblemError(f"building_dm has shape {table.building_dm.shape}; expected a raster [rows, columns].")
    if not np.isfinite([table.head.floor_db, table.head.step_db]).all() or table.head.step_db <= 0.0:
        raise ProblemError(
            f"step_db is {table.head.step_db} and floor_db {table.head.floor_db}; expected numbers, step_db > 0."
        )
