"""``optisolve ablate``: was the language model needed? Plan, run, report."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from annotated_types import Ge, Le
from rich.table import Table

from optisolve.cli.display import console, format_number, new_table, print_error, print_notice, styled
from optisolve.cli.progress import Bar, Show, duration
from optisolve.cli.settings import Choice, Group, Verb
from optisolve.core.budget import UNLIMITED, Budget
from optisolve.core.errors import FieldProblem, OptionError
from optisolve.core.options import Collected
from optisolve.registry import make_solver, named_problem

if TYPE_CHECKING:
    from optisolve.core.solver import Solver
    from optisolve.programs.search import Arm
    from optisolve.study.ablation.forecast import Forecast
    from optisolve.study.ablation.pages import Written
    from optisolve.study.ablation.plan import Plan
    from optisolve.study.ablation.report import Report
    from optisolve.study.evolve import Evolution
    from optisolve.study.evolve.compare import RuleAblation
    from optisolve.study.runner import Progress

__all__ = ["ENGINE", "EVALUATIONS", "Ablate"]

ENGINE = {"pop_size": 20, "n_neighbors": 10, "wave_size": 10}
"""Settings of a solver that has them when nothing is said: small, so that a model on two cores is done in minutes."""

EVALUATIONS = 100

_INSTANCES = 3


@dataclass(frozen=True, slots=True)
class Ablate(Verb):
    """Was the language model needed? The same run with plain operators in its place.

    With skeleton=NAME it is asked about the search for rules, optisolve evolve, instead of about a solver.

    Args:
        problem: What is solved.
        solver: Any solver that asks a language model (ledma is small here unless said otherwise: pop_size=20, n_neighbors=10,
            wave_size=10); solver.mix=1.0 of ledma is the share of the targets that the arms serve, DE serves the others.
        llm: The language model: auto, local, openai, surrogate.
        arms: What the solver itself says belongs in the model's place, all of it unless said otherwise; for ledma placebo,
            sbx, de, linear, convex, gaussian, zeros, uniform; for solvers that say nothing random, null; for rules llm,
            best_of_n, placebo, wordless, gp, random at equal evaluations, gp_time, random_time at equal time.
        instances: 3 unless said otherwise. Pairs are instances x seeds; with eight controls fewer than 9 pairs cannot be
            significant.
        seeds: See instances.
        episode: Steps of an episode, in place of instances: was the model helped by notes of earlier steps? Its placebo has
            notes with the numbers dealt out anew, unnoted none; all arms begin with the last answer where they can.
        motion: How the instance moves in an episode, as for run: kind and its settings.
        budget: Per run: evaluations (100 unless said otherwise) for every arm, llm_calls (no limit unless said otherwise: the
            evaluations bound them, and the forecast says how many), llm_tokens and usd of an arm that asks the model; a limit
            lowers the share when it must.
        skeleton: What rules are the missing piece of, as for evolve; pairs are seeds then, budget.evaluations are programs, and
            searches run one after the other: solver, instances, limits, executor, workers and threads are refused.
        sets: As for evolve, with a skeleton only.
        search: As for evolve, with a skeleton only.
        ask: As for evolve, with a skeleton only.
        limits: Per run: seconds (86400 unless said otherwise), memory_mb (16000).
        executor: As for bench.
        workers: Runs at a time; one per core unless said otherwise.
        threads: Threads of the numerical libraries in each worker.
        out: Folder (runs/ablation-PROBLEM-LLM unless said otherwise); finished runs in it are found again and not repeated.
        progress: How far the runs are, on stderr. auto: a bar on a terminal, elsewhere a line every few seconds.
        dry_run: Print the planned calls, run nothing.

    exit codes: 0 ok, 1 error, 130 interrupted (a partial report is written; the same command goes on)
    """

    moved: ClassVar = {"mix": "solver.mix"}
    problem: Choice
    solver: Choice = Choice("ledma")
    llm: Choice = Choice("auto")
    arms: tuple[str, ...] = ()
    instances: Annotated[int, Ge(1)] | None = None
    seeds: Annotated[int, Ge(1), Le(1000)] = 3
    episode: Annotated[int, Ge(1)] | None = None
    motion: Group = field(default_factory=dict)
    budget: Group = field(default_factory=dict)
    skeleton: str = ""
    sets: Group = field(default_factory=dict)
    search: Group = field(default_factory=dict)
    ask: Group = field(default_factory=dict)
    limits: Group = field(default_factory=dict)
    executor: Literal["serial", "joblib", "ray"] = "serial"
    workers: Annotated[int, Ge(1)] | None = None
    threads: Annotated[int, Ge(1)] = 1
    out: str = ""
    progress: Show = "auto"
    dry_run: bool = False
    command: tuple[str, ...] = field(default=(), init=False)

    @classmethod
    def read(cls, verb: str, words: Sequence[str]) -> Ablate:
        """The settings, with the words themselves for the head of the report."""
        made = super(Ablate, cls).read(verb, words)
        object.__setattr__(made, "command", (verb, *words))
        return made

    def _check(self) -> Iterable[FieldProblem]:
        if self.episode is None and self.motion:
            yield FieldProblem("motion", dict(self.motion), "episode=STEPS with it: nothing moves without one")
        if self.episode is not None and self.instances is not None:
            yield FieldProblem("instances", self.instances, "nothing beside episode, whose steps are the instances")
        if not self.skeleton:
            for name in ("sets", "search", "ask"):
                if getattr(self, name):
                    yield FieldProblem(
                        name, dict(getattr(self, name)), "skeleton=NAME with it: it belongs to the search for rules"
                    )
            return
        instead = {
            "solver": "nothing: with skeleton=NAME the search for rules is asked about, and no solver",
            "instances": "nothing: with skeleton=NAME pairs are seeds (seeds=N), instances of a search are sets.train, "
            "sets.validation and sets.test",
            "episode": "nothing: with skeleton=NAME the search for rules is asked about, and nothing moves",
            "limits": "nothing: with skeleton=NAME a search ends by budget.evaluations, llm_calls, llm_tokens or usd",
            "executor": "serial: with skeleton=NAME searches run one after the other; seconds are part of what is compared",
            "workers": "nothing: with skeleton=NAME searches run one after the other",
            "threads": "1: with skeleton=NAME a search has one thread; llm.threads are the model's",
        }
        defaults = {made.name: made.default for made in fields(Ablate)} | {"limits": {}}
        for name, expected in instead.items():
            if (given := getattr(self, name)) != defaults[name]:
                yield FieldProblem(name, given.name if isinstance(given, Choice) else given, expected)
        if "seconds" in self.budget:
            expected = "nothing: with skeleton=NAME arms at equal time have the time of the model's search"
            yield FieldProblem("budget.seconds", self.budget["seconds"], expected)

    def __call__(self) -> int:
        if self.skeleton:
            return _about_rules(self)
        from optisolve.study.ablation.forecast import forecast
        from optisolve.study.ablation.pages import write_report
        from optisolve.study.ablation.report import make_report
        from optisolve.study.ablation.runs import STOPPED, run_plan

        plan = _plan(self)
        if plan.surrogate:
            console.print(
                styled("No language model will be called:", "bold yellow"), "a surrogate answers in its place.", soft_wrap=True
            )
        for notice in plan.notices:
            print_notice(notice)
        ahead = forecast(plan)
        _print_forecast(plan, ahead)
        if self.dry_run:
            return 0
        with _Display(ahead, self.progress) as display:
            ablation = run_plan(plan, self.executor, self.workers, self.threads, on_progress=display.show)
        report = make_report(ablation)
        _print_report(report, write_report(report, command=self.command))
        if not ablation.stopped:
            return 0
        if ablation.stopped == STOPPED:
            return 130
        print_error(ablation.stopped)
        return 1


def _plan(settings: Ablate) -> Plan:
    """The plan.

    Raises:
        OptionError: Bad settings, all of them listed with their full names.
    """
    from optisolve.core.documents import plain
    from optisolve.llm.config import llm_config
    from optisolve.study.ablation.plan import LIMITS, make_plan

    collected = Collected("optisolve ablate")
    named, asked = settings.problem, settings.llm
    problem = collected("problem", lambda: named_problem(named.name, named.options))
    solver = collected("solver", lambda: _small(settings.solver))
    llm = collected("llm", lambda: llm_config(asked.name, **asked.options))
    most = {"evaluations": EVALUATIONS, "llm_calls": UNLIMITED, **settings.budget}
    budget = collected("budget", lambda: Budget.from_mapping(most))
    limits = collected("limits", lambda: LIMITS.with_option(**settings.limits))
    if problem is None or solver is None or llm is None or budget is None or limits is None:
        raise OptionError(collected.title, collected.problems)
    kind = "ablation" if solver.info.name == "ledma" else f"ablation-{settings.solver.name}"
    out = Path(settings.out or f"runs/{kind}-{(problem.scenario or problem.name).replace('/', '-')}-{asked.name}")
    return make_plan(
        problem,
        solver,
        out,
        arms=settings.arms,
        instances=settings.instances or _INSTANCES,
        seeds=settings.seeds,
        budget=budget,
        llm=llm,
        limits=limits,
        episode=None if settings.episode is None else {"steps": settings.episode, "motion": plain(dict(settings.motion))},
    )


def _small(solver: Choice) -> Solver:
    """The solver; where nothing is said, small."""
    made, given = make_solver(solver.name, solver.options), solver.options
    return made.with_option(**{key: value for key, value in ENGINE.items() if key in made.options() and key not in given})


# -- before ------------------------------------------------------------------------------------------------------------


def _print_forecast(plan: Plan, ahead: Forecast) -> None:
    from optisolve.study.ablation.verdict import pairs_needed

    found = f", {ahead.finished} of them are there already" if ahead.finished else ""
    console.print(
        styled("plan:", "bold"),
        f"{len(plan.arms)} arms x {plan.instances} {'step(s)' if plan.moving else 'instance(s)'} x {plan.seeds} seed(s) = "
        f"{ahead.runs} runs of {plan.budget.evaluations} evaluations{found}; folder {plan.out}",
        soft_wrap=True,
    )
    pairs, needed = len(plan.pairs), pairs_needed(len(plan.arms) - 1)
    if pairs < needed:
        print_notice(
            f"with {pairs} pairs and {len(plan.arms) - 1} comparisons nothing can be significant; "
            f"{needed} pairs are needed (raise seeds or instances, or name fewer arms)"
        )
    one = ahead.per_run
    if plan.surrogate:
        console.print(f"surrogate: {_told_calls(ahead.llm_runs, one.calls)}, no tokens, no cost", soft_wrap=True)
        return
    _print_planned(ahead.llm_runs, f"{one.model}, {one.prices}", one.calls, one.tokens_in + one.tokens_out, one.usd)
    if ahead.how:
        took = f"time: about {duration(ahead.seconds)} for the language model ({ahead.how}), little for the rest"
        console.print(took, soft_wrap=True)


def _print_planned(runs: int, model: str, calls: int, tokens: int, usd: float | None) -> None:
    """What runs would ask a language model, from what one of them would."""
    dollars = "" if not usd else f", about {runs * usd:.2f} USD"
    told = f"planned: {_told_calls(runs, calls)}, about {runs * tokens:,} tokens{dollars}; re-asks come on top"
    console.print(f"language model: {model}; {told}", soft_wrap=True)


def _told_calls(runs: int, calls: int) -> str:
    return f"{runs} runs x {calls} calls = {runs * calls} calls"


class _Display(Bar):
    """A bar over all runs, with the time that the language model will still take."""

    def __init__(self, ahead: Forecast, show: Show) -> None:
        super().__init__("ablate", "runs", ahead.runs, show=show)
        self._run_s, self._left_s, self._whole_s = ahead.run_s, ahead.seconds, ahead.seconds

    def show(self, state: Progress) -> None:
        """A run is over."""
        unit = state.unit
        if unit is None:
            self.update(state.done, state.total)
            return
        self._left_s = max(0.0, self._left_s - self._run_s * (unit.llm is not None))
        where = f"{unit.label}, instance {unit.index}, seed {unit.repetition}"
        share = 1.0 - self._left_s / self._whole_s if self._whole_s else None
        self.update(state.done, state.total, name=where, share=share)


# -- after -------------------------------------------------------------------------------------------------------------


def _print_report(report: Report, written: Written) -> None:
    from optisolve.study.ablation.markdown import answers

    for banner in report.banners:
        console.print(styled(banner, "bold yellow"), soft_wrap=True)
    if report.arms:
        console.print(_results(report))
    for row in answers(report):
        shares = [f"{text} {fate}" for fate, text in row.items() if text.endswith("%") and text != "0.0%"]
        console.print(f"answers of {row['arm']}: {', '.join([row['candidates'] + ' candidates', *shares])}", soft_wrap=True)
    console.print(styled("verdict:", "bold"), report.verdict.sentence, soft_wrap=True)
    console.print(f"report:   {written.markdown}, {written.csv.name}", soft_wrap=True)
    if written.pictures:
        console.print(f"pictures: {', '.join(path.name for path in written.pictures)}", soft_wrap=True)


def _results(report: Report) -> Table:
    from optisolve.study.ablation.markdown import comparison

    against = {row["llm against"]: row for row in comparison(report.versus)}
    others = [name for name in ("hypervolume",) if all(name in summary.others for summary in report.arms)]
    columns = (">mean loss", *(f">{name}" for name in others), ">llm better", ">Holm p", ">A12", ">tokens")
    table = new_table("arm", *columns, title=f"{report.setting}; means over {report.arms[0].n} pairs")
    for summary in sorted(report.arms, key=lambda s: s.standing):
        told = against.get(summary.arm.name, {})
        table.add_row(
            styled(summary.arm.name, "bold" if summary.asks else ""),
            format_number(summary.loss.mean),
            *(format_number(summary.others[name]) for name in others),
            f"{told['better']} of {summary.n}" if told else "",
            *(told.get(key, "").replace("**", "") for key in ("Holm p", "A12")),
            f"{summary.cost['tokens']:,.0f}",
        )
    return table


# -- rules ---------------------------------------------------------------------------------------------------------------


def _about_rules(settings: Ablate) -> int:
    """The same question about the search for rules: every arm searches with every seed, each in a folder of its own."""
    from tempfile import TemporaryDirectory

    from optisolve.cli.evolve import Evolve
    from optisolve.core.documents import write_atomic
    from optisolve.study.evolve import ASKING, skeleton_for
    from optisolve.study.evolve.compare import RULE_ARMS, compare_arms

    problem = named_problem(settings.problem.name, settings.problem.options)
    most = {"evaluations": EVALUATIONS, "llm_calls": UNLIMITED, **settings.budget}
    budget = Budget.from_mapping(most, title="budget")
    where = (problem.scenario or problem.name).replace("/", "-")
    out = Path(settings.out or f"runs/ablation-{settings.skeleton}-{where}-{settings.llm.name}")
    skeleton = skeleton_for(problem, settings.skeleton)
    evaluations, limits = budget.evaluations or 0, {n: v for n, v in budget.options().items() if n.startswith(("llm", "usd"))}
    names = settings.arms or RULE_ARMS

    def search_of(arm: Arm, seed: int, most: int, seconds: float | None) -> Evolve:
        return Evolve(
            problem=settings.problem,
            skeleton=settings.skeleton,
            by=arm,
            llm=settings.llm,
            evaluations=most,
            seconds=seconds,
            budget=limits if arm not in ("gp", "random") else {},
            seed=seed,
            sets=settings.sets,
            search=settings.search,
            ask=settings.ask,
            progress="off" if settings.dry_run else settings.progress,
        )

    def search(name: str, arm: Arm, seed: int, most: int, seconds: float | None) -> Evolution:
        found = search_of(arm, seed, most, seconds).searched(problem, skeleton, out / f"{name}-{seed}")
        found.write(out / f"{name}-{seed}" / "rule.json")
        return found

    if settings.dry_run:
        told = f"{len(names)} arms x {settings.seeds} seeds, {evaluations} programs each: {', '.join(names)}; folder {out}"
        console.print(told, soft_wrap=True)
        with TemporaryDirectory() as folder:
            one = search_of("llm", 0, evaluations, None).searched(problem, skeleton, Path(folder), dry_run=True).llm
        assert one is not None  # a search by the model
        searches = settings.seeds * len(ASKING.intersection(names))
        _print_planned(searches, one["model"], one["calls"], one["tokens_in"] + one["tokens_out"], one["usd"])
        return 0
    report = compare_arms(settings.arms, settings.seeds, evaluations, search)
    write_atomic(out / "ablation.json", (json.dumps(report.document(), indent=1) + "\n").encode())
    _print_ablation(report, out)
    return 0


def _print_ablation(report: RuleAblation, out: Path) -> None:
    table = new_table("arm", ">gain", ">95 %", ">shrunk", ">tried", ">s", ">w-t-l", ">Holm p")
    for one in report.standings:
        low, high = one.gain.low, one.gain.high
        pairs = "" if one.against is None else f"{one.against.wins}-{one.against.ties}-{one.against.losses}"
        table.add_row(
            styled(one.name, "bold" if one.against is None else ""),
            f"{one.gain.mean:+.3f}",
            "" if math.isnan(low) else f"{low:+.2f}, {high:+.2f}",
            "" if one.shrinkage is None else f"{one.shrinkage:+.3f}",
            f"{one.evaluations:.0f}" if one.evaluations else "",
            f"{one.seconds:.1f}" if one.evaluations else "",
            pairs,
            "" if one.p_holm is None else f"{one.p_holm:.3f}",
        )
    console.print(table)
    console.print(
        "gain: on unseen instances, percent of the first hand rule's value, with the interval of its mean over seeds; shrunk: "
        "how much more it was inside the loop; tried: programs; w-t-l: pairs won, tied and lost by the language model",
        soft_wrap=True,
    )
    console.print(report.verdict, soft_wrap=True)
    console.print(f"{out / 'ablation.json'}", soft_wrap=True)
