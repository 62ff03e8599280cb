"""The scoring box follows the instance: with other parameters a score tells designs apart, or the run says why not."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import optisolve
from optisolve import Budget
from optisolve.core import HypervolumeBox, Objective, Sense, Space, Variable
from optisolve.core.errors import OptionError
from optisolve.core.evaluation import watching
from optisolve.core.scoring import box_around, box_from_designs
from optisolve.numerics.indicators import hypervolume, normalize
from optisolve.registry import PROBLEMS
from optisolve.run.schema import Record
from optisolve.trust.audit import audit_record
from tests.solvers.toys import Toy

CHANGES = [
    {"n_users": 1},
    {"n_users": 5},
    {"n_users": 20},
    {"n_users": 40},
    {"n_users": 300},
    {"n_uavs": 1},
    {"n_uavs": 2},
    {"n_uavs": 12},
    {"area_m": 300.0},
    {"area_m": 20_000.0},
    {"altitude_m": 20.0},
    {"altitude_m": 3000.0},
    {"p_total_w": 0.005},
    {"p_max_w": 10.0, "p_total_w": 40.0},
    {"noise_dbm_hz": -110.0},
    {"bandwidth_hz": 1e8},
    {"rate_ref_bps": 1e9},
    {"processing_gain": 1.0},
    {"alpha0_db": -90.0},
    {"d_min_m": 700.0},
]


@pytest.mark.parametrize("changes", CHANGES, ids=str)
@pytest.mark.parametrize("scenario", ["uav_isac", "uav_isac/urban"])
def test_whatever_is_changed_the_trivial_answers_lie_in_the_box_and_short_of_its_good_corner(scenario, changes):
    instance = optisolve.load_problem(scenario, **changes).instance(3)
    F = np.concatenate([instance.evaluate(X).F for X in instance.null_policies().values()])
    box = instance.hypervolume_box
    assert 0.02 < hypervolume(F, box) < 0.98
    designs = instance.evaluate(instance.project(instance.space.sample(np.random.default_rng(0), 300))).F
    unit = normalize(designs, box)
    assert (unit < 1.0).all(axis=1).mean() > 0.5
    assert (unit > 0.0).all()


@pytest.mark.parametrize("changes", [{"n_users": 20}, {"n_users": 40}, {"n_uavs": 2, "area_m": 4000.0}], ids=str)
def test_a_short_run_gets_a_sound_score_and_no_note(changes):
    instance = optisolve.load_problem("uav_isac", **changes).instance(7)
    result = optisolve.solve(instance, "moead_de", budget=Budget(evaluations=2000), seed=1)
    assert 0.2 < result.hypervolume < 0.8
    assert result.notes == ()


def test_a_scenario_s_own_box_holds_for_its_own_numbers_alone():
    fixed = HypervolumeBox((-25.0, 2.0), (0.0, 0.0))
    plain = optisolve.load_problem("uav_isac")
    for same in ({}, {"n_users": 12}, {"n_users": "12", "area_m": 1500}, {"hypervolume_reference": None}):
        problem = optisolve.load_problem("uav_isac", **same)
        assert problem.instance(1).hypervolume_box == fixed
        assert problem.instance(1).sha256 == plain.instance(1).sha256
    other = optisolve.load_problem("uav_isac", n_users=13)
    assert other.hypervolume_reference is None
    assert other.instance(1).hypervolume_box != fixed
    corners = {"hypervolume_reference": (-25.0, 2.0), "hypervolume_ideal": (0.0, 0.0)}
    assert optisolve.load_problem("uav_isac", n_users=13, **corners).instance(1).hypervolume_box == fixed
    assert optisolve.load_problem("uav_isac", hypervolume_reference=(-30.0, 2.0)).hypervolume_ideal == (0.0, 0.0)


def test_half_a_box_is_refused_with_what_to_give():
    with pytest.raises(OptionError, match="hypervolume_ideal: got None, expected the other corner"):
        optisolve.load_problem("uav_isac", n_users=13, hypervolume_reference=(-25.0, 2.0))


def test_the_box_is_the_same_for_everybody_who_has_the_instance():
    """Another seed with the same users, the equations that verify, a solver at work that is watched: one box."""
    users = optisolve.load_problem("uav_isac", n_users=30).instance(4).users_m.tolist()
    first, second = (optisolve.load_problem("uav_isac", n_users=30, users_m=users).instance(seed) for seed in (0, 9))
    assert first.sha256 == second.sha256
    assert first.hypervolume_box == second.hypervolume_box
    with_twin = optisolve.load_problem("uav_isac", n_users=30, users_m=users).instance(0)
    with_twin._evaluate = with_twin._evaluate_twin
    assert with_twin.hypervolume_box == first.hypervolume_box
    counted = []
    third = optisolve.load_problem("uav_isac", n_users=30, users_m=users).instance(0)
    with watching(third, lambda X: counted.append(X) or third._evaluate(X)):
        assert third.hypervolume_box == first.hypervolume_box
    assert not counted


def test_a_record_that_states_another_box_is_refused():
    """Whatever it says, the box is made again from the instance."""
    instance = optisolve.load_problem("uav_isac", n_users=40).instance(0)
    record = optisolve.solve(instance, "random_search", budget=Budget(evaluations=100)).record
    assert record.instance.params["hypervolume_reference"] is None
    assert audit_record(record, PROBLEMS)
    wide = record.scores.box.model_copy(update={"ideal": [0.0, -1.0]})
    forged = record.model_copy(update={"scores": record.scores.model_copy(update={"box": wide})}).sealed()
    assert "scores.box" in str(audit_record(forged, PROBLEMS).problems)
    few = record.model_copy(update={"scores": record.scores.model_copy(update={"outside": 77})}).sealed()
    assert "scores.outside" in str(audit_record(few, PROBLEMS).problems)


@pytest.mark.parametrize("name", ["zdt1", "zdt3", "zdt4", "zdt6", "dtlz1", "dtlz2", "dtlz5", "dtlz7", "mw1", "re21", "re36"])
def test_a_test_function_s_own_box_is_that_of_its_scenario(name):
    """From the front, as the scenarios' were: within a thousandth of the width where the front is known all along."""
    problem = optisolve.load_problem(f"pymoo/{name}")
    told = problem.instance(0).hypervolume_box
    own = problem.with_option(hypervolume_reference=None, hypervolume_ideal=None).instance(0).hypervolume_box
    width = np.subtract(told.reference, told.ideal)
    assert np.abs(np.subtract(own.ideal, told.ideal) / width).max() < 1e-3
    if name != "re36":  # its scenario has the published nadir point, which is no point of the front
        assert np.abs(np.subtract(own.reference, told.reference) / width).max() < 1e-3


def test_more_objectives_need_no_box_of_the_user_s():
    for name in ("dtlz2", "dtlz7"):  # the latter's front with five objectives is not known by analysis
        instance = optisolve.load_problem(f"pymoo/{name}", n_objectives=5, n_variables=14).instance(0)
        assert len(instance.hypervolume_box.reference) == 5
        assert hypervolume(instance.evaluate(instance.null_policies()["middle"]).F, instance.hypervolume_box) > 0.02


def two_objectives(formula, constraints=()):
    return Toy(
        formula,
        origin=optisolve.load_problem("pymoo").origin(0),
        space=Space.of(Variable(f"x{i}", 0.0, 1.0) for i in range(3)),
        objectives=(Objective("cost", Sense.MINIMIZE), Objective("profit", Sense.MAXIMIZE)),
        constraint_names=constraints,
    )


def test_an_instance_without_a_box_gets_one_from_its_designs():
    instance = two_objectives(lambda X: (np.column_stack([50.0 + X.sum(axis=1), 1e6 * X[:, 0]]), np.empty((len(X), 0))))
    box = instance.hypervolume_box
    assert box.ideal[0] < 50.2
    assert box.reference[0] > 52.0
    assert box.ideal[1] > 9e5 > 2e5 > box.reference[1]
    result = optisolve.solve(instance, "nsga2", budget=Budget(evaluations=500))
    assert 0.1 < result.hypervolume < 0.98


def test_no_box_is_expected_below_zero_where_a_small_positive_number_is_wanted():
    instance = two_objectives(lambda X: (np.column_stack([X[:, 0] ** 2 + 0.1, X[:, 0] - 0.5]), np.empty((len(X), 0))))
    assert instance.hypervolume_box.ideal[0] == 0.0


def test_designs_that_fail_or_miss_the_constraints_make_a_box_too():
    def formula(X):
        F = np.column_stack([X[:, 0], X[:, 1]])
        F[X[:, 2] > 0.5] = np.nan
        return F, 2.0 + X[:, :1]

    box = box_from_designs(two_objectives(formula, ("never",)))
    assert np.isfinite([*box.reference, *box.ideal]).all()
    with pytest.raises(optisolve.OptisolveError, match=r"no design could be evaluated .* give hypervolume_box"):
        box_from_designs(two_objectives(lambda X: (np.full((len(X), 2), np.nan), np.empty((len(X), 0)))))


def test_corners_are_rounded_outwards_and_round_ones_stay():
    signs = np.array([-1.0, 1.0])
    assert box_around(np.array([-43.2, 1.46]), np.array([-4.9, 0.04]), signs) == HypervolumeBox((-44.0, 1.5), (-4.0, 0.0))
    assert box_around(np.array([-25.0, 2.0]), np.array([0.0, 0.0]), signs) == HypervolumeBox((-25.0, 2.0), (0.0, 0.0))
    nudged = box_around(np.array([-25.0 - 1e-12, 2.0 + 1e-13]), np.array([1e-13, -1e-13]), signs)
    assert nudged == HypervolumeBox((-25.0, 2.0), (0.0, 0.0))


# -- what a run says ---------------------------------------------------------------------------------------------------


def in_box(reference, ideal, n_users=40):
    problem = optisolve.load_problem(
        "uav_isac", n_users=n_users, hypervolume_reference=reference, hypervolume_ideal=ideal, rate_ref_bps=1e6
    )
    return optisolve.solve(problem, "moead_de", budget=Budget(evaluations=400))


def test_points_outside_the_box_are_counted_and_named_with_the_cure():
    result = in_box((-25.0, 2.0), (0.0, 0.0))
    n = len(result.X)
    assert result.hypervolume == 0.0
    assert result.record.scores.outside == n
    (note,) = result.notes
    assert note.startswith(f"all {n} points of the front lie outside the scoring box (utility -25 to 0, error_bound 2 to 0)")
    assert "problem.hypervolume_reference" in note
    assert note in repr(result)
    some = in_box((-120.0, 0.9), (0.0, 0.0))
    lost = int((normalize(some.F, some.instance.hypervolume_box) >= 1.0).any(axis=1).sum())
    assert 0 < lost < len(some.X)
    assert some.notes == (
        f"{lost} of {len(some.X)} points of the front lie outside the scoring box (utility -120 to 0, error_bound 0.9 to 0): "
        "they do not count",
    )


def test_a_box_that_hardly_tells_fronts_apart_is_said_to_be_one():
    result = in_box((-1e6, 1e5), (0.0, 0.0))
    assert "so differences hardly show" in result.notes[0]


def test_the_note_changes_no_hash_and_old_records_need_none():
    result = in_box((-25.0, 2.0), (0.0, 0.0))
    told = result.record.to_json()
    del told["scores"]["outside"]
    silent = Record.read(told).sealed()
    assert silent.result_hash == result.result_hash
    assert audit_record(silent, PROBLEMS)


def test_a_box_that_travels_with_a_changed_copy_of_a_problem_is_told():
    """Changing the object keeps its numbers, box and all; the run says when they do not fit."""
    changed = dataclasses.replace(optisolve.load_problem("uav_isac"), n_users=40)
    assert "lie outside" in optisolve.solve(changed, "null").notes[0]
