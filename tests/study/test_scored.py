"""Units: nothing is ever missing, failures are the worst, and equal names mean comparable runs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optisolve.core.errors import RecordError
from optisolve.study.aggregate import (
    blocks_of,
    control_table,
    cost_table,
    failure_table,
    indicator_table,
    ranking,
    scenario_table,
    success_table,
)
from optisolve.study.loss import GAP_NOISE
from optisolve.study.scored import Expected, Outcome, score_units
from tests.study.records import made, table


def losses(units, solver="a"):
    own = units.frame[units.frame["solver"] == solver]
    return own["loss"].tolist()


@pytest.mark.parametrize(
    ("record", "outcome", "reason"),
    [
        (made(gap=0.01, status="error", detail="ZeroDivisionError: x"), Outcome.FAILED, "ZeroDivisionError: x"),
        (made(gap=0.01, status="interrupted"), Outcome.FAILED, "interrupted"),
        (made(point="infeasible"), Outcome.INFEASIBLE, "infeasible: largest violation 5.00e-01"),
        (made(point="nearly_feasible"), Outcome.INFEASIBLE, "nearly feasible"),
        (made(point="invalid"), Outcome.INFEASIBLE, "invalid point"),
        (made(point="none"), Outcome.INFEASIBLE, "no point returned (limit)"),
    ],
)
def test_every_kind_of_failure_has_the_worst_score_and_its_reason(record, outcome, reason):
    units = score_units(table(record, made("b", gap=0.5)))
    row = units.frame[units.frame["solver"] == "a"].iloc[0]
    assert (row["outcome"], row["loss"], row["value"]) == (outcome, 1.0, np.inf)
    assert reason in row["reason"]
    assert failure_table(units)["reason"].str.contains(reason, regex=False).all()


def test_a_failed_run_of_several_objectives_dominates_nothing():
    for front, wanted in ((0.8, (1.0, 0.5)), (None, (0.0, 0.4))):
        failed, done = (
            made(s, hypervolume=0.4, reference_hypervolume=front, status=t) for s, t in (("a", "error"), ("b", "limit"))
        )
        frame = score_units(table(failed, done)).frame.set_index("solver")
        assert tuple(frame["loss" if front else "value"]) == wanted
        assert frame.loc["a", "standing"] > frame.loc["b", "standing"]


def test_a_unit_that_another_solver_has_is_expected_and_counts_as_worst_when_it_is_missing():
    units = score_units(table(made(gap=0.1), made("b", gap=0.1), made("b", gap=0.2, instance=1)))
    assert losses(units) == [0.1, 1.0]
    assert units.frame["outcome"].tolist() == ["ok", "missing", "ok", "ok"]


def test_a_solver_that_answers_once_per_instance_misses_no_repetition():
    """Exact methods run once; three seeds of another solver do not make two failures of it."""
    units = score_units(table(made(gap=0.0), *(made("b", gap=0.1, seed=seed) for seed in range(3))))
    assert losses(units) == [0.0]


def test_a_declared_skip_is_no_failure_but_bars_the_solver_from_the_ranking():
    units = score_units(
        table(
            made(gap=0.0),
            made(status="skipped", detail="needs a model", instance=1),
            made("b", gap=0.2),
            made("b", gap=0.2, instance=1),
        )
    )
    assert np.isnan(losses(units)[1])
    ranked = ranking(units)
    assert ranked.table["solver"].tolist() == ["b"]
    assert ranked.blocks.left_out == {"a": "cannot be run on s: needs a model"}
    assert "skipped" in failure_table(units)["outcome"].tolist()


def test_a_solver_that_leaves_a_whole_scenario_out_is_not_ranked_on_the_rest():
    units = score_units(table(made(gap=0.0), made("b", gap=0.2), made("b", gap=0.2, scenario="t")))
    assert ranking(units).blocks.left_out == {"a": "no run on t"}


SUITE = {"name": "core", "version": "1", "sha256": "f" * 64}


def member(solver, instance, repetition, **kwargs):
    suite = {**SUITE, "unit": "u", "problem": "p", "solver": solver, "instance": str(instance), "repetition": str(repetition)}
    return made("registry_name", instance=900 + instance, seed=repetition * 1000 + instance, suite=suite, **kwargs)


def test_the_plan_of_a_suite_decides_what_is_missing():
    expected = [
        Expected(SUITE["sha256"], "p", solver, i, r) for solver in ("x", "never_ran") for i in range(2) for r in range(2)
    ]
    skip = Expected(SUITE["sha256"], "p", "y", 0, 0, "cannot treat it")
    units = score_units(table(member("x", 0, 0, gap=0.1), member("x", 1, 1, gap=0.2)), expected=[*expected, skip])
    assert losses(units, "x") == [0.1, 1.0, 1.0, 0.2]
    assert losses(units, "never_ran") == [1.0] * 4
    assert units.frame.set_index("solver").loc["y", "outcome"] == Outcome.SKIPPED


def test_a_problem_of_the_suite_that_nobody_ran_is_named():
    units = score_units(table(member("x", 0, 0, gap=0.1)), expected=[Expected(SUITE["sha256"], "absent", "x", 0, 0)])
    assert "No solver has a record on absent" in units.notices[0]


def test_the_better_of_two_records_of_one_unit_does_not_count():
    units = score_units(table(made(gap=0.3), made(gap=0.1), made("b", gap=0.2)))
    assert losses(units) == [0.3]
    assert "Units with more than one record: 1; in 1 of them the records differ" in units.notices[0]
    assert losses(score_units(table(made(gap=0.1), made(status="error")))) == [1.0]


def test_losses_are_capped_and_never_negative():
    units = score_units(table(made(gap=7.0), made(gap=1e-12, instance=1), made(gap=-0.1, instance=2)))
    assert losses(units) == [1.0, 0.0, 0.0]


@given(
    st.lists(st.floats(-3.0, 3.0), min_size=1, max_size=8),
    st.floats(0.0, 0.5),
    st.floats(1e-12, 1e12),
)
def test_no_loss_no_mean_loss_and_no_end_of_an_interval_is_negative(gaps, tie, scale):
    """A value within the tie of the reference has loss 0, one beyond the reference no loss below 0, in any unit."""
    records = [made(gap=gap, instance=i, tie=tie, value=scale) for i, gap in enumerate(gaps)]
    units = score_units(table(*records))
    assert [loss == 0.0 for loss in losses(units)] == [gap <= max(tie, GAP_NOISE) for gap in gaps]
    assert (units.frame["loss"] >= 0.0).all()
    shown = scenario_table(units).iloc[0]
    assert shown["mean"] >= 0.0
    assert not shown["low"] < 0.0
    assert (indicator_table(units)[["gap", "bound_gap"]] >= 0.0).all().all()


def test_what_differs_within_the_reference_s_tie_is_a_tie_everywhere():
    """A reference good to 1e-3: 0.2502 and 0.2498 are the same answer, 0.26 is another."""
    rows = [
        made(solver, gap=gap, instance=i, tie=1e-3)
        for i in range(8)
        for solver, gap in (("a", 0.2502), ("b", 0.2498), ("null", 0.26), ("exact", -2e-4), ("cheat", -9e-4))
    ]
    units = score_units(table(*rows))
    ranked = ranking(units)
    ranks = ranked.table.set_index("solver")["average_rank"]
    assert ranks["a"] == ranks["b"] == 3.5
    assert ranks["exact"] == ranks["cheat"] == 1.5
    pair = ranked.pairs.set_index(["a", "b"]).loc[("a", "b")]
    assert (pair["ties"], pair["p_value"], pair["a12"]) == (8, 1.0, 0.5)
    best = scenario_table(units).set_index("solver")["best"]
    assert best.tolist() == [False, False, True, True, False]
    against = control_table(units).set_index("solver")
    assert against.loc["a", "wins"] == 8
    assert not ranked.table.set_index("solver").loc[["exact", "cheat"], "worse"].any()


def test_who_beats_a_best_known_value_by_more_than_the_tie_ranks_first_without_a_negative_loss():
    units = score_units(table(made("a", gap=-0.018), made("b", gap=0.0), made("c", gap=1e-10)))
    ranked = ranking(units).table.set_index("solver")
    assert ranked["average_rank"].to_dict() == {"a": 1.0, "b": 2.5, "c": 2.5}
    assert ranked["mean"].tolist() == [0.0, 0.0, 0.0]


def test_ties_of_values_without_a_reference_do_not_depend_on_their_unit():
    for unit in (1e-12, 1.0, 1e12):
        records = [made(s, gap=g, value=unit, reference=False) for s, g in (("a", 0.1), ("b", 0.1 + 1e-12), ("c", 0.1001))]
        assert ranking(score_units(table(*records))).table["average_rank"].tolist() == [1.5, 1.5, 3.0]


def test_a_withdrawn_bound_is_told_with_the_records_that_carry_it():
    units = score_units(table(made(gap=-0.2, note="the bound is wrong"), made("b", gap=0.0)))
    assert units.notices == ("s, instance 0: the bound is wrong (records of a)",)


def test_the_loss_of_a_front_is_what_it_misses_of_the_reference_front_and_never_the_empty_part_of_the_box():
    known = score_units(table(made(hypervolume=0.4, reference_hypervolume=0.8)))
    assert known.measures["s"].label == "share of the best known front's hypervolume that is missing"
    assert losses(known) == [0.5]
    partly = score_units(table(made(hypervolume=0.4, reference_hypervolume=0.8), made(hypervolume=0.5, instance=1)))
    assert (partly.measures["s"].name, partly.frame["value"].tolist()) == ("hypervolume", [0.4, 0.5])
    assert np.isnan(losses(partly)).all()
    assert "left out of everything that needs losses" in partly.notices[0]


def test_one_objective_is_measured_to_the_proven_optimum_else_to_the_bound_else_to_the_best_known_value():
    proven = made(gap=0.1, scenario="proven_optimal")
    bound = made(gap=0.2, bound_gap=0.3, evidence="dual_bound", scenario="dual_bound")
    known = made(gap=0.2, evidence="best_known", dual_bound=False, scenario="best_known")
    units = score_units(table(proven, bound, known))
    told = {
        scenario: (measure.label, units.frame.set_index("scenario").loc[scenario, "loss"])
        for scenario, measure in units.measures.items()
    }
    assert told == {
        "proven_optimal": ("gap to the proven optimum", 0.1),
        "dual_bound": ("gap to the dual bound", 0.3),
        "best_known": ("gap to the best known value", 0.2),
    }


def test_fronts_of_one_instance_that_differ_by_rounding_are_one_reference_and_others_are_told():
    near = score_units(
        table(*(made(s, hypervolume=0.4, reference_hypervolume=0.8 * (1 + k * 1e-9)) for k, s in enumerate("abc")))
    )
    assert len(set(near.frame["loss"])) == 1
    far = score_units(
        table(made(hypervolume=0.4, reference_hypervolume=0.8), made("b", hypervolume=0.4, reference_hypervolume=0.5))
    )
    assert "different references" in far.notices[0]


def test_records_without_or_with_different_references_are_ranked_by_value_and_the_reader_is_told():
    alone = made("c", reference=False)
    without = score_units(table(made(gap=0.1, reference=False), made("b", gap=0.2, reference=False), alone))
    assert without.measures["s"].name == "objective"
    assert "no record has a reference" in without.notices[0]
    assert ranking(without).table["solver"].tolist() == ["a", "b", "c"]
    mixed = score_units(table(made(gap=0.1, value=10.0), made("b", gap=0.05, value=9.0)))
    assert "different references" in mixed.notices[0]
    assert blocks_of(mixed).table.iloc[0].tolist() == pytest.approx([-9.0, -8.55])
    assert np.isnan(scenario_table(without).set_index("solver").loc["c", "mean"])


@pytest.mark.parametrize("several", [False, True])
def test_a_record_without_a_reference_takes_no_scenario_out_of_the_gaps(several):
    """It is measured to the reference of the others, by hand: (0.8 - 0.6) / 0.8 and 0.2; the reader is told."""
    if several:
        pair = made(hypervolume=0.4, reference_hypervolume=0.8), made("b", hypervolume=0.6, reference=False)
    else:
        pair = made(gap=0.5), made("b", gap=0.2, reference=False)
    units = score_units(table(*pair))
    assert units.measures["s"].name == "loss"
    assert units.frame.set_index("solver")["loss"].to_dict() == pytest.approx({"a": 0.5, "b": 0.25 if several else 0.2})
    (notice,) = units.notices
    assert "1 record(s) of b have no reference of their own" in notice


def test_what_has_no_reference_at_all_is_named():
    units = score_units(table(made(gap=0.1), made("b", gap=0.2, instance=1, reference=False)))
    assert "some records have no reference (b, instance 1)" in " ".join(units.notices)


def test_runs_with_other_settings_have_other_names():
    units = score_units(
        table(made(gap=0.1, options={"n": 5}), made(gap=0.2, options={"n": 7}), made("b", gap=0.1, options={"n": 1}))
    )
    assert sorted(units.frame["solver"]) == ["a (n=5)", "a (n=7)", "b"]
    scenarios = score_units(table(made(gap=0.1, params={"users": 4}), made(gap=0.2, params={"users": 8}))).scenarios()
    assert scenarios == ("s (users=4)", "s (users=8)")


def test_blocks_average_repetitions_and_nothing_else():
    units = score_units(
        table(made(gap=0.1), made(gap=0.3, seed=1), made(gap=0.6, instance=1), made(status="error", instance=1, seed=1))
    )
    assert blocks_of(units).table["a"].tolist() == pytest.approx([0.2, 0.8])


def test_rounding_noise_decides_no_rank():
    units = score_units(table(made(gap=0.25), made("b", gap=0.25 + 1e-13)))
    assert ranking(units).table["average_rank"].tolist() == [1.5, 1.5]


def test_scenario_table_by_hand():
    rows = [made("a", gap=g, instance=i) for i, g in enumerate([0.1, 0.2, 0.3])]
    rows += [made("b", gap=g, instance=i) for i, g in enumerate([0.2, 0.3])] + [made("b", status="error", instance=2)]
    shown = scenario_table(score_units(table(*rows))).set_index("solver")
    assert shown["mean"].tolist() == pytest.approx([0.2, 0.5])
    assert shown["best"].tolist() == [True, False]
    assert shown["failures"].tolist() == [0, 1]
    assert shown["low"].isna().all()  # of three instances there is no interval
    assert shown["least"].tolist() == pytest.approx([0.1, 0.2])
    assert shown["most"].tolist() == [0.3, 1.0]
    assert shown["blocks"].tolist() == [3, 3]


def test_intervals_begin_at_ten_instances_and_runs_of_one_instance_are_never_called_instances():
    def row(instances, runs):
        gaps = np.random.default_rng(0).random((instances, runs))
        records = [made(gap=gaps[i, k], instance=i, seed=k) for i in range(instances) for k in range(runs)]
        return scenario_table(score_units(table(*records))).iloc[0]

    few, enough, alone, little = row(9, 30), row(10, 1), row(1, 12), row(1, 3)
    assert np.isnan([few["low"], few["high"], little["low"]]).all()
    assert (few["blocks"], few["over"]) == (9, "instances")
    assert enough["least"] <= enough["low"] <= enough["mean"] <= enough["high"] <= 1.0
    assert (enough["blocks"], enough["over"]) == (10, "instances")
    assert (alone["blocks"], alone["over"]) == (12, "runs")
    assert alone["low"] <= alone["mean"] <= alone["high"]


def test_a_clear_difference_on_enough_instances_is_marked_and_on_few_is_not():
    def marked(n):
        rows = [made("a", gap=0.1, instance=i) for i in range(n)] + [made("b", gap=0.2 + i / 100, instance=i) for i in range(n)]
        return ranking(score_units(table(*rows))).table.set_index("solver").loc["b", "worse"]

    assert marked(6)  # p = 2 / 2^6
    assert not marked(5)


def test_success_counts_failures_among_the_runs():
    shares = success_table(score_units(table(made(gap=0.05), made(gap=0.0005, seed=1), made(status="error", seed=2))))
    assert shares.set_index("target")["share"].tolist() == pytest.approx([2 / 3, 1 / 3, 1 / 3, 0, 0, 0])


def test_indicators_of_failed_runs_are_the_worst_and_never_missing():
    front = made(hypervolume=0.4)
    front = front.model_copy(update={"scores": front.scores.model_copy(update={"igd_plus": 0.1})})
    several = indicator_table(score_units(table(front, made(hypervolume=0.3, status="error", seed=1)))).iloc[0]
    assert (several["hypervolume"], several["igd_plus"], several["feasible"]) == (0.2, np.inf, 0.5)
    one = indicator_table(score_units(table(made(gap=0.2), made(point="infeasible", seed=1)))).iloc[0]
    assert (one["gap"], one["bound_gap"], one["feasible"]) == (0.6, 0.6, 0.5)
    assert np.isnan(one["hypervolume"])


def test_controls_and_costs():
    rows = [made(gap=0.1, tokens=30, usd=0.5), made(gap=0.4, instance=1, tokens=50, usd=0.25)]
    rows += [made("null", gap=0.2), made("null", gap=0.2, instance=1)]
    units = score_units(table(*rows))
    against = control_table(units).iloc[0]
    assert (against["wins"], against["ties"], against["losses"]) == (1, 0, 1)
    assert control_table(units, "absent").empty
    spent = cost_table(units).set_index("solver").loc["a"]
    assert (spent["runs"], spent["tokens"], spent["usd"], spent["evaluations"]) == (2, 40.0, 0.75, 100.0)


def test_one_solver_on_one_instance_and_only_failures_are_no_special_cases():
    alone = ranking(score_units(table(made(gap=0.1))))
    assert alone.table["average_rank"].tolist() == [1.0]
    assert alone.friedman is None
    nobody = ranking(score_units(table(made(status="error"), made("b", point="infeasible"))))
    assert nobody.table["average_rank"].tolist() == [1.5, 1.5]
    assert nobody.table["mean"].tolist() == [1.0, 1.0]
    skipped = ranking(score_units(table(made(status="skipped"))))
    assert skipped.table.empty
    with pytest.raises(RecordError, match="table is empty"):
        score_units(table())
