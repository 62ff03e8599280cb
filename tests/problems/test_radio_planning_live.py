"""The ray tracer and radio planning with it in the loop, with few rays: what is tested here does not depend on how many."""

import dataclasses
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
from scipy.ndimage import binary_erosion

import optisolve
from optisolve.core.errors import MissingDependency, OptionError, ProblemError, UnknownNameError
from optisolve.problems.radio_planning import tracing
from optisolve.problems.radio_planning.antenna import SectorAntenna
from optisolve.problems.radio_planning.city import CellGrid, survey
from optisolve.problems.radio_planning.sectors import SectorMaps
from optisolve.problems.radio_planning.tracing import Rays, can_trace, tracer_of
from optisolve.run.records import iter_records, read_record
from optisolve.testing import ProblemConformance

needs_tracer = pytest.mark.skipif(not can_trace(), reason="needs the extra [rt], and LLVM for it")

CARRIER_HZ = 3.5e9
WAVE_M = 299_792_458.0 / CARRIER_HZ
GRID = CellGrid(-320.0, -300.0, 32, 27, 20.0)
SQUARE = np.array([[-32.5, 14.5, 80.0, 20.0, 10.0]])
"""A transmitter on a high mast at the middle of Munich, looking over roofs to the east: many streets are in its sight."""


@pytest.fixture(scope="module")
def munich():
    if not can_trace():
        pytest.skip("needs the extra [rt], and LLVM for it")
    return tracer_of("munich", CARRIER_HZ, SectorAntenna(), "cpu")


def _problem(**changes):
    few = {"rays": 3000, "n_users": 60, "verify_coverage": 1.0, "device": "cpu"}
    return optisolve.load_problem("radio_planning/munich", **{**few, **changes})


@pytest.fixture(scope="module")
def instance(munich):
    return _problem().instance(0)


def test_without_bounces_a_user_hears_what_friis_says(munich):
    """Gain = G(direction) (wavelength / 4 pi distance)^2, by the antenna's own formulas."""
    points = GRID.cells_m[survey(munich, 5.0).open_cells(GRID)][::20]
    found = munich.user_gains(SQUARE, points, Rays(1000, depth=0))[0]
    seen = found > 0.0
    away = points[seen] - SQUARE[0, :3]
    friis = (WAVE_M / (4.0 * np.pi * np.linalg.norm(away, axis=1))) ** 2
    antenna = 10.0 ** (SectorAntenna().gain_db(away, SQUARE[0, 3], SQUARE[0, 4]) / 10.0)
    assert seen.sum() >= 3
    assert np.allclose(found[seen], antenna * friis, rtol=2e-3)


def test_a_cell_in_sight_hears_the_mean_of_its_points(munich):
    """Cells that are in sight throughout: the map is within a decibel of Friis averaged over a lattice of points."""
    shift = np.linspace(-7.5, 7.5, 4)
    lattice = np.stack([*np.meshgrid(shift, shift), np.zeros((4, 4))], axis=-1).reshape(-1, 3)
    squares = binary_erosion(survey(munich, 5.0).open_cells(GRID), np.ones((3, 3)))  # no house in the cells around
    centers = GRID.cells_m[squares]
    near = centers[np.argsort(np.hypot(*(centers[:, :2] - SQUARE[0, :2]).T))[:8]]
    points = (near[:, None] + lattice).reshape(-1, 3)
    heard = munich.user_gains(SQUARE, points, Rays(1000, depth=0))[0].reshape(8, 16)
    cells = munich.cell_gains(SQUARE, GRID, Rays(1_000_000, depth=0))[0].reshape(-1)[GRID.index_of(near)]
    in_sight = (heard > 0.0).all(axis=1)
    assert in_sight.sum() >= 2
    assert np.abs(10.0 * np.log10(cells[in_sight] / heard[in_sight].mean(axis=1))).max() < 1.0


def test_the_same_rays_give_the_same_bits(munich):
    """On a CPU; another seed and another number of rays give other ones."""
    rays = Rays(20_000)
    first = munich.cell_gains(SQUARE, GRID, rays)
    assert first.shape == (1, 27, 32)
    assert np.array_equal(first, munich.cell_gains(SQUARE, GRID, rays))
    assert not np.array_equal(first, munich.cell_gains(SQUARE, GRID, dataclasses.replace(rays, seed=2)))
    assert not np.array_equal(first, munich.cell_gains(SQUARE, GRID, rays.others()))


def test_all_sectors_from_one_trace_are_each_sector_traced_alone(munich):
    """The same rays: what is left is the polarization of a tilted antenna. Bounces off the ground weigh it most."""
    tilt, azimuth = np.array([0.0, 10.0]), np.array([0.0, 90.0, 180.0, 270.0])
    rays, site = Rays(100_000, depth=2), SQUARE[0, :3]
    maps = SectorMaps(munich, tilt, azimuth, GRID)
    ours = maps.gains(site, rays)
    for t, a in ((0, 0), (1, 3)):
        alone = munich.cell_gains(np.array([[*site, azimuth[a], tilt[t]]]), GRID, rays)[0]
        both = (alone > 1e-13) & (ours[t, a] > 0.0)
        apart = np.abs(10.0 * np.log10(ours[t, a][both] / alone[both]))
        assert both.sum() > 50
        assert np.median(apart) < 0.1
        assert ours[t, a].sum() == pytest.approx(alone.sum(), rel=0.02)


def test_a_transmitter_inside_of_a_building_is_refused(munich):
    """Which, where, and how high the roof is."""
    inside = SQUARE - np.array([[0.0, 0.0, 59.0, 0.0, 0.0]])
    with pytest.raises(
        ProblemError, match=r"transmitter 0 at x = -32.5 m, y = 14.5 m, z = 21.0 m is inside .* 26.0 m: put it above"
    ):
        munich.cell_gains(inside, GRID, Rays(1000))


@needs_tracer
def test_an_unknown_scene_names_the_known_ones():
    """By name, and by path."""
    with pytest.raises(UnknownNameError, match=r"Unknown scene 'munch'. Did you mean 'munich'"):
        _problem(scene="munch").instance(0)
    with pytest.raises(ProblemError, match=r"scene is 'none.xml'; expected an existing Mitsuba scene"):
        _problem(scene="none.xml").instance(0)


def test_without_the_tracer_the_error_names_the_extra(monkeypatch):
    """Where the instance is made: before a run has begun, so that no budget is spent on failures."""
    monkeypatch.setattr(tracing, "has_tracer", lambda: False)
    with pytest.raises(MissingDependency, match=r"pip install 'optisolve\[rt\]'"):
        _problem(scene="etoile").instance(0)


def test_cuda_is_refused_where_there_is_none(monkeypatch):
    """One line, with what to do."""
    if not can_trace():
        pytest.skip("needs the extra [rt], and LLVM for it")
    monkeypatch.setattr(tracing, "has_cuda", lambda: False)
    with pytest.raises(ProblemError, match="no CUDA device was found; take device=cpu"):
        _problem(scene="etoile", device="cuda").instance(0)


def test_settings_of_another_form_are_refused():
    """All in one message: a live form has no table, and needs its rays."""
    with pytest.raises(OptionError, match=r"(?s)table.*null, since form is 'live'.*rays.*a value, since form is 'live'"):
        _problem(table="munich", rays=None)


def test_positions_stand_for_the_nearest_roofs(instance):
    """Whatever the point; transmitters are above what is below them."""
    X = instance.space.sample(np.random.default_rng(0), 5)
    chosen = instance.transmitters(X)
    city = instance.stands.city
    assert instance.stands.roofs[city.pixels_of(chosen.position_m)].all()
    tracer = instance.scene.opened()
    placed = instance._antennas(tracer, chosen)
    assert (placed[..., 2] >= tracer.heights_m(placed[..., 0], placed[..., 1]) + 2.0 - 1e-9).all()


def test_a_projected_plan_keeps_its_distances_on_roofs(instance):
    """Even where all transmitters want to stand at one place; and it is left as it is the second time."""
    X = instance.space.sample(np.random.default_rng(1), 20)
    for name in ("x_m", "y_m"):
        instance.columns(X[:3], name)[:] = 0.0
    P = instance.project(X)
    chosen = instance.transmitters(P)
    i, j = np.triu_indices(4, 1)
    assert np.hypot(*np.moveaxis(chosen.position_m[:, i] - chosen.position_m[:, j], -1, 0)).min() >= 100.0
    assert np.array_equal(instance.project(P), P)


def test_users_stand_in_open_cells(instance):
    """And every cell is known by its number along the rows."""
    assert len(instance.users) == 60
    assert instance.is_open.ravel()[instance.users].all()
    assert np.array_equal(instance.grid.index_of(instance.users_m), instance.users)


def test_a_plan_that_reaches_nobody_is_a_recorded_point(munich):
    """Coverage and edge rate are 0, nothing is NaN, nothing is raised: a target that noise alone exceeds."""
    case = _problem(sinr_target_db=100.0, goals=("coverage", "edge_rate")).instance(0)
    evaluation = case.evaluate(case.null_policies()["spread"])
    assert evaluation.F[0, 0] == 0.0
    assert np.isfinite(evaluation.F).all()


def test_a_run_is_verified_by_other_rays_and_replays(instance, tmp_path):
    """Values of the record are those of verification; they differ from the run's, within what the scenario allows."""
    result = optisolve.solve(instance, "random_search", budget=optisolve.Budget(evaluations=4), seed=1)
    assert not result.record.provenance.errors
    assert np.array_equal(result.F, instance.evaluate_twin(result.X).F)
    assert not np.array_equal(result.F, instance.evaluate(result.X).F)
    assert optisolve.verify(result.save(tmp_path))


def test_values_farther_apart_than_stated_claim_nothing(munich):
    """A tolerance that no trace of so few rays keeps: the record says which objective is how far off."""
    case = _problem(verify_coverage=1e-3, verify_rays=20).instance(0)
    result = optisolve.solve(case, "random_search", budget=optisolve.Budget(evaluations=4), seed=1)
    assert any("coverage is" in error and "apart" in error for error in result.record.provenance.errors)


def test_users_by_paths_are_heard_where_they_stand(munich):
    """A second kind of receiver: the gains are those of the paths at the middles of the users' cells."""
    case = _problem(receivers="paths", n_users=5, ray_depth=1, rays=2000).instance(0)
    x = case.null_policies()["spread"]
    gains = case.gains(case.transmitters(x))
    assert gains.shape == (1, 4, 5)
    assert np.isfinite(case.evaluate(x).F).all()


@needs_tracer
@pytest.mark.slow
def test_a_stopped_run_ends_and_keeps_what_it_traced(tmp_path):
    """As a scheduler stops it, in the middle of a batch, with workers inside of the tracer."""
    few = ["problem.rays=20000", "problem.n_users=60", "problem.verify_coverage=1", "problem.device=cpu", "workers=2"]
    words = ["run", "problem=radio_planning/munich", *few, "solver=random_search", "solver.batch_size=4", "reference=none"]
    more = ["budget.evaluations=100000", "pictures=false", "progress=lines", f"out={tmp_path}"]
    command = [sys.executable, "-m", "optisolve", *words, *more]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            assert next((line for line in process.stderr if re.search(r"evaluations [1-9]", line)), None), "it did not begin"
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=300)
        finally:
            process.kill()
    assert process.returncode == 130
    (record,) = [read_record(path) for path in iter_records(tmp_path)]
    assert record.termination.status == "interrupted"
    assert record.used.evaluations > 0
    assert record.verified.point == "feasible"


@needs_tracer
@pytest.mark.slow
class TestLive(ProblemConformance):
    """The kit with few rays; projection puts transmitters onto roofs, apart and within their EIRP."""

    projection_is_exact = True

    def make_problem(self):
        return _problem(rays=1000, n_users=20)
