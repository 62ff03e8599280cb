"""What there is, and what it is worth: ``list``, ``info``, ``models``, ``inspect``, ``export``, ``check``."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, cast

from annotated_types import Ge
from rich.markup import escape

from optisolve import content
from optisolve.cli.display import console, format_number, new_table, print_note
from optisolve.cli.settings import Choice, Verb, Word, meanings
from optisolve.core.errors import OptisolveError, UnknownNameError
from optisolve.core.source import is_target, load_object
from optisolve.registry import PROBLEMS, SOLVERS, named_problem, problem_options, solver_options

if TYPE_CHECKING:
    from optisolve.core.problem import Problem
    from optisolve.core.solver import Solver

__all__ = ["Check", "Export", "Info", "Inspect", "List", "Models"]


@dataclass(frozen=True, slots=True)
class List(Verb):
    """What there is: problems, solvers, prompts.

    Args:
        what: Which of them.
    """

    what: Annotated[Literal["problems", "solvers", "prompts", "all"], Word("WHAT")] = "all"

    def __call__(self) -> int:
        if self.what in ("all", "problems"):
            table = new_table("problem", "what is decided", "reference", title="Problems (problem=NAME)")
            for name in PROBLEMS.choices():
                table.add_row(name, *_or_reason(partial(_problem_row, name)))
            console.print(table)
        if self.what in ("all", "solvers"):
            table = new_table("solver", "what it is", "needs", title="Solvers (solver=NAME)")
            for name in SOLVERS.choices():
                table.add_row(name, *_or_reason(partial(_solver_row, name)))
            console.print(table)
        if self.what in ("all", "prompts"):
            table = new_table("prompt", title="Prompts")
            for name in content.names("prompts", ".jinja"):
                table.add_row(name)
            console.print(table)
        return 0


@dataclass(frozen=True, slots=True)
class Info(Verb):
    """Parameters, sources and citation of one problem or solver.

    Args:
        name: A problem or solver of ``optisolve list``.
    """

    name: Annotated[str, Word("NAME")]

    def __call__(self) -> int:
        if self.name in PROBLEMS.choices() or is_target(self.name):
            problem, values = problem_options(self.name)
            console.print(f"[bold]{self.name}[/]: {escape(problem.summary)}")
            console.print(f"reference: {escape(problem.evidence)}")
            for line in _offered(self.name):
                console.print(line, soft_wrap=True)
            _print_fields(problem, values)
            _print_card("problems", self.name)
            return 0
        if self.name in SOLVERS.choices():
            solver, values = solver_options(self.name)
            info = solver.info
            console.print(f"[bold]{self.name}[/]: {escape(info.summary)}")
            console.print(f"source: {escape(info.citation or '–')}", soft_wrap=True)
            console.print(f"treats: {', '.join(sorted(info.supports))}", soft_wrap=True)
            for verb, capabilities in (("requires", info.requires), ("uses where offered", info.welcomes)):
                if capabilities:
                    console.print(f"{verb}: {', '.join(c.__name__ for c in capabilities)}", soft_wrap=True)
            console.print(f"same seed, same answer: {'yes' if info.deterministic else 'no'}")
            _print_fields(solver, values)
            _print_card("solvers", self.name)
            return 0
        raise UnknownNameError("problem or solver", self.name, {*PROBLEMS.choices(), *SOLVERS.choices()})


def _offered(name: str) -> Iterator[str]:
    """Capabilities of a scenario's instances, whether goals may speak about them, and what verification runs on."""
    from optisolve.core.capabilities import offers
    from optisolve.goals import MeasuredInstance

    try:
        instance = named_problem(name).instance(0)
    except OptisolveError as error:  # a family whose parameters have no defaults
        yield f"offers: unknown until it is given what it needs ({escape(str(error))})"
        return
    capabilities = [c.__name__ for c in offers(instance)]
    if isinstance(instance, MeasuredInstance):
        capabilities.append(f"MeasuredInstance ({', '.join(metric.name for metric in instance.metrics())})")
    yield f"offers: {', '.join(capabilities) or 'evaluation only'}"
    yield "evaluation: " + (
        "a compiled kernel; verification runs on other code, the readable equations"
        if instance.has_twin
        else "one implementation, which verification runs again (docs/trust.md)"
    )


@dataclass(frozen=True, slots=True)
class Models(Verb):
    """Known local language models; fetch one.

    Args:
        action: List them with licence and whether they are here, or fetch one.
        name: Name of the model to fetch.
    """

    action: Annotated[Literal["list", "fetch"], Word("ACTION")] = "list"
    name: Annotated[str, Word("NAME")] = ""

    def __call__(self) -> int:
        from optisolve.llm import catalog

        if self.action == "fetch":
            if not self.name:
                raise OptisolveError(
                    "Say which model to fetch, e.g.: optisolve models fetch smollm2-135m (see: optisolve models list)."
                )
            console.print(f"ready: {escape(str(catalog.fetch(self.name)))}", soft_wrap=True)
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
        title = f"{report.problem}: {escape(report.measure)}"
        table = new_table("policy", ">feasible", ">value", ">ratio", ">worst ratio", title=title)
        for row in report.rows:
            numbers = (format_number(value) for value in (row.value, row.ratio, row.worst_ratio))
            table.add_row(escape(row.policy), f"{row.feasible:.0%}", *numbers)
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
        console.print(f"picture: {escape(str(picture))}", soft_wrap=True)
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
        console.print(f"{escape(str(file))}: {escape(told)}", soft_wrap=True)
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
            detail = escape(": " + result.detail) if result.detail else ""
            console.print(f"[{style}]{mark:>7}[/] {escape(result.name)}{detail}", soft_wrap=True)
        failed = sum(result.outcome == "failed" for result in results)
        console.print(f"{len(results) - failed} passed or skipped, {failed} failed")
        return 1 if failed else 0


def _problem_row(name: str) -> tuple[str, str]:
    if name in content.names("problems"):  # the file says it; importing every family would be slow
        told = {**content.header("problems", name.split("/", maxsplit=1)[0]), **content.header("problems", name)}
        return told.get("summary", ""), told.get("reference", "none")
    problem = PROBLEMS.get(name)
    return problem.summary, problem.evidence


def _solver_row(name: str) -> tuple[str, str]:
    if name in content.names("solvers"):
        told = content.header("solvers", name)
        return told.get("summary", ""), told.get("needs", "")
    info = SOLVERS.get(name).info
    return info.summary, ", ".join([*info.needs, *(["a language model"] if info.uses_llm else [])])


def _or_reason(row: Callable[[], tuple[str, str]]) -> tuple[str, str]:
    """A row, or why the plug-in behind it cannot be loaded; one broken plug-in must not hide the others."""
    try:
        return row()
    except OptisolveError as error:
        return f"[red]cannot be loaded:[/] {escape(str(error))}", ""


def _print_fields(cls: type[Problem] | type[Solver], values: dict[str, object]) -> None:
    table, texts = new_table("setting", "value", "type", "meaning"), meanings(cls)[1]
    for field in dataclasses.fields(cast(type, cls)):
        if not field.init or field.name == "scenario":
            continue
        default = None if field.default is dataclasses.MISSING else field.default
        value = escape(str(values.get(field.name, default)))
        table.add_row(field.name, value, escape(str(field.type)), escape(texts.get(field.name, "")))
    console.print(table)


def _print_card(kind: str, name: str) -> None:
    folder = content.content_dir(kind)
    family = name.split("/", maxsplit=1)[0]
    for card in (folder / family / "README.md", folder / f"{name}.md"):
        if card.is_file():
            console.print(f"card: {escape(str(card))}", soft_wrap=True)


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
