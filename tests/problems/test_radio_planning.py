"""Radio planning: tables and their files, antenna and channel against their sources, certificates, repairs, refusals."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pytest

from optisolve.content import content_dir
from optisolve.core import Evidence
from optisolve.core.errors import OptionError, ProblemError, UnknownNameError
from optisolve.modelling.cpsat import solve_cpsat
from optisolve.modelling.highs import solve_highs
from optisolve.problems.radio_planning.antenna import SectorAntenna, element_gain_db
from optisolve.problems.radio_planning.channel import gaussian_field, los_probability, path_loss_db
from optisolve.problems.radio_planning.table import NO_PATH, RadioTable, TableHead, levels_of, read_table, write_table
from optisolve.registry import make_problem
from optisolve.testing import ProblemConformance

SMALL = {"n_users": 40, "n_candidates": 12, "n_transmitters": 3, "n_azimuths": 4, "tilts_deg": [4.0, 8.0]}
OF_A_TABLE = dict.fromkeys(
    ("environment", "area_m", "n_candidates", "station_m", "receiver_m", "carrier_hz", "tilts_deg", "n_azimuths")
)


class TestProjectionIsExact(ProblemConformance):
    """Every projected plan keeps distances and the cap on the EIRP."""

    projection_is_exact = True

    def make_problem(self):
        return make_problem("radio_planning", SMALL)


def small(**changes):
    problem = make_problem("radio_planning", {**SMALL, "hypervolume_reference": None, "hypervolume_ideal": None, **changes})
    return problem, problem.instance(0)


def selection(seed=0, **changes):
    problem = make_problem(
        "radio_planning/urban_selection", {"n_users": 60, "n_candidates": 14, "n_transmitters": 3, **changes}
    )
    return problem, problem.instance(seed)


def brute_force(instance):
    """The largest coverage of all selections of options that keep the distances, by the numpy twin."""
    chosen = np.array(list(itertools.combinations(instance.site_options, instance.plan.n_transmitters)))
    evaluation = instance.evaluate_twin(instance.points_of(chosen))
    return evaluation.F[evaluation.feasible, 0].max()


def a_table(**changes):
    """Two sites, one tilt, two azimuths, three cells, a building."""
    gains = np.array(
        [[[[-80.0, -90.2, -np.inf], [-100.0, -110.0, -120.0]]], [[[-95.0, -85.0, -70.0], [-169.9, -171.0, -44.0]]]]
    )
    table = RadioTable(
        head=TableHead("corner", 3.5e9, 20.0, tracer={"rays": 1000}, versions={"tracer": "1"}),
        level=levels_of(gains),
        sites_m=np.array([[0.0, 0.0, 30.0], [100.0, 0.0, 25.0]]),
        roof_m=np.array([28.0, 23.0]),
        tilt_deg=np.array([6.0]),
        azimuth_deg=np.array([0.0, 180.0]),
        cells_m=np.array([[-20.0, 10.0, 1.5], [0.0, 10.0, 1.5], [120.0, 10.0, 1.5]]),
        building_dm=np.array([[0, 280], [230, 0]], dtype=np.int16),
        raster_m=np.array([-30.0, -30.0, 50.0]),
    )
    return dataclasses.replace(table, **changes)


# -- tables ---------------------------------------------------------------------------------------------------------


def test_a_table_survives_its_file_and_the_same_table_gives_the_same_bytes(tmp_path):
    table = a_table()
    for name in ("a.npz", "b.npz"):
        write_table(tmp_path / name, table)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    again = read_table(tmp_path / "a.npz")
    assert again.sha256 == table.sha256
    assert again.head == table.head


def test_gains_are_off_by_half_a_step_at_most_and_the_inaudible_is_no_path():
    gains = np.array([-170.1, -170.3, -120.26, -43.1, -np.inf])
    told = a_table().gain_db(levels_of(gains))
    heard = np.isfinite(told)
    assert heard.tolist() == [True, False, True, True, False]
    assert np.abs(told[heard] - gains[heard]).max() <= 0.25
    assert levels_of(np.array([-np.inf]))[0] == NO_PATH


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"roof_m": np.zeros(3)}, "roof_m"),
        ({"tilt_deg": np.array([np.nan])}, "tilt_deg"),
        ({"azimuth_deg": np.array([0.0, 90.0])}, "azimuth_deg"),
        ({"sites_m": np.zeros((2, 3))}, "sites_m"),
        ({"head": TableHead("corner", 3.5e9, 20.0, step_db=0.0)}, "step_db"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_by_name(changes, named):
    with pytest.raises(ProblemError, match=named):
        a_table(**changes)


def test_gains_that_no_level_holds_are_refused():
    with pytest.raises(ProblemError, match="NaN"):
        levels_of(np.array([np.nan]))
    with pytest.raises(ProblemError, match=r"-20\.0 dB"):
        levels_of(np.array([-20.0]))


def test_an_altered_a_foreign_and_a_missing_file_are_told(tmp_path):
    path = tmp_path / "table.npz"
    write_table(path, a_table())
    arrays = dict(np.load(path))
    arrays["level"] = arrays["level"] + np.int8(1)
    np.savez(path, **arrays)
    with pytest.raises(ProblemError, match="altered"):
        read_table(path)
    np.savez(path, **{name: values for name, values in arrays.items() if name != "roof_m"})
    with pytest.raises(ProblemError, match="lacks roof_m"):
        read_table(path)
    np.savez(path, **{**arrays, "cells_m": arrays["cells_m"].astype(np.float32)})
    with pytest.raises(ProblemError, match="cells_m is float32"):
        read_table(path)
    np.savez(path, gain=np.zeros(3))
    with pytest.raises(ProblemError, match="no array 'head'"):
        read_table(path)
    with pytest.raises(ProblemError, match="does not exist"):
        read_table(tmp_path / "nowhere.npz")


def test_a_table_of_ones_own_is_planned_on(tmp_path):
    """Two transmitters on a hand-made table: gains, sums and shares worked out on paper."""
    write_table(tmp_path / "own.npz", a_table())
    own = {"form": "table", "table": str(tmp_path / "own.npz"), **OF_A_TABLE, "n_users": None, "n_transmitters": 2}
    numbers = {
        "distance_min_m": 50.0,
        "noise_dbm_hz": -174.0,
        "noise_figure_db": 0.0,
        "bandwidth_hz": 1e6,
        "eirp_max_dbm": 90.0,
    }
    goals = {"decide": ["azimuth", "power"], "goals": ["coverage", "edge_rate", "power"], "sinr_target_db": 3.0}
    problem = make_problem(
        "radio_planning", {**own, **numbers, **goals, "hypervolume_reference": None, "hypervolume_ideal": None}
    )
    instance = problem.instance(0)
    x = np.array([-5.0, 3.0, 10.0, 30.0, 90.0, -7.0, 170.0, 40.0])  # site 0 looks east, 30 dBm; site 1 looks west, 40 dBm
    x[:2], x[4:6] = [1.0, 0.0], [99.0, 0.0]
    received = np.array([[-50.0, -60.0, -np.inf], [-130.0, -np.inf, -4.0]])  # dBm; -90.2 is the level -90, -171 below the floor
    watts = np.where(np.isfinite(received), 10.0 ** (received / 10.0 - 3.0), 0.0)
    noise = 10.0 ** (-114.0 / 10.0 - 3.0)
    sinr = [watts[0, 0] / (watts[1, 0] + noise), watts[0, 1] / noise, watts[1, 2] / noise]
    rates = [math.log2(1 + sinr[0]) / 2, math.log2(1 + sinr[1]) / 2, math.log2(1 + sinr[2])]
    F = instance.evaluate(x).F[0]
    assert pytest.approx([100.0, min(rates), 11.0], rel=1e-9) == F
    assert "table" in instance.origin.files


def test_an_unknown_table_is_told_with_what_there_is():
    with pytest.raises(UnknownNameError, match="atlantis"):
        make_problem("radio_planning", {"form": "table", "table": "atlantis", **OF_A_TABLE}).instance(0)


def test_shipped_tables_are_small():
    """Eight megabytes for all of them."""
    assert sum(path.stat().st_size for path in (content_dir("problems") / "radio_planning").glob("*.npz")) <= 8_000_000


# -- antenna and channel --------------------------------------------------------------------------------------------


def test_the_element_is_that_of_the_standard():
    """TR 38.901 Table 7.3-1: 8 dBi, 3 dB down at half of 65 degrees, 30 dB down behind."""
    assert element_gain_db(np.zeros(1), np.zeros(1))[0] == 8.0
    assert element_gain_db(np.array([32.5, 0.0]), np.array([0.0, -32.5])) == pytest.approx([5.0, 5.0])
    assert element_gain_db(np.array([0.0, 80.0]), np.array([180.0, 90.0])) == pytest.approx([-22.0, -22.0])


def test_the_column_radiates_no_more_than_its_elements():
    """At half-wave spacing the array factor has the mean 1 over the sphere: all sums of sinc(pi k) vanish."""
    up = np.linspace(-1.0, 1.0, 40_001)
    direction = np.stack([np.sqrt(1.0 - up**2), np.zeros_like(up), up], axis=1)
    one, eight = (SectorAntenna(n).gain_db(direction, 0.0, 0.0) for n in (1, 8))
    assert (10.0 ** ((eight - one) / 10.0)).mean() == pytest.approx(1.0, abs=1e-3)
    assert SectorAntenna(8).peak_dbi == pytest.approx(8.0 + 10.0 * math.log10(8.0))


def test_turning_and_tilting_the_antenna_turns_its_beam():
    antenna = SectorAntenna()
    down = np.array([0.0, math.cos(math.radians(7.0)), -math.sin(math.radians(7.0))])
    assert antenna.gain_db(down, 90.0, 7.0) == pytest.approx(antenna.peak_dbi)
    assert antenna.gain_db(down, 90.0, 0.0) < antenna.peak_dbi - 3.0
    assert antenna.gain_db(down, 270.0, 7.0) < antenna.peak_dbi - 25.0


@pytest.mark.parametrize(
    ("environment", "distance", "station", "los", "nlos"),
    [("uma", 100.0, 25.0, 83.1382, 103.0375), ("uma", 1000.0, 25.0, 109.4065, 141.6660), ("umi", 50.0, 10.0, 79.0897, 94.1807)],
)
def test_path_loss_is_that_of_the_standard(environment, distance, station, los, nlos):
    """TR 38.901 Table 7.4.1-1 at 3.5 GHz and 1.5 m, by hand: distance in space, break point 4 h' h' f / c, the formulas."""
    found = path_loss_db(environment, np.array([distance]), np.array([station]), 1.5, 3.5e9)
    assert [float(v[0]) for v in found] == pytest.approx([los, nlos], abs=1e-4)


def test_line_of_sight_is_sure_nearby_and_rare_far_away():
    """TR 38.901 Table 7.4.2-1 at 100 m: 18/d + exp(-d/63 or -d/36) (1 - 18/d)."""
    for environment, scale in (("uma", 63.0), ("umi", 36.0)):
        found = los_probability(environment, np.array([5.0, 18.0, 100.0]))
        assert found == pytest.approx([1.0, 1.0, 0.18 + math.exp(-100.0 / scale) * 0.82])


def test_shadowing_forgets_with_distance_as_it_should():
    """Unit variance and correlation exp(-distance / 50 m) over many fields."""
    points = np.array([[0.0, 0.0], [25.0, 0.0], [0.0, 50.0], [400.0, 300.0]])
    fields = gaussian_field(np.random.default_rng(0), 4000, points, 50.0)
    assert np.cov(fields.T)[0] == pytest.approx([1.0, math.exp(-0.5), math.exp(-1.0), 0.0], abs=0.06)


# -- plans ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("decide", [[], ["azimuth", "tilt"]])
def test_models_and_reference_equal_brute_force_on_own_carriers(decide):
    for seed in range(3):
        changes = {"decide": decide, **({"n_candidates": 8, "n_transmitters": 2, "n_azimuths": 3} if decide else {})}
        problem, instance = selection(seed, **changes)
        optimum = brute_force(instance)
        reference = problem.reference(instance)
        assert reference.evidence is Evidence.PROVEN_OPTIMAL
        assert reference.value == pytest.approx(optimum, abs=1e-9)
        for answer in (solve_cpsat(instance.model("cpsat"), deterministic_time=5.0), solve_highs(instance.model("highs"))):
            assert instance.evaluate_twin(answer.x).F[0, 0] == pytest.approx(optimum, abs=1e-9)
            assert answer.dual_bound == pytest.approx(optimum, abs=1e-6)


def test_a_shared_carrier_is_certified_by_looking_at_every_selection():
    for seed in range(3):
        problem, instance = selection(seed, carriers="shared", sinr_target_db=0.0)
        assert instance.model("cpsat") is None
        reference = problem.reference(instance)
        assert reference.evidence is Evidence.PROVEN_OPTIMAL
        assert reference.value == pytest.approx(brute_force(instance), abs=1e-9)


@pytest.mark.parametrize("goals", [["coverage"], ["edge_rate"], ["power"], ["coverage", "edge_rate", "power"]])
def test_no_plan_passes_the_bound_of_any_goal(goals):
    problem, instance = small(goals=goals, n_transmitters=2)
    reference = problem.reference(instance)
    bound = np.array(reference.ideal_bound or (reference.dual_bound,))
    X = np.concatenate([reference.X, instance.project(instance.space.sample(np.random.default_rng(0), 2000))])
    F = instance.evaluate(X).F
    assert ((F - bound) * instance.signs >= -1e-9).all()


def test_transmitters_too_near_move_to_the_nearest_free_candidate():
    _, instance = small(distance_min_m=400.0)
    x = instance.null_policies()["spread"][0].copy()
    x[5:7] = x[:2]
    moved = instance.project(x)[0]
    assert np.array_equal(moved[:2], x[:2])
    assert np.array_equal(moved[10:], x[10:])
    sites = instance.table.sites_m[:, :2]
    chosen = instance.sites(x[None])[0]
    away = np.where(instance.near[chosen[0]], np.inf, np.hypot(*(sites - x[:2]).T))
    assert np.array_equal(moved[5:7], sites[np.argmin(away)])


def test_a_plan_that_keeps_its_constraints_is_left_alone():
    _, instance = small()
    X = instance.space.sample(np.random.default_rng(1), 300)
    kept = instance.evaluate(X).G.max(axis=1) <= 0.0
    assert 0 < kept.sum() < 300
    assert np.array_equal(instance.project(X)[kept], X[kept])


def test_a_carrier_of_ones_own_never_serves_fewer():
    shared, own = small()[1], small(carriers="own")[1]
    X = shared.space.sample(np.random.default_rng(2), 200)
    assert (own.evaluate(X).F[:, 0] >= shared.evaluate(X).F[:, 0]).all()


def test_users_gather_where_hot_spots_are():
    spread = small(n_hotspots=1, hotspot_share=1.0, hotspot_radius_m=50.0)[1].table.cells_m[:, :2].std(axis=0)
    assert (spread < 100.0).all()
    assert (small(n_hotspots=0)[1].table.cells_m[:, :2].std(axis=0) > 400.0).all()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"goals": []}, "goals"),
        ({"goals": ["power"], "decide": []}, "decide"),
        ({"decide": ["height"]}, "height"),
        ({"decide": ["tilt", "tilt"]}, "decide"),
        ({"n_transmitters": 13}, "n_transmitters"),
        ({"power_max_dbm": 10.0}, "power_max_dbm"),
        ({"tilts_deg": [8.0, 4.0]}, "tilts_deg"),
        ({"form": "table"}, "environment"),
        ({"n_users": None}, "n_users"),
        ({"environment": None}, "environment"),
    ],
)
def test_numbers_that_do_not_fit_are_refused_by_name(changes, named):
    with pytest.raises(OptionError, match=named):
        small(**changes)


@pytest.mark.parametrize(
    ("changes", "named"), [({"distance_min_m": 5000.0}, "distance_min_m"), ({"eirp_max_dbm": 30.0}, "eirp_max_dbm")]
)
def test_what_the_sites_do_not_allow_is_told(changes, named):
    with pytest.raises(ProblemError, match=named):
        small(**changes)


def test_words_name_sites_users_and_what_is_decided():
    told = small()[1].describe()
    assert "3 radio transmitters" in told.summary
    assert "power in dBm" in told.summary
    assert any("one carrier" in hint for hint in told.hints)
    assert "a carrier of its own" in " ".join(selection()[1].describe().hints)
