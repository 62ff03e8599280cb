"""Path gains of a site for every azimuth and tilt from one trace, for tables: where rays go does not depend on the antenna.

A ray is launched once from an isotropic antenna, and whatever cell it crosses gets its power times the gain that each antenna
has in the direction in which the ray left. 48 antennas so cost little more than one. The field stays vertically polarized where
an antenna is tilted, which the tracer turns with it; at the tilts of a table that is below the noise of a trace.

This hooks into two methods of the tracer's solver that are no part of its public interface. `Tracer.cell_gains` uses nothing
but that and must agree; `benchmarks/radio_table.py` compares the two for every table that it makes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.problems.radio_planning.city import CellGrid
from optisolve.problems.radio_planning.tracing import Rays, Tracer

__all__ = ["SectorMaps"]


class SectorMaps:
    """Traces sites for all tilts and azimuths of the tracer's antenna.

    Args:
        tracer: The scene.
        tilt_deg: float64 [T].
        azimuth_deg: float64 [A].
        grid: The cells.
    """

    def __init__(self, tracer: Tracer, tilt_deg: FloatArray, azimuth_deg: FloatArray, grid: CellGrid) -> None:
        self._tracer, self._grid = tracer, grid
        self._shape = (len(tilt_deg), len(azimuth_deg), grid.rows, grid.columns)
        gains = [
            partial(tracer.antenna.gain_db, azimuth_deg=float(azimuth), tilt_deg=float(tilt))
            for tilt in tilt_deg
            for azimuth in azimuth_deg
        ]
        self._solver = _solver_class()(gains, grid.rows * grid.columns)

    def gains(self, site_m: FloatArray, rays: Rays) -> FloatArray:
        """Mean path gain in every cell for every tilt and azimuth.

        Args:
            site_m: float64 [3], the antenna, m.
            rays: How much to trace; edges bend no rays here.

        Returns:
            float64 [T, A, rows, columns], linear; row 0 in the south.

        Raises:
            ProblemError: The site lies inside of a building.
        """
        with self._tracer.isotropic():
            self._tracer.place(np.array([[*site_m, 0.0, 0.0]]))
            straight = Rays(rays.per_transmitter, rays.depth, rays.seed, rays.refraction)
            self._tracer.radio_map(self._solver, self._grid, straight)
        gained: FloatArray = self._solver.gained().reshape(self._shape)
        return gained


def _solver_class() -> Any:
    """The tracer's solver for radio maps with its two hooks; made late, since its base is imported late."""
    import drjit as dr
    import mitsuba as mi
    from sionna.rt import RadioMapSolver

    class EverySector(RadioMapSolver):  # type: ignore[misc,unused-ignore]
        def __init__(self, gains_db: list[Callable[[FloatArray], FloatArray]], n_cells: int) -> None:
            super().__init__()
            self._gains_db, self._n_cells = gains_db, n_cells
            self._by_antenna: list[Any] = []
            self._n_rays = 0

        def gained(self) -> FloatArray:
            return np.array(self._gained, dtype=np.float64)

        def _synthetic_array_weighting(self, scene: Any, k_tx: Any, *rest: Any) -> Any:
            """Called once per trace with the directions in which rays leave: the same for every site."""
            if (n_rays := dr.width(k_tx)) != self._n_rays:
                direction = np.array(k_tx, dtype=np.float64).T  # [rays, 3]
                self._by_antenna = [mi.Float((10.0 ** (db(direction) / 10.0)).astype(np.float32)) for db in self._gains_db]
                self._n_rays = n_rays
            return super()._synthetic_array_weighting(scene, k_tx, *rest)

        def _shoot_and_bounce(self, scene: Any, radio_map: Any, *rest: Any) -> Any:
            self._gained = dr.zeros(mi.Float, len(self._gains_db) * self._n_cells)
            radio_map.add_paths = partial(self._add_paths, radio_map)
            return super()._shoot_and_bounce(scene, radio_map, *rest)

        def _add_paths(
            self,
            radio_map: Any,
            e_fields: Any,
            array_w: Any,
            met: Any,
            along: Any,
            tx_indices: Any,
            active: Any,
            diffracted_paths: bool,
            solid_angle: Any,
        ) -> None:
            """As a planar radio map adds rays to cells, once per antenna with its weight."""
            power = dr.squared_norm(array_w[0] @ e_fields[0]) * solid_angle * dr.rcp(dr.abs(met.to_local(along).z))
            power *= radio_map._normalization_factor
            cell = radio_map._local_to_cell_ind(met.uv)
            for i, weight in enumerate(self._by_antenna):
                index = cell + i * self._n_cells
                dr.scatter_reduce(dr.ReduceOp.Add, self._gained, value=power * weight, index=index, active=active)

    return EverySector
