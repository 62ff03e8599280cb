"""Tables of the comparison by budgets, in Markdown, from the file of results alone; with the targets and whether they are met.

Pairs are the runs of two solvers on the same instance with the same run seed. Tests are Wilcoxon's, two-sided, with Holm's
correction over all tests of one table. Runs on one instance are not independent, so intervals are over instances' means.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from budget_runs.cases import ENTRANTS, FEW, FUNCTIONS, UAV
from optisolve.core.arrays import FloatArray
from optisolve.study.intervals import estimate
from optisolve.study.statistics import Comparison, holm, paired_comparison

__all__ = ["BRIEF", "TABLES", "curves"]

ALPHA = 0.05
CHAIN, SAME_START, SURROGATE = "moe", "moead_de init=auto", "parego"
SLOPES = "front_descent"
"""Looks at slopes in closed form, which no other solver but the chain does."""
LEDMA = ("ledma llm=none", "ledma llm=surrogate")
CONTROLS = ("null", "random_search", "ddpm_null")
POPULATION = (
    "nsga2",
    "nsga3",
    "sms_emoa",
    "moead",
    "moead_lo",
    "moead_de",
    "moead_de init=auto",
    "ledma init=uniform",
    *LEDMA,
)
JOINED = (SAME_START, SLOPES, SURROGATE, *LEDMA)
"""They begin with null answers and the sampler's points, as the chain does: two of its stages joined."""
PEERS = tuple(entrant.label for entrant in ENTRANTS if entrant.peer)
BRIEF = ("random_search", "moead_de", "ddpm", "front_descent", "moe")
"""Solvers of README's table."""
DRAWN = (
    "null",
    "random_search",
    "moead_de",
    "parego init=uniform",
    "ddpm",
    "moead_de init=auto",
    "front_descent",
    LEDMA[1],
    "moe",
)
"""Solvers of the figure."""
AIMS = dict(zip(UAV, (0.59, 0.60, 0.61, 0.615, 0.625, 0.63, 0.645), strict=True))
"""Mean hypervolume that the chain was to reach on uav_isac."""
NOTHING = "*Not measured yet: `python benchmarks/quality/budgets.py` does it.*"


@dataclass(frozen=True, slots=True)
class Pairing:
    """One solver beside another at one budget on one problem.

    Attributes:
        problem, evaluations, ours, other: What is compared.
        comparison: Counts and p-value before correction.
        gain: Mean difference, ours minus other, with its interval over instances where there are enough of them.
        means: Mean hypervolume of ours and of the other, on the pairs.
        seconds: Median processor time of both.
        p: After Holm's correction over the table.
    """

    problem: str
    evaluations: int
    ours: str
    other: str
    comparison: Comparison
    gain: str
    means: tuple[float, float]
    seconds: tuple[float, float]
    p: float = 1.0

    @property
    def verdict(self) -> str:
        """``better`` or ``worse`` where the difference is significant, else ``undecided``."""
        if self.p >= ALPHA:
            return "undecided"
        return "better" if self.comparison.rank_biserial > 0.0 else "worse"


def pairings(frame: pd.DataFrame, cells: Iterable[tuple[str, int]], ours: str, others: Sequence[str]) -> list[Pairing]:
    """Every comparison that has pairs, p-values corrected over all of them.

    Args:
        frame: The results.
        cells: Problems and budgets.
        ours: Label.
        others: Labels.
    """
    by_cell = dict(iter(frame.groupby(["problem", "evaluations", "solver"])))
    found = [
        _pairing(problem, evaluations, ours, other, both)
        for problem, evaluations in cells
        for other in others
        if not (both := _paired(by_cell, problem, evaluations, ours, other)).empty
    ]
    adjusted = holm([item.comparison.p_value for item in found])
    return [replace(item, p=float(p)) for item, p in zip(found, adjusted, strict=True)]


def _paired(
    by_cell: Mapping[tuple[str, int, str], pd.DataFrame], problem: str, evaluations: int, ours: str, other: str
) -> pd.DataFrame:
    """Hypervolume and seconds of two solvers by instance and seed, on the pairs that both have."""
    found = [by_cell.get((problem, evaluations, label)) for label in (ours, other)]
    if any(own is None for own in found):
        return pd.DataFrame()
    left, right = (own.set_index(["instance", "seed"])[["hypervolume", "seconds"]].astype(np.float64) for own in found)
    return left.join(right.add_suffix("_other"), how="inner").sort_index()


def _pairing(problem: str, evaluations: int, ours: str, other: str, both: pd.DataFrame) -> Pairing:
    a, b = both["hypervolume"].to_numpy(np.float64), both["hypervolume_other"].to_numpy(np.float64)
    block = "instance" if both.index.unique("instance").size > 1 else "seed"  # designs have one instance
    gains = (both["hypervolume"] - both["hypervolume_other"]).groupby(level=block).mean()
    return Pairing(
        problem,
        evaluations,
        ours,
        other,
        paired_comparison(a, b),
        _interval(gains.to_numpy(np.float64)),
        (float(a.mean()), float(b.mean())),
        (float(both["seconds"].median()), float(both["seconds_other"].median())),
    )


# -- the tables --------------------------------------------------------------------------------------------------------


def means(frame: pd.DataFrame, labels: Sequence[str] = ()) -> str:
    """Mean hypervolume on uav_isac by solver and budget; the largest of a column in bold, peers with their few pairs apart."""
    own = frame[frame["problem"] == "uav_isac"]
    names = [name for name in labels or [e.label for e in ENTRANTS] if name in set(own["solver"])]
    if not names:
        return NOTHING
    grouped = own.groupby(["solver", "evaluations"])["hypervolume"]
    mean, count = grouped.mean(), grouped.count()
    lines = _head("solver", *(f"{n:,}" for n in UAV))
    full = {n: max(int(count.get((name, n), 0)) for name in names) for n in UAV}
    best = {n: max(mean.get((name, n), -1.0) for name in names if count.get((name, n), 0) == full[n]) for n in UAV}
    for name in names:
        cells = []
        for n in UAV:
            value, runs = mean.get((name, n)), int(count.get((name, n), 0))
            few = "" if runs == full[n] else f" ({runs})"
            cells.append("" if value is None else f"**{_short(value)}**" if value == best[n] else f"{_short(value)}{few}")
        lines.append(_line(f"`{name}`", *cells))
    return "\n".join(lines if labels else [*lines, "", _pairs(own)])


def brief(frame: pd.DataFrame) -> str:
    """README's table: some solvers of `means`."""
    return means(frame, BRIEF)


def chain(frame: pd.DataFrame) -> str:
    """`moe` on uav_isac beside the best single solver of every budget, with the targets."""
    measured = set(frame["solver"])
    others = [e.label for e in ENTRANTS if e.label != CHAIN and e.label in measured]
    found = pairings(frame, [("uav_isac", n) for n in UAV], CHAIN, others)
    if not found:
        return NOTHING
    lines = _head(
        "evaluations", "`moe`", "target", "best single solver", "its mean", "`moe` minus it", "wins, losses", "p (Holm)", ""
    )
    won, beaten, alone, lost = [], [], [], []
    for n in UAV:
        here = [item for item in found if item.evaluations == n and item.other not in PEERS]
        if not here:
            continue
        best = max(here, key=lambda item: item.means[1])
        blind = max((item for item in here if SLOPES not in item.other), key=lambda item: item.means[1], default=best)
        own = max((item for item in here if item.other not in JOINED), key=lambda item: item.means[1], default=best)
        won += [n] if best.verdict == "better" else []
        beaten += [n] if blind.verdict == "better" else []
        alone += [n] if own.verdict == "better" else []
        lost += [f"`{item.other}` at {n:,}" for item in found if item.evaluations == n and item.verdict == "worse"]
        reached = best.means[0]
        aim = f"≥ {_short(AIMS[n])}: {'met' if round(reached, 3) >= AIMS[n] else 'missed'}"
        lines.append(_line(f"{n:,}", _short(reached), aim, f"`{best.other}`", _short(best.means[1]), *_told(best)))
    worse = ", ".join(lost) or "none"
    told = [
        f"Significantly better than the best single solver at {len(won)} of {len(UAV)} budgets (target: 4 or more); "
        f"significantly worse than a single solver at {worse} (target: none).",
        f"`{SLOPES}` is the chain's last stage, begun with the chain's first ones. Than the best solver that begins with "
        f"points of its own (`ddpm`, or any other from uniform points) the chain is better at {len(alone)} of {len(UAV)}, than "
        f"the best one that looks at no slopes at {len(beaten)}.",
    ]
    return "\n".join([*lines, "", *told])


def same_start(frame: pd.DataFrame) -> str:
    """`ledma` beside `moead_de` from the same points."""
    found = [item for ours in LEDMA for item in pairings(frame, [("uav_isac", n) for n in UAV], ours, [SAME_START])]
    if not found:
        return NOTHING
    lines = _head("", "evaluations", "mean", f"`{SAME_START}`", "difference", "wins, losses", "p (Holm)", "", "target")
    for item in found:
        wanted = item.evaluations in (1000, 5000)
        met = item.verdict == "better" if wanted else item.verdict != "worse"
        aim = f"{'better' if wanted else 'not worse'}: {'met' if met else 'missed'}"
        lines.append(_line(f"`{item.ours}`", f"{item.evaluations:,}", *map(_short, item.means), *_told(item), aim))
    return "\n".join(lines)


def functions(frame: pd.DataFrame) -> str:
    """`parego` and `moe` beside the population solvers on problems without weights."""
    cells = [(problem, n) for problem in FUNCTIONS for n in FEW]
    tested = {ours: pairings(frame, cells, ours, [p for p in POPULATION if p != ours]) for ours in (SURROGATE, CHAIN)}
    if not tested[SURROGATE]:
        return NOTHING
    lines = _head(
        "problem", "evaluations", "`null`", "`random_search`", "best population solver", "its mean",
        "`parego`", "better, undecided, worse", "`moe`", "better, undecided, worse",
    )  # fmt: skip
    for problem, n in cells:
        own = [item for item in tested[SURROGATE] if (item.problem, item.evaluations) == (problem, n)]
        if not own:
            continue
        best = max(own, key=lambda item: item.means[1])
        row = [
            problem,
            f"{n}",
            *(_mean(frame, problem, n, label) for label in CONTROLS[:2]),
            f"`{best.other}`",
            _short(best.means[1]),
        ]
        for ours in (SURROGATE, CHAIN):
            here = [item for item in tested[ours] if (item.problem, item.evaluations) == (problem, n)]
            row += [_mean(frame, problem, n, ours), _counts(here)]
        lines.append(_line(*row))
    told = [
        f"`{ours}`: better in {_share(items, 'better')} tests, undecided in {_share(items, 'undecided')}, worse in "
        f"{_share(items, 'worse')} (target: better in all)."
        for ours, items in tested.items()
        if items
    ]
    return "\n".join([*lines, "", *told, _pairs(frame[frame["problem"].isin(list(FUNCTIONS))])])


def peers(frame: pd.DataFrame) -> str:
    """`moe` and `parego` beside the packages of others; those got few pairs, so the pairs of all problems stand in one test."""
    problems = ("uav_isac", *FUNCTIONS)
    pooled = frame.assign(
        instance=frame["problem"] + frame["instance"].astype(str), problem=frame["problem"].isin(problems).map({True: "all"})
    )
    found = pairings(pooled, [("all", n) for n in FEW], CHAIN, PEERS) + pairings(
        pooled, [("all", n) for n in FEW], SURROGATE, PEERS
    )
    if not found:
        return NOTHING
    lines = _head(
        "peer", "evaluations", "beside", "pairs", "gain, mean over problems", "wins, losses", "p (Holm)", "",
        "processor time, s", "the peer's",
    )  # fmt: skip
    for item in sorted(found, key=lambda item: (PEERS.index(item.other), item.evaluations)):
        own, other = item.seconds
        lines.append(
            _line(
                f"`{item.other}`",
                f"{item.evaluations}",
                f"`{item.ours}`",
                f"{item.comparison.n}",
                *_told(item),
                _time(own),
                _time(other),
            )
        )
    worse = [f"`{item.other}` at {item.evaluations}" for item in found if item.ours == CHAIN and item.verdict == "worse"]
    slow = [
        f"{item.evaluations} beside `{item.other}`"
        for item in found
        if item.ours == CHAIN and item.other != "optuna_tpe" and item.seconds[0] > 0.1 * item.seconds[1]
    ]
    told = f"`moe` is significantly worse than {', '.join(worse) or 'no peer'} (target: none)"
    told += f"; it takes more than a tenth of the processor time at {', '.join(slow) or 'no budget'} (target: none)."
    return "\n".join([*lines, "", told])


def seconds(frame: pd.DataFrame) -> str:
    """Median processor time of a run on uav_isac, s."""
    own = frame[frame["problem"] == "uav_isac"]
    if own.empty:
        return NOTHING
    median = own.groupby(["solver", "evaluations"])["seconds"].median()
    lines = _head("solver", *(f"{n:,}" for n in UAV))
    for name in (e.label for e in ENTRANTS if e.label in set(own["solver"])):
        lines.append(_line(f"`{name}`", *(_time(median.get((name, n))) for n in UAV)))
    return "\n".join(lines)


TABLES: Mapping[str, Callable[[pd.DataFrame], str]] = {
    "budget means": means,
    "budget chain": chain,
    "budget start": same_start,
    "budget functions": functions,
    "budget peers": peers,
    "budget seconds": seconds,
}
"""By the name that stands in the marks of docs/budgets.md."""


def curves(frame: pd.DataFrame, labels: Sequence[str] = DRAWN) -> pd.DataFrame:
    """Median and quartiles over the runs on uav_isac: ``solver``, ``evaluations``, ``low``, ``median``, ``high``."""
    own = frame[(frame["problem"] == "uav_isac") & frame["solver"].isin(labels)]
    shares = own.groupby(["solver", "evaluations"])["hypervolume"].quantile(np.array([0.25, 0.5, 0.75])).unstack()
    drawn = shares.set_axis(["low", "median", "high"], axis=1).reset_index()
    return drawn.sort_values("solver", key=lambda names: names.map(labels.index), kind="stable", ignore_index=True)


# -- cells -------------------------------------------------------------------------------------------------------------


def _pairs(frame: pd.DataFrame) -> str:
    """How many pairs of instance and run seed most solvers have."""
    counts = sorted(
        set(frame.groupby(["problem", "evaluations"])[["instance", "seed"]].apply(lambda own: len(own.drop_duplicates())))
    )
    return f"Pairs of instance and run seed: {' to '.join(map(str, counts[:: max(1, len(counts) - 1)]))}."


def _head(*names: str) -> list[str]:
    return [_line(*names), "|" + "---|" * len(names)]


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _short(value: float) -> str:
    return f"{value:.3f}".removeprefix("0")


def _told(item: Pairing) -> tuple[str, str, str, str]:
    p = "< .0001" if item.p < 1e-4 else f"{item.p:.4f}".removeprefix("0")
    return item.gain, f"{item.comparison.wins}, {item.comparison.losses}", p, item.verdict


def _interval(gains: FloatArray) -> str:
    """Mean with its 95 % interval, or with the range where there are too few blocks for one."""
    told = estimate(gains)
    low, high, words = (told.least, told.most, " to ") if np.isnan(told.low) else (told.low, told.high, ", ")
    return f"{told.mean:+.4f} [{low:+.4f}{words}{high:+.4f}]"


def _counts(items: Sequence[Pairing]) -> str:
    return ", ".join(str(sum(item.verdict == word for item in items)) for word in ("better", "undecided", "worse"))


def _share(items: Sequence[Pairing], word: str) -> str:
    return f"{sum(item.verdict == word for item in items)} of {len(items)}"


def _mean(frame: pd.DataFrame, problem: str, evaluations: int, label: str) -> str:
    own = frame[(frame["problem"] == problem) & (frame["evaluations"] == evaluations) & (frame["solver"] == label)]
    return _short(float(own["hypervolume"].mean())) if len(own) else ""


def _time(value: float | None) -> str:
    return "" if value is None else f"{value:.2g}" if value < 10 else f"{value:.0f}"
