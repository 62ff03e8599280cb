"""Statistics agree with published examples, with scipy and with sums done by hand."""

from __future__ import annotations

import importlib.util
import itertools
import math
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optisolve.core.errors import OptionError
from optisolve.study.intervals import estimate, mean_interval
from optisolve.study.statistics import (
    cliques,
    friedman,
    holm,
    paired_comparison,
    pairwise_comparisons,
    rank_rows,
)

DEMSAR = pd.DataFrame(
    [
        [0.763, 0.768, 0.771, 0.798],
        [0.599, 0.591, 0.590, 0.569],
        [0.954, 0.971, 0.968, 0.967],
        [0.628, 0.661, 0.654, 0.657],
        [0.882, 0.888, 0.886, 0.898],
        [0.936, 0.931, 0.916, 0.931],
        [0.661, 0.668, 0.609, 0.685],
        [0.583, 0.583, 0.563, 0.625],
        [0.775, 0.838, 0.866, 0.875],
        [1.000, 1.000, 1.000, 1.000],
        [0.940, 0.962, 0.965, 0.962],
        [0.619, 0.666, 0.614, 0.669],
        [0.972, 0.981, 0.97501, 0.975],
        [0.957, 0.978, 0.946, 0.970],
    ],
    columns=["C4.5", "C4.5+m", "C4.5+cf", "C4.5+m+cf"],
)
"""Demšar 2006, JMLR 7, table 6: AUC on 14 data sets (0.975 and 0.975 in the row "voting" have ranks 2 and 3 there)."""

small_numbers = st.lists(st.integers(-4, 4), min_size=1, max_size=9)


# --- intervals ---------------------------------------------------------------------------------------------------------


def simulation():
    """`benchmarks/quality/interval_coverage.py`, which prints the table of docs/statistics.md."""
    path = Path(__file__).parents[2] / "benchmarks" / "quality" / "interval_coverage.py"
    spec = importlib.util.spec_from_file_location("interval_coverage", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def covered(name, n, trials):
    shapes = simulation()
    shape = shapes.SHAPES[name]

    def own(sample, number):
        return mean_interval(sample, within=shape.within, resamples=500, seed=number)

    return shapes.coverage(shape, n, trials, own)


@pytest.mark.parametrize("name", ["normal", "exponential", "Beta(0.3, 2), a loss", "five values, many ties"])
def test_intervals_of_ten_blocks_cover_what_they_say(name):
    """Of 400 samples at least 90 %: below that with probability 0.0001 where coverage is 95 %; BCa had 87 to 92 %."""
    given, held, _ = covered(name, 10, 400)
    assert given > 0.95
    assert held >= 0.90


@pytest.mark.slow
@pytest.mark.parametrize("n", [10, 12, 15, 20, 30, 50])
@pytest.mark.parametrize("name", list(simulation().SHAPES))
def test_intervals_cover_on_every_shape_and_size(name, n):
    """Nominal 95 %; the heaviest tail, a lognormal of sigma 1, has 91 %."""
    given, held, _ = covered(name, n, 4000)
    assert given > 0.8
    assert held >= (0.895 if "lognormal" in name else 0.925)


@given(st.integers(1, 9), st.integers(0, 99))
def test_below_ten_blocks_there_is_no_interval_but_a_range_with_its_number(n, seed):
    values = np.random.default_rng(seed).random(n)
    assert np.isnan(mean_interval(values)).all()
    found = estimate(values)
    assert (found.n, found.least, found.most) == (n, values.min(), values.max())
    words = found.told("{:.3f}".format)
    assert words.endswith(f"n = {n})")
    assert "[" not in words


def test_an_interval_is_told_with_its_number_of_blocks():
    values = np.linspace(0.0, 1.0, 12)
    found = estimate(values, within=(0.0, 1.0))
    assert found.low < 0.5 < found.high
    assert found.told("{:.1f}".format) == f"0.5 [{found.low:.1f}, {found.high:.1f}], n = 12"
    assert estimate([0.25]).told(str) == "0.25 (n = 1)"
    assert np.isnan(estimate([0.1, np.inf]).mean)


def test_an_interval_follows_the_unit_the_seed_and_the_limits():
    values = np.random.default_rng(0).lognormal(size=30)
    low, high = mean_interval(values, seed=1)
    assert mean_interval(values, seed=1) == (low, high) != mean_interval(values, seed=2)
    for factor in (1e-12, 1e12):
        assert mean_interval(factor * values, seed=1) == pytest.approx((factor * low, factor * high), rel=1e-9)
    assert mean_interval(values, seed=1, within=(low + 0.1, high - 0.1)) == (low + 0.1, high - 0.1)
    narrow = mean_interval(values, confidence=0.5)
    assert low < narrow[0] < values.mean() < narrow[1] < high


def test_what_an_interval_cannot_be_made_of_has_none():
    assert np.isnan(mean_interval([2.0] * 20)).all()  # says nothing about spread
    one_failure = [0.0] * 19 + [1.0]
    assert np.isnan(mean_interval(one_failure)).all()
    low, high = mean_interval(one_failure, within=(0.0, 1.0))
    assert 0.0 <= low < 0.05
    assert high == 1.0


@pytest.mark.parametrize("bad", [[], [1.0, np.nan], [1.0, np.inf], [[1.0, 2.0]]])
def test_interval_refuses_what_has_no_mean_and_names_the_field(bad):
    with pytest.raises(OptionError, match="values: got"):
        mean_interval(bad)


# --- paired comparison -------------------------------------------------------------------------------------------------


def test_published_wilcoxon_example_is_reproduced():
    """Demšar 2006, table 2: rank sums 93 and 12 with the two zeros split; Pratt leaves their ranks (1.5 each) out."""
    compared = paired_comparison(DEMSAR["C4.5+m"], DEMSAR["C4.5"])
    assert (compared.wins, compared.ties, compared.losses) == (10, 2, 2)
    assert compared.statistic == 12 - 1.5
    assert compared.rank_biserial == pytest.approx((91.5 - 10.5) / 102)
    assert compared.p_value < 0.05  # the paper's verdict


def test_exact_p_value_of_six_wins_in_six_is_two_in_sixty_four():
    compared = paired_comparison([1, 2, 3, 4, 5, 6], [0, 0, 0, 0, 0, 0])
    assert (compared.p_value, compared.method) == (2 / 64, "exact")
    assert compared.a12 == (36 + 0) / 36
    assert compared.rank_biserial == 1.0


@settings(max_examples=40, deadline=None)
@given(small_numbers)
def test_p_value_with_ties_is_the_share_of_sign_flips_that_are_as_extreme(differences):
    """Every sign flip enumerated by hand, Pratt's ranks."""
    from scipy.stats import rankdata

    d = np.array(differences, dtype=float)
    ranks = rankdata(np.abs(d))
    observed = ranks[d > 0].sum() - ranks[d < 0].sum()
    flips = itertools.product((-1, 1), repeat=d.size)
    share = np.mean([abs((ranks * np.sign(np.abs(d)) * f).sum()) >= abs(observed) - 1e-9 for f in flips])
    assert paired_comparison(d, np.zeros(d.size)).p_value == pytest.approx(share, rel=1e-9)


@pytest.mark.parametrize(("n", "method"), [(7, "exact"), (50, "exact"), (51, "normal")])
def test_p_value_without_ties_is_that_of_scipy(n, method):
    from scipy.stats import wilcoxon

    d = np.random.default_rng(n).normal(0.3, 1.0, n)
    compared = paired_comparison(d, np.zeros(n))
    assert compared.method == method
    assert compared.p_value == pytest.approx(wilcoxon(d, method="exact" if n <= 50 else "approx").pvalue, rel=1e-10)


@settings(max_examples=40, deadline=None)
@given(small_numbers, st.integers(0, 99))
def test_swapping_the_solvers_or_the_sense_mirrors_the_comparison(first, seed):
    a = np.array(first, dtype=float)
    b = np.random.default_rng(seed).integers(-4, 5, a.size).astype(float)
    forth, back, flipped = paired_comparison(a, b), paired_comparison(b, a), paired_comparison(-a, -b, maximize=False)
    assert forth.p_value == pytest.approx(back.p_value) == pytest.approx(flipped.p_value)
    assert (forth.wins, forth.ties, forth.losses) == (back.losses, back.ties, back.wins)
    assert (forth.wins, forth.losses) == (flipped.wins, flipped.losses)
    assert forth.a12 == pytest.approx(1 - back.a12)
    assert forth.rank_biserial == pytest.approx(-back.rank_biserial)
    assert forth.a12 == pytest.approx(flipped.a12)
    assert forth.median_difference == -back.median_difference


def test_effect_size_of_vargha_and_delaney_counts_pairs_by_hand():
    """(2,1): wins against 1, ties 2 with 2 -> pairs (3>1, 3>2, 2>1, 2=2): 3.5 of 4."""
    assert paired_comparison([3, 2], [1, 2]).a12 == 3.5 / 4


def test_failures_coded_as_infinite_gaps_count_as_losses_and_common_failures_as_ties():
    compared = paired_comparison([0.1, 0.2, np.inf, np.inf], [0.2, np.inf, np.inf, 0.1], maximize=False)
    assert (compared.wins, compared.ties, compared.losses) == (2, 1, 1)
    assert compared.p_value == 1.0 or compared.p_value > 0.5
    assert np.isfinite(compared.median_difference)


def test_all_ties_and_differences_within_the_tolerance_are_no_evidence():
    same = paired_comparison([1.0, 2.0], [1.0, 2.0])
    assert (same.p_value, same.method, same.a12, same.rank_biserial) == (1.0, "all tied", 0.5, 0.0)
    near = paired_comparison([1.0, 1.0], [1.0 + 1e-12, 1.0 - 1e-12], tolerance=1e-9)
    assert (near.ties, near.a12, near.p_value) == (2, 0.5, 1.0)
    mixed = paired_comparison([1.0, 1.0], [1.1, 1.1], tolerance=[0.2, 0.01], maximize=False)
    assert (mixed.wins, mixed.ties) == (1, 1)
    with pytest.raises(OptionError, match="tolerance"):
        paired_comparison([1.0, 1.0], [1.1, 1.1], tolerance=[0.2, 0.01, 0.0])


def test_missing_and_unpaired_values_are_refused():
    with pytest.raises(OptionError, match=r"a: got 'NaN'.*worst value"):
        paired_comparison([np.nan], [1.0])
    with pytest.raises(OptionError, match=r"b: got '2 values', expected as many as in a \(1\)"):
        paired_comparison([1.0], [1.0, 2.0])


# --- several solvers ---------------------------------------------------------------------------------------------------


def test_holm_by_hand():
    """0.01*4, 0.02*3, 0.03*2 = 0.06 (not below the one before), 0.5."""
    assert holm([0.03, 0.01, 0.5, 0.02]).tolist() == pytest.approx([0.06, 0.04, 0.5, 0.06])
    assert holm([]).size == 0
    with pytest.raises(OptionError, match="p_values"):
        holm([0.5, np.nan])


@pytest.mark.slow  # statsmodels takes long to import
@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_agrees_with_statsmodels(p_values):
    multitest = pytest.importorskip("statsmodels.stats.multitest", reason="needs statsmodels, which no extra brings")
    assert holm(p_values) == pytest.approx(multitest.multipletests(p_values, method="holm")[1])


def test_published_friedman_example_is_reproduced():
    """Demšar 2006, section 3.2.2: average ranks, chi-square 9.28, F 3.69; the chi-square there ignores ties."""
    result = friedman(DEMSAR)
    ranks = list(result.average_ranks.values())
    assert ranks == pytest.approx([3.143, 2.000, 2.893, 1.964], abs=5e-4)
    untied = 12 * 14 / (4 * 5) * (np.square(ranks).sum() - 4 * 5**2 / 4)
    assert untied == pytest.approx(9.28, abs=0.005)
    assert 13 * untied / (14 * 3 - untied) == pytest.approx(3.69, abs=0.005)
    assert result.statistic > untied  # ties hold less variance, so the corrected statistic is larger


def test_friedman_agrees_with_scipy_with_ties():
    from scipy.stats import friedmanchisquare

    expected = friedmanchisquare(*DEMSAR.to_numpy().T)
    result = friedman(DEMSAR)
    assert (result.statistic, result.p_value) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-12)


def test_friedman_of_ties_unanimity_and_too_little():
    tied = friedman(pd.DataFrame({"a": [1.0, 1.0], "b": [1.0, 1.0]}))
    assert (tied.statistic, tied.p_value) == (0.0, 1.0)
    clear = friedman(pd.DataFrame({"a": [1.0, 5.0], "b": [2.0, 6.0]}), maximize=False)
    assert clear.average_ranks == {"a": 1.0, "b": 2.0}
    assert clear.f_statistic == np.inf
    assert clear.f_p_value == 0.0
    assert math.isnan(friedman(pd.DataFrame({"a": [1.0], "b": [2.0]})).f_p_value)
    with pytest.raises(OptionError, match="at least two solvers"):
        friedman(pd.DataFrame({"a": [1.0, 2.0]}))


def test_common_failures_share_the_last_rank():
    table = pd.DataFrame({"a": [0.1], "b": [np.inf], "c": [np.inf]})
    assert rank_rows(table, maximize=False).iloc[0].tolist() == [1.0, 2.5, 2.5]
    with pytest.raises(OptionError, match="table: got 'NaN'"):
        rank_rows(pd.DataFrame({"a": [np.nan]}))


@given(st.lists(st.lists(st.integers(0, 20), min_size=4, max_size=4), min_size=1, max_size=6), st.integers(0, 6))
def test_ranks_with_a_tolerance_keep_their_sum_and_without_one_are_the_usual(rows, tolerance):
    frame = pd.DataFrame(rows, columns=list("abcd"), dtype=float)
    for maximize in (True, False):
        usual = frame.rank(axis=1, method="average", ascending=not maximize)
        pd.testing.assert_frame_equal(rank_rows(frame, maximize=maximize), usual)
        ranks = rank_rows(frame, maximize=maximize, tolerance=tolerance)
        assert (ranks.sum(axis=1) == 10.0).all()
        close = (frame["a"] - frame["b"]).abs() <= tolerance
        alone = rank_rows(frame[["a", "b"]], maximize=maximize, tolerance=tolerance)
        assert (alone.loc[close, "a"] == alone.loc[close, "b"]).all()


def test_pairs_are_complete_and_adjusted_together():
    pairs = pairwise_comparisons(DEMSAR)
    assert len(pairs) == 6
    assert pairs["p_holm"].to_numpy() == pytest.approx(holm(pairs["p_value"]))
    assert (pairs["p_holm"] >= pairs["p_value"]).all()
    assert pairwise_comparisons(DEMSAR[["C4.5"]]).empty


def test_cliques_join_neighbors_that_do_not_differ_and_no_others():
    ranks = {"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0}
    pairs = pd.DataFrame(
        [("a", "b", 0.9), ("a", "c", 0.01), ("a", "d", 0.01), ("b", "c", 0.5), ("b", "d", 0.2), ("c", "d", 0.6)]
    )
    pairs.columns = ["a", "b", "p_holm"]
    assert cliques(ranks, pairs) == [("a", "b"), ("b", "c", "d")]
    assert cliques(ranks, pairs.assign(p_holm=1.0)) == [("a", "b", "c", "d")]
    assert cliques(ranks, pairs.assign(p_holm=0.0)) == []
    assert cliques({"a": 1.0}, pairs.iloc[:0]) == []


@given(st.lists(st.booleans(), min_size=10, max_size=10))
def test_no_clique_holds_a_significant_pair_and_every_insignificant_neighbors_share_one(significant):
    names = list("abcde")
    pairs = pd.DataFrame(list(itertools.combinations(names, 2)), columns=["a", "b"])
    pairs["p_holm"] = np.where(significant, 0.01, 0.5)
    found = cliques({name: i + 1.0 for i, name in enumerate(names)}, pairs)
    differ = {frozenset(p) for p in pairs.loc[significant, ["a", "b"]].to_numpy().tolist()}
    assert all(frozenset(p) not in differ for group in found for p in itertools.combinations(group, 2))
    for pair in itertools.pairwise(names):
        assert frozenset(pair) in differ or any(set(pair) <= set(group) for group in found)
    assert not any(set(one) < set(other) for one in found for other in found)
