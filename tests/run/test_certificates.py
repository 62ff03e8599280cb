"""Proofs and verification are joined: using the feasibility tolerance gives a tie, and a refuted proof is withdrawn."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import optisolve
from optisolve.cli.display import print_summary
from optisolve.core import Budget, Evidence, Objective, Reference, Sense
from optisolve.core.problem import FEASIBILITY_TOLERANCE
from optisolve.core.solver import Outcome, Solver, SolverInfo, Task
from optisolve.core.status import Termination
from optisolve.goals.goal import goal_from
from optisolve.modelling.answer import certify, proven_infeasible
from optisolve.numerics.indicators import score
from optisolve.problems.instance_file import write_arrays
from optisolve.run.records import describe_reference, read_record
from optisolve.run.verify import confront, verify_points
from optisolve.study.aggregate import indicator_table, ranking, scenario_table
from optisolve.study.degeneracy import degeneracy
from optisolve.study.loss import loss_of
from optisolve.study.profiles import anytime_data
from optisolve.study.report.build import build_report
from optisolve.study.scored import score_units
from optisolve.testing.toys import SumCapSphere
from optisolve.trust.site.build import build_site

# --- a solver that uses the feasibility tolerance -----------------------------------------------------------------------


def least_powers(instance, share):
    """Least powers that meet all rates lowered by a share, float64 [K]: a linear system, written down here again."""
    floor = np.expm1((1.0 - share) * np.log1p(instance.sinr_floor))
    own = np.diag(np.diag(instance.gain))
    return np.linalg.solve(own - floor[:, None] * (instance.gain - own), floor * instance.noise_w)


@dataclass(frozen=True, slots=True)
class Exact(Solver):
    """The least powers of all rates."""

    info: ClassVar = SolverInfo(name="exact", version="1", summary="Solves the equations of the optimum.")
    share: ClassVar[float] = 0.0
    factor: ClassVar[float] = 1.0

    def _solve(self, task: Task) -> Outcome:
        x = self.factor * least_powers(task.instance, self.share)[None, :]
        task.evaluate(x)
        return Outcome(x, Termination.CONVERGED)


@dataclass(frozen=True, slots=True)
class Cheat(Exact):
    """The same for rates that are lowered by almost what verification forgives."""

    info: ClassVar = SolverInfo(name="cheat", version="1", summary="Uses the feasibility tolerance.")
    share: ClassVar[float] = 0.99e-8


@dataclass(frozen=True, slots=True)
class Worse(Exact):
    """The same with powers that are 0.01 % too large."""

    info: ClassVar = SolverInfo(name="worse", version="1", summary="Slightly worse.")
    factor: ClassVar[float] = 1.0001


@pytest.fixture(scope="module", params=["power_game/zou_spread", "power_control/min_power"])
def rivals(request, tmp_path_factory):
    """All three on six instances, saved."""
    folder = tmp_path_factory.mktemp("rivals")
    problem = optisolve.load_problem(request.param)
    for seed in range(6):
        instance = problem.instance(seed)
        own = problem.reference(instance)
        relaxed = float((least_powers(instance, 0.0) - least_powers(instance, FEASIBILITY_TOLERANCE)).sum())
        reference = dataclasses.replace(own, slack=max(own.slack, 1.0001 * relaxed))
        for solver in (Exact(), Cheat(), Worse()):
            optisolve.solve(instance, solver, budget=Budget(evaluations=10), reference=reference).save(folder)
    return folder


def test_who_uses_the_tolerance_of_verification_ties_with_the_optimum_and_never_ranks_above_it(rivals):
    """It is feasible and better by 1e-8, which was significant in six of six instances."""
    units = score_units(optisolve.load_records(rivals))
    cheating = units.frame[units.frame["solver"] == "cheat"]
    assert (cheating["outcome"] == "ok").all()
    assert (cheating["gap"] < 0.0).all()
    assert (cheating["loss"] == 0.0).all()
    ranked = ranking(units)
    table = ranked.table.set_index("solver")
    assert table["average_rank"].to_dict() == {"cheat": 1.5, "exact": 1.5, "worse": 3.0}
    assert table["mean"].to_dict() == pytest.approx({"cheat": 0.0, "exact": 0.0, "worse": 1e-4}, rel=1e-3)
    pair = ranked.pairs.set_index(["a", "b"]).loc[("cheat", "exact")]
    assert (pair["ties"], pair["p_value"], pair["a12"]) == (6, 1.0, 0.5)
    best = scenario_table(units).set_index("solver")["best"]
    assert best.to_dict() == {"cheat": True, "exact": True, "worse": False}


def test_no_product_shows_a_negative_loss(rivals):
    units = score_units(optisolve.load_records(rivals))
    assert (indicator_table(units)[["gap", "bound_gap"]] >= 0.0).all().all()
    assert (anytime_data(units, units.scenarios()[0])[["median", "low", "high", "mean"]] >= 0.0).all().all()
    assert [loss_of(record).value for record in units.frame["record"] if record.solver.name != "worse"] == [0.0] * 12
    (family,) = build_report([str(rivals)]).families
    cells = [text for shown in (family.ranking, *family.tables) for text in shown.texts.to_numpy().ravel()]
    assert not any("−" in text or text.startswith("-") or "[-" in text for text in cells)


def test_nothing_is_withdrawn_for_a_point_within_the_slack(rivals):
    for record in optisolve.load_records(rivals)["record"]:
        assert record.reference.evidence == "proven_optimal"
        assert record.reference.note == ""


# --- what a reference states --------------------------------------------------------------------------------------------


def sphere(cap=4.0, seed=1):
    """A toy whose cap binds, its optimum [1, d], and a point that uses the tolerance of the cap."""
    problem = SumCapSphere(cap=cap)
    instance = problem.instance(seed)
    reference = problem.reference(instance)
    beyond = reference.X + FEASIBILITY_TOLERANCE * 0.999 * max(cap, 1.0) / instance.space.dim
    return instance, reference, beyond


def test_the_toy_s_slack_is_what_the_tolerance_can_gain():
    instance, reference, beyond = sphere()
    check = verify_points(instance, beyond)
    gain = float(check.F[0, 0]) - reference.dual_bound
    assert check.feasible.all()
    assert 0.99 * reference.slack < gain <= reference.slack
    assert confront(instance, reference, check) is reference


def certified(**changes):
    instance, reference, _ = sphere()
    given = {"dual_bound": reference.dual_bound, "tolerance": 1e-9, "slack": reference.slack, "solver": "t", **changes}
    x = given.pop("x", reference.X[0])
    return certify(instance, x, **given), reference


def test_evidence_follows_from_re_evaluation():
    proven, reference = certified()
    assert (proven.evidence, proven.value, proven.note) == (Evidence.PROVEN_OPTIMAL, pytest.approx(reference.value), "")
    assert certified(dual_bound=reference.dual_bound + 1e-6)[0].evidence is Evidence.DUAL_BOUND
    assert certified(dual_bound=None)[0].evidence is Evidence.BEST_KNOWN
    assert certified(x=None)[0].evidence is Evidence.DUAL_BOUND
    assert certified(x=None, dual_bound=None)[0].evidence is Evidence.NONE
    refused = certified(x=reference.X[0] + 1.0)[0]
    assert (refused.evidence, refused.value) == (Evidence.DUAL_BOUND, None)
    assert "violates a constraint" in refused.detail


@pytest.mark.parametrize("field", ["dual_bound", "tolerance", "slack"])
@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
def test_what_is_not_finite_proves_nothing(field, bad):
    """|inf - value| <= inf was called proven optimal."""
    made, reference = certified(**{field: bad})
    assert made.evidence is Evidence.BEST_KNOWN
    assert (made.dual_bound, made.tolerance, made.slack) == (None, 0.0, 0.0)
    assert made.value == pytest.approx(reference.value)
    assert "no finite bound" in made.note
    assert certified(**{field: bad, "x": None})[0].evidence is Evidence.NONE


def test_a_bound_that_its_own_point_passes_is_withdrawn_without_an_error():
    low = certified()[1].dual_bound - 0.1
    made, reference = certified(dual_bound=low)
    assert made.evidence is Evidence.BEST_KNOWN
    assert made.dual_bound is None
    assert made.value == pytest.approx(reference.value)
    assert "the bound is wrong" in made.note
    within, _ = certified(dual_bound=low, slack=0.2)
    assert (within.evidence, within.note) == (Evidence.PROVEN_OPTIMAL, "")


def test_what_is_withdrawn_leaves_the_best_known_point_and_every_note():
    told = Reference(Evidence.PROVEN_OPTIMAL, X=np.zeros((1, 2)), value=1.0, dual_bound=1.0, tolerance=0.1, slack=0.2)
    assert told.tie == pytest.approx(0.3)
    once = told.withdrawn("first.")
    twice = once.withdrawn("second.")
    assert (twice.evidence, twice.value, twice.dual_bound, twice.tie) == (Evidence.BEST_KNOWN, 1.0, None, 0.0)
    assert twice.note == "first. second."
    assert told.note == ""
    assert Reference(Evidence.DUAL_BOUND, dual_bound=1.0).withdrawn("x").evidence is Evidence.NONE


@given(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3), st.floats(1e-3, 10.0), st.integers(-12, 12), st.sampled_from(Sense))
def test_relative_gaps_do_not_depend_on_the_unit(value, target, scale, exponent, sense):
    unit = 10.0**exponent
    one = Objective("f", sense, scale=scale)
    other = Objective("f", sense, scale=scale * unit)
    gap = one.shortfall(value, target) / one.gap_scale(target)
    assert other.shortfall(value * unit, target * unit) / other.gap_scale(target * unit) == pytest.approx(gap, abs=1e-9)
    assert (gap > 0.0) == (value < target if sense is Sense.MAXIMIZE else value > target)
    shifted = dataclasses.replace(one, interval=True)  # a sum of logarithms: another unit adds a constant
    before, after = (shifted.shortfall(value + c, target + c) / shifted.gap_scale(target + c) for c in (0.0, 100.0))
    assert after == pytest.approx(before, abs=1e-9)


def test_scores_say_what_gaps_are_divided_by_and_what_they_cannot_tell():
    instance, reference, beyond = sphere()
    scores = score(instance, verify_points(instance, beyond).F, reference)
    scale = instance.objectives[0].gap_scale(reference.value)
    assert scores["gap_scale"] == scale
    assert scores["tie"] == pytest.approx((reference.tolerance + reference.slack) / scale)
    assert -scores["tie"] <= scores["gap"] < 0.0


# --- an error of ours is recorded and shown -----------------------------------------------------------------------------


def wrong(kind):
    """A toy whose reference is wrong: its bound too low for a maximum, or a proof that nothing is feasible."""
    instance, reference, _ = sphere()
    if kind == "infeasible":
        return instance, proven_infeasible("the cap is negative", solver="careless")
    low = reference.value - 0.5
    return instance, dataclasses.replace(reference, X=reference.X - 1.0, value=low, dual_bound=low, solver="careless")


@pytest.mark.parametrize(
    ("kind", "left", "words"), [("bound", "best_known", "wrong"), ("infeasible", "none", "proof is wrong")]
)
def test_a_refuted_proof_is_withdrawn_recorded_and_shown_everywhere_and_ends_no_run(kind, left, words, tmp_path, capsys):
    instance, claimed = wrong(kind)
    result = optisolve.solve(instance, "scipy_local", budget=Budget(evaluations=400), reference=claimed)
    folder = result.save(tmp_path / "runs")
    record = json.loads((folder / "record.json").read_text())
    assert record["reference"]["evidence"] == left
    assert record["reference"]["dual_bound"] is None
    note = record["reference"]["note"]
    assert words in note
    assert "error of optisolve" in note
    assert claimed.note == ""
    assert loss_of(read_record(folder)).value in (None, 0.0)
    print_summary({"scipy_local": result}, folder, ())
    assert note in capsys.readouterr().err
    report = build_report([str(tmp_path / "runs")])
    assert any(note in notice for notice in report.notices)
    site = build_site([str(tmp_path / "runs")])
    assert any(note in notice for notice in site.notices)
    assert any(note in text for text in site.problems[0].tables[0].texts.to_numpy().ravel())


def test_a_proof_of_infeasibility_stands_and_is_told_while_nothing_contradicts_it(tmp_path, capsys):
    instance, claimed = wrong("infeasible")
    nothing = verify_points(instance, np.full((1, 4), 5.0))
    assert confront(instance, claimed, nothing) is claimed
    result = optisolve.solve(instance, "null", budget=Budget(evaluations=10))
    claim = Reference(Evidence.PROVEN_INFEASIBLE, solver="s", detail="no power suffices")
    record = result.record.model_copy(update={"reference": describe_reference(claim)})
    print_summary({"null": result.with_record(record)}, tmp_path, ())
    assert "reference: proven infeasible (s; no power suffices)" in capsys.readouterr().out


def test_bounds_on_single_objectives_are_confronted_too():
    instance = optisolve.load_problem("uav_isac/single").instance(0)
    result = optisolve.solve(instance, "null", budget=Budget(evaluations=20))
    best = (result.F * instance.signs).min(axis=0) * instance.signs
    worse = tuple(float(v - s * (abs(v) + 1.0)) for v, s in zip(best, -instance.signs, strict=True))
    claimed = Reference(Evidence.DUAL_BOUND, F=result.F, X=result.X, ideal_bound=worse, solver="careless")
    left = confront(instance, claimed, result.verification)
    assert (left.evidence, left.ideal_bound) == (Evidence.BEST_KNOWN, None)
    assert "error of optisolve" in left.note


@dataclass(frozen=True)
class Hopeless(SumCapSphere):
    """The toy with a false proof."""

    def reference(self, instance, effort=None):
        return proven_infeasible("it says so", solver="careless")


def test_a_report_on_trivial_answers_shows_what_they_refute():
    report = degeneracy(Hopeless(), instances=2, samples=4, starts=0)
    assert report.evidence == "none"
    assert len(report.notes) == 2
    assert all("proof is wrong" in note for note in report.notes)


# --- the hash of an instance --------------------------------------------------------------------------------------------

DIFFERENT = [
    ("power_control", {"goal": "sum_rate"}, {"goal": "max_min"}),
    ("power_control", {"goal": "max_min"}, {"goal": "energy_efficiency"}),
    ("power_control/energy_efficiency", {"circuit_power_w": 1.0}, {"circuit_power_w": 2.0}),
    ("power_control/energy_efficiency", {"power_slope": 1.0}, {"power_slope": 2.0}),
    ("beamforming", {"noise_w": 1.0}, {"noise_w": 0.5}),
    ("cell_free", {"p_access_point_w": 0.2}, {"p_access_point_w": 0.1}),
    ("cell_free", {"p_pilot_w": 0.1}, {"p_pilot_w": 0.05}),
    *(
        ("nsp_utility", {name: one}, {name: other})
        for name, one, other in (
            ("goal", "throughput", "energy"),
            ("price_per_w", 2.5, 2.6),
            ("payment", 1.0, 1.1),
            ("noise_w", 0.01, 0.02),
            ("bandwidth_hz", 1e6, 2e6),
            ("snr_threshold_db", 6.0, 7.0),
            ("rate_min_mbps", None, 1.0),
            ("outage_max", None, 0.5),
        )
    ),
    ("beamforming", {"goal": "min_power"}, {"goal": "max_min"}),
    ("cell_free", {"noise_dbm_hz": -174.0}, {"noise_dbm_hz": -170.0}),
    ("cell_free", {"bandwidth_hz": 2e7}, {"bandwidth_hz": 1e7}),
    ("noma_uav", {"altitude_m": 100.0}, {"altitude_m": 120.0}),
    ("noma_uav", {"noise_w": 1e-11}, {"noise_w": 1e-10}),
    ("noma_uav", {"gain_at_1m": 1e-5}, {"gain_at_1m": 1e-4}),
    ("noma_uav", {"power_order": True}, {"power_order": False}),
]


@pytest.mark.parametrize(("scenario", "one", "other"), DIFFERENT)
def test_instances_that_differ_have_different_hashes(scenario, one, other):
    first, second, again = (optisolve.load_problem(scenario, **params).instance(3).sha256 for params in (one, other, one))
    assert first == again
    assert first != second


def test_goals_with_other_objectives_and_the_same_bounds_are_other_instances():
    base = optisolve.load_problem("power_control").instance(0)
    told = [("min", "sum_rate", 1.0), ("max", "sum_rate", 1.0), ("max", "sum_rate", 2.0), ("max", "rate", 1.0)]
    told += [("min", "rate", 1.0), ("maxmin", "rate", 1.0), ("min", "total_power", 1.0)]
    goals = [{"objective": {"sense": s, "terms": [{"metric": m, "weight": w}]}} for s, m, w in told]
    assert len({base.with_goal(goal_from(goal)).sha256 for goal in goals}) == len(goals)


@pytest.mark.parametrize("family", ["power_control", "noma_uav", "cell_free"])
def test_where_a_file_lies_is_no_part_of_an_instance_and_what_is_in_it_is(family, tmp_path):
    arrays = {name: np.array(values) for name, values in optisolve.load_problem(family).instance(4).arrays().items()}
    paths = [tmp_path / "one.npz", tmp_path / "deep" / "two.npz", tmp_path / "deep" / "other.npz"]
    paths[1].parent.mkdir()
    first = next(iter(arrays))
    for path, factor in zip(paths, (1.0, 1.0, 0.9), strict=True):
        write_arrays(str(path), {**arrays, first: factor * arrays[first]})
    here, there, other = (optisolve.load_problem(family, instance_file=str(path)).instance(0).sha256 for path in paths)
    assert here == there
    assert here != other
