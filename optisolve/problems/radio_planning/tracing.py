"""Rays through a city by Sionna RT: how high the roofs are, and the path gains of transmitters to cells and to users.

Nothing here is imported before a scene is opened. On a CPU rays are traced by one thread: sums over rays then have one order,
and the same call gives the same bits. Several cores are for several evaluations side by side. On CUDA the order of a sum is
left to the device, so that gains differ in the last digits of a float32 from call to call.

A radio map is a Monte Carlo estimate: every cell averages the rays that cross it 1.5 m above the ground. Where they start is a
lattice of `Rays.per_transmitter` directions, what they do at a wall (pass or bounce) is drawn by `Rays.seed`.

Source: Sionna RT, NVIDIA, Apache-2.0, https://nvlabs.github.io/sionna/rt; arXiv 2504.21719 (technical report).
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from annotated_types import Interval

from optisolve.core.arrays import FloatArray
from optisolve.core.errors import MissingDependency, ProblemError, UnknownNameError
from optisolve.problems.radio_planning.antenna import SectorAntenna
from optisolve.problems.radio_planning.llvm import find_llvm, library_folders, point_to_llvm

if TYPE_CHECKING:
    from optisolve.problems.radio_planning.city import CellGrid

__all__ = [
    "Device",
    "Rays",
    "Receivers",
    "Tracer",
    "can_trace",
    "has_cuda",
    "has_tracer",
    "scene_names",
    "tracer_of",
    "versions",
]

Device = Literal["auto", "cpu", "cuda"]
Receivers = Literal["map", "paths"]
"""Whether users hear the mean of their cells, or what arrives where they stand."""

_PATTERN = "optisolve_sector_{n_rows}_{spacing_wavelengths:g}"
_NEAR_ROOF_M = 0.01
_SKY_M = 10.0


@dataclass(frozen=True, slots=True)
class Rays:
    """How much is traced.

    Args:
        per_transmitter: Directions in which a transmitter sends rays.
        depth: Most bounces and passages of a ray.
        seed: What decides at a wall between passing and bouncing.
        refraction: Whether rays pass through walls.
        diffraction: Whether rays bend around edges, once.
    """

    per_transmitter: Annotated[int, Interval(ge=1, le=1_000_000_000)] = 500_000
    depth: Annotated[int, Interval(ge=0, le=20)] = 5
    seed: Annotated[int, Interval(ge=0, le=2**31 - 1)] = 1
    refraction: bool = True
    diffraction: bool = False

    def others(self, factor: int = 1) -> Rays:
        """Rays in other directions that decide otherwise at walls, for a second opinion.

        Args:
            factor: How many times as many. The lattice of directions depends on their number, so that a few more rays all start
                elsewhere.
        """
        return Rays(
            factor * self.per_transmitter + 10_007, self.depth, self.seed + 1_000_003, self.refraction, self.diffraction
        )


def has_tracer() -> bool:
    """Whether the tracer is installed."""
    return importlib.util.find_spec("sionna") is not None and importlib.util.find_spec("mitsuba") is not None


def can_trace() -> bool:
    """Whether the tracer is installed and finds here what it compiles with."""
    if not has_tracer():
        return False
    try:
        return has_cuda() or bool(find_llvm(os.environ, library_folders()))
    except ProblemError:
        return False


@lru_cache(maxsize=1)
def has_cuda() -> bool:
    """Whether this machine's CUDA driver has a device."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int()
    return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0


def versions() -> dict[str, str]:
    """Versions of the tracer's packages."""
    return {package: version(package) for package in ("sionna-rt", "mitsuba", "drjit")}


def scene_names() -> list[str]:
    """Names of the scenes that come with the tracer."""
    return sorted(_scenes(_sionna("auto")))


@lru_cache(maxsize=2)
def tracer_of(scene: str, carrier_hz: float, antenna: SectorAntenna, device: Device = "auto") -> Tracer:
    """The tracer of a scene, opened once per process.

    Args:
        scene: Name of a scene of the tracer, or path of a Mitsuba scene (``.xml``) with radio materials.
        carrier_hz: Carrier frequency, Hz.
        antenna: Antenna of every transmitter.
        device: ``"cuda"``, ``"cpu"``, or ``"auto"``: CUDA where there is a device.

    Raises:
        MissingDependency: The tracer is not installed.
        ProblemError: The scene is unknown or cannot be read, there is no CUDA device, or no LLVM for a CPU.
    """
    return Tracer(scene, carrier_hz, antenna, device)


class Tracer:
    """A scene, ready to be traced; get one from `tracer_of`.

    Args:
        scene: See `tracer_of`; likewise the others.
        carrier_hz: Hz.
        antenna: Of every transmitter.
        device: Where to trace.

    Attributes:
        antenna: See above.
        device: ``"cpu"`` or ``"cuda"``.
        low_m: float64 [3], corner of the box around the scene, m.
        high_m: float64 [3], the opposite corner.
    """

    def __init__(self, scene: str, carrier_hz: float, antenna: SectorAntenna, device: Device = "auto") -> None:
        self._rt = _sionna(device)
        import drjit
        import mitsuba

        self.antenna = antenna
        self._mi = mitsuba
        self.device = "cuda" if str(mitsuba.variant()).startswith("cuda") else "cpu"
        if self.device == "cpu":
            drjit.set_thread_count(1)
        self._scene = self._rt.load_scene(_scene_file(self._rt, scene))
        self._scene.frequency = float(carrier_hz)
        self._scene.tx_array = self._array(_registered(self._rt, antenna))
        self._scene.rx_array = self._array("iso")
        self._map_solver, self._path_solver = self._rt.RadioMapSolver(), self._rt.PathSolver(deterministic=True)
        box = self._scene.mi_scene.bbox()
        self.low_m, self.high_m = (np.array(corner, dtype=np.float64).ravel() for corner in (box.min, box.max))

    def heights_m(self, x_m: FloatArray, y_m: FloatArray) -> FloatArray:
        """Height of what a plumb line from the sky meets first: a roof, or the ground.

        Args:
            x_m: float64, any shape, east, m.
            y_m: float64, the same shape, north, m.

        Returns:
            float64, the same shape, m; 0 outside of the scene.
        """
        top = float(self.high_m[2]) + _SKY_M
        flat = [self._mi.Float(np.ascontiguousarray(values, dtype=np.float32).ravel()) for values in (x_m, y_m)]
        rays = self._mi.Ray3f(o=self._mi.Point3f(*flat, top), d=self._mi.Vector3f(0.0, 0.0, -1.0))
        met = self._scene.mi_scene.ray_intersect(rays)
        distance = np.array(met.t, dtype=np.float64).reshape(np.shape(x_m))
        return np.where(np.isfinite(distance), top - distance, 0.0)

    def cell_gains(self, transmitters: FloatArray, grid: CellGrid, rays: Rays) -> FloatArray:
        """Mean path gain of every transmitter in every cell, antenna included, towards isotropic receivers.

        Args:
            transmitters: float64 [M, 5]: x, y, z of the antenna in m, azimuth and down-tilt in degrees.
            grid: The cells.
            rays: How much to trace.

        Returns:
            float64 [M, rows, columns], linear; row 0 in the south. 0 where no ray arrives.

        Raises:
            ProblemError: A transmitter stands inside of a building; the text says which, where and how high the roof is.
        """
        self.place(transmitters)
        return self.radio_map(self._map_solver, grid, rays)

    def user_gains(self, transmitters: FloatArray, users_m: FloatArray, rays: Rays) -> FloatArray:
        """Path gain of every transmitter at every user, by the paths themselves: exact for each path that is found.

        Powers of paths are added, not their fields, so that a gain does not change within a wavelength.

        Args:
            transmitters: float64 [M, 5], see `cell_gains`.
            users_m: float64 [K, 3], x, y, z in m.
            rays: How much to trace in order to find paths.

        Returns:
            float64 [M, K], linear; 0 where no path is found.

        Raises:
            ProblemError: A transmitter stands inside of a building.
        """
        self.place(transmitters)
        for i, user in enumerate(users_m):
            self._scene.add(self._rt.Receiver(name=f"user{i}", position=_floats(user)))
        paths = self._path_solver(
            self._scene,
            max_depth=rays.depth,
            samples_per_src=rays.per_transmitter,
            max_num_paths_per_src=max(rays.per_transmitter, 1000),
            seed=rays.seed,
            refraction=rays.refraction,
            diffraction=rays.diffraction,
        )
        power = sum(np.array(part, dtype=np.float64) ** 2 for part in paths.a)  # [K, 1, M, 1, paths]
        gained: FloatArray = np.asarray(power).reshape(len(users_m), len(transmitters), -1).sum(axis=2).T
        return gained

    def place(self, transmitters: FloatArray) -> None:
        """Exactly these transmitters and no receivers.

        Args:
            transmitters: float64 [M, 5], see `cell_gains`.

        Raises:
            ProblemError: One stands inside of a building.
        """
        roofs = self.heights_m(transmitters[:, 0], transmitters[:, 1])
        for i, (x, y, z) in enumerate(transmitters[:, :3]):
            if z < roofs[i] + _NEAR_ROOF_M:
                raise ProblemError(
                    f"transmitter {i} at x = {x:.1f} m, y = {y:.1f} m, z = {z:.1f} m is inside of a building "
                    f"or the ground, whose top is at {roofs[i]:.1f} m: put it above."
                )
        for name in (*self._scene.transmitters, *self._scene.receivers):
            self._scene.remove(name)
        for i, (x, y, z, azimuth, tilt) in enumerate(transmitters):
            turned = [float(np.deg2rad(azimuth)), float(np.deg2rad(tilt)), 0.0]
            self._scene.add(self._rt.Transmitter(name=f"site{i}", position=_floats((x, y, z)), orientation=turned))

    def radio_map(self, solver: Any, grid: CellGrid, rays: Rays) -> FloatArray:
        """What a solver for radio maps makes of the placed transmitters, float64 [M, rows, columns], linear."""
        made = solver(
            self._scene,
            center=self._mi.Point3f(*grid.center_m),
            orientation=self._mi.Point3f(0.0, 0.0, 0.0),
            size=self._mi.Point2f(*grid.size_m),
            cell_size=self._mi.Point2f(grid.cell_m, grid.cell_m),
            samples_per_tx=rays.per_transmitter,
            max_depth=rays.depth,
            seed=rays.seed,
            refraction=rays.refraction,
            diffraction=rays.diffraction,
        )
        return np.array(made.path_gain, dtype=np.float64)

    @contextmanager
    def isotropic(self) -> Iterator[None]:
        """While transmitters have isotropic antennas."""
        own = self._scene.tx_array
        self._scene.tx_array = self._array("iso")
        try:
            yield
        finally:
            self._scene.tx_array = own

    def _array(self, pattern: str) -> Any:
        return self._rt.PlanarArray(
            num_rows=1, num_cols=1, vertical_spacing=0.5, horizontal_spacing=0.5, pattern=pattern, polarization="V"
        )


def _floats(values: Any) -> list[float]:
    return [float(value) for value in values]


def _sionna(device: Device) -> Any:
    """The tracer's module, on a device; the first call of a process decides the device.

    Raises:
        MissingDependency: It is not installed.
        ProblemError: There is no CUDA device, no LLVM, or the process traces on another device already.
    """
    if not has_tracer():
        raise MissingDependency("sionna-rt, the ray tracer of live radio planning", extra="rt")
    if device == "cuda" and not has_cuda():
        raise ProblemError("device is 'cuda', but no CUDA device was found; take device=cpu or device=auto.")
    loaded = sys.modules.get("mitsuba")
    variant = None if loaded is None else loaded.variant()
    if variant is None:
        on_cuda = device != "cpu" and has_cuda()
        if not on_cuda:
            point_to_llvm()
        import mitsuba

        mitsuba.set_variant(f"{'cuda' if on_cuda else 'llvm'}_ad_mono_polarized")
    elif device != "auto" and not str(variant).startswith("cuda" if device == "cuda" else "llvm"):
        raise ProblemError(
            f"device is '{device}', but this process traces with Mitsuba's {variant} already; start another one."
        )
    import sionna.rt

    return sionna.rt


def _scenes(rt: Any) -> dict[str, str]:
    return {name: path for name, path in vars(rt.scene).items() if isinstance(path, str) and path.endswith(".xml")}


def _scene_file(rt: Any, scene: str) -> str:
    known = _scenes(rt)
    if scene in known:
        return known[scene]
    if not scene.endswith(".xml"):
        raise UnknownNameError("scene", scene, [*known, "FILE.xml"])
    path = Path(scene).expanduser()
    if not path.is_file():
        raise ProblemError(
            f"scene is '{scene}'; expected an existing Mitsuba scene (.xml), or one of {', '.join(sorted(known))}."
        )
    return str(path)


def _registered(rt: Any, antenna: SectorAntenna) -> str:
    """Name under which the tracer knows an antenna: the formulas of `SectorAntenna` once more, for its own arrays."""
    import drjit as dr
    import mitsuba
    from sionna.rt.antenna_pattern import PolarizedAntennaPattern

    mi: Any = mitsuba  # whose stubs know no types before a variant is chosen

    name = _PATTERN.format(n_rows=antenna.n_rows, spacing_wavelengths=antenna.spacing_wavelengths)

    def amplitude(zenith: Any, azimuth: Any) -> Any:
        """Field of a vertically polarized column whose boresight is the x axis."""
        turned = azimuth - 2.0 * dr.pi * dr.round(azimuth / (2.0 * dr.pi))
        width = float(np.deg2rad(65.0))  # TR 38.901 Table 7.3-1
        vertical = dr.minimum(12.0 * dr.square((zenith - 0.5 * dr.pi) / width), 30.0)
        horizontal = dr.minimum(12.0 * dr.square(turned / width), 30.0)
        element_db = 8.0 - dr.minimum(vertical + horizontal, 30.0)
        half = dr.pi * antenna.spacing_wavelengths * dr.cos(zenith)
        sine = dr.sin(half)
        flat = dr.abs(sine) < 1e-6
        column = dr.select(flat, float(antenna.n_rows), dr.sin(antenna.n_rows * half) / dr.select(flat, 1.0, sine))
        return mi.Complex2f(dr.power(10.0, element_db / 20.0) * dr.abs(column) / float(np.sqrt(antenna.n_rows)), 0.0)

    def made(*, polarization: str) -> Any:
        return PolarizedAntennaPattern(v_pattern=amplitude, polarization=polarization)

    rt.register_antenna_pattern(name, made)
    return name
