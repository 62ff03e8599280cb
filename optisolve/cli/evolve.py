"""``optisolve evolve``: search for a rule, and say what it is worth on instances that the search has not seen."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Gt

from optisolve.cli.display import console, errors, new_table, print_notice, styled
from optisolve.cli.progress import Bar, Show
from optisolve.cli.settings import Choice, Group, Verb
from optisolve.core.budget import Budget
from optisolve.core.errors import FieldProblem, OptionError
from optisolve.registry import named_problem

if TYPE_CHECKING:
    from optisolve.core.documents import Json
    from optisolve.core.problem import Problem
    from optisolve.llm.session import LlmSession
    from optisolve.programs.search import Candidate
    from optisolve.programs.skeleton import Skeleton
    from optisolve.study.evolve import Evolution

__all__ = ["Evolve"]

_WITHOUT = "by=gp and by=random need none"


@dataclass(frozen=True, slots=True)
class Evolve(Verb):
    """Search for a rule of a problem, written as data, and measure it on unseen instances.

    A search that was cut off goes on where it was when the same command is given again.

    Args:
        problem: Where instances come from, e.g. power_control/gaussian_k20_0db.
        skeleton: What the rule is the missing piece of: insertion, exchange or update (power_control), association
            (user_association), offload (offloading), placement (uav_isac), weights (traffic_engineering), variation (any
            problem, in the decomposition engine).
        by: gp: genetic programming over typed trees; random: blind sampling, the control; llm: a language model that sees what
            was found; and its controls: best_of_n (sees only what the search began with), placebo (shuffled scores), wordless
            (not a word about the problem).
        llm: The language model: auto, local, openai, replay.
        evaluations: Programs that are scored at most, the fit of constants included.
        seconds: Processor time of the search and of a model on this machine, and waiting for one elsewhere; no limit unless
            said otherwise.
        budget: Limits of the conversation: llm_calls (40 unless said otherwise), llm_tokens, usd.
        seed: Decides the search and which instances are drawn.
        sets: Numbers of instances: train (48), validation (48), test (200); rounds (100) of one answer; evaluations (300) of
            one run, for variation; hand (false): the search begins with the rules of people.
        search: population (40), islands (3), migration (4), tournament (4), depth (6), nodes (30), crossover (0.55), hoist
            (0.05), constants (0.15), fit_share (0.2); where a model writes: model_share (1: all; the rest is genetic
            programming on what was found), first (10 random programs), open_tries (4 fillings of a program with ?).
        ask: style (auto), shown (8 best programs), failed (2), calls_per_step (4), max_reasks (1).
        out: Folder of rule.json, rule.png, candidates.jsonl and transcript.jsonl (runs/evolve-PROBLEM-SKELETON-BY-SEED unless
            said otherwise).
        progress: How far it is, on stderr. auto: a bar on a terminal, elsewhere a line every few seconds.
    """

    problem: Choice
    skeleton: str
    by: Literal["gp", "random", "llm", "best_of_n", "placebo", "wordless"] = "gp"
    llm: Choice = Choice("auto")
    evaluations: Annotated[int, Ge(1)] = 1000
    seconds: Annotated[float, Gt(0)] | None = None
    budget: Group = field(default_factory=dict)
    seed: Annotated[int, Ge(0)] = 0
    sets: Group = field(default_factory=dict)
    search: Group = field(default_factory=dict)
    ask: Group = field(default_factory=dict)
    out: str = ""
    progress: Show = "auto"

    def __call__(self) -> int:
        from optisolve.study.evolve import skeleton_for

        problem = named_problem(self.problem.name, self.problem.options)
        skeleton = skeleton_for(problem, self.skeleton)
        name = f"{(problem.scenario or problem.name).replace('/', '-')}-{skeleton.name}-{self.by}-{self.seed}"
        out = Path(self.out or f"runs/evolve-{name}")
        found = self.searched(problem, skeleton, out)
        found.write(out / "rule.json")
        _draw(found, out / "rule.png")
        _print(found, out)
        return 0

    def searched(self, problem: Problem, skeleton: type[Skeleton], out: Path, *, dry_run: bool = False) -> Evolution:
        """Begin the search, or go on with the one that the folder holds; a dry run sends nothing and counts what it would."""
        from optisolve.programs.search import SearchOptions
        from optisolve.study.evolve import EvolveOptions, evolve
        from optisolve.study.evolve.journal import Journal
        from optisolve.study.evolve.writer import AskOptions

        settings = EvolveOptions.from_mapping(self.sets, title="optisolve evolve, sets")
        search = SearchOptions.from_mapping(self.search, title="optisolve evolve, search")
        ask = AskOptions.from_mapping(self.ask, title="optisolve evolve, ask")
        with ExitStack() as stack:
            session = self._session(stack, out, dry_run)
            self._claim(out)
            journal = stack.enter_context(Journal(out / "candidates.jsonl"))
            if journal.resumed:
                print_notice(
                    f"{journal.resumed} candidates of this search stand in {out / 'candidates.jsonl'}; it goes on there."
                )
            bar = stack.enter_context(Bar("evolve", "programs", self.evaluations, show=self.progress))
            stack.push(_say_how_to_go_on)
            return evolve(
                problem,
                skeleton,
                self.by,
                evaluations=self.evaluations,
                seconds=self.seconds,
                seed=self.seed,
                settings=settings,
                search=search,
                told=_teller(bar, self.evaluations, session),
                session=session,
                ask=ask,
                journal=journal,
            )

    def _session(self, stack: ExitStack, out: Path, dry_run: bool) -> LlmSession | None:
        """The conversation, for those who ask; it is continued where the folder holds a part of it."""
        budget = self._limits()
        if self.by in ("gp", "random"):
            return None
        from optisolve.core.budget import BudgetMeter
        from optisolve.llm.config import llm_config, real_llm
        from optisolve.llm.session import open_session

        config = llm_config(self.llm.name, **self.llm.options)
        if self.llm.name != "replay":
            config = real_llm(config, _WITHOUT)
        out.mkdir(parents=True, exist_ok=True)
        meter = BudgetMeter(budget)
        kept = out / "transcript.jsonl"
        session = stack.enter_context(open_session(config, meter, transcript=kept, seed=self.seed, dry_run=dry_run))
        if session.notice:
            print_notice(session.notice)
        return session

    def _limits(self) -> Budget:
        """Limits of the conversation; programs and seconds are limits of the search."""
        problems = [
            FieldProblem(f"budget.{name}", self.budget[name], f"{name}={self.budget[name]}, a limit of the whole search")
            for name in ("evaluations", "seconds")
            if name in self.budget
        ]
        if problems:
            raise OptionError("optisolve evolve", problems)
        return Budget.from_mapping(self.budget, title="optisolve evolve, budget")

    def _claim(self, out: Path) -> None:
        """Write down which search the folder holds.

        Raises:
            OptionError: It holds another one that is not finished or that asked a language model.
        """
        ours = self._settings()
        file = out / "search.json"
        theirs = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else ours
        if theirs != ours:
            if theirs.get("by") not in ("gp", "random") or not (out / "rule.json").is_file():
                other = ", ".join(f"{name}={theirs.get(name)}" for name in ours if theirs.get(name) != ours[name])
                raise OptionError(
                    "optisolve evolve",
                    [FieldProblem("out", str(out), f"a folder without another search; the one that is there has {other}")],
                )
            (out / "candidates.jsonl").unlink(missing_ok=True)
        out.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(ours, indent=1) + "\n", encoding="utf-8")

    def _settings(self) -> dict[str, Json]:
        """What decides the search, JSON-compatible; the conversation's own file says which model was asked."""
        from optisolve.core.documents import plain

        names = ("problem", "skeleton", "by", "evaluations", "seconds", "budget", "seed", "sets", "search", "ask")
        return {name: plain(getattr(self, name)) for name in names}


def _say_how_to_go_on(kind: type[BaseException] | None, *_: object) -> None:
    if kind is not None and issubclass(kind, KeyboardInterrupt):
        print_notice("stopped; the same command goes on where it was.")


def _teller(bar: Bar, total: int, session: LlmSession | None) -> Callable[[int, Candidate], bool]:
    """Moves the bar; on a terminal every new best program becomes a line of a table above it."""
    last: list[Candidate] = []

    def told(evaluations: int, best: Candidate) -> bool:
        tokens = "" if session is None else f"{session.tokens_in + session.tokens_out:,} tokens"
        bar.update(evaluations, total, name=f"best {best.score:+.2f} %", note=tokens)
        if bar.live and last[-1:] != [best]:
            if not last:
                errors.print(styled(f"{'program':>7}  {'gain':>9}  {'nodes':>5}  made by", "bold"))
            figures = f"{best.evaluation:>7}  {best.score:>+8.3f}%  {best.program.codes.nodes:>5}"
            line = f"{figures}  {best.made_by:<9}  {best.program.text}"
            errors.print(line, markup=False, highlight=False, overflow="ellipsis", no_wrap=True)
            last.append(best)
        return False

    return told


def _draw(found: Evolution, file: Path) -> None:
    from optisolve.plotting.search import search_figure
    from optisolve.plotting.style import save_figure

    steps = [(candidate.evaluation, candidate.score) for candidate in found.trace]
    sizes = [(candidate.program.codes.nodes, candidate.score) for candidate in found.front]
    where = f"{found.problem}, {found.skeleton}, by {found.arm}"
    paid = [] if found.llm is None else [(t, c.score) for t, c in zip(found.tokens, found.trace, strict=True)]
    last = 0 if found.llm is None else found.llm["tokens_in"] + found.llm["tokens_out"]
    figure = search_figure(steps, sizes, found.evaluations, found.test_gain, found.baseline, where, paid, last)
    save_figure(figure, file)


def _solver(skeleton: str) -> str:
    """The words of a run that name solver and skeleton."""
    return "solver=moead_rule" if skeleton == "variation" else f"solver=rule solver.skeleton={skeleton}"


def _print(found: Evolution, out: Path) -> None:
    """The rule, its figures and the hand rules beside it."""
    console.print(styled(f"{found.problem}, {found.skeleton}: gain over {found.baseline}", "bold"), soft_wrap=True)
    table = new_table("rule", ">nodes", ">gain, unseen")
    rows = [(f"found by {found.arm}", str(found.best.program.codes.nodes), found.test_gain)]
    rows += [(f"by hand: {name}", "", gain) for name, gain in found.hand.items()]
    for label, nodes, gain in sorted(rows, key=lambda row: -row[2]):
        table.add_row(styled(label, "bold" if label.startswith("found") else ""), nodes, f"{gain:+.3f} %")
    console.print(table)
    console.print(styled("program:", "bold"), found.best.program.text, soft_wrap=True, markup=False)
    console.print(styled("formula:", "bold"), found.best.program.formula, soft_wrap=True, markup=False)
    console.print(
        f"gain over {found.baseline}: {found.train_gain:+.3f} % inside the loop, {found.validation_gain:+.3f} % on validation, "
        f"{found.test_gain:+.3f} % (standard error {found.test_error:.3f}) on unseen instances; "
        f"shrinkage {found.shrinkage:+.3f} points",
        soft_wrap=True,
    )
    waited = "" if found.llm is None else ", the model's among it"
    console.print(
        f"{found.evaluations} programs in {found.seconds:.1f} s of processor time{waited}; {out / 'rule.json'}", soft_wrap=True
    )
    if found.llm is not None:
        fates = ", ".join(f"{count} {fate}" for fate, count in found.fates.items())
        console.print(
            f"{found.llm['calls']} answers of {found.llm['model']}, {found.llm['tokens_in']:,} + {found.llm['tokens_out']:,} "
            f"tokens, {found.llm['usd']:.4f} USD; what became of them: {fates}",
            soft_wrap=True,
        )
    console.print(
        f"use it: optisolve run problem={found.problem} {_solver(found.skeleton)} "
        f"'solver.program=\"{found.best.program.text}\"'",
        soft_wrap=True,
        markup=False,
    )
