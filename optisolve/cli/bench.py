"""``optisolve bench``: run a suite, show its plan, or lock it."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge
from rich.table import Table

from optisolve import content
from optisolve.cli.display import console, format_number, new_table, print_error, print_note, print_notice, print_os_error
from optisolve.cli.progress import Bar, Show
from optisolve.cli.settings import Choice, Verb
from optisolve.core.errors import FieldProblem
from optisolve.core.status import Termination

if TYPE_CHECKING:
    from optisolve.core.documents import JsonObject
    from optisolve.run.schema import Record
    from optisolve.study.runner import Plan, Progress, Skip, SuiteRun, Unit
    from optisolve.study.suite import Suite

__all__ = ["Bench"]


@dataclass(frozen=True, slots=True)
class Bench(Verb):
    """Run a benchmark suite, resume it, or lock it; without settings the suites are listed.

    Args:
        suite: A suite that comes with optisolve, or the path of a YAML file.
        out: Folder or URL; the records go to OUT/SUITE/UNIT/.
        executor: joblib: workers on this machine, serial: one worker, ray: a cluster.
        workers: Units at a time; one per core unless said otherwise.
        threads: Threads of the numerical libraries in each worker.
        address: Ray cluster: local, auto or HOST:PORT.
        only: Part of the suite, e.g. solver:moead,problem:uav_isac; also instance:0, repetition:0.
        solvers: Other solvers NAME,NAME@LABEL on the suite's problems, at the suite's budget.
        llm: Language model of those solvers.
        trust: Hosts and key variables VARIABLE@URL,... that the suite's file names, and you confirm.
        resume: Keep finished units; false refuses a folder with records.
        retry: Run failed units again.
        dry_run: Show the plan, run nothing.
        lock: Write NAME.lock.json beside the suite, run nothing.
        trial: Run what is missing, then say of every problem whether it tells solvers apart; 1 when one does not.
        progress: How far the suite is, on stderr. auto: a bar on a terminal, elsewhere a line every few seconds.
        tracker: mlflow: send every record to an MLflow server; tracker.uri is its address (default MLFLOW_TRACKING_URI).

    exit codes: 0 ok, 1 error or failed units, 130 interrupted (the same command goes on)
    """

    suite: str = ""
    out: str = "runs"
    executor: Literal["joblib", "serial", "ray"] = "joblib"
    workers: Annotated[int, Ge(1)] | None = None
    threads: Annotated[int, Ge(1)] = 1
    address: str = "local"
    only: str = ""
    solvers: tuple[str, ...] = ()
    llm: Choice = Choice()
    trust: tuple[str, ...] = ()
    resume: bool = True
    retry: bool = False
    dry_run: bool = False
    lock: bool = False
    trial: bool = False
    progress: Show = "auto"
    tracker: Choice = Choice("none")

    def _check(self) -> Iterable[FieldProblem]:
        if not self.suite and any(getattr(self, f.name) != f.default for f in fields(self)):
            from optisolve.study.suite import list_suites

            yield FieldProblem("suite", None, f"one of {', '.join(list_suites())}, or the path of a YAML file")
        if self.tracker.name not in ("none", "mlflow"):
            yield FieldProblem("tracker", self.tracker.name, "none or mlflow")
        if self.tracker.name == "none" and self.tracker.options:
            yield FieldProblem("tracker.uri", self.tracker.options.get("uri"), "tracker=mlflow beside it")
        if self.llm != Choice() and not self.solvers:
            given = ", ".join(["kind"] * bool(self.llm.name) + [*self.llm.options])
            expected = "solvers=NAME@LABEL beside it; the language models of a suite's own solvers stand in the suite"
            yield FieldProblem("llm", given, expected)

    def __call__(self) -> int:
        from optisolve.study.suite import load_suite

        if not self.suite:
            return _list()
        suite = load_suite(self.suite)
        if self.lock:
            return _lock(suite)
        if self.dry_run:
            from optisolve.study.runner import plan_suite

            _print_plan(plan_suite(suite, self.only, _solvers(self.solvers, self.llm)))
            return 0
        try:
            return _run(self, suite)
        except OSError as error:
            print_os_error(error, "; finished units are complete, the same command goes on with the others")
            return 1


def _run(settings: Bench, suite: Suite) -> int:
    from optisolve.study.runner import run_suite
    from optisolve.study.tracking import MlflowTracker

    uri = str(settings.tracker.options.get("uri", ""))
    with Bar(suite.name, "units", show=settings.progress) as bar:
        done = run_suite(
            suite,
            settings.out,
            executor=settings.executor,
            workers=settings.workers,
            threads=settings.threads,
            address=settings.address,
            only=settings.only,
            solvers=_solvers(settings.solvers, settings.llm),
            trust=settings.trust,
            resume=settings.resume,
            retry=settings.retry,
            tracker=MlflowTracker(suite.name, uri) if settings.tracker.name == "mlflow" else None,
            on_progress=lambda state: _show(bar, state),
        )
    failures = _print_summary(done, tables=not settings.trial)
    if done.interrupted:
        print_notice(f"{done.missing} units are left; the same command goes on with them", "interrupted")
        return 130
    passed = _print_trial(done) if settings.trial else True
    return 1 if failures or not passed else 0


def _print_trial(done: SuiteRun) -> bool:
    """One row per problem with its verdict, then the reasons; True when all of them are admitted."""
    from optisolve.study.trial import judge

    trial = judge(done.suite, (record for _, record in done.records()))
    columns = (">instances", ">null", ">random", ">best", ">median", ">p", "verdict")
    table = new_table("problem", *columns, title=f"{done.suite.name}: mean losses, and whether a problem tells solvers apart")
    for verdict in trial.verdicts:
        losses = [verdict.null, verdict.random, *(end and end[1] for end in (verdict.best, verdict.median))]
        numbers = ("–" if loss is None else f"{loss:.3f}" for loss in losses)
        p_value = "–" if verdict.p_value is None else f"{verdict.p_value:.2g}"
        told = "admitted" if not verdict.refused else "excepted" if verdict.admitted else "refused"
        table.add_row(verdict.case, str(verdict.instances), *numbers, p_value, told)
    console.print(table)
    for verdict in (verdict for verdict in trial.verdicts if verdict.refused):
        why = f"excepted, {verdict.excepted}" if verdict.admitted else "refused"
        console.print(f"{verdict.case}: {why}: {'; '.join(verdict.refused)}", soft_wrap=True)
    place = "nowhere ranked" if trial.null_place is None else f"mean place {trial.null_place:.2f} (0 first, 1 last)"
    below = "below the median" if trial.null_below_median else "refused: it must be below the median"
    console.print(f"null: {place}, {below}", soft_wrap=True)
    return trial.passed


def _show(bar: Bar, state: Progress) -> None:
    failed = f"{state.failed} failed" if state.failed else ""
    last = "" if state.unit is None else f"{state.unit.case} {state.unit.label}"
    note = " · ".join(part for part in (failed, last) if part)
    bar.update(state.done, total=state.total, note=note)


def _solvers(names: Iterable[str], llm: Choice) -> list[JsonObject]:
    from optisolve.core.documents import plain

    asked: JsonObject = {} if llm == Choice() else {"llm": plain({"kind": llm.name or "openai", **llm.options})}
    return [{"solver": preset, "label": label, **asked} for preset, _, label in (name.partition("@") for name in names)]


def _lock(suite: Suite) -> int:
    from optisolve.study.lock import write_lock

    path, changed = write_lock(suite)
    console.print(f"{'locked' if changed else 'unchanged'}: {path}", soft_wrap=True)
    return 0


def _list() -> int:
    from optisolve.study.suite import list_suites

    table = new_table("suite", "what it compares", title="Suites (suite=NAME)")
    for name in list_suites():
        table.add_row(name, content.header("suites", name).get("summary", ""))
    console.print(table)
    console.print("optisolve bench --help shows all settings")
    return 0


def _print_plan(plan: Plan) -> None:
    """What would be run, how much it may cost, and what is skipped."""
    cases: dict[str, dict[str, int]] = {}
    for unit in plan.units:
        solvers = cases.setdefault(unit.case, {})
        solvers[unit.label] = solvers.get(unit.label, 0) + 1
    table = new_table("problem", ">units", "solvers", title=f"{plan.suite.name} {plan.suite.version}")
    for case, solvers in cases.items():
        table.add_row(case, str(sum(solvers.values())), ", ".join(solvers))
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
        told = f"{pairs} pairs of solver and problem are left out, since the one cannot treat the other"
        console.print(f"{told}; dry_run=true shows the reasons", soft_wrap=True)
        return
    table = new_table("skipped", "on", "because")
    for (label, reason), cases in reasons.items():
        table.add_row(label, ", ".join(cases), reason)
    console.print(table)


def _print_summary(done: SuiteRun, *, tables: bool = True) -> int:
    """One row per problem and solver, unless the tables are left out; returns the number of failed units."""
    cells: dict[tuple[str, str], list[Record]] = {}
    failed: list[tuple[Unit, str]] = []
    for unit, record in done.records():
        cells.setdefault((unit.case, unit.label), []).append(record)
        if record.termination.status == Termination.ERROR:
            failed.append((unit, record.termination.detail))
    for case in dict.fromkeys(case for case, _ in cells) if tables else ():
        console.print(_table(case, {label: records for (name, label), records in cells.items() if name == case}))
    _print_skips(done.skipped, full=False)
    references = ((unit.case, record.reference) for unit, record in done.records())
    told = {f"{case}: {reference.note}": None for case, reference in references if reference is not None and reference.note}
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
        print_notice(notice)
    console.print(f"records:  {done.folder}", soft_wrap=True)
    return len(failed)


def _table(case: str, cells: Mapping[str, Sequence[Record]]) -> Table:
    """Medians of one problem: of the loss, or where nothing measures it of hypervolume or objective."""
    from optisolve.study.loss import Yardstick, describe_loss, loss_of

    losses = {label: [loss_of(record) for record in records] for label, records in cells.items()}
    told = {loss.yardstick.value for own in losses.values() for loss in own} - {Yardstick.NOTHING.value}
    scores = [record.scores.values() for records in cells.values() for record in records]
    several = any(score["hypervolume"] is not None for score in scores)
    name = "loss" if told else "hypervolume" if several else "objective"
    columns = (f">median {name}", ">units", ">feasible", ">failed", ">seconds")
    title = f"{case}: {describe_loss(told, several=several)}" if told else case
    table = new_table("solver", *columns, title=title)
    for label, records in cells.items():
        values = [loss.value for loss in losses[label]] if told else [record.scores.values()[name] for record in records]
        feasible = sum(any(r.verified.feasible) for r in records)
        failed = sum(r.termination.status == Termination.ERROR for r in records)
        known = [value for value in values if value is not None]
        median = format_number(statistics.median(known) if known else None)
        seconds = statistics.median(r.used.wall_s for r in records)
        table.add_row(label, median, str(len(records)), str(feasible), str(failed), f"{seconds:.2f}")
    return table
