"""References of `uav_isac`: what is proven holds, what is published re-verifies, and solvers cannot reach any of it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import shutil
import subprocess
import sys
import tomllib

import numpy as np
import pytest
from grid_placements import grid_seeds

from optisolve.content import content_dir, load_yaml
from optisolve.core import Effort, Evidence
from optisolve.core.errors import ProblemError, RecordError
from optisolve.numerics.indicators import hypervolume
from optisolve.problems.front_file import cached_front, front_path, read_front, write_front
from optisolve.problems.uav_isac import UavIsac
from optisolve.problems.uav_isac.gradients import associate, smooth_objectives
from optisolve.problems.uav_isac.reference import bounds, per_objective
from optisolve.problems.uav_isac.reference.bounds import error_bound, ideal_bound, utility_bound
from optisolve.problems.uav_isac.reference.search import SearchWork, local_front, non_dominated, unit_losses
from optisolve.registry import make_problem
from optisolve.run.verify import verify_points
from tests.problems.uav_isac_cases import ROOT, URBAN, scenario

PUBLISHED = sorted(content_dir("references").glob("uav_isac*/*.json"))
UNPUBLISHED_SEED = 123_456


def load(name, **changes):
    values = {**load_yaml("problems", name), **changes}
    values.pop("name")
    return UavIsac.from_mapping({"scenario": name, **values})


# -- one UAV: proofs ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_both_optima_of_one_uav_are_proven_and_no_grid_point_is_better(seed):
    """Independent method: 301 x 301 positions at full power, by the public evaluation."""
    instance = load("uav_isac/single").instance(seed)
    utility, error = per_objective(instance)
    ticks = np.linspace(0.0, 1500.0, 301)
    x, y = (axis.ravel() for axis in np.meshgrid(ticks, ticks))
    F = instance.evaluate(np.column_stack([x, y, np.full(x.size, 0.1)])).F
    for reference, grid_best, sign in ((utility, F[:, 0].max(), 1.0), (error, F[:, 1].min(), -1.0)):
        assert reference.evidence is Evidence.PROVEN_OPTIMAL
        assert sign * reference.value >= sign * grid_best
        assert 0.0 <= sign * (reference.dual_bound - reference.value) <= reference.tolerance <= 1e-8
        assert abs(reference.value - grid_best) < 0.02  # the grid comes near, so the optimum is no artefact


def test_one_uav_gains_from_power_everywhere():
    """The search fixes the power at its cap; that is right only if both objectives improve with it."""
    instance = load("uav_isac/single").instance(3)
    X = instance.space.sample(np.random.default_rng(0), 500)
    X[:, 2] = np.minimum(X[:, 2], 0.09)
    more = X + np.array([0.0, 0.0, 0.01])
    F, F_more = instance.evaluate_twin(X).F, instance.evaluate_twin(more).F
    assert (F_more[:, 0] > F[:, 0]).all()
    assert (F_more[:, 1] < F[:, 1]).all()


def test_one_uav_in_a_city_is_proven_with_a_stated_wider_tolerance():
    utility, error = per_objective(load("uav_isac/single", **URBAN).instance(1))
    assert utility.evidence is error.evidence is Evidence.PROVEN_OPTIMAL
    assert 0.0 <= utility.dual_bound - utility.value <= utility.tolerance == 1e-3


def test_a_stopped_search_claims_a_valid_bound_and_no_optimum():
    instance = load("uav_isac/single").instance(0)
    done, stopped = per_objective(instance), per_objective(instance, max_boxes=40)
    for full, part, sign in zip(done, stopped, (1.0, -1.0), strict=True):
        assert part.evidence is Evidence.DUAL_BOUND
        assert sign * part.dual_bound >= sign * full.value
        assert sign * part.value <= sign * full.dual_bound
        assert "limit" in part.detail


def test_several_uavs_are_refused_by_the_certificate_of_one():
    with pytest.raises(ProblemError, match="4 UAVs"):
        per_objective(scenario().instance(0))


@pytest.mark.parametrize(("ranging", "delay", "peak"), [(1.0, 0.0, 2e4), (0.0, 1.0, 4e4), (3e3, 0.1, None)])
def test_information_of_one_uav_peaks_where_the_closed_form_says(ranging, delay, peak):
    """H^2 / 2 and H^2 are textbook; between them, a fine grid decides. H = 200 m."""
    s = np.linspace(1.0, 1e6, 1_000_001)
    q = ranging * s / (s + 4e4) ** 3 + delay * s / (s + 4e4) ** 2
    found = bounds.information_peak(ranging, delay, 200.0)
    assert found == pytest.approx(s[q.argmax()], abs=1.0)
    assert peak is None or found == pytest.approx(peak)
    assert (np.diff(q[s <= found]) > 0).all()
    assert (np.diff(q[s >= found]) < 0).all()


CITY = (9.61, 0.16, 1.0, 20.0)
REVERSED_CITY = (9.61, 0.16, 20.0, 1.0)


@pytest.mark.parametrize(
    "term",
    [
        bounds.Term(bounds.UTILITY, 200.0, snr=1e8),
        bounds.Term(bounds.UTILITY, 200.0, snr=1e-2),
        bounds.Term(bounds.UTILITY, 200.0, snr=1e8, channel=CITY),
        bounds.Term(bounds.UTILITY, 200.0, snr=1e8, channel=REVERSED_CITY),
        bounds.Term(bounds.ERROR, 200.0, ranging=2e12, delay=8.0, prior=5e-6),
        bounds.Term(bounds.ERROR, 50.0, ranging=1.0, delay=8.0, prior=1e-2),
        bounds.Term(bounds.INFORMATION, 200.0, ranging=1.0),
    ],
)
def test_the_bound_on_a_box_lies_above_everything_inside(term):
    """300 random boxes, 400 random positions in each, all users' terms at once."""
    rng = np.random.default_rng(0)
    users, weights = rng.uniform(0, 1500, (8, 2)), rng.uniform(0.1, 2.0, 8)
    packed = np.array([term.altitude_m**2, term.snr, term.ranging, term.delay, term.prior, *term.channel])
    peak = 0.0 if term.kind == bounds.UTILITY else bounds.information_peak(term.ranging, term.delay, term.altitude_m)
    for _ in range(300):
        half = 10.0 ** rng.uniform(-1, 2.5)
        center = rng.uniform(half, 1500 - half, (1, 2))
        upper, _ = bounds._bound_boxes(center, half, users, weights, term.kind, packed, peak)
        inside = center + rng.uniform(-half, half, (400, 2))
        _, values = bounds._bound_boxes(inside, 0.01, users, weights, term.kind, packed, peak)  # sums at the centers
        assert values.max() <= upper[0] + 1e-12 * abs(upper[0])


# -- several UAVs: bounds on each objective ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {},
        URBAN,
        {**URBAN, "eta_los_db": 20.0, "eta_nlos_db": 1.0},
        {"n_uavs": 2, "n_users": 3},
        {"n_uavs": 6, "n_users": 4},
        {"area_m": 300.0},
        {"p_total_w": 0.02, "n_users": 30},
    ],
)
def test_no_point_found_beats_the_bounds(changes):
    instance = scenario(**changes).instance(UNPUBLISHED_SEED)
    F = local_front(instance, SearchWork(6, 3)).F
    utility, error = ideal_bound(instance)
    assert F[:, 0].max() <= utility
    assert F[:, 1].min() >= error > 0.0


def test_the_utility_bound_is_nearly_met_where_its_relaxations_are_exact():
    """One user in a corner, its UAV above at full power, the other in the far corner at least power: computed by the twin."""
    problem = scenario(n_uavs=2, users_m=((0.0, 0.0),), n_users=1, p_total_w=0.101)
    instance = problem.instance(0)
    value = instance.evaluate_twin([0.0, 0.0, 0.1, 1500.0, 1500.0, 0.001]).F[0, 0]
    assert value <= utility_bound(instance) <= value + 0.02


def test_the_error_bound_is_within_a_tenth_where_directions_can_be_had_for_free():
    """One user; many UAVs in a ring at H / sqrt(2), where range information peaks and all directions are covered."""
    problem = scenario(n_uavs=4, users_m=((750.0, 750.0),), n_users=1, d_min_m=50.0)
    instance = problem.instance(0)
    radius = 200.0 / math.sqrt(2.0)
    ring = [(750 + radius * np.cos(a), 750 + radius * np.sin(a), 0.05) for a in np.arange(4) * np.pi / 2]
    value = instance.evaluate_twin(np.ravel(ring)).F[0, 1]
    assert 0.9 * value <= error_bound(instance) <= value


# -- local search ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("changes", [{}, URBAN, {"n_uavs": 7, "n_users": 20}])
def test_gradients_agree_with_differences_of_the_equations(changes):
    """Central differences of the numpy twin, where a small step changes nobody's UAV."""
    instance = scenario(**changes).instance(4)
    X = instance.project(instance.space.sample(np.random.default_rng(1), 20))
    step = np.where(np.arange(X.shape[1]) % 3 == 2, 1e-7, 1e-3)
    for x in np.clip(X, instance.space.lower + step, instance.space.upper - step):
        F, dF = np.empty(2), np.empty((2, x.size))
        smooth_objectives(x, instance.users_m, instance.packed, associate(x, instance.users_m, instance.packed), F, dF)
        assert pytest.approx(instance.evaluate_twin(x).F[0], rel=1e-9) == F
        up, down = (instance.evaluate_twin(x + sign * np.diag(step)).F for sign in (1, -1))
        differences = ((up - down) / (2 * step[:, None])).T
        scale = np.abs(dF).reshape(2, -1, 3).max(axis=1)  # positions and powers have units of their own
        assert (np.abs(differences - dF).reshape(2, -1, 3) <= 1e-4 * scale[:, None, :]).all()


def test_a_quick_reference_is_feasible_repeatable_and_beats_the_null_policies():
    problem = scenario()
    instance = problem.instance(UNPUBLISHED_SEED)
    one, two = (problem.reference(instance, Effort.QUICK) for _ in range(2))
    assert one.evidence is Evidence.BEST_KNOWN
    assert np.array_equal(one.X, two.X)
    assert verify_points(instance, one.X).feasible.all()
    null = np.vstack([instance.evaluate_twin(X).F for X in instance.null_policies().values()])
    box = instance.hypervolume_box
    assert hypervolume(one.F, box) > 1.1 * hypervolume(null, box)
    assert len(non_dominated(unit_losses(instance, one.F))) == len(one.F)


def test_grid_placements_are_feasible_starts():
    instance = scenario(n_uavs=3, n_users=5).instance(0)
    X = grid_seeds(instance, n_side=4, deterministic_time=0.2)
    assert len(X) >= 3
    assert instance.evaluate(X).max_violation.max() <= 1e-12


@pytest.mark.slow
def test_search_from_scratch_comes_within_one_percent_of_the_published_front():
    instance = load("uav_isac").instance(0)
    published = hypervolume(cached_front(instance)[1], instance.hypervolume_box)
    assert hypervolume(local_front(instance, SearchWork(40, 20, 100), seed=9).F, instance.hypervolume_box) > 0.99 * published


# -- published fronts --------------------------------------------------------------------------------------------


def test_fronts_are_published_for_the_instances_that_tables_use():
    found = {(json.loads(path.read_text())["scenario"], json.loads(path.read_text())["instance_seed"]) for path in PUBLISHED}
    wanted = {("uav_isac", s) for s in range(10)} | {(f"uav_isac/{n}", s) for n in ("dense", "urban") for s in range(3)}
    assert wanted <= found


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: f"{path.parent.name}-{path.stem[:6]}")
def test_a_published_front_re_verifies_is_non_dominated_and_unbeaten_by_samples(path):
    data = json.loads(path.read_text())
    problem = load(data["scenario"])
    instance = problem.instance(data["instance_seed"])
    reference = problem.reference(instance, Effort.QUICK)
    assert reference.detail.startswith("published")
    assert verify_points(instance, reference.X).feasible.all()
    losses = unit_losses(instance, reference.F)
    assert len(non_dominated(losses)) == len(losses) <= 200
    sample = instance.project(instance.space.sample(np.random.default_rng(0), 4000))
    sampled = unit_losses(instance, instance.evaluate(sample).F)
    beaten = (losses[:, None, :] <= sampled[None, :, :]).all(axis=2).any(axis=0)
    assert beaten.all()
    assert reference.F[:, 0].max() <= reference.ideal_bound[0]
    assert reference.F[:, 1].min() >= reference.ideal_bound[1]


def stated_hash(data):
    """As the README of the folder documents it."""
    content = {key: value for key, value in data.items() if key != "content_sha256"}
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@pytest.fixture
def published(tmp_path):
    """A front of one instance in a folder of its own: instance, folder, file."""
    instance = scenario(scenario="mine/own").instance(UNPUBLISHED_SEED)
    X = local_front(instance, SearchWork(4, 2)).X
    path = write_front(instance, X, {"script": "test"}, tmp_path, versions={"optisolve": "0"}, date="2026-01-01")
    return instance, tmp_path, path


def rewrite(path, change, *, rehash):
    data = json.loads(path.read_text())
    change(data)
    if rehash:
        data["content_sha256"] = stated_hash(data)
    path.write_text(json.dumps(data))


def test_a_front_is_found_by_the_hash_of_its_instance_alone(published):
    instance, folder, path = published
    assert path == front_path(instance, folder)
    X, F = cached_front(instance, folder)
    assert np.array_equal(F, instance.evaluate_twin(X).F)
    assert cached_front(scenario().instance(UNPUBLISHED_SEED + 1), folder) is None
    renamed = scenario(scenario="another").instance(UNPUBLISHED_SEED)
    assert np.array_equal(cached_front(renamed, folder)[0], X)


def move_a_uav(data):
    data["X"][0][0] += 1.0


def improve_an_objective(data):
    data["F"][0][1] *= 0.5


def overspend(data):
    data["X"][0][2::3] = [0.1, 0.1, 0.1, 0.1]


@pytest.mark.parametrize("change", [move_a_uav, improve_an_objective, lambda data: data.update(date="2030-01-01")])
def test_an_altered_file_is_refused(published, change):
    instance, folder, path = published
    rewrite(path, change, rehash=False)
    with pytest.raises(RecordError, match=r"was altered.*make_references"):
        cached_front(instance, folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (improve_an_objective, "differ from the equations"),
        (move_a_uav, "differ from the equations"),
        (overspend, "violates a constraint"),
        (lambda data: data["X"].pop(), "has shape"),
        (lambda data: data.update(X=[[float("nan")] * 12]), "finite"),
        (lambda data: data.update(X=[], F=[]), "not a reference front"),
    ],
)
def test_a_forged_file_with_a_fitting_hash_is_refused_by_the_equations(published, change, message):
    instance, folder, path = published
    rewrite(path, change, rehash=True)
    with pytest.raises(RecordError, match=message):
        cached_front(instance, folder)


def test_a_point_outside_its_bounds_is_refused_by_name(published):
    instance, folder, path = published
    rewrite(path, lambda data: data["X"][0].__setitem__(0, -5.0), rehash=True)
    with pytest.raises(RecordError, match=r"uav0\.x_m"):
        cached_front(instance, folder)


def test_the_front_of_another_instance_is_refused(published):
    _, folder, path = published
    other = scenario().instance(UNPUBLISHED_SEED + 1)
    shutil.copy(path, front_path(other, folder).parent.mkdir() or front_path(other, folder))
    with pytest.raises(RecordError, match="belongs to another instance"):
        cached_front(other, folder)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"X": 1}', "\ufffd"])
def test_what_is_not_a_front_is_refused(published, text):
    instance, _, path = published
    path.write_text(text)
    with pytest.raises(RecordError, match="is not a reference front"):
        read_front(path, instance)


def test_published_fronts_travel_in_the_wheel():
    include = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"][
        "force-include"
    ]
    assert include["benchmarks/references"] == "optisolve/_content/references"


def test_solving_never_loads_a_reference():
    """A solver gets the instance; making, evaluating and repairing it must not even import the references."""
    code = (
        "import sys, optisolve\n"
        "instance = optisolve.load_problem('uav_isac').instance(0)\n"
        "optisolve.solve(instance, 'moead_de', budget=optisolve.Budget(evaluations=200))\n"
        "loaded = [name for name in sys.modules if 'uav_isac.reference' in name]\n"
        "assert not loaded, loaded\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_no_object_inside_an_instance_leads_to_a_front():
    instance = load("uav_isac").instance(0)
    known = {float(v) for v in cached_front(instance)[1][:, 0]}
    seen, todo = set(), [vars(instance)]
    while todo:
        item = todo.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        assert "uav_isac.reference" not in type(item).__module__
        if isinstance(item, np.ndarray):
            assert not known & set(np.ravel(item).tolist())
        elif isinstance(item, dict):
            todo += item.values()
        elif isinstance(item, (list, tuple)):
            todo += item
        elif dataclasses.is_dataclass(item):
            todo += [getattr(item, field.name) for field in dataclasses.fields(item)]
        elif hasattr(item, "__dict__"):
            todo.append(vars(item))


# -- proofs and the tolerance of verification ---------------------------------------------------------------------


@pytest.mark.parametrize("changes", [{}, URBAN, {"noise_dbm_hz": -60.0}, {"noise_dbm_hz": -290.0}])
def test_bounds_hold_for_verified_points_that_overspend(changes):
    """One user, its UAV straight above at 1 + 0.99e-8 of the total power, in noise or without any: no bound is passed."""
    corner = {"n_users": 1, "users_m": ((0.0, 0.0),), "p_max_w": 0.1}
    one = load("uav_isac/single", **{**corner, **changes, "p_total_w": 0.05}).instance(0)
    two = scenario(**{**corner, **changes, "n_uavs": 2, "p_total_w": 0.05}).instance(0)
    spent = 0.05 * (1.0 + 0.99e-8)
    for instance, x in ((one, [0.0, 0.0, spent]), (two, [0.0, 0.0, spent - 1e-3, 1500.0, 1500.0, 1e-3])):
        told = instance.evaluate_twin(x)
        assert 0.0 < told.max_violation[0] <= 1e-8
        utility, error = ideal_bound(instance)
        assert told.F[0, 0] <= utility
        assert told.F[0, 1] >= error
    utility, error = per_objective(one)
    gained = one.evaluate_twin([*utility.X[0, :2], spent]).F[0, 0] - utility.dual_bound
    assert 0.0 < gained + utility.tolerance <= utility.tie + utility.tolerance
    assert gained <= utility.tie
    assert error.dual_bound - one.evaluate_twin([*error.X[0, :2], spent]).F[0, 1] <= error.tie
    assert utility.slack <= 1.1e-8


def test_the_slack_of_one_uav_is_needed_and_enough():
    """Ranging so strong that the prior hardly counts: 1e-8 of power moves the error by far more than its tolerance."""
    changes = {"noise_dbm_hz": -250.0, "p_total_w": 0.05, "altitude_m": 3000.0, "processing_gain": 1e-6}
    for seed in range(3):
        instance = load("uav_isac/single", **changes).instance(seed)
        _, error = per_objective(instance, max_boxes=200_000)
        F = instance.evaluate_twin([*error.X[0, :2], 0.05 * (1.0 + 0.99e-8)]).F
        assert error.dual_bound - F[0, 1] <= error.tie
        assert error.slack >= 0.9e-8 * (error.value - instance.constants.area_m / math.sqrt(12.0))


def test_a_box_without_a_size_has_a_bound():
    """Halved until its edges are one number, a box is bounded by its value, not by a quotient of zeros."""
    users, weights = np.array([[1e7, 1e7]]), np.ones(1)
    packed = np.array([1e-6, 1e8, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    upper, value = bounds._bound_boxes(np.zeros((1, 2)), 0.0, users, weights, bounds.UTILITY, packed, 0.0)
    assert np.isfinite(upper).all()
    assert upper[0] >= value[0]


@pytest.mark.parametrize("decades", [-12, 12])
def test_powers_in_other_units_change_neither_objectives_nor_proofs(decades):
    """Powers and noise times 10^+-12: the same fields, the same optima, the same bounds."""
    unit = 10.0**decades
    values = load_yaml("problems", "uav_isac/single")
    changes = {name: values[name] * unit for name in ("p_min_w", "p_max_w", "p_total_w")}
    moved = load("uav_isac/single", **changes, noise_dbm_hz=values["noise_dbm_hz"] + 10.0 * decades).instance(0)
    for there, here in zip(per_objective(moved), per_objective(load("uav_isac/single").instance(0)), strict=True):
        assert there.evidence is here.evidence is Evidence.PROVEN_OPTIMAL
        assert there.value == pytest.approx(here.value, rel=1e-9)
        assert there.tie == pytest.approx(here.tie, rel=1e-6)


def test_a_start_from_which_nobody_can_be_located_is_no_error():
    """UAVs and users that stand on one line: the error is infinite, and a local search has no slope to follow."""
    numbers = {"n_uavs": 2, "n_users": 3, "area_m": 12.970106311683228, "altitude_m": 0.0416885443588196}
    numbers |= {"alpha0_db": -69.61775798421081, "beta0_db": -20.643905934113874, "bandwidth_hz": 3060.6232969301323}
    numbers |= {"noise_dbm_hz": -184.67701406953398, "processing_gain": 1364.8001452230615, "rate_ref_bps": 383.472056553322}
    numbers |= {"d_min_m": 0.1208648866322918, "p_min_w": 0.0003761452243762475, "p_max_w": 199.1527315307039}
    numbers |= {"hypervolume_reference": (-1e6, 1e6), "hypervolume_ideal": (1e6, 0.0), "ranging_factor": 10.0}
    problem = make_problem("uav_isac", {**numbers, "p_total_w": 213.40477879171056})
    reference = problem.reference(problem.instance(5326), Effort.QUICK)
    assert reference is not None
    assert reference.evidence is Evidence.BEST_KNOWN
