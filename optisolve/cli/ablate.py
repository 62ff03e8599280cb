"""``optisolve ablate``: was the language model needed? Plan, run, report."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.table import Table

from optisolve.cli.commands import parse_overrides
from optisolve.cli.display import console, errors, format_number, new_table, print_error
from optisolve.core.budget import Budget
from optisolve.core.errors import FieldProblem, OptionError, nearest
from optisolve.core.options import Options
from optisolve.core.solver import Solver
from optisolve.llm.config import llm_config
from optisolve.registry import load_problem, make_solver, solver_options
from optisolve.study.ablation.forecast import Forecast, forecast
from optisolve.study.ablation.markdown import answers, comparison
from optisolve.study.ablation.plan import LIMITS, Plan, make_plan
from optisolve.study.ablation.report import Report, Written, make_report, write_report
from optisolve.study.ablation.runs import STOPPED, run_plan
from optisolve.study.ablation.verdict import pairs_needed
from optisolve.study.runner import Progress

__all__ = ["ENGINE", "EVALUATIONS", "ablate_command"]

ENGINE = {"pop_size": 20, "n_neighbors": 10, "wave_size": 10}
"""Settings of a solver that has them when nothing is said: small, so that a model on two cores is done in minutes."""

EVALUATIONS = 100

_GROUPS = ("problem", "solver", "llm", "budget", "limits")


@dataclass(frozen=True, slots=True)
class _Settings(Options):
    problem: str
    solver: str = "ledma"
    llm: str = "auto"
    arms: str = ""
    instances: Annotated[int, Ge(1)] = 3
    seeds: Annotated[int, Ge(1), Le(1000)] = 3
    executor: Literal["serial", "joblib", "ray"] = "serial"
    workers: Annotated[int, Ge(1)] | None = None
    threads: Annotated[int, Ge(1)] = 1
    out: str = ""
    dry_run: bool = False


def ablate_command(options: argparse.Namespace) -> int:
    """``optisolve ablate key=value...``: 0 when the experiment is complete, 1 after an error, 130 after Ctrl-C."""
    plan, settings = _parse(options.overrides)
    if plan.surrogate:
        console.print("[bold yellow]No language model will be called:[/] a surrogate answers in its place.", soft_wrap=True)
    for notice in plan.notices:
        console.print(f"[yellow]note:[/] {escape(notice)}", soft_wrap=True)
    ahead = forecast(plan)
    _print_forecast(plan, ahead)
    if settings.dry_run:
        return 0
    size = {"executor": settings.executor, "workers": settings.workers, "threads": settings.threads}
    with _Display(plan, ahead) as display:
        ablation = run_plan(plan, on_progress=display.update, **size)
    report = make_report(ablation)
    written = write_report(report, command=["ablate", *options.overrides])
    _print_report(report, written)
    if not ablation.stopped:
        return 0
    if ablation.stopped == STOPPED:
        return 130
    print_error(ablation.stopped)
    return 1


def _parse(words: Iterable[str]) -> tuple[Plan, _Settings]:
    """The plan, and how it is run.

    Raises:
        OptionError: Bad settings, all of them listed with their full names.
    """
    plain: dict[str, Any] = {}
    nested: dict[str, dict[str, Any]] = {group: {} for group in _GROUPS}
    found: list[FieldProblem] = []
    for key, value in parse_overrides(words).items():
        group, dot, rest = key.partition(".")
        if key == "mix":
            found.append(FieldProblem(key, value, f"solver.mix={value}: whom the model serves is an option of the solver"))
        elif not dot:
            plain[key] = ",".join(map(str, value)) if key == "arms" and isinstance(value, list) else value
        elif group in nested:
            nested[group][rest] = value
        else:
            guess = nearest(group, _GROUPS)
            hint = f"; did you mean '{guess}.{rest}'?" if guess else ""
            found.append(FieldProblem(key, value, f"a setting of {', '.join(_GROUPS)}{hint}"))
    settings = _collect(found, "", lambda: _Settings.from_mapping({"problem": "", **plain}))
    if settings is not None and not settings.problem:
        found.append(FieldProblem("problem", None, "which problem, e.g. problem=uav_isac (see: optisolve list problems)"))
    if settings is None or not settings.problem:
        raise OptionError("The ablation's configuration", found)
    problem = _collect(found, "problem", lambda: load_problem(settings.problem, **nested["problem"]))
    solver = _collect(found, "solver", lambda: _small(settings.solver, nested["solver"]))
    llm = _collect(found, "llm", lambda: llm_config(settings.llm, **nested["llm"]))
    budget = _collect(found, "budget", lambda: Budget.from_mapping({"evaluations": EVALUATIONS, **nested["budget"]}))
    limits = _collect(found, "limits", lambda: LIMITS.with_option(**nested["limits"]))
    plan = None
    if not found:
        names = [name.strip() for name in settings.arms.split(",") if name.strip()]
        size: dict[str, Any] = {"instances": settings.instances, "seeds": settings.seeds, "limits": limits}
        kind = "ablation" if solver.info.name == "ledma" else f"ablation-{settings.solver}"
        out = Path(settings.out or f"runs/{kind}-{settings.problem.replace('/', '-')}-{settings.llm}")
        plan = _collect(found, "", lambda: make_plan(problem, solver, out, arms=names, budget=budget, llm=llm, **size))
    if found or plan is None:
        raise OptionError("The ablation's configuration", found)
    return plan, settings


def _small(name: str, given: dict[str, Any]) -> Solver:
    """The solver; where nothing is said, small."""
    known = {field.name for field in fields(solver_options(name)[0])}
    return make_solver(name, {**{key: value for key, value in ENGINE.items() if key in known}, **given})


def _collect(found: list[FieldProblem], prefix: str, make: Callable[[], Any]) -> Any:
    """The made object, or None after adding its bad fields with their full names."""
    try:
        return make()
    except OptionError as error:
        dot = f"{prefix}." if prefix else ""
        found.extend(FieldProblem(dot + p.field, p.given, p.expected) for p in error.problems)
        return None


# -- before ------------------------------------------------------------------------------------------------------------


def _print_forecast(plan: Plan, ahead: Forecast) -> None:
    found = f", {ahead.finished} of them are there already" if ahead.finished else ""
    console.print(
        f"[bold]plan:[/] {len(plan.arms)} arms x {plan.instances} instance(s) x {plan.seeds} seed(s) = {ahead.runs} runs of "
        f"{plan.budget.evaluations} evaluations{found}; folder {escape(str(plan.out))}",
        soft_wrap=True,
    )
    pairs, needed = len(plan.pairs), pairs_needed(len(plan.arms) - 1)
    if pairs < needed:
        console.print(
            f"[yellow]note:[/] with {pairs} pairs and {len(plan.arms) - 1} comparisons nothing can be significant; "
            f"{needed} pairs are needed (raise seeds or instances, or name fewer arms)",
            soft_wrap=True,
        )
    one = ahead.per_run
    calls = f"{ahead.llm_runs} runs x {one.calls} calls = {ahead.llm_runs * one.calls} calls"
    if plan.surrogate:
        console.print(f"surrogate: {calls}, no tokens, no cost", soft_wrap=True)
        return
    tokens = f"{ahead.llm_runs * (one.tokens_in + one.tokens_out):,} tokens"
    usd = "" if not one.usd else f", about {ahead.llm_runs * one.usd:.2f} USD"
    console.print(
        f"language model: {escape(one.model)}, {escape(one.prices)}; planned: {calls}, about {tokens}{usd}; re-asks come on "
        "top",
        soft_wrap=True,
    )
    if ahead.how:
        took = f"time: about {_duration(ahead.seconds)} for the language model ({ahead.how}), little for the rest"
        console.print(took, soft_wrap=True)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


class _Display:
    """A bar on stderr over all runs, weighted by what the language model takes; a line per pair when there is no terminal."""

    def __init__(self, plan: Plan, ahead: Forecast) -> None:
        self._plan, self._run_s, self._left_s = plan, ahead.run_s, ahead.seconds
        self._bar = Bar(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("runs {task.fields[note]}"),
            TimeElapsedColumn(),
            console=errors,
            transient=True,
            disable=not errors.is_terminal,
        )
        self._task = self._bar.add_task("ablate", total=ahead.runs, note="")

    def __enter__(self) -> _Display:
        self._bar.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._bar.stop()

    def update(self, state: Progress) -> None:
        """A run is over."""
        unit = state.unit
        if unit is None:
            self._bar.update(self._task, total=state.total)
            return
        self._left_s = max(0.0, self._left_s - self._run_s * (unit.llm is not None))
        where = f"{unit.label}, instance {unit.index}, seed {unit.repetition}"
        left = f"· about {_duration(self._left_s)} left" if self._left_s else ""
        self._bar.update(self._task, completed=state.done, description=where, note=left)
        if self._bar.disable and state.done % len(self._plan.arms) == 0:
            errors.print(f"{state.done} of {state.total} runs are done ({where} was the last)")


# -- after -------------------------------------------------------------------------------------------------------------


def _print_report(report: Report, written: Written) -> None:
    for banner in report.banners:
        console.print(f"[bold yellow]{escape(banner)}[/]", soft_wrap=True)
    if report.arms:
        console.print(_results(report))
    for row in answers(report):
        told = ", ".join(
            f"{share} {fate}" for fate, share in row.items() if fate not in ("arm", "candidates") and share != "0.0%"
        )
        console.print(f"answers of {row['arm']}: {row['candidates']} candidates, {told}", soft_wrap=True)
    console.print(f"[bold]verdict:[/] {escape(report.verdict.sentence)}", soft_wrap=True)
    console.print(f"report:   {escape(str(written.markdown))}, {written.csv.name}", soft_wrap=True)
    if written.pictures:
        console.print(f"pictures: {', '.join(path.name for path in written.pictures)}", soft_wrap=True)


def _results(report: Report) -> Table:
    against = {row["llm against"]: row for row in comparison(report.versus)}
    columns = (">mean loss", ">hypervolume", ">llm better", ">Holm p", ">A12", ">tokens")
    table = new_table("arm", *columns, title=escape(f"{report.setting}; means over {report.arms[0].n} pairs"))
    for summary in sorted(report.arms, key=lambda s: s.standing):
        told = against.get(summary.arm.name, {})
        table.add_row(
            f"[bold]{summary.arm.name}[/]" if summary.asks else summary.arm.name,
            format_number(summary.loss.mean),
            format_number(summary.others.get("hypervolume")),
            f"{told['better']} of {summary.n}" if told else "",
            *(told.get(key, "").replace("**", "") for key in ("Holm p", "A12")),
            f"{summary.cost['tokens']:,.0f}",
        )
    return table
