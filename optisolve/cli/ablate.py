"""``optisolve ablate``: was the language model needed? Plan, run, report."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Gt, Le
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from optisolve.cli.display import console, errors, format_number, new_table, print_error
from optisolve.cli.settings import Choice, Collected, Group, Verb
from optisolve.core.budget import Budget
from optisolve.core.errors import FieldProblem
from optisolve.llm.config import llm_config
from optisolve.registry import make_problem, make_solver
from optisolve.solvers.ledma.solver import Ledma
from optisolve.study.ablation.forecast import Forecast, forecast
from optisolve.study.ablation.plan import ARMS, Cell, Plan, make_plan, run_plan
from optisolve.study.ablation.report import FATES, Report, Written, make_report, share_of_answers, write_report
from optisolve.study.ablation.verdict import pairs_needed, told_p, told_share

if TYPE_CHECKING:
    from optisolve.run.execution import Progress

__all__ = ["ENGINE", "EVALUATIONS", "Ablate"]

ENGINE = {"pop_size": 20, "n_neighbors": 10, "wave_size": 10}
"""Engine settings when nothing is said: small, so that a model on two cores is done in minutes."""

EVALUATIONS = 100


@dataclass(frozen=True, slots=True)
class Ablate(Verb):
    """Was the language model needed? The same run with plain operators in its place.

    Args:
        problem: What is solved.
        solver: A preset whose operator is a language model, with changes for all arms (here small unless said otherwise:
            pop_size=20, n_neighbors=10, wave_size=10).
        llm: The language model: auto, local, openai, surrogate.
        arms: What is compared: llm, placebo, sbx, de, linear, convex, gaussian, zeros, uniform.
        instances: Pairs are instances x seeds; with all arms fewer than 9 pairs cannot be significant.
        seeds: See instances.
        mix: Share of the targets that the arms serve, DE serves the others.
        budget: Per run: evaluations (100 unless said otherwise) for every arm, llm_calls, llm_tokens and usd of an arm that
            asks the model; a limit lowers the share when it must.
        out: Folder (runs/ablation-PROBLEM-LLM unless said otherwise); finished runs in it are found again and not repeated.
        dry_run: Print the planned calls, run nothing.

    exit codes: 0 ok, 1 error, 130 interrupted (a partial report is written; the same command goes on)
    """

    problem: Choice
    solver: Choice = Choice("ledma")
    llm: Choice = Choice("auto")
    arms: tuple[str, ...] = ()
    instances: Annotated[int, Ge(1)] = 3
    seeds: Annotated[int, Ge(1), Le(1000)] = 3
    mix: Annotated[float, Gt(0), Le(1)] = 1.0
    budget: Group = field(default_factory=dict)
    out: str = ""
    dry_run: bool = False
    command: tuple[str, ...] = field(default=(), init=False)

    @classmethod
    def read(cls, verb: str, words: Sequence[str]) -> Ablate:
        """The settings, with the words themselves for the head of the report."""
        made = super(Ablate, cls).read(verb, words)
        object.__setattr__(made, "command", (verb, *words))
        return made

    def run(self) -> int:
        """0 when the experiment is complete, 1 after an error, 130 after Ctrl-C."""
        plan, out = _plan(self)
        if plan.surrogate:
            why = f" ({escape(plan.notice)})" if plan.notice else ""
            console.print(
                f"[bold yellow]No language model will be called:[/] a surrogate answers in its place{why}.", soft_wrap=True
            )
        ahead = forecast(plan, out)
        _print_forecast(plan, ahead, out)
        if self.dry_run:
            return 0
        with _Display(plan, ahead) as display:
            ablation = run_plan(plan, out, on_cell=display.cell, on_progress=display.update)
        report = make_report(ablation)
        written = write_report(report, out, command=self.command)
        _print_report(report, written)
        if not ablation.stopped:
            return 0
        if ablation.stopped == "stopped by the user":
            return 130
        print_error(ablation.stopped)
        return 1


def _plan(settings: Ablate) -> tuple[Plan, Path]:
    """The plan and its folder.

    Raises:
        OptionError: Bad settings, all of them listed with their full names.
    """
    collected = Collected("optisolve ablate")
    named, options = settings.problem, settings.solver.options
    problem = collected("problem", lambda: make_problem(named.name, named.options))
    solver = collected("solver", lambda: make_solver(settings.solver.name, {**ENGINE, **options}))
    llm = collected("llm", lambda: llm_config(settings.llm.name, **settings.llm.options))
    budget = collected("budget", lambda: Budget.from_mapping({"evaluations": EVALUATIONS, **settings.budget}))
    if solver is not None and not isinstance(solver, Ledma):
        expected = "a solver whose operator is a language model, e.g. solver=ledma; all other operators are arms"
        collected.problems.append(FieldProblem("solver", settings.solver.name, expected))
    size = {"instances": settings.instances, "seeds": settings.seeds, "mix": settings.mix}
    plan = None
    if not collected.problems:
        arms = settings.arms or tuple(ARMS)
        plan = collected("", lambda: make_plan(problem, solver, arms=arms, budget=budget, llm=llm, **size))
    plan = collected.whole(plan)
    name = named.name.replace("/", "-")
    out = settings.out or f"runs/ablation-{name}-{'none' if plan.llm is None else plan.llm.kind}"
    return plan, Path(out)


# -- before ------------------------------------------------------------------------------------------------------------


def _print_forecast(plan: Plan, ahead: Forecast, out: Path) -> None:
    found = f", {ahead.finished} of them are there already" if ahead.finished else ""
    console.print(
        f"[bold]plan:[/] {len(plan.arms)} arms x {plan.instances} instance(s) x {plan.seeds} seed(s) = {ahead.runs} runs of "
        f"{plan.budget.evaluations} evaluations{found}; folder {escape(str(out))}",
        soft_wrap=True,
    )
    pairs, needed = len(plan.pairs), pairs_needed(len(plan.arms) - 1)
    if pairs < needed:
        console.print(
            f"[yellow]note:[/] with {pairs} pairs and {len(plan.arms) - 1} comparisons nothing can be significant; "
            f"{needed} pairs are needed (raise seeds or instances, or name fewer arms)",
            soft_wrap=True,
        )
    told = ahead.per_run
    if told is None:
        return
    share = "" if plan.share == 1.0 else f"; the arms serve {plan.share:.0%} of the targets"
    calls = f"{ahead.llm_runs} runs x {told.calls} calls = {ahead.llm_runs * told.calls} calls"
    if plan.surrogate:
        console.print(f"surrogate: {calls}, no tokens, no cost{share}", soft_wrap=True)
        return
    tokens = f"{ahead.llm_runs * (told.tokens_in + told.tokens_out):,} tokens"
    usd = "" if not told.usd else f", about {ahead.llm_runs * told.usd:.2f} USD"
    console.print(
        f"language model: {escape(told.model)}, {escape(told.prices)}; planned: {calls}, about {tokens}{usd}{share}; re-asks "
        "come on top",
        soft_wrap=True,
    )
    if ahead.how:
        told_time = f"time: about {_duration(ahead.seconds)} for the language model ({ahead.how}), little for the rest"
        console.print(told_time, soft_wrap=True)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


class _Display:
    """A bar on stderr over all runs, weighted by what the language model takes; a line per pair when there is no terminal."""

    def __init__(self, plan: Plan, ahead: Forecast) -> None:
        self._plan, self._run_s = plan, ahead.run_s
        self._calls = 0 if ahead.per_run is None else ahead.per_run.calls
        self._left_s = ahead.seconds
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

    def cell(self, cell: Cell, done: bool) -> None:
        """A run begins, or is over."""
        where = f"{cell.arm.name}, instance {cell.instance}, seed {cell.seed}"
        self._bar.update(self._task, description=where, note=self._note(0))
        if not done:
            return
        if cell.arm.asks_llm:
            self._left_s = max(0.0, self._left_s - self._run_s)
        self._bar.advance(self._task)
        if cell.arm is self._plan.arms[-1] and self._bar.disable:
            pair = self._plan.pairs.index((cell.instance, cell.seed)) + 1
            errors.print(f"pair {pair} of {len(self._plan.pairs)} is complete (instance {cell.instance}, seed {cell.seed})")

    def update(self, state: Progress) -> None:
        """The current run's state; called a few times a second."""
        if not self._bar.disable:
            self._bar.update(self._task, note=self._note(state.meter.llm_calls))

    def _note(self, calls: int) -> str:
        told = f"· call {calls} of {self._calls} " if calls else ""
        return f"{told}· about {_duration(self._left_s)} left" if self._left_s else told


# -- after -------------------------------------------------------------------------------------------------------------


def _print_report(report: Report, written: Written) -> None:
    for banner in report.banners:
        console.print(f"[bold yellow]{escape(banner)}[/]", soft_wrap=True)
    if report.arms:
        console.print(_results(report))
        _print_answers(report)
    console.print(f"[bold]verdict:[/] {escape(report.verdict.sentence)}", soft_wrap=True)
    console.print(f"report:   {escape(str(written.markdown))}, {written.csv.name}", soft_wrap=True)
    if written.pictures:
        console.print(f"pictures: {', '.join(path.name for path in written.pictures)}", soft_wrap=True)


def _results(report: Report) -> Any:
    primary = report.measures[0]
    versus = {row.arm.name: row for row in report.versus[primary.column]}
    labels = [f">{measure.label}" for measure in report.measures]
    instances = len({instance for instance, _ in report.ablation.complete_pairs})
    title = f"{report.setting}; means over {report.arms[0].n} pairs from {instances} instance{'s' * (instances > 1)}"
    spent = any(summary.cost["tokens"] for summary in report.arms)
    sure = not all(math.isnan(summary.estimates[primary.column].low) for summary in report.arms)
    spread = ">95 % interval" if sure else ">range"
    head = ["arm", labels[0], spread, *labels[1:], ">llm wins", ">Holm p", ">A12", *([">tokens"] if spent else [])]
    table = new_table(*head, title=escape(title))
    ranked = sorted(report.arms, key=lambda s: s.means[primary.column], reverse=primary.maximize)
    for summary in ranked:
        row = versus.get(summary.arm.name)
        found = summary.estimates[primary.column]
        low, high = (found.low, found.high) if sure else (found.least, found.most)
        against = ("", "", "")
        if row is not None:
            p = told_p(row.p_holm).removeprefix("= ")
            times = f"{row.comparison.wins} of {row.comparison.n}"
            against = (times, f"[bold]{p}[/]" if row.significant else p, told_share(row.comparison.a12))
        first, *more = (format_number(summary.means[measure.column]) for measure in report.measures)
        table.add_row(
            f"[bold]{summary.arm.name}[/]" if summary.arm.asks_llm else summary.arm.name,
            first,
            "–" if math.isnan(low) else f"{low:.3f}–{high:.3f}",
            *more,
            *against,
            *([f"{summary.cost['tokens']:,.0f}"] if spent else []),
        )
    return table


def _print_answers(report: Report) -> None:
    for arm in report.ablation.plan.arms:
        told = share_of_answers(report.runs, arm.name) if arm.asks_llm else None
        if told is None:
            continue
        fates = ", ".join(f"{told[fate]:.0%} {fate}" for fate in FATES if told[fate])
        rest = f"; {told['fallbacks']:.0%} of the targets by fallback" if told["fallbacks"] else ""
        console.print(f"answers of {arm.name}: {told['candidates']:.0f} candidates, {fates}{rest}", soft_wrap=True)
