"""The verbs other than ``run``."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, cast

from rich.markup import escape

from optisolve import content
from optisolve.cli.display import console, format_number, new_table, print_error, print_note
from optisolve.core.errors import OptisolveError, UnknownNameError
from optisolve.core.problem import Problem
from optisolve.core.solver import Solver
from optisolve.registry import PROBLEMS, SOLVERS, load_target, make_problem, problem_options, solver_options

__all__ = [
    "check_command",
    "export_command",
    "info_command",
    "list_command",
    "models_command",
    "replay_command",
]


def list_command(options: argparse.Namespace) -> int:
    """``optisolve list``: scenarios, solvers and prompts with one line each."""
    if options.what in ("all", "problems"):
        table = new_table("problem", "what is decided", "reference", title="Problems (problem=NAME)")
        for name in PROBLEMS.choices():
            table.add_row(name, *_or_reason(partial(_problem_row, name)))
        console.print(table)
    if options.what in ("all", "solvers"):
        table = new_table("solver", "what it is", "needs", title="Solvers (solver=NAME)")
        for name in SOLVERS.choices():
            table.add_row(name, *_or_reason(partial(_solver_row, name)))
        console.print(table)
    if options.what in ("all", "prompts"):
        table = new_table("prompt", title="Prompts")
        for name in content.names("prompts", ".jinja"):
            table.add_row(name)
        console.print(table)
    return 0


def info_command(options: argparse.Namespace) -> int:
    """``optisolve info NAME``: every parameter with its value, and where it comes from."""
    if options.name in PROBLEMS.choices():
        problem, values = problem_options(options.name)
        console.print(f"[bold]{options.name}[/]: {escape(problem.summary)}")
        console.print(f"reference: {escape(problem.evidence)}")
        console.print(f"offers: {_offered(options.name)}", soft_wrap=True)
        _print_fields(problem, values)
        _print_card("problems", options.name)
        return 0
    if options.name in SOLVERS.choices():
        solver, values = solver_options(options.name)
        info = solver.info
        console.print(f"[bold]{options.name}[/]: {escape(info.summary)}")
        console.print(f"source: {escape(info.citation or '–')}", soft_wrap=True)
        console.print(f"treats: {', '.join(sorted(info.supports))}", soft_wrap=True)
        for verb, capabilities in (("requires", info.requires), ("uses where offered", info.welcomes)):
            if capabilities:
                console.print(f"{verb}: {', '.join(c.__name__ for c in capabilities)}", soft_wrap=True)
        console.print(f"same seed, same answer: {'yes' if info.deterministic else 'no'}")
        _print_fields(solver, values)
        _print_card("solvers", options.name)
        return 0
    raise UnknownNameError("problem or solver", options.name, {*PROBLEMS.choices(), *SOLVERS.choices()})


def _offered(name: str) -> str:
    """Capabilities of a scenario's instances, and whether goals may speak about them."""
    from optisolve.core.capabilities import offers
    from optisolve.goals import MeasuredInstance

    try:
        instance = make_problem(name).instance(0)
    except OptisolveError as error:  # a family whose parameters have no defaults
        return f"unknown until it is given what it needs ({escape(str(error))})"
    told = [c.__name__ for c in offers(instance)]
    if isinstance(instance, MeasuredInstance):
        told.append(f"MeasuredInstance ({', '.join(metric.name for metric in instance.metrics())})")
    return ", ".join(told) or "evaluation only"


def replay_command(options: argparse.Namespace) -> int:
    """``optisolve replay RECORD``: 0 when the same ``result_hash`` comes out, or the same up to rounding, else 2."""
    from optisolve.run.untrusted import printable
    from optisolve.trust.replay import replay, tier_of

    replayed = replay(Path(options.path))
    if options.out is not None:
        console.print(f"record: {escape(str(replayed.result.save(options.out)))}", soft_wrap=True)
    tier = tier_of(replayed.result.record).value
    if replayed.same:
        console.print(f"{tier}: result_hash {replayed.result.result_hash}", style="green", soft_wrap=True)
        return 0
    if replayed.rounding:
        console.print(f"{tier} up to rounding: {escape(replayed.reason)}", style="green", soft_wrap=True)
        return 0
    why = f"; another platform: {printable(replayed.platform)}" if replayed.platform else ""
    print_error(f"not reproduced: {replayed.reason}{why}")
    return 2


def check_command(options: argparse.Namespace) -> int:
    """``optisolve check module:Class``: conformance kit of a problem or solver, one line per property."""
    from optisolve.testing import check_problem, check_solver

    target = _check_target(options.target)
    results = check_problem(target) if isinstance(target, Problem) else check_solver(target)
    for result in results:
        mark, style = {"passed": ("ok", "green"), "skipped": ("skipped", "yellow")}.get(result.outcome, ("FAILED", "red"))
        console.print(
            f"[{style}]{mark:>7}[/] {escape(result.name)}{escape(': ' + result.detail) if result.detail else ''}",
            soft_wrap=True,
        )
    failed = sum(result.outcome == "failed" for result in results)
    console.print(f"{len(results) - failed} passed or skipped, {failed} failed")
    return 1 if failed else 0


def inspect_command(options: argparse.Namespace) -> int:
    """``optisolve inspect problem=NAME``: null policies, random best-of-k, reference, bound, local optima."""
    from optisolve.core.reference import Effort
    from optisolve.plotting import degeneracy_figure, save_figure
    from optisolve.study.degeneracy import degeneracy

    problem = _problem_of(options.overrides)
    report = degeneracy(
        problem,
        instances=options.instances,
        samples=options.samples,
        starts=options.starts,
        effort=Effort(options.effort),
    )
    title = f"{report.problem}: {escape(report.measure)}"
    table = new_table("policy", ">feasible", ">value", ">ratio", ">worst ratio", title=title)
    for row in report.rows:
        numbers = (format_number(value) for value in (row.value, row.ratio, row.worst_ratio))
        table.add_row(escape(row.policy), f"{row.feasible:.0%}", *numbers)
    console.print(table)
    evidence = report.evidence.replace("_", " ")
    console.print(f"reference: {evidence}; means over {options.instances} instances; ratio = value / reference")
    for note in report.notes:
        print_note(note)
    if report.at_bound is not None:
        console.print(f"variables on a bound in the reference: {report.at_bound:.0%}")
    if report.local_optima is not None:
        console.print(f"distinct local optima: {report.local_optima:.1f} from {report.starts} random starts")
    folder = Path(options.out)
    folder.mkdir(parents=True, exist_ok=True)
    lines = {row.policy: row.value for row in report.rows if row.value is not None and not row.policy.startswith("random,")}
    curve = {k: row.value for k, row in report.curve.items() if row.value is not None}
    figure = degeneracy_figure(report.problem, report.measure, lines, curve)
    picture = save_figure(figure, folder / f"inspect-{report.problem.replace('/', '-')}.png")
    console.print(f"picture: {escape(str(picture))}", soft_wrap=True)
    return 0


def export_command(options: argparse.Namespace) -> int:
    """``optisolve export problem=NAME --to FILE``: an instance's arrays, ready for ``problem.instance_file=FILE``."""
    from optisolve.problems.instance_file import write_arrays

    arrays = _problem_of(options.overrides).instance(options.instance).arrays()
    file = write_arrays(options.to, arrays)
    told = ", ".join(f"{name} {list(values.shape)}" for name, values in arrays.items())
    console.print(f"{escape(str(file))}: {escape(told)}", soft_wrap=True)
    return 0


def parse_overrides(words: Iterable[str]) -> dict[str, Any]:
    """Values of ``key=value`` words, typed as YAML would type them; what is no YAML is text.

    Raises:
        OptisolveError: A word has no '='.
    """
    import yaml

    values = {}
    for word in words:
        key, separator, value = word.partition("=")
        if not separator or not key:
            raise OptisolveError(f"'{word}' must have the form key=value, e.g. problem=uav_isac.")
        try:
            values[key] = yaml.safe_load(value)
        except (yaml.YAMLError, ValueError):  # the latter for dates that do not exist
            values[key] = value
    return values


def _problem_of(words: Iterable[str]) -> Problem:
    from optisolve.registry import load_problem

    values = parse_overrides(words)
    name = values.pop("problem", None)
    if not isinstance(name, str):
        raise OptisolveError("Say which problem, e.g. problem=uav_isac (see: optisolve list problems).")
    return load_problem(name, **{key.removeprefix("problem."): value for key, value in values.items()})


def models_command(options: argparse.Namespace) -> int:
    """``optisolve models``: known local models with licence and whether they are here; ``fetch NAME`` gets one."""
    from optisolve.llm import catalog

    if options.action == "fetch":
        if options.name is None:
            raise OptisolveError(
                "Say which model to fetch, e.g.: optisolve models fetch smollm2-135m (see: optisolve models list)."
            )
        console.print(f"ready: {escape(str(catalog.fetch(options.name)))}", soft_wrap=True)
        return 0
    table = new_table(
        "model", ">MB", "licence", "here", "from", "note", title="Local language models (llm=local llm.model=NAME)"
    )
    for model in catalog.MODELS:
        table.add_row(
            model.name,
            f"{model.size_mb:.0f}",
            model.licence,
            "yes" if catalog.installed(model) else "no",
            model.source,
            model.note,
        )
    console.print(table)
    return 0


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
    table = new_table("setting", "value", "type")
    for field in dataclasses.fields(cast(Any, cls)):
        if not field.init or field.name == "scenario":
            continue
        default = None if field.default is dataclasses.MISSING else field.default
        table.add_row(field.name, escape(str(values.get(field.name, default))), escape(str(field.type)))
    console.print(table)


def _print_card(kind: str, name: str) -> None:
    folder = content.content_dir(kind)
    family = name.split("/", maxsplit=1)[0]
    for card in (folder / family / "README.md", folder / f"{name}.md"):
        if card.is_file():
            console.print(f"card: {escape(str(card))}", soft_wrap=True)


def _check_target(target: str) -> Problem | type[Solver]:
    if ":" not in target:
        if target in PROBLEMS.choices():
            from optisolve.registry import load_problem

            return load_problem(target)
        if target in SOLVERS.choices():
            return solver_options(target)[0]
        raise UnknownNameError("plug-in", target, {*PROBLEMS.choices(), *SOLVERS.choices()})
    try:
        return load_target(target, Solver, what="check")  # type: ignore[type-abstract]
    except OptisolveError:
        cls = load_target(target, Problem, what="check")  # type: ignore[type-abstract]
        return cls.from_mapping({})
