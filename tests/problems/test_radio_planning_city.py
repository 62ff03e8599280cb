"""Cities from above: rasters, open cells, roofs. A city of two houses stands in for a scene."""

import numpy as np
import pytest

from optisolve.core.errors import ProblemError
from optisolve.problems.radio_planning.city import CellGrid, spread_roofs, survey


class TwoHouses:
    """10 m high from x = 0 to 20 m, 30 m high from x = 60 to 80 m, both from y = 0 to 40 m, in 100 m x 60 m."""

    low_m, high_m = np.array([0.0, 0.0, 0.0]), np.array([100.0, 60.0, 30.0])

    def heights_m(self, x_m, y_m):
        inside = (y_m >= 0) & (y_m < 40)
        return np.where(inside & (x_m < 20), 10.0, np.where(inside & (x_m >= 60) & (x_m < 80), 30.0, 0.0))


GRID = CellGrid(0.0, 0.0, 5, 3, 20.0)


@pytest.fixture(scope="module")
def city():
    return survey(TwoHouses(), 5.0)


def test_the_raster_has_the_heights_of_the_scene(city):
    """At the middles of all pixels."""
    row, column = np.indices(city.height_m.shape)
    x, y = np.moveaxis(city.centers_m(row, column), -1, 0)
    assert city.height_m.shape == (12, 20)
    assert np.array_equal(city.height_m, TwoHouses().heights_m(x, y))


def test_cells_under_a_house_are_not_open(city):
    """Rows count from the south: two rows of houses, one of streets."""
    assert city.open_cells(GRID).astype(int).tolist() == [[0, 1, 1, 0, 1], [0, 1, 1, 0, 1], [1, 1, 1, 1, 1]]


def test_an_area_without_streets_is_an_error(city):
    """The text says where and what to do."""
    with pytest.raises(ProblemError, match=r"no cell of 1 x 2 .*lies in the open.*another area"):
        city.open_cells(CellGrid(0.0, 0.0, 1, 2, 20.0))


def test_points_belong_to_cells_by_rows(city):
    """-1 outside of the grid."""
    points = np.array([[1.0, 1.0], [99.0, 1.0], [1.0, 59.0], [-1.0, 1.0], [1.0, 61.0]])
    assert GRID.index_of(points).tolist() == [0, 4, 10, -1, -1]
    assert GRID.index_of(GRID.cells_m.reshape(-1, 3)).tolist() == list(range(15))


def test_the_nearest_roof_is_the_nearest(city):
    """Against all roofs by distance; points on a roof stay where they are."""
    roofs = city.roofs(5.0, GRID)
    places = city.centers_m(*np.nonzero(roofs))
    points = np.random.default_rng(0).uniform((0.0, 0.0), (100.0, 60.0), (200, 2))
    moved, away = city.to_roof(points, roofs)
    on = roofs[city.pixels_of(points)]
    assert np.array_equal(moved[on], points[on])
    assert not away[on].any()
    centers = city.centers_m(*city.pixels_of(points[~on]))
    least = np.hypot(*np.moveaxis(centers[:, None] - places, -1, 0)).min(axis=1)
    assert np.allclose(np.hypot(*(moved[~on] - centers).T), least)


def test_low_roofs_are_left_out(city):
    """Only the house of 30 m is high enough."""
    places = city.centers_m(*np.nonzero(city.roofs(12.0, GRID)))
    assert (places[:, 0] > 60.0).all()


def test_spread_sites_are_different_roofs_far_apart(city):
    """The second of two stands on the other house; a third is a corner again."""
    roofs = city.roofs(5.0, GRID)
    first, second = spread_roofs(city, roofs, 2)
    assert (first[0] < 20.0) != (second[0] < 20.0)
    assert len(np.unique(spread_roofs(city, roofs, 64), axis=0)) == 64


def test_more_sites_than_roofs_is_an_error(city):
    """The text says how many there are."""
    with pytest.raises(ProblemError, match=r"65 sites are wanted, but only 64 .*lower roof_min_m"):
        spread_roofs(city, city.roofs(5.0, GRID), 65)
