"""``optisolve bench``: run a suite, show its plan, or lock it."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table

from optisolve import content
from optisolve.cli.display import console, errors, format_number, new_table, print_error, print_note, print_os_error, shown
from optisolve.core.errors import FieldProblem, OptionError
from optisolve.core.options import Options
from optisolve.core.status import Termination
from optisolve.run.schema import Record
from optisolve.study.suite import Suite, list_suites, load_suite
from optisolve.study.units import loss_of_gap

if TYPE_CHECKING:
    from optisolve.study.runner import Plan, Progress, Skip, SuiteRun, Unit
    from optisolve.study.tracking import Tracker

__all__ = ["bench_command"]

_LINE_EVERY_S = 30.0


@dataclass(frozen=True, slots=True)
class _Settings(Options):
    suite: str
    out: str = "runs"
    executor: Literal["joblib", "serial", "ray"] = "joblib"
    workers: Annotated[int, Ge(1)] | None = None
    threads: Annotated[int, Ge(1)] = 1
    address: str = "local"
    only: str = ""
    solvers: str = ""
    trust: str = ""
    resume: bool = True
    retry: bool = False
    dry_run: bool = False
    lock: bool = False
    tracker: Literal["none", "mlflow"] = "none"


def bench_command(options: argparse.Namespace) -> int:
    """``optisolve bench key=value...``: 0 when every unit has a result, 1 when some failed, 130 after Ctrl-C."""
    if not options.overrides:
        _list()
        return 0
    settings, llm, uri = _parse(options.overrides)
    suite = load_suite(settings.suite)
    if settings.lock:
        return _lock(suite)
    solvers = _solvers(settings.solvers, llm)
    if settings.dry_run:
        from optisolve.study.runner import plan_suite

        _print_plan(plan_suite(suite, settings.only, solvers))
        return 0
    try:
        return _run(settings, suite, solvers, _tracker(settings, suite, uri))
    except OSError as error:
        print_os_error(error, "; finished units are complete, the same command goes on with the others")
        return 1


def _run(settings: _Settings, suite: Suite, solvers: list[dict[str, Any]], tracker: Tracker | None) -> int:
    from optisolve.study.runner import run_suite

    with _Display(suite.name) as display:
        done = run_suite(
            suite,
            settings.out,
            executor=settings.executor,
            workers=settings.workers,
            threads=settings.threads,
            address=settings.address,
            only=settings.only,
            solvers=solvers,
            trust=tuple(filter(None, settings.trust.split(","))),
            resume=settings.resume,
            retry=settings.retry,
            tracker=tracker,
            on_progress=display.update,
        )
    failures = _print_summary(done)
    if done.interrupted:
        text = f"[yellow]interrupted:[/] {done.missing} units are left; the same command goes on with them"
        console.print(text, soft_wrap=True)
        return 130
    return 1 if failures else 0


def _parse(words: Sequence[str]) -> tuple[_Settings, dict[str, str], str]:
    """Settings, settings of the language model, address of the tracker; bad ones in one message."""
    given: dict[str, Any] = {}
    llm: dict[str, str] = {}
    found: list[FieldProblem] = []
    for word in words:
        key, separator, value = word.lstrip("+").partition("=")
        if not separator:
            found.append(FieldProblem("setting", word, "key=value, e.g. suite=smoke"))
        elif key == "llm" or key.startswith("llm."):
            llm["kind" if key == "llm" else key.removeprefix("llm.")] = value
        else:
            given[key] = None if value in ("null", "None") else value
    uri = given.pop("tracker.uri", "")
    try:
        settings = _Settings.from_mapping({"suite": "", **given})
    except OptionError as error:
        found += error.problems
    if not found and not settings.suite:
        found.append(FieldProblem("suite", None, f"one of {', '.join(list_suites())}, or the path of a YAML file"))
    if not found and uri and settings.tracker == "none":
        found.append(FieldProblem("tracker.uri", uri, "tracker=mlflow beside it"))
    if not found and llm and not settings.solvers:
        expected = "solvers=NAME@LABEL beside it; the language models of a suite's own solvers stand in the suite"
        found.append(FieldProblem("llm", ", ".join(llm), expected))
    if found:
        raise OptionError("The configuration of the benchmark", found)
    return settings, llm, uri


def _solvers(names: str, llm: Mapping[str, str]) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    for name in filter(None, (part.strip() for part in names.split(","))):
        preset, _, label = name.partition("@")
        made.append({"solver": preset, "label": label, **({"llm": {"kind": "openai", **llm}} if llm else {})})
    return made


def _tracker(settings: _Settings, suite: Suite, uri: str) -> Tracker | None:
    if settings.tracker == "none":
        return None
    from optisolve.study.tracking import MlflowTracker

    return MlflowTracker(suite.name, uri)


def _lock(suite: Suite) -> int:
    from optisolve.study.lock import write_lock

    path, changed = write_lock(suite)
    console.print(f"{'locked' if changed else 'unchanged'}: {escape(str(path))}", soft_wrap=True)
    return 0


def _list() -> None:
    table = new_table("suite", "what it compares", title="Suites (suite=NAME)")
    for name in list_suites():
        table.add_row(name, escape(content.header("suites", name).get("summary", "")))
    console.print(table)
    console.print("optisolve bench --help shows all settings")


def _print_plan(plan: Plan) -> None:
    """What would be run, how much it may cost, and what is skipped."""
    cases: dict[str, dict[str, int]] = {}
    for unit in plan.units:
        solvers = cases.setdefault(unit.case, {})
        solvers[unit.label] = solvers.get(unit.label, 0) + 1
    table = new_table("problem", ">units", "solvers", title=f"{plan.suite.name} {plan.suite.version}")
    for case, solvers in cases.items():
        table.add_row(escape(case), str(sum(solvers.values())), escape(", ".join(solvers)))
    console.print(table)
    _print_skips(plan.skipped, full=True)
    worst = ", ".join(f"{amount:,.6g} {name.replace('_', ' ')}" for name, amount in plan.worst_case().items())
    console.print(f"{len(plan.units)} of {plan.total} units; at most {worst}", soft_wrap=True)
    console.print(f"suite hash {plan.lock.sha256}", soft_wrap=True)


def _print_skips(skips: Iterable[Skip], *, full: bool) -> None:
    reasons: dict[tuple[str, str], dict[str, None]] = {}
    for skip in skips:
        reason = skip.reason.replace(skip.case, "it")  # else every problem would have a reason of its own
        reasons.setdefault((skip.label, reason), {})[skip.case] = None
    if not reasons:
        return
    if not full:
        pairs = sum(len(cases) for cases in reasons.values())
        console.print(f"{pairs} pairs of solver and problem are skipped; dry_run=true shows the reasons")
        return
    table = new_table("skipped", "on", "because")
    for (label, reason), cases in reasons.items():
        table.add_row(escape(label), escape(", ".join(cases)), escape(reason))
    console.print(table)


def _print_summary(done: SuiteRun) -> int:
    """One row per problem and solver; returns the number of failed units."""
    cells: dict[tuple[str, str], list[Record]] = {}
    failed: list[tuple[Unit, str]] = []
    for unit, record in done.records():
        cells.setdefault((unit.case, unit.label), []).append(record)
        if record.termination.status == Termination.ERROR:
            failed.append((unit, record.termination.detail))
    for case in dict.fromkeys(case for case, _ in cells):
        console.print(_table(case, {label: records for (name, label), records in cells.items() if name == case}))
    _print_skips(done.skipped, full=False)
    told = {f"{u.case}: {r.reference.note}": None for u, r in done.records() if r.reference is not None and r.reference.note}
    for note in told:
        print_note(note)
    kept = len(done.finished) - done.executed
    console.print(f"units: {done.executed} run now, {kept} kept from before, {done.missing} left, {len(failed)} failed")
    for unit, detail in failed[:10]:
        print_error(f"{unit.id}: {detail}")
    if failed:
        more = f"{len(failed) - 10} more failed. " if len(failed) > 10 else ""
        console.print(f"{more}A failure counts as the worst outcome; retry=true runs failed units again.", soft_wrap=True)
    for notice in done.notices:
        console.print(f"[yellow]note:[/] {escape(notice)}", soft_wrap=True)
    console.print(f"records:  {escape(done.folder)}", soft_wrap=True)
    return len(failed)


def _table(case: str, cells: Mapping[str, Sequence[Record]]) -> Table:
    """Medians of one problem; by hypervolume, else by the loss to the reference, the bound, or the objective."""
    scores = [record.scores.values() for records in cells.values() for record in records]
    measures = ("hypervolume", "gap", "bound_gap", "objective")
    name = next((key for key in measures if any(score[key] is not None for score in scores)), "objective")
    columns = (f">median {name.replace('_', ' ')}", ">units", ">feasible", ">failed", ">seconds")
    table = new_table("solver", *columns, title=escape(case))
    for label, records in cells.items():
        found = [(value, r.scores.tie) for r in records if (value := r.scores.values()[name]) is not None]
        values = [loss_of_gap(value, tie) if name.endswith("gap") else value for value, tie in found]
        feasible = sum(any(r.verified.feasible) for r in records)
        failed = sum(r.termination.status is Termination.ERROR for r in records)
        median = format_number(statistics.median(values) if values else None)
        seconds = statistics.median(r.used.wall_s for r in records)
        table.add_row(escape(label), median, str(len(records)), str(feasible), str(failed), f"{seconds:.2f}")
    return table


class _Display:
    """Progress on stderr: a bar with an estimate of the time left on a terminal, else a line now and then."""

    def __init__(self, name: str) -> None:
        self._name, self._last = name, time.monotonic()
        self._bar = Bar(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=errors,
            transient=True,
            disable=not errors.is_terminal,
        )
        self._task = self._bar.add_task(escape(shown(name)), total=None, note="")

    def __enter__(self) -> _Display:
        self._bar.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._bar.stop()

    def update(self, state: Progress) -> None:
        """Show a run's state."""
        failed = f"{state.failed} failed" if state.failed else ""
        last = "" if state.unit is None else f"{state.unit.case} {state.unit.label}"
        note = " · ".join(part for part in (failed, last) if part)
        self._bar.update(self._task, total=state.total, completed=state.done, note=escape(shown(note)))
        if self._bar.disable and time.monotonic() - self._last > _LINE_EVERY_S:
            self._last = time.monotonic()
            errors.print(
                f"{escape(self._name)}: {state.done} of {state.total} units{', ' + failed if failed else ''}", soft_wrap=True
            )
