"""What the command line shows: a live progress bar, tables, errors."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from optisolve.core.status import Evidence, PointStatus
from optisolve.core.text import Redactor, printable_lines, secrets_here
from optisolve.numerics.indicators import quiet

if TYPE_CHECKING:
    from optisolve.core.documents import Json
    from optisolve.run.schema import Record, SourcePart
    from optisolve.run.solve import Result

__all__ = [
    "Bar",
    "console",
    "errors",
    "format_number",
    "hide",
    "new_table",
    "print_error",
    "print_json",
    "print_note",
    "print_os_error",
    "print_summary",
    "shown",
    "write_pictures",
    "write_plain",
]

_LINE_EVERY_S = 30.0

_hidden: set[str] = set()
"""Environment variables whose values are never shown, beside all that end in ``_API_KEY``."""


def hide(names: Iterable[str]) -> None:
    """Never show the values of these environment variables."""
    _hidden.update(names)


def shown(text: str) -> str:
    """A text as it may reach a terminal: line breaks are its only control characters, and it holds no key."""
    return printable_lines(_redactor(secrets_here(_hidden)).text(text))


@lru_cache(maxsize=8)
def _redactor(secrets: tuple[str, ...]) -> Redactor:
    return Redactor(secrets)


class _Screen(Console):
    """A console that no text can steer, wherever it comes from: what rich makes of markup is its own, the rest is filtered."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Markup as styled text; strings of messages, tables and titles all come through here."""
        return super().render_str(shown(text), **options)


console = _Screen(highlight=False, emoji=False)
errors = _Screen(stderr=True, highlight=False, emoji=False)


def print_json(value: Json) -> None:
    """One JSON document on one line of stdout."""
    write_plain(json.dumps(value, allow_nan=False) + "\n")


def write_plain(text: str) -> None:
    """Text for another program on stdout; nowhere when stdout is closed."""
    console.file.write(shown(text))


def print_error(text: str) -> None:
    """One red line (or list) on stderr."""
    errors.print(f"[bold red]error:[/] {escape(text)}", soft_wrap=True)


def print_os_error(error: OSError, then: str = "") -> None:
    """A full disk, a folder without permission, a name that is too long: what it is, the file, and what that means."""
    print_error(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}{then}")


def print_note(text: str) -> None:
    """One line on stderr that is no error."""
    errors.print(f"note: {escape(text)}", soft_wrap=True)


def new_table(*columns: str, title: str | None = None) -> Table:
    """A plain table; columns whose name starts with '>' are right-aligned."""
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold", pad_edge=False)
    for column in columns:
        right = column.startswith(">")
        table.add_column(column.lstrip(">"), justify="right" if right else "left", overflow="fold", no_wrap=right, min_width=6)
    return table


class Bar:
    """A live bar on stderr; where stderr is no terminal, a line now and then when there is one to print.

    Args:
        name: What is done.
        unit: What is counted.
        total: How many there will be, when that is known.
    """

    def __init__(self, name: str, unit: str, total: float | None = None) -> None:
        self.name, self.live, self._last = name, errors.is_terminal, time.monotonic()
        columns = ("[bold]{task.description}", BarColumn(bar_width=24), MofNCompleteColumn(), unit, "{task.fields[note]}")
        times = (TimeElapsedColumn(), "left", TimeRemainingColumn())
        self._bar = Progress(*columns, *times, console=errors, transient=True, disable=not self.live)
        self._task = self._bar.add_task(escape(shown(name)), total=total, note="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def update(self, done: float, total: float | None = None, *, name: str = "", note: str = "", line: str = "") -> None:
        """Show a state; what is not given stays.

        Args:
            done: How many are done.
            total: How many there will be.
            name: What is done now.
            note: What else there is to say.
            line: What stands for the bar where there is no terminal, every 30 s.
        """
        if self.live:
            title = escape(shown(name or self.name))
            self._bar.update(self._task, completed=done, total=total, description=title, note=escape(shown(note)))
        elif line and time.monotonic() - self._last > _LINE_EVERY_S:
            self._last = time.monotonic()
            errors.print(escape(line), soft_wrap=True)


def print_summary(results: Mapping[str, Result], folder: Path, pictures: Sequence[Path]) -> None:
    """Scores of a run beside its controls, who made what, notices, and where the files are."""
    from optisolve.run.records import box_note

    subject = next(iter(results.values()))
    origin = subject.instance.origin
    console.print(f"[bold]{origin.scenario}[/], instance {origin.seed}, seed {subject.record.seed}")
    if worth := _model_share(results):
        console.print(escape(worth), soft_wrap=True)
    console.print(_score_table(results))
    _print_reference(subject.record)
    if note := box_note(subject.record):
        console.print(f"[yellow]warning:[/] {escape(note)}", soft_wrap=True)
    if subject.record.solver.llm is not None:
        console.print(_source_table(subject))
        _print_llm(subject.record)
    if subject.run.notice:
        console.print(f"[yellow]note:[/] {escape(subject.run.notice)}", soft_wrap=True)
    if told := subject.record.provenance.failed:
        failed = subject.record.used.failed
        how = {"penalize": "count as bad points", "skip": "cost no evaluation", "stop": "ended the run"}[told.policy]
        text = f"{failed} point(s) could not be evaluated by the model and {how}; the first: {told.first}"
        console.print(f"[yellow]warning:[/] {escape(text)}", soft_wrap=True)
    if cache := subject.record.provenance.llm_cache:
        console.print(f"response cache: {cache.calls} calls answered from it, {cache.usd:.4f} USD not spent")
    if warning := subject.record.used.report.get("operator", {}).get("warning"):
        console.print(f"[yellow]warning:[/] {escape(warning)}", soft_wrap=True)
    if hops := subject.record.used.report.get("fallbacks"):
        took = subject.record.used.report.get("gate")
        console.print(f"[yellow]warning:[/] {', '.join(hops)} made no choice; the gate {took} took over", soft_wrap=True)
    if subject.shortfall:
        console.print(f"[yellow]warning:[/] no feasible point; {escape(subject.shortfall)}", soft_wrap=True)
    termination = subject.record.termination
    limit = f" ({termination.limit})" if termination.limit else ""
    console.print(
        f"stopped: {termination.status}{limit}; points verified: {_counts(subject)}; result hash {subject.result_hash[:16]}",
        soft_wrap=True,
    )
    console.print(f"record:   {escape(str(folder))}", soft_wrap=True)
    if pictures:
        console.print(f"pictures: {', '.join(path.name for path in pictures)}", soft_wrap=True)


def _score_table(results: Mapping[str, Result]) -> Table:
    """One row per solver; columns that say nothing about this run are left out."""
    multi = len(next(iter(results.values())).instance.objectives) > 1
    rows = {name: _score_row(result, multi) for name, result in results.items()}
    columns = [
        c for c in next(iter(rows.values())) if c == "points" or any(row[c] not in ("–", "0", "") for row in rows.values())
    ]
    table = new_table("solver", *(f">{column}" for column in columns))
    table.columns[0].min_width = max(map(len, rows))  # a name is not broken
    for name, row in rows.items():
        table.add_row(name, *(row[column] for column in columns))
    return table


def _score_row(result: Result, multi: bool) -> dict[str, str]:
    scores, used = result.scores, result.record.used
    wanted = ("hypervolume", "gap", "igd_plus") if multi else ("objective", "gap", "bound_gap")
    told = {**scores, **{name: _told_gap(scores[name], scores["tie"]) for name in ("gap", "bound_gap")}}
    return {
        **{name.replace("_plus", "+").replace("_", " "): format_number(told[name]) for name in wanted},
        "points": str(int(result.verification.feasible.sum())),
        "status": "" if result.point_status is PointStatus.FEASIBLE else result.point_status.value.replace("_", " "),
        "evaluations": str(used.evaluations),
        "seconds": f"{used.wall_s:.2f}",
    }


def _told_gap(gap: float | None, tie: float | None) -> float | None:
    """A gap as it is shown: 0 where the reference cannot tell it from 0, negative where a best known value is beaten."""
    return gap if gap is None or abs(gap) > quiet(tie) else 0.0


def _print_reference(record: Record) -> None:
    told = record.reference
    if told is None:
        return
    numbers = {"value": told.value, "dual bound": told.dual_bound}
    parts = [f"{name} {value:.6g}" for name, value in numbers.items() if value is not None]
    evidence = told.evidence.value.replace("_", " ")
    why = f"; {escape(told.detail)}" if told.evidence is Evidence.PROVEN_INFEASIBLE else ""
    parts += [f"slack {told.slack:.2g}"] if told.slack > told.tolerance else []
    by = escape(told.solver)
    console.print(f"reference: {evidence}{': ' if parts else ''}{', '.join(parts)} ({by}{why})", soft_wrap=True)
    if told.note:
        print_note(told.note)


_BY_MODEL = ("llm", "repaired")
"""Sources of points that a language model, or its stand-in, has made."""


def _model_share(results: Mapping[str, Result]) -> str:
    """What a language model's points were worth in a run, and what its controls reached without one; "" without such points."""
    subject, *others = results.values()
    record, by_source = subject.record, subject.record.used.by_source
    made = [by_source[name] for name in _BY_MODEL if name in by_source]
    if record.solver.llm is None or not made:
        return ""
    total, gain = sum(item.gain for item in by_source.values()), sum(item.gain for item in made)
    several = len(record.verified.objectives) > 1
    of = f"the hypervolume {total:.4f}" if several else f"{format_number(total)}, by which the objective improved"
    who = "stand-in for a language model" if record.solver.llm.provider == "surrogate" else "language model"
    count = sum(item.evaluations for item in made)
    told = f"the {who} contributed {gain:.4f} of {of}, with {count:,} of {record.used.evaluations:,} evaluations"
    plain = {merit: result for result in others if (merit := _merit(result)) is not None and result.record.solver.llm is None}
    if not plain:
        return told
    best = plain[max(plain)].record
    value = best.scores.hypervolume if several else best.scores.objective
    return f"{told}; without one solver={best.solver.name} reached {format_number(value)} in {best.used.wall_s:.2f} s"


def _merit(result: Result) -> float | None:
    """Hypervolume or objective, larger is better."""
    scores = result.record.scores
    return scores.hypervolume if scores.objective is None else -scores.objective * float(result.instance.signs[0])


def _source_table(result: Result) -> Table:
    by_source = shown_sources(result.record)
    total = sum(item.evaluations for item in by_source.values())
    gain = "hypervolume gain" if len(result.instance.objectives) > 1 else "objective gain"
    table = new_table("offspring by", ">evaluations", ">share", f">{gain}")
    for name, item in by_source.items():
        share = f"{item.evaluations / max(total, 1):.1%}"
        table.add_row(name, str(item.evaluations), share, format_number(item.gain))
    return table


def shown_sources(record: Record) -> dict[str, SourcePart]:
    """Who made what, for people: what the offline stand-in made is not shown as a language model's.

    Args:
        record: A record; its ``used.by_source`` has the same label ``llm`` for whoever sits in the model's place.
    """
    llm, by_source = record.solver.llm, record.used.by_source
    stand_in = llm is not None and llm.provider == "surrogate"
    return {"surrogate" if stand_in and name == "llm" else name: item for name, item in by_source.items()}


def _print_llm(record: Record) -> None:
    llm, report = record.solver.llm, record.used.report
    if llm is None:
        return
    fates = report.get("operator", {}).get("fates", {})
    told = ", ".join(f"{count} {fate}" for fate, count in fates.items() if count)
    used = record.used
    cost = f", {used.usd:.4f} USD" if used.usd else ""
    name = "stand-in" if llm.provider == "surrogate" else "language model"
    console.print(
        f"{name}: {llm.provider} {escape(llm.model)}; {used.llm_calls} calls, "
        f"{used.tokens_in + used.tokens_out:,} tokens{cost}; candidates: {escape(told) or 'none'}",
        soft_wrap=True,
    )


def _counts(result: Result) -> str:
    return ", ".join(f"{count} {status}" for status, count in result.verification.counts.items()) or "none"


def format_number(value: float | None) -> str:
    """Four decimals, or four digits for large values and for small ones, which are no zeros; a dash for nothing."""
    if value is None:
        return "–"
    return f"{value:.4f}" if value == 0.0 or 1e-3 <= abs(value) < 1e4 else f"{value:.4g}"


def write_pictures(results: Mapping[str, Result], folder: Path) -> list[Path]:
    """Draw front, map and convergence of a run beside its controls, who made what when several sources did, and the rounds of
    a game.

    Args:
        results: By solver name; the first one is the subject.
        folder: Where the PNG files go.

    Returns:
        The files written; a picture that does not apply is left out.
    """
    from optisolve.numerics.indicators import knee_index
    from optisolve.plotting import convergence_figure, front_figure, map_figure, save_figure
    from optisolve.plotting.figures import credit_figure, offspring_sources
    from optisolve.plotting.game import rounds_figure

    subject = next(iter(results.values()))
    instance = subject.instance
    written = []
    if len(instance.objectives) > 1:
        figure = front_figure(
            {name: result.verification.F[result.verification.feasible] for name, result in results.items()}, instance
        )
        written.append(save_figure(figure, folder / "front.png"))
    if subject.feasible:
        index = knee_index(subject.F * instance.signs)
        label = "knee point" if len(instance.objectives) > 1 else "best point"
        drawn = map_figure(instance, subject.X[index], label=label)
        if drawn is not None:
            written.append(save_figure(drawn, folder / "map.png"))
    sources = shown_sources(subject.record)
    if len(offspring_sources(sources)) > 1:
        written.append(save_figure(credit_figure(sources, instance), folder / "credit.png"))
    played = {name: result.record.used.report for name, result in results.items()}
    played = {name: report for name, report in played.items() if "rounds" in report and "epsilon" in report}
    if played:
        optimum = None if subject.record.reference is None else subject.record.reference.value
        written.append(save_figure(rounds_figure(played, instance, optimum), folder / "rounds.png"))
    traces = {name: result.trace for name, result in results.items() if len(result.trace)}
    if traces:
        written.append(save_figure(convergence_figure(traces, instance), folder / "convergence.png"))
    return written
