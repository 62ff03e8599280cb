"""The problem family `radio_planning`: a scenario's numbers, checked, and where its path gains come from."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Interval

from optisolve.content import content_dir, named_file
from optisolve.core import Effort, HypervolumeBox, Instance, Origin, Problem, Reference, generator
from optisolve.core.documents import file_source
from optisolve.core.errors import FieldProblem, ProblemError, UnknownNameError
from optisolve.core.evaluation import corner_problems
from optisolve.core.options import Resource
from optisolve.problems.radio_planning.channel import EnvironmentName
from optisolve.problems.radio_planning.drawn import Hotspots, drawn_table, users_of_cells
from optisolve.problems.radio_planning.from_table import TableInstance
from optisolve.problems.radio_planning.model import Choice, Goal, Plan
from optisolve.problems.radio_planning.table import RadioTable, read_table
from optisolve.problems.radio_planning.tracing import Device, Receivers

__all__ = ["RadioPlanning", "table_file"]

_FOLDER = "radio_planning"
_SUFFIX = ".npz"
_KEPT_TABLES = 4

Decibel = Annotated[float, Interval(ge=-300, le=300)]
Length = Annotated[float, Interval(ge=1e-3, le=1e7)]
Frequency = Annotated[float, Interval(ge=1e3, le=1e15)]
Mast = Annotated[float, Interval(ge=0.1, le=300)]
Angle = Annotated[float, Interval(ge=-90, le=90)]
_LIVE = (
    "scene", "corner_m", "columns", "rows", "cell_m", "roof_min_m", "masts_m", "tilt_range_deg", "receivers", "rays",
    "ray_depth", "ray_seed", "refraction", "diffraction", "verify_rays", "verify_coverage", "verify_edge_rate", "device",
    "carrier_hz",
)  # fmt: skip
_STATISTICAL = ("environment", "area_m", "n_candidates", "station_m", "receiver_m", "carrier_hz", "tilts_deg", "n_azimuths")
_OF_FORM = {"table": ("table",), "statistical": _STATISTICAL, "live": _LIVE}
"""Settings that a form must have; the others must be null."""


def table_file(name: str) -> Path:
    """The file of a table: shipped ones have a name, others a path that ends in ``.npz``.

    Raises:
        UnknownNameError: No shipped table has that name; the nearest is suggested.
    """
    if name.endswith(_SUFFIX) or "/" in name:
        return named_file(Path(name).expanduser(), "table")
    folder = content_dir("problems") / _FOLDER
    shipped = tuple(sorted(path.stem for path in folder.glob(f"*{_SUFFIX}")))
    if name not in shipped:
        raise UnknownNameError("table", name, shipped)
    return folder / f"{name}{_SUFFIX}"


@lru_cache(maxsize=_KEPT_TABLES)
def _read(path: str, changed_ns: int) -> RadioTable:  # noqa: ARG001  (part of the key)
    """A table of a file, read once as long as the file stays as it is."""
    return read_table(path)


@dataclass(frozen=True, kw_only=True)
class RadioPlanning(Problem):
    """Where M transmitters of a city stand, where they look, and how loud they are.

    The path gains come from a table that a ray tracer made (``form: table``), from the statistical channel of 3GPP TR 38.901
    (``form: statistical``), or from the ray tracer itself at every evaluation (``form: live``, needs the extra ``rt``). Sites
    are always decided; `decide` adds to them.

    Args:
        form: ``table``, ``statistical`` or ``live``.
        table: Name of a shipped table or path of a file; required for ``table``.
        n_transmitters: Number of transmitters M.
        decide: What is decided beside the sites: any of ``azimuth``, ``tilt``, ``power``, and ``height`` in the live form. Else
            a site has the tilt and azimuth with which it alone serves most cells (live: the middle tilt, and looks to the
            users), and the largest power that is allowed.
        goals: Objectives in this order, any of ``coverage``, ``edge_rate``, ``power``.
        carriers: ``shared``, so that transmitters disturb each other, or ``own``.
        n_users: Number of users K; None puts one into every cell of the table.
        n_hotspots: Number of places around which users gather.
        hotspot_radius_m: Standard deviation of users around such a place, m.
        hotspot_share: Share of the users that gather.
        sinr_target_db: A user is covered from this SINR on, dB.
        bandwidth_hz: Bandwidth of a carrier, Hz.
        noise_dbm_hz: Noise density, dBm/Hz.
        noise_figure_db: Noise figure of the receivers, dB.
        power_min_dbm: Smallest power of a transmitter, dBm.
        power_max_dbm: Largest power of a transmitter, dBm.
        eirp_max_dbm: Cap on power times peak antenna gain, dBm.
        distance_min_m: Smallest distance between two transmitters, m.
        environment: ``uma`` (antennas above roofs) or ``umi`` (below them); required for ``statistical``, None otherwise.
            Likewise the next seven.
        area_m: Side of the square, m.
        n_candidates: Number of candidate sites N.
        station_m: Height of the antennas, m.
        receiver_m: Height of the users' receivers, m.
        carrier_hz: Carrier frequency, Hz.
        tilts_deg: Down-tilts that can be chosen, rising, degrees.
        n_azimuths: Number of azimuths that can be chosen.
        scene: Name of a scene of the ray tracer, or path of a Mitsuba scene (``.xml``); required for ``live``, None otherwise.
            Likewise the next fifteen, and carrier_hz.
        corner_m: South-west corner of the area, x and y in m.
        columns: Cells from west to east.
        rows: Cells from south to north.
        cell_m: Side of a cell, m.
        roof_min_m: Lowest roof that transmitters may stand on, m.
        masts_m: Smallest and largest height of an antenna above its roof, m; the middle where heights are not decided.
        tilt_range_deg: Smallest and largest down-tilt, degrees; the middle where tilts are not decided.
        receivers: ``map``, a user hears the mean of its cell, or ``paths``, what arrives where it stands.
        rays: Rays of a transmitter.
        ray_depth: Most bounces and passages of a ray.
        ray_seed: What decides at a wall between passing and bouncing.
        refraction: Whether rays pass through walls.
        diffraction: Whether rays bend around edges, once.
        verify_rays: How many times as many rays verification traces, other ones.
        verify_coverage: By how much the coverage of a run may differ from that of verification, relative to the largest of
            the run.
        verify_edge_rate: Likewise for the edge rate.
        device: ``cpu``, ``cuda``, or ``auto``, CUDA where there is a device.
        hypervolume_reference: Bad corner of the scoring box, in the goals' units; None lets the box follow the instance.
        hypervolume_ideal: Good corner; both corners are given, or none.

    Raises:
        OptionError: Values out of range or not fitting each other; all bad fields in one message.
    """

    name: ClassVar[str] = "radio_planning"
    version: ClassVar[str] = "1"
    summary: ClassVar[str] = "Sites, directions and powers of a city's transmitters, from ray-traced or statistical path gains"
    evidence: ClassVar[str] = "proven optimal (MILP or exhaustive) where sites are selected for coverage, else a bound"
    calibrated: ClassVar[tuple[str, ...]] = ("hypervolume_reference", "hypervolume_ideal")

    form: Literal["table", "statistical", "live"]
    n_transmitters: Annotated[int, Interval(ge=1, le=64)]
    decide: tuple[Choice, ...]
    goals: tuple[Goal, ...]
    carriers: Literal["shared", "own"]
    n_users: Annotated[int, Interval(ge=1, le=100_000)] | None
    n_hotspots: Annotated[int, Interval(ge=0, le=1000)]
    hotspot_radius_m: Length
    hotspot_share: Annotated[float, Interval(ge=0, le=1)]
    sinr_target_db: Annotated[float, Interval(ge=-60, le=100)]
    bandwidth_hz: Frequency
    noise_dbm_hz: Decibel
    noise_figure_db: Annotated[float, Interval(ge=0, le=100)]
    power_min_dbm: Annotated[float, Interval(ge=-100, le=100)]
    power_max_dbm: Annotated[float, Interval(ge=-100, le=100)]
    eirp_max_dbm: Annotated[float, Interval(ge=-100, le=200)]
    distance_min_m: Length
    table: Annotated[str, Resource(lambda name: not name.endswith(_SUFFIX) and "/" not in name)] | None = None
    environment: EnvironmentName | None = None
    area_m: Length | None = None
    n_candidates: Annotated[int, Interval(ge=1, le=4096)] | None = None
    station_m: Annotated[float, Interval(ge=2, le=1000)] | None = None
    receiver_m: Annotated[float, Interval(ge=1.1, le=13)] | None = None
    carrier_hz: Annotated[float, Interval(ge=0.5e9, le=100e9)] | None = None
    tilts_deg: tuple[Annotated[float, Interval(ge=-90, le=90)], ...] | None = None
    n_azimuths: Annotated[int, Interval(ge=1, le=360)] | None = None
    scene: str | None = None
    corner_m: tuple[float, float] | None = None
    columns: Annotated[int, Interval(ge=1, le=2000)] | None = None
    rows: Annotated[int, Interval(ge=1, le=2000)] | None = None
    cell_m: Annotated[float, Interval(ge=0.1, le=1000)] | None = None
    roof_min_m: Annotated[float, Interval(ge=1, le=1000)] | None = None
    masts_m: tuple[Mast, Mast] | None = None
    tilt_range_deg: tuple[Angle, Angle] | None = None
    receivers: Receivers | None = None
    rays: Annotated[int, Interval(ge=1, le=1_000_000_000)] | None = None
    ray_depth: Annotated[int, Interval(ge=0, le=20)] | None = None
    ray_seed: Annotated[int, Interval(ge=0, le=2**30)] | None = None
    refraction: bool | None = None
    diffraction: bool | None = None
    verify_rays: Annotated[int, Interval(ge=1, le=100)] | None = None
    verify_coverage: Annotated[float, Interval(ge=1e-7, le=1)] | None = None
    verify_edge_rate: Annotated[float, Interval(ge=1e-7, le=1)] | None = None
    device: Device | None = None
    hypervolume_reference: tuple[Annotated[float, Ge(-1e9)], ...] | None = None
    hypervolume_ideal: tuple[Annotated[float, Ge(-1e9)], ...] | None = None

    def instance(self, seed: int = 0) -> Instance:
        """Place the users and bind the gains.

        Args:
            seed: Instance seed; it places users and, in the statistical form, candidate sites, shadowing and lines of sight.

        Raises:
            ProblemError: The table is missing or damaged, no sites keep the smallest distance, or the scene cannot be traced
                here.
            MissingDependency: The form is live and the ray tracer is not installed.
        """
        spots = Hotspots(self.n_hotspots, self.hotspot_radius_m, self.hotspot_share)
        rng = generator(seed, problem=self.name, purpose="instance")
        origin = self.origin(seed)
        if self.form == "live":
            return self._live(rng, spots, origin)
        if self.form == "statistical":
            table = self._drawn(rng, spots)
            users = np.arange(len(table.cells_m))
        else:
            assert self.table is not None
            path = table_file(self.table)
            table = self._table(path)
            if path.suffix == _SUFFIX and self.table.endswith(_SUFFIX):
                origin = dataclasses.replace(origin, files={**origin.files, "table": file_source(path)})
            n_cells = len(table.cells_m)
            users = np.arange(n_cells) if self.n_users is None else users_of_cells(rng, table.cells_m, self.n_users, spots)
        self._require_room(table)
        box = HypervolumeBox.given(self.hypervolume_reference, self.hypervolume_ideal)
        plan = self.plan(table.head.antenna.peak_dbi)
        return TableInstance(origin=origin, plan=plan, table=table, users=users, hypervolume_box=box)

    def reference(self, instance: Instance, effort: Effort = Effort.NORMAL) -> Reference | None:
        """The proven optimum of a selection; else the best plans of a local search, with a bound on every goal; live None.

        Args:
            instance: An instance of this family.
            effort: How much work to spend.

        Raises:
            ProblemError: The instance belongs to another family.
        """
        from optisolve.problems.radio_planning.live import LiveInstance
        from optisolve.problems.radio_planning.reference import LIMITS, solve_reference

        if isinstance(instance, LiveInstance):
            return None
        if not isinstance(instance, TableInstance):
            raise ProblemError(f"radio_planning: got a {type(instance).__name__}; expected an instance of this family.")
        return solve_reference(instance, LIMITS[effort])

    def origin(self, seed: int) -> Origin:
        """The origin, with lists instead of tuples, as JSON has them."""
        origin = super().origin(seed)
        params = {name: list(value) if isinstance(value, tuple) else value for name, value in origin.params.items()}
        return dataclasses.replace(origin, params=params)

    def plan(self, peak_dbi: float) -> Plan:
        """The scenario in SI units, as the equations want it.

        Args:
            peak_dbi: Peak gain of the antennas, dBi.
        """
        noise_dbm = self.noise_dbm_hz + self.noise_figure_db + 10.0 * float(np.log10(self.bandwidth_hz))
        return Plan(
            n_transmitters=self.n_transmitters,
            decide=self.decide,
            goals=self.goals,
            shared=self.carriers == "shared",
            bandwidth_hz=self.bandwidth_hz,
            noise_w=float(10.0 ** (noise_dbm / 10.0 - 3.0)),
            sinr_target=float(10.0 ** (self.sinr_target_db / 10.0)),
            power_dbm=(self.power_min_dbm, self.power_max_dbm),
            eirp_max_dbm=self.eirp_max_dbm,
            peak_dbi=peak_dbi,
            distance_min_m=self.distance_min_m,
        )

    def _table(self, path: Path) -> RadioTable:
        try:
            table = _read(str(path), path.stat().st_mtime_ns)
        except OSError as error:
            raise ProblemError(f"table: '{self.table}' cannot be read ({error.strerror}).") from error
        return table

    def _require_room(self, table: RadioTable) -> None:
        """Refuse numbers that the table's sites and antennas do not allow."""
        if self.n_transmitters > len(table.sites_m):
            raise ProblemError(f"n_transmitters is {self.n_transmitters}; table '{self.table}' has {len(table.sites_m)} sites.")
        self.require_eirp(table.head.antenna.peak_dbi)

    def require_eirp(self, peak_dbi: float) -> None:
        """Refuse a cap on the EIRP that the smallest power passes already.

        Args:
            peak_dbi: Peak gain of the antennas, dBi.

        Raises:
            ProblemError: It does.
        """
        if self.eirp_max_dbm < self.power_min_dbm + peak_dbi:
            least = f"power_min_dbm plus the antenna's {peak_dbi:.1f} dBi = {self.power_min_dbm + peak_dbi:.1f}"
            raise ProblemError(f"eirp_max_dbm is {self.eirp_max_dbm:g}; expected at least {least} dBm.")

    def _live(self, rng: np.random.Generator, spots: Hotspots, origin: Origin) -> Instance:
        from optisolve.problems.radio_planning.live import live_instance

        box = HypervolumeBox.given(self.hypervolume_reference, self.hypervolume_ideal)
        return live_instance(self, rng, spots, origin, box)

    def _drawn(self, rng: np.random.Generator, spots: Hotspots) -> RadioTable:
        given: Mapping[str, Any] = {name: getattr(self, name) for name in _STATISTICAL}
        renamed = {"tilt_deg": given["tilts_deg"], **{name: value for name, value in given.items() if name != "tilts_deg"}}
        return drawn_table(rng, n_users=self.n_users, spots=spots, **renamed)

    def _check(self) -> Iterable[FieldProblem]:
        yield from self._check_form()
        if "height" in self.decide and self.form != "live":
            yield FieldProblem("decide", list(self.decide), f"no 'height', since form is '{self.form}': sites have one height")
        if len(set(self.decide)) < len(self.decide):
            yield FieldProblem("decide", list(self.decide), "every choice once")
        if not self.goals or len(set(self.goals)) < len(self.goals):
            yield FieldProblem("goals", list(self.goals), "at least one goal, every goal once")
        if self.power_max_dbm < self.power_min_dbm:
            yield FieldProblem("power_max_dbm", self.power_max_dbm, f"at least power_min_dbm = {self.power_min_dbm:g}")
        if "power" in self.goals and "power" not in self.decide:
            yield FieldProblem("decide", list(self.decide), "'power' too, since it is a goal")
        if self.goals:
            objectives = self.plan(0.0).objectives
            yield from corner_problems(self.hypervolume_reference, self.hypervolume_ideal, objectives)

    def _check_form(self) -> Iterable[FieldProblem]:
        for name in dict.fromkeys(name for names in _OF_FORM.values() for name in names):
            needed, value = name in _OF_FORM[self.form], getattr(self, name)
            if needed and value is None:
                yield FieldProblem(name, None, f"a value, since form is '{self.form}'")
            elif not needed and value is not None:
                yield FieldProblem(name, value, f"null, since form is '{self.form}'")
        if self.form != "table" and self.n_users is None:
            yield FieldProblem("n_users", None, f"a number, since form is '{self.form}'")
        if self.n_candidates is not None and self.n_transmitters > self.n_candidates:
            yield FieldProblem("n_transmitters", self.n_transmitters, f"at most n_candidates = {self.n_candidates}")
        if self.tilts_deg is not None and list(self.tilts_deg) != sorted(set(self.tilts_deg)):
            yield FieldProblem("tilts_deg", list(self.tilts_deg), "rising values")
        for name in ("masts_m", "tilt_range_deg"):
            if (value := getattr(self, name)) is not None and not value[0] < value[1]:
                yield FieldProblem(name, list(value), "two rising values")
