"""From records to the content of the site: tracks, problems, solvers, records; how it looks is decided elsewhere."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from optisolve import content
from optisolve.core.errors import OptisolveError
from optisolve.core.status import Evidence
from optisolve.registry import PROBLEMS, SOLVERS
from optisolve.run.schema import Record
from optisolve.study.aggregate import success_table
from optisolve.study.report.build import build_report
from optisolve.study.report.commands import override_text
from optisolve.study.report.inputs import read_inputs
from optisolve.study.report.tables import Table, number, plain_table
from optisolve.study.units import Outcome, Units, units_of
from optisolve.trust.audit import Tier
from optisolve.trust.site.charts import progress_chart, record_charts, score_chart
from optisolve.trust.site.pages import ProblemPage, RecordPage, Row, Site, SolverPage, Track

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["build_site"]

_BAD = (Outcome.FAILED, Outcome.INFEASIBLE, Outcome.MISSING)
_TARGET = {False: 1e-3, True: 0.05}
"""Target whose success share the table shows: gap, or missing share of hypervolume."""


def build_site(
    paths: Sequence[str | os.PathLike[str]],
    *,
    title: str = "optisolve leaderboard",
    degeneracy: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    board: Mapping[str, Any] | None = None,
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
    groups = _by_suite(inputs.records)
    units = units_of(inputs.records, expected=inputs.expected, reference_hypervolumes=inputs.reference_hypervolumes)
    rows = _rows(units)
    solvers = sorted(units.frame["solver"].unique())
    colors = {solver: index for index, solver in enumerate(solvers)}
    ranked = {suite["sha256"]: suite for suite in (board or {}).get("suites", ())}
    tracks = tuple(_track(key, group, rows, units, ranked.get(key[2], {})) for key, group in groups.items())
    problems = tuple(_problem(name, units, colors, degeneracy or {}) for name in units.scenarios())
    return Site(
        title=title,
        tracks=tracks,
        problems=problems,
        solvers=tuple(_solver(name, units, rows) for name in solvers),
        records=tuple(_records(units)),
        notices=tuple(dict.fromkeys(notice for track in tracks for notice in track.report.notices)),
    )


def _by_suite(records: pd.DataFrame) -> dict[tuple[str, str, str], list[str]]:
    groups: dict[tuple[str, str, str], list[str]] = {}
    for path, record in zip(records["path"], records["record"], strict=True):
        suite = record.suite
        groups.setdefault((suite.name, suite.version, suite.sha256), []).append(str(path))
    return dict(sorted(groups.items()))


def _track(key: tuple[str, str, str], paths: list[str], rows: Sequence[Row], units: Units, ranked: Mapping[str, Any]) -> Track:
    name, version, sha256 = key
    own = units.frame[units.frame["record"].map(lambda record: record is not None and record.suite.sha256 == sha256)]
    cells = set(zip(own["scenario"], own["solver"], strict=True))
    shown = tuple(row for row in rows if (row.scenario, row.solver) in cells)
    return Track(
        name=name or "runs",
        version=version,
        sha256=sha256,
        report=build_report(paths, title=name or "runs"),
        rows=shown,
        records=len(paths),
        standings=tuple(ranked.get("entries", ())),
        problems=len(ranked.get("problems", ())),
    )


def _rows(units: Units) -> list[Row]:
    """All lines, best first within each scenario."""
    success = success_table(units)
    shares = {(row["scenario"], row["solver"], row["target"]): float(row["share"]) for row in success.to_dict("records")}
    found = []
    for scenario in units.scenarios():
        measure = units.measures[scenario]
        frame = units.frame[(units.frame["scenario"] == scenario) & (units.frame["outcome"] != Outcome.SKIPPED)]
        lines = []
        for solver, own in frame.groupby("solver", sort=True):
            good = own[own["outcome"] == Outcome.OK]
            share = shares.get((scenario, solver, _TARGET[measure.maximize]))
            lines.append((float(own["standing"].mean()), str(solver), own, good, share))
        lines.sort(key=lambda line: (np.inf if np.isnan(line[0]) else line[0], line[1]))
        ties = float(frame.groupby("instance")["quiet"].max().mean()) if len(frame) else 0.0
        ranks = {line[1]: 1 + sum(other[0] < line[0] - ties for other in lines) for line in lines}
        for standing, solver, own, good, share in lines:
            tiers = [record.provenance.tier for record in own["record"] if record is not None]
            found.append(
                Row(
                    family=str(own["family"].iloc[0]),
                    scenario=scenario,
                    solver=solver,
                    measure=measure.label,
                    score=number(float(good["value"].mean())) if len(good) else "none feasible",
                    loss=float(own["loss"].mean()) if measure.has_loss else standing,
                    success=share,
                    runs=len(own),
                    failures=int(own["outcome"].isin(_BAD).sum()),
                    evaluations=_mean(own["evaluations"]),
                    calls=_mean(own["llm_calls"]),
                    tokens=_mean(own["tokens"]),
                    usd=float(own["usd"].fillna(0.0).sum()),
                    tier=_lowest(tiers),
                    rank=ranks[solver],
                )
            )
    return found


def _mean(values: pd.Series[float]) -> float:
    known = values.dropna()
    return float(known.mean()) if len(known) else 0.0


def _lowest(tiers: Iterable[Tier]) -> str:
    known = sorted(set(tiers), key=lambda tier: tier.rank)
    return known[0].value.replace("_", "-") if known else "none"


def _problem(
    name: str,
    units: Units,
    colors: Mapping[str, int],
    degeneracy: Mapping[str, Sequence[Mapping[str, Any]]],
) -> ProblemPage:
    own = units.frame[units.frame["scenario"] == name]
    documents: list[Record] = [record for record in own["record"] if record is not None]
    scenario, family = documents[0].instance.scenario, str(own["family"].iloc[0])
    measure = units.measures[name]
    charts = [score_chart(name, units.frame, measure.label, colors), progress_chart(name, units.frame, colors)]
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
        records=tuple(_record_lines(own)),
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
    return plain_table("references", caption, headings, sorted(seen, key=str), ("instance", "value", "dual bound", "tie"))


def _degeneracy(scenario: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    headings = ("policy", "feasible", "value", "ratio to the reference", "worst ratio")
    shown = [
        (
            row["policy"],
            f"{row['feasible']:.0%}",
            *("" if row[key] is None else number(row[key]) for key in ("value", "ratio", "worst_ratio")),
        )
        for row in rows
    ]
    caption = (
        f"What trivial policies and random points reach on {scenario} before anybody trains or compares anything "
        f"(optisolve inspect problem={scenario})."
    )
    return plain_table("degeneracy", caption, headings, shown, headings[1:])


def _solver(name: str, units: Units, rows: Sequence[Row]) -> SolverPage:
    own = units.frame[units.frame["solver"] == name]
    documents: list[Record] = [record for record in own["record"] if record is not None]
    registered = documents[0].solver.name if documents else name
    options = {json.dumps(record.solver.options, sort_keys=True) for record in documents}
    chosen = json.loads(sorted(options)[0]) if options else {}
    caption = "Options of its records." if len(options) < 2 else "Options of its first records; others differ, see each record."
    table = plain_table("options", caption, ("option", "value"), [(key, override_text(value)) for key, value in chosen.items()])
    summary = citation = ""
    if registered in SOLVERS.choices():
        info = SOLVERS.get(registered).info
        summary, citation = info.summary, info.citation
    return SolverPage(
        name, summary, citation, _card_file("solvers", registered), table, tuple(r for r in rows if r.solver == name)
    )


def _record_lines(own: pd.DataFrame) -> Iterable[dict[str, Any]]:
    for row in own.to_dict("records"):
        if row["record"] is not None:
            yield {
                "id": row["record_id"],
                "solver": row["solver"],
                "instance": int(row["instance"]),
                "repetition": int(row["repetition"]),
                "outcome": str(row["outcome"]),
                "value": number(float(row["value"])),
                "tier": row["record"].provenance.tier.value.replace("_", "-"),
            }


def _records(units: Units) -> Iterable[RecordPage]:
    for row in units.frame.to_dict("records"):
        record = row["record"]
        if record is not None:
            yield RecordPage(record, row["scenario"], row["solver"], _command(record), tuple(record_charts(record)))


def _command(record: Record) -> str:
    suite = record.suite
    if suite.name:
        return f"optisolve bench suite={suite.name} only=problem:{suite.problem},solver:{suite.solver}"
    settings = [f"problem={record.instance.scenario}", f"solver={record.solver.name}"]
    settings += [f"instance={record.instance.seed}", f"seed={record.seed}"]
    settings += [f"budget.{key}={override_text(value)}" for key, value in record.budget]
    return f"optisolve run {' '.join(settings)}"


def _told(kind: str, name: str, key: str) -> str:
    try:
        return content.header(kind, name).get(key, "")
    except OSError:
        return ""


def _card(kind: str, family: str) -> str:
    if family not in {name.split("/")[0] for name in PROBLEMS.choices()}:
        return ""
    return _text(kind, f"{family}/README.md")


def _card_file(kind: str, name: str) -> str:
    return _text(kind, f"{name}.md")


def _text(kind: str, name: str) -> str:
    try:
        return content.read_text(kind, name)
    except (OSError, OptisolveError):
        return ""
