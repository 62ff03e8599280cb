"""The tables of a report, once: as cells for people (HTML, LaTeX) and as data for machines (CSV)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from optisolve.study.units import Outcome

if TYPE_CHECKING:
    from optisolve.study.units import Units

__all__ = [
    "Cell",
    "Column",
    "Table",
    "controls",
    "costs",
    "failures",
    "indicators",
    "number",
    "pairs",
    "plain_table",
    "plural",
    "ranks",
    "scores",
    "shares_of_portfolio",
    "skips",
    "successes",
]

_WIDE = 4
"""Scenarios side by side in one table."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What stands in one place of a table.

    Attributes:
        text: For people.
        best: Shown in bold.
        worse: Marked as significantly worse than the best.
    """

    text: str
    best: bool = False
    worse: bool = False


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its heading, and whether it holds numbers (right-aligned)."""

    heading: str
    numeric: bool = True


@dataclass(frozen=True, eq=False, slots=True)
class Table:
    """A table of the report.

    Attributes:
        name: File name without suffix.
        caption: One or two sentences that make the table readable alone.
        columns: From left to right; the first one names the row.
        rows: Cells, as many as columns.
        data: The same numbers in full precision, for CSV.
    """

    name: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    data: pd.DataFrame = field(repr=False)


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


def estimate(row: Mapping[str, Any]) -> str:
    """The mean of a row with its interval or range and the number of blocks, see `optisolve.study.intervals`."""
    found = Estimate(**{key: row[key] for key in ("mean", "low", "high", "least", "most")}, n=int(row["blocks"]))
    return found.told(number, "runs" if row["over"] == "runs" else "")


HOW_SURE = (
    f"In brackets: 95 % interval of the mean, from {MIN_BLOCKS} instances on; in parentheses, below that: smallest and largest "
    "instance. n counts instances, or the runs of the only instance, which say nothing about others."
)
"""What stands behind a mean in these tables."""


def ranks(family: str, ranked: Ranking, measure: str) -> Table:
    """Solvers of a family by average rank."""
    n, k = ranked.blocks.table.shape
    rows = []
    for row in _rows(ranked.table):
        first = row["average_rank"] == ranked.table["average_rank"].min()
        rows.append(
            (
                Cell(row["solver"]),
                Cell(f"{row['average_rank']:.2f}", best=first, worse=bool(row["worse"])),
                Cell(estimate(row)),
                Cell(f"{row['failures']} / {row['runs']}"),
                Cell(number(row["p_holm"])),
            )
        )
    caption = (
        f"{family}: {k} solvers on {n} {plural('instance', n)} of {', '.join(ranked.blocks.scenarios)}, best first. "
        f"Rank 1 is best; ties share ranks, and what the references cannot tell apart is a tie. Mean {measure}; failures count "
        f"as the worst. {HOW_SURE} p: Wilcoxon signed-rank test against the first row, Holm-adjusted over all pairs; † "
        f"significant at {ranked.alpha:g}."
    )
    columns = (Column("solver", False), Column("average rank"), Column(f"mean {measure}"), Column("failed"), Column("p"))
    return Table(f"ranking-{family}", caption, columns, tuple(rows), ranked.table)


def scores(family: str, units: Units, *, alpha: float) -> list[Table]:
    """What every solver of a family reaches on every scenario, at most four scenarios per table."""
    data = scenario_table(units, units.scenarios(family), alpha=alpha)
    names = sorted(data["scenario"].unique())
    tables = []
    for start in range(0, len(names), _WIDE):
        shown = names[start : start + _WIDE]
        part = data[data["scenario"].isin(shown)]
        cells = {(row["scenario"], row["solver"]): _score_cell(row) for row in _rows(part)}
        solvers = sorted(part["solver"].unique())
        rows = [(Cell(solver), *(cells.get((name, solver), Cell("not run")) for name in shown)) for solver in solvers]
        told = "; ".join(f"{name}: {units.measures[name].label}, {_runs(part, name)}" for name in shown)
        caption = (
            f"{family}: means. {told}. {HOW_SURE} Bold: best. † significantly worse than the "
            f"solver ranked first (Wilcoxon–Holm, {alpha:g}). A failed run counts as gap 1 or hypervolume 0."
        )
        suffix = f"-{start // _WIDE + 1}" if len(names) > _WIDE else ""
        columns = (Column("solver", False), *(Column(f"{name} {_arrow(units, name)}") for name in shown))
        tables.append(Table(f"scores-{family}{suffix}", caption, columns, tuple(rows), part))
    return tables


def successes(family: str, units: Units, times: pd.DataFrame) -> list[Table]:
    """Share of successful runs and expected evaluations per target; one table per set of targets."""
    if times.empty:
        return []  # no scenario of the family has losses
    shares, ert = success_table(units, scenarios=units.scenarios(family)), expected_runtime(times)
    data = shares.merge(ert[["scenario", "solver", "target", "ert"]], on=["scenario", "solver", "target"])
    tables = []
    for maximize in (False, True):
        names = [name for name in units.scenarios(family) if units.measures[name].maximize is maximize]
        part = data[data["scenario"].isin(names)]
        if part.empty:
            continue
        targets = sorted(part["target"].unique(), reverse=True)
        by_row: dict[tuple[str, str], dict[float, dict[str, Any]]] = {}
        for row in _rows(part):
            by_row.setdefault((row["scenario"], row["solver"]), {})[row["target"]] = row
        rows = []
        for (scenario, solver), found in sorted(by_row.items()):
            cells = [_success_cell(found[target], part, scenario) for target in targets]
            rows.append((Cell(scenario), Cell(solver), *cells))
        kind = "hypervolume" if maximize else "gap"
        headings = [Column(f"≥ {1 - t:.0%}" if maximize else f"≤ {t:g}".replace("e-0", "e-")) for t in targets]
        caption = (
            f"{family}: share of runs whose verified answer meets each target ({kind}), and expected evaluations to it in "
            "brackets, failed runs included (ERT). Bold: most runs, then fewest evaluations. Methods that work on a model or a "
            "closed form ask for few evaluations; their effort shows in seconds."
        )
        columns = (Column("scenario", False), Column("solver", False), *headings)
        tables.append(Table(f"targets-{family}-{kind}", caption, columns, tuple(rows), part))
    return tables


def shares_of_portfolio(family: str, found: Portfolio, instances: int) -> Table:
    """Single best and virtual best solver, and each solver's contribution."""
    rows = tuple(
        (
            Cell(row["solver"], best=row["solver"] == found.single_best),
            Cell(number(row["loss"])),
            Cell(number(row["closed_gap"])),
            Cell(f"{row['alone']:.0%}"),
            Cell(number(row["marginal"])),
            Cell(number(row["shapley"])),
        )
        for row in _rows(found.table)
    )
    caption = (
        f"{family}: what each solver is worth to the set, {instances} {plural('instance', instances)}. Single best solver: "
        f"{found.single_best} (mean loss {number(found.single_best_loss)}); choosing the best solver on every instance, free "
        f"of charge, would reach {number(found.virtual_best_loss)}. Closed gap: 0 is the former, 1 the latter. Marginal: loss "
        "added when the solver leaves the set. Shapley: its fair share of the loss that the set saves."
    )
    headings = ("mean loss", "closed gap", "best alone", "marginal", "Shapley")
    columns = (Column("solver", False), *(Column(heading) for heading in headings))
    return Table(f"portfolio-{family}", caption, columns, rows, found.table)


def pairs(family: str, ranked: Ranking) -> Table:
    """Every pair of solvers."""
    rows = tuple(
        (
            Cell(row["a"]),
            Cell(row["b"]),
            Cell(f"{row['wins']} / {row['ties']} / {row['losses']}"),
            Cell(number(row["median_difference"])),
            Cell(number(row["a12"])),
            Cell(number(row["rank_biserial"])),
            Cell(number(row["p_value"])),
            Cell(number(row["p_holm"])),
        )
        for row in _rows(ranked.pairs)
    )
    caption = (
        f"{family}: all pairs on {len(ranked.blocks.table)} instances. Median difference: loss of the first minus loss of the "
        "second, negative when the first is better. A12: probability that the first beats the second, 0.5 is even. r: "
        "matched-pairs rank-biserial correlation, positive when the first is better."
    )
    headings = ("wins / ties / losses", "median difference", "A12", "r", "p", "p (Holm)")
    columns = (Column("first", False), Column("second", False), *(Column(heading) for heading in headings))
    return Table(f"pairs-{family}", caption, columns, rows, ranked.pairs)


def indicators(family: str, units: Units) -> Table:
    """Every indicator side by side."""
    data = indicator_table(units, units.scenarios(family))
    names = ("gap", "bound_gap", "hypervolume", "igd_plus", "objective")
    headings = {"bound_gap": "gap to bound", "igd_plus": "IGD+"}
    shown = [name for name in names if data[name].notna().any()]
    rows = tuple(
        (Cell(row["scenario"]), Cell(row["solver"]), Cell(f"{row['feasible']:.0%}"), *(Cell(number(row[n])) for n in shown))
        for row in _rows(data)
    )
    caption = (
        f"{family}: all indicators, means over instances. Feasible: share of runs with a verified feasible answer. A failed "
        "run counts as gap 1, hypervolume 0 and infinite IGD+; hypervolume and IGD+ are measured in the scenario's fixed box."
    )
    columns = (
        Column("scenario", False),
        Column("solver", False),
        Column("feasible"),
        *(Column(headings.get(n, n)) for n in shown),
    )
    return Table(f"indicators-{family}", caption, columns, rows, data)


def controls(units: Units, control: str) -> Table | None:
    """Every solver against a control, None when no record of the control is there."""
    data = control_table(units, control)
    if data.empty:
        return None
    rows = tuple(
        (
            Cell(row["scenario"]),
            Cell(row["solver"]),
            Cell(f"{row['wins']} / {row['ties']} / {row['losses']}"),
            Cell(number(row["a12"])),
            Cell(number(row["p_value"])),
        )
        for row in _rows(data)
    )
    caption = (
        f"Every solver against {control}, instance by instance. A12: probability of beating it, 0.5 is even; p: Wilcoxon "
        "signed-rank test, not adjusted."
    )
    headings = ("wins / ties / losses", "A12", "p")
    columns = (Column("scenario", False), Column("solver", False), *(Column(heading) for heading in headings))
    return Table(f"against-{control}", caption, columns, rows, data)


def costs(units: Units) -> Table:
    """What the runs cost."""
    data = cost_table(units)
    rows = tuple(
        (
            Cell(row["family"]),
            Cell(row["solver"]),
            Cell(f"{row['runs']}"),
            *(Cell(number(row[key])) for key in ("evaluations", "llm_calls", "tokens", "usd", "seconds")),
        )
        for row in _rows(data)
    )
    caption = (
        "Costs: means per run; US dollars are the sum of all runs. Seconds depend on the machine and on what else it did; no "
        "ranking uses them."
    )
    headings = ("runs", "evaluations", "model calls", "tokens", "USD", "seconds")
    columns = (Column("family", False), Column("solver", False), *(Column(heading) for heading in headings))
    return Table("costs", caption, columns, rows, data)


def failures(units: Units) -> Table:
    """Units that count as the worst outcome, by reason."""
    return _reasons(
        "failures", units, False, "Units that count as the worst outcome: broken, stopped, infeasible or missing, by reason."
    )


def skips(units: Units) -> Table:
    """What solvers declared that they cannot treat."""
    return _reasons("skips", units, True, "Units that were not run because the solver cannot treat the instance; not scored.")


def _reasons(name: str, units: Units, skipped: bool, caption: str) -> Table:
    data = failure_table(units)
    data = data[(data["outcome"] == Outcome.SKIPPED) == skipped]
    rows = tuple(
        (Cell(row["scenario"]), Cell(row["solver"]), Cell(str(row["units"])), Cell(str(row["outcome"])), Cell(row["reason"]))
        for row in _rows(data)
    )
    headings = ("scenario", "solver", "units", "outcome", "reason")
    return Table(name, caption, tuple(Column(h, h == "units") for h in headings), rows, data)


def _score_cell(row: Mapping[str, Any]) -> Cell:
    if row["skipped"] and not row["runs"]:
        return Cell("skips")
    failed = f" ({row['failures']} of {row['runs']} failed)" if row["failures"] else ""
    return Cell(estimate(row) + failed, best=bool(row["best"]), worse=bool(row["worse"]))


def _success_cell(row: Mapping[str, Any], part: pd.DataFrame, scenario: str) -> Cell:
    if not row["reached"]:
        return Cell("0")
    rivals = part[(part["scenario"] == scenario) & (part["target"] == row["target"])]
    most = rivals[rivals["share"] == rivals["share"].max()]
    best = row["share"] == rivals["share"].max() and row["ert"] == most["ert"].min()
    return Cell(f"{row['share']:.0%} ({row['ert']:,.0f})", best=bool(best))


def _runs(part: pd.DataFrame, scenario: str) -> str:
    own = part[part["scenario"] == scenario]
    instances, runs = int(own["instances"].max()), int(own["runs"].max())
    return f"{instances} {plural('instance', instances)}, up to {runs} {plural('run', runs)} per solver"


def _arrow(units: Units, scenario: str) -> str:
    return "↑" if units.measures[scenario].maximize else "↓"


def plural(word: str, count: int) -> str:
    """A noun in the number that fits."""
    return word if count == 1 else f"{word}s"


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]


def plain_table(
    name: str, caption: str, headings: Sequence[str], rows: Sequence[Sequence[Any]], numeric: Sequence[str] = ()
) -> Table:
    """A table of words.

    Args:
        name: File name without suffix.
        caption: One sentence.
        headings: Of the columns.
        rows: Values, as many as headings.
        numeric: Headings of right-aligned columns.
    """
    cells = tuple(tuple(Cell("–" if value in ("", None) else str(value)) for value in row) for row in rows)
    data = pd.DataFrame([list(row) for row in rows], columns=list(headings))
    return Table(name, caption, tuple(Column(heading, heading in numeric) for heading in headings), cells, data)
