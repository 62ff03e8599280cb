"""What the command line shows: tables, notes, errors."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from optisolve.cli.credit import BY_MODEL, by_sources, shown_sources, stages
from optisolve.core.reference import STOPPED
from optisolve.core.status import Evidence, Limit, PointStatus, Termination
from optisolve.core.text import Redactor, printable_lines, secrets_here
from optisolve.numerics.indicators import quiet

if TYPE_CHECKING:
    from optisolve.core.documents import Json
    from optisolve.plotting.figures import StageSpan
    from optisolve.run.schema import Record
    from optisolve.run.solve import Result

__all__ = [
    "console",
    "errors",
    "format_number",
    "hide",
    "new_table",
    "print_error",
    "print_json",
    "print_note",
    "print_notice",
    "print_os_error",
    "print_summary",
    "score_row",
    "shown",
    "styled",
    "write_pictures",
    "write_plain",
]

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
    """A console that no text can steer, wherever it comes from: nothing is markup, so brackets stay as they are."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Strings of messages, tables and titles all come through here."""
        return super().render_str(shown(text), **options)


console = _Screen(highlight=False, emoji=False, markup=False)
errors = _Screen(stderr=True, highlight=False, emoji=False, markup=False)


def print_json(value: Json) -> None:
    """One JSON document on one line of stdout."""
    write_plain(json.dumps(value, allow_nan=False) + "\n")


def write_plain(text: str) -> None:
    """Text for another program on stdout; nowhere when stdout is closed."""
    console.file.write(shown(text))


def print_error(text: str) -> None:
    """One red line (or list) on stderr."""
    errors.print(styled("error:", "bold red"), text, soft_wrap=True)


def print_os_error(error: OSError, then: str = "") -> None:
    """A full disk, a folder without permission, a name that is too long: what it is, the file, and what that means."""
    print_error(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}{then}")


def styled(text: str, style: str) -> Text:
    """A text in a style of rich, e.g. ``"bold red"``."""
    return Text(shown(text), style=style)


def print_notice(text: str, kind: str = "note") -> None:
    """One line on stdout that must be seen beside the result.

    Args:
        text: What there is to say.
        kind: What it begins with.
    """
    console.print(styled(f"{kind}:", "yellow"), text, soft_wrap=True)


def print_note(text: str) -> None:
    """One line on stderr that is no error."""
    errors.print(f"note: {text}", soft_wrap=True)


def new_table(*columns: str, title: str | None = None) -> Table:
    """A plain table; columns whose name starts with '>' are right-aligned."""
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold", pad_edge=False)
    for column in columns:
        right = column.startswith(">")
        table.add_column(column.lstrip(">"), justify="right" if right else "left", overflow="fold", no_wrap=right, min_width=6)
    return table


def _print_workers(result: Result) -> None:
    """Evaluations that were done again, and workers that batches left without work, where those were half of them."""
    who, history = result.record.provenance.workers, result.run.evaluator.history
    if who is None:
        return
    if who.redone:
        print_notice(f"{who.redone} evaluation(s) were done again, since a process had died or a machine was lost")
    left = who.workers - len(history) / max(1, history.batches)
    if left >= who.workers / 2 and not who.asynchronous:
        told = f"{left:.0f} of {who.workers} workers had nothing to do on average: the solver's batches are small"
        print_notice(f"{told} (solver.batch_size, or asynchronous=true; docs/evaluations.md)")


def print_summary(
    results: Mapping[str, Result], folder: Path, pictures: Sequence[Path], varied: Mapping[str, str] | None = None
) -> None:
    """Scores of a run beside its controls, who made what, notices, and where the files are.

    Args:
        results: By solver name; the first one is the subject.
        folder: Where its record is.
        pictures: Files that were drawn.
        varied: What a run of a sweep has for itself.
    """
    from optisolve.run.records import box_note

    subject = next(iter(results.values()))
    origin = subject.instance.origin
    own = [f"{key}={value}" for key, value in (varied or {}).items() if key not in ("seed", "instance")]
    which = ", ".join(["", f"instance {origin.seed}", f"seed {subject.record.seed}", *own])
    console.print(styled(origin.scenario, "bold") + which, soft_wrap=True)
    if told := _model_share(results):
        console.print(told, soft_wrap=True)
    for file in subject.record.provenance.files.values():
        if file.read:
            console.print(f"data:     {file.name}: {file.read}", soft_wrap=True)
    console.print(_score_table(results))
    _print_reference(subject.record)
    if told := box_note(subject.record):
        print_notice(told, "warning")
    if by_sources(subject.record):
        console.print(_source_table(subject.record))
    if subject.record.solver.llm is not None:
        _print_llm(subject.record)
        if any(name in subject.record.used.by_source for name in BY_MODEL):
            command = f"optisolve ablate problem={origin.scenario} solver={subject.record.solver.name}"
            console.print(f"needed? one run cannot tell: {command}", soft_wrap=True)
    elif "model_share" in subject.record.used.report.get("operator", {}):
        console.print("no language model took part (llm=none)")
    if subject.run.notice:
        print_notice(subject.run.notice)
    if failure := subject.record.provenance.failed:
        failed = subject.record.used.failed
        how = {"penalize": "count as bad points", "skip": "cost no evaluation", "stop": "ended the run"}[failure.policy]
        text = f"{failed} point(s) could not be evaluated by the model and {how}; the first: {failure.first}"
        print_notice(text, "warning")
    _print_workers(subject)
    if cache := subject.record.provenance.llm_cache:
        console.print(f"response cache: {cache.calls} calls answered from it, {cache.usd:.4f} USD not spent")
    if warning := subject.record.used.report.get("operator", {}).get("warning"):
        print_notice(warning, "warning")
    if hops := subject.record.used.report.get("fallbacks"):
        took = subject.record.used.report.get("gate")
        print_notice(f"{', '.join(hops)} made no choice; the gate {took} took over", "warning")
    if subject.shortfall:
        print_notice(f"no feasible point; {subject.shortfall}", "warning")
    termination = subject.record.termination
    if subject.termination is Termination.ERROR or subject.limit is Limit.MEMORY:
        broke = "the solver broke: " if subject.termination is Termination.ERROR else ""
        print_notice(f"{broke}{termination.detail}", "warning")
    limit = f" ({termination.limit})" if termination.limit else ""
    console.print(
        f"stopped: {termination.status}{limit}; points verified: {_counts(subject)}; result hash {subject.result_hash[:16]}",
        soft_wrap=True,
    )
    console.print(f"record:   {folder}", soft_wrap=True)
    if pictures:
        console.print(f"pictures: {', '.join(path.name for path in pictures)}", soft_wrap=True)


def _score_table(results: Mapping[str, Result]) -> Table:
    """One row per solver; columns that say nothing about this run are left out."""
    rows = {name: score_row(result.record) for name, result in results.items()}
    columns = [
        c for c in next(iter(rows.values())) if c == "points" or any(row[c] not in ("–", "0", "") for row in rows.values())
    ]
    table = new_table("solver", *(f">{column}" for column in columns))
    table.columns[0].min_width = max(map(len, rows))  # a name is not broken
    for name, row in rows.items():
        table.add_row(name, *(row[column] for column in columns))
    return table


def score_row(record: Record) -> dict[str, str]:
    """What a run reached and used, as it is shown, by column.

    Args:
        record: The run's record.
    """
    scores, used, point = record.scores.values(), record.used, record.verified.point
    wanted = ("hypervolume", "gap", "igd_plus") if len(record.verified.objectives) > 1 else ("objective", "gap", "bound_gap")
    told = {**scores, **{name: _told_gap(scores[name], scores["tie"]) for name in ("gap", "bound_gap")}}
    return {
        **{name.replace("_plus", "+").replace("_", " "): format_number(told[name]) for name in wanted},
        "points": str(sum(record.verified.feasible)),
        "status": "" if point is PointStatus.FEASIBLE else point.value.replace("_", " "),
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
    why = f"; {told.detail}" if told.evidence in (Evidence.PROVEN_INFEASIBLE, Evidence.NONE) else ""
    if not why and (at := told.detail.find(STOPPED)) >= 0:
        why = f"; {told.detail[at:]}"
    parts += [f"slack {told.slack:.2g}"] if told.slack > told.tolerance else []
    by = told.solver
    console.print(f"reference: {evidence}{': ' if parts else ''}{', '.join(parts)} ({by}{why})", soft_wrap=True)
    if told.note:
        print_note(told.note)


def _model_share(results: Mapping[str, Result]) -> str:
    """What a language model's points were worth in a run, and what its controls reached without one; "" without such points."""
    (_, subject), *others = results.items()
    record, by_source = subject.record, subject.record.used.by_source
    made = [by_source[name] for name in BY_MODEL if name in by_source]
    if record.solver.llm is None or not made:
        return ""
    total, gain = sum(item.gain for item in by_source.values()), sum(item.gain for item in made)
    several = len(record.verified.objectives) > 1
    if several and not total:  # the note on the scoring box says why nobody's points count
        return ""
    of = f"the hypervolume {total:.4f}" if several else f"{format_number(total)}, by which the objective improved"
    who = "stand-in for a language model" if record.solver.llm.provider == "surrogate" else "language model"
    count = sum(item.evaluations for item in made)
    told = f"the {who} contributed {gain:.4f} of {of}, with {count:,} of {record.used.evaluations:,} evaluations"
    plain = {
        merit: (name, result.record)
        for name, result in others
        if (merit := _merit(result)) is not None and result.record.solver.llm is None
    }
    if not plain:
        return told
    name, best = plain[max(plain)]
    value = best.scores.hypervolume if several else best.scores.objective
    return f"{told}; without one {_named(name, best)} reached {format_number(value)} in {best.used.wall_s:.2f} s"


def _named(name: str, record: Record) -> str:
    """A competitor as the command line takes it, or by what is special about it."""
    return f"solver={name}" if name == record.solver.name else f"'{name}'"


def _merit(result: Result) -> float | None:
    """Hypervolume or objective, larger is better."""
    scores = result.record.scores
    return scores.hypervolume if scores.objective is None else -scores.objective * float(result.instance.signs[0])


def _source_table(record: Record) -> Table:
    """Who made the points and what they added; first points one source after the other, then those who took turns."""
    several, told = len(record.verified.objectives) > 1, stages(record)
    gain = ("adds hypervolume", "hypervolume then") if several else ("objective gain",)
    table = new_table("points by", ">evaluations", ">share", *(f">{column}" for column in gain))
    total = max(1, sum(stage.evaluations for stage in told))

    def add(name: str, count: int, gained: float, after: float | None) -> None:
        then = [] if not several else ["" if after is None else format_number(after)]
        table.add_row(name, f"{count:,}", f"{count / total:.1%}", format_number(gained), *then)

    reached = sum(stage.gain for stage in told)
    for k, stage in enumerate(told):
        add(stage.name, stage.evaluations, stage.gain, reached if k == len(told) - 1 else stage.after)
        for name, item in stage.parts:
            add(f"  {_PARTS.get(name, name)}", item.evaluations, item.gain, None)
    return table


_PARTS = {"llm": "as given", "repaired": "repaired"}


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
        f"{name}: {llm.provider} {llm.model}; {used.llm_calls} calls, "
        f"{used.tokens_in + used.tokens_out:,} tokens{cost}; candidates: {told or 'none'}",
        soft_wrap=True,
    )


def _counts(result: Result) -> str:
    return ", ".join(f"{count} {status}" for status, count in result.verification.counts.items()) or "none"


def format_number(value: float | None) -> str:
    """Four decimals, or four digits for large values and for small ones, which are no zeros; a dash for nothing."""
    if value is None:
        return "–"
    return f"{value:.4f}" if value == 0.0 or 1e-3 <= abs(value) < 1e4 else f"{value:.4g}"


def _spans(record: Record) -> list[StageSpan]:
    """The stretches of a chain of stages, in their order; none for other solvers."""
    from optisolve.plotting.figures import StageSpan

    entries = record.used.report.get("explanation", ()) if "stages" in record.used.report else ()
    told = [entry["facts"] for entry in entries if entry["step"] == "stage" and entry["facts"]["evaluations"]]
    return [StageSpan(f["stage"], f["total"] - f["evaluations"], f["total"], f["gain"]) for f in told]


def write_pictures(results: Mapping[str, Result], folder: Path) -> list[Path]:
    """Draw a run beside its controls: front, convergence, the problem's picture of one solution (``map.png``, ``powers.png``),
    who made what when several sources did, and the rounds of a game.

    Args:
        results: By solver name; the first one is the subject.
        folder: Where the PNG files go.

    Returns:
        The files written; a picture that does not apply is left out.
    """
    import numpy as np

    from optisolve.plotting.figures import credit_figure, credited_sources, stages_figure
    from optisolve.plotting.game import rounds_figure
    from optisolve.plotting.style import save_figure
    from optisolve.run.plot import run_figures

    subject = next(iter(results.values()))
    figures = run_figures(results)
    sources = shown_sources(subject.record)
    if len(credited_sources(sources)) > 1:
        reached = subject.hypervolume if len(subject.instance.objectives) > 1 else subject.scores["objective"]
        figures["credit"] = credit_figure(sources, subject.instance, reached=reached or 0.0)
    if spans := _spans(subject.record):
        curve = np.array([(row[0], np.nan if row[2] is None else row[2]) for row in subject.record.trace])
        figures["stages"] = stages_figure(spans, curve[:, 0], curve[:, 1], subject.instance)
    played = {name: result.record.used.report for name, result in results.items()}
    played = {name: report for name, report in played.items() if "rounds" in report and "epsilon" in report}
    if played:
        optimum = None if subject.record.reference is None else subject.record.reference.value
        figures["rounds"] = rounds_figure(played, subject.instance, optimum)
    return [save_figure(figure, folder / f"{name}.png") for name, figure in figures.items()]
