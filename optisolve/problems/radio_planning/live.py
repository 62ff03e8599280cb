"""Radio planning with the ray tracer in the loop: every evaluation traces the plan's transmitters through the scene.

A run and its verification trace different rays: verification starts as many or more, in other directions, and decides otherwise
at walls. Values of a run are estimates, so those that verification states are others, which took no part in the search; how far
the two may be apart is part of the scenario, and a record whose values are farther apart claims nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from optisolve.core import Description, Evaluation, HypervolumeBox, Origin
from optisolve.core.arrays import BoolArray, FloatArray, IntArray, frozen
from optisolve.problems.radio_planning import model
from optisolve.problems.radio_planning.antenna import SectorAntenna
from optisolve.problems.radio_planning.city import CellGrid, CityMap, spread_roofs, survey
from optisolve.problems.radio_planning.drawn import Hotspots, users_of_cells
from optisolve.problems.radio_planning.instance import PlanningInstance
from optisolve.problems.radio_planning.model import Choice, Goal, Plan, Transmitters
from optisolve.problems.radio_planning.tracing import Device, Rays, Receivers, Tracer, tracer_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes


__all__ = ["LiveInstance", "Scene", "Stands", "live_instance"]

_RAY_S = 5e-7
"""Seconds that one core takes per ray, at depth 5 in Munich; measured, see docs/radio_planning.md."""
_RAY_OF_PATHS_S = 1e-5
"""The same per ray and twenty receivers where paths are found."""
_ROUNDING = 1e-7
_PIXEL_M = 5.0
"""Side of a pixel of the raster of heights."""
_LISTED_ROOFS = 16
_WORDS: dict[Choice, str] = {
    "height": "a height above its roof in m",
    "azimuth": "an azimuth in degrees",
    "tilt": "a down-tilt in degrees",
    "power": "a power in dBm",
}
_MOST_BITS = 8.0
"""Spectral efficiency that no user needs more of, bit/s/Hz, for the good corner of the scoring box."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What is traced, and how.

    Args:
        name: Name of a scene of the tracer, or path of one.
        carrier_hz: Carrier frequency, Hz.
        rays: Of a run.
        receivers: ``"map"``: a user hears the mean of its cell; ``"paths"``: what arrives where it stands.
        antenna: Of every transmitter.
        device: Where to trace.
    """

    name: str
    carrier_hz: float
    rays: Rays
    receivers: Receivers
    antenna: SectorAntenna
    device: Device = "auto"

    def opened(self) -> Tracer:
        """The tracer, opened once per process.

        Raises:
            MissingDependency: It is not installed.
            ProblemError: The scene is unknown, or the machine lacks what tracing needs.
        """
        return tracer_of(self.name, self.carrier_hz, self.antenna, self.device)


@dataclass(frozen=True, eq=False, slots=True)
class Stands:
    """Where transmitters may stand.

    Args:
        city: Heights from above.
        roofs: bool [R, S], pixels to stand on.
        height_m: Smallest and largest height of an antenna above its roof, m.
        tilt_deg: Smallest and largest down-tilt, degrees.
    """

    city: CityMap
    roofs: BoolArray
    height_m: tuple[float, float]
    tilt_deg: tuple[float, float]


class LiveInstance(PlanningInstance):
    """A scene, users in it, and roofs to stand on; a position stands for the nearest place on a roof.

    Args:
        origin: How to make this instance again.
        plan: What is decided and wanted.
        scene: What is traced.
        stands: Where transmitters may stand.
        grid: Cells of the area.
        is_open: bool [rows, columns], cells outside of buildings.
        users: int64 [K], the open cell of every user, counted along the rows.
        verify_rays: How many times as many rays verification starts.
        agreement: By how much values of a run may differ from those of verification, relative to the largest of the run.
        hypervolume_box: Scoring box of several objectives; None takes what is possible at all.
    """

    runs_in = "process"

    def __init__(
        self,
        *,
        origin: Origin,
        plan: Plan,
        scene: Scene,
        stands: Stands,
        grid: CellGrid,
        is_open: BoolArray,
        users: IntArray,
        verify_rays: int,
        agreement: Mapping[Goal, float],
        hypervolume_box: HypervolumeBox | None = None,
    ) -> None:
        self.scene, self.stands, self.grid, self.users = scene, stands, grid, users
        self.is_open = is_open
        self.cells_m = frozen(grid.cells_m[is_open])  # [C, 3]
        self._verify_rays = scene.rays.others(verify_rays)
        places = stands.city.centers_m(*np.nonzero(stands.roofs))
        half = 0.5 * stands.city.pixel_m
        bounds = {
            name: (float(places[:, i].min() - half), float(places[:, i].max() + half)) for i, name in enumerate(("x_m", "y_m"))
        }
        if "height" in plan.decide:
            bounds["height_m"] = stands.height_m
        if "azimuth" in plan.decide:
            bounds["azimuth_deg"] = (0.0, 360.0)
        if "tilt" in plan.decide:
            bounds["tilt_deg"] = stands.tilt_deg
        if "power" in plan.decide:
            bounds["power_dbm"] = plan.power_dbm
        super().__init__(origin=origin, plan=plan, bounds=bounds, hypervolume_box=hypervolume_box)
        self.agreement = np.array([agreement.get(goal, _ROUNDING) for goal in plan.goals])
        per_ray = _RAY_S if scene.receivers == "map" else _RAY_OF_PATHS_S * users.size / 20.0
        self.evaluation_s = per_ray * plan.n_transmitters * scene.rays.per_transmitter
        self._spread = spread_roofs(stands.city, stands.roofs, plan.n_transmitters)

    # -- what a point stands for -----------------------------------------------------------------------------------

    def transmitters(self, X: FloatArray) -> Transmitters:
        """The configurations that points stand for, on roofs.

        What is not decided: heights and tilts are the middle of theirs, antennas look to the users, powers are the largest.
        """
        n, m = X.shape[0], self.plan.n_transmitters
        wanted = np.stack([self.columns(X, "x_m"), self.columns(X, "y_m")], axis=-1).reshape(-1, 2)
        place, _ = self.stands.city.to_roof(wanted, self.stands.roofs)

        position = place.reshape(n, m, 2)
        given = {name: self.columns(X, name) for name in self._fields}
        return Transmitters(
            position,
            azimuth_deg=given.get("azimuth_deg", self._towards_users(position)),
            tilt_deg=given.get("tilt_deg", np.full((n, m), np.mean(self.stands.tilt_deg))),
            power_dbm=given.get("power_dbm", np.full((n, m), self.full_power_dbm)),
            height_m=given.get("height_m", np.full((n, m), np.mean(self.stands.height_m))),
        )

    def _towards_users(self, position_m: FloatArray) -> FloatArray:
        """Azimuths from places to the middle of the users, float64 of the places' shape without its last axis, degrees."""
        east, north = np.moveaxis(self.users_m[:, :2].mean(axis=0) - position_m, -1, 0)
        return np.asarray(np.rad2deg(np.arctan2(north, east)) % 360.0)

    @property
    def users_m(self) -> FloatArray:
        """Places of the users, float64 [K, 3], m: the middles of their cells."""
        return np.asarray(self.grid.cells_m.reshape(-1, 3)[self.users])

    # -- tracing ---------------------------------------------------------------------------------------------------

    def gains(self, chosen: Transmitters) -> FloatArray:
        """Linear path gains to the users by the rays of a run, float64 [n, M, K]; one trace per plan."""
        return self._traced(chosen, self.scene.rays)

    def _traced(self, chosen: Transmitters, rays: Rays) -> FloatArray:
        tracer = self.scene.opened()
        plans = self._antennas(tracer, chosen)
        if self.scene.receivers == "paths":
            return np.stack([tracer.user_gains(plan, self.users_m, rays) for plan in plans])
        maps = (tracer.cell_gains(plan, self.grid, rays) for plan in plans)
        return np.stack([cells.reshape(len(cells), -1)[:, self.users] for cells in maps])

    def _antennas(self, tracer: Tracer, chosen: Transmitters) -> FloatArray:
        """What the tracer places, float64 [n, M, 5]; heights of roofs are the scene's own, not those of the raster."""
        assert chosen.height_m is not None
        x, y = np.moveaxis(chosen.position_m, -1, 0)
        z = tracer.heights_m(x, y) + chosen.height_m
        return np.stack([x, y, z, chosen.azimuth_deg, chosen.tilt_deg], axis=-1)

    def warm_up(self) -> None:
        """Open the scene and compile for as many rays as an evaluation has, which the compiled code knows."""
        self.gains(self.transmitters(self.null_policies()["spread"]))

    def _evaluate_twin(self, X: FloatArray) -> Evaluation:
        """By other rays, see the module."""
        chosen = self.transmitters(X)
        power_w = model.watts(chosen.power_dbm)
        F = model.goals(model.links(self._traced(chosen, self._verify_rays), power_w, self.plan), power_w, self.plan)
        return Evaluation(F, self._constraints(chosen), np.empty((X.shape[0], 0)))

    # -- what solvers and people see -------------------------------------------------------------------------------

    def arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        """Heights and roofs on the raster, its corner and pixel, the open cells and the users, m."""
        city = self.stands.city
        return {
            "building_m": city.height_m,
            "raster_m": np.array([city.west_m, city.south_m, city.pixel_m]),
            "roofs": self.stands.roofs,
            "cells_m": self.cells_m,
            "users_m": self.users_m,
        }

    def features(self) -> Mapping[str, npt.NDArray[Any]]:
        """Users, m."""
        return {"users_m": frozen(self.users_m)}

    def null_policies(self) -> Mapping[str, FloatArray]:
        """``spread``: roofs far from each other, antennas at half their height that look to the users at full power."""
        m = self.plan.n_transmitters
        place = self._spread[None, :, :]
        values = {
            "x_m": place[..., 0],
            "y_m": place[..., 1],
            "height_m": np.full((1, m), np.mean(self.stands.height_m)),
            "azimuth_deg": self._towards_users(place),
            "tilt_deg": np.full((1, m), np.mean(self.stands.tilt_deg)),
            "power_dbm": np.full((1, m), self.full_power_dbm),
        }
        return {"spread": self.project(self.point(values))}

    def describe(self) -> Description:
        """The case in words."""
        plan, users_m, city = self.plan, self.users_m, self.stands.city
        decided = ["a position x_m, y_m in m", *(_WORDS[choice] for choice in plan.decide)]
        db = 10.0 * np.log10(plan.sinr_target)
        summary = (
            f"Place {plan.n_transmitters} radio transmitters on roofs of the city scene '{self.scene.name}' for "
            f"{len(users_m)} users on its streets. Each has {', '.join(decided)}; it stands on the nearest roof. "
            "Signals are traced through the buildings. A user is served where its signal to interference and noise ratio "
            f"reaches {db:g} dB."
        )
        places = spread_roofs(city, self.stands.roofs, min(_LISTED_ROOFS, int(self.stands.roofs.sum())))
        tops = city.height_m[city.pixels_of(places)]
        listed = ", ".join(f"({x:.0f}, {y:.0f}): {top:.0f}" for (x, y), top in zip(places, tops, strict=True))
        (x, y), (dx, dy) = users_m[:, :2].mean(axis=0), users_m[:, :2].std(axis=0)
        facts = (
            f"Users lie around ({x:.0f}, {y:.0f}) m, with a standard deviation of {dx:.0f} m east-west and {dy:.0f} m "
            "north-south.",
            f"Some roofs far from each other, (x, y) and height in m: {listed}.",
        )
        hints = ("Streets behind a block of houses hear only what walls throw back: look along streets and over squares.",)
        return self._in_words(summary, facts, hints)

    def draw(self, axes: Axes, x: FloatArray) -> bool:
        """A map: buildings, SINR of every open cell, users with and without service, transmitters and where they look."""
        from optisolve.plotting.maps import City, draw_city

        chosen = self.transmitters(self.space.require(x, what="x"))
        tracer, city = self.scene.opened(), self.stands.city
        cells = tracer.cell_gains(self._antennas(tracer, chosen)[0], self.grid, self._verify_rays)  # [M, rows, columns]
        power_w = model.watts(chosen.power_dbm)
        found = model.links(cells[None, :, self.is_open], power_w, self.plan)
        sinr = np.full(self.is_open.size, np.nan)
        sinr[self.is_open.ravel()] = found.sinr[0]
        with np.errstate(divide="ignore"):
            sinr_db = 10.0 * np.log10(found.sinr[0])
        draw_city(
            axes,
            City(city.height_m, np.array([city.west_m, city.south_m, city.pixel_m]), self.cells_m[:, :2], self.grid.cell_m),
            sinr_db=sinr_db,
            target_db=10.0 * float(np.log10(self.plan.sinr_target)),
            users_m=self.users_m[:, :2],
            served=sinr[self.users] >= self.plan.sinr_target,
            transmitters_m=chosen.position_m[0],
            azimuth_deg=chosen.azimuth_deg[0],
            labels=[f"{m}: {p:.0f} dBm" for m, p in enumerate(chosen.power_dbm[0])],
        )
        return True

    def _own_box(self) -> HypervolumeBox:
        """What is possible at all; random designs would have to be traced."""
        plan, m = self.plan, self.plan.n_transmitters
        watts = model.watts(np.array([self.full_power_dbm, plan.power_dbm[0]])) * m
        share = plan.bandwidth_hz * m / self.users.size / 1e6
        corners = {
            "coverage": (0.0, 100.0),
            "edge_rate": (0.0, _MOST_BITS * share),
            "power": (float(watts[0]), float(watts[1])),
        }
        bad, good = zip(*(corners[goal] for goal in plan.goals), strict=True)
        return HypervolumeBox(bad, good)

    def _project(self, X: FloatArray) -> FloatArray:
        """Powers to what the EIRP allows; positions onto roofs, too near to an earlier one to the nearest roof that is not."""
        X = super()._project(X)
        x, y = self.columns(X, "x_m"), self.columns(X, "y_m")
        place, _ = self.stands.city.to_roof(np.stack([x, y], axis=-1).reshape(-1, 2), self.stands.roofs)
        place = place.reshape(*x.shape, 2)
        violated = model.separation_gaps(place, self.plan).max(axis=1, initial=0.0) > 0.0
        for row in np.flatnonzero(violated):
            place[row] = self._apart(place[row])
        x[:], y[:] = np.moveaxis(place, -1, 0)
        return X

    def _apart(self, place: FloatArray) -> FloatArray:
        """Places that keep their distances, float64 [M, 2]: each the nearest to its own that the earlier ones leave."""
        roofs = self.stands.city.centers_m(*np.nonzero(self.stands.roofs))  # [P, 2]
        kept = place.copy()
        least = self.plan.distance_min_m
        for m in range(1, len(kept)):
            if (np.hypot(*(kept[:m] - kept[m]).T) >= least).all():
                continue
            away = np.hypot(*np.moveaxis(roofs[:, None] - kept[:m], -1, 0))  # [P, m]
            free = roofs[(away >= least).all(axis=1)]
            if not len(free):
                return self._spread
            kept[m] = free[np.argmin(np.hypot(*(free - place[m]).T))]
        return kept


class Numbers(Protocol):
    """A scenario of the family: its settings, and what follows from them."""

    def require_eirp(self, peak_dbi: float) -> None:
        """Refuse a cap on the EIRP that the smallest power passes already."""
        ...

    def plan(self, peak_dbi: float) -> Plan:
        """The scenario in SI units."""
        ...


def live_instance(
    problem: Numbers, rng: np.random.Generator, spots: Hotspots, origin: Origin, box: HypervolumeBox | None
) -> LiveInstance:
    """Survey a scene and place users in it.

    Args:
        problem: A problem of the live form.
        rng: Places the users.
        spots: Where users gather.
        origin: How to make the instance again.
        box: Scoring box, None for what is possible at all.

    Raises:
        MissingDependency: The tracer is not installed.
        ProblemError: The scene cannot be traced here, or has no room for the plan.
    """
    of = partial(getattr, problem)  # `RadioPlanning._check` has seen that none of these is None
    rays = Rays(of("rays"), of("ray_depth"), of("ray_seed"), of("refraction"), of("diffraction"))
    scene = Scene(of("scene"), of("carrier_hz"), rays, of("receivers"), SectorAntenna(), of("device"))
    problem.require_eirp(scene.antenna.peak_dbi)
    west_m, south_m = of("corner_m")
    grid = CellGrid(west_m, south_m, of("columns"), of("rows"), of("cell_m"))
    city = survey(scene.opened(), _PIXEL_M)
    is_open = city.open_cells(grid)
    chosen = users_of_cells(rng, grid.cells_m[is_open], of("n_users"), spots)
    return LiveInstance(
        origin=origin,
        plan=problem.plan(scene.antenna.peak_dbi),
        scene=scene,
        stands=Stands(city, city.roofs(of("roof_min_m"), grid), of("masts_m"), of("tilt_range_deg")),
        grid=grid,
        is_open=is_open,
        users=np.flatnonzero(is_open.ravel())[chosen],
        verify_rays=of("verify_rays"),
        agreement={"coverage": of("verify_coverage"), "edge_rate": of("verify_edge_rate")},
        hypervolume_box=box,
    )
