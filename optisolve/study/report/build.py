"""From records to the content of a report: sections, tables, pictures, commands; how it looks is decided elsewhere."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from optisolve.core.errors import FieldProblem, OptionError
from optisolve.core.text import slug
from optisolve.run.records import box_note
from optisolve.run.schema import Record
from optisolve.run.table import TABLE
from optisolve.study.aggregate import Ranking, ranking
from optisolve.study.portfolio import portfolio
from optisolve.study.profiles import runtimes
from optisolve.study.report import tables
from optisolve.study.report.commands import Command, commands_of, suite_commands
from optisolve.study.report.inputs import Inputs, read_inputs
from optisolve.study.report.pictures import Picture, family_pictures
from optisolve.study.report.tables import Table, make_table
from optisolve.study.scored import Outcome, ScoredUnits, score_units

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Experiment", "FamilySection", "Report", "build_report", "report_of"]

_CONTROLS = ("null", "random_search")


@dataclass(frozen=True, eq=False, slots=True)
class FamilySection:
    """What the report says about one problem family.

    Attributes:
        name: The family.
        summary: Its outcome in sentences.
        ranking: Table of ranks; None where nothing can be ranked.
        tables: Scores, targets, portfolio.
        details: Tables that few people open, with their headings.
        pictures: In reading order.
    """

    name: str
    summary: tuple[str, ...]
    ranking: Table | None
    tables: tuple[Table, ...]
    details: tuple[tuple[str, Table], ...]
    pictures: tuple[Picture, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Experiment:
    """What the report says about one suite, or about all runs by hand: nothing is compared across them.

    Attributes:
        name: The suite with its version, or "Runs by hand".
        scenarios: What was solved.
        families: One section each.
        controls: Comparisons with trivial answers.
        costs: Costs.
        failures: Failures, and what was not run; those that are not empty.
    """

    name: str
    scenarios: Table
    families: tuple[FamilySection, ...]
    controls: tuple[Table, ...]
    costs: Table
    failures: tuple[Table, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Report:
    """The content of a report.

    Attributes:
        title: Heading.
        summary: What was run, in sentences.
        notices: What a reader must know before believing a table.
        setup: Suites and environments.
        experiments: A section per suite, and one for runs by hand.
        commands: How to make the records again.
        solvers: All solvers, in the order of their colors.
        units: All units, for CSV.
    """

    title: str
    summary: tuple[str, ...]
    notices: tuple[str, ...]
    setup: tuple[Table, ...]
    experiments: tuple[Experiment, ...]
    commands: tuple[Command, ...]
    solvers: tuple[str, ...]
    units: pd.DataFrame

    @property
    def families(self) -> tuple[FamilySection, ...]:
        """The families of all experiments."""
        return tuple(family for experiment in self.experiments for family in experiment.families)


def build_report(paths: Sequence[str | os.PathLike[str]], *, title: str = "Benchmark report", alpha: float = 0.05) -> Report:
    """Read records and work out everything that a report says.

    Args:
        paths: Records, their folders, or folders of folders.
        title: Heading of the report.
        alpha: Family-wise error rate of all tests.

    Raises:
        RecordError: No record, a file that is not one, or one that was altered.
        OptionError: An error rate outside (0, 1).
    """
    if not 0.0 < alpha < 1.0:
        raise OptionError("The report", [FieldProblem("alpha", alpha, "an error rate between 0 and 1, e.g. 0.05")])
    return report_of(read_inputs(paths), title=title, alpha=alpha)


def report_of(inputs: Inputs, *, title: str, alpha: float = 0.05) -> Report:
    """The same of records that were read already.

    Args:
        inputs: From `optisolve.study.report.inputs.read_inputs`, or a part of them.
        title: Heading of the report.
        alpha: Family-wise error rate of all tests.
    """
    import pandas as pd

    scored = {name: score_units(part.records, expected=part.expected) for name, part in inputs.experiments().items()}
    several = len(scored) > 1
    frame = pd.concat([_told_apart(units.frame, name, several) for name, units in scored.items()], ignore_index=True)
    return Report(
        title=title,
        summary=_summary(inputs, frame),
        notices=(*_notices(inputs), *_told_of(scored)),
        setup=_setup(inputs),
        experiments=tuple(_experiment(name, units, alpha, several) for name, units in scored.items()),
        commands=tuple(command for units in scored.values() for command in commands_of(units)) + suite_commands(inputs.suites),
        solvers=tuple(sorted(frame["solver"].unique())),
        units=frame.drop(columns="record"),
    )


def _told_apart(frame: pd.DataFrame, experiment: str, several: bool) -> pd.DataFrame:
    """The units, with their experiment where there are several."""
    if not several:
        return frame
    told = frame.copy()
    told.insert(0, "experiment", experiment)
    return told


def _experiment(name: str, units: ScoredUnits, alpha: float, several: bool) -> Experiment:
    times = runtimes(units)
    made = Experiment(
        name=name,
        scenarios=_scenarios(units),
        families=tuple(_family(family, units, times, alpha) for family in units.families),
        controls=tuple(table for control in _CONTROLS if (table := tables.controls(units, control)) is not None),
        costs=tables.costs(units),
        failures=tuple(tables.failures(units)),
    )
    return _renamed(made) if several else made


def _renamed(experiment: Experiment) -> Experiment:
    """With the experiment in the name of every table and picture, so that files of two experiments differ."""
    before = f"{slug(experiment.name)}-"

    def table(old: Table) -> Table:
        return replace(old, name=f"{before}{old.name}")

    families = [
        replace(
            family,
            ranking=None if family.ranking is None else table(family.ranking),
            tables=tuple(map(table, family.tables)),
            details=tuple((heading, table(old)) for heading, old in family.details),
            pictures=tuple(replace(picture, name=f"{before}{picture.name}") for picture in family.pictures),
        )
        for family in experiment.families
    ]
    return replace(
        experiment,
        scenarios=table(experiment.scenarios),
        families=tuple(families),
        controls=tuple(map(table, experiment.controls)),
        costs=table(experiment.costs),
        failures=tuple(map(table, experiment.failures)),
    )


def _told_of(scored: Mapping[str, ScoredUnits]) -> list[str]:
    """Notices about units, with the experiment where there are several; stand-ins are found by what the records say."""
    found = []
    for name, units in scored.items():
        of_this = f"{name}: " if len(scored) > 1 else ""
        for solver, own in units.frame.groupby("solver", sort=True)["record"]:
            models = [record.solver.llm for record in own if record is not None and record.solver.llm is not None]
            stood_in = sum(llm.provider == "surrogate" for llm in models)
            if stood_in:
                share = "" if stood_in == len(own) else f" in {stood_in} of {len(own)} runs"
                found.append(f"{of_this}{solver}: surrogate: no language model was called{share}")
        found += [f"{of_this}{notice}" for notice in units.notices]
    return found


def _family(name: str, units: ScoredUnits, times: pd.DataFrame, alpha: float) -> FamilySection:
    ranked = ranking(units, units.scenarios(name), alpha=alpha)
    own = times[times["family"] == name]
    shown = [*tables.scores(name, units, alpha=alpha), *tables.successes(name, units, own)]
    losses = ranked.blocks.table.clip(lower=0.0)
    if losses.shape[1] > 1 and all(units.measures[scenario].has_loss for scenario in ranked.blocks.scenarios):
        shown.append(tables.shares_of_portfolio(name, portfolio(losses, tolerance=ranked.blocks.tolerance), len(losses)))
    details = {"All indicators": tables.indicators(name, units)}
    if len(ranked.pairs):
        details["All pairs of solvers"] = tables.pairs(name, ranked)
    return FamilySection(
        name=name,
        summary=tuple(_findings(ranked)),
        ranking=tables.ranks(name, ranked, _labels(units, ranked)) if len(ranked.table) else None,
        tables=tuple(shown),
        details=tuple(details.items()),
        pictures=tuple(family_pictures(name, units, ranked, own)),
    )


def _labels(units: ScoredUnits, ranked: Ranking) -> str:
    return "; ".join(sorted({units.measures[scenario].label for scenario in ranked.blocks.scenarios}))


def _findings(ranked: Ranking) -> Iterable[str]:
    """The outcome of a family in sentences, with what the numbers cannot carry."""
    n, k = ranked.blocks.table.shape
    if k == 0:
        yield "No solver was run on every instance, so nothing can be ranked; the scores stand below."
        return
    elif k == 1:
        yield f"{ranked.table['solver'].iloc[0]} is the only solver on every instance; a ranking needs two."
    else:
        yield _verdict(ranked, n)
        yield from _behind_controls(ranked)
        yield from _strength(ranked, n, k)
    for solver, reason in sorted(ranked.blocks.left_out.items()):
        yield f"Not ranked: {solver} ({reason})."


def _behind_controls(ranked: Ranking) -> Iterable[str]:
    averages = dict(zip(ranked.table["solver"], ranked.table["average_rank"], strict=True))
    for control in _CONTROLS:
        behind = [name for name, rank in averages.items() if rank > averages.get(control, float("inf")) + 1e-9]
        if behind:
            yield f"Behind the control {control} in average rank: {', '.join(behind)}."


def _strength(ranked: Ranking, n: int, k: int) -> Iterable[str]:
    """What the tests say together, and when they cannot say anything."""
    test = ranked.friedman
    assert test is not None  # there are two solvers
    yield (
        f"Friedman's test that all are equal: chi-square {tables.number(test.statistic)}, p = {tables.number(test.p_value)} "
        f"(Iman and Davenport: p = {tables.number(test.f_p_value)})."
    )
    comparisons = k * (k - 1) // 2
    needed = math.floor(1 + math.log2(comparisons / ranked.alpha)) + 1  # smallest p-value of n pairs: 2 / 2^n
    if n < needed:
        counts = f"{n} {tables.plural('instance', n)} and {comparisons} {tables.plural('pair', comparisons)}"
        yield (
            f"With {counts} no pairwise difference can be significant at {ranked.alpha:g}, however clear; that takes at least "
            f"{needed} instances."
        )


def _verdict(ranked: Ranking, n: int) -> str:
    """Who ranks first, and whether the data can tell."""
    best = float(ranked.table["average_rank"].min())
    first = ranked.table[np.isclose(ranked.table["average_rank"], best)]["solver"].tolist()
    same = [name for name in ranked.table[~ranked.table["worse"].astype(bool)]["solver"] if name not in first]
    over = f"with an average rank of {best:.2f} over {n} {tables.plural('instance', n)}"
    if len(first) > 1:
        return f"{', '.join(first)} share the first place {over}."
    verdict = f"the data do not tell it from {', '.join(same)}" if same else "significantly ahead of every other solver"
    return f"{first[0]} ranks first {over}; {verdict}."


def _summary(inputs: Inputs, frame: pd.DataFrame) -> tuple[str, ...]:
    bad = frame[~frame["outcome"].isin([Outcome.OK, Outcome.SKIPPED])]
    count = {str(kind): int(number) for kind, number in bad["outcome"].value_counts().sort_index().items()}
    told = ", ".join(f"{number} {kind}" for kind, number in count.items()) or "none"
    return (
        f"{len(inputs.records)} records: {frame['solver'].nunique()} solvers on {frame['scenario'].nunique()} scenarios of "
        f"{frame['family'].nunique()} families, {len(frame)} units in all.",
        f"Units that count as the worst outcome: {told}.",
    )


def _notices(inputs: Inputs) -> list[str]:
    documents: list[Record] = inputs.records["record"].tolist()
    found = []
    for suite in inputs.suites:
        if suite.asked is not None and suite.total and suite.asked < suite.total:
            found.append(f"Suite {suite.name} was run in part: {suite.asked} of its {suite.total} units were asked for.")
    if untold := [suite.name for suite in inputs.suites if suite.asked is None]:
        which = f" of {', '.join(untold)}" if len(inputs.suites) > 1 else ""
        found.append(
            f"No suite.json stands beside the records{which}, so units that were never recorded cannot all be known; every "
            "solver is expected on every instance that has a record."
        )
    if any(Path(path).name == TABLE for path in inputs.records["path"]):
        found.append(
            "Some records are rows of a published table, which hold the end of a run and no curve: every target counts as "
            "reached at the end. Progress and fronts need the full records: make records SUITE=NAME."
        )
    tiers = {record.provenance.tier.value for record in documents}
    if "replayed" in tiers:
        found.append(
            "Some records were replayed: they follow from the replies beside them, and nobody can show who wrote those."
        )
    if unsure := sorted(tiers - {"verified", "replayed", "reproduced"}):
        found.append(f"Some records are {', '.join(unsure).replace('_', ' ')}: run optisolve verify before you trust them.")
    found += _outside_notices(documents)
    codes = sorted({str(record.solver.code) for record in documents})
    if len(codes) > 1:
        found.append(f"The records come from {len(codes)} revisions of the code; see the environments.")
    return found


def _outside_notices(documents: Sequence[Record]) -> Iterable[str]:
    """Scenarios whose scoring box leaves points out or hardly tells fronts apart, with the worst of their records."""
    noted: dict[str, list[Record]] = {}
    for record in documents:
        if box_note(record):
            noted.setdefault(record.instance.scenario, []).append(record)
    for scenario, records in sorted(noted.items()):
        worst = max(records, key=lambda record: (record.scores.outside or 0) / max(1, len(record.verified.F)))
        runs = f"{len(records)} {tables.plural('record', len(records))}"
        yield f"{scenario}: {runs} with a note on the scoring box; {worst.solver.name}: {box_note(worst)}."


def _setup(inputs: Inputs) -> tuple[Table, ...]:
    found = []
    if inputs.suites:
        columns = {"suite": "name", "version": "version", "lock (SHA-256)": "sha256", "records": "records"}
        columns |= {"asked for": "asked", "units of the suite": "total"}
        told = {heading: [getattr(suite, name) for suite in inputs.suites] for heading, name in columns.items()}
        found.append(make_table("suites", "Suites.", told, words=list(columns)[:3]))
    return (*found, _environments(inputs.records["record"].tolist()))


def _scenarios(units: ScoredUnits) -> Table:
    headings = ("scenario", "family", "version", "objectives", "scored by", "evaluations", "instances", "solvers", "reference")
    caption = (
        "What was solved, what it is scored by and measured to, the budget in evaluations, and what is proven about the "
        "reference."
    )
    rows = [_scenario_row(name, units) for name in units.scenarios()]
    numbers = ("evaluations", "instances", "solvers")
    return make_table(
        "scenarios", caption, dict(zip(headings, zip(*rows, strict=True), strict=True)), words={*headings}.difference(numbers)
    )


def _scenario_row(scenario: str, units: ScoredUnits) -> tuple[Any, ...]:
    own = units.frame[units.frame["scenario"] == scenario]
    documents: list[Record] = [record for record in own["record"] if record is not None]
    objectives, measure = documents[0].verified.objectives, units.measures[scenario]
    evidence = sorted({d.reference.evidence.value.replace("_", " ") for d in documents if d.reference is not None})
    limits = sorted({d.budget.evaluations for d in documents if d.budget.evaluations is not None})
    return (
        scenario,
        own["family"].iloc[0],
        ", ".join(sorted({d.instance.version for d in documents})),
        ", ".join(f"{o.sense} {o.name}" + (f" ({o.unit})" if o.unit else "") for o in objectives),
        f"loss: {measure.label}" if measure.has_loss else measure.label,
        ", ".join(f"{limit:,}" for limit in limits) or "unlimited",
        own["instance"].nunique(),
        own["solver"].nunique(),
        ", ".join(evidence) or "none",
    )


def _environments(documents: Sequence[Record]) -> Table:
    groups = Counter(map(_environment, documents))
    headings = ("code", "python", "machine", "threads", "packages")
    columns = dict(zip(headings, zip(*sorted(groups), strict=True), strict=True))
    counts = [groups[key] for key in sorted(groups)]
    return make_table("environments", "Where the records come from.", {**columns, "records": counts}, words=headings)


def _environment(record: Record) -> tuple[str, ...]:
    env = record.env
    packages = ", ".join(f"{name} {version}" for name, version in sorted(env.packages.items()))
    threads = ", ".join(f"{name}={value}" for name, value in sorted(env.threads.items()))
    return _revision(record.solver.code), env.python, f"{env.platform}; {env.cpu}, {env.cores} cores", threads, packages


def _revision(code: str) -> str:
    """A revision short enough to read; what stands behind the hash stays."""
    name, sign, dirty = code.partition("+")
    return f"{name[:16] if name.startswith('git:') else name}{sign}{dirty}"
