"""One case of `uav_isac`: users are placed, equations are bound, and what people and language models are told of it."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from optisolve.core import Description, Evaluation, HypervolumeBox, Objective, Origin, Space, Variable
from optisolve.core.arrays import FloatArray, frozen
from optisolve.core.bridge import Bridge
from optisolve.problems.uav_isac import model, placements
from optisolve.problems.uav_isac.goals import UavIsacGoals
from optisolve.problems.uav_isac.model import Constants
from optisolve.problems.uav_isac.placements import lattice

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["UavIsacInstance"]

_REPAIR = "optisolve.problems.uav_isac.repair"


class UavIsacInstance(UavIsacGoals):
    """One case of `uav_isac`.

    Args:
        origin: How to make this case again.
        objectives: Utility and error bound.
        hypervolume_box: Scoring box; None lets it follow the instance.
        constants: The scenario in SI units and linear scale.
        users_m: float64 [K, 2], read-only, m.
        scenario: The scenario's numbers as given, for the hash and for export.
    """

    def __init__(
        self,
        *,
        origin: Origin,
        objectives: tuple[Objective, ...],
        hypervolume_box: HypervolumeBox | None,
        constants: model.Constants,
        users_m: FloatArray,
        scenario: Mapping[str, FloatArray],
    ) -> None:
        n_uavs = constants.n_uavs
        pairs = (f"separation[{i},{j}]" for i in range(n_uavs) for j in range(i + 1, n_uavs))
        super().__init__(
            origin=origin,
            space=Space.of(_variables(constants)),
            objectives=objectives,
            constraint_names=(*pairs, "total_power"),
            hypervolume_box=hypervolume_box,
        )
        self.constants = constants
        self.users_m = users_m
        self._scenario = scenario

    @cached_property
    def packed(self) -> FloatArray:
        """The scenario's numbers as kernels take them."""
        from optisolve.problems.uav_isac.kernels import pack

        return pack(self.constants, len(self.users_m))

    def links(self, x: npt.ArrayLike) -> model.Links:
        """Association, SINR, rate and error bound of every user at one point.

        Args:
            x: [3M], inside the bounds.
        """
        point = self.space.require(x, what="x")
        return model.links(point[0], self.users_m, self.constants)

    def describe(self) -> Description:
        """The case in words."""
        return _describe(self.constants, self.users_m)

    def arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        """Users, and the numbers of the scenario that enter the equations."""
        return {"users_m": self.users_m, **self._scenario}

    def bridge(self) -> Bridge:
        """What a sampler must know about this family."""
        from optisolve.problems.uav_isac.sampling import UavIsacBridge

        return UavIsacBridge()

    def jacobian(self, X: FloatArray) -> FloatArray:
        """Gradients of the objectives, float64 [n, 2, 3M] per m and per W, where nobody changes the UAV that serves him."""
        from optisolve.problems.uav_isac.gradients import jacobians

        J = np.empty((X.shape[0], 2, X.shape[1]))
        jacobians(X, self.users_m, self.packed, J)
        return J

    def features(self) -> Mapping[str, npt.NDArray[Any]]:
        """Users in units of the area [K, 2]; and M, H / A, D_min / A, P_min / P_max and P_tot / P_max [5]."""
        c = self.constants
        scales = [c.n_uavs, c.altitude_m / c.area_m, c.d_min_m / c.area_m, c.p_min_w / c.p_max_w, c.p_total_w / c.p_max_w]
        return {"users": frozen(self.users_m / c.area_m), "scenario": frozen(scales)}

    @property
    def n_stations(self) -> int:
        """UAVs."""
        return self.constants.n_uavs

    @property
    def side_m(self) -> float:
        """Side of the area, m."""
        return self.constants.area_m

    @property
    def height_m(self) -> float:
        """Flight altitude, m."""
        return self.constants.altitude_m

    def placed(self, positions_m: FloatArray) -> FloatArray:
        """UAVs at given places, float64 [M, 2] in m, with equal powers, repaired; float64 [3M]."""
        repaired: FloatArray = self.project(placements.with_equal_powers(self.constants, positions_m))[0]
        return repaired

    def null_policies(self) -> Mapping[str, FloatArray]:
        """Three placements with equal powers; see the model card."""
        return {name: self.project(x) for name, x in placements.drafts(self.constants, self.users_m).items()}

    def draw(self, axes: Axes, x: FloatArray) -> bool:
        """A map: users, UAVs with their powers, and who serves whom."""
        from optisolve.plotting.maps import draw_map

        c, links = self.constants, self.links(x)
        draw_map(
            axes,
            side_m=c.area_m,
            users_m=self.users_m,
            stations_m=links.positions_m,
            served_by=links.association,
            labels=[f"{m}: {power * 1e3:.3g} mW" for m, power in enumerate(links.powers_w)],
            station=f"UAV{'s' * (c.n_uavs > 1)} at {c.altitude_m:g} m altitude, number and power",
        )
        return True

    def _evaluate(self, X: FloatArray) -> Evaluation:
        from optisolve.problems.uav_isac.kernels import evaluate

        F = np.empty((X.shape[0], 2))
        G = np.empty((X.shape[0], len(self.constraint_names)))
        evaluate(X, self.users_m, self.packed, F, G)
        return Evaluation(F, G, np.empty((X.shape[0], 0)))

    def _evaluate_twin(self, X: FloatArray) -> Evaluation:
        F, G = model.evaluate(X, self.users_m, self.constants)
        return Evaluation(F, G, np.empty((X.shape[0], 0)))

    def _project(self, X: FloatArray) -> FloatArray:
        c = self.constants
        X = np.ascontiguousarray(X)
        if _REPAIR not in sys.modules:  # the same bits, without loading a compiler for rows that keep their distances
            model.project_powers(X, c)
            if not model.too_close(X, c).any():
                return X
        from optisolve.problems.uav_isac.repair import project_rows

        points, _ = lattice(c.n_uavs, c.area_m)
        project_rows(X, points, c.area_m, c.d_min_m, c.p_min_w, c.p_max_w, c.p_total_w)
        return X


def _variables(c: model.Constants) -> list[Variable]:
    variables = []
    for m in range(c.n_uavs):
        variables.append(Variable(f"uav{m}.x_m", 0.0, c.area_m, "m"))
        variables.append(Variable(f"uav{m}.y_m", 0.0, c.area_m, "m"))
        variables.append(Variable(f"uav{m}.p_w", c.p_min_w, c.p_max_w, "W"))
    return variables


_LISTED_USERS = 60


def _describe(c: Constants, users_m: FloatArray) -> Description:
    """The case in words.

    Args:
        c: Constants of the scenario.
        users_m: float64 [K, 2], m.
    """
    return Description(
        summary=_summary(c, len(users_m)), constraints=_constraints(c), facts=_facts(c, users_m), hints=_hints(c)
    )


def _summary(c: Constants, n_users: int) -> str:
    fleet = "A UAV flies" if c.n_uavs == 1 else f"{c.n_uavs} UAVs fly"
    they, its = ("It serves", "its") if c.n_uavs == 1 else ("They serve", "each UAV's")
    told = (
        f"{fleet} at {c.altitude_m:g} m over a square of {c.area_m:g} m. {they} {n_users} ground users with data and "
        f"{'locates' if c.n_uavs == 1 else 'locate'} them by radar at the same time. Choose {its} position x_m, y_m (m) and "
        "transmit power p_w (W)."
    )
    if c.n_uavs == 1:
        return f"{told} The users share its bandwidth."
    return (
        f"{told} All UAVs share one band, so the power of one is interference to the users of the others; the users of one "
        "UAV share its bandwidth."
    )


def _hints(c: Constants) -> tuple[str, ...]:
    ring_m = c.altitude_m / math.sqrt(2.0)
    utility = "Utility is a sum of logarithms: lifting the slowest user counts more than speeding up a fast one."
    if c.n_uavs == 1:
        return (
            "A user's rate grows when the UAV comes closer; moving towards one user moves away from those behind it.",
            utility,
            f"Locating a user works best from a horizontal distance near {ring_m:.0f} m (altitude / sqrt 2); from straight "
            "overhead or from far away it fails.",
            "So the objectives conflict: for data the UAV wants to be above its users, for sensing it wants to stand off.",
            "More power helps both objectives; nothing else uses it.",
        )
    return (
        "A user is served by the UAV it hears loudest. Its rate grows when that UAV comes closer, serves fewer users, or "
        "the others move away or lower their power.",
        utility,
        f"Locating a user works best from UAVs at a horizontal distance near {ring_m:.0f} m (altitude / sqrt 2) on "
        "different sides, at right angles as seen from the user; from straight overhead or along one line it fails.",
        "So the objectives conflict: for data a UAV wants to be above its users, for sensing it wants to stand off, and "
        "several UAVs should surround the same users.",
        "More power always helps sensing, but it raises interference and uses up the common power cap. For data, power "
        "belongs to UAVs whose users are far from all others; a UAV amid the users of others should lower its power.",
        "UAVs close together serve the same users with interference and see them from the same side: spread them.",
    )


def _constraints(c: Constants) -> tuple[str, ...]:
    if c.n_uavs == 1:
        return (f"The power must not exceed {c.p_total_w:g} W.",)
    total = f"The powers of all UAVs together must not exceed {c.p_total_w:g} W."
    return (f"Any two UAVs must be at least {c.d_min_m:g} m apart.", total)


def _facts(c: Constants, users_m: FloatArray) -> tuple[str, ...]:
    listed = ", ".join(f"({x / 1000:.2f}, {y / 1000:.2f})" for x, y in users_m[:_LISTED_USERS])
    more = f" and {len(users_m) - _LISTED_USERS} more" if len(users_m) > _LISTED_USERS else ""
    cx, cy = users_m.mean(axis=0) / 1000.0
    channel = (
        "Line of sight to every user; path gain falls with the squared distance."
        if c.channel is None
        else "Buildings block the view at low elevation angles: a user seen from far away suffers up to "
        f"{c.channel.eta_nlos_db:g} dB extra loss, one below the UAV only {c.channel.eta_los_db:g} dB."
    )
    return (
        f"User positions (x, y) in km: {listed}{more}.",
        f"Centroid of the users: ({cx:.2f}, {cy:.2f}) km.",
        f"Power of one UAV: {c.p_min_w:g} W to {c.p_max_w:g} W; equal shares of the cap are "
        f"{min(c.p_total_w / c.n_uavs, c.p_max_w):g} W.",
        channel,
    )
