"""Radio planning from a table of gains: a position stands for the nearest candidate site, an angle for the nearest entry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from optisolve.core import Description, Evaluation, HypervolumeBox, Origin
from optisolve.core.arrays import BoolArray, FloatArray, IntArray, frozen
from optisolve.core.errors import ProblemError
from optisolve.core.evaluation import FEASIBILITY_TOLERANCE
from optisolve.problems.radio_planning import model
from optisolve.problems.radio_planning.instance import PlanningInstance
from optisolve.problems.radio_planning.model import Plan, Transmitters
from optisolve.problems.radio_planning.table import RadioTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["TableInstance"]

_LISTED_SITES = 16


class TableInstance(PlanningInstance):
    """Candidate sites with a table of gains.

    An *option* is a site with a tilt and an azimuth, numbered as the rows of ``level.reshape(N T A, C)``. A site whose tilt or
    azimuth is not decided has those with which it alone serves most cells, the first of equals.

    Args:
        origin: How to make this instance again.
        plan: What is decided and wanted.
        table: Sites, cells and gains.
        users: int64 [K], the cell of every user.
        hypervolume_box: Scoring box of several objectives; None lets it follow the instance.

    Raises:
        ProblemError: No such number of sites keeps the smallest distance.
    """

    def __init__(
        self, *, origin: Origin, plan: Plan, table: RadioTable, users: IntArray, hypervolume_box: HypervolumeBox | None = None
    ) -> None:
        self.table = table
        self.users = users
        x, y = table.sites_m[:, 0], table.sites_m[:, 1]
        bounds = {"x_m": (float(x.min()), float(x.max())), "y_m": (float(y.min()), float(y.max()))}
        if "azimuth" in plan.decide:
            bounds["azimuth_deg"] = (0.0, 360.0)
        if "tilt" in plan.decide:
            bounds["tilt_deg"] = (float(table.tilt_deg[0]), float(table.tilt_deg[-1]))
        if "power" in plan.decide:
            bounds["power_dbm"] = plan.power_dbm
        super().__init__(origin=origin, plan=plan, bounds=bounds, hypervolume_box=hypervolume_box)
        n, t, a, c = table.level.shape
        self._cell_level = table.level.reshape(n * t * a, c)  # [O, C]
        self.level = np.ascontiguousarray(self._cell_level[:, users])  # [O, K]
        self.linear = frozen(table.linear)  # [256]
        self.near: BoolArray = self._too_near()  # [N, N]
        self._spread = self._spread_sites()

    # -- what a point stands for -----------------------------------------------------------------------------------

    def sites(self, X: FloatArray) -> IntArray:
        """The candidate nearest to every position, the first of equals, int64 [n, M]."""
        x, y = self.columns(X, "x_m")[:, :, None], self.columns(X, "y_m")[:, :, None]
        squared = (x - self.table.sites_m[:, 0]) ** 2 + (y - self.table.sites_m[:, 1]) ** 2  # [n, M, N]
        return np.argmin(squared, axis=2)

    def options(self, X: FloatArray) -> IntArray:
        """The option of every transmitter, int64 [n, M]."""
        table, site = self.table, self.sites(X)
        tilt, azimuth = self.best_alone[site].T.swapaxes(1, 2)  # [n, M] each
        if "tilt" in self.plan.decide:
            tilt = np.argmin(np.abs(self.columns(X, "tilt_deg")[:, :, None] - table.tilt_deg), axis=2)
        if "azimuth" in self.plan.decide:
            n_azimuths = len(table.azimuth_deg)
            turns = self.columns(X, "azimuth_deg") * (n_azimuths / 360.0)
            azimuth = np.ceil(turns - 0.5).astype(np.int64) % n_azimuths
        return (site * len(table.tilt_deg) + tilt) * len(table.azimuth_deg) + azimuth

    def transmitters(self, X: FloatArray) -> Transmitters:
        """The configurations that points stand for, of the nearest sites and entries."""
        table, option = self.table, self.options(X)
        n_tilts, n_azimuths = len(table.tilt_deg), len(table.azimuth_deg)
        site, tilt = option // (n_tilts * n_azimuths), option // n_azimuths % n_tilts
        return Transmitters(
            table.sites_m[site, :2],
            table.azimuth_deg[option % n_azimuths],
            table.tilt_deg[tilt],
            self._power_dbm(X),
        )

    def _power_dbm(self, X: FloatArray) -> FloatArray:
        if "power" in self.plan.decide:
            return self.columns(X, "power_dbm")
        return np.full((X.shape[0], self.plan.n_transmitters), self.full_power_dbm)

    def points_of(self, options: IntArray) -> FloatArray:
        """Points that stand for options at full power, float64 [n, d].

        Args:
            options: int64 [n, M].
        """
        table = self.table
        n_tilts, n_azimuths = len(table.tilt_deg), len(table.azimuth_deg)
        site = options // (n_tilts * n_azimuths)
        values = {
            "x_m": table.sites_m[site, 0],
            "y_m": table.sites_m[site, 1],
            "azimuth_deg": table.azimuth_deg[options % n_azimuths],
            "tilt_deg": table.tilt_deg[options // n_azimuths % n_tilts],
            "power_dbm": np.full(options.shape, self.full_power_dbm),
        }
        return self.point(values)

    @cached_property
    def best_alone(self) -> IntArray:
        """Tilt and azimuth with which each site alone serves most cells, int64 [N, 2]."""
        n, t, a, _ = self.table.level.shape
        best = self._serves(self._cell_level).sum(axis=1).reshape(n, t * a).argmax(axis=1)
        return np.stack([best // a, best % a], axis=1)

    @cached_property
    def site_options(self) -> IntArray:
        """The options that can be chosen, int64: one per site, or one per decided tilt and azimuth too."""
        n, t, a, _ = self.table.level.shape
        tilt = np.tile(np.arange(t), (n, 1)) if "tilt" in self.plan.decide else self.best_alone[:, :1]
        azimuth = np.tile(np.arange(a), (n, 1)) if "azimuth" in self.plan.decide else self.best_alone[:, 1:]
        option = (np.arange(n)[:, None, None] * t + tilt[:, :, None]) * a + azimuth[:, None, :]
        return option.ravel()

    def site_of(self, options: IntArray) -> IntArray:
        """The sites of options."""
        _, t, a, _ = self.table.level.shape
        return options // (t * a)

    def _serves(self, level: npt.NDArray[np.int8]) -> BoolArray:
        """Where a transmitter alone, at full power, reaches the SINR target."""
        full_w = model.watts(np.array(self.full_power_dbm))
        enough = full_w * self.linear / self.plan.noise_w >= self.plan.sinr_target  # [256]
        return np.asarray(enough[level.astype(np.int16) + 128])

    @cached_property
    def serves(self) -> BoolArray:
        """Which users each option serves alone at full power, bool [O, K]."""
        return self._serves(self.level)

    # -- what solvers and people see -------------------------------------------------------------------------------

    def arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        """Levels of every option at every user and what they mean in dB, peak gain, sites, angles and users."""
        table = self.table
        return {
            "level": self.level,
            "level_db": np.array([table.head.floor_db, table.head.step_db]),
            "peak_dbi": np.array(self.plan.peak_dbi),
            "best_alone": self.best_alone,
            "sites_m": table.sites_m,
            "tilt_deg": table.tilt_deg,
            "azimuth_deg": table.azimuth_deg,
            "users_m": table.cells_m[self.users],
        }

    def features(self) -> Mapping[str, npt.NDArray[Any]]:
        """Sites and users, m, and the share of users that each site alone serves, float64 [N]."""
        return {
            "sites_m": self.table.sites_m,
            "users_m": frozen(self.table.cells_m[self.users]),
            "served_alone": frozen(self._alone() / self.users.size),
        }

    def null_policies(self) -> Mapping[str, FloatArray]:
        """``best_alone`` (sites that alone serve most users) and ``spread`` (sites far from each other), at full power."""
        first = np.argsort(-self._alone(), kind="stable")[: self.plan.n_transmitters]
        return {name: self.project(self._of_sites(sites)) for name, sites in (("best_alone", first), ("spread", self._spread))}

    def describe(self) -> Description:
        """The case in words."""
        plan, table, users_m = self.plan, self.table, self.table.cells_m[self.users]
        angles = [f"{name} in degrees" for name in ("azimuth", "tilt") if name in plan.decide]
        decided = ", ".join(["a position x_m, y_m in m", *angles, *(["power in dBm"] if "power" in plan.decide else [])])
        db = 10.0 * np.log10(plan.sinr_target)
        summary = (
            f"Place {plan.n_transmitters} radio transmitters in a city for {self.users.size} users on the streets. Each "
            f"has {decided}; it stands on the nearest of {len(table.sites_m)} candidate roofs. A user is served where its "
            f"signal to interference and noise ratio reaches {db:g} dB."
        )
        order = np.argsort(-self._alone(), kind="stable")[:_LISTED_SITES]
        listed = ", ".join(f"({table.sites_m[s, 0]:.0f}, {table.sites_m[s, 1]:.0f}): {self._alone()[s]}" for s in order)
        (x, y), (dx, dy) = users_m[:, :2].mean(axis=0), users_m[:, :2].std(axis=0)
        facts = (
            f"Users lie around ({x:.0f}, {y:.0f}) m; standard deviation {dx:.0f} m east-west, {dy:.0f} m north-south.",
            f"Candidate roofs (x, y) in m and how many users each serves alone, the best {len(order)}: {listed}.",
        )
        return self._in_words(summary, facts)

    def draw(self, axes: Axes, x: FloatArray) -> bool:
        """A map: buildings, SINR of every cell, users with and without service, transmitters and where they look."""
        from optisolve.plotting.maps import City, draw_city

        point = self.space.require(x, what="x")
        chosen, option = self.transmitters(point), self.options(point)
        power_w = model.watts(chosen.power_dbm)
        cells = model.links(self._gain(self._cell_level, option), power_w, self.plan)
        table, served = self.table, cells.sinr[0, self.users] >= self.plan.sinr_target
        with np.errstate(divide="ignore"):
            sinr_db = 10.0 * np.log10(cells.sinr[0])
        draw_city(
            axes,
            City(table.building_dm / 10.0, table.raster_m, table.cells_m[:, :2], table.head.cell_m),
            sinr_db=sinr_db,
            target_db=10.0 * float(np.log10(self.plan.sinr_target)),
            users_m=table.cells_m[self.users, :2],
            served=served,
            transmitters_m=chosen.position_m[0],
            azimuth_deg=chosen.azimuth_deg[0],
            labels=[f"{m}: {p:.0f} dBm" for m, p in enumerate(chosen.power_dbm[0])],
            candidates_m=table.sites_m[:, :2],
        )
        return True

    def model(self, dialect: str) -> Any:
        """``"cpsat"`` and ``"highs"`` where sites are selected for coverage and do not disturb each other."""
        from optisolve.problems.radio_planning.forms import cpsat_form, highs_form, is_selection

        builders: dict[str, Callable[[TableInstance], Any]] = {"cpsat": cpsat_form, "highs": highs_form}
        return builders[dialect](self) if dialect in builders and not self.plan.shared and is_selection(self) else None

    # -- evaluation ------------------------------------------------------------------------------------------------

    def gains(self, chosen: Transmitters) -> FloatArray:
        """Linear path gains to the users, float64 [n, M, K]; positions and angles are those of entries of the table."""
        table = self.table
        away = np.abs(chosen.position_m[:, :, None] - table.sites_m[:, :2]).sum(axis=3)
        site = np.argmin(away, axis=2)
        tilt = np.argmin(np.abs(chosen.tilt_deg[:, :, None] - table.tilt_deg), axis=2)
        azimuth = np.argmin(np.abs(chosen.azimuth_deg[:, :, None] - table.azimuth_deg), axis=2)
        return self._gain(self.level, (site * len(table.tilt_deg) + tilt) * len(table.azimuth_deg) + azimuth)

    def _gain(self, level: npt.NDArray[np.int8], option: IntArray) -> FloatArray:
        return np.asarray(self.linear[level[option].astype(np.int16) + 128])

    def _evaluate(self, X: FloatArray) -> Evaluation:
        from optisolve.problems.radio_planning.kernels import evaluate

        plan, chosen = self.plan, self.transmitters(X)
        found = np.empty((X.shape[0], 3))
        numbers = np.array([plan.noise_w, plan.sinr_target, plan.bandwidth_hz])
        rank = int(model.EDGE_SHARE * self.users.size)
        power_w = model.watts(chosen.power_dbm)
        evaluate(self.options(X), power_w, self.level, self.linear, plan.shared, numbers, rank, found)
        kept = [("coverage", "edge_rate", "power").index(goal) for goal in plan.goals]
        return Evaluation(found[:, kept], self._constraints(chosen), np.empty((X.shape[0], 0)))

    def _evaluate_twin(self, X: FloatArray) -> Evaluation:
        return PlanningInstance._evaluate(self, X)

    def _project(self, X: FloatArray) -> FloatArray:
        """Powers to what the EIRP allows; transmitters too near to an earlier one to the nearest candidate that is not."""
        X = super()._project(X)
        sites = self.sites(X)  # [n, M]
        i, j = np.triu_indices(self.plan.n_transmitters, 1)
        x, y = self.columns(X, "x_m"), self.columns(X, "y_m")
        for row in np.flatnonzero(self.near[sites[:, i], sites[:, j]].any(axis=1)):
            kept = self._apart(sites[row], x[row], y[row])
            moved = kept != sites[row]
            x[row, moved], y[row, moved] = self.table.sites_m[kept[moved], :2].T
        return X

    def _apart(self, sites: IntArray, x: FloatArray, y: FloatArray) -> IntArray:
        """Sites that keep their distances, int64 [M]: each the nearest to its position that the earlier ones leave."""
        free, kept = np.ones(len(self.near), dtype=bool), sites.copy()
        for m, site in enumerate(sites):
            if not free[site]:
                if not free.any():
                    return self._spread
                away = (x[m] - self.table.sites_m[:, 0]) ** 2 + (y[m] - self.table.sites_m[:, 1]) ** 2
                kept[m] = np.argmin(np.where(free, away, np.inf))
            free &= ~self.near[kept[m]]
        return kept

    # -- sites -----------------------------------------------------------------------------------------------------

    def _too_near(self) -> BoolArray:
        """Pairs of sites that may not be used together, bool [N, N], by the equation of the constraint."""
        places, n = self.table.sites_m[:, :2], len(self.table.sites_m)
        near = np.ones((n, n), dtype=bool)
        i, j = np.triu_indices(n, 1)
        pairs = np.stack([places[i], places[j]], axis=1)  # [n (n - 1) / 2, 2, 2]
        distance = np.hypot(*(pairs[:, 0] - pairs[:, 1]).T)
        near[i, j] = near[j, i] = 1.0 - distance / self.plan.distance_min_m > FEASIBILITY_TOLERANCE
        return near

    def _spread_sites(self) -> IntArray:
        """Sites that keep their distances, int64 [M]: each the farthest from those before it, from the first good start."""
        places = self.table.sites_m[:, :2]
        away = np.hypot(*np.moveaxis(places[:, None] - places, -1, 0))  # [N, N]
        middle = np.hypot(*(places - places.mean(axis=0)).T)
        for start in np.argsort(-middle, kind="stable"):
            chosen = [int(start)]
            while len(chosen) < self.plan.n_transmitters:
                chosen.append(int(np.argmax(away[chosen].min(axis=0))))
            if not np.triu(self.near[np.ix_(chosen, chosen)], 1).any():
                return np.array(chosen)
        raise ProblemError(
            f"{self.origin.scenario}: no {self.plan.n_transmitters} of {len(places)} candidate sites were found that are "
            f"{self.plan.distance_min_m:g} m apart; give a smaller distance_min_m or n_transmitters."
        )

    def _alone(self) -> IntArray:
        """Users that each site alone serves with its best tilt and azimuth, int64 [N]."""
        _, t, a, _ = self.table.level.shape
        best = (np.arange(len(self.near)) * t + self.best_alone[:, 0]) * a + self.best_alone[:, 1]
        return self.serves[best].sum(axis=1)

    def _of_sites(self, sites: IntArray) -> FloatArray:
        """The point of sites with their best tilt and azimuth, float64 [1, d]."""
        _, t, a, _ = self.table.level.shape
        tilt, azimuth = self.best_alone[sites].T
        return self.points_of(((sites * t + tilt) * a + azimuth)[None, :])
