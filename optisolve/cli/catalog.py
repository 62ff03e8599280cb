"""What models, instances and plug-ins are worth: ``models``, ``inspect``, ``export``, ``check``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from annotated_types import Ge

from optisolve.cli.display import console, format_number, new_table, print_note, styled, write_plain
from optisolve.cli.progress import Bar, Show
from optisolve.cli.settings import Choice, Verb, Word
from optisolve.core.errors import OptisolveError, UnknownNameError
from optisolve.core.source import is_target, load_object
from optisolve.registry import PROBLEMS, SOLVERS, named_problem, solver_options

if TYPE_CHECKING:
    from optisolve.core.problem import Problem
    from optisolve.core.solver import Solver

__all__ = ["Check", "Completion", "Export", "Inspect", "Models"]


@dataclass(frozen=True, slots=True)
class Models(Verb):
    """Known local language models; fetch one.

    Args:
        action: List them with licence and whether they are here, or fetch one.
        name: Name of the model to fetch.
        progress: How far a download is, on stderr. auto: a bar on a terminal, elsewhere a line every few seconds.
    """

    action: Annotated[Literal["list", "fetch"], Word("ACTION")] = "list"
    name: Annotated[str, Word("NAME")] = ""
    progress: Show = "auto"

    def __call__(self) -> int:
        from optisolve.llm import catalog

        if self.action == "fetch":
            if not self.name:
                raise OptisolveError(
                    "Say which model to fetch, e.g.: optisolve models fetch smollm2-135m (see: optisolve models list)."
                )
            with Bar(f"fetch {self.name}", "MB", show=self.progress) as bar:
                file = catalog.fetch(self.name, on_progress=bar.update)
            console.print(f"ready: {file}", soft_wrap=True)
            return 0
        title = "Local language models (llm=local llm.model=NAME)"
        table = new_table("model", ">MB", "licence", "here", "from", "note", title=title)
        for model in catalog.MODELS:
            here = "yes" if catalog.installed(model) else "no"
            table.add_row(model.name, f"{model.size_mb:.0f}", model.licence, here, model.source, model.note)
        console.print(table)
        return 0


@dataclass(frozen=True, slots=True)
class Inspect(Verb):
    """Degeneracy report: what trivial answers reach beside the reference.

    Args:
        problem: What is inspected; its parameters may stand without ``problem.`` too.
        instances: Instances that are averaged.
        samples: Random points per instance.
        starts: Local searches per instance, 0 for none.
        effort: Work on the reference.
        out: Folder of the picture.
    """

    others: ClassVar = "problem"
    problem: Choice
    instances: Annotated[int, Ge(1)] = 3
    samples: Annotated[int, Ge(1)] = 1024
    starts: Annotated[int, Ge(0)] = 16
    effort: Literal["quick", "normal", "thorough"] = "quick"
    out: Path = Path("runs")

    def __call__(self) -> int:
        from optisolve.core.reference import Effort
        from optisolve.plotting import degeneracy_figure, save_figure
        from optisolve.study.degeneracy import degeneracy

        size = {"instances": self.instances, "samples": self.samples, "starts": self.starts}
        report = degeneracy(named_problem(self.problem.name, self.problem.options), **size, effort=Effort(self.effort))
        title = f"{report.problem}: {report.measure}"
        table = new_table("policy", ">feasible", ">value", ">ratio", ">worst ratio", title=title)
        for row in report.rows:
            numbers = (format_number(value) for value in (row.value, row.ratio, row.worst_ratio))
            table.add_row(row.policy, f"{row.feasible:.0%}", *numbers)
        console.print(table)
        evidence = report.evidence.replace("_", " ")
        console.print(f"reference: {evidence}; means over {self.instances} instances; ratio = value / reference")
        for note in report.notes:
            print_note(note)
        if report.at_bound is not None:
            console.print(f"variables on a bound in the reference: {report.at_bound:.0%}")
        if report.local_optima is not None:
            console.print(f"distinct local optima: {report.local_optima:.1f} from {report.starts} random starts")
        self.out.mkdir(parents=True, exist_ok=True)
        lines = {r.policy: r.value for r in report.rows if r.value is not None and not r.policy.startswith("random,")}
        curve = {k: row.value for k, row in report.curve.items() if row.value is not None}
        figure = degeneracy_figure(report.problem, report.measure, lines, curve)
        picture = save_figure(figure, self.out / f"inspect-{report.problem.replace('/', '-')}.png")
        console.print(f"picture: {picture}", soft_wrap=True)
        return 0


@dataclass(frozen=True, slots=True)
class Export(Verb):
    """Write an instance's arrays to npz, JSON or .mat, ready for ``problem.instance_file=FILE``.

    Args:
        problem: Whose instance; its parameters may stand without ``problem.`` too.
        to: File that ends in .npz, .json or .mat.
        instance: Instance seed.
    """

    others: ClassVar = "problem"
    problem: Choice
    to: str
    instance: int = 0

    def __call__(self) -> int:
        from optisolve.problems.instance_file import write_arrays

        arrays = named_problem(self.problem.name, self.problem.options).instance(self.instance).arrays()
        file = write_arrays(self.to, arrays)
        told = ", ".join(f"{name} {list(values.shape)}" for name, values in arrays.items())
        console.print(f"{file}: {told}", soft_wrap=True)
        return 0


@dataclass(frozen=True, slots=True)
class Check(Verb):
    """Run the conformance kit on a plug-in, one line per property.

    Args:
        target: ``FILE.py:NAME`` or ``module:NAME``, where NAME is a problem, a class or a function that builds one; or a
            registered name.
    """

    target: Annotated[str, Word("TARGET")]

    def __call__(self) -> int:
        from optisolve.core.problem import Problem
        from optisolve.testing import check_problem, check_solver

        target = _check_target(self.target)
        results = check_problem(target) if isinstance(target, Problem) else check_solver(target)
        for result in results:
            mark, style = {"passed": ("ok", "green"), "skipped": ("skipped", "yellow")}.get(result.outcome, ("FAILED", "red"))
            detail = ": " + result.detail if result.detail else ""
            console.print(styled(f"{mark:>7}", style), f"{result.name}{detail}", soft_wrap=True)
        failed = sum(result.outcome == "failed" for result in results)
        console.print(f"{len(results) - failed} passed or skipped, {failed} failed")
        return 1 if failed else 0


@dataclass(frozen=True, slots=True)
class Completion(Verb):
    """The script that completes verbs, settings and names in a shell.

    Args:
        shell: Which shell.

    bash and zsh: eval "$(optisolve completion bash)", in ~/.bashrc for every shell (zsh: in ~/.zshrc, behind compinit)
    fish: optisolve completion fish | source
    """

    shell: Annotated[Literal["bash", "zsh", "fish"], Word("SHELL")]

    def __call__(self) -> int:
        from optisolve.cli.completion import SCRIPTS

        write_plain(SCRIPTS[self.shell])
        return 0


def _check_target(target: str) -> Problem | type[Solver]:
    from optisolve.core.solver import Solver

    if not is_target(target):
        if target in PROBLEMS.choices():
            return named_problem(target)
        if target in SOLVERS.choices():
            return solver_options(target)[0]
        raise UnknownNameError("plug-in", target, {*PROBLEMS.choices(), *SOLVERS.choices()})
    found, _ = load_object(target)
    return found if isinstance(found, type) and issubclass(found, Solver) else named_problem(target)
