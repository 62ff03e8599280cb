"""Statistics of comparisons: paired tests with effect sizes, Friedman ranks, cliques.

Every function takes plain numbers, works on ties and on infinite values (how a failure on a gap is coded), and refuses NaN,
because a missing result must have been turned into the worst one before it gets here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from optisolve.core.arrays import FloatArray, IntArray
from optisolve.core.errors import FieldProblem, OptionError

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Comparison",
    "FriedmanResult",
    "cliques",
    "friedman",
    "holm",
    "paired_comparison",
    "pairwise_comparisons",
    "rank_rows",
]

_EXACT_PAIRS = 50
"""Largest number of pairs for the exact distribution of Wilcoxon's statistic; 2**50 sign patterns are counted exactly."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two solvers on the same units, seen from the first one.

    Attributes:
        n: Pairs.
        wins: Pairs in which the first is better.
        ties: Pairs without a difference.
        losses: Pairs in which the second is better.
        median_difference: Median of a - b, in the values' own unit and sign; may be infinite.
        statistic: Wilcoxon's smaller rank sum.
        p_value: Two-sided; 1 when every pair is tied.
        method: How the p-value was found: ``exact`` (all sign flips), ``normal`` (approximation) or ``all tied``.
        a12: Vargha and Delaney's probability that the first beats the second in a random pairing, ties half; 0.5 is even.
        rank_biserial: Matched-pairs rank-biserial correlation, in [-1, 1]; positive when the first is better.
    """

    n: int
    wins: int
    ties: int
    losses: int
    median_difference: float
    statistic: float
    p_value: float
    method: str
    a12: float
    rank_biserial: float


@dataclass(frozen=True, slots=True)
class FriedmanResult:
    """Friedman's test of the hypothesis that all solvers are equal.

    Attributes:
        blocks: Number of blocks (problem instances).
        average_ranks: Average rank by solver, 1 is best, in the table's column order.
        statistic: Friedman's chi-square, corrected for ties.
        p_value: From the chi-square distribution with k - 1 degrees of freedom.
        f_statistic: Iman and Davenport's less conservative F; infinite when all blocks rank alike.
        f_p_value: From the F distribution with k - 1 and (k - 1)(n - 1) degrees of freedom; NaN for one block.
    """

    blocks: int
    average_ranks: dict[str, float]
    statistic: float
    p_value: float
    f_statistic: float
    f_p_value: float


def paired_comparison(
    a: npt.ArrayLike, b: npt.ArrayLike, /, *, maximize: bool = True, tolerance: npt.ArrayLike = 0.0
) -> Comparison:
    """Compare two solvers on the same units: Wilcoxon's signed-rank test, counts and effect sizes.

    Pairs without a difference are ranked with the others and then left out of both rank sums (Pratt), so that many ties
    make a small difference less significant instead of vanishing. The p-value is exact up to 50 pairs, ties included;
    beyond that it is the tie-corrected normal approximation.

    Args:
        a: float64 [n], the first solver's values; infinite values code failures, equal infinities are a tie.
        b: float64 [n], the second solver's values on the same units.
        maximize: True when larger is better.
        tolerance: Differences up to this size count as ties; one number, or float64 [n], one per unit.

    Returns:
        The comparison, seen from `a`.

    Raises:
        OptionError: Different lengths, no pair, NaN, or a negative tolerance.

    Source:
        Wilcoxon 1945, doi 10.2307/3001968; Pratt 1959, doi 10.1080/01621459.1959.10501526; Vargha and Delaney 2000,
        doi 10.3102/10769986025002101; Kerby 2014, doi 10.2466/11.IT.3.1 (rank-biserial).
    """
    first, second = _checked("a", a, 1), _checked("b", b, 1)
    _require(first.size == second.size, "b", f"{second.size} values", f"as many as in a ({first.size}), one per shared unit")
    quiet = _tolerance(tolerance, first.size)
    difference = _difference(first, second)
    difference = np.where(np.abs(difference) <= quiet, 0.0, difference)
    benefit = difference if maximize else -difference
    ranks = _pratt_ranks(benefit)
    positive, negative = float(ranks[benefit > 0].sum()), float(ranks[benefit < 0].sum())
    p_value, method = _wilcoxon_p(benefit)
    return Comparison(
        n=first.size,
        wins=int((benefit > 0).sum()),
        ties=int((benefit == 0).sum()),
        losses=int((benefit < 0).sum()),
        median_difference=_median(difference),
        statistic=min(positive, negative),
        p_value=p_value,
        method=method,
        a12=_a12(first, second, maximize, quiet),
        rank_biserial=(positive - negative) / (positive + negative) if positive + negative else 0.0,
    )


def pairwise_comparisons(table: pd.DataFrame, /, *, maximize: bool = True, tolerance: npt.ArrayLike = 0.0) -> pd.DataFrame:
    """Compare every pair of solvers and adjust the p-values for the number of pairs (Holm).

    Args:
        table: float64 [n blocks, k solvers], complete; columns are solvers.
        maximize: True when larger is better.
        tolerance: Differences up to this size count as ties; one number, or float64 [n blocks].

    Returns:
        A row per pair: ``a``, ``b``, the fields of `Comparison`, and ``p_holm``; empty for one solver.

    Raises:
        OptionError: An empty table or NaN in it.

    Source:
        Wilcoxon with Holm's correction rather than Nemenyi's test, whose verdict on two solvers depends on which
        others are in the table: Benavoli, Corani and Mangili 2016, JMLR 17(5).
    """
    import pandas as pd

    values = _checked("table", table, 2)
    rows = [
        (a, b, *astuple(paired_comparison(values[:, i], values[:, j], maximize=maximize, tolerance=tolerance)))
        for (i, a), (j, b) in combinations(enumerate(map(str, table.columns)), 2)
    ]
    frame = pd.DataFrame(rows, columns=["a", "b", *Comparison.__slots__])
    return frame.assign(p_holm=holm(frame["p_value"]))


def holm(p_values: npt.ArrayLike, /) -> FloatArray:
    """Holm's step-down adjustment: compare the result with alpha to control the family-wise error.

    Args:
        p_values: float64 [m], in [0, 1]; m may be 0.

    Returns:
        float64 [m], adjusted, in the given order.

    Raises:
        OptionError: NaN or a value outside [0, 1].

    Source:
        Holm 1979, Scandinavian Journal of Statistics 6, 65-70.
    """
    p = np.atleast_1d(np.asarray(p_values, dtype=np.float64))
    _require(bool(((p >= 0.0) & (p <= 1.0)).all()), "p_values", "a value outside [0, 1] or NaN", "p-values in [0, 1]")
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1)))
    return adjusted


def rank_rows(table: pd.DataFrame, /, *, maximize: bool = True, tolerance: npt.ArrayLike = 0.0) -> pd.DataFrame:
    """Rank the solvers of every block, 1 is best, ties share their average rank.

    A rank is 1 + the number of better solvers + half the number of tied ones. Without a tolerance that is the usual average
    rank; with one it needs no order among values of which neighbors tie and the ends do not.

    Args:
        table: float64 [n blocks, k solvers]; columns are solvers.
        maximize: True when larger is better.
        tolerance: Differences up to this size count as ties; one number, or float64 [n blocks].

    Returns:
        Ranks, same shape and labels; every row sums to k (k + 1) / 2.

    Raises:
        OptionError: An empty table or NaN in it.
    """
    import pandas as pd

    values = _checked("table", table, 2)
    quiet = _tolerance(tolerance, values.shape[0])
    ranks = np.empty_like(values)
    for i, row in enumerate(values if maximize else -values):
        lead = _difference(row[:, None], row[None, :])  # [k, k], how far the first is ahead of the second
        ranks[i] = 0.5 + (lead < -quiet[i]).sum(axis=1) + 0.5 * (np.abs(lead) <= quiet[i]).sum(axis=1)  # itself is a tie
    return pd.DataFrame(ranks, index=table.index, columns=table.columns)


def friedman(table: pd.DataFrame, /, *, maximize: bool = True, tolerance: npt.ArrayLike = 0.0) -> FriedmanResult:
    """Average ranks over blocks, and whether the solvers differ at all.

    Args:
        table: float64 [n blocks, k solvers], k >= 2; columns are solvers.
        maximize: True when larger is better.
        tolerance: As in `rank_rows`.

    Returns:
        Ranks, Friedman's chi-square with its correction for ties, and Iman and Davenport's F. A table of ties only
        gives statistic 0 and p-value 1.

    Raises:
        OptionError: Fewer than two solvers, an empty table, or NaN in it.

    Source:
        Friedman 1937, doi 10.1080/01621459.1937.10503522; Iman and Davenport 1980,
        doi 10.1080/03610928008827904; as recommended by Demšar 2006, JMLR 7, 1-30.
    """
    from scipy.stats import chi2, f

    ranks = rank_rows(table, maximize=maximize, tolerance=tolerance)
    n, k = ranks.shape
    _require(k >= 2, "table", f"{k} solver", "at least two solvers (columns)")
    R = ranks.to_numpy(dtype=np.float64)  # [n, k]
    spread = float(((R - (k + 1) / 2) ** 2).sum()) / (k - 1)  # n k (k + 1) / 12 without ties
    between = float(((R.sum(axis=0) - n * (k + 1) / 2) ** 2).sum())
    statistic = between / spread if spread else 0.0
    rest = n * (k - 1) - statistic
    f_statistic = (n - 1) * statistic / rest if rest > 1e-9 else float("inf")
    degrees = (k - 1, (k - 1) * (n - 1))
    return FriedmanResult(
        blocks=n,
        average_ranks={str(name): float(value) for name, value in zip(ranks.columns, R.mean(axis=0), strict=True)},
        statistic=statistic,
        p_value=float(chi2.sf(statistic, k - 1)),
        f_statistic=f_statistic if n > 1 else float("nan"),
        f_p_value=float(f.sf(f_statistic, *degrees)) if n > 1 else float("nan"),
    )


def cliques(average_ranks: Mapping[str, float], pairs: pd.DataFrame, /, *, alpha: float = 0.05) -> list[tuple[str, ...]]:
    """Groups of neighbors in rank of which no two differ significantly: the bars of a critical-difference diagram.

    Args:
        average_ranks: Average rank by solver, 1 is best.
        pairs: From `pairwise_comparisons`.
        alpha: Family-wise error rate.

    Returns:
        Maximal groups of two or more solvers, each ordered by rank. A bar joins neighbors only, so a pair that is not
        significant stays unjoined when a solver between them differs from one of them.

    Source:
        Demšar 2006, JMLR 7 (the diagram); Benavoli, Corani and Mangili 2016, JMLR 17(5) (Wilcoxon-Holm instead of
        Nemenyi).
    """
    names = sorted(average_ranks, key=lambda name: (average_ranks[name], name))
    different = {frozenset((a, b)) for a, b, p in zip(pairs["a"], pairs["b"], pairs["p_holm"], strict=True) if p < alpha}
    found: list[tuple[str, ...]] = []
    last = 0
    for start in range(len(names)):
        stop = start + 1
        while stop < len(names) and not any(frozenset((names[stop], n)) in different for n in names[start:stop]):
            stop += 1
        if stop - start > 1 and stop > last:  # otherwise inside the group before
            found.append(tuple(names[start:stop]))
            last = stop
    return found


def _wilcoxon_p(benefit: FloatArray) -> tuple[float, str]:
    """Two-sided p-value and how it was found."""
    from scipy.stats import wilcoxon

    if not benefit.any():
        return 1.0, "all tied"
    if benefit.size > _EXACT_PAIRS:
        return float(wilcoxon(benefit, zero_method="pratt", method="approx").pvalue), "normal"
    doubled = np.rint(2.0 * _pratt_ranks(benefit)).astype(np.int64)  # averaged ranks are multiples of a half
    doubled = np.where(benefit == 0.0, 0, doubled)
    return _signed_rank_tail(doubled, int(doubled[benefit > 0].sum())), "exact"


def _signed_rank_tail(ranks: IntArray, positive: int) -> float:
    """Two-sided tail of the sum of randomly signed ranks, ties or not; scipy's exact distribution excludes ties.

    Args:
        ranks: int64 [n], n <= 50, so that the 2**n sign patterns are counted without rounding.
        positive: Observed sum of the positive ranks.

    Source:
        Streitberg and Röhmel 1986 (shift algorithm), Statistical Software Newsletter 12, 10-17.
    """
    ways = np.zeros(int(ranks.sum()) + 1)  # sign patterns by the sum of their positive ranks
    ways[0] = 1.0
    for rank in ranks:
        shifted = ways.copy()
        shifted[rank:] += ways[: ways.size - rank]
        ways = shifted
    tail = min(ways[: positive + 1].sum(), ways[positive:].sum())
    return float(min(1.0, 2.0 * tail / ways.sum()))


def _pratt_ranks(benefit: FloatArray) -> FloatArray:
    """Ranks of the absolute differences, zeros included, ties averaged; what differs by rounding is a tie."""
    from scipy.stats import rankdata

    size = np.abs(benefit)
    largest = size.max(initial=0.0, where=np.isfinite(size))
    ranks: FloatArray = rankdata(np.round(size / largest, 12) if largest > 0.0 else size)
    return ranks


def _a12(first: FloatArray, second: FloatArray, maximize: bool, tolerance: FloatArray) -> float:
    gap = _difference(first[:, None], second[None, :])  # [n, n]
    quiet = np.maximum(tolerance[:, None], tolerance[None, :])
    better = gap > quiet if maximize else gap < -quiet
    return float(better.mean() + 0.5 * (np.abs(gap) <= quiet).mean())


def _tolerance(tolerance: npt.ArrayLike, n: int) -> FloatArray:
    """One tolerance per block, float64 [n]."""
    given = np.asarray(tolerance, dtype=np.float64)
    _require(
        given.shape in ((), (n,)) and bool((given >= 0.0).all()), "tolerance", given.tolist(), f"a number >= 0, or {n} of them"
    )
    return np.broadcast_to(given, (n,))


def _difference(first: FloatArray, second: FloatArray) -> FloatArray:
    """first - second, with 0 for two equal infinities."""
    with np.errstate(invalid="ignore"):
        gap: FloatArray = np.where(first == second, 0.0, first - second)
    return gap


def _median(values: FloatArray) -> float:
    """Median that survives infinities of both signs in the middle (their mean is taken as 0)."""
    ordered = np.sort(values)
    low, high = ordered[(ordered.size - 1) // 2], ordered[ordered.size // 2]
    return 0.0 if low == -np.inf and high == np.inf else float(0.5 * (low + high))


def _checked(name: str, values: npt.ArrayLike, dimensions: int) -> FloatArray:
    array = np.asarray(values, dtype=np.float64)
    expected = "a table of at least one block (row) and solver (column)" if dimensions > 1 else "at least one value in a row"
    _require(array.ndim == dimensions and array.size > 0, name, f"shape {array.shape}", expected)
    _require(not bool(np.isnan(array).any()), name, "NaN", "numbers, nothing missing; a failure is the worst value, never NaN")
    return array


def _require(holds: bool, field: str, given: object, expected: str) -> None:
    if not holds:
        raise OptionError("The statistics' input", [FieldProblem(field, given, expected)])
