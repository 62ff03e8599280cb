"""Profiles and portfolios agree with sums done by hand, and no trace beats a verified answer."""

from __future__ import annotations

import itertools
from math import factorial

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optisolve.core.errors import OptionError
from optisolve.study.loss import losses_along
from optisolve.study.portfolio import portfolio
from optisolve.study.profiles import (
    anytime_data,
    data_profile_data,
    ecdf_data,
    expected_runtime,
    performance_profile_data,
    runtimes,
)
from optisolve.study.scored import score_units
from tests.study.records import made, table

TRACE = [[1, 0.0, None, 1.0], [10, 0.0, 8.0, 0.0], [50, 0.0, 9.5, 0.0], [100, 0.0, 9.95, 0.0]]
"""Reference value 10, so gaps: nothing, 0.2, 0.05, 0.005."""


def needed(*records, targets=(0.1, 0.01, 0.001)):
    return runtimes(score_units(table(*records)), targets)["evaluations"].tolist()


def test_evaluations_to_target_are_read_from_the_trace():
    assert needed(made(gap=0.005, trace=TRACE)) == [50.0, 100.0, np.inf]


def test_a_trace_that_shows_more_than_the_verified_answer_counts_for_nothing():
    """A forged or lost best point: the trace claims a gap of 0.005, verification found 0.05."""
    assert needed(made(gap=0.05, trace=TRACE)) == [50.0, np.inf, np.inf]
    assert needed(made(status="error", gap=0.005, trace=TRACE)) == [np.inf] * 3


def test_an_answer_without_a_trace_counts_at_the_last_evaluation():
    """A model-based solver evaluates its answer once, or never."""
    assert needed(made(gap=0.0, evaluations=7)) == [7.0] * 3
    assert needed(made(gap=0.0, evaluations=0)) == [1.0] * 3


def test_traces_of_hypervolume_are_read_relative_to_the_reference_front():
    trace = [[1, 0.0, 0.2, 0.0], [20, 0.0, 0.4, 0.0]]
    record = made(hypervolume=0.4, reference_hypervolume=0.5, trace=trace)
    assert needed(record, targets=(0.6, 0.2, 0.1)) == [1.0, 20.0, np.inf]


def test_a_trace_is_divided_by_what_its_own_record_says_and_ties_with_the_reference_as_the_answer_does():
    """A reference near zero: 0.05 short of 0.1 is 5 % of the objective's scale, not 50 % of the reference."""
    record = made(gap=0.0, value=0.1, trace=[[1, 0.0, 0.05, 0.0], [9, 0.0, 0.1, 0.0]], scale=1.0)
    assert needed(record, targets=(0.05, 0.01)) == [1.0, 9.0]
    loose = made(gap=0.0, trace=[[1, 0.0, 9.8, 0.0], [9, 0.0, 10.0, 0.0]], tie=0.03)
    assert needed(loose, targets=(0.01,)) == [1.0]


def test_no_point_of_a_curve_is_below_zero():
    beaten = made(gap=-0.2, trace=[[1, 0.0, 9.0, 0.0], [50, 0.0, 12.0, 0.0]])
    _, losses = losses_along(beaten)
    assert losses.tolist() == pytest.approx([0.1, 0.0])
    assert (anytime_data(score_units(table(beaten)), "s")[["median", "low", "high", "mean"]] >= 0.0).all().all()


def test_expected_runtime_charges_failed_runs_to_the_successes():
    """COCO's definition: (50 + 100 + 100) evaluations for one success."""
    runs = table(made(gap=0.05, trace=TRACE), made(gap=0.5, seed=1), made(status="error", seed=2, evaluations=100))
    row = expected_runtime(runtimes(score_units(runs), (0.1, 0.01))).set_index("target")
    assert (row.loc[0.1, "ert"], row.loc[0.1, "successes"], row.loc[0.1, "runs"]) == (250.0, 1, 3)
    assert row.loc[0.01, "ert"] == np.inf


def test_a_unit_without_a_record_is_charged_the_whole_budget():
    runs = table(made(gap=0.05, trace=TRACE), made("b", gap=0.5), made("b", gap=0.5, instance=1))
    row = expected_runtime(runtimes(score_units(runs), (0.1,))).set_index("solver")
    assert row.loc["a", "ert"] == 150.0


def test_ecdf_steps_at_every_hit_and_keeps_misses_in_the_denominator():
    curve = ecdf_data(runtimes(score_units(table(made(gap=0.005, trace=TRACE), made("b"))), (0.1, 0.01, 0.001)))
    assert curve[curve["solver"] == "a"][["evaluations", "share"]].to_numpy().tolist() == [[1, 0], [50, 1 / 3], [100, 2 / 3]]
    assert curve[curve["solver"] == "b"][["evaluations", "share"]].to_numpy().tolist() == [[1, 0]]


def test_data_profile_counts_simplex_gradients():
    """Three variables, so a gradient costs four evaluations."""
    times = runtimes(score_units(table(made(gap=0.005, trace=TRACE), made(gap=0.5, instance=1))), (0.1, 0.01))
    assert data_profile_data(times, 0.1)[["gradients", "share"]].to_numpy().tolist() == [[0.0, 0.0], [12.5, 0.5]]


def test_performance_profile_by_hand():
    """Dolan and Moré: ratios of a are 1, 2, failed; of b 2, 1, failed; nobody solved the third problem."""
    costs = pd.DataFrame({"a": [10.0, 40.0, np.inf], "b": [20.0, 20.0, np.nan]})
    curves = performance_profile_data(costs)
    for solver in "ab":
        own = curves[curves["solver"] == solver][["ratio", "share"]].to_numpy().tolist()
        assert own == [[1.0, 0.0], [1.0, pytest.approx(1 / 3)], [2.0, pytest.approx(2 / 3)]]


def test_adding_a_solver_changes_nobody_elses_ecdf():
    first, second = made(gap=0.005, trace=TRACE), made("b", gap=0.0, evaluations=1)
    alone = ecdf_data(runtimes(score_units(table(first))))
    both = ecdf_data(runtimes(score_units(table(first, second))))
    pd.testing.assert_frame_equal(alone, both[both["solver"] == "a"].reset_index(drop=True))


def test_anytime_curve_starts_worst_ends_at_the_verified_answer_and_holds_the_last_value():
    units = score_units(table(made(gap=0.05, trace=TRACE[:3], evaluations=60), made(status="error", seed=1)))
    curve = anytime_data(units, "s").set_index("evaluations")
    assert curve.loc[1.0, "low"] == 1.0
    assert curve.loc[100.0, "mean"] == pytest.approx((0.05 + 1.0) / 2)
    assert (np.diff(curve["mean"]) <= 1e-12).all()


def test_profiles_of_nothing_but_failures_are_flat_at_zero():
    times = runtimes(score_units(table(made(), made("b", status="error"))))
    assert (ecdf_data(times)["share"] == 0).all()
    assert np.isinf(expected_runtime(times)["ert"]).all()
    assert (anytime_data(score_units(table(made())), "s")["mean"] == 1.0).all()


# --- portfolios --------------------------------------------------------------------------------------------------------


def test_closed_gap_and_marginal_contribution_by_hand():
    """Means: a 0.3, b 0.4, c 0.6. Virtual best: (0.1 + 0.2) / 2. Without a: (0.6 + 0.2) / 2; without b: (0.1 + 0.5) / 2."""
    losses = pd.DataFrame({"a": [0.1, 0.5], "b": [0.6, 0.2], "c": [0.6, 0.6]})
    found = portfolio(losses)
    assert (found.single_best, found.single_best_loss, found.virtual_best_loss) == (
        "a",
        pytest.approx(0.3),
        pytest.approx(0.15),
    )
    by = found.table.set_index("solver")
    assert by["closed_gap"].tolist() == pytest.approx([0.0, -0.1 / 0.15, -0.3 / 0.15])
    assert by["marginal"].tolist() == pytest.approx([0.25, 0.15, 0.0])
    assert by["alone"].tolist() == [0.5, 0.5, 0.0]


def test_a_selector_is_judged_against_the_solvers_it_selects_from():
    losses = pd.DataFrame({"a": [0.0, 0.4], "b": [0.4, 0.0], "moe": [0.1, 0.1]})
    row = portfolio(losses, members=["a", "b"]).table.set_index("solver").loc["moe"]
    assert row["closed_gap"] == pytest.approx(0.5)
    assert np.isnan(row["shapley"])


@settings(deadline=None)
@given(st.integers(1, 5), st.integers(1, 4), st.integers(0, 999))
def test_shapley_values_are_those_of_the_definition(k, n, seed):
    """Average over all orders of joining; sums to what the whole set saves."""
    losses = pd.DataFrame(np.random.default_rng(seed).integers(0, 6, (n, k)) / 5, columns=list("abcde"[:k]))
    found = portfolio(losses).table.set_index("solver")["shapley"]
    L = losses.to_numpy()

    def saved(members):
        return (1.0 - L[:, list(members)].min(axis=1, initial=1.0)).mean()

    for i in range(k):
        orders = itertools.permutations(range(k))
        gains = sum(saved(o[: o.index(i) + 1]) - saved(o[: o.index(i)]) for o in orders)
        assert found.iloc[i] == pytest.approx(gains / factorial(k), abs=1e-12)
    assert found.sum() == pytest.approx(saved(range(k)))


def test_who_is_best_by_less_than_a_tie_is_not_best_alone():
    losses = pd.DataFrame({"a": [0.10, 0.10], "b": [0.11, 0.30]})
    assert portfolio(losses, tolerance=[0.02, 0.02]).table.set_index("solver")["alone"].tolist() == [0.5, 0.0]


def test_portfolios_of_ties_of_one_and_of_nothing():
    same = portfolio(pd.DataFrame({"a": [0.2], "b": [0.2]}))
    assert same.table["closed_gap"].isna().all()
    assert same.table["marginal"].tolist() == [0.0, 0.0]
    assert portfolio(pd.DataFrame({"a": [0.2]})).table["marginal"].tolist() == pytest.approx([0.8])
    for bad in (pd.DataFrame({"a": []}), pd.DataFrame({"a": [np.inf]}), pd.DataFrame()):
        with pytest.raises(OptionError, match="losses"):
            portfolio(bad)
