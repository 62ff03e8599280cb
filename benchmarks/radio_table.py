"""Make a table of path gains from a scene of the ray tracer, for `radio_planning` without the tracer.

    python benchmarks/radio_table.py munich --out problems/radio_planning/munich.npz

Needs the extra `rt`. Candidate sites are roofs far from each other, antennas stand on masts above them, cells are the open ones
of the area. Every site is traced once (`optisolve.problems.radio_planning.sectors`); a stopped run goes on with the sites
that are missing. In the end some entries are traced again by the tracer's public interface alone, and the differences printed:
both are estimates from rays, which start in the same directions and decide alike at walls.
"""

from __future__ import annotations

import argparse
import shutil
import time
from pathlib import Path

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.problems.radio_planning.antenna import SectorAntenna
from optisolve.problems.radio_planning.city import CellGrid, CityMap, spread_roofs, survey
from optisolve.problems.radio_planning.sectors import SectorMaps
from optisolve.problems.radio_planning.table import RadioTable, TableHead, levels_of, write_table
from optisolve.problems.radio_planning.tracing import Rays, Tracer, tracer_of, versions

MARGIN_M = 60.0
"""Of the buildings in the picture around the cells."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", help="munich, etoile, ..., or FILE.xml")
    parser.add_argument("--out", type=Path, required=True, help="FILE.npz")
    parser.add_argument(
        "--area", type=float, nargs=4, default=(-320.0, -300.0, 640.0, 540.0), help="west, south, width, height, m"
    )
    parser.add_argument("--cell", type=float, default=20.0, help="side of a cell, m")
    parser.add_argument("--sites", type=int, default=64)
    parser.add_argument("--roof", type=float, default=12.0, help="lowest roof to stand on, m")
    parser.add_argument("--mast", type=float, default=5.0, help="antenna above the roof, m")
    parser.add_argument("--tilts", type=float, nargs="+", default=(2.0, 6.0, 10.0, 14.0), help="degrees")
    parser.add_argument("--azimuths", type=int, default=12, help="number of azimuths")
    parser.add_argument("--carrier", type=float, default=3.5e9, help="Hz")
    parser.add_argument("--rays", type=int, default=1_000_000, help="per site")
    parser.add_argument("--depth", type=int, default=5, help="bounces and passages of a ray")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--checks", type=int, default=4, help="entries traced again by the public interface")
    options = parser.parse_args()

    tracer = tracer_of(options.scene, options.carrier, SectorAntenna(), options.device)
    west, south, width, height = options.area
    grid = CellGrid(west, south, round(width / options.cell), round(height / options.cell), options.cell)
    city = survey(tracer, 5.0)
    places = spread_roofs(city, city.roofs(options.roof, grid), options.sites)
    roof_m = tracer.heights_m(places[:, 0], places[:, 1])
    sites_m = np.column_stack([places, roof_m + options.mast])
    tilt_deg, azimuth_deg = np.array(sorted(options.tilts)), np.arange(options.azimuths) * 360.0 / options.azimuths
    rays = Rays(options.rays, options.depth, options.seed)

    start = time.process_time()
    gain = traced(SectorMaps(tracer, tilt_deg, azimuth_deg, grid), sites_m, rays, options.out.with_suffix(".parts"))
    is_open = city.open_cells(grid)
    with np.errstate(divide="ignore"):
        level = levels_of(10.0 * np.log10(gain[..., is_open]))
    around, raster_m = buildings(city, grid)
    settings = {
        "rays_per_site": rays.per_transmitter, "depth": rays.depth, "seed": rays.seed, "refraction": rays.refraction,
        "diffraction": False, "device": tracer.device, "script": "benchmarks/radio_table.py",
    }  # fmt: skip
    table = RadioTable(
        TableHead(options.scene, options.carrier, options.cell, tracer.antenna, tracer=settings, versions={**versions()}),
        level=level,
        sites_m=sites_m,
        roof_m=roof_m,
        tilt_deg=tilt_deg,
        azimuth_deg=azimuth_deg,
        cells_m=grid.cells_m[is_open],
        building_dm=around,
        raster_m=raster_m,
    )
    write_table(options.out, table)
    shutil.rmtree(options.out.with_suffix(".parts"))
    size, heard = options.out.stat().st_size, 100.0 * (level > -128).mean()
    print(f"{options.out}: {size:,} bytes, level {level.shape}, {heard:.1f} % have a path")
    print(f"{time.process_time() - start:.0f} s of one core on {tracer.device}; sha256 {table.sha256}")
    check(tracer, table, grid, gain, rays, options.checks)


def traced(maps: SectorMaps, sites_m: FloatArray, rays: Rays, parts: Path) -> FloatArray:
    """Gains of all sites, float32 [N, T, A, rows, columns]; sites that stand in `parts` are not traced again."""
    parts.mkdir(parents=True, exist_ok=True)
    found = []
    for i, site_m in enumerate(sites_m):
        part = parts / f"site{i}.npy"
        if not part.exists():
            start = time.perf_counter()
            np.save(part, maps.gains(site_m, rays).astype(np.float32))
            print(f"site {i + 1} of {len(sites_m)}: {time.perf_counter() - start:.1f} s", flush=True)
        found.append(np.load(part))
    return np.stack(found)


def buildings(city: CityMap, grid: CellGrid) -> tuple[np.ndarray, FloatArray]:
    """Heights of the buildings around the cells, int16 [R, S] in 0.1 m, and the raster's corner and pixel."""
    (width, height), west, south = grid.size_m, grid.west_m, grid.south_m
    corners = np.array([[west, south], [west + width, south + height]]) + MARGIN_M * np.array([[-1.0], [1.0]])
    row, column = city.pixels_of(corners)
    part = city.height_m[row[0] : row[1], column[0] : column[1]]
    raster_m = [city.west_m + column[0] * city.pixel_m, city.south_m + row[0] * city.pixel_m, city.pixel_m]
    return np.rint(10.0 * part).astype(np.int16), np.array(raster_m)


def check(tracer: Tracer, table: RadioTable, grid: CellGrid, gain: FloatArray, rays: Rays, count: int) -> None:
    """Differences of entries of the table from the same traced alone, dB, where both see a path."""
    n, t, a, _ = table.level.shape
    rng = np.random.default_rng(rays.seed)
    for site, tilt, azimuth in zip(*(rng.integers(0, size, count) for size in (n, t, a)), strict=True):
        one = np.array([[*table.sites_m[site], table.azimuth_deg[azimuth], table.tilt_deg[tilt]]])
        alone, ours = tracer.cell_gains(one, grid, rays)[0], gain[site, tilt, azimuth]
        both = (alone > 0.0) & (ours > 0.0)
        apart = np.abs(10.0 * np.log10(ours[both] / alone[both]))
        told = f"median {np.median(apart):.2f} dB, 90 % within {np.percentile(apart, 90):.2f} dB"
        print(f"site {site}, tilt {table.tilt_deg[tilt]:g}, azimuth {table.azimuth_deg[azimuth]:g}: {told}, {both.sum()} cells")


if __name__ == "__main__":
    main()
