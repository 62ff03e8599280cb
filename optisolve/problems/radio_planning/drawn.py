"""Cities that are drawn: candidate sites on a shaken grid, users with hot spots, gains by the statistical channel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optisolve.core.arrays import FloatArray, IntArray
from optisolve.problems.radio_planning.antenna import SectorAntenna
from optisolve.problems.radio_planning.channel import EnvironmentName, shadowed_loss_db
from optisolve.problems.radio_planning.table import LevelArray, RadioTable, TableHead, levels_of

__all__ = ["Hotspots", "drawn_table", "users_of_cells"]

_FLOOR_DB, _STEP_DB, _TOP_DB = -180.0, 0.7, -2.5
"""Gains of levels, dB; more than the top nothing receives, however near it stands."""
_SHAKE = 0.4
"""Share of the grid's spacing by which a candidate is moved at most, along both axes."""


@dataclass(frozen=True, slots=True)
class Hotspots:
    """Where users gather.

    Args:
        count: Number of hot spots.
        radius_m: Standard deviation of the users around one, along both axes, m.
        share: Share of the users that belong to a hot spot; the others are uniform.
    """

    count: int
    radius_m: float
    share: float


def users_of_cells(rng: np.random.Generator, cells_m: FloatArray, n_users: int, spots: Hotspots) -> IntArray:
    """Cells that users stand in, int64 [n_users], drawn with repetition; hot spots have their middle in a random cell.

    Args:
        rng: Random numbers.
        cells_m: float64 [C, 3], m.
        n_users: How many.
        spots: Where users gather.
    """
    middle = cells_m[rng.integers(len(cells_m), size=spots.count), :2]  # [H, 2]
    squared = ((cells_m[None, :, :2] - middle[:, None]) ** 2).sum(axis=2)  # [H, C]
    near = np.exp(-squared / (2.0 * spots.radius_m**2))
    share = spots.share if spots.count else 0.0
    weight = np.full(len(cells_m), (1.0 - share) / len(cells_m))
    for spot in near:
        weight += share / spots.count * spot / spot.sum()
    edges = np.cumsum(weight)
    return np.minimum(np.searchsorted(edges, rng.random(n_users) * edges[-1], side="right"), len(cells_m) - 1)


def drawn_table(
    rng: np.random.Generator,
    *,
    environment: EnvironmentName,
    area_m: float,
    n_candidates: int,
    n_users: int,
    spots: Hotspots,
    station_m: float,
    receiver_m: float,
    carrier_hz: float,
    tilt_deg: tuple[float, ...],
    n_azimuths: int,
) -> RadioTable:
    """The table of a drawn city; its cells are the users themselves.

    Args:
        rng: Random numbers.
        environment: ``"uma"`` or ``"umi"``.
        area_m: Side of the square, m.
        n_candidates: Candidate sites N.
        n_users: Users K.
        spots: Where users gather.
        station_m: Height of the antennas, m.
        receiver_m: Height of the users' receivers, m.
        carrier_hz: Carrier frequency, Hz.
        tilt_deg: Down-tilts, rising.
        n_azimuths: Azimuths A.
    """
    antenna = SectorAntenna()
    sites = _sites(rng, area_m, n_candidates, station_m)
    users = _users(rng, area_m, n_users, spots, receiver_m)
    loss_db, _ = shadowed_loss_db(rng, environment, sites, users, carrier_hz)
    return RadioTable(
        head=TableHead(f"drawn, {environment}", carrier_hz, 0.0, antenna, _FLOOR_DB, _STEP_DB),
        level=_levels(antenna, sites, users, loss_db, tilt_deg, n_azimuths),
        sites_m=sites,
        roof_m=np.zeros(n_candidates),
        tilt_deg=np.array(tilt_deg),
        azimuth_deg=np.arange(n_azimuths) * 360.0 / n_azimuths,
        cells_m=users,
        building_dm=np.zeros((0, 0), dtype=np.int16),
        raster_m=np.zeros(3),
    )


def _levels(
    antenna: SectorAntenna,
    sites: FloatArray,
    users: FloatArray,
    loss_db: FloatArray,
    tilt_deg: tuple[float, ...],
    n_azimuths: int,
) -> LevelArray:
    """Levels int8 [N, T, A, K]; without walls between the antenna's pattern and the user."""
    direction = users[None, :, :] - sites[:, None, :]  # [N, K, 3]
    levels = np.empty((len(sites), len(tilt_deg), n_azimuths, len(users)), dtype=np.int8)
    for t, tilt in enumerate(tilt_deg):
        for a in range(n_azimuths):
            gain = antenna.gain_db(direction, a * 360.0 / n_azimuths, tilt) - loss_db
            levels[:, t, a] = levels_of(np.minimum(gain, _TOP_DB), floor_db=_FLOOR_DB, step_db=_STEP_DB)
    return levels


def _sites(rng: np.random.Generator, area_m: float, n_candidates: int, station_m: float) -> FloatArray:
    """A square grid of which as many places are kept as there are candidates, each shaken; float64 [N, 3], m."""
    side = int(np.ceil(np.sqrt(n_candidates)))
    kept = np.sort(rng.permutation(side * side)[:n_candidates])
    grid = np.stack([kept % side, kept // side], axis=1) + 0.5
    places = (grid + rng.uniform(-_SHAKE, _SHAKE, grid.shape)) * (area_m / side)
    return np.column_stack([places, np.full(n_candidates, station_m)])


def _users(rng: np.random.Generator, area_m: float, n_users: int, spots: Hotspots, receiver_m: float) -> FloatArray:
    """Users, uniform or around a hot spot, inside the square; float64 [K, 3], m."""
    middle = rng.random((max(1, spots.count), 2)) * area_m
    spot = rng.integers(max(1, spots.count), size=n_users)
    gathered = rng.random(n_users) < (spots.share if spots.count else 0.0)
    around = middle[spot] + rng.standard_normal((n_users, 2)) * spots.radius_m
    uniform = rng.random((n_users, 2)) * area_m
    mirrored = area_m - np.abs(area_m - np.abs(around) % (2.0 * area_m))  # at the edges, so that nobody stands on them
    places = np.where(gathered[:, None], mirrored, uniform)
    return np.column_stack([places, np.full(n_users, receiver_m)])
