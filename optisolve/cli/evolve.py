"""``optisolve evolve``: search for a rule, and say what it is worth on instances that the search has not seen."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Gt

from optisolve.cli.display import console, new_table, styled
from optisolve.cli.progress import Bar, Show
from optisolve.cli.settings import Choice, Group, Verb
from optisolve.registry import named_problem

if TYPE_CHECKING:
    from optisolve.programs.search import Candidate
    from optisolve.study.evolve import Evolution

__all__ = ["Evolve"]


@dataclass(frozen=True, slots=True)
class Evolve(Verb):
    """Search for a rule of a problem, written as data, and measure it on unseen instances.

    Args:
        problem: Where instances come from, e.g. power_control/gaussian_k20_0db.
        skeleton: What the rule is the missing piece of: insertion, exchange or update (power_control), association
            (user_association), variation (any problem, in the decomposition engine).
        by: gp: genetic programming over typed trees; random: blind sampling, the control.
        evaluations: Programs that are scored at most, the fit of constants included.
        seconds: Processor time of the search; no limit unless said otherwise.
        seed: Decides the search and which instances are drawn.
        sets: Numbers of instances: train (48), validation (48), test (200); rounds (100) of one answer; evaluations (300) of
            one run, for variation; hand (false): the search begins with the rules of people.
        search: population (40), islands (3), migration (4), tournament (4), depth (6), nodes (30), crossover (0.55), hoist
            (0.05), constants (0.15), fit_share (0.2).
        out: Folder of rule.json and rule.png (runs/evolve-PROBLEM-SKELETON-BY-SEED unless said otherwise).
        progress: How far it is, on stderr. auto: a bar on a terminal, elsewhere a line every few seconds.
    """

    problem: Choice
    skeleton: str
    by: Literal["gp", "random"] = "gp"
    evaluations: Annotated[int, Ge(1)] = 1000
    seconds: Annotated[float, Gt(0)] | None = None
    seed: Annotated[int, Ge(0)] = 0
    sets: Group = field(default_factory=dict)
    search: Group = field(default_factory=dict)
    out: str = ""
    progress: Show = "auto"

    def __call__(self) -> int:
        from optisolve.programs.search import SearchOptions
        from optisolve.study.evolve import EvolveOptions, evolve, skeleton_for

        problem = named_problem(self.problem.name, self.problem.options)
        skeleton = skeleton_for(problem, self.skeleton)
        settings = EvolveOptions.from_mapping(self.sets, title="optisolve evolve, sets")
        search = SearchOptions.from_mapping(self.search, title="optisolve evolve, search")
        with Bar("evolve", "programs", self.evaluations, show=self.progress) as bar:

            def told(evaluations: int, best: Candidate) -> bool:
                bar.update(evaluations, self.evaluations, name=f"best {best.score:+.2f} %")
                return False

            found = evolve(
                problem,
                skeleton,
                self.by,
                evaluations=self.evaluations,
                seconds=self.seconds,
                seed=self.seed,
                settings=settings,
                search=search,
                told=told,
            )
        name = f"{found.problem.replace('/', '-')}-{found.skeleton}-{self.by}-{self.seed}"
        out = Path(self.out or f"runs/evolve-{name}")
        found.write(out / "rule.json")
        _draw(found, out / "rule.png")
        _print(found, out)
        return 0


def _draw(found: Evolution, file: Path) -> None:
    from optisolve.plotting.search import search_figure
    from optisolve.plotting.style import save_figure

    steps = [(candidate.evaluation, candidate.score) for candidate in found.trace]
    sizes = [(candidate.program.codes.nodes, candidate.score) for candidate in found.front]
    where = f"{found.problem}, {found.skeleton}, by {found.arm}"
    figure = search_figure(steps, sizes, found.evaluations, found.test_gain, found.baseline, where)
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
    console.print(
        f"{found.evaluations} programs in {found.seconds:.1f} s of processor time; {out / 'rule.json'}", soft_wrap=True
    )
    console.print(
        f"use it: optisolve run problem={found.problem} {_solver(found.skeleton)} "
        f"'solver.program=\"{found.best.program.text}\"'",
        soft_wrap=True,
        markup=False,
    )
