"""The scenario side of `uav_isac`: seeds, users from files, refusals, and being made again from a record."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from optisolve.content import load_yaml
from optisolve.core.errors import OptionError, ProblemError
from optisolve.problems.uav_isac import UavIsac
from optisolve.problems.uav_isac.placements import lattice
from tests.problems.uav_isac_cases import ROOT, URBAN, scenario

SCENARIOS = ("uav_isac", "uav_isac/dense", "uav_isac/urban", "uav_isac/single")


def load(name):
    values = load_yaml("problems", name)
    assert values.pop("name") == "uav_isac"
    return UavIsac.from_mapping({"scenario": name, **values})


@pytest.mark.parametrize("name", SCENARIOS)
def test_most_random_designs_lie_inside_the_scoring_box_and_none_beyond_its_good_corner(name):
    """Otherwise hypervolume would not tell designs apart, or exceed 1."""
    instance = load(name).instance(5)
    F = instance.evaluate(instance.project(instance.space.sample(np.random.default_rng(0), 1000))).F
    box = instance.hypervolume_box
    inside = (F[:, 0] >= box.reference[0]) & (F[:, 1] <= box.reference[1])
    assert inside.mean() > 0.6
    assert (F[:, 0] < box.ideal[0]).all()
    assert (F[:, 1] > box.ideal[1]).all()


@pytest.mark.parametrize("name", SCENARIOS)
def test_null_policies_are_feasible(name):
    instance = load(name).instance(1)
    policies = instance.null_policies()
    assert set(policies) == {"uniform_lattice", "users_kmeans", "centroid_ring"}
    for X in policies.values():
        assert instance.evaluate(X).G.max() <= 1e-15


def test_users_depend_on_the_seed_alone():
    """Same seed, same users, whatever else changes in the scenario; another seed, other users."""
    one, two = scenario().instance(7), scenario(altitude_m=300.0, n_uavs=2).instance(7)
    assert np.array_equal(one.users_m, two.users_m)
    assert one.sha256 != two.sha256
    assert not np.array_equal(one.users_m, scenario().instance(8).users_m)
    assert scenario(n_users=20).instance(7).users_m.shape == (20, 2)


def test_users_cannot_be_written():
    with pytest.raises(ValueError, match="read-only"):
        scenario().instance(0).users_m[0, 0] = 1.0


def test_variables_and_constraints_have_the_published_names():
    instance = scenario(n_uavs=3).instance(0)
    assert instance.space.names[:4] == ("uav0.x_m", "uav0.y_m", "uav0.p_w", "uav1.x_m")
    assert instance.constraint_names == ("separation[0,1]", "separation[0,2]", "separation[1,2]", "total_power")


def test_constraints_are_positive_where_violated():
    instance = scenario(n_uavs=2).instance(0)
    x = [100, 100, 0.1, 150, 100, 0.1]
    G = instance.evaluate([x, [100, 100, 0.1, 300, 100, 0.05]]).G
    assert G[0] == pytest.approx([0.5, 0.0], abs=1e-12)
    assert G[1] == pytest.approx([-1.0, -0.25], abs=1e-12)
    assert scenario(n_uavs=2, p_total_w=0.1).instance(0).evaluate(x).G[0, -1] == pytest.approx(1.0)


@pytest.mark.parametrize(("column", "value"), [("uav1.y_m", np.nan), ("uav2.p_w", 0.2), ("uav0.x_m", -1.0)])
def test_a_bad_coordinate_is_refused_by_name(column, value):
    instance = scenario().instance(0)
    X = instance.space.sample(np.random.default_rng(0), 3)
    X[1, instance.space.names.index(column)] = value
    for evaluate in (instance.evaluate, instance.evaluate_twin):
        with pytest.raises(ProblemError, match=column.replace(".", r"\.")):
            evaluate(X)


def test_links_add_up_to_the_objectives():
    instance = scenario(**URBAN).instance(3)
    x = instance.space.sample(np.random.default_rng(0), 1)[0]
    links = instance.links(x)
    F = instance.evaluate(x).F[0]
    assert np.log(links.rate_bps / 1e6).sum() == pytest.approx(F[0], rel=1e-12)
    assert links.error_m.mean() == pytest.approx(F[1], rel=1e-12)
    assert links.positions_m.shape == (4, 2)
    assert links.powers_w == pytest.approx(x[2::3])


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"d_min_m": 1600.0}, ["d_min_m"]),
        ({"p_total_w": 0.003}, ["p_total_w"]),
        ({"p_min_w": 0.2}, ["p_min_w", "p_total_w"]),
        ({"n_uavs": 0, "area_m": -5.0}, ["n_uavs", "area_m"]),
        ({"altitude_m": float("nan")}, ["altitude_m"]),
        ({"channel": "al_hourani"}, ["los_a_deg", "los_b_per_deg", "eta_los_db", "eta_nlos_db"]),
        ({"channel": "rayleigh"}, ["channel"]),
        ({"n_users": None}, ["n_users"]),
        ({"users_m": [(1.0, 2.0)]}, ["users_m"]),
        ({"n_users": 1, "users_m": [(1.0, 1501.0)]}, ["users_m[0]"]),
        ({"hypervolume_reference": (1.0, 2.0)}, ["hypervolume_reference"]),
        ({"n_uav": 3}, ["n_uav"]),
    ],
)
def test_impossible_scenarios_are_refused_in_one_message(changes, fields):
    """Every bad field is named with what was given; nothing is evaluated."""
    with pytest.raises(OptionError) as caught:
        scenario(**changes)
    assert [problem.field for problem in caught.value.problems] == fields
    assert "expected" in str(caught.value)


@pytest.mark.parametrize(("n_points", "spacing"), [(2, 2**0.5), (4, 1.0), (5, 0.5**0.5), (9, 0.5), (16, 1 / 3)])
def test_separation_limit_reaches_known_optimal_packings(n_points, spacing):
    """Optimal spacings of 2, 4, 5, 9 and 16 points in a unit square are known; the lattice must find them."""
    points, found = lattice(n_points, 1.0)
    assert found == pytest.approx(spacing, rel=1e-12)
    assert points.shape == (n_points, 2)


def test_hexagonal_packing_beats_the_square_one_where_it_should():
    """39 points is the classic case in which a nearly hexagonal arrangement is better than any square grid."""
    assert lattice(39, 1.0)[1] > 1 / 6


# -- users from a file -------------------------------------------------------------------------------------------


def write(tmp_path, text, name="users.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def test_users_from_a_metric_file_and_the_count_from_the_file(tmp_path):
    path = write(tmp_path, "\ufeffx_m,y_m\r\n10, 20\r\n\r\n1500,0\r\n")
    instance = scenario(users_file=path, n_users=None).instance(3)
    assert instance.users_m.tolist() == [[10.0, 20.0], [1500.0, 0.0]]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x_m;y_m\n10;20\n1500;0\n", None),
        ("X_M\ty_m\n10\t20\n1500\t0\n", None),
        ("y_m,x_m\n20,10\n0,1500\n", None),
        ("x,y\n10,20\n1500,0\n", "x and y are metres"),
        ("10 20\n1500 0\n", "two columns without a heading are x_m and y_m"),
        ("id,x_m,y_m\na,10,20\nb,1500,0\n", "'id' not read"),
    ],
)
def test_what_is_unambiguous_is_read_and_told(tmp_path, text, said):
    instance = scenario(users_file=write(tmp_path, text), n_users=None).instance(3)
    assert instance.users_m.tolist() == [[10.0, 20.0], [1500.0, 0.0]]
    assert instance.origin.files["users_file"].get("read") == said


def test_geographic_users_keep_their_distances(tmp_path):
    """Lengths of a degree by the usual WGS 84 cosine series, evaluated by hand at 59.33 degrees."""
    path = write(tmp_path, "lat,lon\n59.3295,18.060\n59.3305,18.060\n59.3295,18.061\n")
    users = scenario(users_file=path, n_users=3).instance().users_m
    assert users[1] - users[0] == pytest.approx([0.0, 111.401], abs=1e-3)
    assert users[2] - users[0] == pytest.approx([56.924, 0.0], abs=1e-3)
    assert (users.min(axis=0) + users.max(axis=0)) / 2 == pytest.approx([750.0, 750.0])


def test_geographic_users_may_straddle_the_date_line(tmp_path):
    path = write(tmp_path, "lat,lon\n0.0,179.999\n0.0,-179.999\n")
    users = scenario(users_file=path, n_users=None).instance().users_m
    assert users[1, 0] - users[0, 0] == pytest.approx(222.6, abs=0.1)


def test_every_bad_row_is_listed_with_line_field_value_and_expectation(tmp_path):
    rows = "x_m,y_m\n1,2\nabc,5\n-3,nan\n7\n8,9,10\n5,1501\n"
    with pytest.raises(ProblemError) as caught:
        scenario(users_file=write(tmp_path, rows), n_users=None).instance()
    text = str(caught.value)
    assert "6 bad value(s)" in text
    for part in (
        "line 3, x_m: got 'abc'",
        "line 4, x_m: got '-3'",
        "line 4, y_m: got 'nan'",
        "line 5",
        "line 6",
        "line 7, y_m",
    ):
        assert part in text
    assert "[0, 1500] m" in text


def test_the_list_of_bad_rows_is_capped(tmp_path):
    with pytest.raises(ProblemError, match="and 15 more") as caught:
        scenario(users_file=write(tmp_path, "x_m,y_m\n" + "a,1\n" * 25), n_users=None).instance()
    assert str(caught.value).count("got 'a'") == 10


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("x,y\n1,2\n", "header is 'x,y', and its values may be metres or degrees; expected the header 'x_m,y_m'"),
        ("1,2\n3,4\n", "has no header, and its values may be metres or degrees; expected the header 'x_m,y_m'"),
        ("1,2,3\n", "line 1: the header is '1,2,3'"),
        ("x_m,y_m,lat,lon\n1,2,3,4\n", "expected one of 'x_m,y_m'"),
        ("x_m,x_m,y_m\n1,2,3\n", "header is 'x_m,x_m,y_m'"),
        ("x_m;y_m\n1,5;2\n", r"line 2, x_m: got '1,5', .* \(a decimal comma"),
        ("x_m,y_m\n1,5,2,5\n", "expected 2 values, not 4 \\(decimal commas"),
        ("<!doctype html>", "is a page of HTML"),
        ("version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
        ("x_m,y_m\n", "no users"),
        ("lat,lon\n91,0\n", r"line 2, lat: got '91'"),
        ("lat,lon\n59.0,18.0\n59.1,18.0\n", "enlarge area_m"),
        (b"\xff\xfe\x00x_m", "text in UTF-16; save it as UTF-8"),
        (b"\xe4x_m", "not a CSV text"),
        ("x_m,y_m\n1,2\n", "n_users = 12"),
        ("x_m,y_m\n1,2\n,\n3,4\n", "line 3, x_m: got ''"),
        ("x_m,y_m\n1_0,2\n", "line 2, x_m: got '1_0'"),
        ("x_m,y_m\n\uff11,2\n", "line 2, x_m: got '\uff11'"),
        ("x_m\x1b[2J,y_m\n1,2\n", r"header is 'x_m\\x1b\[2J,y_m'"),
    ],
)
def test_a_malformed_file_is_refused_with_a_reason(tmp_path, content, message):
    expected = 12 if "n_users" in message else None
    with pytest.raises(ProblemError, match=message):
        scenario(users_file=write(tmp_path, content), n_users=expected).instance()


def test_a_missing_file_is_refused_with_its_path(tmp_path):
    with pytest.raises(ProblemError, match=r"users_file: .*none\.csv' does not exist"):
        scenario(users_file=str(tmp_path / "none.csv"), n_users=None).instance()


def test_a_case_from_a_file_is_made_again_when_the_file_is_gone(tmp_path):
    """A record's origin, through JSON, gives the same data and the same hash without the file."""
    path = tmp_path / "users.csv"
    path.write_text("lat,lon\n59.3301,18.0605\n59.3311,18.0642\n59.3287,18.0611\n")
    first = scenario(users_file=str(path), n_users=None, scenario="mine").instance(4)
    path.unlink()
    origin = json.loads(json.dumps({"params": first.origin.params, "seed": first.origin.seed}))
    again = UavIsac.from_mapping({**origin["params"], "scenario": "mine"}).instance(origin["seed"])
    assert again.sha256 == first.sha256
    assert dict(again.origin.params) == dict(first.origin.params)


def test_blank_lines_are_skipped(tmp_path):
    path = write(tmp_path, "x_m,y_m\n1,2\n\n  \n3,4\n\n")
    assert scenario(users_file=path, n_users=2).instance().users_m.tolist() == [[1.0, 2.0], [3.0, 4.0]]


def test_the_origin_does_not_depend_on_how_a_path_is_spelled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path, "x_m,y_m\n1,2\n3,4\n")
    made = [scenario(users_file=p, n_users=2).instance() for p in (str(path), "users.csv", "./users.csv")]
    assert len({json.dumps(dict(instance.origin.params), sort_keys=True) for instance in made}) == 1
    assert {instance.origin.files["users_file"]["name"] for instance in made} == {"users.csv"}


def test_the_hash_covers_the_content_of_the_file(tmp_path):
    path = write(tmp_path, "x_m,y_m\n1,2\n3,4\n")
    first = scenario(users_file=path, n_users=2).instance().sha256
    write(tmp_path, "x_m,y_m\n1,2\n3,5\n")
    assert scenario(users_file=path, n_users=2).instance().sha256 != first


def test_making_an_instance_and_its_description_loads_no_compiler():
    """numba is heavy; it is loaded with the first evaluation."""
    code = (
        "import sys\n"
        "from tests.problems.uav_isac_cases import scenario\n"
        "i = scenario().instance(0); i.describe(); i.features(); i.sha256\n"
        "assert 'numba' not in sys.modules, 'numba was loaded'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_description_tells_what_matters():
    told = scenario(**URBAN).instance(0).describe()
    text = " ".join([told.summary, *told.constraints, *told.facts, *told.hints])
    for part in ("4 UAVs", "12 ground users", "100 m apart", "0.2 W", "141 m", "20 dB", "km"):
        assert part in text
