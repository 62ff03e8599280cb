"""Whether a scenario tells solvers apart: what admits it to a track of the leaderboard, judged from a finished run of a suite.

A scenario whose trivial answers, or whose random points, are as good as anything, says nothing about a solver, and instances
that are all the same say it once however many there are. The rules look at nothing but the suite's own records: its instances,
its budgets, its solvers, and the loss that every other table shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from optisolve.numerics.indicators import GAP_NOISE
from optisolve.run.schema import Record
from optisolve.study.aggregate import Ranking, ranking
from optisolve.study.loss import aim_of
from optisolve.study.scored import ScoredUnits, score_units
from optisolve.study.statistics import paired_comparison

if TYPE_CHECKING:
    import pandas as pd

    from optisolve.study.suite import Case, Suite

__all__ = ["ALPHA", "NULL_LOSES", "RANDOM_LOSES", "Trial", "Verdict", "judge"]

NULL_LOSES = 0.05
"""Mean loss that the best trivial answer has at least."""

RANDOM_LOSES = 0.10
"""Mean loss that random search has at least, at the suite's budget."""

ALPHA = 0.05
"""Level of the one paired test of a scenario: the best against the median solver."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one scenario.

    Attributes:
        case: The problem's label within the suite.
        instances: How many its solvers have run on; below ten its tables print points, not intervals.
        null: Mean loss of the best trivial answer; None without one.
        random: Mean loss of random search; None without one.
        best: (solver, mean loss) of the first by average rank; None where nothing is ranked.
        median: The same of the solver in the middle.
        p_value: Of the paired test between the two over the instances; None without two solvers.
        null_place: Where the trivial answers stand among the solvers, 0 first and 1 last; None where they are not ranked.
        refused: The rules that it fails, in words; none when it is admitted.
        excepted: Why the suite keeps it all the same, "" when it says nothing.
    """

    case: str
    instances: int
    null: float | None
    random: float | None
    best: tuple[str, float] | None
    median: tuple[str, float] | None
    p_value: float | None
    null_place: float | None
    refused: tuple[str, ...]
    excepted: str

    @property
    def admitted(self) -> bool:
        """It passes every rule, or the suite says why it may stay."""
        return not self.refused or bool(self.excepted)


@dataclass(frozen=True, slots=True)
class Trial:
    """Verdicts on a suite.

    Attributes:
        verdicts: One per problem, in the suite's order.
    """

    verdicts: tuple[Verdict, ...]

    @property
    def null_place(self) -> float | None:
        """Mean place of the trivial answers, 0 first and 1 last; None where no problem ranks them.

        Problem by problem, since the solvers that fit one are not those that fit another.
        """
        places = [verdict.null_place for verdict in self.verdicts if verdict.null_place is not None]
        return float(np.mean(places)) if places else None

    @property
    def null_below_median(self) -> bool:
        """On the whole the trivial answers stand in the lower half of the solvers."""
        return self.null_place is not None and self.null_place > 0.5

    @property
    def passed(self) -> bool:
        """Every scenario is admitted and the trivial answers are below the median."""
        return self.null_below_median and all(verdict.admitted for verdict in self.verdicts)


def judge(suite: Suite, records: Iterable[Record]) -> Trial:
    """Judge every scenario of a suite by the records of a run.

    Args:
        suite: The suite.
        records: Its records, as of `SuiteRun.records`; a part of the suite is judged by what was run.

    Returns:
        The verdicts. A scenario is refused when the best trivial answer loses less than 5 %, random search less than 10 %,
        the best and the median solver by average rank do not differ (Wilcoxon's paired test over instances, 5 %), or its
        instances are alike: the same data, or one reference value and trivial answers that are worth the same.

    Raises:
        RecordError: No record.
    """
    import pandas as pd

    units = score_units(pd.DataFrame({"record": list(records)}))
    labels = {kind: {cell.label for cell in suite.cells if cell.solver.info.name == kind} for kind in _CONTROLS}
    known = units.scenarios()
    return Trial(tuple(_verdict(units, case, labels) for case in suite.cases if case.label in known))


_CONTROLS = ("null", "random_search")

_End = tuple[str, float]
"""A solver and its mean loss."""


def _verdict(units: ScoredUnits, case: Case, labels: dict[str, set[str]]) -> Verdict:
    frame = units.frame[units.frame["scenario"] == case.label]
    null, random = (_control(frame, labels[kind]) for kind in _CONTROLS)
    ranked = ranking(units, [case.label])
    best, median, p_value = _ends(ranked)
    instances = int(frame["instance"].nunique())
    refused = [
        *_loses("null", null, NULL_LOSES),
        *_loses("random search", random, RANDOM_LOSES),
        *_differ(best, median, p_value, instances),
        *_alike(frame, labels["null"]),
    ]
    if not units.measures[case.label].has_loss:
        refused = ["no loss: its records have no common reference"]
    place = _place(ranked, labels["null"])
    return Verdict(case.label, instances, null, random, best, median, p_value, place, tuple(refused), case.admit)


def _control(frame: pd.DataFrame, solvers: set[str]) -> float | None:
    """Mean loss over instances of the best of some solvers; None without one."""
    own = frame[frame["solver"].isin(solvers) & frame["loss"].notna()]
    if own.empty:
        return None
    means = own.groupby(["solver", "instance"])["loss"].mean().groupby("solver").mean()
    return float(means.min())


def _loses(who: str, loss: float | None, least: float) -> list[str]:
    if loss is None:
        return [f"no run of {who}"]
    return [f"{who} loses {loss:.1%} < {least:.0%}"] if loss < least else []


def _ends(ranked: Ranking) -> tuple[_End | None, _End | None, float | None]:
    """The best and the median solver by average rank, with the p-value of the paired test between them."""
    table, blocks = ranked.table, ranked.blocks
    if len(table) < 2:
        return None, None, None
    ends = [table.iloc[i] for i in (0, len(table) // 2)]
    a, b = (blocks.table[row["solver"]].to_numpy(dtype=np.float64) for row in ends)
    test = paired_comparison(a, b, maximize=False, tolerance=blocks.tolerance)
    best, median = ((str(row["solver"]), float(row["mean"])) for row in ends)
    return best, median, float(test.p_value)


def _place(ranked: Ranking, nulls: set[str]) -> float | None:
    """Average rank of the trivial answers, 0 first and 1 last."""
    own = ranked.table[ranked.table["solver"].isin(nulls)]["average_rank"]
    return float(own.min() - 1.0) / (len(ranked.table) - 1) if len(own) and len(ranked.table) > 1 else None


def _differ(best: _End | None, median: _End | None, p_value: float | None, instances: int) -> list[str]:
    if best is None or median is None or p_value is None:
        return ["fewer than two solvers"]
    if p_value < ALPHA:
        return []
    few = f" ({instances} instances, a test needs 6)" if instances < 6 else ""  # two-sided, 2 / 2^5 is above 5 %
    return [f"best {best[0]} and median {median[0]} do not differ, p = {p_value:.2g}{few}"]


def _alike(frame: pd.DataFrame, nulls: set[str]) -> list[str]:
    """Instances that are one: the same data; or one reference, and trivial answers that are worth the same everywhere.

    A front that is shifted with its instance has one hypervolume, yet a point fixed beforehand is at another distance from it
    on each: such instances differ.
    """
    rows = frame[frame["record"].notna()]
    records: Sequence[Record] = rows["record"].tolist()
    data = {record.instance.sha256 for record in records}
    if len(data) < 2:
        return ["one instance" if frame["instance"].nunique() < 2 else "instances are alike: the same data"]
    several = len(records[0].verified.objectives) > 1
    own = rows.loc[rows["solver"].isin(nulls), "igd_plus" if several else "objective"]  # unlike a loss not cut off at 1
    if _same([aim_of(record) for record in records]) and not own.empty and _same(own.tolist()):
        return ["instances are alike: one reference value, and trivial answers worth the same"]
    return []


def _same(values: Sequence[float]) -> bool:
    numbers = np.asarray(values, dtype=np.float64)
    return bool(np.allclose(numbers, numbers[0], rtol=GAP_NOISE, atol=0.0, equal_nan=True))
