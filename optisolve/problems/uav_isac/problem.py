"""The problem family `uav_isac`: a scenario's numbers, checked."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from annotated_types import Interval

from optisolve.core import Effort, HypervolumeBox, Instance, Objective, Origin, Problem, Reference, Sense, generator
from optisolve.core.arrays import FloatArray, frozen
from optisolve.core.documents import file_source
from optisolve.core.errors import FieldProblem, ProblemError
from optisolve.core.evaluation import corner_problems
from optisolve.core.motion import GaussMarkov, Motion, RandomWaypoint, Walking
from optisolve.core.problem import Moved
from optisolve.numerics.mobility import walks
from optisolve.problems.uav_isac.instance import UavIsacInstance
from optisolve.problems.uav_isac.model import AirToGround, Constants
from optisolve.problems.uav_isac.placements import lattice
from optisolve.problems.uav_isac.users import read_users

__all__ = ["UavIsac"]

# Wide physical ranges, so that no intermediate result leaves the range of a double.
Length = Annotated[float, Interval(ge=1e-3, le=1e7)]
Power = Annotated[float, Interval(ge=1e-24, le=1e18)]
Positive = Annotated[float, Interval(ge=1e-6, le=1e15)]
Decibel = Annotated[float, Interval(ge=-300, le=300)]

_NUMBER_FIELDS = (
    "n_uavs", "area_m", "altitude_m", "alpha0_db", "beta0_db", "bandwidth_hz", "noise_dbm_hz", "ranging_factor",
    "processing_gain", "rate_ref_bps", "d_min_m", "p_min_w", "p_max_w", "p_total_w",
)  # fmt: skip
_CHANNEL_FIELDS = ("los_a_deg", "los_b_per_deg", "eta_los_db", "eta_nlos_db")


@dataclass(frozen=True, kw_only=True)
class UavIsac(Problem):
    """Placement and power control of UAVs that serve ground users and locate them: LEDMA-style, two objectives.

    Every number comes from a scenario file; `optisolve.load_problem("uav_isac", n_users=20)` reads the default one and
    changes what is named.

    Args:
        n_uavs: Number of UAVs M.
        n_users: Number of ground users K; None takes the count of the users file.
        area_m: Side A of the square area, m.
        altitude_m: Common flight altitude H, m.
        alpha0_db: Channel gain at 1 m, dB.
        beta0_db: Radar gain at 1 m (two-way), dB.
        bandwidth_hz: Bandwidth B of every UAV, Hz.
        noise_dbm_hz: Noise density, dBm/Hz, for communication and ranging alike.
        ranging_factor: Factor a of the ranging variance, dimensionless.
        processing_gain: Radar processing gain G_p, linear.
        rate_ref_bps: Reference rate of the logarithmic utility, bit/s.
        d_min_m: Smallest distance between two UAVs, m.
        p_min_w: Smallest transmit power of a UAV, W.
        p_max_w: Largest transmit power of a UAV, W.
        p_total_w: Cap on the sum of the transmit powers, W.
        channel: ``"los"``, or ``"al_hourani"`` for the elevation-dependent mean excess loss.
        los_a_deg: Al-Hourani a; required for that channel, None otherwise. Likewise the next three.
        los_b_per_deg: Al-Hourani b, 1/degree.
        eta_los_db: Excess loss with line of sight, dB.
        eta_nlos_db: Excess loss without, dB.
        users_file: CSV with columns ``x_m`` and ``y_m`` (m) or ``lat`` and ``lon`` (degrees); None draws users uniformly.
        users_m: Users' coordinates in m. Filled in where users come from a file, so that a record keeps them; when both
            are given these count and the file only tells where they came from.
        hypervolume_reference: Bad corner of the scoring box, (nat, m); None lets the box follow the instance.
        hypervolume_ideal: Good corner of the scoring box, (nat, m); both corners are given, or none.

    Raises:
        OptionError: Values out of range or a scenario that no point can satisfy; all bad fields in one message.

    Source: research notes on LEDMA (arXiv 2410.05062), equations after arXiv 2207.02904; see the model card.
    """

    name: ClassVar[str] = "uav_isac"
    version: ClassVar[str] = "2"
    summary: ClassVar[str] = "UAV placement and power control for integrated sensing and communication"
    evidence: ClassVar[str] = "best-known front, bound per objective"
    portable: ClassVar[bool] = True
    calibrated: ClassVar[tuple[str, ...]] = ("hypervolume_reference", "hypervolume_ideal")
    objectives: ClassVar[tuple[Objective, ...]] = (
        Objective(
            "utility",
            Sense.MAXIMIZE,
            "nat",
            "Proportional-fair network utility: the sum over users of the logarithm of their data rate over a reference rate.",
            interval=True,
        ),
        Objective(
            "error_bound",
            Sense.MINIMIZE,
            "m",
            "Mean over users of the smallest possible standard error of locating them (square root of the CRB).",
            axis="Mean bound on the localization error",
        ),
    )

    n_uavs: Annotated[int, Interval(ge=1, le=64)]
    n_users: Annotated[int, Interval(ge=1, le=100_000)] | None
    area_m: Length
    altitude_m: Length
    alpha0_db: Decibel
    beta0_db: Decibel
    bandwidth_hz: Positive
    noise_dbm_hz: Decibel
    ranging_factor: Positive
    processing_gain: Positive
    rate_ref_bps: Positive
    d_min_m: Length
    p_min_w: Power
    p_max_w: Power
    p_total_w: Power
    channel: Literal["los", "al_hourani"]
    hypervolume_reference: tuple[float, float] | None = None
    hypervolume_ideal: tuple[float, float] | None = None
    los_a_deg: Annotated[float, Interval(gt=0, lt=90)] | None = None
    los_b_per_deg: Annotated[float, Interval(gt=0, le=10)] | None = None
    eta_los_db: Annotated[float, Interval(ge=0, le=100)] | None = None
    eta_nlos_db: Annotated[float, Interval(ge=0, le=100)] | None = None
    users_file: str | None = None
    users_m: tuple[tuple[float, float], ...] | None = None

    def instance(self, seed: int = 0) -> UavIsacInstance:
        """Draw (or read) the users and bind the equations.

        Args:
            seed: Instance seed; it places the users and nothing else. Without effect when users come from a file.

        Raises:
            ProblemError: The users file is missing, malformed, or does not fit the scenario.
        """
        problem, files = self, {}
        if self.users_m is None and self.users_file is not None:
            users, said = read_users(self.users_file, area_m=self.area_m, n_users=self.n_users)
            problem = dataclasses.replace(self, users_m=tuple((float(x), float(y)) for x, y in users))
            files["users_file"] = file_source(Path(self.users_file).expanduser()) | ({"read": said} if said else {})
        if problem.users_m is not None:
            users_m = frozen(problem.users_m)  # [K, 2]
        else:
            assert self.n_users is not None
            rng = generator(seed, problem=self.name, purpose="users")
            users_m = frozen(rng.random((self.n_users, 2)) * self.area_m)  # [K, 2]
        return UavIsacInstance(
            origin=dataclasses.replace(problem.origin(seed), files=files),
            objectives=self._scaled_objectives(len(users_m)),
            hypervolume_box=HypervolumeBox.given(self.hypervolume_reference, self.hypervolume_ideal),
            constants=self.constants,
            users_m=users_m,
            scenario=self._numbers(),
        )

    def reference(self, instance: Instance, effort: Effort = Effort.NORMAL) -> Reference:
        """The published front of the instance or, where there is none, one computed by local search.

        With one UAV: the two certified optima instead of a front. In every case `Reference.ideal_bound` holds a proven
        bound on each objective.

        Args:
            instance: An instance of this family.
            effort: Work of the local search when no front is published.

        Raises:
            ProblemError: The instance belongs to another family.
            RecordError: A front is published for this instance but cannot be trusted.
        """
        from optisolve.problems.uav_isac.reference import reference

        if not isinstance(instance, UavIsacInstance):
            raise ProblemError(f"uav_isac: cannot give a reference for {instance!r}; pass an instance of this family.")
        return reference(instance, effort)

    def motions(self) -> tuple[type[Motion], ...]:
        """Users wander or head for waypoints; who leaves is replaced by a new user elsewhere."""
        return (GaussMarkov, RandomWaypoint)

    def moves(self, motion: Motion, seed: int) -> Iterator[Moved]:
        """The users of a seed, or of the file, on their ways."""
        assert isinstance(motion, Walking)
        rng = generator(seed, problem=self.name, purpose="motion", motion=motion.kind)
        for places in walks(motion, self.instance(seed).users_m, self.area_m, rng):
            users = tuple((float(x), float(y)) for x, y in places.at_m)
            events = tuple(f"user {k} leaves, a new one appears" for k in places.new.tolist())
            yield Moved(dataclasses.replace(self, users_m=users, users_file=None), frozen(places.at_m.ravel()), events)

    def origin(self, seed: int) -> Origin:
        """The origin, with lists instead of tuples, as JSON has them."""
        origin = super().origin(seed)
        params = dict(origin.params)
        for name in self.calibrated:
            params[name] = None if params[name] is None else list(params[name])
        if self.users_m is not None:
            params["users_m"], params["users_file"] = [list(point) for point in self.users_m], None
        return dataclasses.replace(origin, params=params)

    @property
    def constants(self) -> Constants:
        """The scenario in SI units and linear scale, as the equations want it."""
        noise_w = 10.0 ** ((self.noise_dbm_hz - 30.0) / 10.0) * self.bandwidth_hz
        return Constants(
            n_uavs=self.n_uavs,
            area_m=self.area_m,
            altitude_m=self.altitude_m,
            noise_over_gain=noise_w / 10.0 ** (self.alpha0_db / 10.0),
            bandwidth_hz=self.bandwidth_hz,
            rate_ref_bps=self.rate_ref_bps,
            ranging_per_w=self.processing_gain * 10.0 ** (self.beta0_db / 10.0) / (self.ranging_factor * noise_w),
            prior_per_m2=12.0 / self.area_m**2,
            d_min_m=self.d_min_m,
            p_min_w=self.p_min_w,
            p_max_w=self.p_max_w,
            p_total_w=self.p_total_w,
            channel=self._air_to_ground(),
        )

    def _scaled_objectives(self, n_users: int) -> tuple[Objective, ...]:
        """The objectives with scales of this instance: a nat per user, and an error that no placement reaches."""
        c = self.constants
        h2 = c.altitude_m**2
        power = min(c.p_total_w, c.n_uavs * c.p_max_w)
        # Information peaks at a ground distance of H / sqrt(2) for ranging and H for delay; tr J^-1 >= 4 / tr J
        most = 2.0 * c.prior_per_m2 + 4.0 / 27.0 * c.ranging_per_w * power / h2**2 + 2.0 * c.n_uavs / h2
        utility, error = self.objectives
        return dataclasses.replace(utility, scale=float(n_users)), dataclasses.replace(error, scale=2.0 / math.sqrt(most))

    def _numbers(self) -> dict[str, FloatArray]:
        """Every number that enters the equations, as given, by field name, each float64 [1]."""
        names = [*_NUMBER_FIELDS, *(_CHANNEL_FIELDS if self.channel == "al_hourani" else ())]
        return {name: frozen([getattr(self, name)]) for name in names}

    def _air_to_ground(self) -> AirToGround | None:
        if self.channel == "los":
            return None
        values = [getattr(self, name) for name in _CHANNEL_FIELDS]
        return AirToGround(*values)

    def _check(self) -> Iterable[FieldProblem]:
        yield from self._check_powers()
        yield from self._check_users()
        _, spacing = lattice(self.n_uavs, self.area_m)
        if self.d_min_m > spacing:
            yield FieldProblem(
                "d_min_m",
                self.d_min_m,
                f"at most {spacing:.6g} m, the spacing at which {self.n_uavs} UAVs are known to fit into a square of "
                f"{self.area_m:g} m; lower d_min_m or n_uavs, or enlarge area_m",
            )
        for name in _CHANNEL_FIELDS:
            value = getattr(self, name)
            if self.channel == "al_hourani" and value is None:
                yield FieldProblem(name, value, "a number, because channel is 'al_hourani'")
        yield from corner_problems(self.hypervolume_reference, self.hypervolume_ideal, self.objectives)

    def _check_powers(self) -> Iterable[FieldProblem]:
        if self.p_min_w > self.p_max_w:
            yield FieldProblem("p_min_w", self.p_min_w, f"at most p_max_w = {self.p_max_w:g} W")
        needed = self.n_uavs * self.p_min_w
        if self.p_total_w < needed:
            yield FieldProblem(
                "p_total_w",
                self.p_total_w,
                f"at least n_uavs * p_min_w = {needed:g} W; raise p_total_w, or lower p_min_w or n_uavs",
            )

    def _check_users(self) -> Iterable[FieldProblem]:
        if self.users_m is None:
            if self.n_users is None and self.users_file is None:
                yield FieldProblem("n_users", None, "an integer, because there is no users_file to count")
            return
        if not self.users_m:
            yield FieldProblem("users_m", self.users_m, "at least one point")
        if self.n_users is not None and len(self.users_m) != self.n_users:
            yield FieldProblem("users_m", f"{len(self.users_m)} points", f"n_users = {self.n_users} points")
        for k, (x, y) in enumerate(self.users_m):
            if not (0 <= x <= self.area_m and 0 <= y <= self.area_m and math.isfinite(x + y)):
                yield FieldProblem(f"users_m[{k}]", (x, y), f"coordinates in [0, {self.area_m:g}] m")
