"""The tables of a report, once: as texts for people (HTML, LaTeX) and as data for machines (CSV)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from optisolve.study.aggregate import (
    Ranking,
    control_table,
    cost_table,
    failure_table,
    indicator_table,
    scenario_table,
    success_table,
)
from optisolve.study.intervals import MIN_BLOCKS, Estimate
from optisolve.study.portfolio import Portfolio
from optisolve.study.profiles import expected_runtime
from optisolve.study.scored import Outcome

if TYPE_CHECKING:
    from optisolve.study.scored import ScoredUnits

__all__ = [
    "Table",
    "controls",
    "costs",
    "failures",
    "indicators",
    "make_table",
    "number",
    "pairs",
    "plural",
    "ranks",
    "scores",
    "shares_of_portfolio",
    "successes",
]

_WIDE = 4
"""Scenarios side by side in one table."""

_Columns = Mapping[str, Iterable[object]]
"""Values of a table by heading."""

_WORSE = {False: "", True: "†"}


@dataclass(frozen=True, eq=False, slots=True)
class Table:
    """A table of the report.

    Attributes:
        name: File name without suffix.
        caption: One or two sentences that make the table readable alone.
        texts: What people read, str; the first column names the row.
        words: Headings of columns that hold no numbers.
        best: By heading, the rows that are shown in bold.
        data: The same numbers in full precision, for CSV.
    """

    name: str
    caption: str
    texts: pd.DataFrame
    words: frozenset[str]
    best: Mapping[str, Sequence[bool]]
    data: pd.DataFrame = field(repr=False)

    @property
    def rows(self) -> list[list[tuple[str, str, bool]]]:
        """Row by row: heading, text, and whether it is bold."""
        headings = [str(heading) for heading in self.texts]
        bold = {heading: self.best.get(heading, (False,) * len(self.texts)) for heading in headings}
        return [
            [(heading, text, bool(bold[heading][i])) for heading, text in zip(headings, row, strict=True)]
            for i, row in enumerate(self.texts.itertuples(index=False, name=None))
        ]


def make_table(
    name: str,
    caption: str,
    columns: _Columns,
    *,
    words: Iterable[str],
    best: Mapping[str, Sequence[bool]] | None = None,
    data: pd.DataFrame | None = None,
) -> Table:
    """A table from columns of numbers or texts.

    Args:
        name: File name without suffix.
        caption: One or two sentences.
        columns: By heading; floats are written with three digits, nothing as a dash.
        words: Headings of columns that are not right-aligned.
        best: By heading, the rows that are shown in bold.
        data: The same in full precision; None for the columns themselves.
    """
    held = {heading: list(values) for heading, values in columns.items()}
    texts = pd.DataFrame({heading: [_text(value) for value in values] for heading, values in held.items()}, dtype=object)
    return Table(name, caption, texts, frozenset(words), best or {}, pd.DataFrame(held) if data is None else data)


def number(value: float, digits: int = 3) -> str:
    """Significant digits, without useless ones; a dash for NaN."""
    if np.isnan(value):
        return "–"
    if value in (float("inf"), float("-inf")):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    size = abs(value)
    if size < 10 ** -(digits + 1) or size >= 1e6:
        mantissa, exponent = f"{value:.{digits - 2}e}".split("e")
        return f"{mantissa.removesuffix('.0')}e{int(exponent)}"
    if size >= 10**digits:
        return f"{value:,.0f}"
    return f"{value:#.{digits}g}".rstrip(".")


def plural(word: str, count: int) -> str:
    """A noun in the number that fits."""
    return word if count == 1 else f"{word}s"


HOW_SURE = (
    f"In brackets: 95 % interval of the mean, from {MIN_BLOCKS} instances on; in parentheses, below that: smallest and largest "
    "instance. n counts instances, or the runs of the only instance, which say nothing about others."
)
"""What stands behind a mean in these tables."""


def ranks(family: str, ranked: Ranking, measured: str) -> Table:
    """Solvers of a family by average rank.

    Args:
        family: Which one.
        ranked: Its ranking.
        measured: What the means are, in words.
    """
    data, (n, k) = ranked.table, ranked.blocks.table.shape
    caption = (
        f"{family}: {k} solvers on {n} {plural('instance', n)} of {', '.join(ranked.blocks.scenarios)}, best first. "
        f"Rank 1 is best; ties share ranks, and what the references cannot tell apart is a tie. Loss: {measured}; failures "
        f"have loss 1. {HOW_SURE} p: Wilcoxon signed-rank test against the first row, Holm-adjusted over all pairs; † "
        f"significant at {ranked.alpha:g}."
    )
    columns: _Columns = {
        "solver": data["solver"],
        "average rank": [f"{rank:.2f}{_WORSE[bool(worse)]}" for rank, worse in _pairs(data, "average_rank", "worse")],
        "mean loss": _estimates(data),
        "failed": _of(data, "failures", "runs"),
        "p": data["p_holm"],
    }
    first = (data["average_rank"] == data["average_rank"].min()).tolist()
    return make_table(f"ranking-{family}", caption, columns, words=["solver"], best={"average rank": first}, data=data)


def scores(family: str, units: ScoredUnits, *, alpha: float) -> list[Table]:
    """What every solver of a family reaches on every scenario, at most four scenarios per table."""
    data = scenario_table(units, units.scenarios(family), alpha=alpha)
    texts = data.assign(text=_score_texts(data)).pivot(index="solver", columns="scenario", values="text").fillna("not run")
    best = data.assign(best=data["best"].astype(object)).pivot(index="solver", columns="scenario", values="best").eq(True)
    tables = []
    for start in range(0, len(texts.columns), _WIDE):
        names = texts.columns[start : start + _WIDE].tolist()
        part = data[data["scenario"].isin(names)]
        shown = [solver for solver in texts.index if solver in set(part["solver"])]
        heading = {name: f"{name} {'↑' if units.measures[name].maximize else '↓'}" for name in names}
        told = "; ".join(f"{name}: {_measured(units, name)}, {_runs(part, name)}" for name in names)
        caption = (
            f"{family}: means. {told}. {HOW_SURE} Bold: best. † significantly worse than the "
            f"solver ranked first (Wilcoxon–Holm, {alpha:g}). A failed run has loss 1."
        )
        suffix = f"-{start // _WIDE + 1}" if len(texts.columns) > _WIDE else ""
        columns: _Columns = {"solver": shown, **{heading[name]: texts.loc[shown, name] for name in names}}
        bold = {heading[name]: best.loc[shown, name].tolist() for name in names}
        tables.append(make_table(f"scores-{family}{suffix}", caption, columns, words=["solver"], best=bold, data=part))
    return tables


def successes(family: str, units: ScoredUnits, times: pd.DataFrame) -> list[Table]:
    """Share of successful runs and expected evaluations per target; one table per set of targets."""
    if times.empty:
        return []  # no scenario of the family has losses
    shares, ert = success_table(units, scenarios=units.scenarios(family)), expected_runtime(times)
    keys = ["scenario", "solver", "target"]
    data = shares.merge(ert[[*keys, "ert"]], on=keys).sort_values(keys, ignore_index=True)
    rivals = [data["scenario"], data["target"]]
    most = data["share"] == data["share"].groupby(rivals).transform("max")
    fewest = data["ert"] == data["ert"].where(most).groupby(rivals).transform("min")
    marked = data.assign(text=_success_texts(data), best=most & fewest & (data["reached"] > 0))
    tables = []
    for several in (False, True):
        part = marked[[units.measures[name].several is several for name in marked["scenario"]]]
        if part.empty:
            continue
        wide = part.pivot(index=["scenario", "solver"], columns="target", values=["text", "best"])
        targets = sorted(part["target"].unique(), reverse=True)
        heading = {target: f"≤ {target:g}".replace("e-0", "e-") for target in targets}
        caption = (
            f"{family}: share of runs whose verified answer has at most the loss on top, and expected evaluations to it in "
            "brackets, failed runs included (ERT). Bold: most runs, then fewest evaluations. Methods that work on a model or a "
            "closed form ask for few evaluations; their effort shows in seconds."
        )
        columns: dict[str, Iterable[object]] = {name: wide.index.get_level_values(name) for name in ("scenario", "solver")}
        columns |= {heading[target]: wide["text", target] for target in targets}
        bold = {heading[target]: wide["best", target].tolist() for target in targets}
        name = f"targets-{family}-{'fronts' if several else 'values'}"
        numbers = part.drop(columns=["text", "best"])
        tables.append(make_table(name, caption, columns, words=["scenario", "solver"], best=bold, data=numbers))
    return tables


def shares_of_portfolio(family: str, found: Portfolio, instances: int) -> Table:
    """Single best and virtual best solver, and each solver's contribution."""
    data = found.table
    caption = (
        f"{family}: what each solver is worth to the set, {instances} {plural('instance', instances)}. Single best solver: "
        f"{found.single_best} (mean loss {number(found.single_best_loss)}); choosing the best solver on every instance, free "
        f"of charge, would reach {number(found.virtual_best_loss)}. Closed gap: 0 is the former, 1 the latter. Marginal: loss "
        "added when the solver leaves the set. Shapley: its fair share of the loss that the set saves."
    )
    columns: _Columns = {
        "solver": data["solver"],
        "mean loss": data["loss"],
        "closed gap": data["closed_gap"],
        "best alone": [f"{share:.0%}" for share in data["alone"]],
        "marginal": data["marginal"],
        "Shapley": data["shapley"],
    }
    best = {"solver": (data["solver"] == found.single_best).tolist()}
    return make_table(f"portfolio-{family}", caption, columns, words=["solver"], best=best, data=data)


def pairs(family: str, ranked: Ranking) -> Table:
    """Every pair of solvers."""
    data = ranked.pairs
    caption = (
        f"{family}: all pairs on {len(ranked.blocks.table)} instances. Median difference: loss of the first minus loss of the "
        "second, negative when the first is better. A12: probability that the first beats the second, 0.5 is even. r: "
        "matched-pairs rank-biserial correlation, positive when the first is better."
    )
    columns: _Columns = {
        "first": data["a"],
        "second": data["b"],
        "wins / ties / losses": _of(data, "wins", "ties", "losses"),
        "median difference": data["median_difference"],
        "A12": data["a12"],
        "r": data["rank_biserial"],
        "p": data["p_value"],
        "p (Holm)": data["p_holm"],
    }
    return make_table(f"pairs-{family}", caption, columns, words=["first", "second"], data=data)


def indicators(family: str, units: ScoredUnits) -> Table:
    """Every indicator side by side."""
    data = indicator_table(units, units.scenarios(family))
    headings = {"gap": "gap", "bound_gap": "gap to bound", "hypervolume": "hypervolume", "igd_plus": "IGD+"}
    headings["objective"] = "objective"
    caption = (
        f"{family}: all indicators, means over instances. Feasible: share of runs with a verified feasible answer. Gap: to the "
        "reference's value or front, proven or not. A failed run counts as gap 1, hypervolume 0 and infinite IGD+; hypervolume "
        "and IGD+ are measured in the scenario's box, part of which nobody can fill."
    )
    columns: _Columns = {
        **{name: data[name] for name in ("scenario", "solver")},
        "feasible": [f"{share:.0%}" for share in data["feasible"]],
        **{heading: data[name] for name, heading in headings.items() if data[name].notna().any()},
    }
    return make_table(f"indicators-{family}", caption, columns, words=["scenario", "solver"], data=data)


def controls(units: ScoredUnits, control: str) -> Table | None:
    """Every solver against a control, None when no record of the control is there."""
    data = control_table(units, control)
    if data.empty:
        return None
    caption = (
        f"Every solver against {control}, instance by instance. A12: probability of beating it, 0.5 is even; p: Wilcoxon "
        "signed-rank test, not adjusted."
    )
    columns: _Columns = {
        **{name: data[name] for name in ("scenario", "solver")},
        "wins / ties / losses": _of(data, "wins", "ties", "losses"),
        "A12": data["a12"],
        "p": data["p_value"],
    }
    return make_table(f"against-{control}", caption, columns, words=["scenario", "solver"], data=data)


def costs(units: ScoredUnits) -> Table:
    """What the runs cost."""
    data = cost_table(units)
    caption = (
        "Costs: means per run; US dollars are the sum of all runs. Seconds depend on the machine and on what else it did; no "
        "ranking uses them."
    )
    headings = {"llm_calls": "model calls", "usd": "USD"}
    names = ("family", "solver", "runs", "evaluations", "llm_calls", "tokens", "usd", "seconds")
    counted = ("evaluations", "llm_calls", "tokens")
    columns = {headings.get(name, name): map(_amount, data[name]) if name in counted else data[name] for name in names}
    return make_table("costs", caption, columns, words=["family", "solver"], data=data)


def _amount(mean: float) -> str:
    """A mean of counts: whole where it is."""
    return f"{mean:,.0f}" if float(mean).is_integer() or mean >= 100 else f"{mean:,.1f}"


def failures(units: ScoredUnits) -> list[Table]:
    """Units that count as the worst outcome, and what solvers declared that they cannot treat; tables that hold something."""
    captions = {
        "failures": "Units that count as the worst outcome: broken, stopped, infeasible or missing, by reason.",
        "not-run": "Units that were not run because the solver cannot treat the instance; not scored.",
    }
    data = failure_table(units)
    kinds = data["outcome"].map(lambda outcome: "not-run" if outcome == Outcome.SKIPPED else "failures")
    columns = ("scenario", "solver", "units", "outcome", "reason")
    return [
        make_table(name, captions[name], {h: part[h] for h in columns}, words={*columns} - {"units"}, data=part)
        for name, part in data.groupby(kinds)
    ]


def _estimates(data: pd.DataFrame) -> list[str]:
    """Means with their interval or range and the number of blocks, see `optisolve.study.intervals`."""
    names = ("mean", "low", "high", "least", "most", "blocks")
    found = zip((Estimate(*numbers) for numbers in _pairs(data, *names)), data["over"], strict=True)
    return [estimate.told(number, "runs" if over == "runs" else "") for estimate, over in found]


def _score_texts(data: pd.DataFrame) -> list[str]:
    told = []
    for text, (skipped, runs, failed, worse) in zip(
        _estimates(data), _pairs(data, "skipped", "runs", "failures", "worse"), strict=True
    ):
        lost = f" ({failed} of {runs} failed)" if failed else ""
        told.append("cannot" if skipped and not runs else f"{text}{lost}{_WORSE[bool(worse)]}")
    return told


def _success_texts(data: pd.DataFrame) -> list[str]:
    return [f"{share:.0%} ({ert:,.0f})" if n else "0" for share, ert, n in _pairs(data, "share", "ert", "reached")]


def _measured(units: ScoredUnits, scenario: str) -> str:
    measure = units.measures[scenario]
    return f"loss, {measure.label}" if measure.has_loss else measure.label


def _runs(part: pd.DataFrame, scenario: str) -> str:
    own = part[part["scenario"] == scenario]
    instances, runs = int(own["instances"].max()), int(own["runs"].max())
    return f"{instances} {plural('instance', instances)}, up to {runs} {plural('run', runs)} per solver"


def _pairs(data: pd.DataFrame, *names: str) -> Iterable[tuple[Any, ...]]:
    return zip(*(data[name].tolist() for name in names), strict=True)


def _of(data: pd.DataFrame, *names: str) -> list[str]:
    return [" / ".join(map(str, counts)) for counts in _pairs(data, *names)]


def _text(value: object) -> str:
    if isinstance(value, float):
        return number(value)
    return "–" if value in ("", None) else str(value)
