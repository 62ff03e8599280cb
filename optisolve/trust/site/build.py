"""From records to the content of the site: tracks, problems, solvers, records; how it looks is decided elsewhere."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from optisolve import content
from optisolve.core.errors import OptisolveError
from optisolve.core.status import Evidence
from optisolve.registry import PROBLEMS, SOLVERS
from optisolve.run.schema import Record
from optisolve.study.aggregate import success_table
from optisolve.study.report.build import report_of
from optisolve.study.report.commands import command_of, override_text
from optisolve.study.report.inputs import Inputs, read_inputs
from optisolve.study.report.tables import Table, make_table, number
from optisolve.study.scored import Outcome, ScoredUnits, score_units
from optisolve.trust.board import Board, BoardSuite
from optisolve.trust.site.charts import attainment_chart, progress_chart, record_charts, score_chart
from optisolve.trust.site.pages import ProblemPage, RecordPage, Site, SolverPage, Track
from optisolve.trust.site.questions import answered, questions
from optisolve.trust.site.tracks import COMPARED, pictures_of, winners_of
from optisolve.trust.summary import question_of, summary_of

__all__ = ["build_site", "lines_of"]

_TARGET = {False: 1e-3, True: 0.05}
"""Loss whose success share the table shows: for one objective, for several."""


def build_site(
    paths: Sequence[str | os.PathLike[str]],
    *,
    title: str = "optisolve leaderboard",
    degeneracy: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    board: Board | None = None,
) -> Site:
    """Read records and work out every page.

    Args:
        paths: Records, their folders, or folders of folders.
        title: Heading of the site.
        degeneracy: Rows of the degeneracy report by scenario, see ``benchmarks/leaderboard/degeneracy.json``.
        board: The leaderboard's table, see ``benchmarks/leaderboard/table.json``; suites that it ranks get their standings.

    Raises:
        RecordError: No record, a file that is not one, or one that was altered.
    """
    inputs = read_inputs(paths)
    units = score_units(inputs.records, expected=inputs.expected)
    lines = lines_of(units)
    solvers = sorted(units.frame["solver"].unique())
    colors = {solver: index for index, solver in enumerate(solvers)}
    ranked = {suite.sha256: suite for suite in board.suites} if board else {}
    tracks = tuple(_track(part, lines, units, colors, ranked) for part in inputs.experiments().values())
    return Site(
        title=title,
        tracks=tracks,
        problems=tuple(_problem(name, lines, units, colors, degeneracy or {}) for name in units.scenarios()),
        solvers=tuple(_solver(name, units, lines) for name in solvers),
        records=tuple(_records(units)),
        questions=tuple(page for asked in questions() if (page := answered(asked, tracks, lines, units)) is not None),
        notices=tuple(dict.fromkeys(notice for track in tracks for notice in track.report.notices)),
    )


def _track(
    inputs: Inputs,
    lines: pd.DataFrame,
    units: ScoredUnits,
    colors: Mapping[str, int],
    boards: Mapping[str, BoardSuite],
) -> Track:
    """One suite's page, or that of the runs by hand, from their part of the records."""
    suite = inputs.records["record"].iloc[0].suite
    name, version, sha256 = suite.name, suite.version, suite.sha256
    ranked = boards.get(sha256)
    own = units.frame[[record is not None and record.suite.sha256 == sha256 for record in units.frame["record"]]]
    cells = pd.MultiIndex.from_frame(own[["scenario", "solver"]])
    held = lines[pd.MultiIndex.from_frame(lines[["scenario", "solver"]]).isin(cells)]
    return Track(
        name=name or "runs",
        version=version,
        sha256=sha256,
        report=report_of(inputs, title=name or "runs"),
        lines=_tuples(held),
        records=len(inputs.records),
        standings=tuple(ranked.entries) if ranked else (),
        problems=len(ranked.problems) if ranked else 0,
        tie=ranked.tie if ranked else "",
        asks=question_of(name),
        summary=summary_of(ranked) if ranked else None,
        winners=tuple(winners_of(held, units)),
        pictures=tuple(pictures_of(held, units, colors)),
    )


def lines_of(units: ScoredUnits) -> pd.DataFrame:
    """What every solver reaches on every scenario, best first within each.

    Args:
        units: All units.

    Returns:
        A row per scenario and solver: ``family``, ``score`` (in words: mean loss of all units, failures as 1; else the
        mean value of the feasible answers), ``measure`` (what it is, and what it is measured to), ``loss`` (NaN without),
        ``standing`` (mean, sorts), ``rank`` (ties share the better place), ``success`` (share of runs that reach the target),
        ``runs``, ``failures``, ``evaluations``, ``llm_calls`` and ``tokens`` (means per run), ``usd`` (of all runs), ``tier``
        (the lowest).
    """
    ran = units.frame[units.frame["outcome"] != Outcome.SKIPPED]
    found = ran.assign(good=ran["value"].where(ran["outcome"] == Outcome.OK), failed=ran["outcome"] != Outcome.OK)
    table = found.groupby(["scenario", "solver"], as_index=False).agg(
        family=("family", "first"),
        standing=("standing", "mean"),
        loss=("loss", "mean"),
        good=("good", "mean"),
        runs=("failed", "size"),
        failures=("failed", "sum"),
        evaluations=("evaluations", "mean"),
        llm_calls=("llm_calls", "mean"),
        tokens=("tokens", "mean"),
        usd=("usd", "sum"),
        tier=("record", _lowest),
    )
    measures = [units.measures[name] for name in table["scenario"]]
    targets = [_TARGET[measure.several] for measure in measures]
    shares = success_table(units).set_index(["scenario", "solver", "target"])["share"]
    ties = ran.groupby(["scenario", "instance"])["quiet"].max().groupby("scenario").mean()
    ahead = table["standing"] + table["scenario"].map(ties)
    table["rank"] = [1 + int((ahead[table["scenario"] == s] < own).sum()) for s, own in _zipped(table, "scenario", "standing")]
    table["measure"] = [f"loss: {measure.label}" if measure.has_loss else measure.label for measure in measures]
    shown = np.where([measure.has_loss for measure in measures], table["loss"], table["good"])
    table["score"] = ["none feasible" if np.isnan(value) else number(value) for value in shown]
    keys = pd.MultiIndex.from_arrays([table["scenario"], table["solver"], targets])
    table["success"] = shares.reindex(keys).to_numpy()
    return table.fillna({"evaluations": 0.0}).sort_values(["scenario", "standing", "solver"], ignore_index=True)


def _zipped(frame: pd.DataFrame, *names: str) -> Iterable[tuple[Any, ...]]:
    return zip(*(frame[name] for name in names), strict=True)


def _tuples(lines: pd.DataFrame) -> tuple[Any, ...]:
    return tuple(lines.itertuples(index=False, name="Line"))


def _lowest(records: Iterable[Record | None]) -> str:
    known = [record.provenance.tier for record in records if record is not None]
    return min(known, key=lambda tier: tier.rank).value.replace("_", "-") if known else "none"


def _problem(
    name: str,
    lines: pd.DataFrame,
    units: ScoredUnits,
    colors: Mapping[str, int],
    degeneracy: Mapping[str, Sequence[Mapping[str, Any]]],
) -> ProblemPage:
    own = units.frame[units.frame["scenario"] == name]
    documents: list[Record] = [record for record in own["record"] if record is not None]
    scenario, family = documents[0].instance.scenario, str(own["family"].iloc[0])
    measure = units.measures[name]
    label = f"loss ({measure.label})" if measure.has_loss else measure.label
    column = "loss" if measure.has_loss else "value"
    order = lines[lines["scenario"] == name]["solver"].tolist()
    charts = [
        score_chart(name, units.frame, label, colors, column=column),
        progress_chart(name, units.frame, colors),
        attainment_chart(name, units.frame, colors, order[:COMPARED]),
    ]
    tables = [_references(documents)]
    if scenario in degeneracy:
        tables.append(_degeneracy(scenario, degeneracy[scenario]))
    return ProblemPage(
        name=name,
        family=family,
        summary=_told("problems", scenario, "summary") or _told("problems", family, "summary"),
        card=_card("problems", family),
        evidence=_told("problems", scenario, "reference") or _told("problems", family, "reference"),
        tables=tuple(tables),
        charts=tuple(chart for chart in charts if chart is not None),
        lines=_tuples(lines[lines["scenario"] == name]),
        records=tuple(_record_lines(own, column)),
    )


def _references(documents: Sequence[Record]) -> Table:
    """The reference of every instance with its evidence."""
    seen: dict[tuple[Any, ...], None] = {}
    for record in documents:
        told, instance = record.reference, record.instance
        where = (instance.seed, instance.sha256[:16])
        if told is None:
            seen[(*where, "none", "", "", "", "", "")] = None
            continue
        value, bound = ("" if number is None else f"{number:.8g}" for number in (told.value, told.dual_bound))
        tie = "" if told.dual_bound is None else f"{told.tolerance + told.slack:.2g}"
        note = told.note or (told.detail if told.evidence is Evidence.PROVEN_INFEASIBLE else "")
        seen[(*where, told.evidence.value.replace("_", " "), value, bound, tie, told.solver, note)] = None
    headings = ("instance", "SHA-256", "evidence", "value", "dual bound", "tie", "by", "note")
    caption = (
        "Reference of every instance: what is proven, the value, the bound, the difference up to which values are ties "
        "(tolerance plus slack), and who found it. Solvers never see it."
    )
    words = ("SHA-256", "evidence", "by", "note")
    columns = zip(*sorted(seen, key=str), strict=True)
    return make_table("references", caption, dict(zip(headings, columns, strict=True)), words=words)


def _degeneracy(scenario: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    numbers = {"value": "value", "ratio to the reference": "ratio", "worst ratio": "worst_ratio"}
    columns: dict[str, list[object]] = {"policy": [row["policy"] for row in rows]}
    columns["feasible"] = [f"{row['feasible']:.0%}" for row in rows]
    columns |= {heading: [row[key] for row in rows] for heading, key in numbers.items()}
    caption = (
        f"What trivial policies and random points reach on {scenario} before anybody trains or compares anything "
        f"(optisolve inspect problem={scenario})."
    )
    return make_table("degeneracy", caption, columns, words=["policy"])


def _solver(name: str, units: ScoredUnits, lines: pd.DataFrame) -> SolverPage:
    own = units.frame[units.frame["solver"] == name]
    documents: list[Record] = [record for record in own["record"] if record is not None]
    registered = documents[0].solver.name if documents else name
    options = {json.dumps(record.solver.options, sort_keys=True) for record in documents}
    chosen = json.loads(sorted(options)[0]) if options else {}
    caption = "Options of its records." if len(options) < 2 else "Options of its first records; others differ, see each record."
    columns = {"option": list(chosen), "value": [override_text(value) for value in chosen.values()]}
    table = make_table("options", caption, columns, words=list(columns))
    summary = citation = ""
    if registered in SOLVERS.choices():
        info = SOLVERS.get(registered).info
        summary, citation = info.summary, info.citation
    card = _text("solvers", f"{registered}.md")
    return SolverPage(name, summary, citation, card, table, _tuples(lines[lines["solver"] == name]))


def _record_lines(own: pd.DataFrame, column: str) -> Iterable[dict[str, Any]]:
    for row in own.to_dict("records"):
        if row["record"] is not None:
            yield {
                "id": row["record_id"],
                "solver": row["solver"],
                "instance": int(row["instance"]),
                "repetition": int(row["repetition"]),
                "outcome": str(row["outcome"]),
                "score": number(float(row[column])),
                "tier": row["record"].provenance.tier.value.replace("_", "-"),
            }


def _records(units: ScoredUnits) -> Iterable[RecordPage]:
    for row in units.frame.to_dict("records"):
        record = row["record"]
        if record is not None:
            charts = tuple(record_charts(record))
            yield RecordPage(record, row["scenario"], row["solver"], command_of(record), charts, _sources(record))


def _sources(record: Record) -> Table | None:
    """What every source of candidates made, gained and cost; columns that say nothing about this run are left out."""
    sources = record.used.by_source
    if len(sources) < 2:
        return None
    gain = "hypervolume gain" if len(record.verified.objectives) > 1 else "objective gain"
    columns: dict[str, list[object]] = {
        "source": list(sources),
        "evaluations": [item.evaluations for item in sources.values()],
        gain: [item.gain for item in sources.values()],
    }
    spent: dict[str, list[object]] = {
        "survivors": [item.survivors for item in sources.values()],
        "tokens in": [item.tokens_in for item in sources.values()],
        "tokens out": [item.tokens_out for item in sources.values()],
        "USD": [item.usd for item in sources.values()],
    }
    columns |= {heading: values for heading, values in spent.items() if any(values)}
    return make_table("sources", "Candidates of every source, and what they gained and cost.", columns, words=["source"])


def _told(kind: str, name: str, key: str) -> str:
    try:
        return content.header(kind, name).get(key, "")
    except OSError:
        return ""


def _card(kind: str, family: str) -> str:
    if family not in {name.split("/")[0] for name in PROBLEMS.choices()}:
        return ""
    return _text(kind, f"{family}/README.md")


def _text(kind: str, name: str) -> str:
    try:
        return content.read_text(kind, name)
    except (OSError, OptisolveError):
        return ""
