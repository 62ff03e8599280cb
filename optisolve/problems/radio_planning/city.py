"""A city seen from above: heights on a raster, cells of streets and squares, roofs to stand on.

Heights count from the ground, which is taken as flat at z = 0 m; x is east, y is north.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Protocol

import numpy as np
import numpy.typing as npt
from annotated_types import Interval
from scipy.ndimage import distance_transform_edt

from optisolve.core.arrays import BoolArray, FloatArray
from optisolve.core.errors import ProblemError

__all__ = ["CellGrid", "CityMap", "Surveyed", "spread_roofs", "survey"]

_OPEN_BELOW_M = 1.0
"""What is lower than this is no building: a curb, or rounding of the scene's vertices."""


class Surveyed(Protocol):
    """A scene whose heights can be asked for."""

    low_m: FloatArray
    high_m: FloatArray

    def heights_m(self, x_m: FloatArray, y_m: FloatArray) -> FloatArray:
        """Heights at points of any shape, m."""
        ...


@dataclass(frozen=True, slots=True)
class CellGrid:
    """Square cells in rows from south to north, columns from west to east.

    Args:
        west_m: x of the western edge, m.
        south_m: y of the southern edge, m.
        columns: Cells from west to east.
        rows: Cells from south to north.
        cell_m: Side of a cell, m.
        height_m: Height of receivers, m.
    """

    west_m: float
    south_m: float
    columns: Annotated[int, Interval(ge=1, le=2000)]
    rows: Annotated[int, Interval(ge=1, le=2000)]
    cell_m: Annotated[float, Interval(gt=0, le=1000)]
    height_m: float = 1.5

    @property
    def size_m(self) -> tuple[float, float]:
        """Width and height, m."""
        return self.columns * self.cell_m, self.rows * self.cell_m

    @property
    def center_m(self) -> tuple[float, float, float]:
        """Center at the height of receivers, m."""
        width, height = self.size_m
        return self.west_m + 0.5 * width, self.south_m + 0.5 * height, self.height_m

    @property
    def cells_m(self) -> FloatArray:
        """Centers of the cells, float64 [rows, columns, 3], m."""
        x = self.west_m + (np.arange(self.columns) + 0.5) * self.cell_m
        y = self.south_m + (np.arange(self.rows) + 0.5) * self.cell_m
        return np.stack([*np.meshgrid(x, y), np.full((self.rows, self.columns), self.height_m)], axis=-1)

    def index_of(self, points_m: FloatArray) -> npt.NDArray[np.int64]:
        """The cell, counted along the rows, that holds a point; -1 outside.

        Args:
            points_m: float64 [K, 2 or 3], m.

        Returns:
            int64 [K].
        """
        column = np.floor((points_m[:, 0] - self.west_m) / self.cell_m).astype(np.int64)
        row = np.floor((points_m[:, 1] - self.south_m) / self.cell_m).astype(np.int64)
        inside = (column >= 0) & (column < self.columns) & (row >= 0) & (row < self.rows)
        return np.where(inside, row * self.columns + column, -1)


@dataclass(frozen=True, eq=False, slots=True)
class CityMap:
    """Heights of buildings on a raster.

    Args:
        height_m: float64 [R, S], row 0 in the south; 0 where there is no building.
        west_m: x of the raster's western edge, m.
        south_m: y of its southern edge, m.
        pixel_m: Side of a pixel, m.
    """

    height_m: FloatArray
    west_m: float
    south_m: float
    pixel_m: float

    def pixels_of(self, points_m: FloatArray) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Rows and columns of the pixels that hold points, the nearest ones for points outside.

        Args:
            points_m: float64 [..., 2], m.
        """
        rows, columns = self.height_m.shape
        column = np.floor((points_m[..., 0] - self.west_m) / self.pixel_m).astype(np.int64)
        row = np.floor((points_m[..., 1] - self.south_m) / self.pixel_m).astype(np.int64)
        return np.clip(row, 0, rows - 1), np.clip(column, 0, columns - 1)

    def centers_m(self, row: npt.NDArray[np.int64], column: npt.NDArray[np.int64]) -> FloatArray:
        """Centers of pixels, float64 [..., 2], m."""
        x = self.west_m + (column + 0.5) * self.pixel_m
        y = self.south_m + (row + 0.5) * self.pixel_m
        return np.stack([x, y], axis=-1)

    def open_cells(self, grid: CellGrid) -> BoolArray:
        """Cells at least half of which lie outside of buildings, bool [rows, columns].

        Raises:
            ProblemError: There are none.
        """
        per_side = max(1, int(np.ceil(grid.cell_m / self.pixel_m)))
        offset = ((np.arange(per_side) + 0.5) / per_side - 0.5) * grid.cell_m
        shift = np.stack(np.meshgrid(offset, offset), axis=-1).reshape(-1, 2)  # [s, 2]
        points = grid.cells_m[:, :, None, :2] + shift  # [rows, columns, s, 2]
        open_share = (self.height_m[self.pixels_of(points)] < _OPEN_BELOW_M).mean(axis=2)
        found: BoolArray = open_share >= 0.5
        if not found.any():
            raise ProblemError(
                f"no cell of {grid.columns} x {grid.rows} from x = {grid.west_m:g} m, y = {grid.south_m:g} m lies in the open; "
                "expected streets at a height of 0 m: choose another area or scene."
            )
        return found

    def roofs(self, lowest_m: float, grid: CellGrid) -> BoolArray:
        """Pixels of roofs at least so high and within the grid's area, bool [R, S]."""
        rows, columns = self.height_m.shape
        row, column = np.indices((rows, columns))
        inside = grid.index_of(self.centers_m(row, column).reshape(-1, 2)).reshape(rows, columns) >= 0
        found: BoolArray = (self.height_m >= lowest_m) & inside
        return found

    def to_roof(self, points_m: FloatArray, roofs: BoolArray) -> tuple[FloatArray, FloatArray]:
        """The nearest places on roofs.

        Args:
            points_m: float64 [n, 2], m.
            roofs: bool [R, S], pixels to stand on, at least one.

        Returns:
            Places float64 [n, 2], m: the point itself where its pixel is a roof, else the center of the nearest roof pixel; and
            how far they are from the points, float64 [n], m.
        """
        nearest = distance_transform_edt(~roofs, return_distances=False, return_indices=True)
        row, column = self.pixels_of(points_m)
        target = self.centers_m(nearest[0][row, column].astype(np.int64), nearest[1][row, column].astype(np.int64))
        there = roofs[row, column][:, None]
        moved = np.where(there, points_m, target)
        return moved, np.hypot(*(moved - points_m).T)


def survey(scene: Surveyed, pixel_m: float) -> CityMap:
    """The map of a scene, one plumb line per pixel.

    Args:
        scene: What to look at from above.
        pixel_m: Side of a pixel, m.
    """
    west, south = (float(np.floor(value / pixel_m) * pixel_m) for value in scene.low_m[:2])
    columns, rows = (int(np.ceil((high - low) / pixel_m)) for low, high in zip((west, south), scene.high_m[:2], strict=True))
    empty = CityMap(np.zeros((rows, columns)), west, south, pixel_m)
    row, column = np.indices((rows, columns))
    x, y = np.moveaxis(empty.centers_m(row, column), -1, 0)
    height = np.round(scene.heights_m(x, y), 1)
    return CityMap(np.where(height < _OPEN_BELOW_M, 0.0, height), west, south, pixel_m)


def spread_roofs(city: CityMap, roofs: BoolArray, count: int) -> FloatArray:
    """Candidate sites far from each other: the roof nearest to the middle, then always the one farthest from all chosen.

    Args:
        city: The map.
        roofs: bool [R, S], pixels to stand on.
        count: Sites N.

    Returns:
        float64 [N, 2], m.

    Raises:
        ProblemError: There are fewer roof pixels than sites.

    Source: Gonzalez, Clustering to minimize the maximum intercluster distance, 1985 (farthest-first traversal).
    """
    places = city.centers_m(*np.nonzero(roofs))  # [P, 2]
    if len(places) < count:
        told = f"{count} sites are wanted, but only {len(places)} pixels of roofs are high enough"
        raise ProblemError(f"{told}: lower roof_min_m, or take fewer sites.")
    middle = 0.5 * (places.min(axis=0) + places.max(axis=0))
    chosen = [int(np.argmin(np.hypot(*(places - middle).T)))]
    distance = np.hypot(*(places - places[chosen[0]]).T)
    while len(chosen) < count:
        chosen.append(int(np.argmax(distance)))
        distance = np.minimum(distance, np.hypot(*(places - places[chosen[-1]]).T))
    return places[chosen]
